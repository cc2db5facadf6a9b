"""Columns put together into one array, with a number for what is missing: in a format that holds
every value, in the one that was asked for, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from ..buffer import numpy_buffer, refuse_masked
from ..core.block import cast_buffer
from ..errors import CastError, FormatError, InexactCastError
from ..formats import Format, lookup
from ..policy import Policy
from . import is_numpy_scalar
from .columns import Column, Columns
from .memory import empty_numpy

if TYPE_CHECKING:
    import numpy as np

_WAY_OUT: Final = (
    "Fill or drop them first, or pass null=VALUE, what they become, to tensorcast.as_tensor or "
    "to_numpy"
)


_NAN_LIBRARIES: Final = ("pandas", "polars")
"""Whose arrays have NaN for a null among floats, by their own documentation."""

Number = Callable[[Any, Format, Policy], Any]


def filled(
    found: Columns, null: object, wanted: Format | None, policy: Policy, number: Number
) -> np.ndarray[Any, Any]:
    """The values in one new array.

    Args:
        null: what stands for the missing ones; None refuses them, but among floats, where they are
            NaN.
        wanted: the format that the caller is going to cast to, under the policy; where no format
            holds all values exactly, the array is of this one. None refuses them then.
        number: makes an array of one number: `sequences.array_of`.

    Raises:
        CastError: values are missing and there is no `null`; no format holds all values.
    """

    if null is not None and not is_number(null):
        raise CastError(f"null={null!r} is not a number")
    columns = [_without_null(column, null, found.library) for column in found.columns]
    exact = _joined(columns, null)
    shape = columns[0].values.shape
    for column in columns:
        if column.values.shape != shape:
            raise CastError(
                f"{column.name} has shape {list(column.values.shape)}, {columns[0].name} "
                f"{list(shape)}"
            )
    if found.is_table:
        shape = (*shape[:1], len(columns), *shape[1:])
    last: CastError | None = None
    for row in exact:
        made, _ = empty_numpy(shape, row)
        try:
            _put_all(made, columns, found.is_table, row, null, policy, number, only_exact=True)
        except InexactCastError as error:
            last = error
            continue
        return cast("np.ndarray[Any, Any]", made)
    if wanted is None:
        names = ", ".join(dict.fromkeys(str(column.values.dtype) for column in columns))
        where = f": {last}" if last is not None else ""
        also = "" if null is None else f" and null={null!r}"
        one_by_one = ", or the columns one by one" if found.is_table else ""
        raise CastError(
            f"no format holds every value of {names}{also}{where}. Pass the dtype that they are to "
            f"be rounded to{one_by_one}"
        )
    made, _ = empty_numpy(shape, wanted)
    _put_all(made, columns, found.is_table, wanted, null, policy, number, only_exact=False)
    return cast("np.ndarray[Any, Any]", made)


def is_number(x: object) -> bool:
    """Whether an object is one number of Python's or NumPy's."""
    if is_numpy_scalar(x):
        return cast("np.generic", x).dtype.kind in "biufc"
    return type(x) in (bool, int, float, complex)


def _without_null(column: Column, null: object, library: str) -> Column:
    """The column as it is where the missing values have a number; among floats they get NaN."""
    import numpy as np

    missing = column.missing
    if missing is None or not missing.any():
        return replace(column, missing=None)
    if null is not None:
        return column
    if library == "numpy":
        masked = np.ma.masked_array(column.values, missing)
        refuse_masked(masked)
    row = lookup(column.values.dtype)
    if row.is_float and library in _NAN_LIBRARIES:
        values = column.values.copy()
        values[missing] = np.nan
        return replace(column, values=values, missing=None)
    first = [int(i) for i in np.unravel_index(int(missing.argmax()), missing.shape)]
    raise CastError(
        f"{int(missing.sum())} of the {missing.size} values of {column.name} are null (the first "
        f"at {first}), and {row.name} has no null. {_WAY_OUT}"
    )


def _joined(columns: list[Column], null: object) -> Iterator[Format]:
    """The formats that may hold every value, as NumPy promotes: the columns', then with `null`."""
    import numpy as np

    dtypes = [column.values.dtype for column in columns]
    candidates = [dtypes]
    if null is not None and any(column.missing is not None for column in columns):
        candidates.append([*dtypes, np.min_scalar_type(cast(Any, null))])
    seen: list[Format] = []
    for each in candidates:
        try:
            row = lookup(np.result_type(*each))
        except (TypeError, FormatError):
            continue
        if row not in seen:
            seen.append(row)
            yield row


def _put_all(
    made: np.ndarray[Any, Any],
    columns: list[Column],
    is_table: bool,
    row: Format,
    null: object,
    policy: Policy,
    number: Number,
    *,
    only_exact: bool,
) -> None:
    for i, column in enumerate(columns):
        _put(made[:, i] if is_table else made, column, row, null, policy, number, only_exact)


def _put(
    into: np.ndarray[Any, Any],
    column: Column,
    row: Format,
    null: object,
    policy: Policy,
    number: Number,
    only_exact: bool,
) -> None:
    """Cast a column into its place; under `only_exact`, an InexactCastError where a value or `null`
    would change."""
    values, missing = column.values, column.missing
    if missing is not None:
        values = values.copy()
        values[missing] = 0
    source, target = numpy_buffer(values), numpy_buffer(into, writable=True)
    rule = Policy(exact=True) if only_exact else policy
    resolved = rule.resolve(source.format, row)
    try:
        cast_buffer(source, target, row, resolved)
    except CastError as error:
        if not only_exact:
            raise type(error)(f"{column.name}: {error}") from error
        loss = cast_buffer(source, None, row, resolved, report=True)
        raise InexactCastError(
            f"{loss.n_inexact} of {loss.n_elements} values of {column.name} would change in "
            f"{row.name}"
        ) from error
    if missing is None:
        return
    # a float rounds to a float format as it does everywhere; nothing else may change
    changes = not only_exact or (isinstance(null, float) and row.is_float)
    try:
        into[missing] = number(null, row, policy if changes else rule)
    except CastError as error:
        if not only_exact:
            raise
        raise InexactCastError(f"null={null!r} is no value of {row.name}") from error
