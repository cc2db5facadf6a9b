"""Killed, interrupted, out of disk: the destination is absent or complete, the source untouched,
and the next run takes up what is done."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, current_thread, main_thread

import numpy as np
import pytest
from checkpoint.handmade import tensors_of, write, write_directory
from checkpoint.streams import READING, WRITING, Stream, intercept

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare, run
from tensorcast.checkpoint.errors import Interrupted, TensorOverflowError
from tensorcast.checkpoint.store import syscalls
from tensorcast.checkpoint.store.regular_files import ReadError
from tensorcast.checkpoint.store.workspace import Workspace, workspace_path
from tensorcast.checkpoint.work import chunking, running_job
from tensorcast.checkpoint.work.running import Result
from tensorcast.checkpoint.work.worker import Progress
from tensorcast.errors import CorruptFileError, DestinationError
from tensorcast.kernels.cpu import Streamed

RNG = np.random.default_rng(3)
SHARDS = [
    {"a": RNG.standard_normal(700, "f4"), "n": np.arange(300)},
    {"b": RNG.standard_normal(600, "f4")},
]
FIRST, SECOND = (f"model-0000{i}-of-00002.safetensors" for i in (1, 2))
EXTRA = {"config.json": '{"dtype": "float32"}', "sub/t.txt": "text"}
CALLS = ["mkdir", "open", "write", "pwrite", "fsync", "rename", "replace", "unlink", "rmdir",
         "link", "ftruncate"]  # fmt: skip


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where that is possible: what is tried here syncs some thousand times."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        yield Path(place)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunking, "CHUNK_BYTES", 1 << 10)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_directory(tmp_path / "m", SHARDS, extra=EXTRA)


def contents(root: Path) -> dict[str, bytes] | None:
    if not root.exists():
        return None
    if root.is_file():
        return {"": root.read_bytes()}
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def convert(source: Path, target: Path, to: str = "bfloat16", **options) -> Result:
    options = {"threads": 1, **options}
    return run(prepare(open_checkpoint(source), target, to), **options)


def in_child(action: Callable[[], object], *, arm: Callable[[], None]) -> int:
    """Run in a fork of this process; the wait status."""
    pid = os.fork()
    if pid == 0:
        try:
            arm()
            action()
        except BaseException:
            os._exit(77)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def kill_at(step: int, *, half: bool) -> Callable[[], None]:
    """What kills the process before its `step`-th call that changes files; or, by half, at its
    `step`-th write with half of it done."""

    def arm() -> None:
        count = 0

        def streamed(stream: Stream) -> object:
            nonlocal count
            count += stream.writes
            if stream.writes and count == step:
                if half:
                    stream.run(0.5)
                os.kill(os.getpid(), signal.SIGKILL)
            return stream.run()

        def wrapped(call: Callable[..., object]) -> Callable[..., object]:
            def counted(*arguments: object, **keys: object) -> object:
                nonlocal count
                writes = call.__name__ in ("write", "pwrite")
                count += writes or not half
                if count == step and (writes or not half):
                    if half:
                        data = memoryview(arguments[1])
                        call(arguments[0], data[: len(data) // 2], *arguments[2:])
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **keys)

            return counted

        for name in CALLS:
            setattr(os, name, wrapped(getattr(os, name)))
        for name in ("allocate", "rename_new", "exchange"):
            setattr(syscalls, name, wrapped(getattr(syscalls, name)))
        intercept(streamed)

    return arm


def was_killed(status: int) -> bool:
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def each_kill(action: Callable[[], object], check: Callable[[], None]) -> int:
    """Kill the action at its first step, its second and so on until it outlives them all; call
    `check` after each. The number of kills."""
    kills = 0
    for half in (False, True):
        for step in range(1, 1000):
            killed = was_killed(in_child(action, arm=kill_at(step, half=half)))
            check()
            if not killed:
                break
            kills += 1
    return kills


@pytest.mark.parametrize("renames", [True, False], ids=["renameat2", "without"])
def test_killed_at_every_step(source: Path, tmp_path: Path, monkeypatch, renames: bool) -> None:
    if not renames:
        monkeypatch.setattr(syscalls, "rename_new", lambda *_: False)
        monkeypatch.setattr(syscalls, "exchange", lambda *_: False)
    convert(source, tmp_path / "expected")
    expected, before = contents(tmp_path / "expected"), contents(source)
    out = tmp_path / "out"
    seen = set()

    def check() -> None:
        assert contents(source) == before
        assert contents(out) in (None, expected)
        complete = out.exists()
        if complete:
            with pytest.raises(DestinationError, match="exists"):
                convert(source, out)
        else:
            seen.add(convert(source, out).resumed)
        assert contents(out) == expected
        assert sorted(os.listdir(tmp_path)) == ["expected", "m", "out"]
        for path in sorted(out.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        out.rmdir()

    assert each_kill(lambda: convert(source, out), check) > 60
    assert seen == {(), (FIRST,), (FIRST, SECOND)}


@pytest.mark.parametrize("renames", [True, False], ids=["renameat2", "without"])
def test_killed_at_every_step_of_replacing(source, tmp_path, monkeypatch, renames: bool) -> None:
    if not renames:
        monkeypatch.setattr(syscalls, "exchange", lambda *_: False)
    convert(source, tmp_path / "expected")
    expected, before = contents(tmp_path / "expected"), contents(source)
    out = tmp_path / "out"
    old = {"model.safetensors": b"old", "vocab.txt": b"older"}

    def put_back() -> None:
        for path in sorted(out.rglob("*"), reverse=True) if out.exists() else ():
            path.rmdir() if path.is_dir() else path.unlink()
        out.mkdir(exist_ok=True)
        for name, content in old.items():
            (out / name).write_bytes(content)

    def check() -> None:
        assert contents(source) == before
        # two renames leave a moment with neither; the next run puts the old one back first
        assert contents(out) in (old, expected) or (not renames and not out.exists())
        with pytest.raises(DestinationError, match="exists"):
            convert(source, out)
        assert contents(out) in (old, expected)
        convert(source, out, force=True)
        assert contents(out) == expected
        assert sorted(os.listdir(tmp_path)) == ["expected", "m", "out"]
        put_back()

    put_back()
    assert each_kill(lambda: convert(source, out, force=True), check) > 60


@pytest.mark.parametrize("force", [False, True])
def test_killed_at_every_step_of_one_file(tmp_path: Path, force: bool) -> None:
    source = write(tmp_path / "x.safetensors", SHARDS[0])
    convert(source, tmp_path / "expected.safetensors")
    expected = contents(tmp_path / "expected.safetensors")
    out = tmp_path / "y.safetensors"
    old = {"": b"old"} if force else None

    def put_back() -> None:
        out.unlink(missing_ok=True)
        if force:
            out.write_bytes(b"old")

    def check() -> None:
        assert contents(out) in (old, expected)
        convert(source, out, force=True)
        assert contents(out) == expected
        assert sorted(os.listdir(tmp_path)) == [
            "expected.safetensors", "x.safetensors", "y.safetensors",
        ]  # fmt: skip
        put_back()

    put_back()
    assert each_kill(lambda: convert(source, out, force=force), check) > 30


class Gate:
    """Holds the worker's writes once armed and past the first `n`, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        self.opened = Event()

        def streamed(stream: Stream) -> object:
            assert current_thread() is not main_thread()
            if self.left >= 0 and stream.writes:
                self.left -= 1
                if self.left < 0:
                    assert self.opened.wait(60)
            return stream.run()

        intercept(streamed, monkeypatch.setattr)

    def interrupt(self, n: int, when: Callable[[Progress], bool]) -> Callable[[Progress], None]:
        """Hold after `n` writes; a progress callback that raises SIGINT once `when` is true."""
        self.left = n
        self.opened.clear()

        def progress(found: Progress) -> None:
            if when(found) and not self.opened.is_set():
                self.opened.set()
                signal.raise_signal(signal.SIGINT)

        return progress


