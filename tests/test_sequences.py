"""Nested lists of numbers and lists of arrays: formats, values, messages, memory."""

from __future__ import annotations

import enum
import math
import random
import struct
import sys
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from bits import IN_NUMPY
from hypothesis import given, settings
from hypothesis import strategies as st

import tensorcast as tc
from tensorcast.bridges import sequences
from tensorcast.bridges.sequence_refusal import outcome_of
from tensorcast.errors import (
    CastError,
    CastNanError,
    CastOverflowError,
    InexactCastError,
    PolicyError,
    TensorcastError,
)
from tensorcast.formats import FORMATS
from tensorcast.kernels import cpu
from tensorcast.policy import Policy

torch: Any = pytest.importorskip("torch")


@pytest.fixture(params=["loads", "calls"])
def reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of reading Python's objects."""
    if request.param == "calls":
        fill = cpu.fill_numbers
        monkeypatch.setattr(cpu, "fill_numbers", lambda *a, **k: fill(*a, **k, by_calls=True))
    return str(request.param)


INFERRED: list[Any] = [
    5, 2.5, True, 3j, [], [[]], [[], []], [True, False], [1, 2, 3], [1, 2.5], [2.5, 1], [True, 2],
    [True, 2.5], [1, 2j], [[1, 2], [3, 4.5]], ((1, 2), [3, 4]), [[[1]]], [2.5, 1j, True, 3],
    [np.float32(1.5)], [np.float64(1.5)], [np.int8(3)], [np.int8(3), 2], [np.bool_(True)],
    [np.complex64(1j)], [np.uint8(1), np.int8(2)], [np.float16(1), np.float32(2)],
    [np.array(1, np.int16), np.int16(2)], [True, np.uint8(7)], range(4), [(1 << 62), -(1 << 63)],
]  # fmt: skip


@pytest.mark.parametrize("data", INFERRED, ids=repr)
def test_formats_are_inferred_as_others_do(data: Any, reading: str) -> None:
    made = tc.to_numpy(data)
    theirs = np.array(data)
    assert (made.dtype, made.shape) == (theirs.dtype, theirs.shape)
    assert made.tobytes() == theirs.tobytes()
    if isinstance(data, list) and data and isinstance(data[0], np.ndarray):
        return  # torch.tensor calls len() of it
    tensor, expected = tc.as_tensor(data), torch.tensor(data)
    assert (tensor.dtype, tensor.shape) == (expected.dtype, expected.shape)
    assert torch.equal(tensor, expected)


def test_torch_scalars_and_the_default_dtype() -> None:
    data = [torch.tensor(1.5, dtype=torch.bfloat16), torch.tensor(2.5, dtype=torch.bfloat16)]
    assert tc.as_tensor(data).dtype == torch.bfloat16
    assert tc.as_tensor([torch.tensor(True), 1]).dtype == torch.int64
    assert tc.as_tensor([ml_dtypes.bfloat16(1.5)]).dtype == torch.bfloat16
    try:
        torch.set_default_dtype(torch.float64)
        assert tc.as_tensor([1.5]).dtype == torch.float64
        assert tc.as_tensor([1j]).dtype == torch.complex128
        assert tc.as_tensor([]).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert tc.as_tensor([1.5]).dtype == torch.float32


def test_subclasses_of_numbers_are_numbers() -> None:
    class Color(enum.IntEnum):
        RED = 3

    class Ratio(float):
        pass

    class Phase(complex):
        pass

    class Rows(list):  # type: ignore[type-arg]
        pass

    assert tc.to_numpy([Color.RED, 2]).tolist() == [3, 2]
    assert tc.to_numpy([Ratio(1.5), 1]).tolist() == [1.5, 1]
    assert tc.to_numpy([Phase(1j)]).tolist() == [1j]
    assert tc.to_numpy(Rows([1, 2])).tolist() == [1, 2]
    with pytest.raises(CastOverflowError, match=r"data\[0\]: 300 lies"):
        tc.to_numpy([type("Big", (int,), {})(300)], "int8")


_FINITE32 = st.floats(width=32, allow_nan=False)
_LEAVES = st.one_of(
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    _FINITE32,
    st.complex_numbers(max_magnitude=1e30, allow_nan=False),
)


