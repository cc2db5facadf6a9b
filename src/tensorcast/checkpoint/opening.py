"""Opens a checkpoint of any kind that is read here: its headers, no tensor data."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import CheckpointError, UnsupportedCheckpointError
from . import kinds
from .protocol import Checkpoint


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint at `path`: every header read and checked, no tensor data.

    Args:
        path: a .safetensors file, or a directory of a model: with `model.safetensors`,
            `model.safetensors.index.json` or what `weight_sets.find_weights` says.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        CorruptFileError: a file breaks its format's rules; says which, where and how.
        UnsupportedCheckpointError: it is none of the kinds this tensorcast reads, or could be
            read in more than one way.
    """
    path = Path(path)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"there is no {str(path)!r}") from None
    for reader in kinds.readers():
        if reader.recognizes(path):
            return reader.open(path)
    for format in kinds.FILES:
        if format.begins_like_one(path):
            raise UnsupportedCheckpointError(
                f"{str(path)!r} begins like a {format.kind} file, but its name does not end in "
                f"{format.ending}; give it by a link of such a name (ln -s)"
            )
    raise UnsupportedCheckpointError(
        f"{str(path)!r} is no kind of checkpoint that is read here: {kinds.what_is_read()}"
    )


def as_checkpoint(source: Checkpoint | str | os.PathLike[str]) -> Checkpoint:
    """What is opened already as it is, a path opened.

    Raises:
        CheckpointError: it is neither.
    """
    if isinstance(source, Checkpoint):
        return source
    if isinstance(source, str | os.PathLike):
        return open_checkpoint(source)
    raise CheckpointError(
        f"expected the path of a checkpoint, or what `tensorcast.inspect` gave, found a value of "
        f"type {type(source).__name__}"
    )


def inspect(path: Checkpoint | str | os.PathLike[str]) -> Checkpoint:
    """What the checkpoint at `path` holds: its headers are read and checked, no tensor data.

    `print` of it is a summary; `tensors` has every tensor's name, format, shape and place,
    `scaled` says why its weights may not be cast as plain numbers.

    Args:
        path: of a .safetensors file, or of a directory of a model.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        CorruptFileError: a file breaks its format's rules; says which, where and how.
        UnsupportedCheckpointError: it is none of the kinds that are read here, or could be read
            in more than one way.
    """
    return as_checkpoint(path)
