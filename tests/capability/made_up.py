"""Capabilities of made-up numbers."""

from __future__ import annotations

from tensorcast.capability.data import (
    CastMeasurement,
    Machine,
    Measurement,
    Misfit,
    Missing,
    Spread,
)
from tensorcast.capability.result import Capability


def spread(median: float, noise: float = 0.02) -> Spread:
    return Spread(9, median * (1 - noise), median, median * (1 - noise), median * (1 + noise))


def measured(
    format: str,
    seconds: float,
    *,
    case: str = "M=64",
    way: str = "",
    operation: str = "matmul",
    noise: float = 0.02,
    error: float = 1e-3,
) -> Measurement:
    sizes = {"m": int(case.partition("=")[2] or 1), "k": 8}
    return Measurement(
        operation, case, sizes, format, way, spread(seconds, noise), 4096, 1024, error
    )


def cast(library: str, seconds: float, **more: object) -> CastMeasurement:
    into = "given" if library == "copy" else "new"
    target = "float32" if library == "copy" else "float16"
    return CastMeasurement(
        "float32", target, library, into, 1024, 6144, spread(seconds), **more  # type: ignore[arg-type]
    )  # fmt: skip


def capability(*measurements: Measurement, **changes: object) -> Capability:
    made: dict[str, object] = {
        "machine": Machine("cpu", "a CPU", ("avx2", "f16c"), 4, 8 << 30, "", "Linux 6"),
        "versions": {"tensorcast": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
        "n_threads": 2,
        "date": "2026-01-31T12:00:00+00:00",
        "seconds": 12.5,
        "n_cpus_others": 0.05,
        "measurements": measurements,
        "casts": (cast("tensorcast", 1.0), cast("torch", 2.0), cast("copy", 0.9)),
        "misfits": (Misfit("float32", "int8", "torch", "254", "-2"),),
        "missing": (
            Missing("conv2d", "batch 1", "float8_e4m3fn", "", "NotImplementedError: none"),
            Missing("everything", "", "cuda", "", "no CUDA device"),
        ),
    }
    return Capability(**{**made, **changes})  # type: ignore[arg-type]
