"""`tensorcast bench`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli.program import Run, environment

from tensorcast.capability.result import Capability


def test_a_quick_run(tensorcast: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    done = tensorcast(
        "bench", "--quick", "--seconds", "0.2", "--only", "layer_norm", "--threads", "1",
        "--device", "cpu", "--out", "capability.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = Capability.read(tmp_path / "capability.json")
    assert found.n_threads == 1
    assert found.find("layer_norm", "float32")
    lines = done.stdout.splitlines()
    assert any(line.startswith("threads   1 thread, ") for line in lines)
    assert any(line.startswith("layer_norm") for line in lines)
    assert "Not measured" in lines
    assert max(map(len, lines)) <= 100


def test_json(tensorcast: Run) -> None:
    pytest.importorskip("torch")
    done = tensorcast("bench", "--json", "--quick", "--seconds", "0.1", "--only", "layer_norm")
    document = json.loads(done.stdout)
    assert document["tensorcast"]["command"] == "bench"
    assert Capability.from_dict(document).casts == ()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "cast,matmull"], "'matmull' is none of cast, matmul, linear"),
        (["--out", "nowhere/capability.json"], "there is no directory 'nowhere'"),
        (["--threads", "0"], "--threads"),
        (["--seconds", "0"], "--seconds"),
        (["--device", "tpu"], "--device"),
    ],
)
def test_bad_usage(tensorcast: Run, arguments: list[str], said: str) -> None:
    done = tensorcast("bench", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_no_cuda(tensorcast: Run) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    done = tensorcast("bench", "--device", "cuda", "--seconds", "0.1")
    assert done.returncode == 1
    assert "skipped: no CUDA: torch" in done.stderr


def test_an_interruption_ends_it_and_its_process(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "tensorcast", "bench", "--only", "cast"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    first = running.stderr.readline()  # the process that measures is at work
    running.send_signal(signal.SIGINT)
    out, errors = running.communicate(timeout=60)
    assert first.startswith("measuring: ")
    assert running.returncode == 3
    assert (out, errors.splitlines()[-1]) == ("", "error: interrupted")
