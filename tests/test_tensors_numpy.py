"""The public casts of NumPy arrays: every pair and layout against the oracle, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import permutations, product

import ml_dtypes
import numpy as np
import pytest
from bits import IN_NUMPY, as_array, code_dtype, expect_same_codes, numpy_dtype
from codes import interesting_codes
from oracle import Cast, cast_array

import tensorcast as tc
from tensorcast.formats import FORMATS, Format
from tensorcast.policy import Policy, ResolvedPolicy

SHAPE = (6, 10, 6)
N = 360
POLICIES = {
    "raise": Policy(nan="raise"),
    "saturate": Policy(overflow="saturate", nan="zero"),
    "ieee": Policy(overflow="ieee", nan="zero"),
    "wrap": Policy(overflow="wrap", nan="zero"),
}


@cache
def some_codes(source: Format) -> np.ndarray:
    """[N] codes of the source ([N, 2] complex): edges and ties of several targets, seeded."""
    targets = [FORMATS[name] for name in ("float8_e4m3fn", "float16", "int8", "uint64")]
    if source.is_complex:
        targets = [FORMATS["complex64"]]
    pool = np.concatenate([interesting_codes(source, target) for target in targets])
    if source.kind == "bool":
        pool &= 1  # as NumPy and torch write them; other bytes are tested with the kernels
    return np.random.default_rng(3).permutation(pool)[:N]


def resolved(policy: Policy, source: Format, target: Format) -> ResolvedPolicy | None:
    """The policy for the pair; None if it does not fit."""
    try:
        return policy.resolve(source, target)
    except tc.errors.CastError:
        return None
    except tc.errors.PolicyError:
        return None


def keywords(policy: Policy) -> dict[str, str]:
    return {"overflow": policy.overflow, "nan": policy.nan}


def refused(cast: Cast, source: Format, policy: ResolvedPolicy, codes: np.ndarray) -> np.ndarray:
    """Which elements the policy refuses."""
    no = np.zeros(len(codes), bool)
    if policy.overflow == "raise":
        no |= cast.overflow.reshape(len(codes), -1).any(axis=1)
    if policy.overflow == "wrap" and source.infinity:
        no |= (codes & np.uint64((1 << (source.bits - 1)) - 1)) == source.infinity_code
    if policy.nan == "raise":
        no |= cast.nan_lost.reshape(len(codes), -1).any(axis=1)
    return no


def layouts(array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The same kind of content in every way that memory can lie."""
    shaped = array.reshape(SHAPE)
    yield "contiguous", shaped
    wide = np.zeros((6, 20, 18), array.dtype)
    wide[:, ::2, ::3] = shaped
    yield "strided", wide[:, ::2, ::3]
    yield "transposed", np.ascontiguousarray(shaped.T).T
    yield "negative strides", shaped[::-1, :, ::-1].copy()[::-1, :, ::-1]
    yield "broadcast", np.broadcast_to(shaped[:, :1], SHAPE)
    memory = np.zeros(array.nbytes + 1, np.uint8)
    memory[1:] = shaped.reshape(-1).view(np.uint8)
    yield "unaligned", memory[1:].view(array.dtype).reshape(SHAPE)
    frozen = shaped.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen
    other = array.dtype.newbyteorder()
    if not other.isnative:
        yield "byte-swapped", shaped.astype(other)
    yield "0-d", shaped[3, 4, 5, ...]
    yield "empty", shaped[:, :0]


