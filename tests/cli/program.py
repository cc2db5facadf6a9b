"""Small safetensors files made by hand, and the command line run as a user runs it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Tensor = tuple[str, list[int], bytes]  # dtype in safetensors' spelling, shape, data


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> Path:
    """A safetensors file, tensors in the order given."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    offset = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [offset, offset + len(data)],
        }
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    data = b"".join(data for _, _, data in tensors.values())
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def float32(*values: float) -> Tensor:
    """A one-dimensional float32 tensor."""
    return ("F32", [len(values)], struct.pack(f"<{len(values)}f", *values))


def zeros(dtype: str, shape: list[int], n_bytes: int) -> Tensor:
    return (dtype, shape, bytes(n_bytes))


Run = Callable[..., subprocess.CompletedProcess[str]]


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without what would change colours, width, errors or buffers."""
    dropped = {
        "NO_COLOR", "FORCE_COLOR", "COLUMNS", "TENSORCAST_DEBUG", "PYTHONIOENCODING",
        "PYTHONUNBUFFERED",
    }  # fmt: skip
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return {**kept, **changes}


@pytest.fixture
def tensorcast(tmp_path: Path) -> Run:
    """Runs `tensorcast ARGUMENTS...` in a process of its own, in the test's directory."""

    def run(*arguments: str | Path, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tensorcast", *map(str, arguments)],
            cwd=tmp_path,
            env=environment(**changes),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file of two like layers and an integer tensor, all values exact in bfloat16."""
    layer: dict[str, Tensor] = {}
    for i in (0, 1):
        layer[f"layer.{i}.weight"] = (
            "F32",
            [2, 2],
            struct.pack("<4f", 1.0, -2.0, 0.5, float(i)),
        )
        layer[f"layer.{i}.bias"] = float32(0.25, -3.0)
    tensors = {"ids": zeros("I64", [3], 24), **layer}
    return write_safetensors(tmp_path / "model.safetensors", tensors, {"format": "pt"})


def patched(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own, in which this Python code ran before."""
    program = f"{code}\nfrom tensorcast.cli import main\nmain()\n"
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
