"""Derivatives of casts, forward and backward, eager and traced: one value or an error, not zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tensorcast as tc
from tensorcast.errors import CastError

torch = pytest.importorskip("torch", reason="torch is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

from torch.func import grad, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap  # noqa: E402

X = torch.tensor([1.5, 2.3, -0.7])
T = torch.tensor([10.0, 20.3, 0.1])
Cast = Callable[[Any], Any]


def cube(c: Cast) -> Callable[[Any], Any]:
    return lambda r: (c(r * r) * c(r)).to(torch.float32).sum()


PROGRAMS: dict[str, Callable[[Cast], Callable[[Any, Any], Any]]] = {
    "jvp": lambda c: lambda a, b: jvp(c, (a,), (b,)),
    "jvp of more": lambda c: lambda a, b: jvp(lambda r: c(r * r) * 2, (a,), (b,)),
    "vjp": lambda c: lambda a, b: vjp(lambda r: c(r * r), a)[1](c(b)),
    "grad": lambda c: lambda a, b: grad(cube(c))(a) * b,
    "jacfwd": lambda c: lambda a, b: jacfwd(lambda r: c(r * r))(a) * c(b),
    "jacrev": lambda c: lambda a, b: jacrev(lambda r: c(r * r))(a) * c(b),
    "forward over reverse": lambda c: lambda a, b: hessian(cube(c))(a) * b,
    "reverse over forward": lambda c: lambda a, b: jacrev(jacfwd(cube(c)))(a) * b,
    "reverse over reverse": lambda c: lambda a, b: jacrev(grad(cube(c)))(a) * b,
    "forward over forward": lambda c: (
        lambda a, b: jvp(lambda q: jvp(lambda r: c(r * r * r), (q,), (b,))[1], (a,), (b,))
    ),
    "jvp of grad": lambda c: lambda a, b: jvp(grad(cube(c)), (a,), (b,)),
    "third": lambda c: lambda a, b: jacfwd(hessian(cube(c)))(a) * b,
    "jvp of vmap": lambda c: lambda a, b: jvp(vmap(lambda r: c(r * r)), (a,), (b,)),
    "vmap of jvp": lambda c: (
        lambda a, b: vmap(lambda q, s: jvp(lambda r: c(r * r), (q,), (s,)))(a, b)
    ),
    "vmap of grad": lambda c: lambda a, b: vmap(grad(cube(c)))(a) * b,
}


def leaves(tree: Any) -> list[Any]:
    return torch.utils._pytree.tree_leaves(tree)


def assert_same(found: Any, expected: Any) -> None:
    for one, other in zip(leaves(found), leaves(expected), strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("name", "to"), [(name, ("float64", "bfloat16")[i % 2]) for i, name in enumerate(PROGRAMS)]
)
def test_traced_derivatives_are_the_eager_ones(name: str, to: str) -> None:
    eager = PROGRAMS[name](lambda r: tc.cast(r, to))
    expected = eager(X, T)
    assert_same(expected, PROGRAMS[name](lambda r: r.to(getattr(torch, to)))(X, T))
    torch.compiler.reset()
    assert_same(torch.compile(eager, backend="aot_eager", fullgraph=True)(X, T), expected)
    graph = torch.fx.experimental.proxy_tensor.make_fx(eager)(X * 2, T * 3)
    assert_same(graph(X, T), expected)


def test_the_operator_itself_has_them() -> None:
    from tensorcast.bridges.torch.operators import cast_op
    from tensorcast.policy import Policy

    for name, program in PROGRAMS.items():
        found = program(lambda r: cast_op(r, tc.lookup("float64"), Policy()))(X, T)
        assert_same(found, program(lambda r: r.to(torch.float64))(X, T)), name


@pytest.mark.parametrize(
    ("source", "to", "policy"),
    [
        ("float32", "float8_e4m3fn", {"overflow": "saturate"}),
        ("float8_e5m2", "float32", {}),
        ("float64", "bfloat16", {"rounding": "stochastic", "seed": 7}),
        ("float32", "complex64", {}),
        ("complex128", "complex64", {}),
    ],
)
def test_linearize_and_formats(source: str, to: str, policy: dict[str, Any]) -> None:
    x, t = X.to(getattr(torch, source)), T.to(getattr(torch, source))
    cast = lambda r: tc.cast(r, to, **policy)  # noqa: E731
    value, tangent = jvp(cast, (x,), (t,))
    assert torch.equal(tangent.to(torch.complex64), tc.cast(t, to).to(torch.complex64))
    out, linear = linearize(cast, x)
    assert_same([out, linear(t)], [value, tangent])
    torch.compiler.reset()
    compiled = torch.compile(lambda a, b: jvp(cast, (a,), (b,)), backend="aot_eager")
    assert_same(compiled(x, t), [value, tangent])


def test_linearize_uses_its_argument() -> None:
    for cast in (lambda r: tc.cast(r, "float64"), lambda r: tc.cast(r * 2, "float64")):
        linear = linearize(cast, X)[1]
        for t in (T, torch.ones(3), 10 * T):
            assert torch.equal(linear(t), jvp(cast, (X,), (t,))[1])


def test_integers_have_no_tangent() -> None:
    whole = lambda r: tc.cast(r, "int32", rounding="down").to(torch.float32) + r  # noqa: E731
    torch.compiler.reset()
    program = lambda a, b: jvp(whole, (a,), (b,))[1]  # noqa: E731
    assert torch.equal(program(X, T), T)
    assert torch.equal(torch.compile(program, backend="aot_eager")(X, T), T)
    assert torch.equal(linearize(whole, X)[1](T), T)


def test_reports_carry_tangents() -> None:
    forward = torch.autograd.forward_ad
    with forward.dual_level():
        result, loss = tc.cast(forward.make_dual(X, T), "bfloat16", report=True)
        assert torch.equal(forward.unpack_dual(result).tangent, tc.cast(T, "bfloat16"))
    assert loss == tc.measure(X, "bfloat16")

    def reported(a: Any, b: Any) -> Any:
        return jvp(lambda r: tc.cast(r * 1, "bfloat16", report=True)[0], (a,), (b,))[1]

    torch.compiler.reset()
    found = torch.compile(reported, backend="aot_eager", fullgraph=True)(X, T)
    assert torch.equal(found, tc.cast(T, "bfloat16"))


def test_a_dual_level_around_or_in_a_compiled_function() -> None:
    forward = torch.autograd.forward_ad

    def inside(a: Any, b: Any) -> Any:
        with forward.dual_level():
            return forward.unpack_dual(tc.cast(forward.make_dual(a, b), "float64")).tangent

    torch.compiler.reset()
    for backend in ("eager", "aot_eager"):
        assert torch.equal(torch.compile(inside, backend=backend)(X, T), T.double())
    compiled = torch.compile(lambda r: tc.cast(r, "float64"), backend="eager")
    with forward.dual_level():
        assert torch.equal(
            forward.unpack_dual(compiled(forward.make_dual(X, T))).tangent, T.double()
        )


def test_out_carries_no_tangent_and_says_so() -> None:
    forward = torch.autograd.forward_ad
    message = "carries a forward-mode tangent, and a cast into out= records none"
    with forward.dual_level():
        dual, out = forward.make_dual(X, T), torch.zeros(3, dtype=torch.float64)
        for options in ({}, {"report": True}):
            with pytest.raises(tc.errors.CastError, match=f"the tensor {message}"):
                tc.cast(dual, "float64", out=out, **options)
        with pytest.raises(tc.errors.CastError, match=f"out {message}"):
            tc.cast(X, "float64", out=forward.make_dual(out, T.double()))
        assert out.tolist() == [0.0] * 3
        tc.cast(X, "float64", out=out)  # nothing dual takes part
        assert torch.equal(out, X.double())


def test_out_in_a_graph_is_refused_as_outside() -> None:
    def into(a: Any, b: Any) -> Any:
        out = torch.empty(3, dtype=torch.float64)
        return jvp(lambda r: tc.cast(r, "float64", out=out), (a,), (b,))[1]

    torch.compiler.reset()
    with pytest.raises(Exception, match=r"forward-mode tangent|out= writes memory"):
        torch.compile(into, backend="aot_eager")(X, T)

    def recorded(a: Any) -> Any:
        return tc.cast(a, "float64", out=torch.empty(3, dtype=torch.float64))

    with pytest.raises(
        tc.errors.CastError, match="requires grad, and a cast into out= records none"
    ):
        torch.compile(recorded, backend="aot_eager")(X.clone().requires_grad_())


F = torch.autograd.functional


def _grads_batched(f: Cast, x: Any) -> Any:
    leaf = x.clone().requires_grad_()
    y = f(leaf)
    return torch.autograd.grad(y, leaf, torch.eye(3, dtype=y.dtype), is_grads_batched=True)


def _twice(f: Cast, x: Any) -> Any:
    inner = lambda u: F.jacobian(f, u, vectorize=True, create_graph=True)  # noqa: E731
    return F.jacobian(inner, x, vectorize=True)


def _hooked(f: Cast, x: Any) -> Any:
    leaf = x.clone().requires_grad_()
    leaf.register_hook(lambda g: f(g).float())
    return torch.autograd.grad(leaf * leaf, leaf, torch.eye(3), is_grads_batched=True)


OF_OLD: dict[str, Callable[[Cast, Any], Any]] = {
    "is_grads_batched": _grads_batched,
    "jacobian": lambda f, x: F.jacobian(f, x, vectorize=True),
    "jacobian, forward": lambda f, x: F.jacobian(f, x, vectorize=True, strategy="forward-mode"),
    "hessian": lambda f, x: F.hessian(lambda t: f(t).sum(), x, vectorize=True),
    "nested": _twice,
    "a hook casts": _hooked,
}


@pytest.mark.parametrize("to", ["float64", "bfloat16", "float16"])
@pytest.mark.parametrize("name", OF_OLD)
def test_the_older_vmap_of_autograd_gives_torchs_values(name: str, to: str) -> None:
    of = lambda c: lambda t: c(t * t) * t  # noqa: E731
    found = OF_OLD[name](of(lambda t: tc.cast(t, to)), X)
    assert_same(found, OF_OLD[name](of(lambda t: t.to(getattr(torch, to))), X))


def test_in_the_older_vmap_a_gradient_beyond_the_range_is_infinite_and_out_is_refused() -> None:
    leaf = torch.ones(2, dtype=torch.float16, requires_grad=True)
    beyond = torch.tensor([[1e6, 1.0], [-1e6, 2.0]])
    (found,) = torch.autograd.grad(tc.cast(leaf, "float32"), leaf, beyond, is_grads_batched=True)
    assert found.tolist() == [[float("inf"), 1.0], [float("-inf"), 2.0]]
    y = X.clone().requires_grad_()
    y.register_hook(lambda g: tc.cast(g, "float16", out=torch.empty(3, dtype=torch.float16)))
    with pytest.raises(CastError, match="out= writes memory"):
        torch.autograd.grad(y * y, y, torch.eye(3), is_grads_batched=True)
