"""`tensorcast profile`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.program import Run

torch = pytest.importorskip("torch")

MODELS = """
import torch

class Loud(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.first = torch.nn.Linear(4, 8, dtype=torch.bfloat16)
        self.second = torch.nn.Linear(8, 2, dtype=torch.bfloat16)
        self.factor = factor

    def forward(self, x, scale=1):
        return self.second(self.first(x) * self.factor * scale)

def weights():
    return Loud(1)

def clean():
    return Loud(1), torch.ones(3, 4, dtype=torch.bfloat16)

def loud():
    print("said")
    return Loud(1), (torch.ones(3, 4, dtype=torch.bfloat16),), {"scale": 1e7}

def keywords():
    return Loud(1), {"x": torch.ones(3, 4, dtype=torch.bfloat16), "scale": 1}

def fails():
    raise ValueError("no weights here")

def wrong():
    return Loud(1), torch.ones(3, 5, dtype=torch.bfloat16)

def five():
    return 1, 2, 3, 4, 5
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    path = tmp_path / "models.py"
    path.write_text(MODELS)
    return path


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("target", ["models:weights", "models.py:clean", "models:keywords"])
def test_clean_models(tensorcast: Run, target: str) -> None:
    done = tensorcast("profile", target)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "no findings"
    assert "parameters" in done.stdout


@pytest.mark.usefixtures("models")
def test_json(tensorcast: Run) -> None:
    done = tensorcast("profile", "--json", "--no-grad", "models:loud")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert done.stderr == "said\n"
    assert found["findings"][0]["what"].startswith("float16: second's output reaches ")
    assert found["findings"][0]["where"]["file"].endswith("models.py")
    assert found["tensorcast"]["command"] == "profile"
    assert found["schema"] == 1
    assert found["n_bytes"]["parameter"] == 2 * (4 * 8 + 8 + 8 * 2 + 2)


@pytest.mark.usefixtures("models")
def test_html(tensorcast: Run, tmp_path: Path) -> None:
    done = tensorcast("profile", "--html", "report.html", "models:clean")
    assert done.returncode == 0
    assert done.stderr.startswith("report  report.html (")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h1>models:clean</h1>" in page
    assert '<section id="ranges"' in page
    refused = tensorcast("profile", "--html", "models.py", "models:loud")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "models.py is no report of tensorcast and is not replaced" in refused.stderr


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("models", "'models' names no function; write it as package.module:function or"),
        ("nomodels:f", "there is no module 'nomodels' here"),
        ("nofile.py:f", "there is no file 'nofile.py'"),
        ("models:weihts", "models has no 'weihts'; did you mean 'weights'?"),
        ("models:zzz", "models has no 'zzz'; it has Loud, weights, clean"),
        ("models:five", "the function returned a tuple of 5; return the model, (model, inputs)"),
    ],
)
def test_bad_usage(tensorcast: Run, target: str, said: str) -> None:
    done = tensorcast("profile", target)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


@pytest.mark.usefixtures("models")
def test_the_function_fails(tensorcast: Run) -> None:
    done = tensorcast("profile", "models:fails")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == "ValueError: no weights here"
    assert "tensorcast" not in done.stderr


@pytest.mark.usefixtures("models")
def test_a_forward_that_fails_shows_what_was_seen(tensorcast: Run) -> None:
    done = tensorcast("profile", "models:wrong")
    assert done.returncode == 1
    assert "RuntimeError" in done.stderr.splitlines()[-1]
    assert done.stdout.startswith("the forward raised RuntimeError: ")
    assert "return self.second(self.first(x)" in done.stdout
    assert "parameters" in done.stdout
