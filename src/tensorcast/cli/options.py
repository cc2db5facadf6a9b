"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from tensorcast.errors import FormatError
from tensorcast.formats import FORMATS, Format, lookup

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


class FormatType(click.ParamType):
    """A number format by any of its spellings."""

    name = "format"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Format:
        try:
            return lookup(value)
        except FormatError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
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
