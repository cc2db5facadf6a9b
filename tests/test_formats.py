"""The rows: limits against ml_dtypes, NumPy and torch, codes by decoding them, and spellings."""

from __future__ import annotations

import ast
import json
import pickle
import struct
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from bits import IN_NUMPY, numpy_dtype

import tensorcast as tc
from tensorcast import formats, reference
from tensorcast.errors import FormatError, TensorcastError
from tensorcast.formats import FORMATS, READINGS, Format, lookup, spelled_by

ROWS = list(FORMATS.values())
FLOATS = [row for row in ROWS if row.is_float]
BY_CODE = [row for row in ROWS if row.bits <= 16]


def test_every_format_of_the_contract_is_there() -> None:
    integers = [f"{sign}int{bits}" for sign in ("", "u") for bits in (*range(1, 9), 16, 32, 64)]
    floats = "float4_e2m1fn float6_e2m3fn float6_e3m2fn float8_e3m4 float8_e4m3 \
        float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz \
        float8_e8m0fnu float16 bfloat16 float32 float64"
    assert set(FORMATS) == {"bool", *integers, *floats.split(), "complex64", "complex128"}


@pytest.mark.parametrize("row", BY_CODE, ids=str)
def test_derived_codes_and_limits_by_decoding_every_code(row: Format) -> None:
    values = [reference.decode(code, row) for code in range(1 << row.bits)]
    numbers = [value for value in values if isinstance(value, Fraction)]
    assert row.max_exact == max(numbers)
    assert row.min_exact == min(numbers)
    assert row.smallest_exact == min((value for value in numbers if value > 0), default=0)
    if row.kind != "bool":
        assert values.index(row.max_exact) == row.max_code
    kinds = [value.kind if isinstance(value, reference.Special) else "number" for value in values]
    assert row.has_nan == ("nan" in kinds)
    assert row.infinity == ("infinity" in kinds)
    assert row.signed_zero == ("zero" in kinds)
    if row.has_nan:
        nan = values[row.nan_code]
        assert nan == reference.Special("nan", negative=False, payload=1 << 51)
    else:
        assert row.nan_code is None
    if row.infinity:
        assert values[row.infinity_code] == reference.Special("infinity", negative=False)
    else:
        assert row.infinity_code is None
    if row.is_float:
        above = min(value for value in numbers if value > 1)
        assert row.epsilon == above - 1
        normal = row.smallest_normal_exact
        relative = Fraction(1, 1 << row.mantissa_bits)
        assert {normal * (1 + i * relative) for i in range(1 << row.mantissa_bits)} <= set(numbers)


@pytest.mark.parametrize("row", FLOATS, ids=str)
def test_float_limits_are_ml_dtypes_and_numpy_s(row: Format) -> None:
    import ml_dtypes

    info = ml_dtypes.finfo(numpy_dtype(row))
    assert (row.bits, row.mantissa_bits) == (info.bits, info.nmant)
    assert (row.max, row.min) == (float(info.max), float(info.min))
    assert row.smallest_normal == float(info.smallest_normal)
    assert row.smallest == float(info.smallest_subnormal)
    assert row.epsilon == float(info.eps)


@pytest.mark.parametrize("row", [row for row in IN_NUMPY if row.is_integer], ids=str)
def test_integer_limits_are_ml_dtypes_and_numpy_s(row: Format) -> None:
    import ml_dtypes

    info = ml_dtypes.iinfo(numpy_dtype(row)) if row.bits < 8 else np.iinfo(row.name)
    assert (row.min, row.max, row.bits) == (info.min, info.max, info.bits)
    above_zero = min(1, row.max)  # int1 is 0 and -1
    assert (row.smallest, row.smallest_normal, row.epsilon) == (above_zero, above_zero, 1)
    assert isinstance(row.max, int)


