"""Casts and casts in place of one tensor on several threads: every result is right or refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="torch is not installed")

PROGRAM = """
import random, threading
import torch, tensorcast as tc
from tensorcast.bridges.torch.operators import cast_op
from tensorcast.model.profile.value_reading import values_of
from tensorcast.policy import Policy

torch.set_num_threads(1)
N = 1 << 20
whole = torch.ones(N, dtype=torch.float64)
float16 = tc.lookup("float16")
out = torch.empty(N, dtype=torch.float16)

def ones(y):
    return bool((y == 1).all())

def into(x):
    tc.cast(x, "float16", out=out)
    return ones(out)

def convert(x):
    tc.cast_(x, random.choice(FORMATS))
    return True

READ = {
    "cast": lambda x: ones(tc.cast(x, "float16")),
    "strided": lambda x: ones(tc.cast(x[::2], "float16")),
    "as_tensor": lambda x: ones(tc.as_tensor(x, "float16")),
    "report": lambda x: ones(tc.cast(x, "float16", report=True)[0]),
    "measure": lambda x: tc.measure(x, "float16").amax == 1,
    "can_cast": lambda x: tc.can_cast(x, "int8"),
    "out": into,
    "packed": lambda x: ones(tc.cast(tc.cast(x, "int4", packed=True), "int8")),
    "operator": lambda x: ones(cast_op(x, float16, Policy())),
    "list": lambda x: ones(tc.as_tensor([x, x], "float16")),
    "numpy": lambda x: ones(torch.from_numpy(tc.to_numpy(x, "float16"))),
    "profile": lambda x: values_of(x).amax == 1,
    "written": lambda x: tc.cast(whole, x.dtype, out=x) is x,
    "converted": convert,
}
FORMATS = ["float32", "int32", "float64", "bfloat16"]  # none the readers cast to

def work(x, read, wrong, done):
    for _ in range(6):
        try:
            if not read(x):
                wrong.append(str(x.dtype))
        except tc.errors.CastError:
            pass
    done.set()

for name, read in READ.items():
    wrong = []
    for _ in range(2):
        x, done = torch.ones(N), threading.Event()
        thread = threading.Thread(target=work, args=(x, read, wrong, done))
        thread.start()
        while not done.is_set():
            try:
                tc.cast_(x, random.choice(FORMATS))
            except tc.errors.InPlaceError:
                pass
        thread.join()
        tc.cast_(x, "float64")  # nobody is left
        assert ones(x)
    print(name, wrong, flush=True)
"""

KINDS = ("cast", "strided", "as_tensor", "report", "measure", "can_cast", "out", "packed",
         "operator", "list", "numpy", "profile", "written", "converted")  # fmt: skip


def test_reading_on_one_thread_and_converting_on_another() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == [f"{kind} []" for kind in KINDS], done
    assert done.returncode == 0, done.stderr
