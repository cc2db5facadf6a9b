"""One file of weights, with what lies beside it and says how its numbers are meant."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..conventions.beside import headers_of, surroundings
from ..conventions.detection import has_codes, scaled_reason
from ..conventions.siblings import scales_beside
from ..files.weight_names import weight_name
from ..protocol import Checkpoint, DataFile, FileFormat, ReadHeader, TensorInfo


@dataclass(frozen=True)
class FileReader:
    """The `Reader` of single files of one format.

    Attributes:
        format: of the file.
        read_header: of a file of any format, for those beside it.
    """

    format: FileFormat
    read_header: ReadHeader

    @property
    def kind(self) -> str:
        """The format's name."""
        return self.format.kind

    @property
    def label(self) -> str:
        """What is read, in words."""
        return f"{self.format.kind} file"

    @property
    def says(self) -> str:
        """What is read, and how it is recognized."""
        return f"a {self.format.ending} file"

    def recognizes(self, path: Path) -> bool:
        """Whether the name ends as the format's files do, and it is no directory."""
        return path.name.endswith(self.format.ending) and not path.is_dir()

    def open(self, path: Path) -> Checkpoint:
        """The checkpoint in the file; no tensor data is read.

        Raises:
            CorruptFileError: the file breaks the format's rules.
            FileNotFoundError: there is no such file.
        """
        data_file, tensors = self.format.read_header(path, path.name)
        name = weight_name(path.name)
        named = name if name and not name.is_shard else None
        return Checkpoint(
            path=path,
            kind=self.kind,
            label=self.label,
            tensors=tensors,
            files=(data_file,),
            metadata=dict(data_file.metadata or {}),
            stem=named.stem if named else path.name.removesuffix(self.format.ending),
            variant=named.variant if named else None,
            scaled=_scaled(path, data_file, tensors, self.read_header),
            remarks=data_file.remarks,
        )


def _scaled(
    path: Path, data_file: DataFile, tensors: Sequence[TensorInfo], read_header: ReadHeader
) -> str | None:
    """Why the file's weights may not be cast as plain numbers, or None."""
    coded = has_codes(tensors)
    around = surroundings(path, coded)
    headers = [data_file.metadata]
    scaled = None
    if around.shards:  # what lies beside this file may say enough
        scaled = scaled_reason(
            (), around.configs, around.files, headers, place=" beside it", coded=coded
        )
    if scaled is None:  # the scales of this file's weights may lie in another
        others, metadata, broken = headers_of(around.shards, read_header)
        scaled = scaled_reason(
            [*others, *tensors],
            around.configs,
            around.files,
            [*headers, *metadata],
            names=around.names,
            unread=[*around.unread, *broken],
            absent=around.absent,
            place=" beside it",
        )
    if scaled is None and coded:
        real = Path(os.path.realpath(path))
        taken = {path.name, real.name, *(shard.name for shard in around.shards)}
        scaled = scales_beside(
            tensors, (path.parent, real.parent), around.files, taken, read_header
        )
    return scaled
