"""The cast on CUDA devices by Triton: one pass that casts and counts.

The codes are those of the CPU's kernels, bit for bit. Block size and warps are tuned on the first
large cast of a pair, but for a report: its sums are taken in one fixed order. `triton_kernels` has
the kernel; with TRITON_INTERPRET=1 it runs on CPU tensors, for tests.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from ..formats import Format
from ..judgement import FEW_BITS
from ..policy import ResolvedPolicy, ends_infinities
from ..reference import seed_keys
from .cpu import RawStats

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

_KINDS: Final = {"bool": 0, "int": 1, "uint": 1, "float": 2}
_NANS: Final = {"none": 0, "ieee": 1, "all-ones": 2, "negative-zero": 3}
_OVERFLOWS: Final = {"raise": 0, "saturate": 1, "wrap": 2, "ieee": 3}
_ROUNDINGS: Final = {"nearest-even": 0, "toward-zero": 1, "down": 2, "up": 3, "stochastic": 4}
_NO_INDEX: Final = (1 << 63) - 1

BLOCKS: Final = (512, 1024, 2048, 4096)
"""Values to a program, to choose from."""
REPORT_BLOCK: Final = 2048
"""The same of a cast with a report, for every device: its sums depend on it."""


@cache
def available() -> bool:
    """Whether Triton is installed."""
    return find_spec("triton") is not None


def serves(source: Format, target: Format) -> bool:
    """Whether the kernel casts this pair: all but complex to bool, and codes packed in bytes."""
    packed = source.torch_pairs or target.torch_pairs
    return available() and not packed and (not source.is_complex or target.is_complex)


def cast_tensor(
    x: torch.Tensor,
    out: torch.Tensor | None,
    source: Format,
    target: Format,
    policy: ResolvedPolicy,
    report: bool = False,
    count: bool = True,
) -> RawStats:
    """As `torch_ops.cast_tensor`, which see; for a pair that is served.

    Raises:
        OutOfMemoryError: torch's own, where the device has no room for a copy of strided memory.
    """
    import torch

    from .torch_codes import codes_of, flat_codes

    codes = flat_codes(x, source).view(-1)
    fresh = None
    if out is not None:
        direct = out.is_contiguous()
        fresh = out if direct else torch.empty_like(out, memory_format=torch.contiguous_format)
    if target.is_complex and not source.is_complex and fresh is not None:
        fresh.zero_()  # the kernel writes the real parts
    written = codes if fresh is None else flat_codes(fresh, target).view(-1)
    raw = _launch(codes, written, source, target, policy, fresh is not None, report, count)
    if out is not None and fresh is not None and fresh is not out:
        codes_of(out, target).copy_(codes_of(fresh, target))
    return raw


def _launch(
    codes: torch.Tensor,
    written: torch.Tensor,
    source: Format,
    target: Format,
    policy: ResolvedPolicy,
    write: bool,
    report: bool,
    count: bool,
) -> RawStats:
    import torch

    n = codes.numel()
    if n == 0:
        return _stats(None, None, source, target, policy, report)
    kernels: Any = import_module(".triton_kernels", __package__)
    interpreted = not hasattr(kernels.cast_kernel, "device_caches")
    tuned = not report and not interpreted and n >= 1 << 20
    smallest = BLOCKS[0] if tuned else REPORT_BLOCK
    if interpreted:  # a program costs there, not its size
        smallest = max(16, min(1 << 16, 1 << (n - 1).bit_length()))
    n_rows = -(-n // smallest) if count else 0
    integers = torch.empty((n_rows, 17), dtype=torch.int64, device=codes.device)
    floats = torch.empty((n_rows, 6), dtype=torch.float64, device=codes.device)
    first_key, second_key = seed_keys(policy.seed) if policy.rounding == "stochastic" else (0, 0)
    ends = ends_infinities(source, target, policy)
    constants = constants_of(
        source.component, target.component, policy.overflow, policy.rounding, ends
    )
    step = 2 if target.is_complex and not source.is_complex else 1
    arguments = (codes, written, integers, floats, n, first_key, second_key)
    # fused, a multiplication and an addition would round once
    options = {"enable_fp_fusion": False}
    flags = {
        "SAME": source == target,
        "STEP": step,
        "WRITE": write,
        "COUNT": count or report,
        "REPORT": report,
    }
    if tuned:
        kernel = _tuned(kernels.cast_kernel)
        kernel[lambda meta: (-(-n // meta["BLOCK"]),)](*arguments, **constants, **flags, **options)
        n_rows = -(-n // kernel.best_config.kwargs["BLOCK"])
    else:
        grid = (-(-n // smallest),)
        kernels.cast_kernel[grid](*arguments, **constants, **flags, **options, BLOCK=smallest)
    if not count and not report:
        return _stats(None, None, source, target, policy, report)
    return _stats(integers[:n_rows], floats[:n_rows], source, target, policy, report)


@cache
def _tuned(kernel: Any) -> Any:
    triton: Any = import_module("triton")
    configs = [
        triton.Config({"BLOCK": block}, num_warps=warps)
        for block in BLOCKS
        for warps in (4, 8)
        if block // warps <= 512
    ]
    names = [name for name in kernel.arg_names if name.isupper() and name != "BLOCK"]
    return triton.autotune(configs=configs, key=names)(kernel)


@lru_cache(maxsize=512)
def constants_of(
    source: Format, target: Format, overflow: str, rounding: str, ends: bool = False
) -> dict[str, Any]:
    """The kernel's constants for a pair of real formats; `ends` as `ends_infinities` has it."""
    s, t = _row("S", source), _row("T", target)
    # subnormals are as good as normal numbers of the same place where the target's last place
    # is coarser
    normalize = target.kind == "bool" or (
        target.is_float and not (target.subnormals and target.bias <= source.bias)
    )
    normalize = normalize and source.is_float
    may_left = may_right = False
    if target.is_float:
        length = source.bits - source.signed  # of the longest integer
        shortest = 1
        if source.is_float:
            length = source.mantissa_bits + 1
            shortest = 1 if normalize else length
            least = 1 - source.bias - source.mantissa_bits
            finest = 1 - target.bias - target.mantissa_bits
            may_right = target.subnormals and least < finest
        elif source.kind == "bool":
            length = 1
        elif source.signed:
            length += 1  # -2^(bits - 1), whose last bits are zeros
        may_right = may_right or length > target.mantissa_bits + 1
        may_left = shortest < target.mantissa_bits + 1
    elif target.is_integer:
        may_left = may_right = source.is_float
    return {
        **s,
        **t,
        "T_SIGNED_ZERO": target.signed_zero,
        "T_MAX_CODE": target.max_code,
        "T_LOWEST": _lowest(target),
        "T_NAN_CODE": target.nan_code or 0,
        "T_INFINITY_CODE": target.infinity_code or 0,
        "OVERFLOW": _OVERFLOWS[overflow],
        "ROUNDING": _ROUNDINGS[rounding],
        "ENDS": ends,
        "FAST": _fast(source, target, rounding),
        "MAY_OVERFLOW": not (source.max_exact <= target.max_exact),
        "NORMALIZE": normalize,
        "PAYLOAD": source.mantissa_bits if source.nan == "ieee" else 0,
        "MAY_LEFT": may_left,
        "MAY_RIGHT": may_right,
        "WIDTH": 64 if 64 in (source.bits, target.bits) else 32,
    }


