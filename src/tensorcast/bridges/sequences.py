"""Nested lists and tuples, of numbers or of arrays, into one new tensor of the wanted format.

The numbers are read in C and rounded once, from the exact Python value, straight into the
tensor's own memory; arrays are cast into their slice of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..buffer import MAX_DIMS, refuse_masked
from ..errors import CastError, FormatError
from ..formats import FORMATS, Format, Reader, lookup, lookup_target
from ..kernels import cpu
from ..kernels.torch_lazy import settled
from ..policy import Policy, ResolvedPolicy
from . import is_numpy, is_numpy_scalar, is_torch
from . import sequence_refusal as refusal
from .boundary import refuse_unreadable
from .memory import as_numpy, empty_numpy, empty_torch, numpy_dtype, torch_dtype
from .protocol import load
from .room import refuse_no_memory
from .seeing import see_foreign

if TYPE_CHECKING:
    import numpy as np
    import torch

_ALL = (1 << 64) - 1
_PYTHON_KINDS = {
    bool: 1 << cpu.PY_BOOL,
    int: 1 << cpu.PY_INT,
    float: 1 << cpu.PY_FLOAT,
    complex: 1 << cpu.PY_COMPLEX,
}


def tensor_of(
    data: object, to: object, policy: Policy, *, device: Any = None, null: object = None
) -> torch.Tensor:
    """A new torch tensor of the numbers, each rounded once from its exact value.

    Args:
        data: a number, or lists and tuples of numbers nested as deep as the tensor has
            dimensions, or lists of arrays and tensors of one shape, which are stacked: NumPy's,
            torch's, and what `as_tensor` takes of other libraries. Numbers are Python's, NumPy's
            and ml_dtypes' scalars, and tensors with no dimension.
        to: the format; None infers it as `torch.tensor` does: bool, int64, torch's default dtype
            for floats, its complex dtype for complex numbers, the dtype of scalars and arrays
            that have one, promoted where they differ; float32 if there is no number at all.
        device: where the tensor is to be; it travels there in the wanted format.
        null: a number for what is missing: None, and masked values of NumPy. None refuses them.

    Raises:
        CastError: lists of one level differ in length, something is no number, arrays differ in
            shape, or a tensor requires grad, which the result would not record (integers and bool
            never do). This and the next name the path, `data[3][17]`.
        CastOverflowError, CastNanError, InexactCastError: what the policy refuses.

    Example:
        >>> tensor_of([[1, 2], [3, 300]], "float16", Policy())
        tensor([[  1.,   2.],
                [  3., 300.]], dtype=torch.float16)
        >>> tensor_of([[1, 2], [3, 300]], "int8", Policy())
        Traceback (most recent call last):
        ...
        tensorcast.errors.CastOverflowError: data[1][1]: 300 lies outside int8 (-128 to 127). \
