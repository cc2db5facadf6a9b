"""The public casts of torch tensors: every pair and layout against the oracle, bit for bit, and
the manners of `Tensor.to`: strides, gradients, subclasses, devices, the same object."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from bits import code_dtype, expect_same_codes
from codes import interesting_codes
from oracle import cast_array

import tensorcast as tc
from tensorcast.bridges.torch.plain import write_elsewhere
from tensorcast.bridges.torch.tensor import dtype_of
from tensorcast.errors import CastError
from tensorcast.formats import FORMATS, Format
from tensorcast.policy import Policy

torch = pytest.importorskip("torch")

SHAPE = (6, 10, 6)
N = 360
POLICIES = {
    "raise": Policy(),
    "saturate": Policy(overflow="saturate", nan="zero"),
    "ieee": Policy(overflow="ieee", nan="zero"),
    "wrap": Policy(overflow="wrap", nan="zero"),
}


def torch_formats() -> list[Format]:
    """The formats this torch has a dtype for."""
    found = []
    for row in FORMATS.values():
        try:
            dtype_of(row)
        except CastError:
            continue
        found.append(row)
    return found


FORMATS_OF_TORCH = torch_formats()
PAIRED = FORMATS["float4_e2m1fn"]
INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def some_codes(source: Format) -> np.ndarray:
    """[N] codes ([N, 2] complex): edges and ties of several targets, seeded."""
    names = ("complex64",) if source.is_complex else ("float8_e4m3fn", "float16", "int8", "uint64")
    pool = np.concatenate([interesting_codes(source, FORMATS[name]) for name in names])
    if source.kind == "bool":
        pool &= 1
    return np.random.default_rng(4).permutation(pool)[:N]


def integers_of(codes: np.ndarray, row: Format) -> Any:
    """Codes as a torch tensor of integers as wide as an element ([N, 2] for complex128)."""
    size = row.container_bits // 8
    if size == 16:
        return torch.from_numpy(codes.view(np.int64).copy())
    data = np.ascontiguousarray(codes).reshape(-1).view(np.dtype(f"i{size}" if size > 1 else "u1"))
    return torch.from_numpy(data.copy())


def as_elements(integers: Any, row: Format) -> Any:
    """Integers as elements, sharing memory and strides."""
    if row.container_bits == 128:
        return torch.view_as_complex(integers.view(torch.float64))
    return integers.view(dtype_of(row))


def codes_of(tensor: Any, row: Format) -> np.ndarray:
    """The codes of a tensor, in C order."""
    if row == PAIRED:
        pairs = tensor.view(torch.uint8).contiguous().numpy().reshape(-1)
        return np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1)
    if row.container_bits == 128:
        return torch.view_as_real(tensor).contiguous().view(torch.int64).numpy().reshape(-1, 2)
    integers = tensor.view(INTEGERS[tensor.element_size()]).contiguous().numpy()
    return integers.reshape(-1).view(code_dtype(row))


def layouts(flat: Any) -> Iterator[tuple[str, Any]]:
    """The same kind of content in every way torch lets memory lie; [N] or [N, 2] in."""
    tail = tuple(flat.shape[1:])
    shaped = flat.reshape(*SHAPE, *tail)
    yield "contiguous", shaped
    wide = flat.new_zeros((6, 20, 18, *tail))
    wide[:, ::2, ::3] = shaped
    yield "strided", wide[:, ::2, ::3]
    yield "transposed", shaped.transpose(0, 2).contiguous().transpose(0, 2)
    yield "expanded", shaped[:, :1].expand(*SHAPE, *tail)
    yield "offset", torch.cat([flat[:1], flat])[1:].reshape(*SHAPE, *tail)
    yield "0-d", shaped[3, 4, 5]
    yield "empty", shaped[:, :0]


@pytest.mark.parametrize("source", FORMATS_OF_TORCH, ids=str)
@pytest.mark.parametrize("way", ["fast", "general"])
def test_every_pair_policy_and_layout(
    source: Format, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "general":  # what the fast entry declines goes this way
        monkeypatch.setattr(tc, "cast", tc.cast.__wrapped__)
    codes = some_codes(source)
    index = np.arange(N)
    for target, (name, policy) in product(FORMATS_OF_TORCH, POLICIES.items()):
        if PAIRED in (source, target):
            continue  # two elements to a byte: tested below
        try:
            held = policy.resolve(source, target)
        except (tc.errors.PolicyError, CastError):
            continue
        expected = cast_array(codes, source, target, held)
        lost = expected.overflow | expected.nan_lost
        bad = lost.reshape(N, -1).any(axis=1) if policy.overflow == "raise" else np.zeros(N, bool)
        if policy.overflow == "wrap" and source.infinity:
            magnitude = codes & code_dtype(source).type((1 << (source.bits - 1)) - 1)
            bad |= magnitude == source.infinity_code
        keywords: dict[str, Any] = {"overflow": policy.overflow, "nan": policy.nan}
        what = f"{source} to {target}, {name}"
        if bad.any():
            values = as_elements(integers_of(codes, source), source)
            out = as_elements(torch.ones(N, 2 if target.bits == 128 else 1, dtype=INTEGERS[
                min(8, target.container_bits // 8)]).squeeze(1), target)  # fmt: skip
            before = codes_of(out, target).tobytes()
            for written in (None, out):
                with pytest.raises((tc.errors.CastOverflowError, tc.errors.CastNanError)):
                    tc.cast(values, target.name, out=written, **keywords)
            assert codes_of(out, target).tobytes() == before, what
            if bad.all():
                continue
        kept = np.resize(index[~bad], N)
        places = dict(layouts(torch.from_numpy(kept)))
        for layout, integers in layouts(integers_of(codes[kept], source)):
            at = places[layout].reshape(-1).numpy()
            found = tc.cast(as_elements(integers, source), target.name, **keywords)
            assert found.dtype == dtype_of(target)
            expect_same_codes(
                codes_of(found, target), expected.codes[at], target, source=source,
                source_codes=codes[at], what=f"{what}, {layout}",
            )  # fmt: skip


@pytest.mark.parametrize("row", FORMATS_OF_TORCH, ids=str)
def test_pairs_of_float4(row: Format) -> None:
    if row.is_complex or row == PAIRED:
        return
    policy = Policy(overflow="saturate", nan="zero")
    codes = some_codes(row)
    values = as_elements(integers_of(codes, row), row).reshape(SHAPE)
    expected = cast_array(codes, row, PAIRED, policy.resolve(row, PAIRED)).codes
    for source in (values, values.transpose(0, 2)):
        pairs = tc.cast(source, torch.float4_e2m1fn_x2, overflow="saturate", nan="zero")
        assert pairs.shape == (6, 10, 3)
        logical = expected.reshape(SHAPE)
        logical = logical if source is values else logical.transpose(2, 1, 0)
        expect_same_codes(codes_of(pairs, PAIRED), logical.reshape(-1), PAIRED)
    codes = np.arange(N, dtype=np.uint8).reshape(SHAPE) & 15
    pairs = torch.from_numpy(codes[..., ::2] | codes[..., 1::2] << 4).view(torch.float4_e2m1fn_x2)
    again = tc.cast(pairs, row.name, overflow="saturate", nan="zero")
    assert again.shape == SHAPE
    expected = cast_array(codes.reshape(-1), PAIRED, row, policy.resolve(PAIRED, row)).codes
    expect_same_codes(codes_of(again, row), expected, row)
    sliced = tc.cast(pairs[:, ::2], row.name, overflow="saturate", nan="zero")
    assert (codes_of(sliced, row) == codes_of(again[:, ::2], row)).all()


def some_view(rng: random.Random) -> Any:
    """A tensor of random shape: sliced, permuted, expanded."""
    n_dims = rng.randint(0, 5)
    shape = [rng.choice([1, 1, 2, 3, 4]) if rng.random() < 0.95 else 0 for _ in range(n_dims)]
    x = torch.randn([n * rng.choice([1, 1, 2]) for n in shape])
    for d, n in enumerate(shape):
        step = 2 if x.shape[d] >= 2 * n and rng.random() < 0.5 else 1
        x = x[(slice(None),) * d + (slice(0, n * step, step),)]
    x = x.permute(rng.sample(range(n_dims), n_dims))
    if n_dims and rng.random() < 0.3:
        d = rng.randrange(n_dims)
        if x.shape[d]:
            x = x.narrow(d, 0, 1).expand(*(3 if i == d else -1 for i in range(n_dims)))
    return x.unsqueeze(0).expand(2, *x.shape) if rng.random() < 0.2 else x


def test_strides_are_those_of_to() -> None:
    rng = random.Random(1)
    formats = (None, torch.preserve_format, torch.contiguous_format, torch.channels_last)
    for _ in range(600):
        x = some_view(rng)
        for memory_format in formats:
            options = {} if memory_format is None else {"memory_format": memory_format}
            if memory_format is torch.channels_last and x.dim() != 4:
                continue
            expected = x.to(torch.float16, **options)
            found = tc.cast(x, torch.float16, **options)
            assert found.stride() == expected.stride(), (x.shape, x.stride(), memory_format)
            assert torch.equal(found, expected)


def test_nothing_to_do_returns_the_tensor_itself() -> None:
    x = torch.randn(2, 3, 4, 5)
    assert tc.cast(x, "float32") is x
    assert tc.cast(x, torch.float32, device="cpu", memory_format=torch.preserve_format) is x
    result, loss = tc.cast(x, "float32", report=True)
    assert result is x
    assert loss.is_lossless
    last = tc.cast(x, "float32", memory_format=torch.channels_last)
    assert last is not x
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, x)
    assert tc.cast(last, "float32", memory_format=torch.channels_last) is last
    out = torch.zeros_like(x)
    assert tc.cast(x, "float32", out=out) is out
    assert torch.equal(out, x)
    parameter = torch.nn.Parameter(x)
    assert tc.cast(parameter, "float32") is parameter


def test_lazy_conjugates_and_negatives_are_resolved() -> None:
    x = torch.randn(3, 4, dtype=torch.complex128)
    lazy = x.conj()
    assert lazy.is_conj()
    assert torch.equal(tc.cast(lazy, "complex64"), lazy.resolve_conj().to(torch.complex64))
    negative = x.conj().imag
    assert negative.is_neg()
    assert torch.equal(tc.cast(negative, "float32"), negative.resolve_neg().to(torch.float32))
    assert tc.measure(negative, "float32") == tc.measure(negative.resolve_neg(), "float32")
    assert tc.cast(negative, "float64") is negative
    assert not tc.can_cast(negative * 1e300, "float32")
    with pytest.raises(CastError, match="out is a lazy conjugate or negative"):
        tc.cast(x.to(torch.complex64), "complex128", out=torch.zeros_like(x).conj())


@pytest.mark.parametrize(
    ("source", "target"),
    [("float32", "float64"), ("float32", "bfloat16"), ("float64", "float16"),
     ("bfloat16", "float8_e4m3fn"), ("float32", "complex64")],
)  # fmt: skip
def test_the_gradient_is_cast_back(source: str, target: str) -> None:
    x = torch.randn(3, 4, dtype=dtype_of(FORMATS[source]))
    x[0, 0] = 300 if target == "float8_e4m3fn" else x[0, 0]
    for view in (lambda t: t, lambda t: t.t(), lambda t: t[:, ::2]):
        ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
        found, expected = tc.cast(view(ours), target), view(theirs).to(dtype_of(FORMATS[target]))
        assert found.requires_grad
        assert found.stride() == expected.stride()
        weight = torch.linspace(-2, 2, found.numel(), dtype=torch.float64).reshape(found.shape)
        weight = weight.to(found.dtype)
        found.backward(weight)
        expected.backward(weight)
        assert ours.grad.dtype == x.dtype
        assert torch.equal(ours.grad, theirs.grad)


def test_gradients_of_gradients_and_reports() -> None:
    x = torch.tensor([1.5, -2.25], dtype=torch.float64, requires_grad=True)
    y = tc.cast(x * x, "float32")
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert second.tolist() == [2, 2]
    z, loss = tc.cast(x, "float32", report=True, memory_format=torch.contiguous_format)
    assert z.requires_grad
    assert loss.is_lossless
    with torch.no_grad():
        assert not tc.cast(x, "float32").requires_grad
    assert not tc.cast(x, "int32").requires_grad
    with pytest.raises(tc.errors.CastOverflowError):
        tc.cast(x * 1e300, "float32")
    # a gradient beyond the source's range is infinite, as everywhere in a backward pass
    half = torch.ones(2, dtype=torch.float16, requires_grad=True)
    (tc.cast(half, "float32") * 1e6).sum().backward()
    assert half.grad.tolist() == [float("inf")] * 2


def test_forward_mode_carries_the_tangent() -> None:
    import torch.autograd.forward_ad as forward_ad

    with forward_ad.dual_level():
        dual = forward_ad.make_dual(torch.ones(3), torch.tensor([1.0, 2.0, 3.0]))
        for to in ("float64", "float16"):
            primal, tangent = forward_ad.unpack_dual(tc.cast(dual, to))
            assert primal.tolist() == [1, 1, 1]
            assert tangent.tolist() == [1, 2, 3]
            assert tangent.dtype == primal.dtype
    _, tangent = torch.func.jvp(lambda t: tc.cast(t, "float16"), (torch.ones(2),), (torch.ones(2),))
    assert tangent.dtype == torch.float16


def test_out_records_no_gradient_and_says_so() -> None:
    x, out = torch.ones(2, requires_grad=True), torch.zeros(2, dtype=torch.float16)
    with pytest.raises(CastError, match=r"the tensor requires grad.*torch\.no_grad"):
        tc.cast(x, "float16", out=out)
    with torch.no_grad():
        tc.cast(x, "float16", out=out)
    assert out.tolist() == [1, 1]


def test_writing_into_out_is_seen_by_autograd() -> None:
    weight, out = torch.ones(2, requires_grad=True), torch.full((2,), 3.0)
    product_ = (weight * out).sum()  # saves out
    tc.cast(torch.zeros(2, dtype=torch.float64), "float32", out=out)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product_.backward()
    with torch.inference_mode():
        tc.cast(torch.zeros(2, dtype=torch.float64), "float32", out=torch.zeros(2))


class Tagged(torch.Tensor):
    """A subclass with torch's own ideas of functions on it."""


