"""A format that is added as one line of formats.py's table works everywhere, in a scratch copy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

ROW = "float8_e2m5fn 2 5 1 - none - - F8_E2M5:22 - - - e2m5"
NEXT = "float8_e3m4 "  # stands before this one
# an editable install has a finder that comes before any path
CASE = """
import runpy, sys
sys.meta_path[:] = [each for each in sys.meta_path if "Redirecting" not in type(each).__name__]
sys.path[:0] = ["src", "tests"]
runpy.run_path("tests/new_format_case.py", run_name="__main__")
"""


def scratch_copy(folder: Path) -> None:
    for name in ("src", "cpp", "tests"):
        left_out = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(ROOT / name, folder / name, ignore=left_out)
    shutil.copy(ROOT / "CMakeLists.txt", folder)
    table = folder / "src" / "tensorcast" / "formats.py"
    lines = table.read_text().splitlines(keepends=True)
    (place,) = [i for i, line in enumerate(lines) if line.startswith(NEXT)]
    table.write_text("".join([*lines[:place], f"{ROW}\n", *lines[place:]]))


def build(folder: Path) -> None:
    """The extension of the copy, put beside its Python files."""
    programs = str(Path(sys.executable).parent)
    cmake = shutil.which("cmake", path=programs) or shutil.which("cmake")
    if cmake is None:
        pytest.skip("there is no cmake")
    choices = [f"-DPython_EXECUTABLE={sys.executable}"]
    if ninja := shutil.which("ninja", path=programs):
        choices += ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
    made = folder / "build"
    subprocess.run([cmake, "-S", folder, "-B", made, *choices], check=True)
    subprocess.run([cmake, "--build", made, "--parallel"], check=True)
    (extension,) = made.glob("_core*.so")
    shutil.copy(extension, folder / "src" / "tensorcast")


@pytest.mark.exhaustive
@pytest.mark.timeout(0)
def test_a_format_is_one_line(tmp_path: Path) -> None:
    copy, files = tmp_path / "copy", tmp_path / "files"
    files.mkdir()
    scratch_copy(copy)
    build(copy)
    case = [sys.executable, "-c", CASE, files]
    done = subprocess.run(case, cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
