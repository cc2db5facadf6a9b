"""Whatever is done to memory that is shared, the process lives, nothing reads memory that belongs
to others by then, and read-only memory is not written. The cases are in lifetime_cases.py; each
group runs in a process of its own, so that a crash is a failure with the name of its case.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bridges.lifetime_cases import GROUPS
from sharing_matrix import installed

pytest.importorskip("torch", reason="no torch")


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_crashes(group: str) -> None:
    if group != "python" and not installed(group):
        pytest.skip(f"no {group}")
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("lifetime_cases.py"), group],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "MALLOC_PERTURB_": "165"},
    )
    passed = "".join(f"{case.__name__}: ok\n" for case in GROUPS[group])
    assert (done.returncode, done.stdout) == (0, passed), done.stderr[-3000:]


def test_what_aborts_is_known() -> None:
    """The reason for reading DLPack ourselves; when torch mends it, this says so."""
    code = "import numpy, torch; torch.from_dlpack(numpy.arange(3.0)[::-1])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
