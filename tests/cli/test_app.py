"""Help, exit codes, errors: what holds for every command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from cli.program import Run, environment

from tensorcast import __version__
from tensorcast.cli.app import COMMANDS, cli


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_everywhere(tensorcast: Run, command: str, flag: str) -> None:
    done = tensorcast(*command.split(), flag)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: tensorcast {command}".rstrip())
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_help_lists_every_command(tensorcast: Run) -> None:
    text = tensorcast("--help").stdout
    for name, (_, line) in COMMANDS.items():
        assert name in text
        assert line in " ".join(text.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_in_the_list_is_the_commands_own(name: str) -> None:
    """The list is written out so that --help loads no command; here the two are compared."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert command.help


def test_version(tensorcast: Run) -> None:
    assert tensorcast("--version").stdout == f"tensorcast {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nspect"], "no command is called 'nspect'; did you mean 'inspect'?"),
        (["\x1b[2J"], "no command is called '\\x1b[2J'; tensorcast --help lists them"),
        (["inspect"], "Missing argument 'PATH'"),
        (["inspect", "nothing.safetensors"], "'nothing.safetensors' does not exist"),
        (["inspect", "--bogus", "x"], "No such option"),
        (["formats", "bflot16"], "no number format is called 'bflot16'; nearest: bfloat16"),
        (["formats", "fp8"], "float8_e5m2 holds values up to 57344"),
        (
            ["convert", "model.safetensors", "o", "--to", "f16", "--rounding", "nearst-even"],
            "did you mean 'nearest-even'?",
        ),
        (["convert", "model.safetensors", "out.safetensors"], "Missing option '--to'"),
        (["convert", "model.safetensors", "o", "--to", "f16", "--overflow", "wrap"], "'wrap'"),
        (["convert", "model.safetensors", "o", "--to", "f16", "--rule", "x"], "GLOB=FORMAT"),
        (["convert", "model.safetensors", "o", "--to", "f16", "--rule", "x=f17"], "f17"),
        (["convert", "model.safetensors", "o", "--to", "f16", "--max-shard-size", "5XB"], "5XB"),
        (["convert", "model.safetensors", "o", "--to", "f16", "--seed", "-1"], "-1"),
        (["convert", "model.safetensors", "o", "--to", "f16", "--threads", "0"], "0"),
        (["convert", "model.safetensors", "o", "--to", "int4"], "safetensors cannot hold int4"),
        (
            ["convert", "model.safetensors", "o.safetensors", "--to", "int8", "--overflow", "ieee"],
            "int8",
        ),
        (["completion", "tcsh"], "'tcsh'"),
    ],
)
@pytest.mark.usefixtures("model")
def test_usage_errors(tensorcast: Run, arguments: list[str], said: str) -> None:
    done = tensorcast(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_errors_are_documents_with_json(tensorcast: Run, tmp_path: Path) -> None:
    Path(tmp_path, "bad.safetensors").write_bytes(b"\xff" * 64)
    done = tensorcast("inspect", "--json", "bad.safetensors")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["tensorcast"] == {"version": __version__, "schema": 1, "command": "inspect"}
    assert document["error"]["kind"] == "CorruptFileError"
    assert document["error"]["exit_code"] == 1
    assert "bad.safetensors" in document["error"]["message"]
    assert done.stderr.startswith("error: ")


def test_usage_errors_are_documents_with_json(tensorcast: Run) -> None:
    done = tensorcast("inspect", "nothing", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["kind"] == "UsageError"


@pytest.mark.parametrize(("arguments", "changes"), [(["--debug"], {}), ([], {"DEBUG": "1"})])
def test_debug_shows_the_traceback(
    tensorcast: Run, tmp_path: Path, arguments: list[str], changes: dict[str, str]
) -> None:
    Path(tmp_path, "bad.safetensors").write_bytes(b"\xff" * 64)
    variables = {f"TENSORCAST_{key}": value for key, value in changes.items()}
    done = tensorcast("inspect", "bad.safetensors", *arguments, **variables)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "CorruptFileError" in done.stderr
    assert "Traceback" not in tensorcast("inspect", "bad.safetensors").stderr


def test_a_file_that_may_not_be_read(tensorcast: Run, tmp_path: Path) -> None:
    done = tensorcast("inspect", tmp_path)  # a directory without a checkpoint
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error(model: Path) -> None:
    """`tensorcast formats | head -1`: quiet, and the exit code is the command's own."""
    program = [sys.executable, "-m", "tensorcast"]
    for arguments in (["formats", "--json"], ["inspect", "--full", str(model)]):
        process = subprocess.Popen(
            [*program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0
        process.stderr.close()


def test_a_full_standard_output_is_an_error(model: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tensorcast", "inspect", str(model)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "error: standard output: No space left on device\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(tensorcast: Run, shell: str) -> None:
    done = tensorcast("completion", shell)
    assert done.returncode == 0
    assert "_TENSORCAST_COMPLETE" in done.stdout


def test_completion_completes(tensorcast: Run) -> None:
    def complete(line: str) -> list[str]:
        done = tensorcast(
            _TENSORCAST_COMPLETE="bash_complete",
            COMP_WORDS=line,
            COMP_CWORD=str(len(line.split(" ")) - 1),
        )
        return [entry.partition(",")[2] for entry in done.stdout.split()]

    assert complete("tensorcast in") == ["inspect"]
    assert complete("tensorcast convert a b --to bf") == ["bfloat16"]
    assert "--overflow" in complete("tensorcast convert --o")


def test_fish_completes(tensorcast: Run, tmp_path: Path) -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("no fish")
    script = tmp_path / "tensorcast.fish"
    script.write_text(tensorcast("completion", "fish").stdout)
    program = tmp_path / "bin" / "tensorcast"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tensorcast "$@"\n')
    program.chmod(0o755)

    def complete(line: str) -> list[str]:
        command = f"source '{script}'; complete -C '{line}'"
        variables = environment(HOME=str(tmp_path), PATH=f"{program.parent}:{os.environ['PATH']}")
        done = subprocess.run([fish, "-c", command], capture_output=True, text=True, env=variables)
        return [entry.partition("\t")[0] for entry in done.stdout.splitlines()]

    assert complete("tensorcast in") == ["inspect"]
    assert complete("tensorcast convert a b --to bf") == ["bfloat16"]
    assert "--overflow" in complete("tensorcast convert --o")


def test_only_plain_ascii_where_the_stream_takes_no_more(tensorcast: Run, model: Path) -> None:
    done = tensorcast("inspect", model, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "|- bias " in done.stdout
    assert "`- weight " in done.stdout
    assert "\\u" not in done.stdout
    fits = tensorcast("inspect", model, PYTHONIOENCODING="utf-8").stdout.splitlines()
    assert list(map(len, fits)) == list(map(len, done.stdout.splitlines()))
