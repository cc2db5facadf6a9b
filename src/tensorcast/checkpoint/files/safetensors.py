"""safetensors files: a strict reader and a writer with the reference library's bytes.

A file is ``| n: u64 little-endian | header: n bytes of JSON | data |``. The header maps each
tensor's name to its dtype, shape and byte range in the data; the ranges cover the data without
gap or overlap. The rules are those of the format's README and of `Metadata::validate` in the
reference implementation, and stricter where that one is lenient: no key stands twice, and "-0" is
no count. As there, white space may stand before the "{", and keys that nobody knows in a tensor's
entry are passed over.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Final, NamedTuple

from ...errors import CheckpointError, CorruptFileError
from ...formats import FORMATS, Format, spelled_by
from ..protocol import DataFile, FileFormat, Layout, Stored, TensorInfo, TensorSpec
from ..store.regular_files import open_regular, reading
from .strict_json import corrupt, is_count, is_text, parse_object, shortened

MAX_HEADER_BYTES: Final = 100_000_000
_ALIGNMENT: Final = 8

# the reference library's writer sorts by this rank, highest first, then by name
_RANK: Final = {
    row.spellings["safetensors"]: row.safetensors_rank
    for row in FORMATS.values()
    if row.safetensors_rank is not None
}
_SPELLED: Final = {dtype: dtype for dtype in _RANK}  # one string for all tensors
_SHOWN: Final = 3
# ,:{"dtype":"F8_E4M3FNUZ","shape":[],"data_offsets":[,]}, and two offsets of 19 digits
_ENTRY_BYTES: Final = 96


def holds(format: Stored) -> bool:
    """Whether a safetensors file can store tensors of this format."""
    return isinstance(format, Format) and format.spellings.get("safetensors") in _RANK


def read_header(path: Path, name: str) -> tuple[DataFile, tuple[TensorInfo, ...]]:
    """One file's identity and its tensors in the order of their offsets.

    Args:
        path: of the file.
        name: what `TensorInfo.file` shall say.
    """
    descriptor = open_regular(path)
    try:
        status = os.fstat(descriptor)
        header = _header_bytes(descriptor, path, status.st_size)
    finally:
        os.close(descriptor)
    data_start = 8 + len(header)
    digest = hashlib.sha256(header).hexdigest()
    entries = _Entries()
    members = parse_object(header, path, offset=8, convert=entries.convert)
    del header
    metadata = _metadata(members.pop("__metadata__", None), path)
    tensors = []
    for key in list(members):  # taken out one by one: a header may list very many
        tensors.append(_tensor(path, name, key, members.pop(key), data_start))
    tensors.sort(key=lambda tensor: (tensor.offset, tensor.n_bytes))
    position = data_start
    for tensor in tensors:
        if tensor.offset != position:
            kind = "an overlap" if tensor.offset < position else "a gap"
            raise corrupt(
                path,
                tensor=tensor.name,
                offset=tensor.offset,
                expected=f"data at byte {position}, right behind the tensor before it",
                found=f"{kind}: data at byte {tensor.offset}",
            )
        position += tensor.n_bytes
    if position != status.st_size:
        missing = position > status.st_size
        first = next((t for t in tensors if t.offset + t.n_bytes > status.st_size), None)
        raise corrupt(
            path,
            tensor=first.name if first else None,
            offset=status.st_size if missing else position,
            expected=f"a file of {position} bytes",
            found=f"{status.st_size} bytes ({'truncated' if missing else 'trailing data'})",
        )
    identity = DataFile(
        name,
        status.st_size,
        status.st_mtime_ns,
        status.st_ino,
        digest,
        metadata,
        entries.remarks(name),
    )
    return identity, tuple(tensors)


def _header_bytes(descriptor: int, path: Path, size: int) -> bytes:
    with reading(path, 0):
        prefix = os.pread(descriptor, 8, 0)
    if len(prefix) < 8:
        raise corrupt(
            path, offset=0, expected="8 bytes of header length", found=f"a file of {size} bytes"
        )
    n = int.from_bytes(prefix, "little")
    if n > MAX_HEADER_BYTES:
        raise corrupt(
            path,
            offset=0,
            expected=f"a header of at most {MAX_HEADER_BYTES} bytes",
            found=f"a header length of {n}",
        )
    if 8 + n > size:
        raise corrupt(
            path,
            offset=0,
            expected=f"a header that ends inside the file of {size} bytes",
            found=f"a header length of {n}",
        )
    pieces = bytearray()
    while len(pieces) < n:
        with reading(path, 8 + len(pieces)):
            piece = os.pread(descriptor, n - len(pieces), 8 + len(pieces))
        if not piece:
            raise corrupt(path, offset=8 + len(pieces), expected="the header", found="end of file")
        pieces += piece
    return bytes(pieces)


def _metadata(value: object, path: Path) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise corrupt(
            path, offset=8, expected="__metadata__ to be an object", found=shortened(value)
        )
    metadata: dict[str, str] = {}
    for key, text in value.items():
        if not is_text(key) or not is_text(text):
            raise corrupt(
                path,
                offset=8,
                expected="__metadata__ to map strings to strings",
                found=f"{shortened(key)}: {shortened(text)}",
            )
        metadata[key] = text
    return metadata


class _Entry(NamedTuple):
    """What a header says of a tensor, not yet checked."""

    dtype: object
    shape: object
    offsets: object


class _Entries:
    """Makes an `_Entry` of each of a header's objects while it is parsed. Equal shapes are one."""

    KEYS: Final = ("dtype", "shape", "data_offsets")

    def __init__(self) -> None:
        self._shapes: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._unknown: dict[str, int] = {}

    def convert(self, members: dict[str, object]) -> object:
        """The entry; the members themselves where they are no entry."""
        dtype = members.get("dtype")
        if not isinstance(dtype, str) or not all(key in members for key in self.KEYS):
            return members
        if len(members) > len(self.KEYS):
            for key in members.keys() - set(self.KEYS):
                if key in self._unknown or len(self._unknown) < _SHOWN:
                    self._unknown[key] = self._unknown.get(key, 0) + 1
        shape = members["shape"]
        if isinstance(shape, list) and all(type(n) is int for n in shape):
            kept = tuple(shape)
            shape = self._shapes.setdefault(kept, kept)
        return _Entry(_SPELLED.get(dtype, dtype), shape, members["data_offsets"])

    def remarks(self, file: str) -> tuple[str, ...]:
        """A sentence for each unknown key."""
        return tuple(
            f"{file}: {shortened(key)} in the header is no key of safetensors; it was passed over "
            f"in {n} tensor{'s' if n > 1 else ''}"
            for key, n in self._unknown.items()
        )


