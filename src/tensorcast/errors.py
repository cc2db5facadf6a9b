"""Every exception tensorcast raises on purpose.

Each one is also the built-in exception a caller would expect (`ValueError`, `OverflowError`,
`OSError`), so code that already catches those keeps working.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own would cost time where nothing else needs it

if TYPE_CHECKING:
    from typing import Any


class TensorcastError(Exception):
    """The root of tensorcast's own exceptions: catch this to catch them all."""


class FormatError(TensorcastError, ValueError):
    """A number format is unknown, ambiguous, or cannot do what was asked of it."""


class PolicyError(TensorcastError, ValueError):
    """A cast policy is misspelt or does not fit the target format, or a rule matches no tensor;
    raised before any work."""


class CastError(TensorcastError, ValueError):
    """A cast is refused: complex to real, shapes that differ, a buffer that cannot be used."""


class CastOverflowError(CastError, OverflowError):
    """Under `overflow="raise"`, values lie outside the target's range, or under `inf="raise"` are
    infinite; nothing was written."""


class CastNanError(CastError):
    """Under `nan="raise"`, NaNs meet a target that has no NaN; nothing was written."""


class CollapseError(CastError):
    """Next to nothing would be left of a tensor: more than half of its non-zero values would become
    0, or several values one, and nobody said `raw=True`; nothing was written."""


class InexactCastError(CastError):
    """Under `exact=True`, at least one value would change; nothing was written."""


class NoMemoryError(CastError, MemoryError):
    """There is no memory for a result; the message says how much was wanted and how much is free.
    Nothing was changed."""


class MissingLibraryError(CastError, ImportError):
    """A library the call needs is not installed; the message names the extra that brings it."""


class InPlaceError(CastError):
    """A tensor cannot change its format in place; nothing was changed.

    Attributes:
        kind: what stands against it, one word or a few: "view", "storage held", "held by torch",
            "not resizable", "shared memory", "mapped file", "pinned", "layout", "subclass", ...
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class InPlaceWarning(UserWarning):
    """A cast in place became a plain one, as `others="copy"` allows: both were there at once."""


class ForbiddenError(TensorcastError):
    """Code did what `tensorcast.model.forbid` forbids.

    Attributes:
        what: kind, operation, dtypes and place, as a `tensorcast.model.trace.sites.What`.
    """

    def __init__(self, message: str, what: Any) -> None:
        super().__init__(message)
        self.what = what


class CheckpointError(TensorcastError):
    """A checkpoint cannot be read, prepared or written."""


class CorruptFileError(CheckpointError, ValueError):
    """A file breaks the rules of its format: the message names path, tensor, offset,
    what was expected and what was found."""


class UnsupportedCheckpointError(CheckpointError):
    """The checkpoint is sound, but casting it would corrupt it (scaled weights), its kind is not
    known, or programs differ in how they read it."""


class DestinationError(CheckpointError, OSError):
    """The destination cannot be used: it exists, lies inside the source, or lacks space."""