@st.composite
def nested(draw: Callable[[Any], Any], leaves: Any = _LEAVES) -> Any:
    """A regular nesting of lists and tuples, up to three deep."""
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    kinds = st.sampled_from([list, tuple])

    def build(left: list[int]) -> Any:
        if not left:
            return draw(leaves)
        return draw(kinds)([build(left[1:]) for _ in range(left[0])])

    return build(shape)


def _has_big_int(data: Any) -> bool:
    """torch and NumPy make such an integer a float64 first, and round twice."""
    if isinstance(data, (list, tuple)):
        return any(map(_has_big_int, data))
    return isinstance(data, int) and abs(data) > 1 << 53


@settings(max_examples=300, deadline=None)
@given(nested())
def test_nested_data_equals_torch_and_numpy(data: Any) -> None:
    made, theirs = tc.to_numpy(data), np.array(data)
    if made.dtype == np.int64 or not _has_big_int(data):
        assert (made.dtype, made.shape) == (theirs.dtype, theirs.shape)
        assert made.tobytes() == theirs.tobytes()
    tensor, expected = tc.as_tensor(data, overflow="saturate"), torch.tensor(data)
    assert (tensor.dtype, tensor.shape) == (expected.dtype, expected.shape)
    if not _has_big_int(data):
        assert torch.equal(tensor, expected)


@settings(max_examples=200, deadline=None)
@given(st.recursive(_LEAVES | st.none() | st.text(max_size=2), lambda x: st.lists(x, max_size=3)))
def test_any_nesting_is_made_or_refused(data: Any) -> None:
    try:
        theirs = np.array(data)
        regular = theirs.dtype.kind in "biufc"
    except (ValueError, OverflowError):
        regular = False
    try:
        made = tc.to_numpy(data)
    except CastError:
        assert not regular
    else:
        assert regular
        assert made.shape == theirs.shape


NUMBERS: list[Any] = [
    0, 1, -1, 127, 128, 255, 256, 2**24 + 1, 2**31, 2**53, 2**53 + 1, -(2**53) - 1,
    2**60 + 2**7 + 1,
    2**62 + 1, 2**63 - 1, -(2**63), 2**63, 2**63 + 1025, 2**64 - 1, 2**64, 2**64 + 2**40 + 1,
    -(2**64) - 1, 2**127, 2**128, 2**200 + 1, 3**300, -(3**300), 2**1024, True, False,
    0.0, -0.0, 0.1, -2.5, 0.5, 1.5, 65504.0, 65519.99, 65520.0, 3.4028235e38, 3.4028236e38, 1e300,
    5e-324, 1e-45, 2**-149 * 0.5000001, 1 + 2**-24 + 2**-50, 447.9, 464.0, 465.0, 1e-7,
]  # fmt: skip
POLICIES = [
    Policy(),
    Policy(overflow="saturate", nan="zero"),
    Policy(overflow="saturate", rounding="up", nan="zero"),
    Policy(overflow="saturate", rounding="stochastic", seed=7, nan="zero"),
    Policy(overflow="wrap", nan="zero"),
    Policy(overflow="ieee", nan="zero"),
    Policy(overflow="saturate", exact=True),
]


def code_of(array: np.ndarray[Any, Any], row: Any) -> list[int]:
    size = row.container_bits // 8
    data = array.tobytes()
    codes = [int.from_bytes(data[i : i + size], sys.byteorder) for i in range(0, len(data), size)]
    return [code & ((1 << row.bits) - 1) for code in codes]


