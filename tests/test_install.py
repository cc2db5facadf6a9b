"""Installing without a compiler ends with a sentence that says what to install."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

TOOLS = "awk bash cat dirname env find getconf make sed sh touch uname".split()


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH has what make needs, and no compiler."""
    for tool in TOOLS:
        found = shutil.which(tool)
        if found is None:
            pytest.skip(f"no {tool}")
        (tmp_path / tool).symlink_to(found)
    kept = {key: value for key, value in os.environ.items() if key not in ("CXX", "CC")}
    return {**kept, "PATH": str(tmp_path), "MAKEFLAGS": ""}


def test_make_says_what_to_install(bare: dict[str, str]) -> None:
    done = subprocess.run(
        ["make", "compiler"], cwd=ROOT, env=bare, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "No C++ compiler was found. Install g++ 12 or newer, or clang" in done.stderr
    assert "apt install g++" in done.stderr
    named = subprocess.run(
        ["make", "compiler", "CXX=/nowhere/g++"],
        cwd=ROOT, env=bare, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "under the name /nowhere/g++" in named.stderr


def test_cmake_says_what_to_install(bare: dict[str, str], tmp_path: Path) -> None:
    tools = Path(sys.executable).parent
    cmake, ninja = tools / "cmake", tools / "ninja"
    if not cmake.exists() or not ninja.exists():
        pytest.skip("no cmake and ninja beside this Python")
    where = ["-S", ROOT, "-B", tmp_path / "build", "-G", "Ninja"]
    done = subprocess.run(
        [cmake, *where, f"-DCMAKE_MAKE_PROGRAM={ninja}"],
        env=bare, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = " ".join(done.stderr.split())
    assert done.returncode != 0
    assert "No C++ compiler was found." in said
    assert "install g++ 12 or newer, or clang" in said
    assert len(done.stderr.splitlines()) < 15
