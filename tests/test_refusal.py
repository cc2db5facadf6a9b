"""One advice on the format to take instead, whoever gives it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tensorcast as tc
from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare, run
from tensorcast.checkpoint.decide.rules import parse_rule
from tensorcast.core.refusal import format_that_holds


@pytest.mark.parametrize(
    ("target", "low", "high", "whole", "expected"),
    [
        ("int8", 0, 600.0, False, "float16"),
        ("float16", -65505.0, 0, False, "bfloat16"),
        ("float16", -3.35e38, 0, False, "bfloat16"),
        ("bfloat16", 0, 3.4e38, False, "float32"),
        ("float32", 0, 1e300, False, "float64"),
        ("int32", 0, 3e9, False, "float32"),  # no narrower than the target
        ("int8", -40000, 40000, True, "int32"),
        ("uint32", -1, 0, True, "int32"),
        ("int64", 0, 2**64 - 1, True, "uint64"),
        ("int64", -1, 2**64 - 1, True, "float64"),
        ("float16", 0, 70_000, True, "float32"),
        ("float64", 0, 10**400, True, None),
    ],
)
def test_the_format_that_would_hold_them(
    target: str, low: float, high: float, whole: bool, expected: str | None
) -> None:
    found = format_that_holds(tc.lookup(target), low, high, whole=whole)
    assert (found and found.name) == expected


@pytest.mark.parametrize(
    ("values", "to", "expected"),
    [
        (np.array([3_000_000_000, 1, 2]), "int32", "int64"),
        (np.array([3.35e38, 1.0, 2.0], np.float32), "float16", "bfloat16"),
        (np.array([3e9, 1.0, 2.0], np.float32), "int32", "float32"),
        (np.array([-70_000, 1, 2]), "float16", "float32"),
        (np.array([300, 1, 2], np.int16), "int8", "int16"),
    ],
)
def test_everybody_gives_the_same_advice(
    values: np.ndarray, to: str, expected: str, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.numpy import save_file

    said = {}
    for name, call in {
        "cast": lambda: tc.cast(values, to),
        "cast of a tensor": lambda: tc.cast(torch.from_numpy(values), to),
        "as_tensor": lambda: tc.as_tensor(values, to),
        "a list": lambda: tc.as_tensor(values.tolist(), to),
    }.items():
        with pytest.raises(tc.errors.CastOverflowError) as refused:
            call()
        said[name] = re.findall(r'(?:cast to |dtype=")(\w+)', str(refused.value))[-1]
    save_file({"w": values}, tmp_path / "a.safetensors")
    source = open_checkpoint(tmp_path / "a.safetensors")
    with pytest.raises(tc.errors.CastOverflowError) as refused:
        run(prepare(source, tmp_path / "b.safetensors", "float32", rules=[parse_rule(f"w={to}")]))
    said["convert"] = re.findall(r"\(w=(\w+)\)", str(refused.value))[0]
    x = torch.from_numpy(values)
    with tc.trace() as trace:
        x.to(getattr(torch, to))
    if values.dtype.kind == "f":  # a trace looks at floats
        (finding,) = (each for each in trace.findings if each.rule == "overflow")
        said["trace"] = re.findall(r"cast to (\w+)", finding.instead)[0]
    assert said == dict.fromkeys(said, expected)
