"""Values that are missing, and columns of several formats: refused, or exact; never what lies under
a mask, and never by way of float64."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensorcast as tc
from tensorcast.errors import CastError, CastOverflowError

BIG = 2**53 + 1  # which float64 does not hold
NAN = float("nan")


def masked() -> Any:
    return np.ma.masked_array([1.0, 1e20, 3.0], mask=[0, 1, 0])


def masked_pixels() -> Any:
    return np.ma.masked_array(np.zeros((1, 2, 1), np.uint8), mask=[[[0], [1]]])


def codes() -> Any:
    return np.ma.masked_array(np.array([1, 2], np.uint8), mask=[1, 0])


TAKERS: dict[str, Callable[[], Any]] = {
    "cast": lambda: tc.cast(masked(), "float32"),
    "cast to the same": lambda: tc.cast(masked(), "float64"),
    "cast into": lambda: tc.cast(np.ones(3), "float64", out=masked()),
    "cast packed": lambda: tc.cast(codes(), "int4", packed=True),
    "measure": lambda: tc.measure(masked(), "float32"),
    "can_cast": lambda: tc.can_cast(masked(), "float32"),
    "to_numpy": lambda: tc.to_numpy(masked()),
    "to_numpy of a list": lambda: tc.to_numpy([masked()]),
    "explain": lambda: tc.explain(masked(), to="numpy"),
    "of a list of two": lambda: tc.to_numpy([masked(), masked()]),
    "the second of a list": lambda: tc.to_numpy([np.ones(3), masked()], "float16"),
    "nested": lambda: tc.to_numpy([[np.ones(3)], [masked()]]),
    "a masked number": lambda: tc.to_numpy([1.0, np.ma.masked]),
    "a masked number first": lambda: tc.to_numpy((masked()[1], masked()[0])),
    "a masked number alone": lambda: tc.to_numpy(np.ma.masked),
    "without dimensions": lambda: tc.to_numpy([np.ma.masked_array(7, True)], "int8"),
    "pack": lambda: tc.pack(codes(), "int4"),
    "PackedTensor": lambda: tc.packed.PackedTensor("int4", (4,), codes()),
    "unpack into": lambda: tc.cast(tc.pack(np.ones(3, np.uint8), "int4"), "float64", out=masked()),
    "image_to_tensor": lambda: tc.image_to_tensor(masked_pixels()),
    "assert_cast_close": lambda: tc.testing.assert_cast_close(masked(), np.ones(3)),
}


@pytest.mark.parametrize("taker", TAKERS)
def test_what_lies_under_a_mask_is_no_value(taker: str) -> None:
    with pytest.raises(CastError, match=r"masked") as caught:
        TAKERS[taker]()
    assert any(way in str(caught.value) for way in ("filled", "null="))


def test_masked_into_torch() -> None:
    torch = pytest.importorskip("torch")
    pil = pytest.importorskip("PIL.Image")
    for take in (tc.as_tensor, tc.as_tensor, tc.explain, tc.to_pil, lambda x: tc.as_tensor([x, x])):
        with pytest.raises(CastError, match="masked"):
            take(masked())
    with pytest.raises(CastError, match="masked"):
        tc.profile({"weight": masked()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hidden = torch.masked.masked_tensor(torch.ones(2), torch.tensor([True, False]))
    for take in (
        lambda x: tc.cast(x, "bfloat16"),
        lambda x: tc.as_tensor(x, "bfloat16"),
        lambda x: tc.measure(x, "bfloat16"),
        lambda x: tc.as_tensor([x]),
        lambda x: tc.cast_(x, "bfloat16"),
        tc.to_numpy,
    ):
        with pytest.raises(CastError):
            take(hidden)
    assert pil


def test_a_masked_array_without_masked_values_is_an_array() -> None:
    for mask in (np.ma.nomask, [False, False]):
        x: Any = np.ma.masked_array(np.array([1.5, 2.5]), mask)
        shared = tc.to_numpy(x)
        assert type(shared) is np.ndarray
        assert np.shares_memory(shared, x.data)
        assert tc.cast(x, "float32").tolist() == [1.5, 2.5]
        assert tc.to_numpy([x, x]).tolist() == [[1.5, 2.5]] * 2
    assert tc.to_numpy([np.ma.masked_array(7, False), 8]).tolist() == [7, 8]


class HasMask(np.ndarray):
    """As astropy's arrays are: no `numpy.ma`, and a mask."""

    mask: Any = None


