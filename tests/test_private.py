"""Without what rests on private knowledge, results are the same, and what needs it says so."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tensorcast.kernels.private import PRIVATE

SCRIPT = """
import hashlib, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import numpy as np
import torch
import tensorcast as tc

found = hashlib.sha256()
def add(x):
    found.update(np.ascontiguousarray(x.numpy() if isinstance(x, torch.Tensor) else x).tobytes())

x = torch.linspace(-3, 3, 1001)
for _ in range(3):
    add(tc.cast(x, "float16"))
    add(tc.cast(x[::3], "int8", rounding="down"))
    add(tc.cast(x.numpy(), "float16"))
    add(tc.as_tensor(x.numpy(), "float64"))
    add(tc.as_tensor(bytearray(b"abcd")))
add(tc.as_tensor([[1, 2.5], [True, -3]], "float32"))
add(tc.as_tensor([[2**40, 5], (6, -7)], "int64"))
add(tc.as_tensor([x, x], "float16"))
try:
    from PIL import Image
except ImportError:
    pass
else:
    image = Image.frombytes("L", (5000, 4000), bytes(i % 251 for i in range(20_000_000)))
    add(tc.as_tensor(image))
print(found.hexdigest())
w = torch.nn.Linear(4, 4)
before = w.weight.detach().clone()
try:
    tc.cast_(w, "float16")
    assert torch.equal(w.weight, before.half())
    print("in place")
except tc.errors.InPlaceError as error:
    assert torch.equal(w.weight, before)
    print(error)
"""


def run(without: str) -> list[str]:
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "TENSORCAST_WITHOUT": without},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines() + done.stderr.splitlines()


@pytest.fixture(scope="module")
def with_all() -> list[str]:
    return run("")


def test_with_all(with_all: list[str]) -> None:
    assert with_all[1:] == ["in place"]


@pytest.mark.parametrize("name", [*PRIVATE, "all"])
def test_without(name: str, with_all: list[str]) -> None:
    names = ",".join(PRIVATE) if name == "all" else name
    digest, in_place = run(names)
    assert digest == with_all[0]
    if name in ("all", "torch-use-counts"):
        assert "TENSORCAST_WITHOUT=torch-use-counts is set" in in_place
    else:
        assert in_place == "in place"


def test_a_name_that_is_none() -> None:
    said = run("torch_functions")
    assert any(
        "nothing is called 'torch_functions'; there are pillow-rows" in line for line in said
    )
