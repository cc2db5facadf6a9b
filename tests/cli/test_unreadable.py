"""What cannot be read is said to be so: which file, why, and exit code 1."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from checkpoint.handmade import write_directory
from cli.program import patched

from tensorcast.checkpoint import prepare, run
from tensorcast.checkpoint.store.regular_files import ReadError
from tensorcast.checkpoint.work import running_job
from tensorcast.errors import CorruptFileError, DestinationError

FIRST = "model-00001-of-00002.safetensors"
FILES = [FIRST, "model.safetensors.index.json", "config.json", "vocab.txt"]
SHARDS = [{"a": np.ones(900, "f4")}, {"b": np.ones(5, "f4")}]

# as a user without permission sees it; these tests may be run by root, whom nothing is refused
NO_PERMISSION = """
import errno, os
real_open, real_access = os.open, os.access
def denied(path):
    return os.fsdecode(path).endswith({name!r})
def open_(path, *a, **k):
    if denied(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
    return real_open(path, *a, **k)
os.open = open_
os.access = lambda path, *a, **k: not denied(path) and real_access(path, *a, **k)
"""

# reads of a file fail, the first so many excepted
FAILING = """
import errno, os, io
count = 0
def fails(descriptor):
    global count
    if not os.readlink(f'/proc/self/fd/{{descriptor}}').endswith({name!r}):
        return
    count += 1
    if count > {after}:
        raise OSError({code}, os.strerror({code}))
real_pread, real_preadv, real_fdopen = os.pread, os.preadv, os.fdopen
def pread(fd, *a):
    fails(fd)
    return real_pread(fd, *a)
def preadv(fd, *a):
    fails(fd)
    return real_preadv(fd, *a)
class Failing(io.FileIO):
    def read(self, *a):
        fails(self.fileno())
        return super().read(*a)
os.pread, os.preadv = pread, preadv
os.fdopen = lambda fd, mode='r', *a, **k: Failing(fd, mode) if mode == 'rb' else real_fdopen(fd, mode, *a, **k)
"""  # noqa: E501


@pytest.fixture
def source(tmp_path: Path) -> Path:
    files = {"config.json": '{"dtype": "float32"}', "vocab.txt": "v" * 1000}
    return write_directory(tmp_path / "m", SHARDS, extra=files)


def commands(source: Path, tmp_path: Path) -> list[list[str | Path]]:
    job_file = tmp_path / "job.json"
    job_file.write_text(prepare(source, tmp_path / "out2", "bf16").to_json())
    return [
        ["convert", source, tmp_path / "out", "--to", "bf16"],
        ["inspect", source],
        ["inspect", "--stats", source],
        ["diff", source, source],
        ["run", job_file],
    ]


def expect_failed(done, path: Path, tmp_path: Path, said: str, *, resumable: bool = False) -> None:
    assert done.returncode == 1, (done.stdout, done.stderr)
    text = " ".join(done.stderr.split())
    assert str(path) in text
    assert said in text
    assert "Traceback" not in text
    assert "writing failed" not in text
    assert "--help" not in text
    there = [name for name in os.listdir(tmp_path) if not (resumable and name.startswith(".out"))]
    assert sorted(there) == ["job.json", "m"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_permission(source: Path, tmp_path: Path, name: str) -> None:
    for command in commands(source, tmp_path):
        if name == "vocab.txt" and command[0] in ("inspect", "diff"):
            continue  # not read by these
        done = patched(NO_PERMISSION.format(name=name), *command)
        expect_failed(done, source / name, tmp_path, "Permission denied")


def test_a_single_file_or_directory_without_permission(source: Path, tmp_path: Path) -> None:
    commands(source, tmp_path)
    out = tmp_path / "o.safetensors"
    for command in (["convert", source / FIRST, out, "--to", "f16"], ["inspect", source / FIRST],
                    ["diff", source / FIRST, source / FIRST]):  # fmt: skip
        done = patched(NO_PERMISSION.format(name=FIRST), *command)
        expect_failed(done, source / FIRST, tmp_path, "Permission denied")
    code = NO_PERMISSION.replace(
        "real_open, real_access =", "real_scan = os.scandir\nreal_open, real_access ="
    )
    code = code.format(name="/m") + (
        "def scandir(path):\n"
        "    if denied(path):\n"
        "        raise PermissionError(13, 'Permission denied', os.fspath(path))\n"
        "    return real_scan(path)\n"
        "os.scandir = scandir\n"
    )
    for command in (["convert", source, tmp_path / "out", "--to", "f16"], ["inspect", source]):
        expect_failed(patched(code, *command), source, tmp_path, "Permission denied")


def test_a_job_without_permission(source: Path, tmp_path: Path) -> None:
    command = commands(source, tmp_path)[-1]
    code = (
        "import builtins, io\n"
        "real = io.open\n"
        "def opened(path, *a, **k):\n"
        "    if str(path).endswith('job.json'):\n"
        "        raise PermissionError(13, 'Permission denied', str(path))\n"
        "    return real(path, *a, **k)\n"
        "io.open = builtins.open = opened\n"
    )
    expect_failed(patched(code, *command), tmp_path / "job.json", tmp_path, "Permission denied")


@pytest.mark.parametrize("code", [5, 116], ids=["EIO", "ESTALE"])
@pytest.mark.parametrize(("name", "after"), [(name, n) for name in FILES for n in (0, 1)])
def test_a_read_that_fails(source: Path, tmp_path: Path, name: str, after: int, code: int) -> None:
    for command in commands(source, tmp_path):
        if name == "vocab.txt" and command[0] in ("inspect", "diff"):
            continue
        if after and (name != FIRST or command[0] == "diff" or len(command) == 2):
            continue  # of the header the length, then the text; the rest is one read
        done = patched(FAILING.format(name=name, after=after, code=code), *command)
        said = "reading failed: " + os.strerror(code)
        expect_failed(done, source / name, tmp_path, said, resumable=name == "vocab.txt")


def test_a_file_that_shrinks_while_it_is_copied(source: Path, tmp_path: Path, monkeypatch) -> None:
    made = prepare(source, tmp_path / "out", "bf16")
    monkeypatch.setattr(running_job, "_COPY_BYTES", 64)
    real = os.pread

    def pread(descriptor: int, n: int, offset: int) -> bytes:
        if n == 64 and offset == 128:
            os.truncate(source / "vocab.txt", 128)
        return real(descriptor, n, offset)

    monkeypatch.setattr(os, "pread", pread)
    with pytest.raises(CorruptFileError, match=r"vocab\.txt'.*changed while it was copied \(128"):
        run(made)
    assert sorted(os.listdir(tmp_path)) == ["m"]


def test_a_failed_read_is_an_oserror_and_no_destination_error() -> None:
    assert issubclass(ReadError, OSError)
    assert not issubclass(ReadError, DestinationError)


def test_a_broken_link_is_no_missing_configuration(source: Path, tmp_path: Path) -> None:
    (source / "config.json").unlink()
    (source / "config.json").symlink_to("nowhere")
    done = patched("", "convert", source, tmp_path / "out", "--to", "bf16")
    assert done.returncode == 1
    assert "config.json': expected a file of the checkpoint, found a broken link" in done.stderr
