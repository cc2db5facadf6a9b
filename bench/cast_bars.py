"""The other rows of the table of bars: one function each."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np
import torch

import tensorcast as tc
from tensorcast.buffer import numpy_buffer
from tensorcast.formats import FORMATS
from tensorcast.kernels import cpu
from tensorcast.policy import Policy

from .careful import cast_and_measure
from .cast_run import UNCHECKED, Call, Pair, Run, row_of, say
from .kernels import HOT, MIB, OF_ROOF_LOSS, bar_of
from .roof import LOOPS, loops
from .samples import N_SAMPLE
from .timing import ratios, spread

Rows = list[dict[str, Any]]


def _print(row: dict[str, Any]) -> dict[str, Any]:
    numbers = "  ".join(f"{name} {value['median']:.2f}" for name, value in row["ratio"].items())
    say(f"{row['what']}: {numbers}")
    return row


def _bar_row(
    seconds: dict[str, list[float]], what: str, against: str, bar: float | None, **more: Any
) -> dict[str, Any]:
    return _print(row_of(seconds, what=what, against=against, bar=bar, **more))


def small(run: Run) -> Rows:
    """Four elements: what a call costs."""
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])
    array = x.numpy()
    out, array_out = torch.empty(4, dtype=torch.float16), np.empty(4, np.float16)
    half = torch.float16
    assert tc.cast(x, half).tolist() == tc.cast(x, "float16", out=out).tolist() == [1, 2, 3, 4]
    work = {
        "cast": lambda: tc.cast(x, half),
        "cast to a name": lambda: tc.cast(x, "float16"),
        "cast, saturate": lambda: tc.cast(x, half, overflow="saturate"),
        "cast out=": lambda: tc.cast(x, half, out=out),
        "torch .to": lambda: x.to(half),
        "torch copy_": lambda: out.copy_(x),
        "cast, NumPy": lambda: tc.cast(array, "float16"),
        "cast out=, NumPy": lambda: tc.cast(array, "float16", out=array_out),
        "numpy astype": lambda: array.astype(np.float16),
    }
    found = run.race(work, run.rounds(15), loop=True)
    rows = []
    for ours, theirs, bar in (
        ("cast", "torch .to", 1.0),
        ("cast to a name", "torch .to", 1.0),
        ("cast, saturate", "torch .to", 1.0),
        ("cast out=", "torch .to", 4.0),
        ("cast out=", "torch copy_", None),
        ("cast, NumPy", "numpy astype", None),
        ("cast out=, NumPy", "numpy astype", None),
    ):
        seconds = {"tensorcast": found[ours], theirs: found[theirs]}
        what = f"4 elements, float32 -> float16: {ours}"
        rows.append(_bar_row(seconds, what, theirs, bar))
    return rows


def lists(run: Run) -> Rows:
    """Lists of numbers, by bench/lists.py."""
    return _elsewhere("lists", run)


def images(run: Run) -> Rows:
    """Images, by bench/images.py."""
    return _elsewhere("images", run)


def _elsewhere(name: str, run: Run) -> Rows:
    try:
        module = importlib.import_module(f"bench.{name}")
    except ModuleNotFoundError:
        return [{"what": f"bench/{name}.py is not here", "against": "", "bar": None, "ratio": {}}]
    rows: Rows = module.measure(run.rounds(7), run.quick)
    for row in rows:  # theirs give the ratio to the one contender
        row["ratio"] = {row["against"]: row["ratio"]}
        _print(row)
    return rows


def fresh(run: Run) -> Rows:
    """New outputs: what `.to()` does, page faults included."""
    n = run.large
    rows = []
    for source, target, bar in (
        ("float32", "float16", 2.5),
        ("float32", "bfloat16", None),
        ("float16", "float32", None),
        ("int64", "int32", None),
    ):
        dtype = getattr(torch, target)
        x = torch.randn(n) * 100 if source[0] == "f" else torch.arange(n)
        x = x.to(getattr(torch, source))
        assert torch.equal(tc.cast(x, target), x.to(dtype))
        work = {
            "tensorcast": lambda x=x, dtype=dtype: tc.cast(x, dtype),
            "unchecked": lambda x=x, dtype=dtype: tc.cast(x, dtype, **UNCHECKED),
            "torch .to": lambda x=x, dtype=dtype: x.to(dtype),
        }
        found = run.race(work, run.rounds(7))
        rows.append(_bar_row(found, f"fresh, {source} -> {target}", "torch .to", bar, n_elements=n))
    return rows


def _beside_roof(
    run: Run, pair: Pair, work: dict[str, Call], n_rounds: int, what: str, bar: float, **more: Any
) -> dict[str, Any]:
    """A row held to the shape roof of the same rounds; to no bar with several threads, since the
    roof's loops run on one."""
    alone = run.n_threads == 1
    if alone:
        work = {**work, **loops(pair.array.view(np.uint8), pair.array_out.view(np.uint8))}
    found = run.race(work, n_rounds, loop=more.pop("loop", False))
    if alone:
        each = [found.pop(name) for name in LOOPS]
        found["shape roof"] = [min(values) for values in zip(*each, strict=False)]
    against = "shape roof" if alone else "memcpy"
    return _bar_row(found, what, against, bar if alone else None, **more)