Pass overflow="saturate" or "wrap", or dtype="int16", which holds it.
    """
    if "torch" not in sys.modules:
        load("torch")
    if sys.modules["torch"]._C._get_tracing_state() is not None:
        raise CastError(
            "torch.jit.trace does not record how a list becomes a tensor; the program would give "
            "whatever the memory holds: make the tensor outside of what is traced, or by "
            "torch.stack and tensorcast.cast"
        )
    result: torch.Tensor = _build(data, to, policy, _TORCH, null)
    if device is None:
        return result
    from .torch.tensor import torch_device

    goal = torch_device(device)
    try:
        return result.to(goal)
    except RuntimeError as error:
        refuse_no_memory(error)
        raise


def array_of(
    data: object, to: object, policy: Policy, *, null: object = None
) -> np.ndarray[Any, Any]:
    """A new NumPy array of the numbers, each rounded once from its exact value.

    The arguments and errors are those of `tensor_of`. With `to` None the dtype is what `np.array`
    infers (int64, float64, complex128, promoted), but integers beyond int64 are refused rather
    than made objects or floats. Sub-byte formats come in ml_dtypes' containers of one byte.

    Example:
        >>> array_of([1.5, 2], "bfloat16", Policy())
        array([1.5, 2], dtype=bfloat16)
    """
    result: np.ndarray[Any, Any] = _build(data, to, policy, _NUMPY, null)
    return result


class _Library(Protocol):
    """What differs between torch and NumPy."""

    def empty(self, shape: tuple[int, ...], row: Format) -> tuple[Any, int]:
        """A new contiguous array and its address."""

    def infer(self, kinds: int) -> Format:
        """The format that holds these kinds of numbers, promoted."""


class _Torch:
    def empty(self, shape: tuple[int, ...], row: Format) -> tuple[Any, int]:
        return empty_torch(shape, row)

    def infer(self, kinds: int) -> Format:
        import torch

        return _torch_promotion(kinds, torch.get_default_dtype())


class _NumPy:
    def empty(self, shape: tuple[int, ...], row: Format) -> tuple[Any, int]:
        return empty_numpy(shape, row)

    def infer(self, kinds: int) -> Format:
        return _numpy_promotion(kinds)


_TORCH, _NUMPY = _Torch(), _NumPy()


@lru_cache(maxsize=256)
def _torch_promotion(kinds: int, default: torch.dtype) -> Format:
    """The format of these kinds of numbers to torch, given its default dtype."""
    import torch

    if not kinds:
        return lookup(default)
    wide = torch.complex128 if default == torch.float64 else torch.complex64
    python = zip(_PYTHON_KINDS.values(), (torch.bool, torch.int64, default, wide), strict=True)
    dtypes = [dtype for bit, dtype in python if kinds & bit]
    dtypes += [torch_dtype(name) for name in _names_of(kinds)]
    try:
        return lookup(reduce(torch.promote_types, dtypes))
    except RuntimeError:
        raise _no_promotion(dtypes) from None


@lru_cache(maxsize=256)
def _numpy_promotion(kinds: int) -> Format:
    """The format of these kinds of numbers to NumPy."""
    import numpy as np

    if not kinds:
        return FORMATS["float64"]
    python = zip(_PYTHON_KINDS.values(), ("bool", "int64", "float64", "complex128"), strict=True)
    names = [name for bit, name in python if kinds & bit] + _names_of(kinds)
    dtypes = [numpy_dtype(name) for name in names]
    try:
        return lookup(np.result_type(*dtypes))
    except (TypeError, FormatError):
        raise _no_promotion(dtypes) from None


def _names_of(kinds: int) -> list[str]:
    return [name for i, name in enumerate(FORMATS) if kinds >> i & 1]


def _no_promotion(dtypes: list[Any]) -> CastError:
    names = ", ".join(str(dtype) for dtype in dtypes)
    return CastError(f"no format holds {names} by the library's promotion; pass dtype=")


@lru_cache(maxsize=256)
def _resolved(policy: Policy, target: str) -> ResolvedPolicy:
    return policy.resolve("bool", target)  # what it resolves to depends on the target alone


def _build(data: object, to: object, policy: Policy, library: _Library, null: object) -> Any:
    try:
        return _built(data, to, policy, library, null)
    except _OwnCodeError as error:
        raise error.original from None
    except _RecordedError:
        _refuse_recorded(data, ())
        raise
    except Exception as error:
        refuse_unreadable(error, data)
        raise


class _OwnCodeError(Exception):
    """Carries an error of a number's own code, which comes through as it is."""

    def __init__(self, original: Exception) -> None:
        super().__init__(str(original))
        self.original = original


class _RecordedError(CastError):
    """A number is a tensor whose gradient would be lost."""


def _refuse_recorded(data: Any, path: tuple[int, ...]) -> None:
    """Raise for the first tensor in lists whose gradient or tangent would be lost."""
    if isinstance(data, (list, tuple)):
        for i, each in enumerate(data):
            _refuse_recorded(each, (*path, i))
    elif is_torch(data):
        from .torch.tensor import recorded

        what = recorded(data)
        if what:
            stack = "torch.stack and " if path else ""
            name = refusal.name_of(path)
            raise CastError(
                f"{name} {what}, and the result would not record it. Use {stack}tensorcast.cast, "
                f"or pass {name}.detach()"
            )


def _records(row: Format | None) -> bool:
    """Whether a tensor of the format can have a gradient; None is inferred."""
    return row is None or row.is_float or row.is_complex


def _built(data: object, to: object, policy: Policy, library: _Library, null: object) -> Any:
    reader: Reader | None = "torch" if library is _TORCH else None
    row = None if to is None else lookup_target(to, reader)
    if isinstance(data, range):
        data = list(data)
    if null is not None:
        if row is None and isinstance(null, float) and _all_integers(data, 0):
            # integers are not made floats on the way: float64, if it holds each of them
            row, policy = FORMATS["float64"], replace(policy, exact=True)
        data = _without_nulls(data, null, policy, 0)
    shape, first = shape_of(data)
    if _is_others(first):
        data = _as_arrays(data, ())
        shape, first = shape_of(data)
    if array_shape(first):
        return _stack(data, shape, first, row, policy, library)
    return _numbers(data, shape, first, row, policy, library)


