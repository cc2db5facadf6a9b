"""`tensorcast trace`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cli.program import Run

torch = pytest.importorskip("torch")


def script(directory: Path, *lines: str) -> str:
    path = directory / "script.py"
    path.write_text("import sys, torch\n" + "\n".join(lines) + "\n")
    return str(path)


def test_findings_stand_with_their_lines(tensorcast: Run, tmp_path: Path) -> None:
    path = script(tmp_path, "x = torch.ones(1000)", "y = x.half().float()", "print(sys.argv[1:])")
    done = tensorcast("trace", path, "--epochs", "2")
    assert done.returncode == 1
    out = done.stdout.splitlines()
    assert out[0] == "['--epochs', '2']"
    assert out[1] == "float32 -> float16 -> float32 with nothing in between"
    assert out[2].endswith("script.py:3")
    assert out[3].strip() == "y = x.half().float()"
    assert "1 finding" in out
    assert done.stderr == ""


def test_clean_code(tensorcast: Run, tmp_path: Path) -> None:
    done = tensorcast("trace", script(tmp_path, "torch.ones(3) + 1"))
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "no findings")


def test_json(tensorcast: Run, tmp_path: Path) -> None:
    path = script(tmp_path, "print('said')", "torch.ones(3).double()")
    done = tensorcast("trace", "--json", path)
    found = json.loads(done.stdout)
    assert done.stderr == "said\n"
    assert found["tensorcast"]["command"] == "trace"
    assert [f["rule"] for f in found["findings"]] == ["new-float64"]
    assert found["findings"][0]["where"]["line"] == 3


def test_a_failing_script_shows_what_was_seen(tensorcast: Run, tmp_path: Path) -> None:
    path = script(tmp_path, "torch.ones(3).double()", "raise ValueError('no')")
    done = tensorcast("trace", path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ValueError: no"
    assert "runpy" not in done.stderr
    assert "1 finding" in done.stdout
    leaves = tensorcast("trace", script(tmp_path, "sys.exit(7)"))
    assert leaves.returncode == 7


def test_bad_usage(tensorcast: Run) -> None:
    done = tensorcast("trace", "nofile.py")
    assert done.returncode == 2
    assert "there is no file 'nofile.py'; a module's name goes with -m" in done.stderr


def test_html(tensorcast: Run, tmp_path: Path) -> None:
    path = script(tmp_path, "torch.ones(3).double()")
    done = tensorcast("trace", "--html", "report.html", path, "--epochs", "2")
    assert done.returncode == 1
    assert re.fullmatch(r"report  report\.html \([\d.]+ kB\)\n", done.stderr)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"<h1>{path} --epochs 2</h1>" in page
    assert "script.py:2" in page


def test_html_over_something_else_is_refused_before_the_script_runs(
    tensorcast: Run, tmp_path: Path
) -> None:
    path = script(tmp_path, "print('ran')")
    done = tensorcast("trace", "--html", path, path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is no report of tensorcast and is not replaced" in done.stderr
    assert Path(path).read_text().endswith("print('ran')\n")
