"""The bytes of a profile against what the system and torch's allocators say, each in a process of
its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

# glibc gives every large block back to the system when it is freed, so that the resident size
# follows what torch holds
ENVIRONMENT = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "TENSORCAST_NUM_THREADS": "1"}

PROGRAM = """
import gc, json, sys
import torch
import tensorcast as tc

torch.set_num_threads(1)

class Block(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.a, self.b = torch.nn.Linear(n, 4 * n), torch.nn.Linear(4 * n, n)
        self.norm = torch.nn.LayerNorm(n)

    def forward(self, x):
        return x + self.b(torch.nn.functional.gelu(self.a(self.norm(x))))

def status(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))

def model(layers):
    made = torch.nn.Sequential(*[Block(768) for _ in range(layers)])
    return made, torch.randn(384, 768)

trains = sys.argv[1] == "trains"
one, x = model(1)  # what libraries keep for themselves, they have from here on
tc.profile(one, x)
one(x).sum().backward()
optimizer = torch.optim.Adam(one.parameters())
optimizer.step()
del one, x, optimizer
gc.collect()

base = status("VmRSS")
net, x = model(6)
optimizer = None
if trains:
    optimizer = torch.optim.Adam(net.parameters())
    net(x).sum().backward()
    optimizer.step()
gc.collect()
held = status("VmRSS") - base
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak begins here
with torch.set_grad_enabled(trains):
    result = net(x)
peak = status("VmHWM") - base
del result
with torch.set_grad_enabled(trains):
    p = tc.profile(net, x, optimizer=optimizer)
activations = p.n_bytes_of("activation")
print(json.dumps([held, peak, p.n_bytes_of() - activations, p.n_bytes_of()]))
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="no /proc to ask")
@pytest.mark.parametrize("way", [pytest.param("infers", marks=pytest.mark.exhaustive), "trains"])
def test_bytes_are_what_the_system_says(way: str, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(script), way],
        env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    held, peak, counted_held, counted = json.loads(done.stdout)
    assert held > (400e6 if way == "trains" else 110e6)
    assert counted_held == pytest.approx(held, rel=0.02)
    assert counted == pytest.approx(peak, rel=0.02)


def layers(kind: str) -> tuple[Any, Any]:
    nn = torch.nn
    if kind == "transformer":
        layer = nn.TransformerEncoderLayer(256, 4, 1024, batch_first=True)
        return layer.eval(), torch.randn(8, 64, 256)
    if kind == "recurrent":
        return nn.LSTM(64, 128, 2, batch_first=True), torch.randn(8, 50, 64)
    convolutions = [nn.Conv2d(3, 32, 5), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 64, 3)]
    return nn.Sequential(*convolutions, nn.MaxPool2d(2)), torch.randn(4, 3, 48, 48)


@pytest.mark.parametrize("grad", [False, True], ids=["no grad", "grad"])
@pytest.mark.parametrize("kind", ["transformer", "recurrent", "convolutions"])
def test_bytes_are_what_torchs_allocator_says(kind: str, grad: bool) -> None:
    """On the CPU, by its profiler: the blocks that a forward takes and gives back."""
    from torch.profiler import ProfilerActivity, profile

    import tensorcast as tc

    model, x = layers(kind)
    with torch.set_grad_enabled(grad):
        model(x)
        found = tc.profile(model, x)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            result = model(x)
    alive = peak = 0
    blocks = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(blocks, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    del result
    assert found.n_bytes_of("activation") == pytest.approx(peak, rel=0.02)


def test_bytes_are_what_the_gpus_allocator_says() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA")
    import tensorcast as tc

    model: Any = torch.nn.Sequential(*[torch.nn.Linear(2048, 2048) for _ in range(4)]).cuda()
    x = torch.randn(4096, 2048, device="cuda")
    model(x)  # cuBLAS takes its workspace
    torch.cuda.synchronize()
    p = tc.profile(model, x)
    assert p.peak is not None
    assert p.peak.n_bytes == pytest.approx(p.peak.allocator, rel=0.02)