class Counting(torch.Tensor):
    """A subclass with ideas of its own."""

    seen: list[Any] = []  # noqa: RUF012

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        cls.seen.append(function)
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))


def test_subclasses() -> None:
    x = torch.randn(3)
    assert type(tc.cast(torch.nn.Parameter(x), "float16")) is torch.Tensor
    tagged = tc.cast(x.as_subclass(Tagged), "float16")
    assert type(tagged) is type(x.as_subclass(Tagged).half()) is Tagged
    assert torch.equal(tagged.as_subclass(torch.Tensor), x.half())
    result, loss = tc.cast(x.as_subclass(Tagged), "float16", report=True)
    assert type(result) is Tagged
    assert loss == tc.measure(x, "float16")
    assert type(tc.cast(x.as_subclass(Counting), "float16")) is torch.Tensor
    assert Counting.seen == [tc.cast]


def test_reports_of_every_layout_agree_with_measure() -> None:
    x = torch.randn(4, 5, 6) * 1000
    x[1, 2, 3] = float("nan")
    for view in (x, x.transpose(0, 2), x[:, :1].expand(4, 5, 6), x[1, 2, 3], x[:0]):
        result, loss = tc.cast(view, "float8_e5m2", overflow="saturate", report=True)
        assert loss == tc.measure(view, "float8_e5m2", overflow="saturate")
        assert loss.n_elements == view.numel() == result.numel()
        out = torch.empty_like(result)
        written = tc.cast(view, "float8_e5m2", overflow="saturate", report=True, out=out)
        assert written == (out, loss) or torch.equal(
            written[0].view(torch.uint8), out.view(torch.uint8)
        )