class MakesMasked:
    """As netCDF4's variables do."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        return masked()


def test_masks_of_others() -> None:
    x = np.ones(3).view(HasMask)
    assert tc.to_numpy(x).tolist() == [1, 1, 1]
    x.mask = np.array([False, True, False])
    for take in (
        tc.to_numpy,
        lambda x: tc.to_numpy([x]),
        lambda x: tc.cast(x, "float16"),
    ):
        with pytest.raises(CastError, match="1 of 3 are masked"):
            take(x)
    for take in (tc.to_numpy, lambda x: tc.to_numpy([x])):
        with pytest.raises(CastError, match="1 of 3 are masked"):
            take(MakesMasked())


def test_null_stands_for_what_is_masked() -> None:
    x: Any = np.ma.masked_array(np.array([BIG, 5]), [False, True])
    assert tc.to_numpy(x, null=-1).tolist() == [BIG, -1]
    assert tc.to_numpy([x], null=-1).tolist() == [[BIG, -1]]
    assert tc.to_numpy([1, np.ma.masked, None], "int8", null=3).tolist() == [1, 3, 3]
    with pytest.raises(CastError, match=r"no format holds every value of int64 and null=nan"):
        tc.to_numpy(x, null=NAN)
    small: Any = np.ma.masked_array(np.array([2, 5], np.int8), [False, True])
    widened = tc.to_numpy(small, null=300)
    assert widened.tolist() == [2, 300]
    with pytest.raises(CastOverflowError):
        tc.to_numpy(small, "int8", null=300)
    assert tc.to_numpy(small, "int8", null=300, overflow="saturate").tolist() == [2, 127]
    floats: Any = np.ma.masked_array(np.array([2, 5], np.float32), [False, True])
    made = tc.to_numpy(floats, null=0.1)
    assert made.dtype == np.float32
    assert made[1] == np.float32(0.1)
    for wrong in ("x", [1], object()):
        with pytest.raises(CastError, match="is not a number"):
            tc.to_numpy(x, null=wrong)


def pandas_series(values: list[Any], dtype: str) -> Any:
    return pytest.importorskip("pandas").Series(values, dtype=dtype)


def polars_series(values: list[Any]) -> Any:
    return pytest.importorskip("polars").Series("a", values)


def arrow(values: list[Any]) -> Any:
    return pytest.importorskip("pyarrow").array(values)


def chunked(values: list[Any]) -> Any:
    return pytest.importorskip("pyarrow").chunked_array([values[:1], values[1:]])


COLUMN: dict[str, Callable[[list[Any]], Any]] = {
    "pandas": lambda v: pandas_series(v, "Int64"),
    "pandas array": lambda v: pandas_series(v, "Int64").array,
    "pandas index": lambda v: pytest.importorskip("pandas").Index(v, dtype="Int64"),
    "pandas category": lambda v: pandas_series(v, "category"),
    "pandas of arrow": lambda v: (
        pytest.importorskip("pyarrow") and pandas_series(v, "int64[pyarrow]")
    ),
    "polars": polars_series,
    "arrow": arrow,
    "arrow chunks": chunked,
    "arrow dictionary": lambda v: arrow(v).dictionary_encode(),
}
TABLE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "pandas": lambda columns: pytest.importorskip("pandas").DataFrame(
        {name: pandas_series(v, "Int64") if None in v else v for name, v in columns.items()}
    ),
    "polars": lambda columns: pytest.importorskip("polars").DataFrame(columns),
    "arrow": lambda columns: pytest.importorskip("pyarrow").table(columns),
    "arrow batch": lambda columns: pytest.importorskip("pyarrow").record_batch(columns),
}


@pytest.mark.parametrize("name", COLUMN)
def test_nulls_among_integers(name: str) -> None:
    column = COLUMN[name]([BIG, None])
    for to in (None, "int64", "float64"):
        with pytest.raises(CastError, match=r"null \(the first at \[1\]\).*null=VALUE"):
            tc.to_numpy(column, to)
    with pytest.raises(CastError, match="null"):
        tc.to_numpy(column)
    with pytest.raises(CastError, match=r"data\[0\].*null"):
        tc.to_numpy([column])
    assert tc.to_numpy(column, null=-1).tolist() == [BIG, -1]
    assert tc.to_numpy([column], null=-1).tolist() == [[BIG, -1]]
    with pytest.raises(CastError, match="no format holds every value"):
        tc.to_numpy(column, null=NAN)
    assert tc.to_numpy(COLUMN[name]([7, None]), null=NAN).tolist()[0] == 7
    rounded = tc.to_numpy(column, "float32", null=NAN)  # asked for: each value once
    assert rounded[0] == np.float32(BIG)
    assert np.isnan(rounded[1])
    assert tc.to_numpy(COLUMN[name]([BIG, 3])).tolist() == [BIG, 3]


def test_nulls_into_torch() -> None:
    pytest.importorskip("torch")
    column = polars_series([BIG, None])
    with pytest.raises(CastError, match="null"):
        tc.as_tensor(column, "int64", nan="zero")
    assert tc.as_tensor(column, null=0).tolist() == [BIG, 0]
    assert tc.as_tensor([column], null=0).tolist() == [[BIG, 0]]
    assert "float64" not in str(tc.explain(column, null=0))


def test_nulls_among_floats_are_nan_where_the_library_says_so() -> None:
    pl = pytest.importorskip("polars")
    for column in (
        pandas_series([0.5, None], "Float32"),
        pl.Series([0.5, None], dtype=pl.Float32),
    ):
        made = tc.to_numpy(column)
        assert made.dtype == np.float32
        assert made[0] == 0.5
        assert np.isnan(made[1])
        assert tc.to_numpy(column, null=-1.0).tolist() == [0.5, -1]


def test_nulls_of_bools_and_lists() -> None:
    pl = pytest.importorskip("polars")
    flags = pl.Series([True, None])
    with pytest.raises(CastError, match="null"):
        tc.to_numpy(flags)
    assert tc.to_numpy(flags, null=False).tolist() == [True, False]
    pairs = pl.Series([[BIG, 2], [3, None]], dtype=pl.Array(pl.Int64, 2))
    with pytest.raises(CastError, match=r"null \(the first at \[1, 1\]\)"):
        tc.to_numpy(pairs)
    assert tc.to_numpy(pairs, null=0).tolist() == [[BIG, 2], [3, 0]]
    fields = pl.Series([{"a": BIG, "b": 1}, {"a": None, "b": 2}])
    with pytest.raises(CastError, match="column 'a' are null"):
        tc.to_numpy(fields)
    assert tc.to_numpy(fields, null=0).tolist() == [[BIG, 1], [0, 2]]


def test_nulls_inside_arrow_lists_and_dictionaries() -> None:
    pa = pytest.importorskip("pyarrow")
    pairs = pa.array([[9, 9], [BIG, 2], [3, None]], pa.list_(pa.int64(), 2)).slice(1)
    with pytest.raises(CastError, match="null"):
        tc.to_numpy(pairs)
    assert tc.to_numpy(pairs, null=0).tolist() == [[BIG, 2], [3, 0]]
    hidden = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array([BIG, None]))
    with pytest.raises(CastError, match="null"):
        tc.to_numpy(hidden)
    assert tc.to_numpy(hidden, null=0).tolist() == [BIG, 0]
    union = pa.UnionArray.from_dense(
        pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([1]), pa.array([0.5])]
    )
    for odd in (union, pa.array([None, None]), pa.array([1, None], pa.date32())):
        with pytest.raises(CastError):
            tc.to_numpy(odd, null=0)


@pytest.mark.parametrize("name", TABLE)
def test_columns_of_several_formats(name: str) -> None:
    make = TABLE[name]
    with pytest.raises(CastError, match=r"no format holds every value.*column 'a'"):
        tc.to_numpy(make({"a": [BIG, 1], "b": [0.5, 1.0]}))
    assert tc.to_numpy(make({"a": [7, 1], "b": [0.5, 1.0]})).tolist() == [[7, 0.5], [1, 1]]
    wide = make({"a": [BIG, 1], "b": np.array([2**63 + 1, 2], np.uint64)})
    with pytest.raises(CastError, match="no format holds every value"):
        tc.to_numpy(wide)
    assert tc.to_numpy(wide, "uint64").tolist() == [[BIG, 2**63 + 1], [1, 2]]
    with pytest.raises(CastOverflowError, match="column 'b'"):
        tc.to_numpy(wide, "int64")
    narrow = make({"a": np.array([1, 2], np.int16), "b": np.array([0.5, 1], np.float32)})
    assert tc.to_numpy(narrow).dtype == np.float32


@pytest.mark.parametrize("name", TABLE)
def test_nulls_in_tables(name: str) -> None:
    table = TABLE[name]({"a": [1, 2], "b": [BIG, None]})
    with pytest.raises(CastError, match=r"1 of the 2 values of column 'b' are null"):
        tc.to_numpy(table)
    assert tc.to_numpy(table, null=-1).tolist() == [[1, BIG], [2, -1]]


def test_a_format_is_named_only_where_it_holds_all() -> None:
    with pytest.raises(tc.errors.CastOverflowError) as error:
        tc.as_tensor([2**63, None], null=-1)
    assert "uint64" not in str(error.value)
    with pytest.raises(tc.errors.CastOverflowError, match='dtype="uint64"'):
        tc.as_tensor([2**63, None], null=0)


def test_integers_of_a_list_with_nan_for_what_is_missing_are_float64_or_refused() -> None:
    torch = pytest.importorskip("torch")
    found = tc.as_tensor([2**24 + 1, None], null=float("nan"))
    assert found.dtype == torch.float64
    assert found[0].item() == 2**24 + 1
    assert found[1].isnan()
    for make in (tc.as_tensor, tc.to_numpy, tc.as_tensor, tc.to_numpy):
        with pytest.raises(CastError):
            make([2**53 + 1, None], null=float("nan"))
        with pytest.raises(CastError):
            make([[2**53 + 1], [np.ma.masked]], null=0.5)
    assert tc.to_numpy([2**53 + 1, None], null=-1).tolist() == [2**53 + 1, -1]
    assert tc.as_tensor([0.5, None], null=float("nan")).dtype == torch.get_default_dtype()
