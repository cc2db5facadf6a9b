"""Writes the rows of formats.py as a C++ header: the build runs `generate_rows.py OUTPUT`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from tensorcast.formats import FORMATS, Format

KINDS = {"bool": "Bool", "int": "Int", "uint": "Uint", "float": "Float", "complex": "Complex"}
NANS = {
    "ieee": "Ieee",
    "all-ones": "AllOnes",
    "negative-zero": "NegativeZero",
    "none": "None",
}


def row_of(row: Format) -> str:
    names = list(FORMATS)
    flags = (row.signed, row.infinity, row.signed_zero, row.has_zero)
    fields = [
        f'"{row.name}"',
        f"Kind::{KINDS[row.kind]}",
        f"Nan::{NANS[row.nan]}",
        str(row.bits),
        str(row.exponent_bits),
        str(row.mantissa_bits),
        str(row.bias),
        str(names.index(row.component.name)),
        *("true" if flag else "false" for flag in flags),
        f"{row.max_code:#x}u" if row.max_code < 1 << 32 else f"{row.max_code:#x}ull",
        f"{row.infinity_code or 0:#x}ull",
        f"{row.nan_code or 0:#x}ull",
    ]
    return "    {" + ", ".join(fields) + "},"


def header() -> str:
    lines = ["// Generated from src/tensorcast/formats.py; do not edit.", "#pragma once", ""]
    lines += ["enum FormatId : uint8_t {"]
    lines += [f"    F_{name} = {i}," for i, name in enumerate(FORMATS)]
    lines += [f"    N_FORMATS = {len(FORMATS)},", "};", ""]
    lines += ["constexpr Row ROWS[N_FORMATS] = {"]
    lines += [row_of(row) for row in FORMATS.values()]
    lines += ["};", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(header())
