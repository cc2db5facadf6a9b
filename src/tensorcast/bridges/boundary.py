"""What objects of others raise while they are read becomes a CastError, with the original as its
cause."""

from __future__ import annotations

from ..errors import CastError, TensorcastError
from .room import refuse_no_memory


def refuse_unreadable(error: Exception, x: object) -> None:
    """Raise a CastError for an error that reading an object ended in; not for tensorcast's own, nor
    for a warning that was made an error.

    Raises:
        CastError, NoMemoryError: with the error as its cause.
    """
    if isinstance(error, (TensorcastError, Warning)):
        return
    refuse_no_memory(error)
    text = " ".join(str(error).split())
    text = text if len(text) <= 300 else f"{text[:297]}..."
    raise CastError(
        f"a {type(x).__qualname__} could not be read as numbers: {type(error).__name__}: {text}"
    ) from error