def _tensor(path: Path, file: str, name: str, value: object, data_start: int) -> TensorInfo:
    if not is_text(name):
        raise corrupt(path, offset=8, expected="a name in valid UTF-8", found=shortened(name))
    if isinstance(value, dict) and all(key in value for key in _Entries.KEYS):
        value = _Entry(value["dtype"], value["shape"], value["data_offsets"])
    if not isinstance(value, _Entry):
        found = f"the keys {shortened(sorted(value))}" if isinstance(value, dict) else ""
        raise corrupt(
            path,
            tensor=name,
            offset=8,
            expected="an object of dtype, shape and data_offsets",
            found=found or shortened(value),
        )
    dtype, shape, offsets = value
    dimensions = list(shape) if isinstance(shape, tuple) else shape
    if not isinstance(dtype, str) or dtype not in _RANK:
        raise corrupt(
            path,
            tensor=name,
            offset=8,
            expected=f"a dtype of {', '.join(sorted(_RANK, key=_RANK.__getitem__))}",
            found=shortened(dtype),
        )
    format = spelled_by("safetensors", dtype)
    assert format is not None  # every dtype above has a row
    if not isinstance(shape, tuple) or not all(is_count(n) for n in shape):
        raise corrupt(
            path,
            tensor=name,
            offset=8,
            expected="a shape of non-negative integers",
            found=shortened(dimensions),
        )
    begin, end = offsets if isinstance(offsets, list) and len(offsets) == 2 else (None, None)
    if not is_count(begin) or not is_count(end) or begin > end:
        raise corrupt(
            path,
            tensor=name,
            offset=8,
            expected="data_offsets [begin, end], 0 <= begin <= end",
            found=shortened(offsets),
        )
    n_bits = format.bits
    for n in shape:
        n_bits *= n
        if n_bits >= 1 << 63:
            raise corrupt(
                path,
                tensor=name,
                offset=data_start + begin,
                expected="a size below 2^63 bits",
                found=f"the shape {shortened(dimensions)}, whose product overflows",
            )
    if n_bits % 8 or n_bits // 8 != end - begin:
        size = f"{n_bits // 8} bytes" if n_bits % 8 == 0 else "whole bytes"
        raise corrupt(
            path,
            tensor=name,
            offset=data_start + begin,
            expected=f"{size} for shape {shortened(dimensions)} of {dtype}",
            found=f"{n_bits} bits" if n_bits % 8 else f"{end - begin} bytes",
        )
    return TensorInfo(name, format, shape, file, data_start + begin, end - begin)


