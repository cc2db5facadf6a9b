"""A virtual environment per contender, made once under bench/data/venvs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from .data import DATA
from .machine import ROOT

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "torch": ("torch==2.13.0", "safetensors", "transformers", "numpy", "gguf"),
    "mergekit": ("mergekit",),
}
_VERSIONS = """
import importlib.metadata as m, json, sys
found = {}
for name in sys.argv[1:]:
    try: found[name] = m.version(name)
    except m.PackageNotFoundError: found[name] = None
print(json.dumps(found))
"""


def _pip(folder: Path, *arguments: str) -> None:
    quiet = ("--disable-pip-version-check", "--quiet")
    subprocess.run([folder / "bin/python", "-m", "pip", *quiet, *arguments], check=True)


def _made(folder: Path, stamp: str) -> bool:
    try:
        return (folder / "stamp").read_text() == stamp
    except OSError:
        return False


def environment(name: str, root: Path = DATA) -> Path:
    """The bin directory of a contender's environment.

    Raises:
        subprocess.CalledProcessError: it cannot be installed here.
    """
    folder = root / "venvs" / name
    wanted = REQUIREMENTS[name]
    if not _made(folder, repr(wanted)):
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        _pip(folder, "install", *wanted)
        (folder / "stamp").write_text(repr(wanted))
    return folder / "bin"


def tensorcast_environment(root: Path = DATA) -> Path:
    """The bin directory of an environment with tensorcast built from this tree, not editable."""
    folder = root / "venvs" / "tensorcast"
    sources = [ROOT / "pyproject.toml", ROOT / "CMakeLists.txt"]
    sources += [path for folder in ("cpp", "src") for path in (ROOT / folder).rglob("*")]
    digest = hashlib.sha256()
    for path in sorted(sources):
        if path.suffix in (".py", ".cpp", ".hpp", ".toml", ".txt"):
            digest.update(path.read_bytes())
    if not _made(folder, digest.hexdigest()):
        if not (folder / "bin/python").exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        # in a build directory of its own: the tree's may be in use
        build = f"-Cbuild-dir={root.absolute() / 'build'}"
        _pip(folder, "install", "--force-reinstall", build, str(ROOT))
        (folder / "stamp").write_text(digest.hexdigest())
    return folder / "bin"


def versions_in(bin_directory: Path, *packages: str) -> dict[str, str | None]:
    """Versions of packages in another environment; None where one is not there."""
    command = [bin_directory / "python", "-c", _VERSIONS, *packages]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, str | None] = json.loads(done.stdout)
    return found