@pytest.fixture
def gate(monkeypatch) -> Gate:
    return Gate(monkeypatch)


def stop_after_first_shard(gate: Gate, source: Path, out: Path, **options) -> Path:
    """Interrupt a run when its first shard is finished; the workspace that stays."""
    progress = gate.interrupt(6, lambda found: found.file == FIRST)
    with pytest.raises(Interrupted, match=r"run again to resume \(1 finished shard stays\)"):
        convert(source, out, progress=progress, **options)
    place = workspace_path(str(out))
    assert os.listdir(place / "new") == [FIRST]
    return place


def test_an_interrupted_run_is_taken_up(source: Path, tmp_path: Path, gate) -> None:
    expected = contents_of_plain_run(source, tmp_path)
    out = tmp_path / "out"
    stop_after_first_shard(gate, source, out, report=True)
    assert not out.exists()
    whole = convert(source, tmp_path / "whole", report=True)
    result = convert(source, out, report=True, verify=True)
    assert result.resumed == (FIRST,)
    assert result.losses == whole.losses
    assert result.n_bytes_read == sum(t.nbytes for shard in SHARDS for t in shard.values())
    assert result.n_bytes_written < sum(shard.n_bytes for shard in result.job.shards)
    assert contents(out) == expected


def contents_of_plain_run(source: Path, tmp_path: Path) -> dict[str, bytes] | None:
    convert(source, tmp_path / "expected")
    return contents(tmp_path / "expected")


