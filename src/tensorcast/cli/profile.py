"""`tensorcast profile`: the model that a function of the user's makes, profiled."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..formats import Format
from .emitting import emit
from .options import FormatType, html_option, need_torch, output_options
from .pages import refuse_others, write_html

if TYPE_CHECKING:
    from ..model.profile.result import Profile

_FORM = "write it as package.module:function or path/to/file.py:function"


@click.command("profile")
@click.option(
    "--candidate",
    "candidates",
    multiple=True,
    type=FormatType(),
    help="A format to try; repeat for several. "
    "[default: the usual 16-bit and 8-bit floats, and int8]",
)
@click.option("--no-grad", is_flag=True, help="Run the model under torch.no_grad(), to infer.")
@html_option
@output_options
@click.argument("target", metavar="MODULE:FUNCTION")
@click.pass_context
def command(
    ctx: click.Context,
    target: str,
    candidates: tuple[Format, ...],
    no_grad: bool,
    as_json: bool,
    html: Path | None,
) -> None:
    """Show what a model takes and holds: bytes by module and format, activations at the peak,
    ranges, and what other formats would make of it.

    FUNCTION, called without arguments, returns the model (a torch.nn.Module or a state dict), or
    (model, inputs), or (model, inputs, keywords), and then the model runs once on them. Inputs are
    a tuple or list of the arguments, one argument alone, or a dict of keywords.

    Exit code 1: there are findings, or the function failed. With --json what the user's code prints
    goes to stderr.

    \b
    tensorcast profile train.py:make_model
    tensorcast profile --html page.html train.py:make_model
    tensorcast profile --json package.models:example
    """
    refuse_others(html)
    need_torch()
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        profiled = _profiled(_loaded(target), candidates, no_grad)
    if profiled is None:
        ctx.exit(1)
    _report(profiled, as_json)
    write_html(html, profiled, title=target)
    ctx.exit(int(bool(profiled.findings)))


def _profiled(made: Any, candidates: tuple[Format, ...], no_grad: bool) -> Profile | None:
    """The profile of what the user's function gives; None where it failed, and said so."""
    from ..model.profile.profiling import CANDIDATES, grad_mode, profile

    if callable(made) and (isinstance(made, type) or not hasattr(made, "named_modules")):
        try:
            made = made()
        except Exception as error:
            _print(error)
            return None
    model, inputs, keywords = _arguments(made)
    with grad_mode(not no_grad):
        profiled = profile(model, *inputs, candidates=candidates or CANDIDATES, **keywords)
    if profiled.error is not None:
        _print(profiled.error)
    return profiled


def _arguments(made: Any) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """Model, positional and keyword inputs."""
    if not isinstance(made, tuple):
        return made, (), {}
    if len(made) not in (2, 3):
        raise click.UsageError(
            f"the function returned a tuple of {len(made)}; return the model, (model, inputs) or "
            "(model, inputs, keywords)"
        )
    model, inputs = made[:2]
    keywords = made[2] if len(made) == 3 else {}
    if len(made) == 2 and isinstance(inputs, Mapping):
        inputs, keywords = (), inputs
    if not isinstance(keywords, Mapping):
        raise click.UsageError(
            f"the keywords that the function returned are of type {type(keywords).__name__}, not a "
            "dict"
        )
    positional = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    return model, positional, dict(keywords)


def _loaded(target: str) -> Any:
    """What a target names."""
    where, colon, name = target.rpartition(":")
    if os.path.isdir(target) or target.endswith(".safetensors"):
        raise click.UsageError(
            f"{target!r} is a checkpoint: `tensorcast inspect --stats {target}` shows its values. "
            "profile looks at a model that a function makes"
        )
    if not colon or not where or not name:
        raise click.UsageError(f"{target!r} names no function; {_FORM}")
    module = _file(where) if where.endswith(".py") else _module(where)
    found = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            near = difflib.get_close_matches(part, dir(found), n=1)
            known = [key for key, value in vars(module).items() if _is_own(key, value, module)]
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known) or 'none'}"
            raise click.UsageError(f"{where} has no {name!r}; {hint}") from None
    return found


def _is_own(key: str, value: object, module: Any) -> bool:
    return (
        not key.startswith("_")
        and callable(value)
        and getattr(value, "__module__", None) == module.__name__
    )


def _file(path: str) -> Any:
    if not os.path.isfile(path):
        raise click.UsageError(f"there is no file {path!r}")
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    name = Path(path).stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # pickles and dataclasses look their module up; never in place of one that is there
    sys.modules.setdefault(name, module)
    _import(lambda: spec.loader.exec_module(module))  # type: ignore[union-attr]
    return module


def _module(name: str) -> Any:
    sys.path.insert(0, os.getcwd())
    try:
        found = importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        found = False
    if not found:
        raise click.UsageError(f"there is no module {name!r} here; {_FORM}")
    return _import(lambda: importlib.import_module(name))


def _import(load: Callable[[], Any]) -> Any:
    """What the user's code gives when it loads; its exception is shown as Python shows it."""
    try:
        return load()
    except Exception as error:
        _print(error)
        raise click.exceptions.Exit(1) from None


def _print(error: Exception) -> None:
    """The traceback, from the first line that is the user's."""
    import traceback

    frame = error.__traceback__
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith((own, "<frozen")):
        frame = frame.tb_next
    traceback.print_exception(type(error), error, frame)


def _report(profiled: Profile, as_json: bool) -> None:
    from ..model.profile.wording import lines

    emit("profile", as_json=as_json, body=profiled.to_dict, lines=partial(lines, profiled))
