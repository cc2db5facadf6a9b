"""The Triton kernel: tested on the device, or else in Triton's interpreter and by compiling it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tensorcast.formats import FORMATS
from tensorcast.kernels import triton_ops

torch = pytest.importorskip("torch", reason="torch is not installed")
triton = pytest.importorskip("triton", reason="triton is not installed")

CASES = Path(__file__).with_name("triton_cases.py")


def run_cases(exhaustive: bool, **environment: str) -> None:
    options = ["-q", "--no-header", "-p", "no:cacheprovider", *["--exhaustive"] * exhaustive]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "pytest", *options, str(CASES)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert re.search(r"\d+ passed", done.stdout), done.stdout


@pytest.mark.timeout(0)  # hours in the full run
def test_in_the_interpreter(exhaustive: bool) -> None:
    run_cases(exhaustive, TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="")


@pytest.mark.timeout(0)
def test_on_the_device(exhaustive: bool) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA")
    run_cases(exhaustive)


@pytest.mark.parametrize(
    ("source", "target", "overflow", "rounding", "flags"),
    [
        ("float32", "float16", "saturate", "nearest-even", {}),
        ("float8_e4m3fn", "bfloat16", "saturate", "nearest-even", {}),
        ("float16", "float8_e5m2", "raise", "nearest-even", {"COUNT": True, "REPORT": True}),
        ("int64", "float32", "raise", "down", {"COUNT": True, "REPORT": True}),
        ("float64", "uint64", "wrap", "stochastic", {"COUNT": True, "REPORT": True}),
        ("float32", "float8_e8m0fnu", "ieee", "up", {"COUNT": True}),
        ("float32", "float8_e5m2", "raise", "nearest-even", {"ENDS": True, "COUNT": True}),
        ("float16", "float16", "ieee", "down", {"ENDS": True, "SAME": True, "REPORT": True}),
        ("float64", "bfloat16", "ieee", "up", {"ENDS": True, "COUNT": True, "REPORT": True}),
        ("bool", "float32", "raise", "nearest-even", {"COUNT": True, "STEP": 2}),
    ],
)
def test_compiles_without_a_device(
    source: str, target: str, overflow: str, rounding: str, flags: dict[str, object]
) -> None:
    """The interpreter lets types pass that the compiler does not."""
    if os.environ.get("TRITON_INTERPRET") == "1":
        pytest.skip("TRITON_INTERPRET is set: nothing is compiled")
    if "nvidia" not in triton.backends.backends:
        pytest.skip("this Triton does not compile for NVIDIA devices")
    binary = compile_kernel(source, target, overflow, rounding, flags)
    assert ".visible .entry cast_kernel" in binary.asm["ptx"]


def compile_kernel(
    source: str, target: str, overflow: str, rounding: str, flags: dict[str, object]
) -> object:
    """The kernel compiled for compute capability 9.0, through PTX to machine code."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from tensorcast.kernels.triton_kernels import cast_kernel

    rows = FORMATS[source], FORMATS[target]
    constants = triton_ops.constants_of(*rows, overflow, rounding)
    off = {"SAME": False, "STEP": 1, "WRITE": True, "COUNT": False, "REPORT": False, "BLOCK": 1024}
    constants = {**constants, **off, **flags}
    types = {8: "*u8", 16: "*i16", 32: "*i32", 64: "*i64"}
    signature = dict.fromkeys(cast_kernel.arg_names, "constexpr")
    signature |= {"x_pointer": types[rows[0].bits], "out_pointer": types[rows[1].bits]}
    signature |= {"integers_pointer": "*i64", "floats_pointer": "*fp64"}
    signature |= dict.fromkeys(("n", "first_key", "second_key"), "i64")
    named = {(cast_kernel.arg_names.index(name),): value for name, value in constants.items()}
    aligned = {(i,): [["tt.divisibility", 16]] for i in range(4)}
    kernel = ASTSource(cast_kernel, signature, named, aligned)
    return triton.compile(kernel, target=GPUTarget("cuda", 90, 32))
