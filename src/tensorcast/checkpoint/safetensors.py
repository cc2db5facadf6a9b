"""safetensors files: a strict reader and a writer with the reference library's bytes.

A file is ``| n: u64 little-endian | header: n bytes of JSON | data |``. The header maps each
tensor's name to its dtype, shape and byte range in the data; the ranges cover the data without
gap or overlap. The rules are those of the format's README and of `Metadata::validate` in the
reference implementation, and stricter where that one is lenient: a header starts with "{",
no key stands twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Final

from ..errors import CheckpointError, CorruptFileError
from ..formats import Format, spelled_by
from .protocol import Checkpoint, DataFile, Layout, TensorInfo, TensorSpec
from .reading import reading
from .strict_json import corrupt, is_count, is_text, parse_object, shortened

MAX_HEADER_BYTES: Final = 100_000_000
_ALIGNMENT: Final = 8

# The reference library's dtypes "in increasing alignment order"; its writer sorts by this rank,
# highest first, then by name.
_DTYPES: Final = (
    "BOOL F4 F6_E2M3 F6_E3M2 U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ "
    "I16 U16 F16 BF16 I32 U32 F32 C64 F64 I64 U64"
).split()
_RANK: Final = {dtype: rank for rank, dtype in enumerate(_DTYPES)}


def holds(format: Format) -> bool:
    """Whether a safetensors file can store tensors of this format."""
    return format.spellings.get("safetensors") in _RANK


# -- reading -----------------------------------------------------------------------------------


def open_file(path: Path) -> Checkpoint:
    """The checkpoint in one safetensors file; no tensor data is read.

    Raises:
        CorruptFileError: the file breaks the format's rules.
        FileNotFoundError: there is no such file.
    """
    from .scaled import scaled_reason

    data_file, tensors = read_header(path, path.name)
    return Checkpoint(
        path=path,
        kind="safetensors",
        tensors=tensors,
        files=(data_file,),
        metadata=dict(data_file.metadata or {}),
        stem=path.name.removesuffix(".safetensors"),
        scaled=scaled_reason(tensors),
    )


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
    members = parse_object(header, path, offset=8)
    metadata = _metadata(members.pop("__metadata__", None), path)
    tensors = [_tensor(path, name, key, value, data_start) for key, value in members.items()]
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
    digest = hashlib.sha256(header).hexdigest()
    identity = DataFile(name, status.st_size, status.st_mtime_ns, status.st_ino, digest, metadata)
    return identity, tuple(tensors)


def open_regular(path: Path) -> int:
    """A descriptor for reading a regular file; anything else (FIFO, device, folder) is refused."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise CorruptFileError(f"{str(path)!r}: expected a regular file, found something else")
    return descriptor


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


def _tensor(path: Path, file: str, name: str, value: object, data_start: int) -> TensorInfo:
    if not is_text(name):
        raise corrupt(path, offset=8, expected="a name in valid UTF-8", found=shortened(name))
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        found = f"the keys {shortened(sorted(value))}" if isinstance(value, dict) else ""
        raise corrupt(
            path,
            tensor=name,
            offset=8,
            expected="an object of dtype, shape and data_offsets",
            found=found or shortened(value),
        )
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _RANK:
        raise corrupt(
            path,
            tensor=name,
            offset=8,
            expected=f"a dtype of {', '.join(_DTYPES)}",
            found=shortened(dtype),
        )
    format = spelled_by("safetensors", dtype)
    assert format is not None  # every dtype above has a row
    if not isinstance(shape, list) or not all(is_count(n) for n in shape):
        raise corrupt(
            path,
            tensor=name,
            offset=8,
            expected="a shape of non-negative integers",
            found=shortened(shape),
        )
    two = isinstance(offsets, list) and len(offsets) == 2
    if not two or not all(is_count(n) for n in offsets) or offsets[0] > offsets[1]:
        raise corrupt(
            path,
            tensor=name,
            offset=8,
            expected="data_offsets [begin, end], 0 <= begin <= end",
            found=shortened(offsets),
        )
    begin, end = offsets
    n_bits = format.bits
    for n in shape:
        n_bits *= n
        if n_bits >= 1 << 63:
            raise corrupt(
                path,
                tensor=name,
                offset=data_start + begin,
                expected="a size below 2^63 bits",
                found=f"the shape {shortened(shape)}, whose product overflows",
            )
    if n_bits % 8 or n_bits // 8 != end - begin:
        size = f"{n_bits // 8} bytes" if n_bits % 8 == 0 else "whole bytes"
        raise corrupt(
            path,
            tensor=name,
            offset=data_start + begin,
            expected=f"{size} for shape {shortened(shape)} of {dtype}",
            found=f"{n_bits} bits" if n_bits % 8 else f"{end - begin} bytes",
        )
    return TensorInfo(name, format, tuple(shape), file, data_start + begin, end - begin)


class SafetensorsReader:
    """The `Reader` of single files."""

    kind = "safetensors"

    def recognizes(self, path: Path) -> bool:
        """Whether the name ends in .safetensors and it is no directory."""
        return path.name.endswith(".safetensors") and not path.is_dir()

    def open(self, path: Path) -> Checkpoint:
        """See `open_file`."""
        return open_file(path)


# -- writing -----------------------------------------------------------------------------------


class SafetensorsWriter:
    """The `Writer`: the header and order of the reference library's `serialize`."""

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
            n_bits = spec.format.bits
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
                f"{file!r}: its header would take {len(text)} bytes, and readers stop at "
                f"{MAX_HEADER_BYTES}; split it with max_shard_size"
            )
        header = len(text).to_bytes(8, "little") + text
        offset = len(header)
        placed: list[TensorInfo] = []
        for spec, n_bytes in zip(ordered, sizes, strict=True):
            placed.append(TensorInfo(spec.name, spec.format, spec.shape, file, offset, n_bytes))
            offset += n_bytes
        return Layout(header, tuple(placed), offset)


def _dtype(spec: TensorSpec) -> str:
    dtype = spec.format.spellings.get("safetensors")
    if dtype not in _RANK:
        raise CheckpointError(
            f"{spec.name!r}: safetensors has no dtype for {spec.format}; "
            f"it has {', '.join(_DTYPES)}"
        )
    return dtype