def test_an_interruption_before_the_first_shard_leaves_nothing(source, tmp_path, gate) -> None:
    with pytest.raises(Interrupted, match="nothing was left behind"):
        convert(source, tmp_path / "out", progress=gate.interrupt(2, lambda found: True))
    assert sorted(os.listdir(tmp_path)) == ["m"]


def test_an_impatient_interruption_waits_for_the_workers(source, tmp_path, monkeypatch) -> None:
    """A second SIGINT while the workers finish their chunks: no file is closed under them."""
    writing, written, results = Event(), Event(), []

    def streamed(stream: Stream) -> object:
        writing.set()
        Event().wait(0.3)
        signal.pthread_kill(main_thread().ident, signal.SIGINT)
        Event().wait(0.3)
        results.append(stream.run())
        written.set()
        return results[-1]

    def interrupt(found: Progress) -> None:
        if writing.is_set():
            signal.raise_signal(signal.SIGINT)

    intercept(streamed, monkeypatch.setattr)
    with pytest.raises(Interrupted):
        convert(source, tmp_path / "out", progress=interrupt)
    assert written.wait(10)
    ends = [result if isinstance(result, Streamed) else result[1] for result in results]
    assert [end.stopped for end in ends] == [0] * len(ends)
    assert sorted(os.listdir(tmp_path)) == ["m"]


def test_a_finished_shard_that_changed_is_made_again(source: Path, tmp_path: Path, gate) -> None:
    expected = contents_of_plain_run(source, tmp_path)
    for position in (3, 20, -1):  # header length, header, data
        place = stop_after_first_shard(gate, source, tmp_path / "out")
        data = bytearray((place / "new" / FIRST).read_bytes())
        data[position] ^= 1
        (place / "new" / FIRST).write_bytes(data)
        assert convert(source, tmp_path / "out").resumed == ()
        assert contents(tmp_path / "out") == expected
        subprocess.run(["rm", "-r", tmp_path / "out"], check=True)


@pytest.mark.parametrize("change", ["cut", "gone", "receipt", "no receipts"])
def test_what_cannot_be_taken_up_is_made_again(source, tmp_path, gate, change: str) -> None:
    expected = contents_of_plain_run(source, tmp_path)
    place = stop_after_first_shard(gate, source, tmp_path / "out")
    shard = place / "new" / FIRST
    if change == "cut":
        os.truncate(shard, 100)
    elif change == "gone":
        shard.unlink()
    elif change == "receipt":
        lines = (place / "receipts").read_bytes().split(b"\n")
        lines[-1] = lines[-1][: len(lines[-1]) // 2]
        (place / "receipts").write_bytes(b"\n".join(lines))
    else:
        (place / "receipts").unlink()
    assert convert(source, tmp_path / "out").resumed == ()
    assert contents(tmp_path / "out") == expected


@pytest.mark.parametrize("verify", [False, True])
def test_a_shard_that_somebody_else_wrote_is_made_again(
    source: Path, tmp_path: Path, gate, verify: bool
) -> None:
    """Receipts and shards may be forged together: only the source says what a shard holds."""
    expected = contents_of_plain_run(source, tmp_path)
    place = stop_after_first_shard(gate, source, tmp_path / "out")
    data = bytearray((place / "new" / FIRST).read_bytes())
    data[-700:] = bytes(700)
    (place / "new" / FIRST).write_bytes(data)
    receipts = place / "receipts"
    receipts.write_bytes(receipts.read_bytes() + b'\n{"file": "%s"}' % FIRST.encode())
    assert convert(source, tmp_path / "out", verify=verify).resumed == ()
    assert contents(tmp_path / "out") == expected


@pytest.mark.parametrize(
    "receipts",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b'{"file": 3}\n{"file": ["x"]}\n{"file": "../x"}\n{"commit": "x"}\n{"commit": [1]}',
        b"9" * 10_000,
    ],
    ids=range(5),
)
def test_receipts_that_are_none(source, tmp_path, gate, receipts: bytes) -> None:
    expected = contents_of_plain_run(source, tmp_path)
    place = stop_after_first_shard(gate, source, tmp_path / "out")
    said = (place / "receipts").read_bytes()
    for text in (receipts, said + b"\n" + receipts):
        place.mkdir(exist_ok=True)
        (place / "receipts").write_bytes(text)
        convert(source, tmp_path / "out", force=True)
        assert contents(tmp_path / "out") == expected
        assert not place.exists()


