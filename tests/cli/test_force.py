"""What --force replaces, and what nothing replaces."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from checkpoint.handmade import write, write_directory
from cli.program import Run, patched

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare, run
from tensorcast.checkpoint.store import syscalls
from tensorcast.checkpoint.store.workspace import workspace_path
from tensorcast.errors import DestinationError

ONE = {"a": np.ones(3, "f4")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "x.safetensors", ONE)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_directory(tmp_path / "m", [ONE], extra={"config.json": "{}"})


def device(place: Path) -> None:
    try:
        os.mknod(place, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("device nodes cannot be made here")


def bound(place: Path) -> None:
    here = os.getcwd()
    os.chdir(place.parent)  # the name of a socket is short
    try:
        socket.socket(socket.AF_UNIX).bind(place.name)
    finally:
        os.chdir(here)


NODES: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a socket": bound,
    "a character device": device,
    "leads nowhere": lambda place: place.symlink_to("nowhere"),
}


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize("kind", NODES)
def test_no_file_takes_the_place_of_a_node(
    tensorcast: Run, file: Path, tmp_path: Path, kind: str, force: tuple[str, ...]
) -> None:
    for link in (False, True):
        place = tmp_path / f"node{link}.safetensors"
        NODES[kind](tmp_path / "node" if link else place)
        if link:
            place.symlink_to("node")
        before = os.lstat(place)[:3]  # mode, inode, device
        done = tensorcast("convert", file, place, "--to", "bf16", *force)
        assert done.returncode == 1, done.stdout
        assert kind in done.stderr
        assert "--force" not in done.stderr
        assert os.lstat(place)[:3] == before
        assert not [name for name in os.listdir(tmp_path) if ".tensorcast-" in name]


def home(place: Path) -> None:
    (place / "letters").mkdir(parents=True)
    (place / "letters" / "to.txt").write_text("dear")


def stray(place: Path) -> None:
    """A checkpoint that somebody loaded down among other things."""
    write_directory(place, [ONE], extra={"config.json": "{}", "thesis.odt": "years"})


def deep(place: Path) -> None:
    write_directory(place, [ONE], extra={"config.json": "{}", "photos/1.jpg": "", "a/README": ""})


def history(place: Path) -> None:
    write_directory(place, [ONE], extra={"config.json": "{}", ".git/HEAD": ""})


def only_config(place: Path) -> None:
    place.mkdir()
    (place / "config.json").write_text("{}")


def pipe_inside(place: Path) -> None:
    write_directory(place, [ONE])
    os.mkfifo(place / "config.json")


HOLDS_NONE, HOLDS_MORE = "holds no checkpoint", "holds more than a checkpoint"


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (home, HOLDS_NONE),
        (only_config, HOLDS_NONE),
        (stray, f"{HOLDS_MORE}: 'thesis.odt' would be lost"),
        (deep, f"{HOLDS_MORE}: 'photos/1.jpg' would be lost"),
        (history, f"{HOLDS_MORE}: '.git/' would be lost"),
        (pipe_inside, f"{HOLDS_MORE}: 'config.json' would be lost"),
        (lambda place: place.write_text("mine"), "is a file and the result would be a directory"),
        (os.mkfifo, "is a FIFO"),
    ],
)
def test_no_directory_takes_the_place_of_other_things(
    tensorcast: Run,
    directory: Path,
    tmp_path: Path,
    make: Callable[[Path], object],
    said: str,
    force: tuple[str, ...],
) -> None:
    place = tmp_path / "out"
    make(place)
    before = sorted(tmp_path.rglob("*"))
    done = tensorcast("convert", directory, place, "--to", "bf16", *force)
    assert done.returncode == 1, done.stdout
    assert said in done.stderr
    assert "--force" not in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_the_root_directory(tensorcast: Run, directory: Path) -> None:
    for place in ("/", "/proc", "/dev"):
        done = tensorcast("convert", directory, place, "--to", "bf16", "--force")
        assert done.returncode == 1
        assert "Traceback" not in done.stderr


def test_a_link_to_other_things_stays(tensorcast: Run, directory: Path, tmp_path: Path) -> None:
    home(tmp_path / "home")
    (tmp_path / "out").symlink_to("home")
    done = tensorcast("convert", directory, "out", "--to", "bf16", "--force")
    assert done.returncode == 1
    assert HOLDS_NONE in done.stderr
    assert (tmp_path / "out").is_symlink()


def test_checkpoints_with_what_stands_beside_them_are_replaced(
    tensorcast: Run, directory: Path, tmp_path: Path
) -> None:
    (directory / "notes.rst").write_text("what the new one writes may be in the old one too")
    (directory / "1_Pooling").mkdir()
    (directory / "1_Pooling" / "pooling.yaml").write_text("")
    usual = (
        "config.json generation_config.json tokenizer.json tokenizer_config.json vocab.txt "
        "merges.txt special_tokens_map.json spiece.model README.md LICENSE modules.json "
        "1_Pooling/config.json pytorch_model.bin onnx/model.onnx .cache/huggingface/x/y.lock "
        ".gitattributes modeling_x.py chat_template.jinja notes.rst 1_Pooling/pooling.yaml"
    ).split()
    out = write_directory(tmp_path / "out", [ONE, ONE], extra=dict.fromkeys(usual, ""))
    assert "exists; pass --force" in tensorcast("convert", directory, out, "--to", "f16").stderr
    done = tensorcast("convert", directory, out, "--to", "f16", "--force")
    assert done.returncode == 0, done.stderr
    found = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert found == {
        "config.json", "model.safetensors", "notes.rst", "1_Pooling/pooling.yaml",
    }  # fmt: skip


@pytest.mark.parametrize(
    "precious",
    ["sdxl.safetensors", "loras/mine.safetensors", "README-notes.docx", "vocabulary.xlsx",
     "checkpoint-500/optimizer.pt", "optimizer.pt"],
)  # fmt: skip
def test_a_collection_is_no_checkpoint(
    tensorcast: Run, directory: Path, tmp_path: Path, precious: str
) -> None:
    out = write_directory(tmp_path / "out", [ONE], extra={precious: "mine"})
    done = tensorcast("convert", directory, out, "--to", "f16", "--force")
    assert done.returncode == 1
    assert f"holds more than a checkpoint: {precious!r} would be lost" in " ".join(
        done.stderr.split()
    )
    assert (out / precious).read_text() == "mine"


@pytest.mark.parametrize("when", ["before the rename", "in the rename"])
def test_what_comes_to_stand_there_meanwhile_stays(
    file: Path, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    real = syscalls.exchange
    if not real(str(file), str(directory)):
        pytest.skip("renameat2 is not there")
    real(str(file), str(directory))
    for source, place in ((file, tmp_path / "y.safetensors"), (directory, tmp_path / "n")):
        if source is file:
            write(place, ONE)
        else:
            write_directory(place, [ONE])
        put: list[bool] = []

        def appear(place: Path = place, put: list[bool] = put) -> None:
            if not put:
                put.append(True)
                os.rename(place, f"{place}.away")
                os.mkfifo(place)

        def exchange(one: str, other: str, appear: Callable[[], None] = appear) -> bool:
            appear()
            return real(one, other)

        with monkeypatch.context() as patch:
            if when == "in the rename":
                patch.setattr(syscalls, "exchange", exchange)
            progress = (lambda _, appear=appear: appear()) if when != "in the rename" else None
            with pytest.raises(DestinationError, match=r"during the run.* is a FIFO"):
                run(prepare(source, place, "bfloat16"), force=True, progress=progress)
        assert stat.S_ISFIFO(os.lstat(place).st_mode)
        os.unlink(place)
        assert run(prepare(source, place, "bfloat16")).resumed  # what was finished was kept


def test_what_cannot_be_removed_is_said_and_where_it_is(directory: Path, tmp_path: Path) -> None:
    out = write_directory(tmp_path / "out", [ONE], extra={"a/config.json": "{}"})
    code = (
        "import os\n"
        "real = os.unlink\n"
        "def unlink(path, *a, **k):\n"
        "    if str(path).endswith('a/config.json'):\n"
        "        raise PermissionError(13, 'Permission denied', str(path))\n"
        "    return real(path, *a, **k)\n"
        "os.unlink = unlink\n"
    )
    done = patched(code, "convert", directory, out, "--to", "bf16", "--force")
    left = workspace_path(str(out))
    assert done.returncode == 1, done.stdout
    said = " ".join(done.stderr.split())
    assert f"'{out}' is complete, but old data could not be removed" in said
    assert f"'{left}/new/a/config.json': Permission denied" in said
    assert f"remove '{left}' by hand" in said
    assert open_checkpoint(out).tensors[0].format.name == "bfloat16"
    assert [p for p in left.rglob("*") if p.is_file() and p.name != "receipts"] == [
        left / "new" / "a" / "config.json"
    ]
    again = patched(code, "convert", directory, out, "--to", "bf16", "--force")
    assert again.returncode == 1
    assert "could not be removed" in again.stderr
    assert patched("", "convert", directory, out, "--to", "bf16", "--force").returncode == 0
    assert not left.exists()


def test_a_folder_without_permission_is_found_before(directory: Path, tmp_path: Path) -> None:
    out = write_directory(tmp_path / "out", [ONE], extra={"a/config.json": "{}"})
    code = (
        "import os\n"
        "real = os.access\n"
        "os.access = lambda p, *a, **k: not str(p).endswith('out/a') and real(p, *a, **k)\n"
    )
    before = sorted(tmp_path.rglob("*"))
    done = patched(code, "convert", directory, out, "--to", "bf16", "--force")
    assert done.returncode == 1
    assert "holds 'a', whose entries cannot be removed: no permission" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before
    assert open_checkpoint(out).tensors[0].format.name == "float32"


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "out" / "a"
    place.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_mount_point_is_found_before(directory: Path, mounted: Path) -> None:
    out = mounted.parent
    write(out / "model.safetensors", ONE)
    (mounted / "config.json").write_text("{}")
    done = patched("", "convert", directory, out, "--to", "bf16", "--force")
    assert done.returncode == 1
    assert "holds 'a', a mount point, which cannot be removed" in done.stderr
    assert open_checkpoint(out).tensors[0].format.name == "float32"
    assert "is a mount point" in patched(
        "", "convert", directory, mounted, "--to", "bf16", "--force"
    ).stderr  # fmt: skip


def test_an_immutable_file_is_found_before(directory: Path, tmp_path: Path) -> None:
    out = write_directory(tmp_path / "out", [ONE], extra={"a/config.json": "{}"})
    fixed = out / "a" / "config.json"
    try:
        if subprocess.run(["chattr", "+i", fixed], capture_output=True, check=False).returncode:
            pytest.skip("files cannot be made immutable here")
    except FileNotFoundError:
        pytest.skip("no chattr")
    try:
        done = patched("", "convert", directory, out, "--to", "bf16", "--force")
        assert done.returncode == 1
        assert "holds 'a/config.json', which is immutable" in done.stderr
        assert open_checkpoint(out).tensors[0].format.name == "float32"
    finally:
        subprocess.run(["chattr", "-i", fixed], check=True)


def test_reports_take_the_place_of_no_node_either(tensorcast: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "node")
    (tmp_path / "x.py").write_text("")
    for arguments in (
        ["bench", "--only", "cast", "--seconds", "1", "--out", "node"],
        ["trace", "--html", "node", "x.py"],
    ):
        done = tensorcast(*arguments)
        assert done.returncode in (1, 2)
        assert "no regular file" in done.stderr
        assert stat.S_ISFIFO(os.lstat(tmp_path / "node").st_mode)