@pytest.mark.parametrize("row", IN_NUMPY, ids=str)
@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: f"{p.overflow}-{p.rounding}-{p.exact}")
def test_every_number_is_rounded_once_into_every_format(row: Any, policy: Policy) -> None:
    try:
        resolved = policy.resolve("float64", row)
    except PolicyError:
        with pytest.raises(PolicyError):
            tc.to_numpy([1], row, overflow=policy.overflow)
        return
    rng = random.Random(row.bits)
    numbers = [*NUMBERS, math.inf, -math.inf, math.nan]
    numbers += [rng.getrandbits(rng.randrange(1, 80)) for _ in range(200)]
    numbers += [rng.uniform(-500, 500) for _ in range(200)]
    if row.is_complex or row.kind == "bool":
        numbers += [1j, complex(0.1, -1e39), complex(math.nan, 0), 0j]
    rng.shuffle(numbers)
    options = {name: getattr(policy, name) for name in ("overflow", "rounding", "nan", "exact")}
    kept, expected = [], []

    def is_refused(number: Any, outcome: Any) -> bool:
        inf = isinstance(number, float) and math.isinf(number)
        return (
            (
                outcome.overflow
                and (policy.overflow == "raise" or (policy.overflow == "wrap" and inf))
            )
            or (outcome.nan_lost and policy.nan == "raise")
            or (policy.exact and (outcome.inexact or outcome.nan_lost))
        )

    refuses_one = is_refused(1, outcome_of(1, row, resolved, 1))  # int1 is 0 and -1
    for number in numbers:
        outcome = outcome_of(number, row, resolved, len(kept))
        if is_refused(number, outcome):
            with pytest.raises((CastOverflowError, CastNanError, InexactCastError)) as caught:
                tc.to_numpy([[0, 1], [1, number]], row, **options, seed=policy.seed)
            first = "data[0][1]" if refuses_one else "data[1][1]"
            first = "data[0][0]" if row.name == "float8_e8m0fnu" else first
            assert str(caught.value).startswith(first)
        else:
            kept.append(number)
            expected.append(outcome.code)
    made = tc.to_numpy(kept, row, **options, seed=policy.seed)
    assert code_of(made, row) == expected


