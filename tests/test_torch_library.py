"""The casts as torch operators: compiled, exported, batched, differentiated, on fake tensors."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tensorcast as tc
from tensorcast.bridges.torch import operators
from tensorcast.policy import Policy

torch = pytest.importorskip("torch", reason="torch is not installed")


def op(x: object, to: str, **policy: object) -> torch.Tensor:
    return operators.cast_op(x, tc.lookup(to), Policy(**policy))


VALUES = [0.0, -0.0, 1.0, -1.5, 1 / 3, 300.0, -70000.0, 1e-30]


FIRST_CALL = """
import tensorcast as tc, torch
{before}
@torch.compile(fullgraph=True, dynamic=True, backend="aot_eager")
def f(x):
    return tc.cast(x * 2, "bfloat16") + 1
for n in (3, 8, 1, 0):
    x = torch.arange(n, dtype=torch.float32) / 3
    assert torch.equal(f(x), (x * 2).to(torch.bfloat16) + 1), n
print("done")
"""


@pytest.mark.parametrize("before", ["", "import numpy; tc.cast(numpy.ones(3), 'float16')"])
def test_compiles_at_the_first_call(before: str) -> None:
    """No eager call before it, and none with a torch tensor: nothing is registered yet."""
    code = FIRST_CALL.format(before=before)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def compiled(function: object, **options: object) -> object:
    torch.compiler.reset()
    return torch.compile(function, fullgraph=True, backend="aot_eager", **options)


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"overflow": "saturate"},
        {"overflow": "ieee", "rounding": "up"},
        {"rounding": "stochastic", "seed": (1 << 64) - 3, "overflow": "saturate"},
    ],
)
def test_compiled_equals_eager(policy: dict[str, object]) -> None:
    x = torch.tensor(VALUES[:5] if not policy else VALUES).view(-1, 1)
    found = compiled(lambda x: tc.cast(x, torch.float16, **policy))(x)
    assert torch.equal(
        found.view(torch.int16), tc.cast(x, torch.float16, **policy).view(torch.int16)
    )


def test_seeds_may_change_without_another_compilation() -> None:
    counter = torch._dynamo.testing.CompileCounter()
    torch.compiler.reset()

    @torch.compile(fullgraph=True, backend=counter, dynamic=True)
    def cast(x: torch.Tensor, seed: int) -> torch.Tensor:
        return tc.cast(x, "int32", rounding="stochastic", seed=seed)

    x = torch.full((1000,), 0.5)
    found = [cast(x, seed) for seed in range(2, 12)]
    for seed, result in enumerate(found, 2):
        assert torch.equal(result, tc.cast(x, "int32", rounding="stochastic", seed=seed))
    assert counter.frame_count <= 2


def test_compiled_into_out() -> None:
    def into(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        tc.cast(x * 2, "int16", out=out)
        return out + 1

    out = torch.zeros(4, dtype=torch.int16)
    found = compiled(into)(torch.arange(4.0), out)
    assert out.tolist() == [0, 2, 4, 6]
    assert found.tolist() == [1, 3, 5, 7]


def test_nothing_to_do_stays_nothing() -> None:
    counter = torch._dynamo.testing.CompileCounter()
    torch.compiler.reset()
    x = torch.ones(3)
    f = torch.compile(lambda x: tc.cast(x, "float32"), fullgraph=True, backend=counter)
    assert f(x) is x
    assert counter.op_count == 0


def test_a_compiled_refusal_names_the_value() -> None:
    with pytest.raises(tc.errors.CastOverflowError, match="300"):
        compiled(lambda x: tc.cast(x, "int8"))(torch.tensor([1.0, 300.0]))


REPORTED = [
    (torch.tensor(VALUES), "float16", {}),
    (torch.tensor([*VALUES, float("nan")]), "int8", {"overflow": "saturate", "nan": "zero"}),
    (torch.tensor(VALUES).double(), "float8_e4m3fn", {"overflow": "ieee", "rounding": "up"}),
    (torch.tensor([1, -1]).view(torch.uint64), "float32", {}),
    (torch.tensor([-(1 << 63), (1 << 63) - 1]), "int32", {"overflow": "wrap"}),
    (torch.arange(9, dtype=torch.int32), "int64", {}),
    (torch.arange(9.0) / 7, "bool", {}),
    (torch.zeros(0), "bfloat16", {}),
    (torch.tensor([1 + 2j, 1e39j]), "complex64", {"rounding": "stochastic", "seed": 1 << 63}),
    (torch.tensor(VALUES), "float32", {}),
]


@pytest.mark.parametrize(("x", "to", "policy"), REPORTED, ids=lambda x: None)
def test_a_loss_comes_out_of_the_graph(x: torch.Tensor, to: str, policy: dict[str, object]) -> None:
    found = compiled(lambda x: tc.measure(x, to, **policy))(x)
    expected = tc.measure(x, to, **policy)
    assert repr(found.settled()) == repr(expected)
    assert found == expected
    assert expected == found
    assert (str(found), repr(found), hash(found)) == (str(expected), repr(expected), hash(expected))
    assert found._repr_html_() == expected._repr_html_()
    assert found.to_dict() == expected.to_dict()
    if expected.n_overflow and policy.get("overflow", "raise") == "raise":
        return
    result, loss = compiled(lambda x: tc.cast(x, to, report=True, **policy))(x)
    plain, expected = tc.cast(x, to, report=True, **policy)
    assert loss == expected
    assert tc.testing.codes_of(result)[1].tolist() == tc.testing.codes_of(plain)[1].tolist()


def test_a_report_leaves_the_graph_whole() -> None:
    def loss_of(x: torch.Tensor) -> tuple[torch.Tensor, object]:
        y, loss = tc.cast(x * 2, "bfloat16", report=True)
        return y + 1, loss

    x = (torch.arange(9.0) / 3).requires_grad_()
    found, loss = compiled(loss_of, dynamic=True)(x)
    assert torch.equal(found, (x * 2).to(torch.bfloat16) + 1)
    assert loss == tc.measure(x * 2, "bfloat16")
    assert loss.n_inexact == tc.measure(x * 2, "bfloat16").n_inexact
    found.float().sum().backward()
    assert x.grad.tolist() == [2.0] * 9
    with pytest.raises(tc.errors.CastOverflowError, match="70000"):
        compiled(lambda x: tc.cast(x, "int8", report=True))(torch.tensor([70000.0]))


def test_a_loss_is_not_read_in_the_graph() -> None:
    def read(x: torch.Tensor) -> torch.Tensor:
        return x + tc.measure(x, "bfloat16").n_inexact

    with pytest.raises(torch._dynamo.exc.Unsupported, match="return it from the compiled function"):
        compiled(read)(torch.arange(9.0) / 7)
    torch.compiler.reset()
    broken = torch.compile(read, backend="aot_eager")
    assert torch.equal(broken(torch.arange(9.0) / 7), torch.arange(9.0) / 7 + 7)


def test_a_report_into_out_breaks_the_graph_and_is_right() -> None:
    def into(x: torch.Tensor, out: torch.Tensor) -> object:
        return tc.cast(x * 2, "bfloat16", report=True, out=out)[1]

    x, out = torch.arange(9.0) / 3, torch.zeros(9, dtype=torch.bfloat16)
    torch.compiler.reset()
    assert torch.compile(into, backend="aot_eager")(x, out) == tc.measure(x * 2, "bfloat16")
    assert torch.equal(out, (x * 2).to(torch.bfloat16))


@pytest.mark.parametrize("strict", [True, False])
def test_export(strict: bool) -> None:
    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return tc.cast(x + 1, "float8_e4m3fn", overflow="saturate")

    n = torch.export.Dim("n")
    program = torch.export.export(
        Model(), (torch.ones(4, 2),), dynamic_shapes={"x": {0: n}}, strict=strict
    )
    assert any(node.target is torch.ops.tensorcast.cast.default for node in program.graph.nodes)
    x = torch.tensor([[1e3, 0.3]] * 7)
    found = program.module()(x)
    assert torch.equal(
        found.view(torch.uint8), tc.cast(x + 1, found.dtype, overflow="saturate").view(torch.uint8)
    )


@pytest.mark.exhaustive
def test_inductor() -> None:
    torch.compiler.reset()
    f = torch.compile(lambda x: tc.cast(x * 2, "bfloat16") + 1, fullgraph=True)
    x = torch.arange(1000.0) / 7
    assert torch.equal(f(x), (x * 2).to(torch.bfloat16) + 1)


@pytest.mark.parametrize(
    ("x", "to"),
    [
        (torch.tensor(VALUES, requires_grad=True), "bfloat16"),
        (torch.ones(2, 3, requires_grad=True).T, "float64"),
        (torch.ones(3, 1).expand(3, 4), "int8"),
        (torch.arange(6).view(2, 3), "int32"),
        (torch.ones(0), "bool"),
        (torch.tensor(1.5), "complex64"),
    ],
)
@pytest.mark.parametrize("inf", [(), ("saturate",)])  # programs saved without one still load
def test_opcheck(x: torch.Tensor, to: str, inf: tuple[str, ...]) -> None:
    operators.register()
    tail = ("saturate", None, "raise", False, 0, *inf)
    torch.library.opcheck(torch.ops.tensorcast.cast.default, (x, to, *tail))
    torch.library.opcheck(torch.ops.tensorcast.cast_report.default, (x, to, *tail))
    torch.library.opcheck(torch.ops.tensorcast.measure.default, (x.detach(), to, *tail))
    with torch.no_grad():
        out = torch.empty(x.shape, dtype=getattr(torch, to))
        if not x.requires_grad:
            torch.library.opcheck(torch.ops.tensorcast.cast_out.default, (x, out, *tail))


@pytest.mark.parametrize("shape", [(), (0,), (2, 3), (2, 3, 4, 5)])
def test_strides_are_those_of_to(shape: tuple[int, ...]) -> None:
    base = torch.zeros(shape)
    views = [base]
    if base.ndim > 1:
        views += [base.mT, base[..., ::2], base[..., 1:]]
    if base.ndim == 4:
        views += [base.to(memory_format=torch.channels_last), base[:, :1].expand(2, 3, 4, 5)]
    for x in views:
        want = x.to(torch.int16)
        assert op(x, "int16").stride() == want.stride()
        meta = op(x.to("meta"), "int16")
        assert (meta.device.type, meta.dtype, meta.shape) == ("meta", torch.int16, x.shape)
        with torch._subclasses.FakeTensorMode() as mode:
            fake = op(mode.from_tensor(x), "int16")
            assert (fake.stride(), fake.dtype) == (want.stride(), torch.int16)


def test_fake_tensors_reach_no_memory() -> None:
    with torch._subclasses.FakeTensorMode():
        fake = tc.cast(torch.ones(3), "bfloat16")
    assert isinstance(fake, torch._subclasses.FakeTensor)
    assert tc.cast(torch.ones(3, device="meta"), "bfloat16").is_meta


def halves(x: torch.Tensor) -> torch.Tensor:
    return tc.cast(x, "float4_e2m1fn", overflow="saturate")


def wholes(x: torch.Tensor) -> torch.Tensor:
    return tc.cast(x, "bfloat16")


@pytest.mark.parametrize("shape", [(2, 8), (4,), (0, 2), (3, 0), (2, 3, 4)])
def test_shapes_of_pairs_are_the_eager_ones(shape: tuple[int, ...]) -> None:
    x = torch.arange(torch.Size(shape).numel(), dtype=torch.float32).view(shape) / 4
    pairs = halves(x)
    assert pairs.shape == (*shape[:-1], shape[-1] // 2)
    for source, cast in ((x, halves), (pairs, wholes)):
        want = cast(source)
        meta = cast(source.to("meta"))
        assert (meta.shape, meta.stride(), meta.dtype) == (want.shape, want.stride(), want.dtype)
        with torch._subclasses.FakeTensorMode() as mode:
            assert cast(mode.from_tensor(source)).shape == want.shape
        assert tc.cast(source, want.dtype, overflow="saturate", device="meta").shape == want.shape
        assert tc.as_tensor(source.to("meta"), want.dtype).shape == want.shape
        assert torch.vmap(cast)(source[None])[0].shape == want.shape
        torch.compiler.reset()
        sizes = torch.compile(
            lambda y, cast=cast: (cast(y), cast(y).shape), backend="aot_eager", fullgraph=True
        )
        found, size = sizes(source)
        assert tuple(size) == tuple(want.shape)
        assert torch.equal(found.view(torch.uint8), want.view(torch.uint8))


def test_dynamic_shapes_of_pairs() -> None:
    there_and_back = compiled(lambda x: wholes(halves(x)) + x.shape[-1], dynamic=True)
    for n in (8, 10, 2, 0):
        x = torch.ones(3, n)
        assert torch.equal(there_and_back(x), wholes(halves(x)) + n)

    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return halves(x)

    half = 2 * torch.export.Dim("half")
    program = torch.export.export(Model(), (torch.ones(2, 8),), dynamic_shapes={"x": {1: half}})
    x = torch.arange(12.0).view(2, 6) / 4
    found = program.module()(x)
    assert torch.equal(found.view(torch.uint8), halves(x).view(torch.uint8))


def test_what_has_no_pairs_is_refused_without_values_too() -> None:
    odd = "holds two elements to a byte along the last dimension"
    for x in (torch.ones(2, 3), torch.ones(())):
        for other in (x, x.to("meta")):
            with pytest.raises(tc.errors.CastError, match=odd):
                halves(other)
        with (
            torch._subclasses.FakeTensorMode() as mode,
            pytest.raises(tc.errors.CastError, match=odd),
        ):
            halves(mode.from_tensor(x))
        with pytest.raises(Exception, match=odd):
            compiled(halves)(x)
    with pytest.raises(tc.errors.CastError, match="samples of this vmap have no dimension"):
        torch.vmap(halves)(torch.ones(4))
    with pytest.raises(tc.errors.CastError, match="samples of this vmap have no dimension"):
        torch.vmap(wholes)(halves(torch.ones(4)))
    with pytest.raises(tc.errors.CastError, match="samples of this vmap have no dimension"):
        torch.vmap(torch.func.grad(lambda x: wholes(halves(x)).sum()))(torch.ones(4))
    picture = torch.zeros(1, 2, 2, 2)
    for other in (picture, picture.to("meta")):
        with pytest.raises(tc.errors.CastError, match="does not go with two elements to a byte"):
            tc.cast(other, "float4_e2m1fn", memory_format=torch.channels_last)


def test_pairs_into_out_and_with_a_report() -> None:
    x = torch.arange(16.0).view(2, 8) / 4
    out = torch.zeros(2, 4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)

    def into(x: torch.Tensor, out: torch.Tensor) -> int:
        return tc.cast(x, "float4_e2m1fn", overflow="saturate", out=out).shape[-1]

    assert compiled(into)(x, out) == 4
    assert torch.equal(out.view(torch.uint8), halves(x).view(torch.uint8))
    report = {"overflow": "saturate", "report": True}
    found, loss = compiled(lambda x: tc.cast(x, "float4_e2m1fn", **report))(x)
    assert found.shape == (2, 4)
    assert loss == tc.measure(x, "float4_e2m1fn", overflow="saturate")


@pytest.mark.parametrize("to", ["float16", "bfloat16", "float64", "complex64"])
def test_gradients_are_those_of_to(to: str) -> None:
    weights = (torch.arange(3.0) / 3).to(getattr(torch, to))
    found = []
    for cast in (lambda x: tc.cast(x, to), lambda x: x.to(getattr(torch, to))):
        x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
        (cast(x) * weights).abs().sum().backward()
        found.append(x.grad)
    assert found[0].dtype == torch.float32
    assert torch.equal(*found)


def test_a_gradient_that_does_not_fit_is_infinite() -> None:
    x = torch.ones(1, dtype=torch.float16, requires_grad=True)
    (tc.cast(x, "float32") * 1e6).sum().backward()
    assert x.grad.tolist() == [float("inf")]


def test_second_derivatives() -> None:
    x = torch.tensor([3.0], requires_grad=True, dtype=torch.float64)
    (first,) = torch.autograd.grad(tc.cast(x * x * x, "float32").sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert (first.item(), second.item()) == (27.0, 18.0)


def test_integers_have_no_gradient() -> None:
    x = torch.ones(3, requires_grad=True)
    for to in ("int32", "bool", "uint8"):
        assert not tc.cast(x, to).requires_grad
    with torch.no_grad():
        assert not tc.cast(x, "float16").requires_grad


def test_compiled_gradients() -> None:
    def loss(x: torch.Tensor) -> torch.Tensor:
        return (tc.cast(x, "bfloat16") * 3).sum()

    x = torch.arange(4.0, requires_grad=True)
    compiled(loss)(x).backward()
    assert x.grad.tolist() == [3.0] * 4


@pytest.mark.parametrize("dimension", [0, 1, -1])
def test_vmap(dimension: int) -> None:
    x = torch.arange(24.0).view(2, 3, 4) / 7
    found = torch.vmap(lambda x: tc.cast(x, "float16"), dimension, dimension)(x)
    assert torch.equal(found, x.to(torch.float16))


def test_vmap_of_gradients() -> None:
    def loss(x: torch.Tensor) -> torch.Tensor:
        return (tc.cast(x, "bfloat16").float() ** 2).sum()

    x = torch.arange(6.0).view(3, 2)
    assert torch.equal(torch.vmap(torch.func.grad(loss))(x), 2 * x)


def test_no_loss_and_no_out_inside_vmap() -> None:
    x = torch.ones(2, 3)
    for options in ({"report": True}, {"out": torch.empty(3, dtype=torch.float16)}):
        cast = torch.vmap(lambda r, options=options: tc.cast(r * 1, "float16", **options))
        with pytest.raises(tc.errors.CastError):
            cast(x)
        with pytest.raises(Exception, match="inside vmap no Loss is counted"):
            compiled(cast)(x)
    with pytest.raises(Exception, match="inside vmap no Loss is counted"):
        compiled(torch.vmap(lambda r: tc.measure(r * 1, "float16")))(x)


def test_functionalized() -> None:
    x = torch.ones(2, 3)
    f = torch.func.functionalize(lambda r: tc.cast(r * 2, "bfloat16"))
    assert torch.equal(f(x), torch.full((2, 3), 2.0, dtype=torch.bfloat16))


def test_stochastic_rounding_of_a_batch_is_that_of_the_batch() -> None:
    x = torch.full((8, 16), 0.5)
    draw = {"rounding": "stochastic", "seed": 5}
    found = torch.vmap(lambda x: tc.cast(x, "int8", **draw), 1)(x)
    assert torch.equal(found, tc.cast(x.T.contiguous(), "int8", **draw))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_traced_by_jit() -> None:
    traced = torch.jit.trace(lambda x: tc.cast(x, "int32") + 1, (torch.ones(2),))
    assert traced(torch.full((3,), 5.0)).tolist() == [6, 6, 6]


def test_out_is_refused_while_jit_traces() -> None:
    out = torch.zeros(2, dtype=torch.float16)
    tc.cast(torch.ones(2), "float16", out=out)  # so that the fast way is known
    with pytest.raises(tc.errors.CastError, match="being traced"):
        torch.jit.trace(lambda x: tc.cast(x, "float16", out=out) + 1, (torch.ones(2),))


@pytest.mark.parametrize("tracer", ["make_fx", "jit"])
@pytest.mark.parametrize("asked", ["can_cast", "measure", "report", "exact complex"])
def test_answers_of_values_are_refused_while_a_program_is_recorded(tracer: str, asked: str) -> None:
    from torch.fx.experimental.proxy_tensor import make_fx

    def program(x: torch.Tensor) -> object:
        if asked == "can_cast":
            return x * 2 if tc.can_cast(x, "float16") else x * 0
        if asked == "measure":
            return x * tc.measure(x, "float16").n_overflow
        if asked == "report":
            return x * tc.cast(x, "float16", report=True, overflow="ieee")[1].n_overflow
        return tc.cast(torch.complex(x, x * 0), "float32", exact=True)

    x = torch.ones(2)
    with pytest.raises(tc.errors.CastError, match="recorded"):
        make_fx(program)(x) if tracer == "make_fx" else torch.jit.trace(program, (x,))


def test_answers_of_values_go_through_modes_that_record_nothing() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.full((2,), 1e9)
    with FlopCounterMode(display=False):
        assert not tc.can_cast(x, "float16")
        assert tc.measure(x, "float16").n_overflow == 2


def test_exact_from_complex_to_real_in_a_compiled_function_is_as_outside() -> None:
    torch.compiler.reset()
    program = torch.compile(
        lambda x: tc.cast(x * 2, "float32", exact=True) + 1, backend="aot_eager"
    )
    assert torch.equal(program(torch.tensor([1 + 0j, 3])), torch.tensor([3.0, 7.0]))
    with pytest.raises(tc.errors.InexactCastError, match="1 of 2 values have an imaginary part"):
        program(torch.tensor([1 + 2j, 3]))
    kept = compiled(lambda x: tc.cast(x * 2, "complex128", exact=True) + 1)
    assert torch.equal(kept(torch.tensor([1 + 2j])), torch.tensor([3 + 4j], dtype=torch.complex128))


@pytest.mark.parametrize("transform", ["vmap", "grad", "jvp", "fake"])
def test_exact_from_complex_to_real_says_true_things_of_what_has_no_values(transform: str) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    def real(x: torch.Tensor) -> torch.Tensor:
        return tc.cast(x, "float32", exact=True)

    x = torch.tensor([1 + 0j, 3])
    runs = {
        "vmap": lambda: torch.vmap(real)(x),
        "grad": lambda: torch.func.grad(lambda t: real(t).sum())(x),
        "jvp": lambda: torch.func.jvp(real, (x,), (x,)),
        "fake": lambda: real(FakeTensorMode().from_tensor(x)),
    }
    with pytest.raises(
        tc.errors.CastError, match=r"exact=True takes complex.*; cast x\.real"
    ) as caught:
        runs[transform]()
    assert "measure" not in str(caught.value)


TAKEN = {
    "cast": lambda t: tc.as_tensor(t, "bfloat16"),
    "copied": lambda t: tc.as_tensor(t, copy=True).bfloat16(),
    "as it is": lambda t: tc.as_tensor(t).bfloat16(),
    "clamped": lambda t: tc.as_tensor(t, "float32", inf="saturate").bfloat16(),
    "moved": lambda t: tc.as_tensor(t, "bfloat16", device="cpu"),
}


@pytest.mark.parametrize("how", TAKEN)
def test_as_tensor_inside_transforms_is_what_cast_is(how: str) -> None:
    take, x = TAKEN[how], torch.randn(2, 3)
    expected = tc.cast(x, "bfloat16")
    assert torch.equal(torch.vmap(take)(x), expected)
    value, tangent = torch.func.jvp(take, (x,), (x,))
    assert torch.equal(value, expected)
    assert torch.equal(tangent, expected)
    found = torch.func.grad(lambda t: (take(t * t)).float().sum())(x)
    assert torch.equal(
        found, torch.func.grad(lambda t: tc.cast(t * t, "bfloat16").float().sum())(x)
    )
    hessian = torch.func.hessian(lambda t: (take(t).float() ** 2).sum())(x[0])
    assert torch.equal(hessian, 2 * torch.eye(3))


def test_casts_travel_inside_vmap() -> None:
    for take in (tc.cast, tc.as_tensor):
        found = torch.vmap(lambda t, take=take: take(t, "float64", device="meta"))(torch.ones(2, 3))
        assert (found.device.type, found.dtype, found.shape) == ("meta", torch.float64, (2, 3))
