"""safetensors files made here by hand, byte by byte, without the code under test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from bits import numpy_dtype

from tensorcast.formats import FORMATS, Format

STORABLE = [row for row in FORMATS.values() if "safetensors" in row.spellings]


def packed(codes: np.ndarray, row: Format) -> bytes:
    """Unsigned codes as a safetensors file holds them: sub-byte ones packed, lowest bits first."""
    if row.bits >= 8:
        return np.ascontiguousarray(codes).tobytes()
    bits = np.unpackbits(codes.astype(np.uint8)[:, None], axis=1, bitorder="little")
    return np.packbits(bits[:, : row.bits].reshape(-1), bitorder="little").tobytes()


def unpacked(data: bytes, row: Format, n: int) -> np.ndarray:
    """The inverse of `packed`: unsigned codes; [n, 2] of a complex format."""
    if row.bits >= 8:
        codes = np.frombuffer(data, f"u{row.component.bits // 8}")
        return codes.reshape(-1, 2) if row.is_complex else codes
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: n * row.bits]
    return np.packbits(bits.reshape(n, row.bits), axis=1, bitorder="little").reshape(-1)


def container(header: bytes | dict[str, object], data: bytes = b"", n: int | None = None) -> bytes:
    """A file with this header and data, whatever they say; `n` overrides the header's length."""
    if isinstance(header, dict):
        header = json.dumps(header).encode()
    return (len(header) if n is None else n).to_bytes(8, "little") + header + data


def member(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def write(
    path: Path,
    tensors: Mapping[str, np.ndarray | tuple[str, list[int], bytes]],
    metadata: dict[str, str] | None = None,
) -> Path:
    """A sound file of the tensors, in the order given (not the reference library's).

    Args:
        tensors: name -> an array (NumPy or ml_dtypes), or (format, shape, bytes).
    """
    header: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    data = b""
    for name, tensor in tensors.items():
        if isinstance(tensor, tuple):
            format, shape, content = tensor
        else:
            dtype = next(
                row.name for row in STORABLE if row.bits >= 8 and numpy_dtype(row) == tensor.dtype
            )
            format, shape, content = dtype, list(tensor.shape), tensor.tobytes()
        spelled = FORMATS[format].spellings["safetensors"]
        header[name] = member(spelled, list(shape), len(data), len(data) + len(content))
        data += content
    path.write_bytes(container(header, data))
    return path


def write_directory(
    path: Path,
    shards: list[Mapping[str, np.ndarray]],
    *,
    metadata: dict[str, str] | None = None,
    extra: Mapping[str, str] | None = None,
    index_metadata: dict[str, object] | None = None,
) -> Path:
    """A Hugging Face directory of these shards; of one, without an index."""
    path.mkdir(parents=True)
    metadata = {"format": "pt"} if metadata is None else metadata
    weight_map = {}
    total = 0
    for i, shard in enumerate(shards):
        name = f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors"
        write(path / (name if len(shards) > 1 else "model.safetensors"), shard, metadata)
        weight_map.update(dict.fromkeys(shard, name))
        total += sum(tensor.nbytes for tensor in shard.values())
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": total} if index_metadata is None else index_metadata,
            "weight_map": weight_map,
        }
        (path / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    for name, text in (extra or {}).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def tensors_of(path: Path) -> dict[str, tuple[str, list[int], bytes]]:
    """dtype, shape and bytes of every tensor of a file, by its offsets."""
    content = path.read_bytes()
    n = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + n])
    header.pop("__metadata__", None)
    found = {}
    for name, info in header.items():
        begin, end = info["data_offsets"]
        found[name] = (info["dtype"], info["shape"], content[8 + n + begin : 8 + n + end])
    return found


def header_of(path: Path) -> bytes:
    """The bytes of a file before its data."""
    content = path.read_bytes()
    return content[: 8 + int.from_bytes(content[:8], "little")]