def begins_like_one(path: Path) -> bool:
    """Whether a regular file of any name starts as a safetensors file does."""
    try:
        descriptor = open_regular(path)
    except (OSError, CorruptFileError):
        return False
    try:
        begin = os.pread(descriptor, 9, 0)
        size = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    return begin[8:] == b"{" and 8 + int.from_bytes(begin[:8], "little") <= size


class SafetensorsWriter:
    """The `Writer`: the header and order of the reference library's `serialize`."""

    max_header_bytes = MAX_HEADER_BYTES

    def holds(self, format: Stored) -> bool:
        """Whether the format has a safetensors dtype."""
        return holds(format)

    def entry_bytes(self, spec: TensorSpec) -> int:
        """At most how many bytes of a header tell of a tensor."""
        name = len(json.dumps(spec.name, ensure_ascii=False).encode("utf-8", "replace"))
        dimensions = sum(len(str(n)) + 1 for n in spec.shape)
        return name + dimensions + _ENTRY_BYTES

    def lay_out(
        self, file: str, tensors: list[TensorSpec], metadata: dict[str, str] | None
    ) -> Layout:
        """Widest dtype first, then by name; the header padded with spaces to 8 bytes.

        The reference library writes the keys of `metadata` in a random order; here they are
        sorted, so that the same tensors give the same bytes.

        Raises:
            CheckpointError: a format has no safetensors dtype, a tensor does not end on a
                whole byte, or the header would be too long for readers.
        """
        dtypes = {spec.name: _dtype(spec) for spec in tensors}
        ordered = sorted(tensors, key=lambda spec: (-_RANK[dtypes[spec.name]], spec.name))
        members: dict[str, object] = {}
        if metadata is not None:
            members["__metadata__"] = dict(sorted(metadata.items()))
        sizes: list[int] = []
        position = 0
        for spec in ordered:
            n_bits = spec.numbers.bits
            for n in spec.shape:
                n_bits *= n
            if n_bits % 8:
                raise CheckpointError(
                    f"{spec.name!r}: {n_bits} bits of {spec.format} do not fill whole bytes, "
                    "which safetensors needs; keep this tensor in its format"
                )
            sizes.append(n_bits // 8)
            members[spec.name] = {
                "dtype": dtypes[spec.name],
                "shape": list(spec.shape),
                "data_offsets": [position, position + sizes[-1]],
            }
            position += sizes[-1]
        text = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        text += b" " * (-len(text) % _ALIGNMENT)
        if len(text) > MAX_HEADER_BYTES:
            raise CheckpointError(
                f"{file!r}: its header would take {len(text):,} bytes, and readers stop at "
                f"{MAX_HEADER_BYTES:,}. Split it: with max_shard_size the result is a directory of "
                "several files, each with a header of its own"
            )
        header = len(text).to_bytes(8, "little") + text
        offset = len(header)
        placed: list[TensorInfo] = []
        for spec, n_bytes in zip(ordered, sizes, strict=True):
            placed.append(TensorInfo(spec.name, spec.format, spec.shape, file, offset, n_bytes))
            offset += n_bytes
        return Layout(header, tuple(placed), offset)


def _dtype(spec: TensorSpec) -> str:
    dtype = spec.numbers.spellings.get("safetensors")
    if not holds(spec.format) or dtype not in _RANK:
        raise CheckpointError(
            f"{spec.name!r}: safetensors has no dtype for {spec.format.name}; "
            f"it has {', '.join(sorted(_RANK, key=_RANK.__getitem__))}"
        )
    return dtype


SAFETENSORS: Final = FileFormat(
    kind="safetensors",
    ending=".safetensors",
    read_header=read_header,
    begins_like_one=begins_like_one,
    writer=SafetensorsWriter(),
)
