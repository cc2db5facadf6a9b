"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ..errors import FormatError
from ..formats import FORMATS, Format, lookup

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


if TYPE_CHECKING:
    _FormatType = click.ParamType[Format]
    _ChoiceType = click.Choice[str]
else:  # generic in newer clicks only
    _FormatType, _ChoiceType = click.ParamType, click.Choice


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


class ChoiceType(_ChoiceType):
    """One of some words; a misspelt one is told the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        words = [str(choice) for choice in self.choices]
        if value not in words:
            near = get_close_matches(str(value), words, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self.fail(f"{value!r} is not one of {', '.join(words)}{hint}", param, ctx)
        return super().convert(value, param, ctx)


class SourceType(click.Path):
    """A path at which something stands. That it is not there is an error of usage; that it cannot
    be read is found by whoever reads it, and is none."""

    def __init__(self, *, allow_dash: bool = False) -> None:
        super().__init__(readable=False, path_type=Path, allow_dash=allow_dash)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not (self.allow_dash and value == "-"):
            try:
                os.stat(value)
            except (FileNotFoundError, NotADirectoryError):
                self.fail(f"Path {os.fsdecode(value)!r} does not exist.", param, ctx)
        return super().convert(value, param, ctx)


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
            click.option("--force", is_flag=True, help="Replace DST when the new one is complete."),
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


def need_torch() -> None:
    """Says what to install where torch is missing, before the user's code is run.

    Raises:
        MissingLibraryError: it is.
    """
    from ..bridges.protocol import load

    load("torch")
