"""What is installed: the version in one place, the command, the stable ABI, few dependencies.

The wheel itself is built and tried in clean environments by `.ci/run`.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tensorcast
from tensorcast import _core

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTION = importlib.metadata.distribution("tensorcast")


def test_version_is_one() -> None:
    assert DISTRIBUTION.version == tensorcast.__version__
    assert f"## [{tensorcast.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_command() -> None:
    command = Path(sys.executable).parent / "tensorcast"
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert tensorcast.__version__ in done.stdout


def test_core_dependencies_are_three() -> None:
    required = [line for line in DISTRIBUTION.requires or [] if "extra ==" not in line]
    names = {re.split(r"[<>=!~ ;\[]", line)[0].replace("-", "_") for line in required}
    assert names == {"click", "ml_dtypes", "numpy"}


def test_types_are_marked() -> None:
    assert (Path(tensorcast.__file__).parent / "py.typed").exists()


def test_extension_is_abi3() -> None:
    assert (_core.__file__ or "").endswith(".abi3.so")


def test_every_file_names_the_same_oldest_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    minor = project["project"]["requires-python"].removeprefix(">=3.")
    assert project["tool"]["scikit-build"]["wheel"]["py-api"] == f"cp3{minor}"
    assert project["tool"]["ruff"]["target-version"] == f"py3{minor}"
    assert project["tool"]["mypy"]["python_version"] == f"3.{minor}"
    assert f"USE_SABI 3.{minor}" in (ROOT / "CMakeLists.txt").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="reads an ELF file")
def test_extension_brings_its_runtime_and_shows_one_symbol() -> None:
    """Neither libstdc++ nor libgcc is needed where the wheel runs; only the init is exported."""
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("readelf is not here")
    core = str(_core.__file__)

    def output(option: str) -> str:
        done = subprocess.run([readelf, "-W", option, core], capture_output=True, check=True)
        return done.stdout.decode()

    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", output("--dynamic"))
    assert needed
    assert {name.split(".")[0] for name in needed} <= {
        "libc",
        "libm",
        "libpthread",
        "ld-linux-x86-64",
    }
    exported = re.findall(r"(?:GLOBAL|WEAK) +DEFAULT +\d+ (\S+)", output("--dyn-syms"))
    assert exported == ["PyInit__core"]