def test_links_in_a_workspace_lead_nowhere(source: Path, tmp_path: Path, gate) -> None:
    expected = contents_of_plain_run(source, tmp_path)
    others = tmp_path / "others"
    others.mkdir()
    (others / "mine.txt").write_text("mine")
    for kind in ("shard", "second name", "new", "receipts"):
        place = stop_after_first_shard(gate, source, tmp_path / "out")
        if kind == "new":
            (place / "new" / FIRST).rename(others / FIRST)
            (place / "new").rmdir()
            (place / "new").symlink_to(others)
        elif kind == "receipts":
            (place / "receipts").unlink()
            os.mkfifo(place / "receipts")
        else:
            (place / "new" / FIRST).rename(others / FIRST)
            link = os.link if kind == "second name" else os.symlink
            link(others / FIRST, place / "new" / FIRST)
        assert convert(source, tmp_path / "out").resumed == ()
        assert contents(tmp_path / "out") == expected
        assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))
        assert (others / "mine.txt").read_text() == "mine"
        subprocess.run(["rm", "-r", tmp_path / "out"], check=True)


def test_a_finished_shard_in_a_folder_is_taken_up(tmp_path: Path, monkeypatch) -> None:
    source = write_directory(tmp_path / "m", SHARDS)
    (source / "sub").mkdir()
    index = source / "model.safetensors.index.json"
    for file in (FIRST, SECOND):
        (source / file).rename(source / "sub" / file)
        index.write_text(index.read_text().replace(f'"{file}', f'"sub/{file}'))
    expected = contents_of_plain_run(source, tmp_path)

    def fail(*_: object) -> None:
        raise DestinationError("not yet")

    with monkeypatch.context() as patch:
        patch.setattr(running_job.RunningJob, "write_others", fail)
        with pytest.raises(DestinationError, match="not yet"):
            convert(source, tmp_path / "out")
    assert convert(source, tmp_path / "out").resumed == (f"sub/{FIRST}", f"sub/{SECOND}")
    assert contents(tmp_path / "out") == expected


def test_a_source_that_cannot_be_read_does_not_cost_the_finished_shards(
    source: Path, tmp_path: Path, gate, monkeypatch
) -> None:
    stop_after_first_shard(gate, source, tmp_path / "out")

    def streamed(stream: Stream) -> object:
        return stream.fail(READING, errno.EIO)

    with monkeypatch.context() as patch:
        intercept(streamed, patch.setattr)
        with pytest.raises(ReadError, match=rf"m/{FIRST}', tensor 'n', byte \d+: reading failed"):
            convert(source, tmp_path / "out")
    assert convert(source, tmp_path / "out").resumed == (FIRST,)


def test_another_job_sweeps_what_the_last_one_left(source: Path, tmp_path: Path, gate) -> None:
    for change in ("format", "report", "source"):
        out = tmp_path / change
        stop_after_first_shard(gate, source, out)
        if change == "source":
            os.utime(source / FIRST, ns=(5, 5))
        result = convert(
            source, out, "float16" if change == "format" else "bfloat16",
            report=change == "report",
        )  # fmt: skip
        assert result.resumed == ()
        assert not workspace_path(str(out)).exists()


