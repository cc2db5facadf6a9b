"""Progress on stderr: a bar on a terminal, else a plain line every few seconds.

The bar is rich's where rich is installed, else our own; neither appears before the job has taken
a moment, so a short job prints nothing and never pays for importing rich.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from ..report.meter import Meter, bar
from ..words.text import Span, columns, line, safe, shorten
from .terminal import Screen, draw, screen, write

if TYPE_CHECKING:
    from ..checkpoint.work.worker import Progress

# phase of a job -> what a person reads
_VERBS: Final = {
    "measure": "measuring",
    "resume": "checking",
    "convert": "converting",
    "verify": "verifying",
    "finish": "finishing",
    "compare": "comparing",
}
_FIRST_AFTER: Final = 0.4
_EVERY_ON_TERMINAL: Final = 0.1
_EVERY_ELSEWHERE: Final = 3.0


class Facts(Protocol):
    """How far something is."""

    @property
    def fraction(self) -> float: ...

    def facts(self) -> list[str]: ...


class _Display(Protocol):
    def show(self, verb: str, meter: Facts) -> None: ...

    def close(self) -> None: ...


@contextmanager
def progress(stream: TextIO | None = None) -> Iterator[Callable[[Progress], None]]:
    """Yields what a long job calls with its `Progress`; shows it on the stream (stderr)."""
    stream = sys.stderr if stream is None else stream
    tracker = Tracker(stream, monotonic)
    try:
        yield tracker
    finally:
        tracker.close()


@contextmanager
def steps(verb: str, stream: TextIO | None = None) -> Iterator[Callable[[float, str], None]]:
    """Yields what a job of steps calls with what is done (0 to 1) and what is next."""
    tracker = Tracker(sys.stderr if stream is None else stream, monotonic)
    try:
        yield lambda done, what: tracker.show(verb, Steps(done, what))
    finally:
        tracker.close()


@dataclass(frozen=True)
class Steps:
    """How far a job of steps is; shown as a `Meter` is."""

    fraction: float
    what: str

    def facts(self) -> list[str]:
        """For a person: what is being done."""
        return [safe(self.what)] if self.what else []


class Tracker:
    """Takes every report of a job, shows some of them."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._screen = screen(stream)
        self._every = _EVERY_ON_TERMINAL if self._screen.is_terminal else _EVERY_ELSEWHERE
        wait = _FIRST_AFTER if self._screen.is_terminal else _EVERY_ELSEWHERE
        self._next = clock() + wait
        self._phase = ""
        self._meter = Meter()
        self._display: _Display | None = None

    def __call__(self, report: Progress) -> None:
        now = self._clock()
        if report.phase != self._phase:
            self._phase, self._meter = report.phase, Meter()
        elif now < self._next and report.n_bytes_done < report.n_bytes_total:
            return
        self._meter.update(now, report.n_bytes_done, report.n_bytes_total)
        self.show(_VERBS.get(self._phase, safe(self._phase)), self._meter)

    def show(self, verb: str, meter: Facts) -> None:
        """Shows it, unless something was shown a moment ago."""
        now = self._clock()
        if now < self._next and (self._display is None or not self._screen.is_terminal):
            return
        self._next = now + self._every
        if self._display is None:
            self._display = _display(self._stream, self._screen)
        self._display.show(verb, meter)

    def close(self) -> None:
        """Removes the bar."""
        if self._display is not None:
            self._display.close()


def _display(stream: TextIO, target: Screen) -> _Display:
    if not target.is_terminal:
        return _Lines(stream)
    try:
        return _RichBar(stream, target)
    except ImportError:
        return _Bar(stream, target)


def _width(target: Screen) -> int:
    """Columns of a bar: a terminal's ^C beside it must not start another line."""
    return max(1, (target.width or 80) - 3)


class _Lines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, verb: str, meter: Facts) -> None:
        write(f"{verb}: {meter.fraction:.0%}, {', '.join(meter.facts())}\n", self._stream)

    def close(self) -> None:
        pass


class _Bar:
    """One line, written over itself."""

    def __init__(self, stream: TextIO, target: Screen) -> None:
        self._stream = stream
        self._target = target

    def show(self, verb: str, meter: Facts) -> None:
        width = _width(self._target)
        tail = "  ".join([f"{meter.fraction:4.0%}", *meter.facts()])
        room = width - columns(verb) - columns(tail) - 4
        parts = [verb, bar(meter.fraction, min(room, 40)), tail] if room >= 8 else [verb, tail]
        text = shorten("  ".join(parts), width)
        drawn = draw([line(Span(text, "name"))], self._target).rstrip("\n")
        write(f"\r\x1b[K{drawn}", self._stream)

    def close(self) -> None:
        write("\r\x1b[K", self._stream)


class _RichBar:
    def __init__(self, stream: TextIO, target: Screen) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        class Patient(Console):
            def on_broken_pipe(self) -> None:  # the job goes on without its bar
                self.quiet = True

        console = Patient(file=stream, no_color=not target.color, width=_width(target))
        self._bars: Any = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%  {task.fields[facts]}"),
            console=console,
            auto_refresh=False,
            transient=True,
            expand=True,
        )
        self._task: Any = None

    def show(self, verb: str, meter: Facts) -> None:
        facts = "  ".join(meter.facts())
        if self._task is None:
            self._task = self._bars.add_task(verb, total=1.0, facts=facts)
            self._bars.start()
        self._bars.update(
            self._task, description=verb, completed=meter.fraction, facts=facts, refresh=True
        )

    def close(self) -> None:
        if self._task is not None:
            self._bars.stop()
