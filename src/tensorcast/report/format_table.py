"""The number formats as a table, as one format's details, as Markdown and as JSON.

Everything is read off the rows of `tensorcast.formats`.
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from typing import Final

from ..formats import FORMATS, READERS, READINGS, Format
from ..words.table import Column, layout
from ..words.text import Line, Span, line
from ..words.units import number
from .document import Json

_LIBRARIES: Final = ("torch", "numpy", "ml_dtypes", "safetensors", "gguf", "onnx", "jax")
_NAN: Final = {
    "ieee": "exponent all ones, mantissa not zero",
    "all-ones": "all bits but the sign ones",
    "negative-zero": "the code that would be -0",
}


def table(width: int | None) -> list[Line]:
    """Every format, one per line, laid out to `width` (None: all columns)."""
    heads = [
        Column("format"),
        Column("bits", "right"),
        Column("e m", "right"),
        Column("bias", "right", drop=5),
        Column("max", "right"),
        Column("smallest", "right"),
        Column("min normal", "right", drop=2),
        Column("epsilon", "right", drop=3),
        Column("inf", drop=6),
        Column("NaN"),
        Column("-0", drop=4),
        Column("spelled", drop=1),
    ]
    rows: list[list[str | Span]] = []
    for row in FORMATS.values():
        floating = bool(row.exponent_bits)
        rows.append(
            [
                Span(row.name, "name"),
                str(row.bits),
                f"{row.exponent_bits} {row.mantissa_bits}" if floating else "",
                str(row.bias) if floating else "",
                number(row.max),
                number(row.smallest),
                number(row.smallest_normal) if floating else "",
                number(row.epsilon) if floating else "",
                "yes" if row.infinity else "-",
                "yes" if row.has_nan else "-",
                "yes" if row.signed_zero else "-",
                Span(" ".join(_others(row)), "dim"),
            ]
        )
    return layout(heads, rows, width=width)


def _others(row: Format) -> list[str]:
    """The spellings that differ from the name, each once."""
    found = dict.fromkeys(row.spellings[lib] for lib in _LIBRARIES if lib in row.spellings)
    return [spelling for spelling in found if spelling != row.name]


def detail(row: Format) -> list[Line]:
    """One format: its code drawn bit by bit, its limits, and how others spell it."""
    pairs: list[tuple[str, str, str]] = []
    if row.exponent_bits:
        pairs.append(("code", _drawn(row), f"bias {row.bias}"))
    pairs.append(("max", number(row.max, 9), f"code {row.max_code:#x}"))
    pairs.append(("min", number(row.min, 9), ""))
    if row.exponent_bits:
        pairs += [
            ("min normal", number(row.smallest_normal, 9), _power(row.smallest_normal_exact)),
            ("smallest", number(row.smallest, 9), _power(row.smallest_exact)),
            ("epsilon", number(row.epsilon, 9), f"2^-{row.component.mantissa_bits}"),
            ("infinity", _coded(row.infinity_code), ""),
            ("NaN", _coded(row.nan_code), _NAN.get(row.nan, "")),
            ("-0", "yes" if row.signed_zero else "no", ""),
        ]
    if row.is_packed:
        n_bytes = row.bits // gcd(row.bits, 8)
        per = "a byte" if n_bytes == 1 else f"{n_bytes} bytes"
        packing = f"{8 * n_bytes // row.bits} to {per}"
        pairs.append(("packing", packing, "first element in the lowest bits"))
    heads = [Column(""), Column(""), Column("")]
    bits = "1 bit" if row.bits == 1 else f"{row.bits} bits"
    lines = [line(Span(row.name, "title"), f"  {_kind(row)} of {bits}")]
    cells: list[list[str | Span]] = [[Span(key, "dim"), value, note] for key, value, note in pairs]
    lines += layout(heads, cells, width=None)
    spelled: list[list[str | Span]] = [
        [Span(lib, "dim"), row.spellings[lib]] for lib in _LIBRARIES if lib in row.spellings
    ]
    if row.aliases:
        spelled.append([Span("also", "dim"), ", ".join(row.aliases)])
    return [*lines, (), *layout([Column(""), Column("")], spelled, width=None)]


def _kind(row: Format) -> str:
    return {"int": "signed integer", "uint": "unsigned integer", "float": "float"}.get(
        row.kind, row.kind
    )


def _drawn(row: Format) -> str:
    part = row.component
    fields = ["S"] if part.signed else []
    for letter, bits in (("E", part.exponent_bits), ("M", part.mantissa_bits)):
        if bits:
            fields.append(letter * bits if bits <= 11 else f"{letter} x {bits}")
    drawn = "| " + " | ".join(fields) + " |"
    return drawn + " twice" if row.is_complex else drawn


def _power(value: Fraction) -> str:
    """2^n where the value is that, else nothing."""
    if value.numerator == 1 and value.denominator & (value.denominator - 1) == 0:
        return f"2^-{value.denominator.bit_length() - 1}" if value.denominator > 1 else "1"
    return ""


def _coded(code: int | None) -> str:
    return "none" if code is None else f"{code:#x}"


def describe(row: Format) -> Json:
    """One format, JSON-ready: integers are exact."""
    return {
        "name": row.name,
        "kind": row.kind,
        "bits": row.bits,
        "exponent_bits": row.exponent_bits,
        "mantissa_bits": row.mantissa_bits,
        "bias": row.bias,
        "signed": row.signed,
        "max": row.max,
        "min": row.min,
        "smallest_normal": row.smallest_normal,
        "smallest": row.smallest,
        "epsilon": row.epsilon,
        "infinity": row.infinity,
        "nan": row.nan,
        "signed_zero": row.signed_zero,
        "subnormals": bool(row.exponent_bits) and row.subnormals,
        "max_code": row.max_code,
        "infinity_code": row.infinity_code,
        "nan_code": row.nan_code,
        "spellings": dict(row.spellings),
        "aliases": list(row.aliases),
    }


def markdown() -> str:
    """The page docs/formats.md."""
    head = """# Number formats

