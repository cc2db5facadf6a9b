"""What every checkpoint format looks like from above: tensors in files, nothing loaded.

A file format is one module of `files/` that ends in a `FileFormat`; `kinds` has the list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Final, Protocol

from ..formats import FORMATS, Format
from ..words.summary import brief
from ..words.units import human_bytes, shape
from .wording import facts_of, of_checkpoint


class Scheme(Protocol):
    """Elements that are stored in blocks, with the scales in them: no number format alone says what
    they mean.

    Attributes:
        name: of the scheme.
        numbers: the format that its values are read as.
        block_elements: consecutive elements of one block.
    """

    @property
    def name(self) -> str: ...

    @property
    def numbers(self) -> Format: ...

    @property
    def block_elements(self) -> int: ...

    def n_bytes(self, n_elements: int) -> int:
        """What so many elements take, a whole number of blocks."""
        ...


Stored = Format | Scheme
"""What the elements of a tensor are stored as."""

SCHEMES: Final[dict[str, Scheme]] = {}
"""The schemes by name, as files and jobs spell them."""


def stored_as(name: str) -> Stored | None:
    """The format or scheme of this name."""
    return FORMATS.get(name) or SCHEMES.get(name)


class _Elements:
    """What follows of a tensor's shape and of what it is stored as. Whoever counts bytes asks
    here, not the format."""

    __slots__ = ()

    format: Stored
    shape: tuple[int, ...]

    @property
    def n_elements(self) -> int:
        """Elements in all."""
        return prod(self.shape)

    @property
    def is_plain(self) -> bool:
        """Whether each element is a number of its format, by itself."""
        return isinstance(self.format, Format)

    @property
    def numbers(self) -> Format:
        """The number format of its values: its own, or what blocks with scales are read as."""
        return self.format if isinstance(self.format, Format) else self.format.numbers

    @property
    def block_elements(self) -> int:
        """Consecutive elements that can only be read together."""
        return 1 if isinstance(self.format, Format) else self.format.block_elements

    def bytes_of(self, n_elements: int) -> int:
        """What so many consecutive elements take."""
        return self.format.n_bytes(n_elements)


@dataclass(frozen=True, slots=True)
class TensorInfo(_Elements):
    """Where one tensor lies.

    Attributes:
        name: its name in the checkpoint.
        format: what its elements are stored as: a number format (sub-byte elements are packed), or
            blocks with scales.
        shape: logical elements per dimension, () for a scalar.
        file: the data file, relative to the checkpoint's root, with forward slashes.
        offset: of its first byte, from the start of the file.
        n_bytes: what it takes there.
    """

    name: str
    format: Stored
    shape: tuple[int, ...]
    file: str
    offset: int
    n_bytes: int

    def __repr__(self) -> str:
        facts = self.format.name, shape(self.shape), human_bytes(self.n_bytes)
        return brief(self, self.name, *facts)


@dataclass(frozen=True)
class DataFile:
    """One file of tensors, and how to tell later that it is still the same.

    Attributes:
        name: relative to the checkpoint's root, with forward slashes.
        n_bytes, mtime_ns, inode: as `stat` gives them.
        header_digest: SHA-256 of its header, in hexadecimal.
        metadata: the strings its header carries, None if it carries no such table.
        remarks: what was passed over in its header, a sentence each.
    """

    name: str
    n_bytes: int
    mtime_ns: int
    inode: int
    header_digest: str
    metadata: dict[str, str] | None = field(default=None, hash=False)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """An opened source: every header read and checked, no tensor data.

    Attributes:
        path: as the caller gave it.
        kind: "huggingface" (a directory), or the format of its one file, "safetensors".
        label: the kind in words.
        directory: whether it is a directory.
        tensors: file by file, in the order of their offsets.
        files: the data files.
        metadata: of the file, or of a directory's index (`total_size` and others).
        extra_files: the directory's other files that belong to the checkpoint, relative.
        skipped: files of the directory that a conversion leaves behind, and why.
        unconverted: those of `extra_files` that hold tensors, and why they stay as they are.
        config: the parsed config.json, or None.
        config_text: its text.
        index: the parsed index, or None for one data file.
        index_name: the index's file name, or None.
        index_text: its text.
        stem: "model" for model.safetensors and model-00001-of-00002.safetensors.
        variant: "fp16" for model.fp16.safetensors and its shards, else None.
        scaled: why its weights may not be cast as plain numbers, or None.
        remarks: what was passed over in its files, a sentence each.
        quantizer_files: those of the extra files that describe how the weights were quantized.
    """

    path: Path
    kind: str
    label: str
    tensors: tuple[TensorInfo, ...]
    files: tuple[DataFile, ...]
    directory: bool = False
    metadata: dict[str, object] = field(default_factory=dict, hash=False)
    extra_files: tuple[str, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict, hash=False)
    unconverted: dict[str, str] = field(default_factory=dict, hash=False)
    config: dict[str, object] | None = field(default=None, hash=False)
    config_text: str | None = None
    index: dict[str, object] | None = field(default=None, hash=False)
    index_name: str | None = None
    index_text: str | None = None
    stem: str = "model"
    variant: str | None = None
    scaled: str | None = None
    remarks: tuple[str, ...] = ()
    quantizer_files: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return brief(self, str(self.path), *facts_of(self))

    def __str__(self) -> str:
        return str(of_checkpoint(self))

    def _repr_html_(self) -> str:
        return of_checkpoint(self)._repr_html_()

    @property
    def root(self) -> Path:
        """The directory that file names are relative to."""
        return self.path if self.directory else self.path.parent

    @property
    def n_bytes(self) -> int:
        """Bytes of tensor data in all."""
        return sum(tensor.n_bytes for tensor in self.tensors)

    @property
    def n_elements(self) -> int:
        """Elements of all tensors."""
        return sum(tensor.n_elements for tensor in self.tensors)

    @cached_property
    def by_name(self) -> dict[str, TensorInfo]:
        """Every tensor by its name."""
        return {tensor.name: tensor for tensor in self.tensors}


@dataclass(frozen=True)
class TensorSpec(_Elements):
    """A tensor to be written: what the caller decides, before the layout gives it a place."""

    name: str
    format: Stored
    shape: tuple[int, ...]

    @property
    def n_bytes(self) -> int:
        """What it will take."""
        return self.bytes_of(self.n_elements)


@dataclass(frozen=True)
class Layout:
    """One data file to be written: its bytes before the data, and where each tensor goes.

    Attributes:
        header: everything before the first tensor.
        tensors: in the order of their offsets.
        n_bytes: of the whole file.
    """

    header: bytes
    tensors: tuple[TensorInfo, ...]
    n_bytes: int


class Writer(Protocol):
    """Lays out files of one format; the bytes of the tensors are somebody else's to write.

    Attributes:
        max_header_bytes: what readers take.
    """

    max_header_bytes: int

    def holds(self, format: Stored) -> bool:
        """Whether a file can store tensors of this format."""
        ...

    def entry_bytes(self, spec: TensorSpec) -> int:
        """At most how many bytes of a header tell of a tensor."""
        ...

    def lay_out(
        self, file: str, tensors: list[TensorSpec], metadata: dict[str, str] | None
    ) -> Layout:
        """Header and offsets of one file, before any data is there."""
        ...


ReadHeader = Callable[[Path, str], tuple[DataFile, tuple[TensorInfo, ...]]]
"""Gets a path and what `TensorInfo.file` shall say; gives the file's identity and its tensors in
the order of their offsets, every header checked."""


@dataclass(frozen=True)
class FileFormat:
    """A format of files of tensors: all that the rest of the package asks of it.

    Attributes:
        kind: its name, and what `Checkpoint.kind` says of one such file.
        ending: of the names of its files; a file of another name is none of it.
        read_header: see `ReadHeader`.
        begins_like_one: whether a file of any name starts as its files do, for refusals.
        writer: None where files of it are only read.
    """

    kind: str
    ending: str
    read_header: ReadHeader
    begins_like_one: Callable[[Path], bool]
    writer: Writer | None = None


class Reader(Protocol):
    """Opens one kind of checkpoint.

    Attributes:
        kind: what `Checkpoint.kind` says.
        label: what is read, in words: "safetensors file".
        says: the same with its article and how it is recognized: "a .safetensors file".
    """

    @property
    def kind(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def says(self) -> str: ...

    def recognizes(self, path: Path) -> bool:
        """Whether `path` is of this kind, by its name and type alone."""
        ...

    def open(self, path: Path) -> Checkpoint:
        """Every tensor of it, with all headers checked."""
        ...