def hot(run: Run) -> Rows:
    """Hot pairs against the shape roof (with one thread) and memcpy of as many bytes, stored around
    the caches and through them."""
    rows = []
    for plain in (False, True):
        for source, target, rounding in HOT:
            if plain:  # outputs from 16 MB on are stored around the caches
                n = 15 * MIB * 8 // FORMATS[target].bits // N_SAMPLE * N_SAMPLE
                n = max(N_SAMPLE, n // (16 if run.quick else 1) // N_SAMPLE * N_SAMPLE)
            else:
                n = run.large
            pair = run.pair(source, target, n, rounding)
            work = {"tensorcast": pair.cast, "memcpy": run.copy(pair.n_bytes)}
            rows.append(
                _beside_roof(
                    run,
                    pair,
                    work,
                    run.rounds(9),
                    f"{source} -> {target}",
                    bar_of(target),
                    loop=plain,
                    n_elements=n,
                    stores="plain" if plain else "non-temporal",
                )
            )
    return rows


def checked(run: Run) -> Rows:
    """overflow="raise" against unchecked: new outputs; kernels into preallocated memory; and
    `out=`, which measures first so that a refusal writes nothing."""
    return [
        row for source, target, rounding in HOT for row in _checked(run, source, target, rounding)
    ]


def _checked(run: Run, source: str, target: str, rounding: Any) -> Rows:
    n = run.large
    pair = run.pair(source, target, n, rounding)
    given, made = numpy_buffer(pair.array), numpy_buffer(pair.array_out, writable=True)
    options, careful = pair.options, {"rounding": rounding}

    def kernel(policy: Policy) -> Call:
        row, resolved = FORMATS[target], policy.resolve(source, target)
        return lambda: cpu.cast_buffer(given, made, row, resolved, n_threads=run.n_threads)

    work = {
        "kernel": kernel(pair.policy),
        "kernel, raise": kernel(Policy(rounding=rounding)),
        "new": lambda: tc.cast(pair.x, target, **options),
        "new, raise": lambda: tc.cast(pair.x, target, **careful),
        "out=": lambda: tc.cast(pair.x, target, out=pair.out, **options),
        "out=, raise": lambda: tc.cast(pair.x, target, out=pair.out, **careful),
    }
    found = run.race(work, run.rounds(5))
    rows = []
    for kind, bar in (("kernel", 0.9), ("new", 0.9), ("out=", None)):
        seconds = {"tensorcast": found[f"{kind}, raise"], "unchecked": found[kind]}
        what = f"raise, {kind}: {source} -> {target}"
        rows.append(_bar_row(seconds, what, "unchecked", bar, n_elements=n))
    return rows


def loss(run: Run) -> Rows:
    """With the whole Loss, against the shape roof and the same cast without."""
    return [_loss(run, source, target, rounding) for source, target, rounding in HOT]


def _loss(run: Run, source: str, target: str, rounding: Any) -> dict[str, Any]:
    pair = run.pair(source, target, run.large, rounding)
    work = {
        "tensorcast": lambda: tc.cast(pair.x, target, out=pair.out, report=True, **pair.options),
        "without Loss": pair.cast,
        "measure": lambda: tc.measure(pair.x, target, **pair.options),
    }
    what = f"whole Loss: {source} -> {target}"
    row = _beside_roof(run, pair, work, run.rounds(5), what, OF_ROOF_LOSS, n_elements=pair.n)
    work["tensorcast"]()
    pair.verify()
    return row


def careful(run: Run) -> Rows:
    """The whole Loss against the same statistics by torch operations."""
    return [_careful(run, target) for target in ("float16", "bfloat16", "float8_e4m3fn")]


def _careful(run: Run, target: str) -> dict[str, Any]:
    n = run.large // 4  # torch's float64 copies of 64M elements would take gigabytes
    dtype = getattr(torch, target)
    x = torch.randn(n, generator=torch.Generator().manual_seed(0)) * 100
    x[7 :: n // 3] = float("inf")
    out = torch.empty(n, dtype=dtype)
    _, ours = tc.cast(x, dtype, out=out, report=True, **UNCHECKED)
    theirs, statistics = cast_and_measure(x, dtype)
    assert torch.equal(theirs.view(torch.uint8), out.view(torch.uint8)), target
    for name, value in statistics.items():
        same = getattr(ours, name) == value
        if "squared" in name:
            same = (
                abs(getattr(ours, name) / value - 1) < 2**-18
            )  # squares are summed in float32 first
        assert same, (target, name, getattr(ours, name), value)
    work = {
        "tensorcast": lambda: tc.cast(x, dtype, out=out, report=True, **UNCHECKED),
        "torch operations": lambda: cast_and_measure(x, dtype),
    }
    found = run.race(work, run.rounds(3), slow=10)
    what = f"whole Loss: float32 -> {target}"
    return _bar_row(found, what, "torch operations", 40, n_elements=n)


def threads(run: Run) -> Rows:
    """Speed by the number of threads and the size."""
    most = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    counts = sorted({1, most, *(2**i for i in range(10) if 2**i < most)})
    return [
        _threads(run, source, target, 1 << shift, counts)
        for source, target in (
            ("float32", "float16"),
            ("float8_e4m3fn", "bfloat16"),
            ("float32", "float8_e4m3fn"),
        )
        for shift in range(14, 23 if run.quick else 27, 2)
    ]


def _threads(run: Run, source: str, target: str, n: int, counts: list[int]) -> dict[str, Any]:
    pair = run.pair(source, target, n)
    given, made = numpy_buffer(pair.array), numpy_buffer(pair.array_out, writable=True)
    resolved = pair.policy.resolve(source, target)

    def call(count: int) -> Call:
        return lambda: cpu.cast_buffer(given, made, pair.target, resolved, n_threads=count)

    work = {str(count): call(count) for count in counts}
    found = run.race(work, run.rounds(7), loop=True, wall=True)
    row = {
        "source": source,
        "target": target,
        "n_elements": n,
        "n_bytes": pair.n_bytes,
        "seconds": {name: spread(values, 9) for name, values in found.items()},
        "speedup": {name: spread(ratios(found["1"], values)) for name, values in found.items()},
    }
    numbers = "  ".join(f"{name} {value['median']:.2f}" for name, value in row["speedup"].items())
    say(f"threads, {source} -> {target}, {n}: {numbers}")
    return row