def shape_of(data: object) -> tuple[tuple[int, ...], object]:
    """The lengths of the first list on each level, and the first thing that is no list (None
    where there is none).

    Example:
        >>> shape_of([[1, 2, 3], [4, 5, 6]])
        ((2, 3), 1)
    """
    shape: list[int] = []
    while isinstance(data, (list, tuple)):
        shape.append(len(data))
        if not data:
            return tuple(shape), None
        if len(shape) > MAX_DIMS:
            raise _too_deep()
        data = data[0]
    return tuple(shape), data


def array_shape(x: object) -> tuple[int, ...] | None:
    """The shape of an array or tensor; None for anything else."""
    if isinstance(x, (int, float, complex)) or not hasattr(x, "dtype"):
        return None
    shape = getattr(x, "shape", None)
    return tuple(shape) if isinstance(shape, tuple) else None


def _without_nulls(data: Any, null: object, policy: Policy, depth: int) -> Any:
    """The same lists, with a number for what is missing."""
    from .columns import columns_of
    from .missing import filled, is_number

    if not is_number(null):
        raise CastError(f"null={null!r} is not a number")
    if isinstance(data, (list, tuple)):
        if depth > MAX_DIMS:
            raise _too_deep()
        return [_without_nulls(each, null, policy, depth + 1) for each in data]
    if data is None or refusal.is_masked(data):
        return null
    columns = columns_of(data)
    return data if columns is None else filled(columns, null, None, policy, array_of)


def _all_integers(data: Any, depth: int) -> bool:
    """Whether something is missing among Python integers, and nothing else is there."""
    if isinstance(data, (list, tuple)) and depth <= MAX_DIMS:
        return all(_all_integers(each, depth + 1) for each in data)
    return data is None or refusal.is_masked(data) or type(data) is int


def _too_deep() -> CastError:
    return CastError(f"data is nested deeper than {MAX_DIMS} levels, or holds itself")


def _is_others(x: object) -> bool:
    """Whether an object is neither a number nor an array, but another library may have made it
    one: an image, a TensorFlow tensor, an Arrow array."""
    if x is None or isinstance(x, (int, float, complex, str, bytes, bytearray)):
        return False
    return array_shape(x) is None


def _as_arrays(data: Any, path: tuple[int, ...]) -> Any:
    """The same lists, with the arrays of other libraries as NumPy's, which share their memory."""
    if isinstance(data, (list, tuple)):
        return [_as_arrays(each, (*path, i)) for i, each in enumerate(data)]
    if not _is_others(data):
        return data
    array = _as_array(data, path)
    return data if array is None else array


def _as_array(x: object, path: tuple[int, ...]) -> np.ndarray[Any, Any] | None:
    """An array of NumPy's or another library's as one of NumPy's own; None for what is none.

    Raises:
        CastError: it holds no numbers, or some are missing.
    """
    from .columns import columns_of
    from .missing import filled

    try:
        columns = columns_of(x)
        if columns is not None:
            return filled(columns, None, None, Policy(), array_of)
        if is_numpy(x):
            import numpy as np

            refuse_masked(x)
            return np.asarray(x)
        seen = see_foreign(x)
    except CastError as error:
        raise CastError(f"{refusal.name_of(path)}: {error}") from error
    return None if seen is None else as_numpy(seen.buffer)


def _numbers(
    data: object,
    shape: tuple[int, ...],
    first: object,
    row: Format | None,
    policy: Policy,
    library: _Library,
) -> Any:
    """One pass where the first number's kind is everyone's; a second where the kinds promote."""
    allowed, kinds = _ALL, 0
    if row is None:
        if 0 not in shape:
            kinds = _PYTHON_KINDS.get(type(first), 0) or _kind(first, (0,) * len(shape))
        target, allowed = library.infer(kinds), kinds
    else:
        target = row
    convert = _convert_recorded if _records(row) else _convert
    while True:
        resolved = _resolved(policy, target.name)
        made, address = library.empty(shape, target)
        encoder = _Encoder(target, resolved)
        filled = cpu.fill_numbers(
            data, shape, target, resolved, address, allowed, _classify, convert, encoder
        )
        if filled.status > 1:
            raise refusal.misshapen(filled, shape, target)
        if filled.status == 1:
            target, allowed = library.infer(filled.kinds), _ALL
            continue
        if filled.first_refused is not None or encoder.first_refused is not None:
            begins = [i for i in (filled.first_refused, encoder.first_refused) if i is not None]
            raise refusal.refused(data, shape, min(begins), target, resolved, _plain)
        return made