@pytest.mark.parametrize("source", IN_NUMPY, ids=str)
@pytest.mark.parametrize("way", ["fast", "general"])
def test_every_pair_policy_and_layout(
    source: Format, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "general":  # what the fast entry declines goes this way
        monkeypatch.setattr(tc, "cast", tc.cast.__wrapped__)
    codes = some_codes(source)
    values = as_array(codes, source)
    index = np.arange(N)
    for target, (name, policy) in product(IN_NUMPY, POLICIES.items()):
        held = resolved(policy, source, target)
        if held is None:
            continue
        expected = cast_array(codes, source, target, held)
        fine = ~refused(expected, source, held, codes)
        what = f"{source} to {target}, {name}"
        if not fine.all():
            out = np.full(SHAPE, 1, numpy_dtype(target))
            before = out.tobytes()
            for target_array in (None, out):
                with pytest.raises((tc.errors.CastOverflowError, tc.errors.CastNanError)):
                    tc.cast(
                        values.reshape(SHAPE), target.name, out=target_array, **keywords(policy)
                    )
            assert out.tobytes() == before, what
            if not fine.any():
                continue
        kept = np.resize(index[fine], N)
        lain = dict(layouts(index))
        for layout, array in layouts(np.ascontiguousarray(values[kept])):
            at = kept[lain[layout]].reshape(-1)
            found = tc.cast(array, target.name, **keywords(policy))
            assert found.dtype == numpy_dtype(target)
            assert found.shape == array.shape
            expect_same_codes(
                found, expected.codes[at], target, source=source, source_codes=codes[at],
                what=f"{what}, {layout}",
            )  # fmt: skip


@pytest.mark.parametrize("source", ["float32", "float64", "int64", "uint8", "complex64", "bool"])
def test_out_of_every_layout(source: str) -> None:
    row = FORMATS[source]
    codes = some_codes(row)
    for target in IN_NUMPY:
        held = resolved(POLICIES["saturate"], row, target)
        if held is None:
            continue
        expected = cast_array(codes, row, target, held).codes
        values = as_array(codes, row).reshape(SHAPE)
        for layout, out in layouts(np.zeros(N, numpy_dtype(target))):
            if layout in ("0-d", "empty", "broadcast", "read-only"):
                continue
            written = tc.cast(values, target, out=out, overflow="saturate", nan="zero")
            assert written is out
            native = out if out.dtype.isnative else out.astype(out.dtype.newbyteorder())
            expect_same_codes(native, expected, target, what=f"{source} to {target}, {layout}")


@pytest.mark.parametrize("source", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("n_kept", [1, 2, 3, 4])
def test_pixels_of_wider_pixels(source: str, n_kept: int) -> None:
    """Short runs of memory, a step apart: more than one segment of them, begun anywhere."""
    rng = np.random.default_rng(7)
    pixels = rng.integers(0, 100, (151, 163, 5)).astype(source)
    views = [pixels[..., :n_kept], pixels[1:, 2:, 1 : 1 + n_kept], pixels[::-1, ::3, -n_kept:]]
    views += [view.transpose(1, 0, 2) for view in views]
    for view in views:
        found = tc.cast(view, "int32")
        assert (found == view).all()
        out = np.full_like(pixels, 77, shape=(*view.shape[:2], 5))
        same = np.full_like(pixels, 77, shape=(*view.shape[:2], 5))
        tc.cast(np.ascontiguousarray(view).astype("int32"), source, out=out[..., 1 : 1 + n_kept])
        same[..., 1 : 1 + n_kept] = view
        assert (out == same).all()


def test_the_order_of_dimensions_is_kept_as_astype_keeps_it() -> None:
    rng = np.random.default_rng(5)
    for order in permutations(range(4)):
        array = rng.normal(size=(3, 4, 2, 5)).transpose(order)
        for view in (array, array[::-1], array[:, ::2], array[..., :1], array[:, None]):
            found, expected = tc.cast(view, "float32"), view.astype(np.float32, order="K")
            assert found.strides == expected.strides
            assert (found == expected).all()
    fortran = np.asfortranarray(rng.normal(size=(3, 4)))
    assert tc.cast(fortran, "float16").flags.f_contiguous


def test_nothing_to_do_returns_the_array_itself() -> None:
    array = np.ones((2, 3), np.float32)[:, ::2]
    assert tc.cast(array, "float32") is array
    assert tc.cast(array, np.float32) is array
    result, loss = tc.cast(array, "F32", report=True)
    assert result is array
    assert loss.is_lossless
    swapped = array.astype(">f4")
    native = tc.cast(swapped, "float32")
    assert native.dtype.isnative
    assert (native == 1).all()
    out = np.zeros_like(array)
    assert tc.cast(array, "float32", out=out) is out
    assert (out == 1).all()


def test_a_scalar_gives_a_scalar_and_a_subclass_an_array() -> None:
    scalar = tc.cast(np.float32(2.5), "float16")
    assert type(scalar) is np.float16
    assert scalar == 2.5
    matrix = np.ones((2, 2)).view(np.matrix)
    assert type(tc.cast(matrix, "float32")) is np.ndarray


def test_report_and_measure_agree() -> None:
    values = np.array([[1.0, 0.1, -3e38], [np.nan, np.inf, 1e-30]], np.float32)
    for view in (values, values.T, values[::-1]):
        result, loss = tc.cast(view, "float16", overflow="ieee", report=True)
        assert loss == tc.measure(view, "float16", overflow="ieee")
        assert (loss.n_overflow, loss.n_underflow, loss.n_nan, loss.n_inf) == (1, 1, 1, 1)
        assert np.isinf(result).sum() == 2
    out = np.zeros((2, 3), np.float16)
    assert tc.cast(values, "float16", overflow="saturate", out=out, report=True)[0] is out


def test_integers_that_widen_are_known_to_fit_without_a_look() -> None:
    huge = np.lib.stride_tricks.as_strided(np.zeros(1, np.int32), (1 << 34,), (0,))
    loss = tc.measure(huge, "int64")  # a pass would take seconds
    assert loss.is_lossless
    assert (loss.n_elements, loss.n_inexact, loss.max_abs_error) == (1 << 34, 0, 0.0)
    assert loss.amax is None
    assert tc.can_cast(huge, "int64")
    assert tc.can_cast(huge, "float64")
    assert loss.sqnr_db == float("inf")


def test_narrowing_names_the_first_value_that_does_not_fit() -> None:
    values = np.arange(12, dtype=np.int64).reshape(3, 4)
    values[1, 2], values[2, 0] = -3_000_000_000, 1 << 60
    with pytest.raises(tc.errors.CastOverflowError) as caught:
        tc.cast(values, "int32")
    assert str(caught.value) == (
        "2 of 12 values lie outside int32 (-2147483648 to 2147483647; first -3000000000 at [1, 2], "
        'largest magnitude 1.1529215e+18 at [2, 0]). Pass overflow="saturate" or "wrap", or cast '
        "to int64, which holds them."
    )
    values[2, 0] = 5
    out = np.full((3, 4), 9, np.int32)
    with pytest.raises(tc.errors.CastOverflowError, match=r"it is -3000000000 at \[1, 2\]"):
        tc.cast(values, "int32", out=out)
    assert (out == 9).all()
    assert (tc.cast(tc.cast(out, "int64"), "int32") == out).all()


def test_can_cast() -> None:
    fits = np.array([0.5, -2, 448], np.float64)
    assert tc.can_cast(fits, "float8_e4m3fn")
    assert not tc.can_cast(fits + 1e-9, "float8_e4m3fn")
    assert tc.can_cast(fits + 1e-9, "float8_e4m3fn", exact=False)
    assert not tc.can_cast(fits * 100, "float8_e4m3fn", exact=False)
    assert tc.can_cast(fits * 100, "float8_e4m3fn", exact=False, overflow="saturate")
    assert not tc.can_cast(np.array([np.nan]), "int8", exact=False)
    assert not tc.can_cast(np.array([np.nan]), "int8", nan="zero")
    assert tc.can_cast(np.array([np.nan]), "int8", exact=False, nan="zero")
    assert not tc.can_cast(np.array([2]), "bool")
    assert tc.can_cast(np.array([0, 1]), "bool")
    assert not tc.can_cast(np.array([1 + 1j]), "float32")
    assert not tc.can_cast(np.array([1 + 0j]), "float32", exact=False)
    with pytest.raises(tc.errors.PolicyError):
        tc.can_cast(fits, "float16", overflow="wrap")


def test_can_cast_stops_at_the_first_value_that_answers() -> None:
    huge = np.lib.stride_tricks.as_strided(np.full(1, 300, np.int32), (1 << 20, 1 << 20), (0, 0))
    assert not tc.can_cast(huge, "int8")
    assert not tc.can_cast(huge.T, "int8")
    values = np.zeros((400, 500), np.int32)
    for view in (values, values.T, values[:, ::-1]):
        assert tc.can_cast(view, "int8")
        view[-1, -1] = 1000
        assert not tc.can_cast(view, "int8")
        view[-1, -1] = 0


READ_ONLY = np.zeros(3, np.float16)
READ_ONLY.flags.writeable = False
X = np.array([1.0, 2.0, 3.0], np.float32)


@pytest.mark.parametrize(
    ("x", "to", "options", "message"),
    [
        (X, "bflot16", {}, "no number format is called 'bflot16'; nearest: bfloat16"),
        (X, None, {}, "no number format is called 'None'"),
        (X, "float16", {"overflow": "wrap"}, 'overflow="wrap" is modulo 2^bits and needs an integ'),
        (X, "int8", {"overflow": "ieee"}, "int8 is not a floating format"),
        (X, "float32", {"overflow": "wrap"}, "needs an integer target, not float32"),
        (X, "int8", {"overflow": "saturated"}, "did you mean 'saturate'?"),
        (X, "int8", {"rounding": "nearest"}, "did you mean 'nearest-even'?"),
        (X, "int8", {"rounding": ["up"]}, "rounding=['up'] is not one of"),
        (X, "int8", {"seed": -1}, "seed=-1 is not an integer from 0"),
        (X, "int8", {"exact": 1}, "exact=1 is not True or False"),
        (X + 0j, "float32", {}, "would drop the imaginary part; take .real"),
        ([1, 2], "int8", {}, "list is not a tensor; tensorcast.as_tensor(data, format)"),
        (2.5, "int8", {}, "float is not a tensor"),
        ("text", "int8", {}, "builtins.str is not a tensor that tensorcast knows"),
        (None, "int8", {}, "builtins.NoneType is not a tensor"),
        (np.array(["a"]), "int8", {}, "an array of dtype <U1 holds no numbers of one format"),
        (np.array([None]), "int8", {}, "dtype object holds no numbers"),
        (np.zeros(2, [("a", "f4")]), "int8", {}, "holds no numbers of one format"),
        (
            np.ma.masked_array([1.0], [True]),
            "int8",
            {},
            "masked array has values that do not count",
        ),
        (X, "float16", {"out": np.zeros(4, "f2")}, "out has shape [4], the array [3]"),
        (X, "float16", {"out": np.zeros(3, "f4")}, "out holds float32, not float16"),
        (X, "float16", {"out": READ_ONLY}, "out is read-only; write into a copy of it"),
        (X, "float16", {"out": [0, 0, 0]}, "out is of type list; a NumPy array casts into"),
        (X, "int32", {"out": X.view(np.int32)}, "source and target overlap in memory"),
        (X, "float32", {"out": X}, "source and target overlap in memory"),
        (X, "float16", {"out": np.broadcast_to(READ_ONLY[:1], 3)}, "out is read-only"),
        (X, "float16", {"device": "cuda"}, "a NumPy array lives on the cpu, not on device='cuda'"),
        (X, "float16", {"memory_format": 1}, "memory_format is torch's"),
        (X, "float16", {"packed": True}, "elements of float16 fill whole bytes"),
    ],
)
def test_what_cannot_be_cast_is_one_clear_error(
    x: object, to: object, options: dict[str, object], message: str
) -> None:
    before = X.copy()
    with pytest.raises(tc.errors.TensorcastError) as caught:
        tc.cast(x, to, **options)
    assert message in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert (before == X).all()
    assert (READ_ONLY == 0).all()


def test_interleaved_memory_does_not_overlap() -> None:
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    tc.cast(base[:, ::2], "float32", out=base[:, 1::2])
    assert (base[:, 1::2] == base[:, ::2]).all()
    shared = np.zeros((3, 1), np.float32)
    twice = np.lib.stride_tricks.as_strided(shared, (3, 4), (4, 0))
    with pytest.raises(tc.errors.CastError, match="several elements of the target share memory"):
        tc.cast(base, "float32", out=twice)


def test_packed_tensors() -> None:
    values = np.array([[1, -2, 7], [-8, 0, 3]], np.int32)
    packed = tc.cast(values, "int4", packed=True)
    assert isinstance(packed, tc.packed.PackedTensor)
    assert packed.n_bytes == 3
    assert (tc.cast(packed, "int32") == values).all()
    assert (tc.cast(packed, "int32", out=np.zeros((2, 3), np.int32)) == values).all()
    assert tc.cast(values.T.copy().T, "int4", out=packed) is packed
    with pytest.raises(tc.errors.CastOverflowError, match=r"it is 9 at \[0\]"):
        tc.cast(np.array([9]), "int4", packed=True)
    assert tc.measure(packed, "int2", overflow="saturate").n_overflow == 3
    assert tc.can_cast(packed, "int8")
    assert not tc.can_cast(packed, "uint4")
    with pytest.raises(tc.errors.CastError, match="device does not go with a packed tensor"):
        tc.cast(packed, "int32", device="cpu")


def test_ml_dtypes_come_in_and_go_out() -> None:
    values = np.array([1.5, -2, 0.25])
    for name in ("bfloat16", "float8_e4m3fn", "float8_e8m0fnu", "float4_e2m1fn", "float6_e3m2fn"):
        source = np.abs(values) if name == "float8_e8m0fnu" else values
        found = tc.cast(source, name, overflow="saturate")
        assert found.dtype == np.dtype(getattr(ml_dtypes, name))
        assert (found.astype(np.float64) == source.astype(getattr(ml_dtypes, name))).all()
        assert (tc.cast(found, "float64") == found.astype(np.float64)).all()
    assert code_dtype(FORMATS["int4"]) == np.uint8
    assert tc.cast(np.array([-1]), "int4").astype(int) == -1
