"""What is converted together: the tensors on one block of memory, and what stands against it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from ..bridges.torch.pairs import is_pairs, logical_shape, pairs_shape
from ..bridges.torch.tensor import buffer_of, dtype_of, format_of
from ..buffer import Buffer
from ..errors import CastError, FormatError, InPlaceError, InPlaceWarning
from ..formats import Format
from ..policy import Policy, ResolvedPolicy
from .exclusivity import Interface, Mappings, Obstacle
from .holders import named
from .obstacles import sharing, unfit

if TYPE_CHECKING:
    import torch

Others = Literal["refuse", "copy"]


@dataclass(frozen=True)
class Wish:
    """A tensor and the format it is to have.

    Attributes:
        name: for messages; "" for the only tensor of a call.
        is_gradient: it is the `.grad` of another tensor.
        stays: its format is its own, not one that was asked for: no policy looks at it.
    """

    name: str
    tensor: torch.Tensor
    target: Format
    is_gradient: bool = False
    stays: bool = False


@dataclass
class Member:
    """One tensor on a block of memory."""

    wish: Wish
    buffer: Buffer
    policy: ResolvedPolicy


@dataclass
class Block:
    """Tensors of one format on one storage, to become another format together.

    Attributes:
        obstacle: why the memory is not used up: the tensors get new memory, and the old stays.
    """

    members: list[Member] = field(default_factory=list)
    obstacle: Obstacle | None = None

    @property
    def source(self) -> Format:
        return self.members[0].buffer.format

    @property
    def target(self) -> Format:
        return self.members[0].wish.target

    @property
    def begin(self) -> int:
        """Address of the first element."""
        return min(member.buffer.extent[0] for member in self.members)

    @property
    def n_elements(self) -> int:
        """As they lie in memory, whatever is between them included."""
        n_bytes = max(member.buffer.extent[1] for member in self.members) - self.begin
        if self.members[0].buffer.packed:
            return self.members[0].buffer.n_elements
        return n_bytes // self.members[0].buffer.itemsize

    @property
    def is_here(self) -> bool:
        """Whether the result stands in the same memory."""
        return (
            self.obstacle is None
            and self.source.container_bits == self.target.container_bits
            and not self.members[0].buffer.packed
            and not is_pairs(dtype_of(self.target))
        )


def row_of(x: torch.Tensor) -> Format | None:
    """The format of a tensor's elements; None for kinds of tensors that have none of ours."""
    try:
        return format_of(x)
    except (CastError, FormatError):
        return None


def refusal(wish: Wish, obstacle: Obstacle) -> InPlaceError:
    """The error that an obstacle is."""
    label = f"{wish.name!r}: " if wish.name else ""
    obstacle = named(wish.tensor, obstacle)
    return InPlaceError(
        f"{label}the tensor {obstacle.reason}. {obstacle.way_out}".rstrip(), obstacle.kind
    )


def distinct(wishes: Sequence[Wish]) -> list[Wish]:
    """Each tensor once.

    Raises:
        CastError: one is wished two formats.
    """
    found: dict[int, Wish] = {}
    for wish in wishes:
        first = found.setdefault(id(wish.tensor), wish)
        if first.target != wish.target:
            raise CastError(
                f"{first.name!r} and {wish.name!r} are one tensor, which cannot be both "
                f"{first.target.name} and {wish.target.name}"
            )
    return list(found.values())


def check(wish: Wish, policy: Policy) -> None:
    """Raise for what neither memory nor values have to be asked for."""
    obstacle = unfit(wish.tensor)
    if obstacle is not None:
        raise refusal(wish, obstacle)
    row, target = format_of(wish.tensor), wish.target
    policy.resolve(row, target)
    dtype = dtype_of(target)
    if wish.tensor.requires_grad and not (target.is_float or target.is_complex):
        raise refusal(
            wish,
            Obstacle(
                "requires grad",
                f"requires grad, which {target.name} cannot",
                "Call .requires_grad_(False) first, or keep it by a rule.",
            ),
        )
    if is_pairs(dtype):
        pairs_shape(logical_shape(wish.tensor), "cast to another format")
    if (is_pairs(dtype) or is_pairs(wish.tensor.dtype)) and not wish.tensor.is_contiguous():
        raise CastError("two elements share a byte only in contiguous tensors; clone it first")


