"""What type checkers make of the verbs: the kind that came in comes out, and keywords are known."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not here")

# a line, and the type that it reveals; what is an error says so
SOURCE = """
import numpy as np
import torch
import tensorcast as tc
from tensorcast.api.packed import pack

tensor = torch.ones(3)
array = np.ones(3)
packed = pack(np.ones(2, np.uint8), "int4")

reveal_type(tc.cast(tensor, "float16"))  # Tensor
reveal_type(tc.cast(torch.nn.Parameter(tensor), "float16", overflow="saturate"))  # Tensor
reveal_type(tc.cast(tensor, "float16", report=True))  # tuple[Tensor, Loss]
reveal_type(tc.cast(tensor, "float16", device="cpu", seed=3, rounding=None))  # Tensor
reveal_type(tc.cast(array, "float16"))  # ndarray
reveal_type(tc.cast(array, "float16", report=True))  # tuple[ndarray, Loss]
reveal_type(tc.cast(tensor, "int4", packed=True))  # PackedTensor
reveal_type(tc.cast(array, "int4", packed=True, report=True))  # tuple[PackedTensor, Loss]
reveal_type(tc.cast(packed, "float32", out=array))  # ndarray
reveal_type(tc.as_tensor(array))  # Tensor
reveal_type(tc.as_tensor([1, 2], "bfloat16", null=0))  # Tensor
reveal_type(tc.to_numpy(tensor))  # ndarray
reveal_type(tc.measure(tensor, "float16"))  # Loss
reveal_type(tc.can_cast(array, "float16"))  # bool
reveal_type(tc.cast_(tensor, "float16"))  # Tensor
reveal_type(tc.cast_(tensor, "float16", report=True))  # tuple[Tensor, Loss]
reveal_type(tc.cast_(torch.nn.Linear(2, 2), "float16"))  # Linear
tc.cast(tensor, "float16", overflow="saturated")  # error
tc.cast(tensor, "float16", overflaw="saturate")  # error
tc.image_to_tensor(array, exact=True)  # error
"""


def judge(revealed: dict[int, str], errors: set[int]) -> None:
    wanted = {}
    for number, line in enumerate(SOURCE.splitlines(), 1):
        if "  # " in line:
            wanted[number] = line.split("  # ")[1]
    expected = {number: what for number, what in wanted.items() if what != "error"}
    assert {number: simple(text) for number, text in revealed.items()} == expected
    assert errors == {number for number, what in wanted.items() if what == "error"}


def simple(shown: str) -> str:
    """The names of a type: without modules, and of an array without its parameters."""
    shown = re.sub(r"(?:\w+\.)+(\w+)", r"\1", shown)
    found, depth = "", 0
    for part in re.split(r"(ndarray\[|[\[\]])", shown):
        if part == "ndarray[" or depth:
            depth += part.endswith("[") - (part == "]")
            found += "ndarray" if part == "ndarray[" and depth == 1 else ""
        else:
            found += part
    return found


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "user.py"
    path.write_text(SOURCE)
    return path


def test_mypy_knows_the_verbs(written: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not here")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-color-output",
         "--hide-error-context", "--follow-untyped-imports", written.name],
        cwd=written.parent, capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    revealed, errors = {}, set()
    for line in done.stdout.splitlines():
        found = re.match(r"user.py:(\d+): (note|error): (.*)", line)
        assert found or line.startswith("  "), done.stdout + done.stderr
        if found and found[2] == "error":
            errors.add(int(found[1]))
        elif found and (shown := re.match(r'Revealed type is "(.*)"', found[3])):
            revealed[int(found[1])] = shown[1]
    judge(revealed, errors)


def test_pyright_knows_the_verbs(written: Path) -> None:
    pyright = shutil.which("basedpyright") or shutil.which("pyright")
    if pyright is None:
        pytest.skip("pyright is not here")
    done = subprocess.run(
        [pyright, "--outputjson", "--pythonpath", sys.executable, str(written)],
        cwd=written.parent, capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    revealed, errors = {}, set()
    for one in json.loads(done.stdout)["generalDiagnostics"]:
        number = one["range"]["start"]["line"] + 1
        shown = re.match(r'Type of ".*" is "(.*)"$', one["message"])
        if shown:
            revealed[number] = shown[1]
        elif one["severity"] == "error":
            errors.add(number)
    judge(revealed, errors)
