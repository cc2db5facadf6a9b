"""`tensorcast trace`: a script with its casts recorded."""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .emitting import emit
from .options import html_option, need_torch, output_options
from .pages import refuse_others, write_html

if TYPE_CHECKING:
    from ..model.trace.tracing import Trace


_RUNPY = "<frozen runpy>"


@click.command(
    "trace", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.option("-m", "as_module", is_flag=True, help="SCRIPT is a module's name, as in python -m.")
@html_option
@output_options
@click.argument("script")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(
    ctx: click.Context,
    script: str,
    args: tuple[str, ...],
    as_module: bool,
    as_json: bool,
    html: Path | None,
) -> None:
    """Run SCRIPT with ARGS and say which casts, promotions, transfers and waits it did, where, what
    they cost, and what to write instead.

    Options of tensorcast stand before SCRIPT. Exit code 1: there are findings, or the script
    failed; then what was seen before is shown. With --json the script's own output goes to stderr.

    \b
    tensorcast trace train.py --epochs 1
    tensorcast trace --html report.html train.py
    tensorcast trace --json -m package.evaluate
    """
    if not as_module and not os.path.isfile(script):
        raise click.UsageError(f"there is no file {script!r}; a module's name goes with -m")
    refuse_others(html)
    need_torch()
    from ..model.trace.tracing import trace

    traced = trace()
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        code = _run(script, args, as_module, traced)
    _report(traced, as_json)
    write_html(html, traced, title=" ".join([script, *args]))
    ctx.exit(code or int(bool(traced.findings)))


def _run(script: str, args: tuple[str, ...], as_module: bool, traced: Trace) -> int:
    """The script's exit code."""
    with _as_main(script, args, as_module), traced:
        try:
            if as_module:
                runpy.run_module(script, run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(script, run_name="__main__")
        except SystemExit as stop:
            if stop.code is None or isinstance(stop.code, int):
                return stop.code or 0
            print(stop.code, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        except Exception as error:
            _print(error)
            return 1
    return 0


def _print(error: Exception) -> None:
    """The traceback as Python prints it of a script: from the script's first line."""
    import traceback

    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename in (__file__, _RUNPY):
        frame = frame.tb_next
    traceback.print_exception(type(error), error, frame)


@contextlib.contextmanager
def _as_main(script: str, args: tuple[str, ...], as_module: bool) -> Iterator[None]:
    """sys.argv and sys.path as Python sets them for a script."""
    argv, path = sys.argv, list(sys.path)
    sys.argv = [script, *args]
    sys.path.insert(0, os.getcwd() if as_module else os.path.dirname(os.path.abspath(script)))
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, path


def _report(traced: Trace, as_json: bool) -> None:
    from ..report import tracing

    emit("trace", as_json=as_json, body=traced.to_dict, lines=partial(tracing.lines, traced))
