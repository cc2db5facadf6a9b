"""What every checkpoint format looks like from above: tensors in files, nothing loaded.

A file format is one module with a `Reader` and, where it can be written, a `Writer`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Protocol

from ..formats import Format
from ..words.summary import brief
from ..words.units import human_bytes, shape
from .wording import facts_of, of_checkpoint


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where one tensor lies.

    Attributes:
        name: its name in the checkpoint.
        format: the number format of its elements; sub-byte elements are packed.
        shape: logical elements per dimension, () for a scalar.
        file: the data file, relative to the checkpoint's root, with forward slashes.
        offset: of its first byte, from the start of the file.
        n_bytes: what it takes there.
    """

    name: str
    format: Format
    shape: tuple[int, ...]
    file: str
    offset: int
    n_bytes: int

    def __repr__(self) -> str:
        facts = self.format.name, shape(self.shape), human_bytes(self.n_bytes)
        return brief(self, self.name, *facts)

    @property
    def n_elements(self) -> int:
        """Elements in all."""
        return prod(self.shape)


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
        kind: "safetensors" (one file) or "huggingface" (a directory).
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
    tensors: tuple[TensorInfo, ...]
    files: tuple[DataFile, ...]
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
        return self.path.parent if self.kind == "safetensors" else self.path

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
class TensorSpec:
    """A tensor to be written: what the caller decides, before the layout gives it a place."""

    name: str
    format: Format
    shape: tuple[int, ...]


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


class Reader(Protocol):
    """Opens one kind of checkpoint."""

    kind: str

    def recognizes(self, path: Path) -> bool:
        """Whether `path` is of this kind, by its name and type alone."""
        ...

    def open(self, path: Path) -> Checkpoint:
        """Every tensor of it, with all headers checked."""
        ...


class Writer(Protocol):
    """Lays out one data file; the bytes of the tensors are somebody else's to write."""

    def lay_out(
        self, file: str, tensors: list[TensorSpec], metadata: dict[str, str] | None
    ) -> Layout:
        """Header and offsets, before any data is there."""
        ...
