"""What has values that are missing, or columns of several formats, seen column by column: NumPy's
masked arrays, series and tables of pandas and polars, and Arrow's.

Their own way to an array makes floats of integers where one is missing, or where another column
holds floats: 2^53 + 1 becomes 2^53, and nothing says so. Here every column is read in its own
format; `missing` puts them together.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..buffer import numpy_buffer
from ..errors import CastError, FormatError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Column:
    """Values of one format.

    Attributes:
        name: how messages call it: "column 'a'".
        values: an array; where `missing` is True, its values mean nothing.
        missing: which values are not there, of the same shape; None: all are there.
    """

    name: str
    values: np.ndarray[Any, Any]
    missing: np.ndarray[Any, Any] | None = None


@dataclass(frozen=True)
class Columns:
    """All the values of an object.

    Attributes:
        library: whose object it is.
        why: why its values have to be copied.
        columns: one, or as many as a table has.
        is_table: whether the columns stand side by side, in a dimension more.
    """

    library: str
    why: str
    columns: tuple[Column, ...]
    is_table: bool = False


def columns_of(x: object) -> Columns | None:
    """The object's columns; None where nothing is missing and every value has one format, so that
    the object's own array has the values.

    Raises:
        CastError: a column holds no numbers.
    """
    ma = sys.modules.get("numpy.ma")
    if ma is not None and isinstance(x, ma.MaskedArray):
        mask = ma.getmaskarray(x)
        if mask.dtype.fields is not None or not mask.any():
            return None
        return Columns("numpy", "masked values are filled", (Column("the array", x.data, mask),))
    find = _LIBRARIES.get(type(x).__module__.partition(".")[0])
    try:
        return None if find is None else find(x)
    except CastError:
        raise
    except Exception as error:  # whatever the library's own reading raises
        raise CastError(f"a {type(x).__name__} gives no numbers: {error}") from error


def _pandas(x: Any) -> Columns | None:
    why = "pandas makes an array of its columns"
    if hasattr(x, "columns") and hasattr(x, "iloc"):
        dtypes = list(x.dtypes)
        if all(_is_numpys(dtype) for dtype in dtypes) and len(set(dtypes)) < 2:
            return None
        columns = [_pandas_column(x.iloc[:, i], f"column {n!r}") for i, n in enumerate(x.columns)]
        return Columns("pandas", why, tuple(columns), is_table=True)
    dtype = getattr(x, "dtype", None)
    if dtype is None or _is_numpys(dtype) or not hasattr(x, "isna"):
        return None
    if _is_plain(x):
        return None
    return Columns("pandas", why, (_pandas_column(x, "the data"),))


def _is_plain(x: Any) -> bool:
    """Whether its own array, which may share memory, has all the values."""
    import numpy as np

    numpys = getattr(x.dtype, "numpy_dtype", None)
    return numpys is not None and not np.any(x.isna()) and np.asarray(x).dtype == numpys


def _is_numpys(dtype: object) -> bool:
    import numpy as np

    return isinstance(dtype, np.dtype)


def _pandas_column(x: Any, name: str) -> Column:
    import numpy as np

    dtype = x.dtype
    values = getattr(x, "array", x)
    if hasattr(dtype, "pyarrow_dtype"):
        return _arrow_column(values.__arrow_array__(), name)
    if hasattr(dtype, "categories"):
        codes, numbers = np.asarray(values.codes), np.asarray(dtype.categories)
        if not numbers.size:
            raise CastError(f"{name} has no category, and so no format")
        return Column(name, _of_numbers(numbers, name)[np.maximum(codes, 0)], codes < 0)
    numpys = getattr(dtype, "numpy_dtype", None)
    if not _is_numpys(dtype) and isinstance(numpys, np.dtype) and numpys.kind in "biuf":
        missing = np.asarray(values.isna())
        return Column(name, values.to_numpy(dtype=numpys, na_value=numpys.type(0)), missing)
    return Column(name, _of_numbers(np.asarray(x), name))


def _polars(x: Any) -> Columns | None:
    why = "polars makes an array of its columns"
    if hasattr(x, "get_columns") and hasattr(x, "dtypes"):
        parts = x.get_columns()
        plain = all(not _has_nulls(part) for part in parts)
        if not parts or (plain and len(set(x.dtypes)) < 2):
            return None
        columns = [_polars_column(part, f"column {part.name!r}") for part in parts]
        return Columns("polars", why, tuple(columns), is_table=True)
    if type(getattr(x, "dtype", None)).__name__ == "Struct":  # its fields are columns
        return _polars(x.struct.unnest())
    if not hasattr(x, "null_count") or not hasattr(x, "is_null") or not hasattr(x, "to_numpy"):
        return None
    if not _has_nulls(x):
        return None
    return Columns("polars", why, (_polars_column(x, "the series"),))


def _has_nulls(series: Any) -> bool:
    return bool(series.null_count()) or bool(_flat(series)[0].null_count())


def _flat(series: Any) -> tuple[Any, tuple[int, ...]]:
    """A series of arrays of one length as one of their elements, and the shape of the whole."""
    shape = (len(series),)
    if type(series.dtype).__name__ != "Array":
        return series, shape
    return series.reshape((-1,)), (*shape, *series.dtype.shape)


def _polars_column(series: Any, name: str) -> Column:
    import numpy as np

    flat, shape = _flat(series)
    if str(flat.dtype) == "Null":
        raise CastError(f"{name} holds nulls only, which have no format")
    is_bool = str(flat.dtype) == "Boolean"
    if not is_bool and not flat.dtype.is_numeric():
        raise CastError(f"{name} holds {flat.dtype}, which is no format of numbers")
    missing = flat.is_null().to_numpy()
    if missing.any():
        flat = flat.fill_null(False if is_bool else 0)
    values = _of_numbers(np.asarray(flat.to_numpy()), name)
    return Column(name, values.reshape(shape), missing.reshape(shape))


def _pyarrow(x: Any) -> Columns | None:
    pa = sys.modules["pyarrow"]
    why = "Arrow marks its nulls in a bitmap"
    if isinstance(x, (pa.Table, pa.RecordBatch)):
        if not x.num_columns:
            return None
        columns = [
            _arrow_column(x.column(i), f"column {n!r}") for i, n in enumerate(x.schema.names)
        ]
        return Columns("pyarrow", "a table's columns lie apart", tuple(columns), is_table=True)
    if not isinstance(x, (pa.Array, pa.ChunkedArray)):
        return None
    if not _arrow_nulls(x) and not pa.types.is_dictionary(x.type):
        return None
    return Columns("pyarrow", why, (_arrow_column(x, "the Arrow array"),))


def _arrow_nulls(x: Any) -> bool:
    """Whether values are null, on whatever level of lists of one length."""
    pa = sys.modules["pyarrow"]
    chunks = x.chunks if isinstance(x, pa.ChunkedArray) else [x]
    for chunk in chunks:
        while True:
            if chunk.null_count:
                return True
            if isinstance(chunk, pa.ExtensionArray):
                chunk = chunk.storage
            elif isinstance(chunk, pa.DictionaryArray):
                chunk = chunk.dictionary
            elif pa.types.is_fixed_size_list(chunk.type):
                chunk = chunk.flatten()
            else:
                break
    return False


def _arrow_column(x: Any, name: str) -> Column:
    import numpy as np

    from .arrow import arrow_seen
    from .memory import as_numpy

    pa = sys.modules["pyarrow"]
    if isinstance(x, pa.ChunkedArray):
        x = x.combine_chunks() if x.num_chunks != 1 else x.chunk(0)
        if isinstance(x, pa.ChunkedArray):  # of no chunk, to an older pyarrow
            x = pa.array([], x.type)
    if isinstance(x, pa.DictionaryArray):  # which may have nulls among its numbers
        x = x.dictionary_decode()
    shape = [len(x)]
    missing = None
    if _arrow_nulls(x):
        while pa.types.is_fixed_size_list(x.type):
            if x.null_count:
                raise CastError(f"{name} of {x.type} has lists that are null; drop them first")
            shape.append(x.type.list_size)
            x = x.flatten()
        primitive = pa.types.is_integer(x.type) or pa.types.is_floating(x.type)
        if not primitive and not pa.types.is_boolean(x.type):
            raise CastError(f"{name} of {x.type} has nulls; fill or drop them first")
        missing = np.asarray(x.is_null().to_numpy(zero_copy_only=False)).reshape(shape)
        zero = pa.scalar(False) if pa.types.is_boolean(x.type) else pa.scalar(0).cast(x.type)
        x = x.fill_null(zero)
    seen = arrow_seen(x)
    values = as_numpy(seen.buffer)
    return Column(name, values.reshape(shape) if missing is not None else values, missing)


def _narwhals(x: Any) -> Columns | None:
    native = x.to_native() if hasattr(x, "to_native") else x
    return None if native is x else columns_of(native)


def _of_numbers(values: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    try:
        numpy_buffer(values)
    except (CastError, FormatError) as error:
        raise CastError(f"{name}: {error}") from None
    return values


_LIBRARIES: Final = {
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _pyarrow,
    "narwhals": _narwhals,
}
