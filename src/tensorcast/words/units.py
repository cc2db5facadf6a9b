"""Numbers as people read them: bytes, counts, decibels, times.

Units are decimal: 1 kB is 1000 bytes, 1 MB is 1000 kB, as disks and networks count.
"""

from __future__ import annotations

import re
from math import inf, isfinite
from typing import Final

_STEPS: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_MOST_DIMENSIONS: Final = 16


def human_bytes(n_bytes: float) -> str:
    """Bytes with three significant digits and a decimal unit.

    Example:
        >>> human_bytes(999), human_bytes(90868376), human_bytes(4_000_000_000)
        ('999 B', '90.9 MB', '4.00 GB')
    """
    if n_bytes < 1000:
        return f"{n_bytes:.0f} B"
    value, step = float(n_bytes), 0
    while value >= 999.5 and step < len(_STEPS) - 1:
        value, step = value / 1000, step + 1
    return f"{value:.{_decimals(value)}f} {_STEPS[step]}"


def _decimals(value: float) -> int:
    return 2 if value < 9.995 else 1 if value < 99.95 else 0


def count(n: int) -> str:
    """A whole number with separators: 22,713,728."""
    return f"{n:,}"


def plural(n: int, noun: str, several: str | None = None) -> str:
    """A count with its noun.

    Example:
        >>> plural(1, "file"), plural(1234, "file")
        ('1 file', '1,234 files')
    """
    return f"{n:,} {noun if n == 1 else several or noun + 's'}"


def percent(part: float, whole: float, *, column: bool = False) -> str:
    """`part` of `whole` as a percentage; never "0%" or "100%" when it is not. In a column what
    is neither has two decimals.

    Example:
        >>> percent(1, 2), percent(1, 10**6), percent(0, 5), percent(999_999, 10**6)
        ('50%', '<0.01%', '0%', '>99.99%')
    """
    if whole == 0:
        return "-"
    if part in (0, whole):
        return f"{100 * part / whole:.0f}%"
    value = 100 * part / whole
    if value < 0.01:
        return "<0.01%"
    if 99.99 < value < 100:
        return ">99.99%"
    text = f"{value:.2f}"
    return f"{text if column else text.rstrip('0').rstrip('.')}%"


def relative(share: float) -> str:
    """An error as a share of what it is an error of, with two digits.

    Example:
        >>> relative(0.027), relative(0.997), relative(12.5), relative(1e-9), relative(0.0)
        ('2.7%', '100%', '1,250%', '<0.001%', '0%')
    """
    value = 100 * share
    if value >= 99.5 or value == 0:
        return f"{value:,.0f}%"
    return "<0.001%" if value < 0.001 else f"{value:.2g}%"


def shape(dimensions: tuple[int, ...]) -> str:
    """Dimensions in brackets: [384, 384]; a scalar is []. Of more than 16 the first are shown.

    Example:
        >>> shape((2,) * 1000)
        '[2, 2, 2, 2, ... (1,000 dimensions)]'
    """
    if len(dimensions) > _MOST_DIMENSIONS:
        first = ", ".join(map(str, dimensions[:4]))
        return f"[{first}, ... ({len(dimensions):,} dimensions)]"
    return "[" + ", ".join(map(str, dimensions)) + "]"


def number(value: float | None, digits: int = 4) -> str:
    """A value with a few significant digits; "-" when there is none.

    Example:
        >>> number(0.1234567), number(65504.0), number(3.4028234e38), number(None)
        ('0.1235', '65504', '3.403e+38', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, int) or (isfinite(value) and value == int(value) and abs(value) < 1e7):
        return str(int(value)) if abs(value) < 10**12 else f"{value:.{digits - 1}e}"
    return f"{value:.{digits}g}"


def decibels(value: float | None) -> str:
    """An SQNR: "51.3 dB", "exact" when nothing changed, "-" when it is not known."""
    if value is None:
        return "-"
    return "exact" if value == inf else f"{value:.1f} dB"


def duration(seconds: float) -> str:
    """A time span.

    Example:
        >>> duration(0.0123), duration(4.21), duration(75), duration(3700)
        ('12 ms', '4.2 s', '1 min 15 s', '1 h 01 min')
    """
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        decimals = 0 if isinstance(seconds, int) else 1 if seconds >= 1 else 2
        return f"{seconds:.{decimals}f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def short_time(seconds: float) -> str:
    """Measured time with three significant digits.

    Example:
        >>> short_time(0.0274299), short_time(3.1e-05), short_time(2.5)
        ('27.4 ms', '31.0 us', '2.50 s')
    """
    for scale, unit in ((1.0, "s"), (1e-3, "ms")):
        value = seconds / scale
        if value >= 0.9995:
            return f"{value:.{_decimals(value)}f} {unit}"
    return f"{seconds * 1e6:.{_decimals(seconds * 1e6)}f} us"


def parse_bytes(text: str) -> int:
    """Bytes of a size as people type it: "5GB", "500 MB", "2GiB", "1048576".

    Raises:
        ValueError: it is not a size, or not above zero.

    Example:
        >>> parse_bytes("5GB"), parse_bytes("1.5 kB"), parse_bytes("2GiB")
        (5000000000, 1500, 2147483648)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([kKmMgGtT])(i?))?[bB]?\s*", text)
    if not found:
        raise ValueError(f"{text!r} is not a size; write it like 5GB, 500MB or 2GiB")
    digits, prefix, binary = found.groups()
    scale = (1024 if binary else 1000) ** ("kmgt".index(prefix.lower()) + 1) if prefix else 1
    n_bytes = int(float(digits) * scale) if "." in digits else int(digits) * scale
    if n_bytes <= 0:
        raise ValueError(f"{text!r} is not above zero")
    return n_bytes
