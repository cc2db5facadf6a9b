"""What the name of a destination may end in: a name says what the file is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ...errors import DestinationError
from ..kinds import endings_written, format_to_write
from ..store.replaceable import special

# endings that say "this is one file": a directory of such a name would be taken for one
_FILES: Final = (
    *".bin .pt .pth .ckpt .pkl .pickle .h5 .hdf5 .keras .msgpack .npy .npz .onnx".split(),
    *".onnx_data .gguf .ggml .ggjt .tflite .mlmodel .pb .ot .nemo .pte .engine".split(),
    *".parquet .arrow .json .txt .yaml .yml .zip .tar .gz .tgz .xz .zst .7z".split(),
)


def check_ending(destination: str | os.PathLike[str], source_name: str, *, directory: bool) -> None:
    """The destination is named as what would be written there.

    Args:
        destination: as the caller gave it.
        source_name: what a file in a directory could be called.
        directory: whether a directory would be written, or one file.

    Raises:
        DestinationError: it is not; says which endings are.
    """
    path = Path(destination)
    if what := special(path):
        raise DestinationError(f"{str(path)!r} is {what}, which is never replaced; name a file")
    name = os.path.basename(os.path.abspath(path))
    stem, ending = os.path.splitext(name)
    said = str(path)
    written = endings_written()
    of_a_file = ending.lower() in (*written, *_FILES)
    if directory:
        if of_a_file:
            raise DestinationError(
                f"{said!r}: a directory would be written, and {ending} is the ending of a file; "
                f"name it {str(path.parent / stem)!r}"
            )
        return
    if stem and ending in written:
        return
    ways = " or ".join(written)
    kind, usual = format_to_write("").kind, format_to_write("").ending
    if of_a_file:
        other = str(path.parent / stem) + usual
        raise DestinationError(
            f"{said!r}: a {kind} file would be written, and {ending} says something else. "
            f"Files are written that end in {ways}: name it {other!r}"
        )
    inside = source_name if source_name.endswith(written) else "model" + usual
    raise DestinationError(
        f"{said!r}: a {kind} file would be written, and its name has to end in {ways}. Name "
        f"it {said + usual!r}, or make the directory first and name {str(path / inside)!r}"
    )