def test_int32_and_int64() -> None:
    small = torch.arange(-3, 3, dtype=torch.int32)
    wide, loss = tc.cast(small, torch.int64, report=True)
    assert loss.is_lossless
    assert tc.measure(small, "int64").is_lossless
    assert torch.equal(tc.cast(wide, "int32"), small)
    wide[4] = 1 << 40
    with pytest.raises(
        tc.errors.CastOverflowError,
        match=r"1 of 6 values lie outside int32 \(.*; it is 1099511627776 at \[4\]\)",
    ):
        tc.cast(wide, "int32")


def test_can_cast() -> None:
    assert tc.can_cast(torch.tensor([1.0, 448.0]), "float8_e4m3fn")
    assert not tc.can_cast(torch.tensor([1.0, 449.0]), torch.float8_e4m3fn)
    assert tc.can_cast(torch.tensor(449.0), "float8_e4m3fn", exact=False)
    assert tc.can_cast(torch.empty(3, dtype=torch.int8, device="meta"), "int16")
    with pytest.raises(CastError, match="on meta: it has a shape and no values"):
        tc.can_cast(torch.empty(3, device="meta"), "float16")


def test_meta_tensors_have_a_shape_and_no_values() -> None:
    x = torch.empty(3, 4, device="meta").t()
    found = tc.cast(x, "float16")
    assert (found.device.type, found.dtype, found.stride()) == ("meta", torch.float16, (1, 4))
    for ask in (lambda: tc.measure(x, "float16"), lambda: tc.cast(x, "float16", report=True)):
        with pytest.raises(CastError, match="on meta: it has a shape and no values"):
            ask()


