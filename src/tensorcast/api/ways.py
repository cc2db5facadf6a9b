"""The ways to one cast, side by side: what each takes in time and memory, and whether they agree.

>>> import numpy as np
>>> compared = compare(np.ones(1000, np.float32), "float16", seconds=0.05)
>>> compared.way("tensorcast.cast").same_bits
True
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final, Unpack

from ..bridges import kind_of
from ..bridges.room import free_memory
from ..core.comparison import Comparison, Way
from ..core.load import Load
from ..errors import CastError, TensorcastError
from ..formats import Format, lookup_target
from ..inplace import cast_
from ..policy import PolicyOptions, policy_of, shows_policy
from ..words.units import count
from .arrays import as_tensor
from .casts import cast
from .libraries import to_numpy

_SHORTEST: Final = 100e-6  # a sample this long is more than the clock's own ticks
_MOST_ROUNDS: Final = 50
_MEASURED_FROM: Final = 64 << 20
"""Bytes from which the system's own figure of a process's memory tells a result from noise."""


@dataclass
class _Contender:
    """One way: `prepare` makes, outside the clock, what `call` needs."""

    name: str
    prepare: Callable[[], Any]
    call: Callable[[Any], Any]
    n_bytes_before: int  # of x and what else is there when the call begins
    n_bytes_more: int  # that the call needs, by its sizes
    repeats: bool = True


@shows_policy()
def compare(
    x: Any, to: object, *, seconds: float = 2.0, **policy: Unpack[PolicyOptions]
) -> Comparison:
    """Time and peak memory of every way to this cast, on this machine and for these values.

    The ways take turns: torch's `.to` or NumPy's `.astype`, `as_tensor` or `to_numpy`, `cast`,
    `cast` with `out=`, and `cast_` on copies of x. x itself is not changed.

    Args:
        x: a torch tensor in the CPU's memory, or a NumPy array.
        to: the format, as of `tensorcast.cast`.
        seconds: about how long it may take. Every way runs twice even so.
        overflow, rounding, nan, inf, exact, seed: as of `tensorcast.cast`, for tensorcast's ways.

    Returns:
        A `Comparison`: prints as a table that says which way is quickest and which needs least
        memory, whether the results have equal bits, and whether other programs were at work.

    Raises:
        CastError: x is no such tensor, or there is not enough free memory to try.

    Example:
        >>> import torch
        >>> compared = compare(torch.arange(100_000, dtype=torch.int32), "int64", seconds=0.1)
        >>> [way.name for way in compared.ways][:3]
        ['.to', 'tensorcast.as_tensor', 'tensorcast.cast']
        >>> all(way.same_bits for way in compared.ways)
        True
    """
    policy_of("compare", policy)  # refuses what is none
    is_torch = kind_of(x) == "torch"
    target = lookup_target(to, "torch" if is_torch else None)
    seen, row = _seen(x, is_torch)
    contenders = _contenders(seen, row, target, dict(policy), is_torch)
    least = 3 * max(one.n_bytes_before + one.n_bytes_more for one in contenders)
    free, _ = free_memory()
    if free is not None and least > free:
        raise CastError(
            f"comparing needs about {count(least)} bytes beside x, and {count(free)} are free; "
            "compare a part of x"
        )
    load = Load()
    end = time.perf_counter() + seconds
    ways = _run(contenders, end)
    shape = tuple(int(n) for n in x.shape)
    return Comparison(row.name, target.name, shape, tuple(ways), load.others())


def _seen(x: Any, is_torch: bool) -> tuple[Any, Format]:
    """x without its gradient, and its format."""
    if not is_torch:
        from ..bridges import numpy as arrays

        return x, arrays.format_of(x)
    from ..bridges.torch import casting as tensors

    if x.device.type != "cpu" or not tensors.is_plain(x):
        raise CastError(
            f"compare measures in the CPU's memory, and the tensor is on {x.device}"
            if x.device.type != "cpu"
            else "the tensor is being traced or transformed, and there is nothing to measure"
        )
    return x.detach(), tensors.format_of(x)


def _contenders(
    x: Any, row: Format, target: Format, options: dict[str, Any], is_torch: bool
) -> list[_Contender]:
    from ..bridges.memory import numpy_dtype, torch_dtype

    own = x.numel() * x.element_size() if is_torch else x.nbytes
    n = x.numel() if is_torch else x.size
    result = n * target.container_bits // 8
    dtype: Any = torch_dtype(target.name) if is_torch else numpy_dtype(target.name)
    name = target.name

    def nothing() -> None:
        return None

    def out() -> Any:
        made = _empty_like(x, dtype, is_torch)
        made.reshape(-1)[:] = 0  # its pages are there
        return made

    # a copy's own peak: docs/inplace.md, "Memory"
    in_place = 0 if row.container_bits == target.container_bits else min(result, 128 << 20)
    found = [
        _Contender(".to" if is_torch else ".astype", nothing,
                   (lambda _: x.to(dtype)) if is_torch else (lambda _: x.astype(dtype)),
                   own, result),
        _Contender("tensorcast.as_tensor" if is_torch else "tensorcast.to_numpy", nothing,
                   (lambda _: as_tensor(x, name, **options)) if is_torch
                   else (lambda _: to_numpy(x, name, **options)), own, result),
        _Contender("tensorcast.cast", nothing, lambda _: cast(x, name, **options), own, result),
        _Contender("tensorcast.cast(out=)", out,
                   lambda made: cast(x, name, out=made, **options), own + result, 0),
    ]  # fmt: skip
    if is_torch:
        found.append(
            _Contender("tensorcast.cast_", x.clone, lambda copy: cast_(copy, name, **options),
                       own, in_place, repeats=False)
        )  # fmt: skip
    return found


def _empty_like(x: Any, dtype: Any, is_torch: bool) -> Any:
    if is_torch:
        return sys.modules["torch"].empty_like(x, dtype=dtype)
    import numpy as np

    return np.empty_like(x, dtype=dtype, subok=False)


def _run(contenders: list[_Contender], end: float) -> list[Way]:
    samples: list[list[float]] = [[] for _ in contenders]
    failures, peaks, raw = [""] * len(contenders), [0] * len(contenders), [b""] * len(contenders)
    measured = [False] * len(contenders)
    for i, one in enumerate(contenders):  # which warms up too
        given = one.prepare()
        try:
            result, peaks[i], measured[i] = _with_peak(one, given)
        except (TensorcastError, RuntimeError, TypeError, ValueError) as error:
            failures[i] = f"{type(error).__name__}: {error}".splitlines()[0]
            continue
        raw[i] = _bits(result)
        del result, given
    for turn in range(_MOST_ROUNDS):
        for i, one in enumerate(contenders):
            if not failures[i] and (turn < 1 or time.perf_counter() < end):
                samples[i].append(_sample(one))
    reference = next((bits for bits, one in zip(raw, contenders, strict=True)
                      if one.name == "tensorcast.cast"), b"")  # fmt: skip
    refused = next(bool(f) for f, one in zip(failures, contenders, strict=True)
                   if one.name == "tensorcast.cast")  # fmt: skip
    return [
        Way(
            one.name,
            median(samples[i]) if samples[i] else None,
            None if failures[i] else peaks[i],
            measured[i],
            None if failures[i] or refused else raw[i] == reference,
            failures[i],
        )
        for i, one in enumerate(contenders)
    ]


def _sample(one: _Contender) -> float:
    """Seconds of a call."""
    given = one.prepare()
    begin = time.perf_counter()
    result = one.call(given)
    spent = time.perf_counter() - begin
    del result
    if spent >= _SHORTEST or not one.repeats:
        return spent
    n_calls = int(_SHORTEST / max(spent, 1e-7)) + 1
    begin = time.perf_counter()
    for _ in range(n_calls):
        one.call(given)
    return (time.perf_counter() - begin) / n_calls


def _with_peak(one: _Contender, given: Any) -> tuple[Any, int, bool]:
    """The result of a call; the most memory that was there while it ran, x and the result included;
    and whether that was measured, not counted."""
    counted = one.n_bytes_before + one.n_bytes_more
    if counted < _MEASURED_FROM:
        return one.call(given), counted, False
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
        before = _status("VmRSS")
    except OSError:
        return one.call(given), counted, False
    result = one.call(given)
    peak = _status("VmHWM")
    if before is None or peak is None:
        return result, counted, False
    return result, one.n_bytes_before + max(0, peak - before), True


def _status(name: str) -> int | None:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    return None


def _bits(result: Any) -> bytes:
    """A digest of the result's shape and codes in C order."""
    import hashlib

    import numpy as np

    array = np.ascontiguousarray(to_numpy(result))
    digest = hashlib.blake2b(f"{array.dtype} {array.shape}".encode())
    digest.update(array.view(np.uint8).reshape(-1).data if array.ndim else array.tobytes())
    return digest.digest()
