"""`tensorcast promote`: what the frameworks make of mixed formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..core.promotion import FRAMEWORKS
from ..core.promotion import promote as promoted
from ..errors import CastError, FormatError
from ..formats import lookup
from ..report import promotion
from .emitting import emit
from .options import ChoiceType, output_options
from .terminal import write

if TYPE_CHECKING:
    _OperandType = click.ParamType[object]
else:
    _OperandType = click.ParamType


class OperandType(_OperandType):
    """A format in any spelling, "[]" behind it for 0-d, or a Python number."""

    name = "operand"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """The number, or the spelling of a format that is known."""
        if value in ("True", "False"):
            return value == "True"
        for number in (int, float, complex):
            try:
                return number(value)
            except ValueError:
                continue
        try:
            lookup(value.removesuffix("[]"))
        except FormatError as error:
            self.fail(str(error), param, ctx)
        return value


@click.command("promote")
@click.argument("operands", nargs=-1, required=True, type=OperandType())
@click.option("--like", type=ChoiceType(FRAMEWORKS), help="Print this framework's format only.")
@output_options
def command(operands: tuple[object, ...], like: Any, as_json: bool) -> None:
    """Say what torch, NumPy, JAX and TensorFlow make of OPERANDS in one operation, and why.

    An operand is a format in any spelling, with [] behind it for a tensor without dimensions
    (float64[]), or a Python number: 1, 1.5, 1j, True. Exit code 1: --like's framework refuses.

    \b
    tensorcast promote int32 bfloat16
    tensorcast promote float32 'float64[]'
    tensorcast promote uint8 300 --like torch
    """
    if like is not None and not as_json:
        try:
            write(f"{promoted(*operands, like=like)}\n")
        except CastError as error:
            raise click.ClickException(str(error)) from None
        return
    emit(
        "promote",
        as_json=as_json,
        body=lambda: promoted(*operands).to_dict(),
        lines=lambda width: promotion.table(promoted(*operands), width),
    )
