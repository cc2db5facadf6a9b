"""Capability files: written, read back, and refused when anybody tampered with them."""

from __future__ import annotations

import copy
import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from capability.made_up import capability, cast, measured

from tensorcast.capability.data import Ratio
from tensorcast.capability.machine import FLAGS
from tensorcast.capability.result import Capability
from tensorcast.errors import CorruptFileError
from tensorcast.report.document import SCHEMA

FULL = capability(
    measured("float32", 1.0, error=0.0),
    replace(measured("bfloat16", 0.25), beside_float32=Ratio(4.0, 3.5, 4.5)),
    measured("int8", 0.5, way="_int_mm"),
    casts=(cast("tensorcast", 1.0), cast("torch", 2.0, n_different=3, difference="1.5 -> 2")),
)


def test_a_file_comes_back_equal(tmp_path: Path) -> None:
    path = tmp_path / "capability.json"
    path.write_text("what was there before")
    FULL.write(path)
    assert Capability.read(path) == FULL
    assert Capability.read(str(path)).verdicts == FULL.verdicts
    assert [p.name for p in tmp_path.iterdir()] == ["capability.json"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o400


def test_the_document_is_one_of_ours() -> None:
    document = json.loads(FULL.to_json())
    assert document["tensorcast"] == {"version": "0.1.0", "schema": SCHEMA, "command": "bench"}
    assert [m["sqnr_db"] for m in document["measurements"]] == ["inf", 60.0, 60.0]
    assert Capability.from_dict(document) == FULL
    assert FULL.to_json().isascii()


def test_members_of_later_versions_are_ignored() -> None:
    document = json.loads(FULL.to_json())
    document["more"] = document["machine"]["more"] = document["measurements"][0]["more"] = [1]
    assert Capability.from_dict(document) == FULL


MISSING = object()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("tensorcast",), MISSING, "expected an object as tensorcast, found None"),
        (("tensorcast", "schema"), 2, "expected schema 1 of command 'bench', found schema 2"),
        (("tensorcast", "command"), "inspect", "command 'inspect'"),
        (("machine", "device"), "tpu", "expected one of cpu, cuda as machine.device, found 'tpu'"),
        (("machine", "name"), "x" * 1001, "text of at most 1000 characters as machine.name"),
        (("machine", "name"), "\ud800", "as machine.name"),
        (("machine", "flags"), "avx", "a list of texts as machine.flags"),
        (("machine", "n_cpus"), -1, "a count as machine.n_cpus, found -1"),
        (("machine", "n_cpus"), True, "a count as machine.n_cpus, found True"),
        (("machine", "n_cpus"), 1 << 63, "a count as machine.n_cpus"),
        (("versions", "torch"), 2, "a version as versions.torch, found 2"),
        (("seconds",), "12", "a number from 0 on as seconds, found '12'"),
        (("seconds",), 1e400, "a number from 0 on as seconds, found inf"),
        (("seconds",), 10**400, "a number from 0 on as seconds, found an integer of"),
        (("n_cpus_others",), -1, "a number from 0 on or null as n_cpus_others, found -1"),
        (("measurements",), {}, "a list of at most 20,000 items as measurements"),
        (("measurements",), [0] * 20_001, "found a list of 20001 items"),
        (("measurements",), [None], "an object as measurements[0], found None"),
        (("measurements", 0, "format"), "float33", "a known name as measurements[0].format"),
        (("measurements", 0, "format"), [], "a known name as measurements[0].format"),
        (("measurements", 1, "sizes"), {"m": 1.5}, "a count as measurements[1].sizes.m"),
        (("measurements", 0, "relative_error"), -1.0, "as measurements[0].relative_error"),
        (("measurements", 0, "seconds"), MISSING, "an object as measurements[0].seconds"),
        (("measurements", 0, "seconds", "n"), 0, "seconds above zero as measurements[0].seconds"),
        (("measurements", 0, "seconds", "median"), 0, "seconds above zero as measurements[0]"),
        (("measurements", 0, "seconds", "low"), 9.0, "low <= median <= high as measurements[0]"),
        (("measurements", 1, "beside_float32"), 2.0, "an object or null as measurements[1].besid"),
        (("measurements", 1, "beside_float32"), {}, "measurements[1].beside_float32.median, found"),
        (("measurements", 1, "beside_float32", "low"), 0, "0 < low <= median <= high as measureme"),
        (("measurements", 1, "beside_float32"), MISSING, "as measurements[1].beside_float32, fou"),
        (("casts", 0, "library"), "numpyy", "one of tensorcast, torch, numpy, tensorflow, jax"),
        (("casts", 1, "n_different"), None, "a count as casts[1].n_different, found None"),
        (("misfits", 0, "value"), 254, "as misfits[0].value, found 254"),
        (("missing", 0, "reason"), MISSING, "as missing[0].reason, found nothing"),
    ],
)
def test_a_hostile_document_is_refused(path: tuple[Any, ...], value: Any, said: str) -> None:
    document = copy.deepcopy(FULL.to_dict())
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    if value is MISSING:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    with pytest.raises(CorruptFileError) as refused:
        Capability.from_dict(document)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "found nothing"),
        (b"[]", "JSON starting with '{'"),
        (b'{"a": NaN}', "found NaN"),
        (b'{"a": 1, "a": 2}', "the key 'a' twice"),
        (b'{"a":' * 100_000, "deep nesting"),
        (b"{" + b" " * (16 << 20), "expected at most 16,777,216 bytes"),
    ],
)
def test_a_hostile_file_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "capability.json"
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match=r"capability\.json") as refused:
        Capability.read(path)
    assert said in str(refused.value)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    with pytest.raises(OSError, match="taken"):
        FULL.write(taken)
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_find_and_speedup() -> None:
    found = capability(
        measured("float32", 1.0, case="M=1"),
        measured("float32", 4.0, case="M=64"),
        measured("int8", 1.0, case="M=64"),
        measured("int8", 2.0, case="M=64", way="_int_mm"),
    )
    assert [m.case for m in found.find("matmul", "float32")] == ["M=1", "M=64"]
    assert found.find("conv2d") == ()
    faster = found.speedup("matmul", "int8")
    assert faster is not None
    assert faster.median == 4
    assert faster.low < 4 < faster.high
    assert found.speedup("matmul", "int8", case="M=1") is None
    assert found.speedup("conv2d", "int8") is None


@pytest.mark.parametrize("n_flags", [0, 3, len(FLAGS)])
def test_every_flag_a_cpu_may_have_fits_the_lines(n_flags: int) -> None:
    made = capability(measured("float32", 1.0))
    machine = replace(made.machine, name="An (R) CPU of some name @ 2.60GHz", flags=FLAGS[:n_flags])
    lines = str(replace(made, machine=machine)).splitlines()
    assert max(map(len, lines)) <= 100
    assert sum(line.startswith("threads ") for line in lines) == 1
    said = " ".join(lines).split()
    assert set(FLAGS[:n_flags]) <= set(said)