def test_two_runs_to_one_destination(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Workspace(str(out)), pytest.raises(DestinationError, match="another run is writing"):
        convert(source, out)
    convert(source, out)


def test_a_file_system_without_locks(source: Path, tmp_path: Path, monkeypatch) -> None:
    import fcntl

    def flock(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOSYS, "no locks")

    monkeypatch.setattr(fcntl, "flock", flock)
    convert(source, tmp_path / "out")


def failing(monkeypatch, name: str, code: int, after: int) -> None:
    """Calls of this name fail, after so many that do not; those of the streams among them."""
    real = getattr(os, name)
    count = 0

    def call(*arguments: object) -> object:
        nonlocal count
        count += 1
        if count > after:
            raise OSError(code, os.strerror(code))
        return real(*arguments)

    def streamed(stream: Stream) -> object:
        nonlocal count
        count += stream.writes or name == "preadv"
        if count > after:
            return stream.fail(READING if name == "preadv" else WRITING, code)
        return stream.run()

    monkeypatch.setattr(os, name, call)
    if name in ("preadv", "pwrite"):
        intercept(streamed, monkeypatch.setattr)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("pwrite", errno.ENOSPC, "No space left on device; free some space and run again"),
        ("pwrite", errno.EIO, "Input/output error"),
        ("pwrite", errno.EDQUOT, "free some space and run again"),
        ("fsync", errno.EIO, "Input/output error"),
    ],
)
def test_a_write_that_fails(source, tmp_path, monkeypatch, name, code, words) -> None:
    expected, before = contents_of_plain_run(source, tmp_path), contents(source)
    for after in range(0, 40, 3):
        with monkeypatch.context() as patch:
            failing(patch, name, code, after)
            failed = None
            try:
                convert(source, tmp_path / "out")
            except DestinationError as error:
                failed = error
        if failed is None:
            break
        assert failed.errno == code
        assert words in str(failed)
        assert "The destination was not touched" in str(failed)
        assert contents(source) == before
        assert not (tmp_path / "out").exists()
        place = workspace_path(str(tmp_path / "out"))
        assert not place.exists() or set(os.listdir(place / "new")) <= {FIRST, SECOND}
    convert(source, tmp_path / "out", force=True)
    assert contents(tmp_path / "out") == expected
    assert sorted(os.listdir(tmp_path)) == ["expected", "m", "out"]


def test_a_failing_write_says_where(source: Path, tmp_path: Path, monkeypatch) -> None:
    failing(monkeypatch, "pwrite", errno.ENOSPC, 3)
    with pytest.raises(DestinationError, match=rf"{FIRST}', tensor 'n', byte \d+: writing failed"):
        convert(source, tmp_path / "out")


def test_a_read_that_fails_says_where(source: Path, tmp_path: Path, monkeypatch) -> None:
    failing(monkeypatch, "preadv", errno.EIO, 3)
    with pytest.raises(Exception, match=rf"{FIRST}', tensor 'a', byte \d+: reading failed"):
        convert(source, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["m"]


def test_a_source_that_is_cut_off_during_the_run(source, tmp_path: Path, monkeypatch) -> None:
    made = prepare(open_checkpoint(source), tmp_path / "out", "bfloat16")
    real = running_job.RunningJob.convert

    def convert_after_cut(self, **options) -> None:
        os.truncate(source / FIRST, 1000)
        real(self, **options)

    monkeypatch.setattr(running_job.RunningJob, "convert", convert_after_cut)
    match = rf"{FIRST}', tensor 'n', byte \d+: expected 1024 more bytes, found the end of the file"
    with pytest.raises(CorruptFileError, match=match):
        run(made)
    assert sorted(os.listdir(tmp_path)) == ["m"]


def test_short_reads_and_writes_are_continued(source, tmp_path: Path, monkeypatch) -> None:
    expected = contents_of_plain_run(source, tmp_path)
    pwrite, write_, preadv = os.pwrite, os.write, os.preadv
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, memoryview(data)[:13], at))
    monkeypatch.setattr(os, "write", lambda fd, data: write_(fd, memoryview(data)[:13]))
    monkeypatch.setattr(os, "preadv", lambda fd, parts, at: preadv(fd, [parts[0][:13]], at))
    convert(source, tmp_path / "out", verify=True)
    assert contents(tmp_path / "out") == expected


