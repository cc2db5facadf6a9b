"""What torch, NumPy, JAX and TensorFlow make of mixed formats, and which values that loses.

>>> print(promote("int32", "bfloat16"))
int32 with bfloat16
torch       bfloat16  float wins over int, whatever their sizes; int32 is rounded above 2^8
numpy       refused   ml_dtypes registers no promotion of bfloat16 and int32
jax         bfloat16  a float wins over an integer, whatever their sizes; int32 is rounded above 2^8
tensorflow  refused   TensorFlow mixes no formats: tf.cast first
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, get_args, overload

from ..errors import CastError, FormatError
from ..formats import Format, lookup
from .promotion_rules import RULES, Framework, Operand, Scalar

FRAMEWORKS: Final[tuple[Framework, ...]] = get_args(Framework)
_SHOWN: Final[tuple[Framework, ...]] = ("torch", "numpy", "jax", "tensorflow")
_SCALARS: Final[dict[type, Scalar]] = {
    bool: "bool",
    int: "int",
    float: "float",
    complex: "complex",
}


@dataclass(frozen=True)
class Answer:
    """What one framework gives.

    Attributes:
        framework: "torch", "numpy", "jax", "jax-x64" (with jax_enable_x64) or "tensorflow".
        format: of the result; None where the framework refuses.
        reason: the rule that decides, or why it refuses.
        losses: what values of the operands do not survive in `format`, a phrase each.
    """

    framework: Framework
    format: Format | None
    reason: str
    losses: tuple[str, ...] = ()

    @property
    def is_lossless(self) -> bool:
        """Whether the framework answers and every value of every operand survives."""
        return self.format is not None and not self.losses

    def __str__(self) -> str:
        name = "refused" if self.format is None else self.format.name
        return f"{self.framework}: {name} ({'; '.join((self.reason, *self.losses))})"


@dataclass(frozen=True)
class Promotion:
    """The answers of the frameworks, side by side.

    Attributes:
        operands: what was mixed.
        answers: one per framework.
    """

    operands: tuple[Operand, ...]
    answers: tuple[Answer, ...]

    @property
    def agree(self) -> bool:
        """Whether every framework gives the same format."""
        return len({answer.format for answer in self.answers}) == 1

    def __getitem__(self, framework: Framework) -> Answer:
        """One framework's answer.

        Raises:
            KeyError: it was not asked.
        """
        for answer in self.answers:
            if answer.framework == framework:
                return answer
        raise KeyError(framework)

    def __str__(self) -> str:
        names = [answer.format.name if answer.format else "refused" for answer in self.answers]
        width = max(map(len, names))
        lines = [" with ".join(map(str, self.operands))]
        lines += [
            f"{answer.framework:10}  {name:{width}}  {'; '.join((answer.reason, *answer.losses))}"
            for answer, name in zip(self.answers, names, strict=True)
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """The operands and answers as plain Python values."""
        return {
            "operands": [str(operand) for operand in self.operands],
            "agree": self.agree,
            "answers": {
                answer.framework: {
                    "format": answer.format.name if answer.format else None,
                    "reason": answer.reason,
                    "losses": list(answer.losses),
                }
                for answer in self.answers
            },
        }


@overload
def promote(*operands: object, like: Framework) -> Format: ...
@overload
def promote(*operands: object, like: None = None) -> Promotion: ...
def promote(*operands: object, like: Framework | None = None) -> Format | Promotion:
    """The format that an operation of mixed operands has: one framework's, or all side by side.

    Args:
        operands: one or more of: a format in any spelling ("int32", torch.float16, a NumPy dtype),
            with "[]" behind a name for a tensor without dimensions ("float64[]"); a Python bool,
            int, float or complex, or the type itself, as the scalar it is; an array or a tensor,
            of which only dtype and dimensions are looked at.
        like: "torch", "numpy", "jax" (as it comes, without 64-bit formats), "jax-x64" or
            "tensorflow": the format by that framework's rule (`torch.result_type`,
            `numpy.result_type`, `jax.numpy.result_type`, TensorFlow's operators).
            None: a `Promotion` with the answers of the first four but "jax-x64".

    Raises:
        CastError: `like` was given and that framework refuses the mixture.
        FormatError: an operand is no format; `like` is no framework.

    Example:
        >>> promote("int32", "bfloat16", like="torch").name
        'bfloat16'
        >>> promote("uint8", "int8", 1.5, like="numpy").name
        'float64'
        >>> promote("float32", "float64[]", like="torch").name  # 0-d tensors give way
        'float32'
    """
    if not operands:
        raise FormatError("promote takes at least one operand")
    given = tuple(_operand(operand) for operand in operands)
    if like is None:
        return Promotion(given, tuple(_answer(name, given) for name in _SHOWN))
    if like not in RULES:
        raise FormatError(f"like={like!r} is not one of {', '.join(FRAMEWORKS)}")
    answer = _answer(like, given)
    if answer.format is None:
        mixed = " with ".join(map(str, given))
        raise CastError(f"{like} refuses {mixed}: {answer.reason}. Cast one of them first.")
    return answer.format


def _operand(given: object) -> Operand:
    if isinstance(given, Operand):
        return given
    if isinstance(given, type) and given in _SCALARS:
        return Operand(scalar=_SCALARS[given])
    if type(given) in _SCALARS:
        assert isinstance(given, (bool, int, float, complex))
        return Operand(scalar=_SCALARS[type(given)], value=given)
    if isinstance(given, str) and given.endswith("[]"):
        return Operand(lookup(given.removesuffix("[]")), zero_dim=True)
    dtype = getattr(given, "dtype", None)
    if dtype is not None and hasattr(given, "shape") and not isinstance(given, type):
        return Operand(lookup(dtype), zero_dim=len(given.shape) == 0)
    return Operand(lookup(given))


# what a framework carries a Python int in, on its way to the result's format (or to one of them),
# and what it raises beyond; JAX does so for ints that the format would hold, too
_CARRIED: Final = {
    ("numpy", ""): (0, -1, "OverflowError"),
    ("torch", ""): (-(2**63), 2**64 - 1, "OverflowError"),
    ("jax", ""): (-(2**31), 2**31 - 1, "OverflowError"),
    ("jax-x64", ""): (-(2**63), 2**63 - 1, "OverflowError"),
    ("tensorflow", ""): (-(2**63), 2**63 - 1, "ValueError"),
    ("tensorflow", "uint64"): (0, -1, "SystemError"),
}


def _answer(framework: Framework, operands: Sequence[Operand]) -> Answer:
    result, reason = RULES[framework](operands)
    if result is None:
        return Answer(framework, None, reason)
    losses = (_lost(operand, result, framework) for operand in operands)
    return Answer(framework, result, reason, tuple(dict.fromkeys(filter(None, losses))))


def _lost(operand: Operand, result: Format, framework: Framework) -> str:
    """What an operand loses in the result's format, or ""."""
    if operand.format is not None:
        return lost_values(operand.format, result)
    value = operand.value
    if not isinstance(value, int) or isinstance(value, bool) or not result.is_integer:
        return ""
    fits = result.min_exact <= value <= result.max_exact
    if fits and not framework.startswith("jax"):
        return ""
    low, high, error = _CARRIED.get((framework, result.name)) or _CARRIED[framework, ""]
    if not low <= value <= high:
        return f"{value} does not fit: {error}"
    if fits:
        return ""
    return f"{value} does not fit, and silently becomes another number"