def find_blocks(
    wishes: Sequence[Wish], policy: Policy, interface: Interface, others: Others
) -> list[Block]:
    """The blocks that tensors in the CPU's memory stand on, each proved alone or to be left.

    Raises:
        InPlaceError: others see a block, and it may not be copied.
    """
    mappings = Mappings()
    blocks: dict[int, Block] = {}
    for wish in wishes:
        buffer = buffer_of(wish.tensor.detach())
        member = Member(
            wish, replace(buffer, owner=None), policy.resolve(buffer.format, wish.target)
        )
        del buffer
        key = (
            _storage_of(wish.tensor) if wish.tensor.untyped_storage().nbytes() else -1 - len(blocks)
        )
        blocks.setdefault(key, Block()).members.append(member)
    for block in blocks.values():
        for member in block.members:
            wish = member.wish
            obstacle = _obstacle(block, member, interface, mappings)
            if obstacle is None:
                continue
            if obstacle.kind == "file":  # read through, and left as it is
                block.obstacle = obstacle
            elif others == "copy" and obstacle.copies:
                block.obstacle = obstacle
                label = f"{wish.name!r}: " if wish.name else ""
                warnings.warn(
                    f"{label}not in place, but copied: the tensor {obstacle.reason}. The old "
                    f"{_n_bytes_spanned(member.buffer)} bytes stay with the others.",
                    InPlaceWarning,
                    stacklevel=5,
                )
            else:
                raise refusal(wish, obstacle)
    # what is not shared out in one piece becomes one block for each tensor
    found = []
    for block in blocks.values():
        if block.obstacle is not None:
            found += [Block([member], block.obstacle) for member in block.members]
        else:
            found.append(block)
    for block in found:
        _check_block(block)
    return found


def _n_bytes_spanned(buffer: Buffer) -> int:
    """Bytes from the first element to the last."""
    begin, end = buffer.extent
    return end - begin


def _storage_of(x: torch.Tensor) -> int:
    """What tells storages apart, with no hold on one."""
    return int(x.untyped_storage()._cdata)


def _obstacle(
    block: Block, member: Member, interface: Interface, mappings: Mappings
) -> Obstacle | None:
    x = member.wish.tensor
    if x.untyped_storage().nbytes() == 0:
        return None
    return sharing(
        x,
        interface,
        mappings,
        n_members=len(block.members),
        is_gradient=member.wish.is_gradient,
    )


def _check_block(block: Block) -> None:
    """Raise if the tensors of a block cannot be converted as one."""
    first = block.members[0]
    for member in block.members[1:]:
        if (member.buffer.format, member.wish.target) != (block.source, block.target):
            raise refusal(
                member.wish,
                Obstacle(
                    "view",
                    f"shares its memory with {first.wish.name!r}, and their formats differ",
                    "Clone one of them, or give both the same format.",
                ),
            )
        if member.buffer.packed or is_pairs(dtype_of(block.target)):
            raise refusal(
                member.wish,
                Obstacle(
                    "view",
                    f"shares its memory with {first.wish.name!r}, two elements to a byte",
                    "Clone one of them.",
                ),
            )


def place_in_storage(block: Block, size: int) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Where a block's elements stand in its storage, in elements."""
    tensor, buffer = block.members[0].wish.tensor, block.members[0].buffer
    before = (buffer.extent[0] - block.begin) // buffer.itemsize
    return int(tensor.storage_offset()) - before, (size,), (1,)


def dense_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides in elements of C order."""
    strides = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def memory_order(block: Block) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None:
    """The order of elements in memory, where it counts and is not that of their indices.

    Raises:
        InPlaceError: an element in memory has several indices.
    """
    first = block.members[0]
    buffers = [member.buffer for member in block.members]
    if first.policy.rounding != "stochastic" or block.n_elements == 0:
        return None
    if all(buffer == buffers[0] for buffer in buffers):
        buffer = buffers[0]
        if buffer.is_contiguous:
            return None
        indices = dense_strides(buffer.shape)
        steps = [stride // buffer.itemsize for stride in buffer.strides]
        dimensions = sorted(
            (d for d, n in enumerate(buffer.shape) if n > 1), key=lambda d: -steps[d]
        )
        reach = 1
        for d in reversed(dimensions):
            if steps[d] < reach:
                break
            reach = steps[d] * (buffer.shape[d] - 1) + reach
        else:
            return (
                tuple(buffer.shape[d] for d in dimensions),
                tuple(steps[d] for d in dimensions),
                tuple(indices[d] for d in dimensions),
            )
    raise refusal(
        first.wish,
        Obstacle(
            "view",
            "has elements with several indices, and stochastic rounding draws by the index",
            'Pass another rounding than "stochastic", or convert a clone.',
        ),
    )