@pytest.mark.parametrize("kernel", cpu.available())
@pytest.mark.parametrize("n", [0, 1, 7, 2047, 2048, 2049, 5000])
def test_kernels_and_ways_of_reading_agree(
    kernel: str, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(n)
    lists: list[list[Any]] = [
        [rng.getrandbits(rng.randrange(1, 63)) - (1 << 40) for _ in range(n)],
        [rng.gauss(0, 1) for _ in range(n)],
        [rng.random() < 0.5 for _ in range(n)],
        [rng.choice([1, 2.5, True, 1 << 60]) for _ in range(n)],
        [complex(rng.random(), 1) for _ in range(n)],
    ]
    fill = cpu.fill_numbers
    for data in lists:
        for to in ("float32", "bfloat16", "int64", "float64", "complex64", "bool"):
            if isinstance((data or [0])[0], complex) and to not in ("complex64", "bool"):
                continue
            results = []
            for by_calls in (False, True):
                monkeypatch.setattr(
                    cpu,
                    "fill_numbers",
                    lambda *a, c=by_calls: fill(*a, kernel=kernel, by_calls=c),
                )
                results.append(tc.to_numpy(data, to).tobytes())
            assert results[0] == results[1]
            row = FORMATS[to]
            policy = Policy().resolve("bool", row)
            codes = [outcome_of(x, row, policy, 0).code for x in data[:300]]
            assert code_of(np.frombuffer(results[0], np.uint8), row)[:300] == codes


def test_ints_never_travel_through_float64() -> None:
    values = [(1 << 62) + 1, (1 << 53) + 1, -(1 << 63), 2.0]
    assert tc.to_numpy(values, "int64").tolist() == [(1 << 62) + 1, (1 << 53) + 1, -(1 << 63), 2]
    once = (1 << 60) + (1 << 36) + 1  # just above a tie of float32; float64 rounds it to the tie
    assert tc.as_tensor([once, 0.5], "float32")[0].item() == float((1 << 60) + (1 << 37))
    assert torch.tensor([once, 0.5], dtype=torch.float32)[0].item() == float(1 << 60)


def test_flush_to_zero_changes_nothing() -> None:
    data = [1e-45, 1e-40, 5e-324]
    expected = tc.to_numpy(data, "float32").tobytes()
    try:
        torch.set_flush_denormal(True)
        assert tc.to_numpy(data, "float32").tobytes() == expected
        assert tc.to_numpy(data).tobytes() == struct.pack("=3d", *data)
    finally:
        torch.set_flush_denormal(False)


REFUSED: list[tuple[Any, Any, dict[str, Any], type[Exception], str]] = [
    ([[1, 2], [3]], None, {}, CastError, "data[1] has 1 item, where data[0] has 2"),
    ([[[1], [2]], [[3], [4, 5]]], None, {}, CastError,
     "data[1][1] has 2 items, where data[0][0] has 1"),
    ([[1, 2], 3], None, {}, CastError,
     "data[1] is the number 3, where data[0] is a list of 2 items"),
    ([1, [2]], None, {}, CastError, "data[1] is a list of 1 item, where data[0] is a number"),
    ([[], [1]], None, {}, CastError, "data[1] has 1 item, where data[0] has 0"),
    ([None], None, {}, CastError, "data[0] is None, not a number"),
    ([[1, 2], [3, None]], "int8", {}, CastError,
     "data[1][1] is None, not a number, where data[0][0] is one"),
    ([1.5, "2"], None, {}, CastError, "data[1] is the str '2', not a number, where data[0] is one"),
    ("abc", None, {}, CastError, "data is the str 'abc', not a number"),
    ({1: 2}, None, {}, CastError, "data is a dict, not a number"),
    ([b"x"], None, {}, CastError, "data[0] is the bytes b'x', not a number"),
    ([object()], None, {}, CastError, "data[0] is an object, not a number"),
    ([np.datetime64(1, "s")], None, {}, CastError, "data[0] is a datetime64, not a number"),
    ([1, np.arange(3)], None, {}, CastError,
     "data[1] is a ndarray of shape [3], not a number, where data[0] is one"),
    ([1 << 63], None, {}, CastOverflowError,
     ("data[0]: 9223372036854775808 lies outside int64 (-9223372036854775808 to "
     '9223372036854775807). Pass overflow="saturate" or "wrap", or dtype="uint64", which '
     "holds it.")),
    ([[0] * 20] * 3 + [[0] * 17 + [300, 0, 0]], "int8", {}, CastOverflowError,
     ('data[3][17]: 300 lies outside int8 (-128 to 127). Pass overflow="saturate" or "wrap", or '
     'dtype="int16", which holds it.')),
    ([-1], "uint8", {}, CastOverflowError,
     ('data[0]: -1 lies outside uint8 (0 to 255). Pass overflow="saturate" or "wrap", or '
     'dtype="int8", which holds it.')),
    ([0, 1e39], "float32", {}, CastOverflowError,
     ("data[1]: 1e+39 lies outside float32 (-3.40282347e+38 to 3.40282347e+38). Pass "
     'overflow="saturate" or "ieee", or dtype="float64", which holds it.')),
    ([10**400], "float64", {}, CastOverflowError,
     ("data[0]: 1000000000000000...00000000 (401 digits) lies outside float64 (-1.79769313e+308 to "
     '1.79769313e+308). Pass overflow="saturate" or "ieee".')),
    ([1, math.inf], "int8", {"overflow": "wrap"}, CastOverflowError,
     ("data[1]: inf lies outside int8 (-128 to 127). An infinity does not wrap: pass "
     'overflow="saturate".')),
    ([1, math.nan], "int8", {}, CastNanError,
     'data[1]: NaN has no place in int8. Pass nan="zero", or a format with NaN.'),
    ([1, 0.1], "float16", {"exact": True}, InexactCastError,
     "data[1]: 0.1 would change in float16 (to 0.0999755859375). Pass exact=False to allow it."),
    ([1, 1j], "float32", {}, CastError,
     ("data[1]: 1j is complex, and float32 would drop its imaginary part; pass "
     'dtype="complex64" or take .real')),
    ([np.arange(3), np.arange(4)], None, {}, CastError,
     "data[1] has shape [4], where data[0] has shape [3]"),
    ([np.arange(3), 5], None, {}, CastError,
     "data[1] is the number 5, where data[0] has shape [3]"),
    ([[np.arange(3)] * 2, [np.arange(3)]], None, {}, CastError,
     "data[1] has 1 item, where data[0] has 2"),
    ([np.arange(3), np.array([1, 200, 400])], "int8", {}, CastOverflowError,
     ("'data[1]': 2 of 3 values lie outside int8 (-128 to 127; first 200 at [1], largest magnitude "
     '400 at [2]). Pass overflow="saturate" or "wrap", or cast to int16, which holds them.')),
    ([np.array([object()])], None, {}, CastError,
     "data[0] has dtype object, which holds no numbers of one format"),
    ([np.zeros(2, complex)], "float32", {}, CastError,
     ("complex128 to float32 would drop the imaginary part; take .real (or abs) first, or cast to "
     "complex64 or complex128")),
    ([1], "int9", {}, TensorcastError, "no number format is called 'int9'"),
    ([1], "float32", {"overflow": "wrap"}, PolicyError, 'overflow="wrap" is modulo'),
]  # fmt: skip


@pytest.mark.parametrize(("data", "to", "options", "error", "message"), REFUSED, ids=lambda x: None)
@pytest.mark.parametrize("make", [tc.to_numpy, tc.as_tensor])
def test_messages_name_the_path(
    make: Any, data: Any, to: Any, options: Any, error: Any, message: str, reading: str
) -> None:
    with pytest.raises(error) as caught:
        make(data, to, **options)
    assert str(caught.value).startswith(message)
    assert type(caught.value) is error or error is TensorcastError


def test_a_list_that_holds_itself_is_refused() -> None:
    data: list[Any] = []
    data.append(data)
    with pytest.raises(CastError, match="nested deeper than 64 levels, or holds itself"):
        tc.to_numpy(data)
    mixed: list[Any] = [1]
    mixed.append(mixed)
    with pytest.raises(CastError, match=r"data\[1\] is a list of 2 items"):
        tc.to_numpy(mixed)


class Scalar:
    """Counts as a number without dimensions, and runs code when it is read."""

    shape = ()
    dtype = np.dtype("float32")

    def __init__(self, run: Callable[[], Any]) -> None:
        self.run = run

    def item(self) -> Any:
        return self.run()


def test_lists_that_change_while_they_are_read() -> None:
    for change in (list.clear, lambda x: x.extend([1.0] * 10_000), lambda x: x.insert(0, None)):
        data: list[Any] = [1.0] * 3000
        data[10] = Scalar(lambda x=data, c=change: c(x) or 1.0)
        with pytest.raises(CastError, match=r"data has \d+ items?, where data has 3000"):
            tc.to_numpy(data, "float32")
    outer: list[Any] = [[1.0, 2.0], [Scalar(lambda: outer.clear() or 1.0), 2.0], [1.0, 2.0]]
    with pytest.raises(CastError):
        tc.to_numpy(outer, "float32")


def test_errors_of_the_numbers_own_code_come_through() -> None:
    def fail() -> None:
        raise RuntimeError("no value")

    with pytest.raises(RuntimeError, match="no value"):
        tc.to_numpy([1.0, Scalar(fail)], "float32")
    with pytest.raises((CastError, TypeError, ValueError)):
        tc.to_numpy([1.0, Scalar(lambda: "text")], "float32")


def _soak() -> Iterator[Callable[[], Any]]:
    number = 123456.789
    yield lambda: tc.to_numpy([[number] * 50] * 50)
    yield lambda: tc.as_tensor([[number, 1], [2, True]], "float16", overflow="saturate")
    yield lambda: tc.to_numpy([number, np.float32(1), np.int8(2), 1 << 80], "float64")
    yield lambda: tc.to_numpy([np.full(5, number), np.arange(5)])
    yield lambda: tc.as_tensor([torch.full((5,), number), torch.arange(5)])
    for data, to, options, _, _ in REFUSED:

        def refuse(data: Any = data, to: Any = to, options: Any = options) -> None:
            with pytest.raises(TensorcastError):
                tc.to_numpy(data, to, **options)

        yield refuse


def test_nothing_leaks() -> None:
    import gc

    work = list(_soak())

    def objects() -> int:
        gc.collect()
        return len(gc.get_objects())

    for _ in range(3):
        for call in work:
            call()
    before, blocks = objects(), sys.getallocatedblocks()
    for _ in range(20):
        for call in work:
            call()
    assert objects() - before < 20
    assert sys.getallocatedblocks() - blocks < 300


def test_references_are_given_back() -> None:
    number, text, array = 98765.4321, "not a number", np.arange(3.0)
    data = [number] * 10
    counts = [sys.getrefcount(x) for x in (number, text, array, data)]
    for _ in range(10):
        tc.to_numpy(data)
        tc.to_numpy([array, array])
        for wrong in ([number, text], [[number], number], [array, number], [array, np.arange(4)]):
            with pytest.raises(CastError):
                tc.to_numpy(wrong)
    del wrong
    assert [sys.getrefcount(x) for x in (number, text, array, data)] == counts


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (0,), (2, 0, 3), (2049,), (40, 1000)])
@pytest.mark.parametrize("to", [None, "float16", "float64", "complex64", "float8_e5m2"])
@pytest.mark.parametrize("stochastic", [False, True])
def test_lists_of_arrays(shape: tuple[int, ...], to: str | None, stochastic: bool) -> None:
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(shape).astype(np.float32) for _ in range(5)]
    arrays[2] = arrays[2].astype(">f4")
    arrays[3] = np.asarray(arrays[3], order="F")
    options: Any = {"rounding": "stochastic", "seed": 3} if stochastic else {}
    whole = np.stack([x.astype(np.float32) for x in arrays])
    expected = tc.cast(whole, to or "float32", **options)
    made = tc.to_numpy(arrays, to, **options)
    assert made.dtype == expected.dtype
    assert made.shape == expected.shape
    assert made.tobytes() == expected.tobytes()
    tensors = [torch.from_numpy(x.astype(np.float32)) for x in arrays]
    for data in (arrays, tensors, [*arrays[:2], *tensors[2:]]):
        tensor = tc.as_tensor(data, to, **options)
        assert tuple(tensor.shape) == expected.shape
        assert tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() == made.tobytes()
    nested_too = tc.to_numpy([arrays[:2], arrays[2:4]], to, **options)
    assert nested_too.tobytes() == made[:4].tobytes()


