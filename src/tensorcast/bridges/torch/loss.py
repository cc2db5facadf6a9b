"""A `Loss` across the edge of a compiled graph: a tensor of its numbers inside, the object outside.

A graph holds tensors only. The operators of this folder return a Loss as int64 numbers;
`PendingLoss` carries them out of the graph and becomes the Loss where it is first read.
"""

from __future__ import annotations

import struct
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from ...core.loss import Loss
from ...errors import CastError

if TYPE_CHECKING:
    import torch

_NUMBERS: Final = tuple(field.name for field in fields(Loss)[2:])  # all but the formats' names
_ABSENT, _WHOLE, _LARGE, _FLOAT = range(4)
_TOP: Final = 1 << 64  # a _LARGE is an integer from 2^63 on, less this

SIZE: Final = 2 * len(_NUMBERS)
"""Numbers of a Loss: for each of its fields what it is, and its 64 bits."""


def numbers_of(loss: Loss) -> list[int]:
    """A Loss as `SIZE` integers of 64 bits and a sign; the names of the formats are left out.

    Example:
        >>> loss = Loss("float32", "int8", 3, 1, 0, max=300.0, first_overflow=2)
        >>> loss_of_numbers(numbers_of(loss), "float32", "int8") == loss
        True
    """
    found: list[int] = []
    for name in _NUMBERS:
        value = getattr(loss, name)
        if value is None:
            found += [_ABSENT, 0]
        elif isinstance(value, float):
            found += [_FLOAT, *struct.unpack("<q", struct.pack("<d", value))]
        elif value >> 63 == 1:
            found += [_LARGE, value - _TOP]
        else:
            found += [_WHOLE, value]
    return found


def loss_of_numbers(numbers: list[int], source: str, target: str) -> Loss:
    """The inverse of `numbers_of`."""
    values: dict[str, Any] = {}
    for name, kind, bits in zip(_NUMBERS, numbers[::2], numbers[1::2], strict=True):
        if kind == _FLOAT:
            (values[name],) = struct.unpack("<d", struct.pack("<q", bits))
        elif kind != _ABSENT:
            values[name] = bits + _TOP if kind == _LARGE else bits
    return Loss(source, target, **values)


class PendingLoss:
    """The Loss of a cast inside a compiled function, read outside of it: every attribute and
    method of `Loss`, which it equals and prints as. `settled()` is the Loss itself.

    Reading it inside the function breaks the graph there, and with `fullgraph=True` it is an
    error that says so: the numbers exist when the graph has run.
    """

    def __init__(self, numbers: torch.Tensor, source: str, target: str) -> None:
        self._numbers = numbers
        self._source = source
        self._target = target

    def settled(self) -> Loss:
        """The Loss. Waits for the device, where the tensor was on one.

        Raises:
            CastError: a graph is being traced.
        """
        import torch

        compiler: Any = torch.compiler
        if compiler.is_compiling():
            raise CastError(
                "a Loss has no numbers while its graph is traced: return it from the compiled "
                "function, and read it outside"
            )
        return loss_of_numbers(self._numbers.tolist(), self._source, self._target)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # the fields above, while an instance is copied
            raise AttributeError(name)
        return getattr(self.settled(), name)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PendingLoss):
            other = other.settled()
        return self.settled() == other

    def __hash__(self) -> int:
        return hash(self.settled())

    def __str__(self) -> str:
        return str(self.settled())

    def __repr__(self) -> str:
        return repr(self.settled())

    def _repr_html_(self) -> str:
        return self.settled()._repr_html_()