def test_a_device_is_gone_to_only_when_asked() -> None:
    x = torch.randn(3, 4).t()
    assert tc.cast(x, "float16").device == x.device
    for to in ("float16", "float64", "float32"):  # narrower, wider, the same
        moved = tc.cast(x, to, device="meta")
        assert (moved.device.type, moved.dtype) == ("meta", dtype_of(FORMATS[to]))
        assert moved.stride() == x.stride()
    moved, loss = tc.cast(x, "float16", device="meta", report=True)  # cast before the trip
    assert loss == tc.measure(x, "float16")
    with pytest.raises(CastError, match="out is on meta, the tensor on cpu; cast with device="):
        tc.cast(x, "float16", out=torch.empty(4, 3, device="meta", dtype=torch.float16))
    with pytest.raises(CastError, match="out is given and so is device='meta'"):
        tc.cast(x, "float16", device="meta", out=torch.empty(4, 3, dtype=torch.float16))
    with pytest.raises(CastError, match="device='nowhere' cannot be used"):
        tc.cast(x, "float16", device="nowhere")


def test_what_other_devices_do_is_what_the_cpu_does() -> None:
    x = torch.randn(7, 300).t() * 1e4
    policy = Policy(overflow="saturate").resolve("float32", "float8_e4m3fn")
    expected, loss = tc.cast(x, "float8_e4m3fn", overflow="saturate", report=True)
    for fresh in (False, True):
        out = torch.empty_like(expected)
        found = write_elsewhere(x, out, FORMATS["float8_e4m3fn"], policy, True, fresh)
        assert (found.n_inexact, found.n_overflow) == (loss.n_inexact, loss.n_overflow)
        assert torch.equal(out.view(torch.uint8), expected.view(torch.uint8))
    out = torch.zeros_like(x, dtype=torch.float16)
    x[3, 4] = 1e6
    with pytest.raises(tc.errors.CastOverflowError, match=r"largest magnitude 1000000 at \[3, 4\]"):
        write_elsewhere(
            x, out, FORMATS["float16"], Policy().resolve("float32", "float16"), False, False
        )
    assert not out.any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: trips to one")