def test_arrays_of_many_kinds() -> None:
    base = torch.randn(6, 4)
    tensors = [base[::2].T, base[1::2].T.contiguous(), base[:3].T]
    assert torch.equal(tc.as_tensor(tensors), torch.stack(tensors))
    pair = torch.view_as_complex(torch.randn(3, 2))
    assert torch.equal(tc.as_tensor([pair.conj(), pair]), torch.stack([pair.conj(), pair]))
    negative = [torch._neg_view(torch.ones(3)), torch.ones(3)]
    assert tc.as_tensor(negative).tolist() == [[-1] * 3, [1] * 3]
    assert tc.as_tensor(negative[::-1]).tolist() == [[1] * 3, [-1] * 3]
    mixed = [np.arange(3), np.arange(3, dtype=np.float32), np.ones(3, np.int8)]
    assert tc.to_numpy(mixed).dtype == np.stack(mixed).dtype
    assert np.array_equal(tc.to_numpy(mixed), np.stack(mixed))
    codes = [np.ones(3, ml_dtypes.bfloat16), np.ones(3, ml_dtypes.bfloat16)]
    assert tc.as_tensor(codes).dtype == torch.bfloat16
    one = np.arange(3)
    made = tc.to_numpy(one, copy=True)
    made[0] = 7
    assert one[0] == 0
    with pytest.raises(CastError, match=r"data\[1\] is a meta tensor"):
        tc.as_tensor([torch.ones(2), torch.ones(2, device="meta")])
    with pytest.raises(CastError, match=r"data\[0\] is a torch.sparse_coo tensor"):
        tc.as_tensor([torch.ones(2).to_sparse()])