def _fast(source: Format, target: Format, rounding: str) -> int:
    """Which of the kernel's ways to round serves a pair: 0 any, 1 no rounding, 2 from float32."""
    both = (source, target)
    if not all(row.is_float and row.subnormals and row.bits <= 32 for row in both):
        return 0
    holds = target.max_exact >= source.max_exact
    holds = holds and target.smallest_exact <= source.smallest_exact
    if holds and target.mantissa_bits >= source.mantissa_bits and target.bits > 8:
        return 1
    narrow = target.bits < 32 and rounding == "nearest-even"
    return 2 if narrow and target.bias + target.mantissa_bits <= 150 else 0


def _lowest(row: Format) -> int:
    """The code of the smallest value."""
    if not row.signed:
        return 0
    sign = 1 << (row.bits - 1)
    return row.max_code | sign if row.is_float else sign


def _row(prefix: str, row: Format) -> dict[str, Any]:
    facts = {
        "KIND": _KINDS[row.kind],
        "BITS": row.bits,
        "E": row.exponent_bits,
        "M": row.mantissa_bits,
        "BIAS": row.bias,
        "SIGNED": row.signed,
        "INFINITY": row.infinity,
        "NAN": _NANS[row.nan],
        "SUBNORMALS": row.subnormals,
    }
    return {f"{prefix}_{name}": value for name, value in facts.items()}