def _classify(x: object) -> int:
    """The kind of a number that is none of Python's own types; -1: it is no number."""
    if is_numpy_scalar(x):
        try:
            row = lookup(cast(Any, x).dtype)
        except FormatError:
            if cast(Any, x).dtype.kind in "fc":  # a number, of a format that is not offered
                raise
            return -1
        return cpu.CONVERT_EACH if row.is_complex else cpu.format_index(row)
    for kind, code in (
        (bool, cpu.PY_BOOL),
        (int, cpu.PY_INT),
        (float, cpu.PY_FLOAT),
        (complex, cpu.PY_COMPLEX),
    ):
        if isinstance(x, kind):
            return code
    if type(x).__module__ == "ml_dtypes":
        return cpu.CONVERT_EACH
    return cpu.CONVERT_EACH if array_shape(x) == () else -1


def _convert(x: Any) -> tuple[int, object]:
    """(kind, plain Python number) of a scalar or an array without dimensions."""
    if type(x).__module__ == "ml_dtypes":
        row = lookup(type(x))
    elif array_shape(x) == () and not refusal.is_masked(x):
        try:
            row = lookup(x.dtype)
        except FormatError:
            if getattr(x.dtype, "kind", "c") in "fc":
                raise
            return -1, None
        item = getattr(x, "item", None)
        if not callable(item):
            return -1, None
        try:
            x = item()
        except Exception as error:
            if is_torch(x):
                raise
            raise _OwnCodeError(error) from error
    else:
        return -1, None
    if not isinstance(x, (bool, int, float, complex)):  # ml_dtypes' scalars
        try:
            x = int(x) if row.is_integer else float(x)
        except (TypeError, ValueError):
            return -1, None
    return cpu.format_index(row), x


def _convert_recorded(x: Any) -> tuple[int, object]:
    """`_convert`, which refuses tensors whose gradient would be lost."""
    if is_torch(x):
        from .torch.tensor import recorded

        if recorded(x):
            raise _RecordedError(f"a number {recorded(x)}, and the result would not record it")
    return _convert(x)


def _plain(x: object) -> object:
    """The plain Python number that something counted as a number stands for."""
    code = _PYTHON_KINDS.get(type(x), 0)
    if code:
        return x
    kind = _classify(x)
    if kind == cpu.CONVERT_EACH:
        return _convert(x)[1]
    if kind == cpu.PY_INT:  # a subclass, as of the rest
        return int(x)  # type: ignore[call-overload]
    if kind == cpu.PY_FLOAT:
        return float(x)  # type: ignore[arg-type]
    if kind == cpu.PY_COMPLEX:
        return complex(x)  # type: ignore[call-overload]
    return x.item()  # type: ignore[attr-defined]


def _kind(x: object, path: tuple[int, ...]) -> int:
    code = _classify(x)
    if code == cpu.CONVERT_EACH:
        code = _convert(x)[0]
    if code < 0:
        raise refusal.no_number(x, path, "")
    return 1 << code


