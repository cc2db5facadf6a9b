"""What only looks or answers loads nothing heavy: the start is most of its time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli.program import environment

# what takes long to import, and what a terminal only needs
HEAVY = {
    "asyncio",
    "importlib.metadata",
    "ml_dtypes",
    "multiprocessing",
    "numpy",
    "rich",
    "safetensors",
    "tensorcast.kernels",
    "torch",
}


def loaded(arguments: list[str], cwd: Path) -> set[str]:
    """The modules in a process that ran the command line."""
    code = (
        "import sys, json\n"
        "from tensorcast.cli.app import run\n"
        f"code = run({arguments!r})\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["inspect", "--help"],
        ["convert", "--help"],
        ["diff", "--help"],
        ["formats"],
        ["formats", "--json"],
        ["formats", "bf16"],
        ["inspect", "model.safetensors"],
        ["inspect", "--json", "model.safetensors"],
        ["convert", "model.safetensors", "out.safetensors", "--to", "bf16", "--dry-run"],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("model")
def test_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    assert not loaded(arguments, tmp_path) & HEAVY


@pytest.mark.usefixtures("model")
def test_a_conversion_needs_neither_numpy_nor_rich(tmp_path: Path) -> None:
    arguments = [
        "convert",
        "model.safetensors",
        "out.safetensors",
        "--to",
        "bf16",
        "--report",
        "--verify",
    ]
    assert not loaded(arguments, tmp_path) & (HEAVY - {"tensorcast.kernels"})


@pytest.mark.parametrize("command", ["--help", "formats"])
def test_only_what_is_called_is_loaded(tmp_path: Path, command: str) -> None:
    modules = loaded([command], tmp_path)
    assert not {name for name in modules if name.startswith("tensorcast.checkpoint")}
    assert "tensorcast.cli.convert" not in modules
