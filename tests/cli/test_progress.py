"""Progress: what is shown, when, and where."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from tensorcast.checkpoint.work.worker import Progress
from tensorcast.cli.progress import Tracker
from tensorcast.report.meter import Meter, bar


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def job(stream: io.StringIO, seconds: float, steps: int = 100) -> str:
    """Reports a job of 1 GB that runs at an even pace; what the stream then holds."""
    clock = Clock()
    tracker = Tracker(stream, clock)
    for i in range(1, steps + 1):
        clock.now = seconds * i / steps
        tracker(Progress("convert", i * 10**9 // steps, 10**9))
    tracker.close()
    return stream.getvalue()


@pytest.fixture
def no_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("rich", "rich.console", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture(autouse=True)
def terminal_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


def test_a_short_job_says_nothing() -> None:
    assert job(io.StringIO(), 2.5) == ""
    assert job(Terminal(), 0.3) == ""


def test_lines_every_few_seconds_elsewhere() -> None:
    lines = job(io.StringIO(), 10.0).splitlines()
    assert lines == [
        "converting: 30%, 300 MB of 1.00 GB, 100 MB/s, 7 s left",
        "converting: 60%, 600 MB of 1.00 GB, 100 MB/s, 4 s left",
        "converting: 90%, 900 MB of 1.00 GB, 100 MB/s, 1 s left",
    ]


@pytest.mark.usefixtures("no_rich")
def test_the_own_bar() -> None:
    text = job(Terminal(), 10.0)
    drawn = text.split("\r\x1b[K")
    assert drawn[0] == ""
    assert drawn[-1] == ""  # removed at the end
    assert "\n" not in text
    assert 80 <= len(drawn) <= 100
    middle = drawn[len(drawn) // 2]
    assert "converting  \u2588" in middle
    assert " of 1.00 GB  100 MB/s" in middle
    assert "s left" in middle
    for line in drawn:
        assert len(line.replace("\x1b[36m", "").replace("\x1b[0m", "")) <= 79


@pytest.mark.usefixtures("no_rich")
@pytest.mark.parametrize("columns", ["20", "40", "200"])
def test_the_own_bar_fits(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    for line in job(Terminal(), 10.0).split("\r\x1b[K"):
        assert len(line) < int(columns)
        assert "\x1b" not in line


@pytest.mark.usefixtures("no_rich")
def test_the_own_bar_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Terminal, "encoding", "ascii")
    assert job(Terminal(), 10.0).isascii()


def test_the_bar_of_rich() -> None:
    pytest.importorskip("rich")
    text = job(Terminal(), 10.0)
    assert "converting" in text
    assert "MB/s" in text
    assert "s left" in text


def test_no_bar_on_a_dumb_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert job(Terminal(), 10.0).startswith("converting: 30%")


def test_phases_have_rates_of_their_own() -> None:
    stream, clock = io.StringIO(), Clock()
    tracker = Tracker(stream, clock)
    for phase, start, speed in (("convert", 0, 10**8), ("verify", 10, 10**6)):
        for i in range(10):
            clock.now = start + i
            tracker(Progress(phase, i * speed, 10**9))
    lines = stream.getvalue().splitlines()
    assert any(line.startswith("converting") and "100 MB/s" in line for line in lines)
    assert any(line.startswith("verifying") and "1.00 MB/s" in line for line in lines)


def test_meter_follows_the_last_seconds() -> None:
    meter = Meter()
    for second in range(21):
        meter.update(second, 100 * second if second <= 10 else 1000 + (second - 10), 2000)
    assert meter.rate == pytest.approx(1.0, abs=0.2)
    assert meter.seconds_left == pytest.approx(990, rel=0.2)


def test_meter_without_facts() -> None:
    meter = Meter()
    assert meter.rate is None
    assert meter.fraction == 1.0
    meter.update(0.0, 5, 10)
    assert meter.facts() == ["5 B of 10 B"]
    meter.update(0.0, 6, 10)
    assert meter.rate is None
    meter.update(1.0, 6, 10)
    assert meter.fraction == 0.6


def test_bar_ends() -> None:
    assert bar(0.0, 3) == "\u2591" * 3
    assert bar(1.0, 3) == "\u2588" * 3
    assert bar(0.999, 3) != "\u2588" * 3


def test_a_stream_that_broke_is_left_alone() -> None:
    class Broken(Terminal):
        def write(self, text: Any) -> int:
            raise BrokenPipeError

    assert job(Broken(), 10.0) == ""


def test_meter_tells_nothing_of_the_first_moment() -> None:
    """Opening files takes long beside the first bytes: no rate, and no hour left."""
    meter = Meter()
    meter.update(0.0, 0, 10**9)
    meter.update(0.3, 10_000, 10**9)
    assert meter.facts() == ["10.0 kB of 1.00 GB"]
    meter.update(0.4, 10**8, 10**9)
    assert meter.facts()[2] == "4 s left"
    meter.update(4.0, 10**9, 10**9)
    assert [fact.split()[-1] for fact in meter.facts()] == ["GB", "MB/s"]
    slow = Meter()
    slow.update(0.0, 0, 10**12)
    slow.update(2.0, 10**9, 10**12)
    assert slow.facts()[2] == "33 min 18 s left"
