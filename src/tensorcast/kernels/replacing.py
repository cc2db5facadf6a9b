"""Casts that use their source up, in one call that nothing comes between.

Nothing here decides: `tensorcast.inplace` proves, looks and allocates first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from .. import _core
from ..formats import Format
from ..policy import INFS, NANS, OVERFLOWS, ROUNDINGS, ResolvedPolicy
from .cpu import default_threads, format_index

CHUNK_BYTES: Final = 64 << 20  # of the wider of both: so much lies in memory twice at most
MOVES_PAGES: Final = True  # large blocks by moving pages, where the system can


class Uses(NamedTuple):
    """How many hold a tensor, its storage, and the storage's Python object."""

    tensor: int
    storage: int
    object: int


class Proof(NamedTuple):
    """A tensor that has to have so many uses at the point of no return."""

    tensor: object
    uses: Uses


class Swap(NamedTuple):
    """A tensor, what it becomes, and what it is again if another swap fails."""

    tensor: object
    new: object
    old: object


class Conversion(NamedTuple):
    """Elements as they lie in memory.

    Attributes:
        source_address, target_address: the same where both have one width.
        releases: the source's pages are the target's to take, or go back to the system.
        order: for stochastic rounding of what is not in C order: shape, steps in memory and steps
            in C order, each in elements, the longest step in memory first.
    """

    source: Format
    target: Format
    policy: ResolvedPolicy
    source_packed: bool
    target_packed: bool
    source_address: int
    target_address: int
    n_elements: int
    releases: bool
    order: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None = None


def uses_of(interface: tuple[object, ...], tensor: object) -> Uses:
    """Count who holds a tensor.

    Args:
        interface: torch's Tensor._use_count, _storage_Use_Count and Tensor.untyped_storage.
    """
    return Uses(*_core.inplace_uses(interface, tensor))


def replace_all(
    interface: tuple[object, ...],
    setter: Callable[[Any, Any], None],
    proofs: list[Proof],
    swaps: list[Swap],
    conversions: list[Conversion],
    *,
    n_failures: int = 0,
) -> int | None:
    """Prove, swap, convert: all of it or nothing, with no Python code, signal handler or Python
    thread in between.

    Args:
        setter: gives a tensor another's data.
        n_failures: so many allocations of the kernels' are taken as failed, for tests.

    Returns: None, or the index of the first proof that does not hold; then nothing was done.

    Raises:
        whatever `setter` does; all swaps are undone.
    """
    jobs = tuple(
        (
            format_index(each.source),
            format_index(each.target),
            OVERFLOWS.index(each.policy.overflow),
            ROUNDINGS.index(each.policy.rounding),
            NANS.index(each.policy.nan),
            INFS.index(each.policy.inf),
            each.policy.seed,
            each.source_packed,
            each.target_packed,
            each.source_address,
            each.target_address,
            each.n_elements,
            each.releases,
            each.order,
        )
        for each in conversions
    )
    held = _core.inplace_convert(
        interface,
        setter,
        tuple((proof.tensor, *proof.uses) for proof in proofs),
        tuple(tuple(swap) for swap in swaps),  # type: ignore[misc]
        jobs,
        CHUNK_BYTES,
        MOVES_PAGES,
        default_threads(),
        n_failures,
    )
    return None if held < 0 else held