def _stats(
    integers: torch.Tensor | None,
    floats: torch.Tensor | None,
    source: Format,
    target: Format,
    policy: ResolvedPolicy,
    report: bool,
) -> RawStats:
    """What the rows of all programs say; None where nothing was counted."""
    ints = [0] * 7 + [_NO_INDEX, _NO_INDEX, _NO_INDEX, -_NO_INDEX - 1]
    collapse = [0, 0, 0, 1, 0, 1]
    numbers = [-1.0, math.inf, -math.inf, 0.0, 0.0, 0.0]
    if integers is not None and floats is not None:
        ints, numbers, collapse = _reduced(integers, floats)
    if not report:  # the kernel wrote no more
        ints[2:5], ints[6], numbers[1:] = [0] * 3, 0, [math.inf, -math.inf, 0.0, 0.0, 0.0]
        collapse = [0, 0, 0, 1, 0, 1]
    few = target.bits <= FEW_BITS
    one_result = _one_code(target, collapse[4:]) if few else None
    if not (report or policy.overflow == "wrap" or ends_infinities(source, target, policy)):
        ints[5] = 0
    if policy.overflow != "raise" or ints[0] == 0:
        ints[8], numbers[0] = _NO_INDEX, -1.0
    if not (report and source.is_integer and source.bits == 64):
        ints[9:11] = _NO_INDEX, -_NO_INDEX - 1
    width = 2 if source.is_complex else 1
    first, where = (None if i == _NO_INDEX else i // width for i in ints[7:9])
    return RawStats(
        n_overflow=ints[0],
        n_nan_lost=ints[1],
        first_overflow=first,
        largest_overflow_index=where,
        largest_overflow=numbers[0],
        n_zero=collapse[0],
        n_to_zero=collapse[1],
        one_source=None if one_result is None else _one_code(source, collapse[2:4]),
        one_result=one_result,
        n_inexact=ints[2],
        n_underflow=ints[3],
        n_nan=ints[4],
        n_inf=ints[5],
        n_finite=ints[6],
        min=numbers[1],
        max=numbers[2],
        min_integer=ints[9],
        max_integer=ints[10],
        max_abs_error=numbers[3],
        sum_squared_error=numbers[4],
        sum_squared=numbers[5],
    )


def _one_code(row: Format, ends: Sequence[int]) -> int | None:
    """The code of all values where the least and the greatest are one, as the kernel has them."""
    least, greatest = ends
    if least != greatest:
        return None
    if least == -1 and row.has_nan:
        return row.nan_code
    return least % (1 << 64)


def _reduced(
    integers: torch.Tensor, floats: torch.Tensor
) -> tuple[list[int], list[float], list[int]]:
    """The rows of all programs as one, in one fixed order; waits for the device, once."""
    import torch

    largest = floats[:, 0].amax()
    where = torch.where(floats[:, 0] == largest, integers[:, 8], _NO_INDEX).amin()
    low = [integers[:, 7].amin(), where, integers[:, 9].amin(), integers[:, 10].amax()]
    real = [largest, floats[:, 1].amin(), floats[:, 2].amax(), floats[:, 3].amax()]
    real += [floats[:, 4].sum(), floats[:, 5].sum()]
    counts = integers[:, :7].sum(dim=0)
    extra = [integers[:, i].sum() for i in (11, 12)]
    for i in (13, 15):
        extra += [integers[:, i].amin(), integers[:, i + 1].amax()]
    parts = [counts, torch.stack(low), torch.stack(extra), torch.stack(real).view(torch.int64)]
    both = torch.cat(parts).cpu()
    return both[:11].tolist(), both[17:].view(torch.float64).tolist(), both[11:17].tolist()
