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
from .options import ChoiceType, FormatType, SourceType, output_options, run_options
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
    help="Tensors whose name matches GLOB become FORMAT instead; the first rule that matches "
    "decides. Upper and lower case differ; a GLOB that matches no tensor is an error.",
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
    type=ChoiceType(["raise", "saturate", "ieee", "keep"]),
    default="raise",
    show_default=True,
    help="What to do with values out of range. raise: stop and write nothing. saturate: take the "
    "nearest value. ieee: infinity or NaN. keep: leave the whole tensor in its format.",
)
@click.option(
    "--rounding",
    type=ChoiceType(ROUNDINGS),
    default=None,
    help="How values are rounded. [default: nearest-even; toward-zero to integers]",
)
@click.option(
    "--nan",
    type=ChoiceType(NANS),
    default="raise",
    show_default=True,
    help="What to do with a NaN that FORMAT cannot store.",
)
@click.option(
    "--inf",
    type=ChoiceType(INFS),
    default="keep",
    show_default=True,
    help="What to do with an infinity that FORMAT can store: keep it, take the largest value, or "
    "stop.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, (1 << 64) - 1),
    default=0,
    metavar="N",
    help="Seed of stochastic rounding. [default: 0]",
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
    help="Cast the stored numbers as they are, without scales, even if most values are lost. "
    "Scales stay as tensors; what describes a quantization is not written.",
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
    tensorcast convert model model-bf16 --to bf16 --verify
    tensorcast convert in out --to F8_E4M3 --keep '*[Nn]orm*'
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
