"""Files of a directory by name: never anything outside it, but for the Hub cache's own links."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path
from typing import Final

from ...errors import UnsupportedCheckpointError
from ..files.strict_json import corrupt
from ..store.regular_files import open_regular, reading

_MAX_JSON_BYTES: Final = 100_000_000


def inside(root: Path, name: str) -> Path:
    """The file's real path, which must lie in the directory.

    One link out is no escape: the Hugging Face cache's own layout, where
    `<repo>/snapshots/<revision>/x` links to `<repo>/blobs/<hash>`; `root` is the snapshot or
    any folder of it.

    Raises:
        CorruptFileError: the file is missing.
        UnsupportedCheckpointError: it is a link that leads out.
    """
    real_root = Path(os.path.realpath(root))
    real = Path(os.path.realpath(root / name))
    try:
        os.stat(root / name)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise  # it may well be there
        kind = "a broken link" if os.path.islink(root / name) else "no such file"
        raise corrupt(root / name, expected="a file of the checkpoint", found=kind) from None
    if not real.is_relative_to(real_root) and not _is_blob(real_root, real):
        raise UnsupportedCheckpointError(_leads_out(root, name, real))
    return real


def _is_blob(real_root: Path, real: Path) -> bool:
    """Whether `real` is a blob of the repository in whose snapshot `real_root` is."""
    return any(
        folder.parent.name == "snapshots" and real.parent == folder.parent.parent / "blobs"
        for folder in (real_root, *real_root.parents)
    )


def _leads_out(root: Path, name: str, real: Path) -> str:
    quoted = shlex.quote(str(root))
    ways = f"Convert a copy that has the files themselves (cp -rL {quoted} COPY)"
    if real.name.endswith(".safetensors"):
        ways += f", or the directory where they are, {str(real.parent)!r}"
    return (
        f"{str(root / name)!r} is a link to {str(real)!r}, outside the directory, and links that "
        f"lead out are not followed. {ways}"
    )


def read_small(root: Path, name: str) -> bytes:
    """The bytes of a JSON file of the checkpoint, refused past 100 MB."""
    inside(root, name)
    descriptor = open_regular(root / name)
    with os.fdopen(descriptor, "rb") as file, reading(root / name):
        data = file.read(_MAX_JSON_BYTES + 1)
    if len(data) > _MAX_JSON_BYTES:
        size = os.path.getsize(root / name)
        raise corrupt(
            root / name, expected=f"at most {_MAX_JSON_BYTES} bytes", found=f"{size} bytes"
        )
    return data
