"""Casts on an NVIDIA GPU against the device's own copy, torch and torch.compile.

Skipped, and said so, where there is none.
"""

from __future__ import annotations

from typing import Any

import torch

import tensorcast as tc
from tensorcast.formats import FORMATS

from .cast_run import FORMAT_NAMES, UNCHECKED, Run, say
from .timing import ratios, spread

Rows = list[dict[str, Any]]

BAR = 0.85  # of the device's copy


def measure(run: Run) -> Rows:
    """Every pair, and float32 -> float16 with the whole Loss; a row that says so without a GPU."""
    if not torch.cuda.is_available():
        say("cuda: skipped, no NVIDIA GPU here")
        return [{"skipped": "no NVIDIA GPU on this machine: the Triton kernels were not timed"}]
    rows = []
    n = run.large
    for source in FORMAT_NAMES:
        x = _values(source, n)
        for target in FORMAT_NAMES:
            if target != source:
                rows.append(_pair(run, x, source, target))
    return rows


def _values(source: str, n: int) -> torch.Tensor:
    x = torch.randn(n, device="cuda")
    dtype = getattr(torch, source)
    return (x > 0 if source == "bool" else x.abs().clamp(max=100)).to(dtype)


def _seconds(work: dict[str, Any], n_rounds: int) -> dict[str, list[float]]:
    """By the device's own clock."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for number in range(n_rounds + 2):
        for name, call in work.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            call()
            end.record()
            end.synchronize()
            if number > 1:
                seconds[name].append(begin.elapsed_time(end) / 1e3)
    return seconds


def _pair(run: Run, x: torch.Tensor, source: str, target: str) -> dict[str, Any]:
    dtype = getattr(torch, target)
    out = torch.empty(x.shape, dtype=dtype, device=x.device)
    n_bytes = x.numel() * (FORMATS[source].bits + FORMATS[target].bits) // 8
    blocks = [torch.empty(n_bytes // 2, dtype=torch.uint8, device=x.device) for _ in range(2)]
    on_cpu = tc.cast(x[: 1 << 20].cpu(), dtype, **UNCHECKED)
    tc.cast(x, dtype, out=out, **UNCHECKED)
    same = torch.equal(out[: 1 << 20].cpu().view(torch.uint8), on_cpu.view(torch.uint8))
    assert same, f"{source} -> {target}: the GPU's result is not the CPU's"
    compiled = torch.compile(lambda t: t.to(dtype))
    work = {
        "tensorcast": lambda: tc.cast(x, dtype, out=out, **UNCHECKED),
        "with Loss": lambda: tc.cast(x, dtype, out=out, report=True, **UNCHECKED),
        "device copy": lambda: blocks[0].copy_(blocks[1]),
        "torch": lambda: out.copy_(x),
        "torch.compile": lambda: compiled(x),
    }
    found = _seconds(work, run.rounds(5))
    row = {
        "source": source,
        "target": target,
        "n_elements": x.numel(),
        "bar": BAR,
        "seconds": {name: spread(values, 9) for name, values in found.items()},
        "of_copy": {
            name: spread(ratios(found["device copy"], found[name]))
            for name in ("tensorcast", "with Loss")
        },
        "ratio": {
            name: spread(ratios(found[name], found["tensorcast"]))
            for name in ("torch", "torch.compile")
        },
    }
    say(f"cuda {source} -> {target}: {row['of_copy']['tensorcast']['median']:.2f} of the copy")
    return row