def test_trips_to_cuda_and_back() -> None:
    x = torch.randn(1000, 7).t()
    for to in ("float16", "float64"):
        there, loss = tc.cast(x, to, device="cuda", report=True)
        assert (there.device.type, there.stride()) == ("cuda", x.stride())
        assert torch.equal(there.cpu(), tc.cast(x, to))
        assert loss == tc.measure(x, to)
        assert torch.equal(
            tc.cast(there, "float32", device="cpu"), tc.cast(tc.cast(x, to), "float32")
        )


def test_fake_tensors_and_transforms_go_through_the_operator() -> None:
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode() as mode:
        fake = mode.from_tensor(torch.randn(3, 4).t())
        found = tc.cast(fake, "bfloat16")
    assert (found.dtype, found.stride()) == (torch.bfloat16, (1, 4))
    x = torch.randn(5, 3)
    found = torch.vmap(lambda row: tc.cast(row, "float16"))(x)
    assert torch.equal(found, x.half())
    gradient = torch.func.grad(lambda t: tc.cast(t, "float64").sum())(x)
    assert torch.equal(gradient, torch.ones_like(x))
    both = torch.vmap(torch.func.grad(lambda t: tc.cast(t * t, "float64").sum()))(x)
    assert torch.equal(both, 2 * x)
    twice = torch.func.hessian(lambda t: tc.cast(t * t, "float64").sum())(x[0].double())
    assert torch.equal(twice, 2 * torch.eye(3, dtype=torch.float64))
    assert torch.vmap(lambda row: tc.cast(row, "int32"), in_dims=1)(x).dtype == torch.int32
    with pytest.raises(CastError, match=r"inside torch\.func has no values"):
        torch.vmap(lambda row: tc.cast(row, "float16", report=True)[0])(x)


def test_out_of_a_transformed_tensor_is_refused() -> None:
    out = torch.zeros(3, dtype=torch.float16)
    with pytest.raises(CastError, match="out= writes memory, which meta tensors and those being"):
        torch.vmap(lambda row: tc.cast(row, "float16", out=out))(torch.randn(5, 3))
    with pytest.raises(CastError, match="out= writes memory, which meta tensors and those being"):
        tc.cast(torch.ones(3, device="meta"), "float16", out=out.to("meta"))
    assert not out.any()