def test_what_other_libraries_hold_is_stacked_too() -> None:
    images = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(1).integers(0, 256, (2, 5, 7, 3), np.uint8)
    pictures = [images.fromarray(each) for each in pixels]
    assert np.array_equal(tc.to_numpy(pictures), pixels)
    halves = tc.as_tensor([[pictures[0]], [pictures[1]]], "float16")
    assert torch.equal(halves, torch.from_numpy(pixels)[:, None].half())
    assert tc.to_numpy([memoryview(b"ab"), memoryview(b"cd")]).tolist() == [[97, 98], [99, 100]]
    with pytest.raises(CastError, match=r"data\[1\] has shape \[3, 2\], where data\[0\] has shape"):
        tc.to_numpy([pictures[0], images.new("L", (2, 3))])
    with pytest.raises(CastError, match=r"data\[1\] is an Image, not a number, where data\[0\] is"):
        tc.to_numpy([1, pictures[0]])


def test_large_arrays_go_over_threads() -> None:
    rng = np.random.default_rng(2)
    arrays = [rng.standard_normal(300_001).astype(np.float32) for _ in range(3)]
    expected = tc.cast(np.stack(arrays), "bfloat16")
    assert tc.to_numpy(arrays, "bfloat16").tobytes() == expected.tobytes()
    seeded: Any = {"rounding": "stochastic", "seed": 9}
    expected = tc.cast(np.stack(arrays), "bfloat16", **seeded)
    assert tc.to_numpy(arrays, "bfloat16", **seeded).tobytes() == expected.tobytes()