@pytest.mark.parametrize("row", [row for row in ROWS if row.is_complex], ids=str)
def test_complex_limits_are_its_components(row: Format) -> None:
    assert row.component is FORMATS[f"float{row.bits // 2}"]
    names = ("max", "min", "smallest", "smallest_normal", "epsilon", "nan_code", "infinity_code")
    for name in (*names, "has_nan", "signed_zero", "max_code"):
        assert getattr(row, name) == getattr(row.component, name)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_sizes(row: Format) -> None:
    assert row.is_packed == (row.bits < 8)
    assert row.container_bits == max(8, row.bits)
    assert row not in IN_NUMPY or row.container_bits == numpy_dtype(row).itemsize * 8
    assert [row.n_bytes(n) for n in (0, 1, 3, 4, 5, 8)] == [
        -(-n * row.bits // 8) for n in (0, 1, 3, 4, 5, 8)
    ]
    assert (row.component is row) == (not row.is_complex)


def test_a_row_is_a_value() -> None:
    for row in ROWS:
        assert pickle.loads(pickle.dumps(row)) == row
        assert str(row) == row.name == next(name for name in FORMATS if FORMATS[name] is row)
    assert len(set(ROWS)) == len(ROWS)
    with pytest.raises(AttributeError):
        FORMATS["int8"].bits = 9


def test_the_module_imports_only_the_standard_library() -> None:
    """The build runs it before anything is installed."""
    tree = ast.parse(Path(formats.__file__).read_text())
    imported = {
        name.name if isinstance(node, ast.Import) else "." * node.level + (node.module or "")
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in node.names
    }
    assert imported <= {*sys.stdlib_module_names, ".errors"}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_every_spelling_looks_up(row: Format) -> None:
    assert lookup(row) is row
    for spelling in (row.name, *row.aliases, *row.spellings.values()):
        assert lookup(spelling) is lookup(f" {spelling} ") is row
        if spelling.lower() not in READINGS:
            assert lookup(spelling.upper()) is lookup(spelling.lower()) is row
    for library, spelling in row.spellings.items():
        assert spelled_by(library, spelling) is row
        assert lookup(f"{library}.{spelling}") is row
    if row in IN_NUMPY:
        dtype = numpy_dtype(row)
        for spelling in (dtype, dtype.type, dtype.newbyteorder()):
            assert lookup(spelling) is row


def test_no_spelling_means_two_formats() -> None:
    seen: dict[str, Format] = {}
    for row in ROWS:
        for spelling in {row.name, *row.aliases, *(s.lower() for s in row.spellings.values())}:
            assert seen.setdefault(spelling, row) is row, spelling


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        (bool, "bool"),
        (int, "int64"),
        (float, "float64"),
        (complex, "complex128"),
        ("torch.float", "float32"),
        ("torch.int", "int32"),
        ("torch.byte", "uint8"),
        ("np.float", "float64"),
        ("numpy.int", "int64"),
        ("np.byte", "int8"),
        (np.byte, "int8"),
        ("FLOAT", "float32"),
        ("double", "float64"),
        ("half", "float16"),
        ("torch.long", "int64"),
        ("torch.bfloat16", "bfloat16"),
        ("BF16", "bfloat16"),
        ("F8_E4M3", "float8_e4m3fn"),
        ("float8_e4m3", "float8_e4m3"),
        ("FLOAT8E4M3FN", "float8_e4m3fn"),
        ("I8", "int8"),
        ("U8", "uint8"),
        ("F16", "float16"),
        ("F4", "float4_e2m1fn"),
        ("jax.numpy.int4", "int4"),
        (np.dtype(">f4"), "float32"),
        (np.bool_, "bool"),
        (np.intc, "int32"),
        (np.longlong, "int64"),
        (np.ulonglong, "uint64"),
        ("bool_", "bool"),
    ],
)
def test_lookup(spelling: object, name: str) -> None:
    assert lookup(spelling).name == name


def test_spelled_by_is_exact() -> None:
    assert spelled_by("safetensors", "F8_E4M3").name == "float8_e4m3fn"
    assert spelled_by("safetensors", "f8_e4m3") is None
    assert spelled_by("safetensors", "I4") is None
    assert spelled_by("numpy", "bfloat16") is None
    assert spelled_by("nobody", "int8") is None


