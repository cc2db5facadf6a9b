"""The promotion rules of torch, NumPy, JAX and TensorFlow, as data and four short functions.

Each function takes operands and gives the format that the framework's own rule gives
(`torch.result_type`, `numpy.result_type`, `jax.numpy.result_type`, TensorFlow's refusal to mix),
or None where it refuses, with the reason. Checked over all pairs against torch 2.13, NumPy 2.4 with
ml_dtypes 0.6, JAX 0.10 and TensorFlow 2.21.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ..formats import FORMATS, Format

Framework = Literal["torch", "numpy", "jax", "jax-x64", "tensorflow"]
Scalar = Literal["bool", "int", "float", "complex"]
Outcome = tuple[Format | None, str]


@dataclass(frozen=True)
class Operand:
    """What is promoted: a tensor of a format, or a Python scalar.

    Attributes:
        format: of the tensor; None for a Python scalar.
        scalar: the type of the Python scalar; None for a tensor.
        value: of the scalar, where it is known.
        zero_dim: whether the tensor has no dimensions; only torch cares.
    """

    format: Format | None = None
    scalar: Scalar | None = None
    value: complex | None = None
    zero_dim: bool = False

    def __str__(self) -> str:
        if self.format is not None:
            return f"{self.format.name}{'[]' if self.zero_dim else ''}"
        return f"a Python {self.scalar}" if self.value is None else str(self.value)


_RANK: Final = {"bool": 0, "int": 1, "uint": 1, "float": 2, "complex": 3}
_SCALAR_RANK: Final[dict[Scalar, int]] = {"bool": 0, "int": 1, "float": 2, "complex": 3}

# the formats that the frameworks took on after their rules had settled
_SUB_BYTE: Final = tuple(row.name for row in FORMATS.values() if row.is_integer and row.is_packed)
_LONERS: Final = tuple(row.name for row in FORMATS.values() if not row.mixes)

_TORCH_LACKS: Final = tuple(  # a pair of codes is no number
    row.name for row in FORMATS.values() if "torch" not in row.spellings or row.torch_pairs
)
_TORCH_LATE: Final = (
    *(name for name in _SUB_BYTE if name.startswith("u")),
    *("uint16", "uint32", "uint64"),
)
_NUMPY_LACKS: Final = frozenset(
    row.name for row in FORMATS.values() if not row.spellings.keys() & {"numpy", "ml_dtypes"}
)
_JAX_LACKS: Final = frozenset(row.name for row in FORMATS.values() if "jax" not in row.spellings)

# what tf.convert_to_tensor takes a Python scalar for
_TENSORFLOW_TAKES: Final[dict[Scalar, frozenset[str]]] = {
    "bool": frozenset("bool int32 int64 uint64 float16 float32 float64 complex128".split()),
    "int": frozenset(
        (
            "int4 int8 int16 int32 int64 uint4 uint8 uint16 uint32 uint64 float16 bfloat16 float32 "
            "float64 complex64 complex128"
        ).split()
    ),
    "float": frozenset(
        "float8_e4m3fn float8_e5m2 float16 bfloat16 float32 float64 complex64 complex128".split()
    ),
    "complex": frozenset(("complex64", "complex128")),
}
_TENSORFLOW_LACKS: Final = frozenset(
    row.name for row in FORMATS.values() if "tensorflow" not in row.spellings
)


def _row(name: str) -> Format:
    return FORMATS[name]


def _rank(row: Format) -> int:
    return _RANK[row.kind]


def _highest(scalars: Sequence[Scalar]) -> Scalar:
    return max(scalars, key=lambda scalar: _SCALAR_RANK[scalar])


def _wider(a: Format, b: Format) -> Format:
    return a if a.bits >= b.bits else b


def _complex_of(row: Format, other: Format) -> Format:
    """The complex format wide enough for two floats or complex formats."""
    wide = "float64" in (row.component.name, other.component.name)
    return _row("complex128" if wide else "complex64")


def _integers(a: Format, b: Format, too_wide: str) -> Format:
    """Two integers of 8 bits and more: the narrowest that holds both."""
    if a.signed == b.signed:
        return _wider(a, b)
    signed, unsigned = (a, b) if a.signed else (b, a)
    bits = max(signed.bits, 2 * unsigned.bits)
    return _row(f"int{bits}" if bits <= 64 else too_wide)


def _torch_pair(a: Format, b: Format) -> Outcome:
    if a == b:
        return a, "the same format"
    names = {a.name, b.name}
    late = names & set(_TORCH_LATE)
    if any(row.is_float and row.bits < 16 for row in (a, b)):
        return None, "torch promotes no float8"
    high, low = (a, b) if _rank(a) >= _rank(b) else (b, a)
    if any(row.kind == "int" and row.is_packed for row in (a, b)):
        return None, "torch promotes no integer below 8 bits"
    if late and not high.is_float:
        return None, f"torch promotes {', '.join(sorted(late))} with real floats only"
    if _rank(high) > _rank(low):
        if high.is_complex and low.is_float:
            return _complex_of(high, low), "complex wins, as wide as the wider component"
        return high, f"{high.kind} wins over {low.kind}, whatever their sizes"
    if high.is_complex:
        return _wider(a, b), "the wider of the two"
    if high.is_float:
        if names == {"float16", "bfloat16"}:
            return _row("float32"), "neither of the two holds the other"
        return _wider(a, b), "the wider of the two"
    return _integers(a, b, "int64"), "the narrowest integer that holds both"


_TORCH_SCALARS: Final[dict[Scalar, str]] = {
    "bool": "bool",
    "int": "int64",
    "float": "float32",  # torch.get_default_dtype()
    "complex": "complex64",
}


def torch_rule(operands: Sequence[Operand]) -> Outcome:
    """torch.result_type: tensors with dimensions first, then 0-d tensors, then Python scalars; a
    later group counts only where it is of a higher category (bool, integer, float, complex)."""
    groups: list[list[Format]] = [[], [], []]
    for operand in operands:
        if operand.format is None:
            assert operand.scalar is not None
            groups[2].append(_row(_TORCH_SCALARS[operand.scalar]))
        elif operand.format.name in _TORCH_LACKS:
            return None, f"torch has no {operand.format.name} numbers"
        else:
            groups[1 if operand.zero_dim else 0].append(operand.format)
    result: Format | None = None
    reason = ""
    for kinds, group in zip(("tensors", "0-d tensors", "Python scalars"), groups, strict=True):
        own: Format | None = None
        for row in group:
            own, why = (row, "") if own is None else _torch_pair(own, row)
            if own is None:
                return None, why
            reason = why if result is None and why else reason
        if own is None:
            continue
        if result is None:
            result = own
            continue
        result, reason = _torch_combined(result, own, kinds)
        if result is None:
            return None, reason
    assert result is not None
    return result, reason or "one operand"


def _torch_combined(high: Format, low: Format, kinds: str) -> Outcome:
    """What a group of lower priority makes of the result so far."""
    stays = f"{kinds} of the same or a lower category do not count"
    if high.is_complex:
        return high, stays
    if high.is_float:
        if not low.is_complex:
            return high, stays
        if high.bits < 16:
            return None, "torch has no complex of float8"
        if high.name == "float16":
            return None, "torch gives complex32, two float16, which tensorcast has no row for"
        name = "complex128" if high.name == "float64" else "complex64"
        return _row(name), f"{kinds} are complex: the complex of {high.name}"
    if low.is_complex:
        return low, f"{kinds} are complex"
    if high.kind == "bool" or low.is_float:
        result, reason = _torch_pair(high, low)
        return result, f"{kinds} are of a higher category" if result else reason
    return high, stays


def _numpy_pair(a: Format, b: Format) -> Outcome:
    if a == b:
        return a, "the same format"
    high, low = (a, b) if _rank(a) >= _rank(b) else (b, a)
    if low.kind == "bool":
        return high, "every format holds bool"
    refused = None, f"ml_dtypes registers no promotion of {a.name} and {b.name}"
    if high.is_complex:
        reason = "the narrowest complex that holds both"
        if low.is_integer:
            return (_row("complex128") if low.bits > 16 else high), reason
        return _complex_of(high, low), reason
    if high.is_float:
        return _numpy_float(high, low, refused)
    if min(a.bits, b.bits) >= 8:
        return _integers(a, b, "float64"), "the narrowest format that holds both"
    narrow = a if a.bits < b.bits else b
    if a.signed == b.signed or (not narrow.signed and narrow.bits < max(a.bits, b.bits) >= 8):
        return _wider(a, b), "the wider of the two"
    return refused


def _numpy_float(high: Format, low: Format, refused: Outcome) -> Outcome:
    """A float with a float or an integer."""
    if high.name in ("float32", "float64") or low.name in ("float32", "float64"):
        if low.is_float:
            return _wider(high, low), "the wider of the two"
        wide = low.bits > 16 or high.name == "float64"
        return _row("float64" if wide else "float32"), "the narrowest float that holds both"
    names = {high.name, low.name}
    if low.is_float:
        if names == {"float16", "float8_e5m2"}:
            return _row("float32"), "the narrowest that ml_dtypes registers for both"
        if names & {*_LONERS, "float16"}:
            return refused
        if high.precedence is None or low.precedence is None:
            return refused
        first = min(high, low, key=lambda row: row.precedence or 0)
        return first, "the one that ml_dtypes puts first"
    if high.name in ("float16", "float8_e5m2"):
        if low.bits < 8:
            return (high, "float16 holds it") if high.name == "float16" else refused
        if low.bits == 8:
            return high, "NumPy takes 8-bit integers into it"
        return _row(
            "float32" if low.bits == 16 else "float64"
        ), "the narrowest float that holds both"
    if low.bits == 8:
        return high, "ml_dtypes takes 8-bit integers into every float, holding them or not"
    if low.bits > 8 or high.name in _LONERS:
        return refused
    if low.bits == 4 and high.name == "float6_e2m3fn":
        return refused
    return high, "ml_dtypes takes small integers into it"


def _numpy_scalar(row: Format, scalar: Scalar) -> Outcome:
    """NEP 50: a Python scalar is weak, unless it is of a higher category than the format."""
    if _SCALAR_RANK[scalar] <= _rank(row):
        odd = scalar == "float" and row.name not in ("float16", "float32", "float64")
        if row.is_complex or not (odd and row.is_float):
            if scalar == "int" and row.bits < 8 and row.is_integer:
                return _row("int8" if row.signed else "uint8"), "a byte holds both"
            return row, "a Python scalar of the same or a lower category takes the format"
        name = "float32" if row.name == "float8_e5m2" else "float64"
        return _row(name), "ml_dtypes' formats take a Python float for a float64"
    if scalar == "int":
        return _row("int64"), "bool with a Python int"
    if scalar == "float":
        name = "float16" if row.name in _SUB_BYTE else "float64"
        return _row(name), "an integer with a Python float"
    wide = row.name == "float64" or (row.name not in _SUB_BYTE and not row.is_float)
    return _row("complex128" if wide else "complex64"), "the complex that holds the format"


_PYTHON: Final[dict[Scalar, str]] = {
    "bool": "bool",
    "int": "int64",
    "float": "float64",
    "complex": "complex128",
}


def numpy_rule(operands: Sequence[Operand]) -> Outcome:
    """numpy.result_type: the narrowest format that holds all, found from the highest category
    down; Python scalars are weak; 0-d arrays are arrays."""
    rows = sorted((o.format for o in operands if o.format is not None), key=_rank, reverse=True)
    scalars: list[Scalar] = [o.scalar for o in operands if o.scalar is not None]
    for row in rows:
        if row.name in _NUMPY_LACKS:
            return None, f"neither NumPy nor ml_dtypes has {row.name}"
    if not rows:
        top = _highest(scalars)
        return _row(_PYTHON[top]), "the highest Python type"
    result, reason = rows[0], "one operand"
    for row in rows[1:]:
        found, reason = _numpy_pair(result, row)
        if found is None:
            return None, reason
        result = found
    if scalars:
        top = _highest(scalars)
        return _numpy_scalar(result, top)
    return result, reason


def _jax_pair(a: Format, b: Format) -> Outcome:
    if a == b:
        return a, "the same format"
    high, low = (a, b) if _rank(a) >= _rank(b) else (b, a)
    if low.kind == "bool":
        return high, "every format holds bool"
    for row in (a, b):
        if row.name in _SUB_BYTE:
            return None, f"JAX promotes {row.name} with nothing but itself and bool"
    if high.is_float and low.is_integer:
        return high, "a float wins over an integer, whatever their sizes"
    for row in (a, b):
        if row.is_float and row.bits < 16 and _rank(low) >= 2:
            return None, f"JAX promotes {row.name} with integers only"
    if high.is_complex:
        return (_complex_of(high, low) if _rank(low) >= 2 else high), "a complex as wide as both"
    if high.is_float:
        if {a.name, b.name} == {"float16", "bfloat16"}:
            return _row("float32"), "neither of the two holds the other"
        return _wider(a, b), "the wider of the two"
    return _integers(a, b, "float64"), "the narrowest integer that holds both"


def _jax_scalar(row: Format, scalar: Scalar, wide: bool) -> Outcome:
    if _SCALAR_RANK[scalar] <= _rank(row):
        return row, "a Python scalar of the same or a lower category is weak"
    bits = 64 if wide else 32
    if row.name in _SUB_BYTE:
        return None, f"JAX promotes {row.name} with nothing but itself and bool"
    if scalar != "complex":
        return _row(f"{scalar}{bits}"), f"the default {scalar} of JAX"
    if row.is_float and row.bits < 16:
        return None, f"JAX promotes {row.name} with integers only"
    if row.is_float:
        return _row("complex128" if row.bits == 64 else "complex64"), f"the complex of {row.name}"
    return _row(f"complex{2 * bits}"), "the default complex of JAX"


def _jax(operands: Sequence[Operand], wide: bool) -> Outcome:
    def held(row: Format) -> Format:
        narrow = {"int64": "int32", "uint64": "uint32", "float64": "float32"}
        narrow["complex128"] = "complex64"
        return row if wide else _row(narrow.get(row.name, row.name))

    rows = [held(o.format) for o in operands if o.format is not None]
    for row in rows:
        if row.name in _JAX_LACKS:
            return None, f"JAX has no {row.name}"
    rows.sort(key=_rank, reverse=True)
    scalars: list[Scalar] = [o.scalar for o in operands if o.scalar is not None]
    narrowed = any(o.format is not None and held(o.format) != o.format for o in operands)
    note = "; 64-bit formats are 32-bit ones without jax_enable_x64" if narrowed else ""
    top = _highest(scalars) if scalars else None
    if not rows:
        assert top is not None
        return held(_row(_PYTHON[top])), "the default of the highest Python type"
    result, reason = rows[0], "one operand"
    for row in rows[1:]:
        found, reason = _jax_pair(result, row)
        if found is None:
            return None, reason
        result = held(found)
    if top is None:
        return result, reason + note
    found, reason = _jax_scalar(result, top, wide)
    return found, reason + note


def jax_rule(operands: Sequence[Operand]) -> Outcome:
    """jax.numpy.result_type as JAX comes: 64-bit formats are read as their 32-bit ones."""
    return _jax(operands, False)


def jax_x64_rule(operands: Sequence[Operand]) -> Outcome:
    """jax.numpy.result_type with jax_enable_x64."""
    return _jax(operands, True)


def tensorflow_rule(operands: Sequence[Operand]) -> Outcome:
    """TensorFlow's operators: tensors of one format only; a Python scalar is converted to it, or,
    among scalars only, to what the first one is."""
    rows = [o.format for o in operands if o.format is not None]
    scalars: list[Scalar] = [o.scalar for o in operands if o.scalar is not None]
    for row in rows:
        if row.name in _TENSORFLOW_LACKS:
            return None, f"TensorFlow has no {row.name}"
    if any(row != rows[0] for row in rows):
        return None, "TensorFlow mixes no formats: tf.cast first"
    if rows:
        result, reason = rows[0], "the format of the tensors"
    else:
        first = {"bool": "bool", "int": "int32", "float": "float32", "complex": "complex128"}
        result, reason = _row(first[scalars.pop(0)]), "the format of the first scalar"
    for scalar in scalars:
        if result.name not in _TENSORFLOW_TAKES[scalar]:
            return None, f"TensorFlow makes no {result.name} of a Python {scalar}"
    return result, reason if not scalars else f"{reason}; the scalar is converted to it"


RULES: Final[dict[Framework, Callable[[Sequence[Operand]], Outcome]]] = {
    "torch": torch_rule,
    "numpy": numpy_rule,
    "jax": jax_rule,
    "jax-x64": jax_x64_rule,
    "tensorflow": tensorflow_rule,
}
"""Framework -> its rule. "jax" is JAX as it comes, "jax-x64" with jax_enable_x64."""