def test_tensors_without_memory_are_refused() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    plain, freed = torch.ones(3), torch.ones(3)
    freed.untyped_storage().resize_(0)
    with FakeTensorMode() as mode, pytest.raises(CastError, match="has no memory"):
        tc.as_tensor([1, 2, 3])
    fake = mode.from_tensor(plain)
    for data in ([fake, fake], [plain, fake]):
        with pytest.raises(CastError, match=r"data\[\d\] is being traced"):
            tc.as_tensor(data)
    for data in ([freed, freed], [plain, freed]):
        with pytest.raises(CastError, match="storage has been freed"):
            tc.as_tensor(data)
    with pytest.raises(CastError, match="being traced or transformed"):
        torch.func.vmap(lambda x: tc.as_tensor([x, x]))(torch.ones(2, 3))
    wrapped = lambda x: tc.as_tensor([plain, x])  # noqa: E731
    with pytest.raises(CastError, match="being traced or transformed"):
        torch.func.vmap(wrapped)(torch.ones(2, 3))


def test_a_device_is_reached_in_the_wanted_format() -> None:
    assert tc.as_tensor([1, 2], "float16", device="cpu").dtype == torch.float16
    moved = tc.as_tensor([1, 2], "float16", device="meta")
    assert (moved.device.type, moved.dtype) == ("meta", torch.float16)


def test_what_torch_cannot_hold_is_refused() -> None:
    with pytest.raises(CastError, match=r"torch packs float4_e2m1fn"):
        tc.as_tensor([1.0], "float4_e2m1fn")
    with pytest.raises(CastError, match="float6_e2m3fn"):
        tc.as_tensor([1.0], "float6_e2m3fn")
    assert tc.as_tensor([1, -8], "int4").view(torch.uint8).tolist()[0] == 1
    assert sequences.shape_of([[1, 2]]) == ((1, 2), 1)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_a_list_inside_a_jit_trace_is_refused() -> None:
    for make in (lambda a: tc.as_tensor([a[0], a[1]], "float64"), lambda a: tc.as_tensor([a, a])):
        with pytest.raises(CastError, match=r"torch\.jit\.trace does not record"):
            torch.jit.trace(make, (torch.ones(2),))


def _recorded_lists() -> dict[str, tuple[object, str]]:
    w = torch.ones(3, requires_grad=True)
    total = w.sum()
    return {
        "tensors": ([torch.ones(3), w], r"data\[1\]"),
        "nested": ([[w], [w]], r"data\[0\]\[0\]"),
        "parameters": ([torch.nn.Parameter(torch.ones(3))], r"data\[0\]"),
        "beside arrays": ([np.ones(3), w], r"data\[1\]"),
        "numbers": ([[1.0, 2.0], [3, total]], r"data\[1\]\[1\]"),
        "tuples": ((total, total), r"data\[0\]"),
        "nulls": ([None, total], r"data\[1\]"),
        "a number": (total, "the tensor"),
        "a tensor": (w, "the tensor"),
    }


@pytest.mark.parametrize("kind", _recorded_lists())
@pytest.mark.parametrize("to", [None, "float16", "complex64"])
def test_lists_lose_no_gradient_without_a_word(kind: str, to: str | None) -> None:
    data, name = _recorded_lists()[kind]
    null: dict[str, Any] = {"null": 0.0} if kind == "nulls" else {}
    calls = [tc.to_numpy] if isinstance(data, torch.Tensor) else [tc.as_tensor, tc.to_numpy]
    for call in calls:
        with pytest.raises(CastError, match=f"^{name} requires grad, .*detach"):
            call(data, to, **null)
        with torch.no_grad():
            call(data, to, **null)
        call(data, "int32", **null)  # integers have no gradient


def test_lists_lose_no_tangent_without_a_word() -> None:
    forward = torch.autograd.forward_ad
    with forward.dual_level():
        dual = forward.make_dual(torch.ones(3), torch.ones(3))
        for data in ([torch.ones(3), dual], [1.0, dual.sum()]):
            with pytest.raises(CastError, match=r"^data\[1\] carries a forward-mode tangent"):
                tc.as_tensor(data)