@pytest.mark.parametrize(
    ("spelling", "shown", "nearest"),
    [
        ("bflot16", "bflot16", "bfloat16, float16"),
        ("float6", "float6", "float6_e2m3fn, float6_e3m2fn"),
        ("float8_e4", "float8_e4", "float8_e4m3, float8_e4m3b11fnuz, float8_e4m3fn and 1 more"),
        ("torch.uint1x", "torch.uint1x", "uint1"),
        ("e5m3", "e5m3", "float8_e5m2"),
    ],
)
def test_unknown_names_list_the_nearest(spelling: object, shown: str, nearest: str) -> None:
    with pytest.raises(FormatError) as caught:
        lookup(spelling)
    begin = f"no number format is called {shown!r}; nearest: {nearest}"
    assert str(caught.value).startswith(begin)
    listed = str(caught.value).split("nearest: ")[1].split(" and ")[0].split(", ")
    assert 1 <= len(listed) <= 3
    assert set(listed) <= set(FORMATS)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TensorcastError)


@pytest.mark.parametrize("spelling", ["numpy", "", None, 12345, "weights"])
def test_where_nothing_is_near_it_says_so(spelling: object) -> None:
    with pytest.raises(FormatError) as caught:
        lookup(spelling)
    assert str(caught.value) == (
        f"no number format is called {str(spelling)!r}, and no name is near it. "
        "`tensorcast formats` lists all"
    )


@pytest.mark.parametrize("spelling", ["fp8", "float8", "torch.float8"])
def test_float8_is_a_choice_that_is_explained(spelling: str) -> None:
    with pytest.raises(FormatError) as caught:
        lookup(spelling)
    for said in ("float8_e4m3fn holds values up to 448", "float8_e5m2 holds values up to 57344"):
        assert said in str(caught.value)


