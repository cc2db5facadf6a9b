"""Other files beside the weights that hold their scales."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from ...errors import TensorcastError
from ..files.strict_json import shortened
from ..protocol import ReadHeader, TensorInfo
from .configuration import scale_files
from .scale_pairs import codes_of, named_alike
from .scale_shapes import fits_as_scale

_SHOWN: Final = 3
_MOST_FILES: Final = 64
_HEADER_BYTES: Final = 1_000_000


def scales_beside(
    tensors: Sequence[TensorInfo],
    directories: Iterable[Path],
    files: Sequence[str],
    taken: Collection[str],
    read_header: ReadHeader,
) -> str | None:
    """What says that the scales of these tensors' codes lie in another file, or None.

    A file of scales is called so; or it is a safetensors file with fewer elements than the codes,
    where a tensor is called or shaped like the scale of codes of the same name.

    Args:
        tensors: of the weights.
        directories: where the files may lie.
        files: their names.
        taken: names of those that hold the weights.
    """
    codes = codes_of(tensors, 1)
    n = sum(each.n_elements for each in codes)
    others = [name for name in files if name not in taken]
    if not codes or not others:
        return None
    said = scale_files(others)
    reasons = [f"the file {name!r} lies beside it" for name in said]
    small = [
        (size, path)
        for name in others
        if name.endswith(".safetensors") and name not in said
        for path in _there(directories, name)
        if (size := path.stat().st_size) <= n + _HEADER_BYTES
    ]
    for _, path in sorted(small)[:_MOST_FILES]:
        try:
            _, found = read_header(path, path.name)
        except (OSError, TensorcastError):
            continue
        if sum(each.n_elements for each in found) > n:
            continue
        for name in islice(_scales(found, codes), 1):
            reasons.append(f"the file {path.name!r} beside it has {shortened(name)}")
    return "; ".join(reasons[:_SHOWN]) or None


def _there(directories: Iterable[Path], name: str) -> list[Path]:
    paths = [directory / name for directory in dict.fromkeys(directories)]
    return [path for path in paths if path.is_file()][:1]


def _scales(found: Sequence[TensorInfo], codes: Sequence[TensorInfo]) -> Iterable[str]:
    by_name = {each.name: each for each in codes}
    if found and all(_is_smaller(each, by_name.get(each.name)) for each in found):
        yield found[0].name
    for name, _ in named_alike(found, codes):
        yield name


def _is_smaller(tensor: TensorInfo, codes: TensorInfo | None) -> bool:
    """Whether a tensor of the same name is smaller and shaped like a scale."""
    if codes is None or tensor.n_elements >= codes.n_elements:
        return False
    return fits_as_scale(tensor.shape, codes.shape)
