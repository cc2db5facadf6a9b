"""From the first line of the program to the last: interrupted, unread, without its streams or
without torch, it says so in a line and has its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli.program import environment, patched

import tensorcast

# raises KeyboardInterrupt, or sends SIGINT, when a module is imported for the first time
INTERRUPTED = """
import builtins, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
real, seen = builtins.__import__, False
def imported(name, globals=None, locals=None, fromlist=(), level=0):
    global seen
    place = (globals or {{}}).get('__name__', '')
    if not seen and place.startswith('tensorcast') and {name!r} in (name, *(fromlist or ())):
        seen = True
        if {by!r} == 'a signal':
            os.kill(os.getpid(), signal.SIGINT)
        elif {by!r} == 'a signal in a destructor':  # an exception there is lost
            Last()
        else:
            raise KeyboardInterrupt
    return real(name, globals, locals, fromlist, level)
class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
builtins.__import__ = imported
"""


@pytest.mark.parametrize("by", ["an exception", "a signal", "a signal in a destructor"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("signal", ["formats"]),
        ("app", ["--help"]),
        ("click", ["formats"]),
        ("errors", ["--version"]),
        ("terminal", ["inspect", "x"]),
        ("report", ["formats"]),
        ("options", ["inspect", "x"]),
        ("checkpoint.opening", ["inspect", "x"]),
        ("checkpoint.decide.preparing", ["convert", "x", "y", "--to", "bf16"]),
        ("pages", ["trace", "x.py"]),
        ("pages", ["profile", "x.py:f"]),
    ],
)
def test_an_interruption_while_it_starts(name: str, arguments: list[str], by: str) -> None:
    if name == "signal" and by == "a signal in a destructor":
        pytest.skip("nothing can listen to signals before that module is there")
    done = patched(INTERRUPTED.format(name=name, by=by), *arguments)
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert done.stderr.strip() == "error: interrupted"
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["inspect", "--help"], ["--version"], ["formats"], ["inspect", "x"]]
)
def test_nobody_reads(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    for stream in ("stdout", "stderr"):
        reading, writing = os.pipe()
        os.close(reading)
        other = "stderr" if stream == "stdout" else "stdout"
        done = subprocess.run(
            [sys.executable, "-m", "tensorcast", *arguments],
            **{stream: writing, other: subprocess.PIPE},
            text=True,
            cwd=tmp_path,
            env=environment(),
            check=False,
        )
        os.close(writing)
        assert done.returncode == (1 if arguments == ["inspect", "x"] else 0)
        assert "Traceback" not in (done.stderr or "") + (done.stdout or "")
        assert "BrokenPipe" not in (done.stderr or "") + (done.stdout or "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_started_without_its_streams(closed: str, model: Path, tmp_path: Path) -> None:
    """The next file that is opened would be taken for standard output."""
    script = f'exec "$0" -m tensorcast "$@" {closed}'
    arguments = ["convert", str(model), str(tmp_path / "o.safetensors"), "--to", "bf16", "--json"]
    for force in ([], [], ["--force"]):  # the second is refused
        done = subprocess.run(
            ["sh", "-c", script, sys.executable, *arguments, *force],
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
        )
        assert "Traceback" not in done.stderr + done.stdout
        assert "error:" not in done.stdout
    assert done.returncode == 0
    assert len(tensorcast.checkpoint.open(tmp_path / "o.safetensors").tensors) == 5


NO_TORCH = """
from importlib.machinery import PathFinder
real_find = PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition('.')[0] == 'torch' else real_find(name, path, target)
PathFinder.find_spec = find_spec
"""


@pytest.mark.parametrize("command", ["profile", "trace"])
def test_without_torch(command: str, tmp_path: Path) -> None:
    script = tmp_path / "model.py"
    script.write_text("print('ran')\nimport torch\nmake = lambda: torch.nn.Linear(2, 2)\n")
    target = f"{script}:make" if command == "profile" else script
    done = patched(NO_TORCH, command, target)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "error: torch is not installed: pip install 'tensorcast[torch]'\n"


def test_a_benchmark_without_torch(tmp_path: Path) -> None:
    """It runs in a process of its own, so torch has to be missing there too."""
    (tmp_path / "sitecustomize.py").write_text(NO_TORCH)
    program = [sys.executable, "-m", "tensorcast", "bench", "--only", "cast", "--seconds", "1"]
    for device, code in (("cuda", 1), ("cpu", 0)):
        done = subprocess.run(
            [*program, "--device", device],
            capture_output=True,
            text=True,
            env=environment(PYTHONPATH=str(tmp_path)),
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        said = " ".join((done.stdout + done.stderr).split())
        assert "torch is not installed" in said or "no torch" in said, said


@pytest.mark.parametrize(
    "call",
    ["tc.as_tensor([1.0, 2.0])", "tc.as_tensor([1, 2], 'int8')", "tc.as_tensor(3)",
     "tc.as_tensor(np.ones(3))", "tc.as_tensor(memoryview(b'abc'))", "tc.profile({'a': 1})",
     "tc.trace().__enter__()", "tc.model.forbid().__enter__()", "tc.model.trace_graph(print)"],
)  # fmt: skip
def test_calls_without_torch(call: str) -> None:
    code = (
        f"{NO_TORCH}\nimport numpy as np\nimport tensorcast as tc\n"
        f"try:\n    {call}\nexcept tc.errors.MissingLibraryError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False
    )
    assert done.stderr == ""
    assert done.stdout == "torch is not installed: pip install 'tensorcast[torch]'\n"
