"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from tensorcast.errors import FormatError
from tensorcast.formats import FORMATS, Format, lookup

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


if TYPE_CHECKING:
    _FormatType = click.ParamType[Format]
else:  # generic in newer clicks only
    _FormatType = click.ParamType


class FormatType(_FormatType):
    """A number format by any of its spellings."""

    name = "format"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Format:
        try:
            return lookup(value, "files")
        except FormatError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        return [CompletionItem(name) for name in FORMATS if name.startswith(incomplete.lower())]


def output_options(command: _Decorated) -> _Decorated:
    """Adds --json and --debug."""
    command = click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        help="Show the traceback of an error (also TENSORCAST_DEBUG=1).",
    )(command)
    return click.option(
        "--json", "as_json", is_flag=True, help="Print a JSON document instead of text."
    )(command)


def html_option(command: _Decorated) -> _Decorated:
    """Adds --html."""
    return click.option(
        "--html",
        "html",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Write everything as one HTML file too; it needs no network.",
    )(command)


def run_options(command: _Decorated) -> _Decorated:
    """Adds the options of the commands that write a checkpoint."""
    for option in reversed(
        [
            click.option("--force", is_flag=True, help="Replace DST; it lives until then."),
            click.option(
                "--verify/--no-verify",
                default=False,
                help="Read back what was written and compare. [default: no]",
            ),
            click.option(
                "--report/--no-report",
                default=False,
                help="Measure and show what was lost. [default: no]",
            ),
            click.option(
                "--threads",
                type=click.IntRange(min=1),
                metavar="N",
                help="Threads that cast. [default: TENSORCAST_NUM_THREADS, or the CPUs]",
            ),
        ]
    ):
        command = option(command)
    return command
