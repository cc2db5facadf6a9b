"""Kernels against the shape roof: one thread, touched memory that is far larger than the caches.

    python -m bench.kernels            the hot pairs, then every pair of formats
    python -m bench.kernels --hot      the hot pairs only
    python -m bench.kernels --pair float32 float16

The measure is bytes read plus bytes written per second, as a ratio to the roof of the same round:
the best loop that reads and writes the same bytes per element and does nothing else
(bench/roof.py). memcpy of as many bytes stands beside it. Every output is compared, whole, with
the oracle's first.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from tensorcast.buffer import Buffer
from tensorcast.errors import TensorcastError
from tensorcast.formats import FORMATS, Format
from tensorcast.kernels import cpu
from tensorcast.policy import Policy

from .machine import RESULTS, ROOT, load, provenance
from .roof import loops, of_roof
from .samples import N_SAMPLE, as_bytes, expected, sample
from .tables import save
from .timing import interleave, ratios, spread

MIB = 1 << 20
HOT_ELEMENTS = 64 * MIB


@dataclass(frozen=True)
class Case:
    """One kernel under one policy.

    Attributes:
        bar: the least part of the roof that is asked for, or None.
        packed: sub-byte formats packed, else a byte per code.
    """

    source: str
    target: str
    overflow: str = "raise"
    rounding: str | None = None
    full: bool = False
    packed: bool = True
    bar: float | None = None

    @property
    def formats(self) -> tuple[Format, Format]:
        return FORMATS[self.source], FORMATS[self.target]


HOT: tuple[tuple[str, str, str | None], ...] = (
    ("float32", "float16", None),
    ("float32", "bfloat16", None),
    ("float16", "float32", None),
    ("bfloat16", "float32", None),
    ("bfloat16", "float16", None),
    ("float16", "bfloat16", None),
    ("float8_e4m3fn", "bfloat16", None),
    ("float8_e4m3fn", "float16", None),
    ("float8_e4m3fn", "float32", None),
    ("float32", "float8_e4m3fn", None),
    ("float16", "float8_e4m3fn", None),
    ("bfloat16", "float8_e4m3fn", None),
    ("float32", "int8", "nearest-even"),
    ("int32", "int64", None),
    ("int64", "int32", None),
)
OF_ROOF, OF_ROOF_ENCODING, OF_ROOF_LOSS = 0.9, 0.75, 0.7


def bar_of(target: str, *, full: bool = False) -> float:
    """The least part of the roof that a hot cast shall reach."""
    if full:
        return OF_ROOF_LOSS
    row = FORMATS[target]
    return OF_ROOF_ENCODING if row.is_float and row.bits <= 8 else OF_ROOF


def hot_cases() -> Iterator[Case]:
    """Every hot pair under each policy that callers use, without and with the whole Loss."""
    for source, target, rounding in HOT:
        for overflow in ("raise", "saturate", "ieee"):
            if overflow == "ieee" and FORMATS[target].is_integer:
                overflow = "wrap"
            yield Case(source, target, overflow, rounding, bar=bar_of(target))
        yield Case(source, target, "raise", rounding, full=True, bar=bar_of(target, full=True))


def all_cases(*, full: bool) -> Iterator[Case]:
    """Every pair of formats under the default policy; sub-byte formats packed, then unpacked."""
    for source in FORMATS.values():
        for target in FORMATS.values():
            try:
                Policy().resolve(source, target)
            except TensorcastError:
                continue  # complex to real is refused
            limit = min(source.max_exact, target.component.max_exact)
            if "float8_e8m0fnu" in (source.name, target.name) and limit < 1:
                continue  # no value of int1 is a power of two
            yield Case(source.name, target.name, full=full)
            if min(source.bits, target.bits) < 8:
                yield Case(source.name, target.name, full=full, packed=False)


def _n_bytes(row: Format, n: int, packed: bool) -> int:
    return row.n_bytes(n) if packed else n * row.container_bits // 8


def n_elements(case: Case, out_bytes: int, moved_bytes: int) -> int:
    """Whole samples that make at least so much output, and so much input and output together."""
    source, target = case.formats
    n = N_SAMPLE
    per_out = _n_bytes(target, n, case.packed)
    per_all = per_out + _n_bytes(source, n, case.packed)
    return n * max(-(-out_bytes // per_out), -(-moved_bytes // per_all))


class Arena:
    """Touched memory to read from and to write to, kept from case to case; on huge pages, as
    NumPy's large arrays are, or on small ones, as torch's are.
    """

    def __init__(self, pages: str) -> None:
        self._pages = pages
        self._blocks: dict[str, np.ndarray] = {}
        self._filled: tuple[object, ...] = ()

    def block(self, name: str, n_bytes: int) -> np.ndarray:
        """uint8 [n_bytes]; every page has been written to."""
        held = self._blocks.get(name)
        if held is None or len(held) < n_bytes:
            self._blocks.pop(name, None)
            # private: shared anonymous memory, mmap's default, gets no huge pages
            size = -(-n_bytes // (2 * MIB)) * 2 * MIB
            memory = mmap.mmap(-1, size + 2 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            if hasattr(mmap, "MADV_HUGEPAGE"):
                huge = self._pages == "huge"
                memory.madvise(mmap.MADV_HUGEPAGE if huge else mmap.MADV_NOHUGEPAGE)
            whole = np.frombuffer(memory, np.uint8)
            begin = -whole.ctypes.data % (2 * MIB)
            held = self._blocks[name] = whole[begin : begin + size]
            held[:] = 1
        return held[:n_bytes]

    def fill(self, tile: np.ndarray, n_bytes: int) -> np.ndarray:
        """The block to read from, holding the tile again and again."""
        source = self.block("source", n_bytes)
        key = (tile.tobytes(), n_bytes)
        if self._filled != key:
            source.reshape(-1, len(tile))[:] = tile
            self._filled = key
        return source


def libc_memcpy() -> Callable[[int, int, int], Any]:
    """memcpy(to, from, n_bytes) of the C library."""
    memcpy = ctypes.CDLL(None).memcpy
    memcpy.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    memcpy.restype = ctypes.c_void_p
    return memcpy  # type: ignore[no-any-return]


def torch_cast(case: Case, source: np.ndarray, target: np.ndarray) -> Callable[[], Any] | None:
    """torch's cast of the same memory into the same memory by one thread, or None."""
    try:
        import torch
    except ImportError:
        return None
    spelled = [row.spellings.get("torch", "") for row in case.formats]
    if min(row.bits for row in case.formats) < 8 or not all(spelled):
        return None
    torch.set_num_threads(1)
    given, made = (
        torch.from_numpy(array).view(getattr(torch, name))
        for array, name in zip((source, target), spelled, strict=True)
    )
    return lambda: made.copy_(given)


