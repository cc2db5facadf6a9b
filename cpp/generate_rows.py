"""Writes formats.py and the codes of policy.py as C++: `generate_rows.py ROWS POLICIES`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from tensorcast.formats import FORMATS, Format
from tensorcast.policy import INFS, NANS, OVERFLOWS, ROUNDINGS

KINDS = {"bool": "Bool", "int": "Int", "uint": "Uint", "float": "Float", "complex": "Complex"}
NAN_CODES = {
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
        f"Nan::{NAN_CODES[row.nan]}",
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


POLICIES = {
    "Overflow": ("OVERFLOWS", OVERFLOWS),
    "Rounding": ("ROUNDINGS", ROUNDINGS),
    "NanPolicy": ("NANS", NANS),
    "InfPolicy": ("INFS", INFS),
}


def policies() -> str:
    lines = ["// Generated from src/tensorcast/policy.py; do not edit.", "#pragma once", ""]
    for name, (plural, choices) in POLICIES.items():
        spelled = ", ".join(choice.title().replace("-", "") for choice in choices)
        quoted = ", ".join(f'"{choice}"' for choice in choices)
        lines.append(f"enum class {name} : uint8_t {{ {spelled} }};")
        lines.append(f"constexpr int N_{plural} = {len(choices)};")
        lines.append(f"constexpr const char* {plural}[N_{plural}] = {{{quoted}}};")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(header())
    Path(sys.argv[2]).write_text(policies())
