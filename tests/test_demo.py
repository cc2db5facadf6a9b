"""`make demo` on the real weights: what it does, and that the commands it ends with work."""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT

LIBRARY = ROOT / "examples" / "demo.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", LIBRARY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def demo(minilm: Path, tmp_path: Path) -> ModuleType:
    """The demo as a module that works in a directory of its own, with the weights linked in."""
    module = load()
    Path(tmp_path, "build/weights").mkdir(parents=True)
    Path(tmp_path, module.SOURCE).symlink_to(minilm)
    Path(tmp_path, ".venv/bin").mkdir(parents=True)
    Path(tmp_path, module.COMMAND).symlink_to(Path(sys.executable).parent / "tensorcast")
    module.ROOT, module.WEIGHTS, module.DEMO = tmp_path, minilm, tmp_path / "build/demo"
    return module


def test_demo(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    for _ in range(2):  # a second time as well as the first
        demo.main()
        seen = capfd.readouterr().out
        assert "90.9 MB -> 45.4 MB" in seen
        assert "were read again and are right" in seen
        assert "different: 103 tensors differ (worst 53.4 dB), 1 equal" in seen
    for arguments, status, _ in demo.NEXT:
        assert f".venv/bin/tensorcast {arguments}\n" in seen
        command = [demo.ROOT / demo.COMMAND, *shlex.split(arguments)]
        done = subprocess.run(command, cwd=demo.ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == status, (arguments, done.stderr)
    left = sorted(path.name for path in demo.DEMO.iterdir() if not path.name.startswith("."))
    assert left == ["bf16", "fp8"]


def test_a_failed_download_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    demo = load()
    pinned = (ROOT / "examples/weights.txt").read_text().replace("sha256:", "sha256:00")
    Path(tmp_path, "examples").mkdir()
    Path(tmp_path, "examples/weights.txt").write_text(pinned)
    demo.ROOT, demo.WEIGHTS = tmp_path, tmp_path / "build/weights/w"
    monkeypatch.setattr(sys, "argv", ["demo.py", "--only-weights"])
    with pytest.raises(SystemExit, match="could not be downloaded"):
        demo.main()
    capfd.readouterr()
    assert not list((tmp_path / "build/weights").iterdir())