class Bench:
    """The memory and the contenders of one run."""

    def __init__(
        self,
        n_rounds: int,
        kernels: tuple[str, ...],
        *,
        with_torch: bool,
        cpu_time: bool,
        pages: str,
    ) -> None:
        self.n_rounds = n_rounds
        self.clock = time.thread_time if cpu_time else time.perf_counter
        self.kernels = kernels
        self.with_torch = with_torch
        self.memcpy = libc_memcpy()
        self._arena = Arena(pages)

    def run(self, case: Case, n: int) -> dict[str, Any]:
        """Verify and time one case; the row of the results.

        Raises:
            AssertionError: an output is not the oracle's.
        """
        source, target = case.formats
        policy = Policy(overflow=case.overflow, rounding=case.rounding, nan="zero")  # type: ignore[arg-type]
        resolved = policy.resolve(source, target)
        codes = sample(source, target)
        results = expected(codes, source, target, resolved)
        tile, wanted = (
            as_bytes(array, row) if case.packed else array.reshape(-1).view(np.uint8)
            for array, row in ((codes, source), (results, target))
        )
        n_source, n_target = (_n_bytes(row, n, case.packed) for row in case.formats)
        given = self._arena.fill(tile, n_source)
        made = self._arena.block("target", n_target)
        buffers = [
            Buffer(
                array.ctypes.data,
                (n,),
                (row.container_bits // 8,),
                row,
                packed=case.packed and row.bits < 8,
            )
            for array, row in ((given, source), (made, target))
        ]

        def call(kernel: str) -> Callable[[], Any]:
            return lambda: cpu.cast_buffer(
                buffers[0], buffers[1], target, resolved, case.full, kernel, n_threads=1
            )

        work: dict[str, Callable[[], Any]] = {}
        for kernel in self.kernels:
            made[:] = 0xAA
            call(kernel)()
            same = (made.reshape(-1, len(wanted)) == wanted).all()
            assert same, f"{case} by {kernel}: the output is not the oracle's"
            work[kernel] = call(kernel)
        half = (n_source + n_target) // 2
        copy_from = self._arena.block("copy from", half)
        copy_to = self._arena.block("copy to", half)
        at = copy_to.ctypes.data, copy_from.ctypes.data, half
        work["memcpy"] = lambda: self.memcpy(*at)
        work |= loops(given, made)
        if self.with_torch and not case.full and case.overflow == "raise":
            of_torch = torch_cast(case, given, made)
            if of_torch is not None:
                work["torch"] = of_torch
        seconds = interleave(work, self.n_rounds, self.clock)
        moved = n_source + n_target
        theirs = [name for name in seconds if name != "memcpy" and not name.startswith("roof")]
        return {
            "source": case.source,
            "target": case.target,
            "overflow": case.overflow,
            "rounding": resolved.rounding,
            "full": case.full,
            "packed": case.packed,
            "bar": case.bar,
            "n_elements": n,
            "bytes_moved": moved,
            "gb_per_s": {
                name: round(moved / median(values) / 1e9, 2) for name, values in seconds.items()
            },
            "ns_per_element": {
                name: round(median(values) / n * 1e9, 4) for name, values in seconds.items()
            },
            "of_roof": {name: of_roof(seconds, name) for name in theirs},
            "of_memcpy": {
                name: spread(ratios(seconds["memcpy"], seconds[name])) for name in theirs
            },
        }


def measure(bench: Bench, cases: Iterable[tuple[Case, int]]) -> list[dict[str, Any]]:
    """The rows of the cases, each printed as it comes."""
    rows = []
    for case, n in cases:
        rows.append(bench.run(case, n))
        print(_line(rows[-1]), file=sys.stderr, flush=True)
    return rows


def _line(row: dict[str, Any]) -> str:
    best = next(iter(row["of_roof"]))
    numbers = "  ".join(f"{name} {value['median']:.2f}" for name, value in row["of_roof"].items())
    what = f"{row['source']} -> {row['target']}"
    flags = f"{row['overflow']}{' full' if row['full'] else ''}{'' if row['packed'] else ' bytes'}"
    return f"{what:36} {flags:14} {row['ns_per_element'][best]:7.3f} ns  {numbers}"


def check_build() -> None:
    """Raise SystemExit if the extension is older than a source of it."""
    built = Path(str(cpu._core.__file__)).stat().st_mtime
    sources = [*(ROOT / "cpp").glob("*.?pp"), *(ROOT / "cpp" / "isa").glob("*.?pp")]
    newer = [path.name for path in sources if path.stat().st_mtime > built]
    if newer:
        raise SystemExit(f"tensorcast is older than {', '.join(newer)}: run `make build`")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.kernels", description=__doc__)
    parser.add_argument("--hot", action="store_true", help="the hot pairs only")
    parser.add_argument("--all", action="store_true", help="every pair only")
    parser.add_argument("--loss", action="store_true", help="every pair with the whole Loss")
    parser.add_argument("--pair", nargs=2, action="append", metavar="FORMAT", help="one pair")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="half the size, 3 rounds")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="time of the thread, not of the clock on the wall: for a machine that is not quiet",
    )
    parser.add_argument("--kernels", nargs="*", help="kernel sets; default: all that run here")
    parser.add_argument(
        "--no-torch", action="store_true", help="without torch beside the hot pairs"
    )
    parser.add_argument(
        "--pages",
        choices=("huge", "4k"),
        default="huge",
        help="of the memory: as NumPy asks for it, or as torch does",
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "kernels.json")
    args = parser.parse_args(argv)

    check_build()
    scale = 2 if args.quick else 1
    kernels = tuple(args.kernels or cpu.available())
    result = {
        "tensorcast_bench": 1,
        "what": "kernels",
        **provenance("tensorcast", "numpy", "torch"),
    }
    result["kernels"] = {"available": cpu.available(), "built": cpu.built(), "timed": kernels}
    n_rounds = 3 if args.quick else args.rounds
    bench = Bench(
        n_rounds, kernels, with_torch=not args.no_torch, cpu_time=args.cpu_time, pages=args.pages
    )
    result["pages"] = args.pages
    result["rounds"] = n_rounds
    result["clock"] = "cpu time" if args.cpu_time else "wall"
    begin = time.perf_counter()
    if args.pair:
        cases: Iterable[Case] = (
            Case(source, target, full=full) for source, target in args.pair for full in (0, 1)
        )
        result["pairs"] = measure(bench, ((case, HOT_ELEMENTS // scale) for case in cases))
    if args.hot or not (args.all or args.pair):
        result["hot"] = measure(bench, ((case, HOT_ELEMENTS // scale) for case in hot_cases()))
    if args.all or not (args.hot or args.pair):
        bench.kernels, bench.with_torch = kernels[:1], False
        sizes = 32 * MIB // scale, 64 * MIB // scale
        cases = all_cases(full=args.loss)
        result["all"] = measure(bench, ((case, n_elements(case, *sizes)) for case in cases))
    result["seconds"] = round(time.perf_counter() - begin, 1)
    result["load_after"] = load()
    print(save(result, args.out))


if __name__ == "__main__":
    main()
