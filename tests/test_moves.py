"""How far the calls travel that everybody makes: files entered and moves between files, counted on
the second call, with the script that prints them."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import tensorcast as tc


def script() -> ModuleType:
    path = Path(__file__).parents[1] / "bench" / "moves.py"
    spec = importlib.util.spec_from_file_location("bench_moves", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


CALLS: dict[str, tuple[Callable[[], Any], int, int]] = {
    "as_tensor": (lambda: tc.as_tensor(bytes(64)), 8, 16),
    "to_numpy": (lambda: tc.to_numpy(torch.arange(8.0)), 8, 16),
    "report": (lambda: tc.cast(torch.arange(8.0), "float16", report=True), 9, 24),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_plain_call_goes_through_few_files(name: str) -> None:
    call, n_files, n_moves = CALLS[name]
    trip = script().trip_of(call)
    assert len(trip.files) <= n_files, trip.files
    assert trip.n_moves <= n_moves