@pytest.mark.parametrize("refused", [False, True], ids=["a failing write", "a refused value"])
def test_verifying_does_not_wait_for_what_is_not_written(
    refused: bool, tmp_path: Path, monkeypatch
) -> None:
    """The last chunk ends badly while another thread waits to read it back."""
    last = SHARDS[1]["b"].copy()
    last[-1] = np.finfo("f4").max if refused else 1  # too large for bfloat16, once rounded
    source = write_directory(tmp_path / "m", [SHARDS[0], {"b": last}])
    reading_back = Event()

    def streamed(stream: Stream) -> object:
        if not stream.writes:
            reading_back.set()
        elif stream.arguments[stream.at] == last.size % 256:  # elements of the last chunk
            assert reading_back.wait(10)
            Event().wait(0.1)
            return stream.run() if refused else stream.fail(WRITING, errno.EIO)
        return stream.run()

    intercept(streamed, monkeypatch.setattr)
    error, match = (
        (TensorOverflowError, "'b': 1 of 600") if refused else (DestinationError, "'b'.*Input")
    )
    with pytest.raises(error, match=match):
        convert(source, tmp_path / "out", verify=True, threads=2)
    assert not (tmp_path / "out").exists()


def test_a_disk_that_does_not_keep_what_was_written(source, tmp_path, monkeypatch) -> None:
    def streamed(stream: Stream) -> object:
        result = stream.run()
        if stream.writes and stream.arguments[3] > 2500:
            stream.damage(4)
        return result

    intercept(streamed, monkeypatch.setattr)
    with pytest.raises(CorruptFileError) as caught:
        convert(source, tmp_path / "out", verify=True)
    for part in (FIRST, "tensor 'a', byte ", "XXH3", "the disk does not give back what was"):
        assert part in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["m"]


def test_a_header_that_does_not_read_back(source, tmp_path: Path, monkeypatch) -> None:
    real = os.pwrite

    def pwrite(descriptor: int, data: object, offset: int) -> int:
        changed = bytes(data).replace(b'"a"', b'"x"') if offset == 0 else data
        return real(descriptor, changed, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(CorruptFileError, match="expected the header that was written"):
        convert(source, tmp_path / "out", verify=True)


@pytest.mark.parametrize("allocates", [True, False])
def test_a_limit_on_the_size_of_files(source, tmp_path, monkeypatch, allocates: bool) -> None:
    """Where blocks are not reserved first, a write is cut off at the limit."""
    words = "" if allocates else r"tensor '\w', byte \d+: .*"
    words += "File too large; the file system or `ulimit"
    if not allocates:
        monkeypatch.setattr(syscalls, "allocate", lambda *_: None)

    def arm() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    def action() -> None:
        with pytest.raises(DestinationError, match=words):
            convert(source, tmp_path / "out")

    assert in_child(action, arm=arm) == 0
    assert sorted(os.listdir(tmp_path)) == ["m"]


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small tmpfs cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk(small_disk: Path, tmp_path: Path, monkeypatch) -> None:
    sizes = {"a": 200_000, "b": 100_000, "c": 300_000}
    shards = [{name: np.ones(n, "f4")} for name, n in sizes.items()]
    source = write_directory(tmp_path / "m", shards)
    out = small_disk / "out"
    with pytest.raises(DestinationError, match=r"too little space for .*nothing was written"):
        convert(source, out)
    assert os.listdir(small_disk) == []
    monkeypatch.setattr(running_job, "check_space", lambda *_, **__: None)
    with pytest.raises(DestinationError, match="No space left on device; free some space"):
        convert(source, out)
    assert os.listdir(small_disk) == []
    # where blocks cannot be reserved the writes themselves fail
    monkeypatch.setattr(syscalls, "allocate", os.ftruncate)
    with pytest.raises(DestinationError, match=r"tensor 'c', byte \d+: .*No space left on device"):
        convert(source, out)
    finished = [f"model-0000{i}-of-00003.safetensors" for i in (1, 2)]
    assert sorted(os.listdir(workspace_path(str(out)) / "new")) == finished
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    result = convert(source, out)
    assert len(result.resumed) == 2
    assert os.listdir(small_disk) == ["out"]
    assert len(tensors_of(out / "model-00003-of-00003.safetensors")["c"][2]) == 600_000
