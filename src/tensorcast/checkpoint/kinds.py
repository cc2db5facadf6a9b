"""The kinds of checkpoint that are read and written here: one list, which everything else asks.

A new format of files is a module in `files/` and a line in `FILES`.
"""

from __future__ import annotations

from pathlib import Path

from .files.safetensors import SAFETENSORS, SafetensorsWriter
from .folders.huggingface import HuggingFaceReader
from .folders.one_file import FileReader
from .protocol import DataFile, FileFormat, Reader, TensorInfo, Writer

FILES: tuple[FileFormat, ...] = (SAFETENSORS,)


def readers() -> tuple[Reader, ...]:
    """In the order in which they are asked whether they recognize a path."""
    return (HuggingFaceReader(), *(FileReader(format, read_header) for format in FILES))


def format_of(file: str) -> FileFormat | None:
    """The format of a file of this name; None of any other file."""
    return next((format for format in FILES if file.endswith(format.ending)), None)


def read_header(path: Path, name: str) -> tuple[DataFile, tuple[TensorInfo, ...]]:
    """The identity and tensors of a file of any format; see `protocol.ReadHeader`."""
    return (format_of(path.name) or SAFETENSORS).read_header(path, name)


def endings_written() -> tuple[str, ...]:
    """Endings of the files that are written here."""
    return tuple(format.ending for format in FILES if format.writer is not None)


def format_to_write(file: str) -> FileFormat:
    """The format that a file of this name is written in; safetensors where the name says
    nothing."""
    format = format_of(file)
    return SAFETENSORS if format is None or format.writer is None else format


def writer_of(file: str) -> Writer:
    """What lays out a file of this name."""
    return format_to_write(file).writer or SafetensorsWriter()


def is_directory(kind: str) -> bool:
    """Whether a checkpoint of this kind is a directory."""
    return not any(format.kind == kind for format in FILES)


def what_is_read() -> str:
    """All kinds in words, files first."""
    folders, *files = readers()
    return ", ".join([*(each.says for each in files), f"or {folders.says}"])


def kinds_in_words() -> str:
    """All kinds by their names, files first: "a safetensors file or a Hugging Face directory"."""
    folders, *files = readers()
    return " or ".join([*(f"a {each.label}" for each in files), f"a {folders.label}"])
