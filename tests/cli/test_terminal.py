"""What a terminal gets: its width, colours, a bar; and what a stream cannot show."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from cli.program import environment, float32, write_safetensors

from tensorcast.cli.terminal import Screen, draw, screen, write
from tensorcast.words.text import Span, columns, line

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(*arguments: str | Path, width: int, **changes: str) -> tuple[int, str]:
    """Exit code and everything a terminal of `width` columns receives."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorcast", *map(str, arguments)],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment(**{"TERM": "xterm", "LC_ALL": "C.UTF-8", **changes}),
    )
    os.close(follower)
    received = bytearray()
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        received += part
    os.close(leader)
    return process.wait(timeout=60), received.decode().replace("\r\n", "\n")


@pytest.fixture
def long_names(tmp_path: Path) -> Path:
    names = [f"model.encoder.block.{i}.attention.projection_of_{n}" for i in (0, 1) for n in "abc"]
    tensors = {name: float32(1.0, 70000.0) for name in names}
    tensors |= {f"{'x' * 150}.{n}": float32(1.0) for n in "abc"}
    return write_safetensors(tmp_path / "long.safetensors", tensors)


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect"],
        ["inspect", "--full"],
        ["inspect", "--stats"],
        ["convert", "--to", "bf16", "--dry-run"],
        ["convert", "--to", "bf16", "--report"],
        ["diff"],
        ["formats"],
        ["--help"],
        ["convert", "--help"],
    ],
    ids=" ".join,
)
def test_everything_fits(
    long_names: Path, tmp_path: Path, arguments: list[str], width: int
) -> None:
    extra: list[str | Path] = []
    if "--help" not in arguments and arguments != ["formats"]:
        extra.append(long_names)
    if arguments[0] == "convert" and "--help" not in arguments:
        extra.append(tmp_path / "o.safetensors")
    if arguments == ["diff"]:
        tensors = {f"{'x' * 150}.{n}": float32(2.0) for n in "abc"}
        extra.append(write_safetensors(tmp_path / "other.safetensors", tensors))
    code, text = on_a_terminal(*arguments, *extra, width=width)
    assert code == (1 if arguments == ["diff"] else 0), text
    shown = ANSI.sub("", text)
    for row in shown.splitlines():
        assert columns(row) <= width, row


def test_colours_and_none(long_names: Path) -> None:
    assert ANSI.search(on_a_terminal("inspect", long_names, width=80)[1])
    for changes in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert not ANSI.search(on_a_terminal("inspect", long_names, width=80, **changes)[1])


def test_columns_overrides_the_width(long_names: Path) -> None:
    _, narrow = on_a_terminal("inspect", "--full", long_names, width=200, COLUMNS="60")
    rows = [ANSI.sub("", row) for row in narrow.splitlines() if "[2]" in row]
    assert rows
    assert max(map(columns, rows)) <= 60


def test_an_error_is_red_and_wrapped(long_names: Path, tmp_path: Path) -> None:
    code, text = on_a_terminal(
        "convert", long_names, tmp_path / "o.safetensors", "--to", "f16", "--threads", "1", width=80
    )
    assert code == 1
    assert text.startswith("\x1b[1;31merror:\x1b[0m 6 tensors do not fit float16")
    for row in ANSI.sub("", text).splitlines():
        assert len(row) <= 80, row


class Stream(io.StringIO):
    def __init__(self, encoding: str, terminal: bool) -> None:
        super().__init__()
        self._encoding, self._terminal = encoding, terminal

    @property
    def encoding(self) -> str:
        return self._encoding

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("variables", "terminal", "color"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_when_there_are_colours(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], terminal: bool, color: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = screen(Stream("utf-8", terminal))
    assert found.color is color
    assert (found.width is not None) is terminal


def test_draw() -> None:
    row = line("a", Span("b", "bad"), "\u251c\u2026")
    assert draw([row], Screen(True, 80, True, True)) == "a\x1b[1;31mb\x1b[0m\u251c\u2026\n"
    assert draw([row, ()], Screen(False, None, False, False)) == "ab|~\n\n"


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("utf-8", "\u00fc\u5c42"), ("latin-1", "\u00fc\\u5c42"), ("ascii", "\\xfc\\u5c42")],
)
def test_what_a_stream_cannot_show_is_escaped(encoding: str, written: str) -> None:
    stream = Stream(encoding, False)
    write("\u00fc\u5c42", stream)
    assert stream.getvalue() == written


def test_half_a_surrogate_is_escaped() -> None:
    stream = Stream("utf-8", False)
    write("a\udcffb", stream)
    assert stream.getvalue() == "a\\udcffb"
