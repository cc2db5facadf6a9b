"""The command group, and what becomes of an error: a line, a document, an exit code.

Exit codes: 0 ok; 1 findings, a failed policy or a failing file; 2 usage; 3 interrupted, and the
same command resumes.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from .. import __version__
from ..errors import FormatError, PolicyError, TensorcastError
from ..words.text import Span, line, safe, wrap
from .interruption import INTERRUPTED, take_interruptions
from .terminal import screen, show, write

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2

# Command -> (its module, its line in --help). The modules load when the command is called, so
# that --help answers at once.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "inspect": ("inspect", "Show what a checkpoint holds, and what a cast would do to it."),
    "convert": ("convert", "Convert a checkpoint to another number format."),
    "run": ("run", "Execute a job saved by convert --dry-run --json."),
    "diff": ("diff", "Compare two checkpoints tensor by tensor."),
    "profile": ("profile", "Show the memory, the values and the possible losses of a model."),
    "trace": ("trace", "Run a script and show its hidden casts, transfers and waits."),
    "bench": ("bench", "Measure what each format gives on this machine."),
    "promote": (
        "promote",
        "Show what torch, NumPy, JAX and TensorFlow give for mixed formats.",
    ),
    "formats": ("formats", "List the number formats, or show one in detail."),
    "completion": ("completion", "Print the script that completes commands in your shell."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{COMMANDS[cmd_name][0]}", __package__)
        command: click.Command = module.command
        take_interruptions()
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "tensorcast --help lists them"
            ctx.fail(f"no command is called '{name}'; {hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="tensorcast COMMAND --help tells more. Exit codes: 0 ok, 1 findings or an error, 2 "
    "wrong usage, 3 interrupted: the same command goes on from there.",
)
@click.version_option(__version__, "--version", "-V", message="tensorcast %(version)s")
def cli() -> None:
    """Change the number format of model checkpoints, and see what it costs and loses.

    Sizes are decimal: 1 kB is 1000 bytes.
    """


def run(arguments: Sequence[str]) -> int:
    """The exit code of one command line; everything it says goes to stdout and stderr."""
    arguments = list(arguments) or ["--help"]
    debug = "--debug" in arguments or os.environ.get("TENSORCAST_DEBUG", "") not in ("", "0")
    stdout = sys.stdout
    try:
        result: Any = cli.main(arguments, prog_name="tensorcast", standalone_mode=False)
        return result if isinstance(result, int) else OK
    except (click.Abort, KeyboardInterrupt) as interruption:
        cause = interruption.__cause__ or interruption  # click wraps it
        if debug:
            _print_traceback(cause)
        return _fail(arguments, "Interrupted", [str(cause) or "interrupted"], INTERRUPTED)
    except SystemExit:
        if sys.stdout is not stdout:  # click wraps it where nobody reads what it prints
            return OK
        raise
    except click.ClickException as error:
        return _fail(arguments, "UsageError", _usage(error), error.exit_code)
    except (TensorcastError, OSError) as error:
        if debug:
            _print_traceback(error)
        code = USAGE if isinstance(error, (FormatError, PolicyError)) else FAILED
        return _fail(arguments, type(error).__name__, _message(error), code, error)


def _print_traceback(error: BaseException) -> None:
    import traceback

    write("".join(traceback.format_exception(error)), sys.stderr)


def _message(error: BaseException) -> list[str]:
    findings = getattr(error, "findings", None)
    if findings:
        from ..report.findings import texts

        return texts(findings)
    if isinstance(error, OSError) and error.strerror:
        where = [os.fsdecode(f) for f in (error.filename, error.filename2) if f is not None]
        return [": ".join([" -> ".join(where), error.strerror] if where else [error.strerror])]
    from .spelling import as_options

    return [as_options(str(error)) or type(error).__name__]


def _usage(error: click.ClickException) -> list[str]:
    context = getattr(error, "ctx", None)
    lines = [error.format_message()]
    if context is not None:
        lines.append(f"{context.command_path} --help shows how it is used")
    return lines


def _fail(
    arguments: Sequence[str],
    kind: str,
    message: list[str],
    code: int,
    error: BaseException | None = None,
) -> int:
    """Says what went wrong: lines on stderr, and with --json a document on stdout too."""
    width = screen(sys.stderr).width or sys.maxsize
    texts = [safe(part) for text in message for part in text.splitlines() or [""]]
    texts = [
        part
        for text in ["error: " + texts[0], *("  " + hint for hint in texts[1:])]
        for part in wrap(text, width, indent=" " * (len(text) - len(text.lstrip()) + 2))
    ]
    show([line(Span("error:", "bad"), texts[0].removeprefix("error:"))], sys.stderr)
    show([line(text) for text in texts[1:]], sys.stderr)
    if "--json" in arguments:
        from ..report import findings
        from ..report.document import document, dump

        named = next((a for a in arguments if a in COMMANDS), "")
        body = {"kind": kind, "message": "\n".join(message), "exit_code": code}
        found = getattr(error, "findings", None)
        if found:
            body["findings"] = findings.describe(found)
        write(dump(document(named, {"error": body}, version=__version__)) + "\n")
    return code
