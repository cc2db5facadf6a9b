"""The shape roof: the best loop that reads and writes as many bytes per element, without a cast.

memcpy is no measure of a cast: it reads as much as it writes, and on one machine it streams its
stores, on another it does not. roof.cpp has loops that read four bytes and write two, or one and
four: with plain stores, with streaming stores, and with streaming stores and reads fetched ahead.
The roof is the quickest of them in the same round.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from math import gcd
from typing import Any

import numpy as np

from .machine import ROOT
from .timing import ratios, spread

Call = Callable[[], Any]

LINE = 64
# name: (streaming stores, bytes fetched ahead)
LOOPS: dict[str, tuple[int, int]] = {
    "roof, plain": (0, 0),
    "roof, streaming": (1, 0),
    "roof, streaming, 2 KiB ahead": (1, 2048),
    "roof, streaming, 4 KiB ahead": (1, 4096),
}


@cache
def _library() -> Any:
    """roof.cpp, compiled here."""
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise SystemExit("bench/roof.cpp needs a C++ compiler: install g++")
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/roof.so"
        source = str(ROOT / "bench" / "roof.cpp")
        command = [compiler, "-std=c++17", "-O3", "-march=native", "-shared", "-fPIC"]
        subprocess.run([*command, source, "-o", library], check=True)
        roof = ctypes.CDLL(library).roof
    size = ctypes.c_size_t
    roof.argtypes = [ctypes.c_void_p, ctypes.c_void_p, size, size, size, ctypes.c_int, size]
    roof.restype = None
    return roof


def loops(given: np.ndarray, made: np.ndarray) -> dict[str, Call]:
    """The loops between two blocks of memory, by name, each verified.

    Args:
        given: uint8 [n], read from its begin.
        made: uint8 [m], aligned to 64 bytes; it is written to.

    The last lines that make no whole block are left out: less than 0.1% of large memory.
    """
    n_read, n_written = len(given), len(made)
    divisor = gcd(n_read, n_written)
    per_in, per_out = n_read // divisor, n_written // divisor
    n_blocks = min(n_read // (per_in * LINE), n_written // (per_out * LINE))
    assert n_blocks
    assert made.ctypes.data % LINE == 0
    roof = _library()
    at = made.ctypes.data, given.ctypes.data, n_blocks, per_in, per_out
    for streams, ahead in LOOPS.values():
        _verify(per_in, per_out, streams, ahead)
    return {
        name: lambda streams=streams, ahead=ahead: roof(*at, streams, ahead)
        for name, (streams, ahead) in LOOPS.items()
    }


@cache
def _verify(per_in: int, per_out: int, streams: int, ahead: int) -> None:
    """The loop reads every line it should and writes every line it should, and no other."""
    rng = np.random.default_rng(0)
    n_blocks = 3
    source = rng.integers(0, 256, (n_blocks, per_in, LINE), np.uint8)
    memory = np.zeros(n_blocks * per_out * LINE + 3 * LINE, np.uint8)
    begin = -memory.ctypes.data % LINE + LINE
    at = memory.ctypes.data + begin
    _library()(at, source.ctypes.data, n_blocks, per_in, per_out, streams, ahead)
    rows = [j * per_in // per_out for j in range(per_out)]
    wanted = source[:, rows].reshape(-1)
    end = begin + len(wanted)
    assert np.array_equal(memory[begin:end], wanted), (per_in, per_out, streams)
    assert not memory[:begin].any()
    assert not memory[end:].any()


def of_roof(seconds: Mapping[str, list[float]], name: str) -> dict[str, float]:
    """The speed of one contender in that of the roof of its round: median, least, most."""
    best = [min(values) for values in zip(*(seconds[loop] for loop in LOOPS), strict=True)]
    return spread(ratios(best[: len(seconds[name])], seconds[name]))