def numpy_spellings() -> list[str]:
    """Whatever np.dtype takes for a number: type codes, sizes, names."""
    found = [*np.typecodes["All"], *np.sctypeDict, *dir(np)]
    found += [f"{letter}{size}" for letter in "biufc" for size in (1, 2, 4, 8, 16, 32)]
    numbers = []
    for spelling in found:
        if not isinstance(spelling, str):
            continue
        with suppress(TypeError, ValueError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns of some that it still takes
            if np.dtype(spelling).kind in "biufc":
                numbers.append(spelling)
    return sorted(set(numbers))


@pytest.mark.parametrize("spelling", numpy_spellings())
def test_what_numpy_reads_is_read_so_or_refused(spelling: str) -> None:
    dtype = np.dtype(spelling)
    with suppress(FormatError):
        assert lookup(spelling).name == dtype.name
    with suppress(FormatError):
        assert tc.cast(np.ones(1), spelling).dtype == dtype
        assert tc.to_numpy([1], spelling).dtype == dtype
        assert tc.to_numpy(np.ones(1), spelling).dtype == dtype


def test_what_torch_reads_is_read_so_or_refused() -> None:
    torch = pytest.importorskip("torch")
    ones = torch.ones(1)
    for spelling, dtype in vars(torch).items():
        if not isinstance(dtype, torch.dtype) or str(dtype).removeprefix("torch.") in NOT_ROWS:
            continue
        with suppress(FormatError):
            assert lookup(spelling).spellings["torch"] == str(dtype).removeprefix("torch.")
        if spelling not in NO_NAME and dtype != torch.float4_e2m1fn_x2:
            assert tc.cast(ones, spelling, overflow="saturate").dtype == dtype
            assert tc.as_tensor([1], spelling, overflow="saturate").dtype == dtype
            assert tc.cast(ones, f"torch.{spelling}", overflow="saturate").dtype == dtype


@pytest.mark.parametrize("spelling", READINGS)
def test_what_is_read_differently_is_refused_with_both_readings(spelling: str) -> None:
    readings = READINGS[spelling]
    x = np.ones(2)
    calls: list[Callable[[], object]] = [
        lambda: lookup(spelling),
        lambda: lookup(spelling.title() if spelling.title() != spelling.upper() else spelling),
        lambda: lookup(spelling, "numpy"),
        lambda: tc.cast(x, spelling),
        lambda: tc.measure(x, spelling),
        lambda: tc.can_cast(x, spelling),
        lambda: tc.to_numpy([1.0], spelling),
        lambda: tc.to_numpy(x, spelling),
        lambda: tc.promote(spelling, "int8"),
    ]
    for call in calls:
        with pytest.raises(FormatError) as caught:
            call()
        for each in readings.values():
            assert each in str(caught.value)


def test_torchs_words_for_torch_tensors() -> None:
    torch = pytest.importorskip("torch")
    x = torch.ones(2, dtype=torch.float64)
    for spelling, dtype in (("float", torch.float32), ("int", torch.int32), ("byte", torch.uint8)):
        assert tc.cast(x, spelling).dtype == dtype
        assert tc.as_tensor(x, spelling).dtype == dtype
        assert tc.as_tensor([1, 2], spelling).dtype == dtype
        assert tc.cast_(x.clone(), spelling).dtype == dtype
        assert tc.measure(x, spelling).target == str(dtype).removeprefix("torch.")
        assert torch.compile(lambda x, s=spelling: tc.cast(x, s), backend="eager")(x).dtype == dtype
        with pytest.raises(FormatError, match=f"{spelling!r} is .* or "):
            tc.as_tensor(x.numpy(), spelling)  # which of the two libraries?
    for spelling in ("i4", "f4", "u8", "uint"):
        with pytest.raises(FormatError, match=f"{spelling!r} is .* or "):
            tc.cast(x, spelling)


# a name of torch's that `lookup` does not know
NO_NAME = ("bit",)

# torch's dtypes that are no row, and why
NOT_ROWS = {
    "complex32": "a pair of float16: torch itself computes little with it",
    **dict.fromkeys(
        ("bits1x8", "bits2x4", "bits4x2", "bits8", "bits16"), "bits without a meaning as numbers"
    ),
    **dict.fromkeys(
        ("qint8", "qint32", "quint8", "quint4x2", "quint2x4"),
        "quantized: numbers only with the scale that the tensor keeps",
    ),
}


def test_every_torch_dtype_looks_up_or_is_no_row() -> None:
    torch = pytest.importorskip("torch")
    dtypes = {value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    for dtype in dtypes:
        name = str(dtype).removeprefix("torch.")
        if name in NOT_ROWS:
            with pytest.raises(FormatError):
                lookup(dtype)
            continue
        row = lookup(dtype)
        assert row.spellings["torch"] == name
        assert lookup(name) is lookup(str(dtype)) is row
        assert dtype.itemsize * 8 == row.container_bits
        assert dtype.is_complex == row.is_complex
        assert dtype.is_floating_point == row.is_float
    found = {str(dtype).removeprefix("torch.") for dtype in dtypes}
    assert found >= {row.spellings["torch"] for row in ROWS if "torch" in row.spellings}


# torch 2.13 says 2^-3, but the value after 1 is 1.25
EPSILON_IN_TORCH = {"float8_e5m2fnuz": 0.125}
TORCH_FLOATS = [row for row in FLOATS if "torch" in row.spellings and not row.is_packed]


@pytest.mark.parametrize("row", TORCH_FLOATS, ids=str)
def test_float_limits_are_torch_s(row: Format) -> None:
    torch = pytest.importorskip("torch")
    info = torch.finfo(getattr(torch, row.spellings["torch"]))
    assert (row.bits, row.max, row.min) == (info.bits, info.max, info.min)
    assert row.smallest_normal == info.tiny
    assert info.eps == EPSILON_IN_TORCH.get(row.name, row.epsilon)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_safetensors_knows_its_spellings(row: Format) -> None:
    """The library accepts each spelling with the row's size, and has no other for it."""
    safetensors = pytest.importorskip("safetensors")

    def accepts(spelling: str) -> bool:
        n_bytes = row.n_bytes(8)
        header = {"x": {"dtype": spelling, "shape": [8], "data_offsets": [0, n_bytes]}}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        try:
            safetensors.deserialize(struct.pack("<Q", len(text)) + text + bytes(n_bytes))
        except safetensors.SafetensorError:
            return False
        return True

    if "safetensors" in row.spellings:
        assert accepts(row.spellings["safetensors"])
    else:
        guesses = {row.name, row.name.upper(), *(alias.upper() for alias in row.aliases)}
        guesses |= {name.replace("FLOAT", "F").replace("INT", "I") for name in guesses}
        guesses = {guess for guess in guesses if spelled_by("safetensors", guess) is None}
        assert not any(accepts(guess) for guess in guesses)
