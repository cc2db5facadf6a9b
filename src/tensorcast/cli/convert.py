"""`tensorcast convert`: a checkpoint in another number format."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..checkpoint.decide.job import Job
from ..checkpoint.decide.preparing import prepare
from ..checkpoint.decide.rules import Rule, parse_rule
from ..checkpoint.kinds import kinds_in_words
from ..errors import TensorcastError
from ..formats import Format
from ..policy import INFS, NANS, ROUNDINGS
from ..words.units import parse_bytes
from .options import FormatType, SourceType, output_options, run_options
from .terminal import screen, show, write

if TYPE_CHECKING:
    _RuleType = click.ParamType[Rule]
    _SizeType = click.ParamType[int]
else:  # generic in newer clicks only
    _RuleType = _SizeType = click.ParamType


class RuleType(_RuleType):
    """GLOB=FORMAT."""

    name = "rule"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Rule:
        if isinstance(value, Rule):
            return value
        try:
            return parse_rule(value)
        except TensorcastError as error:
            self.fail(str(error), param, ctx)


class SizeType(_SizeType):
    """A size in bytes as people write it."""

    name = "size"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_bytes(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("convert")
@click.argument("source", metavar="SRC", type=SourceType())
@click.argument("destination", metavar="DST", type=click.Path(path_type=Path))
@click.option("--to", required=True, type=FormatType(), help="Format of the floating tensors.")
@click.option(
    "--rule",
    "rules",
    multiple=True,
    type=RuleType(),
    metavar="GLOB=FORMAT",
    help="Tensors whose name matches GLOB become FORMAT instead; the first match decides. Upper "
    "and lower case differ; a GLOB that matches no tensor is an error.",
)
@click.option(
    "--keep",
    "keeps",
    multiple=True,
    metavar="GLOB",
    help="Tensors whose name matches GLOB keep their format; comes before every --rule.",
)
@click.option(
    "--overflow",
    type=click.Choice(["raise", "saturate", "ieee", "keep"]),
    default="raise",
    show_default=True,
    help="For values out of range: fail before anything appears at DST, the nearest extreme, "
    "infinity or NaN, or keep the whole tensor in its format.",
)
@click.option(
    "--rounding",
    type=click.Choice(ROUNDINGS),
    default=None,
    help="[default: nearest-even, to integers toward-zero]",
)
@click.option(
    "--nan",
    type=click.Choice(NANS),
    default="raise",
    show_default=True,
    help="For a NaN that FORMAT cannot store.",
)
@click.option(
    "--inf",
    type=click.Choice(INFS),
    default="keep",
    show_default=True,
    help="For an infinity that FORMAT has: keep it, take the largest value, or fail.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, (1 << 64) - 1),
    default=0,
    metavar="N",
    help="Of stochastic rounding. [default: 0]",
)
@click.option(
    "--max-shard-size",
    type=SizeType(),
    metavar="SIZE",
    help="Split into files of at most SIZE of tensors, like 5GB. A tensor is never split. "
    "[default: the source's files]",
)
@click.option(
    "--raw",
    is_flag=True,
    help="Cast the stored numbers as they are, without scales, whatever becomes of them. Scales "
    "stay as tensors; what describes a quantization is not written.",
)
@click.option(
    "--dry-run", is_flag=True, help="Print the job and write nothing: what would be done."
)
@click.option(
    "--full",
    is_flag=True,
    help="With --dry-run: list every tensor by its whole name, and all files.",
)
@run_options
@output_options
def command(
    source: Path,
    destination: Path,
    to: Format,
    rules: tuple[Rule, ...],
    keeps: tuple[str, ...],
    overflow: str,
    rounding: str | None,
    nan: str,
    inf: str,
    seed: int,
    max_shard_size: int | None,
    raw: bool,
    dry_run: bool,
    full: bool,
    force: bool,
    verify: bool,
    report: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Convert SRC to another number format and write it to DST.

    SRC is {kinds}, DST the new file or directory. Floating
    tensors change, others stay. DST appears when it is complete, never before; after an
    interruption the same command resumes.

    \b
    tensorcast convert model model-bf16 --to bfloat16 --report --verify
    tensorcast convert model model-fp8 --to F8_E4M3 --keep '*[Nn]orm*'
    """
    made = prepare(
        source,
        destination,
        to,
        rules=rules,
        keep=keeps,
        overflow=overflow,  # type: ignore[arg-type]  # click holds it to the choices
        rounding=rounding,  # type: ignore[arg-type]
        nan=nan,  # type: ignore[arg-type]
        inf=inf,  # type: ignore[arg-type]
        seed=seed,
        max_shard_size=max_shard_size,
        raw=raw,
    )
    if dry_run:
        _show(made, force=force, full=full, as_json=as_json)
        return
    from .execution import execute

    execute(
        made,
        force=force,
        verify=verify,
        report=report,
        threads=threads,
        as_json=as_json,
        command="convert",
    )


command.help = (command.help or "").replace("{kinds}", kinds_in_words())


def _show(made: Job, *, force: bool, full: bool, as_json: bool) -> None:
    from ..checkpoint.decide.destination import check_place, check_replaceable, space
    from ..report import preparing

    check_place(made)
    check_replaceable(made, force=force)
    if as_json:
        write(made.to_json())
        return
    needed, free = space(made)
    width = screen(sys.stdout).width
    show(preparing.lines(made, width=width, full=full, n_bytes_needed=needed, n_bytes_free=free))
