"""Numbers as people read them."""

from __future__ import annotations

from math import inf

import pytest

from tensorcast.words.units import (
    decibels,
    duration,
    human_bytes,
    number,
    parse_bytes,
    percent,
    plural,
    relative,
    shape,
)


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_995, "10.0 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (4_294_967_296, "4.29 GB"),
        (10**21, "1000 EB"),
    ],
)
def test_human_bytes(n_bytes: int, text: str) -> None:
    assert human_bytes(n_bytes) == text


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("5GB", 5_000_000_000),
        ("5 gb", 5_000_000_000),
        ("5G", 5_000_000_000),
        ("2GiB", 2 << 30),
        ("1.5kB", 1500),
        ("0.5MiB", 1 << 19),
        ("123", 123),
        ("123B", 123),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_parse_bytes(text: str, n_bytes: int) -> None:
    assert parse_bytes(text) == n_bytes


@pytest.mark.parametrize("text", ["", "GB", "-5GB", "5XB", "5 G B", "1e9", "0", "0.0001B", "5GB5"])
def test_parse_bytes_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        parse_bytes(text)


def test_percent_never_rounds_to_all_or_nothing() -> None:
    assert percent(0, 10) == "0%"
    assert percent(10, 10) == "100%"
    assert percent(1, 10**9) == "<0.01%"
    assert percent(10**9 - 1, 10**9) == ">99.99%"
    assert percent(1, 3) == "33.33%"
    assert percent(3, 0) == "-"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (448.0, "448"),
        (-0.0078125, "-0.007812"),
        (3.4028234e38, "3.403e+38"),
        (inf, "inf"),
        (-inf, "-inf"),
        ((1 << 63) - 1, "9.223e+18"),
        (-128, "-128"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


def test_decibels() -> None:
    assert decibels(51.26) == "51.3 dB"
    assert decibels(inf) == "exact"
    assert decibels(None) == "-"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.5, "0.50 s"), (59.9, "59.9 s"), (59.96, "1 min 00 s"), (3599.7, "1 h 00 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_shape_and_plural() -> None:
    assert shape(()) == "[]"
    assert shape((384, 1)) == "[384, 1]"
    assert plural(1, "tensor") == "1 tensor"
    assert plural(22_713_728, "element") == "22,713,728 elements"


def test_no_share_is_written_with_an_exponent() -> None:
    for tenth in range(-120, 60):
        assert "e" not in relative(10 ** (tenth / 10))
    assert [relative(x) for x in (0.994, 0.995, 0.9999, 1.0)] == ["99%", "100%", "100%", "100%"]


def test_percentages_of_a_column_have_two_decimals() -> None:
    assert [percent(n, 10, column=True) for n in (0, 1, 10)] == ["0%", "10.00%", "100%"]
    assert percent(1, 10**9, column=True) == "<0.01%"
