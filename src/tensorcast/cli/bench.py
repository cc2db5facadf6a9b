"""`tensorcast bench`: what each format gives on this machine."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from pathlib import Path

import click

from .options import ChoiceType, output_options
from .terminal import screen, show, write

PARTS = ("cast", "matmul", "linear", "conv2d", "attention", "layer_norm", "embedding")


@click.command("bench")
@click.option("--quick", is_flag=True, help="Smaller operands, about 10 seconds.")
@click.option(
    "--only",
    metavar="PART,...",
    default="",
    help=f"Some parts only: {', '.join(PARTS)}.",
)
@click.option("--device", type=ChoiceType(["cpu", "cuda"]), help="[default: cuda if it is there]")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="CPU threads, the same for every library. [default: one per core]",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    help="Seconds in all. [default: 45; 10 if quick]",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the capability file, which tensorcast.capability.result.Capability reads.",
)
@output_options
def command(
    quick: bool,
    only: str,
    device: str | None,
    threads: int | None,
    seconds: float | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure what each format gives on this machine: how fast casts, matrix products, convolution,
    attention and more are, how much memory they take and how far they are from float64.

    Every result is verified before it is timed; the formats take turns. What is only installed
    (torch, TensorFlow, JAX) is compared, what is missing is named with the reason.

    \b
    tensorcast bench
    tensorcast bench --quick --only cast,matmul
    tensorcast bench --threads 1 --out capability.json
    """
    parts = [part for part in only.split(",") if part]
    for part in parts:
        if part not in PARTS:
            near = get_close_matches(part, PARTS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise click.BadParameter(
                f"{part!r} is none of {', '.join(PARTS)}{hint}", param_hint="'--only'"
            )
    if out is not None:
        _check_place(out)
    from ..capability.process import bench
    from .progress import steps

    with steps("measuring") as tracker:
        found = bench(
            only=parts,
            device=device,
            threads=threads,
            seconds=seconds,
            quick=quick,
            progress=tracker,
        )
    if out is not None:
        found.write(out)
    if as_json:
        write(found.to_json() + "\n")
    else:
        from ..capability.wording import lines

        show(lines(found, screen(sys.stdout).width))


def _check_place(out: Path) -> None:
    """Whether the file can be written, before a minute is spent on it."""
    directory = out.absolute().parent
    if not directory.is_dir():
        raise click.BadParameter(f"there is no directory {str(out.parent)!r}", param_hint="'--out'")
    if os.path.lexists(out) and not out.is_file():
        raise click.BadParameter(
            f"{str(out)!r} is no regular file and is not replaced", param_hint="'--out'"
        )
    if not os.access(directory, os.W_OK):
        raise click.BadParameter(
            f"the directory {str(out.parent)!r} cannot be written to", param_hint="'--out'"
        )