@cache
def lost_values(source: Format, result: Format) -> str:
    """Which values of one format do not survive in another, as a phrase; "" if all do.

    Example:
        >>> from tensorcast.formats import FORMATS
        >>> lost_values(FORMATS["int32"], FORMATS["float32"])
        'int32 is rounded above 2^24'
    """
    if source == result or result.is_complex is False is not source.is_complex:
        return ""
    of, into = source.component, result.component
    if of.is_float and not into.is_float:
        return f"{source.name} loses its fractions"
    if not into.subnormals and of != into:
        return f"{source.name} keeps powers of two only, and neither zero nor negatives"
    low, high = into.min_exact, into.max_exact
    if not into.is_float:
        outside = of.min_exact < low or of.max_exact > high
        return f"{source.name} wraps outside {low} to {high}" if outside else ""
    lost = []
    if of.max_exact > high or of.min_exact < low:
        lost.append(f"overflows above {float(high):.5g}")
    if not of.is_float:
        digits = into.mantissa_bits + 1
        if of.kind != "bool" and of.max_exact > 1 << digits:
            lost.append(f"is rounded above 2^{digits}")
    elif of.mantissa_bits > into.mantissa_bits:
        lost.append(f"keeps {into.mantissa_bits + 1} of {of.mantissa_bits + 1} significant bits")
    if of.is_float and of.smallest_exact < into.smallest_exact:
        lost.append(f"underflows below {float(into.smallest_exact):.3g}")
    return f"{source.name} {' and '.join(lost)}" if lost else ""
