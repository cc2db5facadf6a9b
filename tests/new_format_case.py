"""What test_new_format.py runs in its scratch copy, where float8_e2m5fn is a format."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from codes import interesting_codes, policies
from oracle import cast_array
from test_kernels import ROWS, check, ordinary, targets_of

import tensorcast as tc
from tensorcast.cli.app import cli
from tensorcast.errors import TensorcastError

ROOT = Path(__file__).resolve().parents[1]
NEW = tc.lookup("float8_e2m5fn")


def looked_up() -> None:
    assert str(ROOT) in tc.__file__
    for spelling in ("float8_e2m5fn", "e2m5", "F8_E2M5"):
        assert tc.lookup(spelling) is NEW
    assert (NEW.bits, NEW.max, NEW.smallest, NEW.has_zero) == (8, 7.875, 2.0**-5, True)


def cast_both_ways() -> None:
    pairs = [(NEW, target) for target in targets_of(NEW)]
    pairs += [(source, NEW) for source in ROWS if NEW in targets_of(source) and source is not NEW]
    for source, target in pairs:
        codes = interesting_codes(source, target, seed=1)
        for policy in policies(source, target, seed=5):
            check(codes, source, target, policy, "edges")
        usual = ordinary(codes, source, target)
        for policy in policies(source, target, seed=6)[:2]:
            check(np.resize(usual, 5000), source, target, policy, "ordinary")


def promoted() -> None:
    """An answer or a refusal in words, with every format."""
    for row in ROWS:
        for pair in ((NEW, row), (row, NEW)):
            try:
                said = str(tc.promote(*pair))
            except TensorcastError as refusal:
                said = str(refusal)
            assert NEW.name in said


def written_and_read(folder: Path) -> None:
    """float32 to the format in a safetensors file, and back; the codes are those of the oracle."""
    x = np.concatenate([np.linspace(-7.8, 7.8, 999), [0.0, -0.0]]).astype(np.float32)
    header = {"x": {"dtype": "F32", "shape": [len(x)], "data_offsets": [0, x.nbytes]}}
    text = json.dumps(header).encode()
    source, target, back = (folder / f"{name}.safetensors" for name in ("a", "b", "c"))
    source.write_bytes(len(text).to_bytes(8, "little") + text + x.tobytes())
    tc.convert(source, target, to="e2m5", verify=True)
    data = target.read_bytes()
    size = int.from_bytes(data[:8], "little")
    assert json.loads(data[8 : 8 + size])["x"]["dtype"] == "F8_E2M5"
    float32 = tc.lookup("float32")
    want = cast_array(x.view(np.uint32), float32, NEW, policies(float32, NEW, seed=0)[0]).codes
    codes = np.frombuffer(data[8 + size :], np.uint8)
    assert codes.tolist() == want.tolist()
    assert NEW.name in str(tc.inspect(target))
    tc.convert(target, back, to="float32", verify=True)
    data = back.read_bytes()
    found = np.frombuffer(data[8 + int.from_bytes(data[:8], "little") :], np.float32)
    assert (np.abs(found - x) <= 2.0**-4).all()


def listed() -> None:
    for arguments in (["formats"], ["formats", "--markdown"]):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
        assert NEW.name in done.output


if __name__ == "__main__":
    looked_up()
    cast_both_ways()
    promoted()
    written_and_read(Path(sys.argv[1]))
    listed()