One row per format, made from `tensorcast/formats.py` by `tensorcast formats --markdown`; do not
edit this page by hand. A float's code is `| sign | exponent | mantissa |`; `e` and `m` count the
bits of the two fields. Max is the largest finite value, smallest the smallest one above zero,
epsilon the gap between 1 and the next value.

| format | bits | e | m | bias | max | min normal | smallest | epsilon | inf | NaN | -0 |
|---|--:|--:|--:|--:|--:|--:|--:|--:|---|---|---|
"""
    rows = []
    for row in FORMATS.values():
        floating = bool(row.exponent_bits)
        cells = [
            f"`{row.name}`",
            str(row.bits),
            str(row.exponent_bits) if floating else "",
            str(row.mantissa_bits) if floating else "",
            str(row.bias) if floating else "",
            number(row.max, 6) if floating else str(row.max),
            number(row.smallest_normal, 6) if floating else "",
            number(row.smallest, 6),
            number(row.epsilon, 6) if floating else "",
            "yes" if row.infinity else "no",
            row.nan if row.has_nan else "no",
            "yes" if row.signed_zero else "no",
        ]
        rows.append("| " + " | ".join(cells) + " |\n")
    nan = "".join(f"- {kind}: {meaning}\n" for kind, meaning in _NAN.items())
    spelled_head = (
        "\n## Spellings\n\nEach of these names the format wherever a format is asked for, in any "
        "case but for those of the next section.\n\n| format | "
        + " | ".join(_LIBRARIES)
        + " | also |\n"
        "|---|" + "---|" * (len(_LIBRARIES) + 1) + "\n"
    )
    spelled = []
    for row in FORMATS.values():
        cells = [f"`{row.name}`", *(row.spellings.get(lib, "") for lib in _LIBRARIES)]
        spelled.append("| " + " | ".join([*cells, ", ".join(row.aliases)]) + " |\n")
    differently = """
## Read differently

These are refused, and the error names both readings: write the name of the format. A prefix tells
whose they are: `torch.float`, `np.int`. Beside a torch tensor torch's reading holds, and `f16` is
float16 in conversions and for torch tensors. `I8`, `U8`, `F4`, `F16` and `FLOAT`, as safetensors
and ONNX write them, have one reading.

| spelling | read as |
|---|---|
"""
    for spelling, readings in READINGS.items():
        told = ", ".join(f"{each} ({READERS[who]})" for who, each in readings.items())
        differently += f"| `{spelling}` | {told} |\n"
    return (
        head
        + "".join(rows)
        + "\nWhere the NaN codes lie:\n\n"
        + nan
        + spelled_head
        + "".join(spelled)
        + differently
    )