class _Encoder:
    """Encodes by the reference what no machine type holds, and notes the first refusal."""

    def __init__(self, target: Format, policy: ResolvedPolicy) -> None:
        self.target, self.policy = target, policy
        self.first_refused: int | None = None

    def __call__(self, number: object, index: int) -> bytes:
        outcome = refusal.outcome_of(number, self.target, self.policy, index)
        if self.first_refused is None and refusal.is_refused(outcome, self.policy):
            self.first_refused = index
        return outcome.code.to_bytes(self.target.container_bits // 8, sys.byteorder)


def _stack(
    data: object,
    shape: tuple[int, ...],
    first: object,
    row: Format | None,
    policy: Policy,
    library: _Library,
) -> Any:
    each = array_shape(first)
    assert each is not None
    if "torch" in sys.modules and _records(row):
        _refuse_recorded(data, ())  # C reads tensors by itself
    if len(shape) + len(each) > MAX_DIMS:
        raise CastError(f"{len(shape) + len(each)} dimensions; at most {MAX_DIMS} are supported")
    source, facts, _ = _contiguous(first, (0,) * len(shape))
    inferring = row is None
    target = library.infer(1 << cpu.format_index(source)) if row is None else row

    def other(x: object, path: tuple[int, ...]) -> tuple[object, int, int]:
        found = array_shape(x)
        if found != each:
            raise refusal.other_shape(x, path, found, each)
        own, (kept, address), _ = _contiguous(x, path)
        if inferring and own != source:
            raise _OtherFormatError
        if own.is_complex and not (target.is_complex or target.kind == "bool"):
            policy.resolve(own, target)  # which refuses, with the way out
        return kept, address, cpu.format_index(own)

    try:
        if source.is_complex:
            policy.resolve(source, target)
        return _stacked(data, shape, each, source, target, policy, library, first, facts, other)
    except _OtherFormatError:
        kinds = 0
        for x in refusal.leaves(data, len(shape)):
            if array_shape(x) is None:
                raise refusal.no_number(x, (), "") from None
            kinds |= 1 << cpu.format_index(_contiguous(x, ())[0])
        inferring = False
        target = library.infer(kinds)
        return _stacked(data, shape, each, source, target, policy, library, first, facts, other)


class _OtherFormatError(Exception):
    """An array of another format than the first, while the format is inferred."""


def _stacked(
    data: object,
    shape: tuple[int, ...],
    each: tuple[int, ...],
    source: Format,
    target: Format,
    policy: Policy,
    library: _Library,
    first: object,
    facts: tuple[object, int],
    other: Callable[[object, tuple[int, ...]], tuple[object, int, int]],
) -> Any:
    resolved = _resolved(policy, target.name)
    made, address = library.empty(shape + each, target)
    direct = _direct(first, facts)
    filled = cpu.fill_arrays(data, shape, each, source, target, resolved, address, direct, other)
    if filled.status:
        raise refusal.misshapen(filled, shape, target)
    if filled.first_refused is not None:
        raise refusal.refused_array(
            data, shape, each, filled.first_refused, target, resolved, _contiguous
        )
    return made


def _contiguous(x: Any, path: tuple[int, ...]) -> tuple[Format, tuple[object, int], bool]:
    """(format, (owner, address), shared) of the contiguous elements of an array or tensor."""
    if not is_torch(x):
        import numpy as np

        if type(x) is not np.ndarray:
            given, x = x, _as_array(x, path)
            if x is None:
                raise refusal.no_number(given, path, "")
        if x.dtype.hasobject or x.dtype.fields is not None:
            raise CastError(
                f"{refusal.name_of(path)} has dtype {x.dtype}, which holds no numbers of one format"
            )
        row = lookup(x.dtype)
        plain = x
        if not (x.flags.c_contiguous and x.flags.aligned and x.dtype.isnative):
            plain = np.ascontiguousarray(x, dtype=x.dtype.newbyteorder("="))
        return row, (plain, plain.ctypes.data), plain is x
    import torch

    if x.device.type != "cpu" or x.layout != torch.strided:
        what = x.device if x.device.type != "cpu" else x.layout
        raise CastError(
            f"{refusal.name_of(path)} is a {what} tensor; a list is read from the CPU's dense "
            "tensors, so move it there, or use torch.stack and tensorcast.cast"
        )
    from .torch.tensor import buffer_of, is_plain

    if not is_plain(x):
        raise CastError(
            f"{refusal.name_of(path)} is being traced or transformed, and has no memory to read; "
            "use torch.stack and tensorcast.cast"
        )
    plain = settled(x)
    source = buffer_of(plain)  # which looks whether its storage is there
    if source.packed:
        raise CastError(f"{refusal.name_of(path)} is packed {source.format.name}; unpack it first")
    plain = plain.contiguous()
    return source.format, (plain, plain.data_ptr()), plain.data_ptr() == x.data_ptr()


def _direct(first: Any, facts: tuple[object, int]) -> tuple[object, ...]:
    """How C reads arrays like the first by itself; () if it cannot."""
    kept, address = facts
    numpy = sys.modules.get("numpy")
    if numpy is not None and type(first) is numpy.ndarray:
        return (first, address) if kept is first else ()
    import torch

    capsule = getattr(torch.Tensor, "__dlpack_c_exchange_api__", None)
    if type(first) is not torch.Tensor or capsule is None or first.data_ptr() != address:
        return ()
    return first, address, capsule