def test_a_default_device_does_not_move_anything() -> None:
    with torch.device("meta"):
        assert tc.cast(torch.ones(2, device="cpu"), "float16").device.type == "cpu"


X = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize(
    ("x", "to", "options", "message"),
    [
        (X, "bflot16", {}, "no number format is called 'bflot16'; nearest: bfloat16"),
        (X, torch.qint8, {}, "no number format is called 'torch.qint8'"),
        (
            torch.empty(0, dtype=torch.complex32),
            "float16",
            {},
            "x.to(torch.complex64) makes it complex64, which holds every complex32",
        ),
        (X, "float16", {"overflow": "wrap"}, 'overflow="wrap" is modulo 2^bits'),
        (X, "float32", {"overflow": "wrap"}, 'overflow="wrap" is modulo 2^bits'),
        (X + 0j, "float32", {}, "would drop the imaginary part"),
        (X, "float6_e2m3fn", {}, "has no dtype for float6_e2m3fn; tensorcast.cast("),
        (X, "float8_e3m4", {}, "has no dtype for float8_e3m4; tensorcast.to_numpy("),
        (X, "float4_e2m1fn", {}, "shape [2, 3] has no even one. Pass packed=True"),
        (X, "float16", {"packed": True}, "elements of float16 fill whole bytes"),
        (X, "int4", {"packed": True, "device": "cpu"}, "device does not go with a packed tensor"),
        (X.to_sparse(), "float16", {}, "layout is torch.sparse_coo; cast its .values()"),
        (
            X,
            "float16",
            {"out": torch.zeros(3, 2).half()},
            "out has shape [3, 2], the tensor [2, 3]",
        ),
        (X, "float16", {"out": torch.zeros(2, 3)}, "out holds torch.float32, not torch.float16"),
        (X, "float16", {"out": np.zeros((2, 3), "f2")}, "out is of type ndarray; a torch tensor"),
        (X, "int32", {"out": X.view(torch.int32)}, "source and target overlap in memory"),
        (X, "float32", {"out": X}, "source and target overlap in memory"),
        (
            X,
            "int32",
            {"out": torch.zeros(1, 3).int().expand(2, 3)},
            "several elements of the target",
        ),
        (X, "int32", {"out": X.int(), "memory_format": torch.contiguous_format}, "out has its own"),
        (X, "int32", {"memory_format": torch.channels_last}, "torch.channels_last does not fit"),
        (X, "int32", {"memory_format": "contiguous"}, "memory_format=contiguous does not fit"),
    ],
)
def test_what_cannot_be_cast_is_one_clear_error(
    x: Any, to: object, options: dict[str, Any], message: str
) -> None:
    before = X.clone()
    out = options.get("out")
    content = out.tolist() if out is not None else None
    with pytest.raises(tc.errors.TensorcastError) as caught:
        tc.cast(x, to, **options)
    assert message in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert torch.equal(before, X)
    assert out is None or out.tolist() == content


def test_a_quantized_tensor_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch gives them up
        quantized = torch.quantize_per_tensor(X, 1.0, 0, torch.qint8)
    with pytest.raises(CastError, match=r"the tensor is quantized; call \.dequantize\(\)"):
        tc.cast(quantized, "int8")


def test_interleaved_memory_does_not_overlap() -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tc.cast(base[:, ::2], "float32", out=base[:, 1::2])
    assert torch.equal(base[:, 1::2], base[:, ::2])


def test_a_freed_storage_is_seen() -> None:
    x = torch.ones(1000)
    x.untyped_storage().resize_(0)
    with pytest.raises(CastError, match="storage has been freed or shrunk: 0 bytes are left"):
        tc.cast(x, "float16")


def test_packed_results() -> None:
    packed = tc.cast(torch.tensor([1.0, -2.0, 6.0]), "float4_e2m1fn", packed=True)
    assert isinstance(packed, tc.packed.PackedTensor)
    assert torch.equal(tc.cast(packed, "float32"), torch.tensor([1.0, -2.0, 6.0]))
    flipped = torch.tensor([1 + 2j]).conj().imag
    assert tc.cast(tc.cast(flipped, "int4", packed=True), "int8").tolist() == [-2]
