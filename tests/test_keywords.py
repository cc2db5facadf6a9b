"""Every keyword of a public verb is in its signature, and does what it says: called plainly, under
torch's modes, by a subclass, in a trace and compiled."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import tensorcast as tc
from tensorcast.policy import POLICY_DEFAULTS, PolicyOptions, RoundingOptions, policy_of

torch = pytest.importorskip("torch")

Call = Callable[..., Any]


def numbers(result: Any) -> list[float]:
    """The values of any library's array."""
    return list(tc.as_tensor(result).double().ravel().tolist())


def in_place(x: Any, to: object, **options: Any) -> Any:
    return tc.cast_(torch.tensor(x.tolist(), dtype=torch.float32), to, **options)


def needs(library: str, verb: Call) -> Call:
    def call(x: Any, to: object, **options: Any) -> Any:
        pytest.importorskip(library, reason=f"{library} is not here")
        return verb(x, to, **options)

    call.__signature__ = inspect.signature(verb)  # type: ignore[attr-defined]
    return call


# the verbs that give an array; each is called with float32 numbers
VERBS: dict[str, Call] = {
    "cast": tc.cast,
    "cast of a tensor": lambda x, to, **o: tc.cast(torch.from_numpy(x), to, **o),
    "cast with a report": lambda x, to, **o: tc.cast(x, to, report=True, **o)[0],
    "cast_": in_place,
    "as_tensor": tc.as_tensor,
    "as_tensor of a list": lambda x, to, **o: tc.as_tensor(x.tolist(), to, **o),
    "to_numpy": tc.to_numpy,
    "to_numpy of a tensor": lambda x, to, **o: tc.to_numpy(torch.from_numpy(x), to, **o),
    "to_numpy of a list": lambda x, to, **o: tc.to_numpy(x.tolist(), to, **o),
    "to_jax": needs("jax", tc.to_jax),
    "to_tensorflow": needs("tensorflow", tc.to_tensorflow),
    "to_arrow": needs("pyarrow", tc.to_arrow),
}
SIGNED = {
    name: getattr(tc, name)
    for name in ("cast", "measure", "can_cast", "cast_", "as_tensor", "to_numpy", "to_jax",
                 "to_tensorflow", "to_cupy", "to_arrow", "to_pil")
}  # fmt: skip

# keyword: a value, the number, the format, what comes with the keyword, and without it
EFFECTS: dict[str, tuple[Any, float, str, float, Any]] = {
    "overflow": ("saturate", 300.0, "int8", 127.0, tc.errors.CastOverflowError),
    "rounding": ("up", 1.5, "int8", 2.0, 1.0),
    "nan": ("zero", float("nan"), "int8", 0.0, tc.errors.CastNanError),
    "inf": ("saturate", float("inf"), "float16", 65504.0, float("inf")),
    "exact": (True, 0.1, "float16", tc.errors.InexactCastError, float(np.float16(0.1))),
}  # fmt: skip


def expect(call: Callable[[], Any], expected: Any) -> None:
    if isinstance(expected, type):
        with pytest.raises(expected):
            call()
    else:
        assert numbers(call()) == [expected] * 3


@pytest.mark.parametrize("keyword", EFFECTS)
@pytest.mark.parametrize("verb", VERBS)
def test_every_policy_keyword_reaches_the_cast(verb: str, keyword: str) -> None:
    value, number, to, with_it, without = EFFECTS[keyword]
    x = np.full(3, number, np.float32)
    expect(lambda: VERBS[verb](x, to, **{keyword: value}), with_it)
    expect(lambda: VERBS[verb](x, to), without)


@pytest.mark.parametrize("verb", VERBS)
def test_the_seed_reaches_the_cast(verb: str) -> None:
    x = np.full(64, 1 + 2**-11, np.float32)
    drawn = [
        numbers(VERBS[verb](x, "float16", rounding="stochastic", seed=seed)) for seed in (1, 2, 1)
    ]
    assert drawn[0] == drawn[2] != drawn[1]


@pytest.mark.parametrize("keyword", EFFECTS)
def test_every_policy_keyword_reaches_what_only_looks(keyword: str) -> None:
    value, number, to, with_it, without = EFFECTS[keyword]
    x = np.full(3, number, np.float32)
    rounds = {"exact": False} if keyword != "exact" else {}
    fits = tc.can_cast(x, to, **{**rounds, keyword: value})
    assert fits is not isinstance(with_it, type)
    assert tc.can_cast(x, to, **{**rounds, **({"exact": False} if keyword == "exact" else {})}) is (
        not isinstance(without, type)
    )
    if keyword in ("rounding", "inf"):
        losses = [tc.measure(x, to, **options) for options in ({keyword: value}, {})]
        assert losses[0] != losses[1]
    with pytest.raises(tc.errors.PolicyError, match=keyword):
        tc.measure(x, to, **{keyword: 5})


@pytest.mark.parametrize("name", SIGNED)
def test_the_signature_shows_every_policy_keyword(name: str) -> None:
    shown = inspect.signature(SIGNED[name]).parameters
    assert not [one for one in shown.values() if one.kind is one.VAR_KEYWORD]
    defaults = {keyword: shown[keyword].default for keyword in PolicyOptions.__annotations__}
    assert defaults == {**POLICY_DEFAULTS, "exact": name == "can_cast"}
    rendered = inspect.getdoc(SIGNED[name])
    assert rendered
    with pytest.raises(TypeError, match=rf"^{name}\(\) got an unexpected .*'overflaw'; did you"):
        SIGNED[name](np.ones(2), "float16", overflaw="wrap")


def test_an_image_takes_the_keywords_that_it_shows() -> None:
    image = np.full((2, 2, 3), 255, np.uint8)
    shown = inspect.signature(tc.image_to_tensor).parameters
    assert shown.keys() >= RoundingOptions.__annotations__.keys()
    assert "nan" not in shown
    with pytest.raises(tc.errors.CastOverflowError):
        tc.image_to_tensor(image, "int8", divide=None)
    made = tc.image_to_tensor(image, "int8", divide=None, overflow="saturate")
    assert set(made.ravel().tolist()) == {127}
    made = [tc.image_to_tensor(image, "uint8", divide=2, rounding=r) for r in ("up", "down")]
    assert [int(one.max()) for one in made] == [128, 127]
    with pytest.raises(TypeError, match="unexpected keyword argument 'overflaw'"):
        tc.image_to_tensor(image, overflaw="wrap")  # type: ignore[call-arg]


NOT_DEFAULT: dict[str, Any] = {
    "overflow": "saturate",
    "rounding": "down",
    "nan": "zero",
    "inf": "saturate",
    "exact": True,
    "seed": 7,
    "out": torch.empty(3, dtype=torch.float16),
    "memory_format": torch.contiguous_format,
    "device": "cpu",
    "report": True,
    "packed": True,
    "pin_memory": True,
    "others": "copy",
    "rules": {"*": "float16"},
    "optimizer": torch.optim.SGD([torch.ones(1)]),
    "raw": True,
}


def keywords_of(verb: Call) -> list[str]:
    parameters = inspect.signature(verb).parameters.values()
    return [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]


class Seen(Exception):
    pass


@pytest.mark.parametrize("keyword", keywords_of(tc.cast_))
def test_a_mode_gets_every_keyword_of_cast_in_place(keyword: str) -> None:
    got: dict[str, Any] = {}

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            got.update(function=function, **kwargs)
            raise Seen

    x = torch.nn.Linear(2, 2)
    with Mode(), pytest.raises(Seen):
        tc.cast_(x, "float16", **{keyword: NOT_DEFAULT[keyword]})
    assert got["function"] is tc.cast_
    assert got[keyword] is NOT_DEFAULT[keyword]


class Subclass(torch.Tensor):
    got: dict[str, Any]

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is not tc.cast:
            return super().__torch_function__(function, types, args, kwargs or {})
        cls.got = kwargs
        raise Seen


class SeesCasts(torch.overrides.TorchFunctionMode):
    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is not tc.cast:
            return function(*args, **(kwargs or {}))
        Subclass.got = kwargs
        raise Seen


@pytest.mark.parametrize("by", ["mode", "subclass"])
@pytest.mark.parametrize("keyword", keywords_of(tc.cast))
def test_who_overrides_functions_gets_every_keyword_of_cast(keyword: str, by: str) -> None:
    x = torch.ones(3)
    given = {keyword: NOT_DEFAULT[keyword]}
    mode, seen = (SeesCasts(), x) if by == "mode" else (nullcontext(), x.as_subclass(Subclass))
    with mode, pytest.raises(Seen):
        tc.cast(seen, "float16", **given)
    assert Subclass.got[keyword] is NOT_DEFAULT[keyword]


@pytest.mark.parametrize("keyword", EFFECTS)
def test_every_policy_keyword_is_kept_inside_a_trace(keyword: str) -> None:
    value, number, to, with_it, _ = EFFECTS[keyword]
    x = torch.full((3,), number)
    with tc.trace() as trace:
        expect(lambda: tc.cast(x, to, **{keyword: value}), with_it)
        expect(lambda: tc.cast_(x.clone(), to, **{keyword: value}), with_it)
    assert trace is not None


@pytest.mark.parametrize("keyword", [*EFFECTS, "seed"])
def test_every_policy_keyword_is_kept_in_a_graph(keyword: str) -> None:
    from torch.fx.experimental.proxy_tensor import make_fx

    x = torch.full((64,), 1 + 2**-11)
    options = {"rounding": "stochastic", "seed": 9} if keyword == "seed" else {}
    if keyword != "seed":
        value, number, to, with_it, _ = EFFECTS[keyword]
        x, options = torch.full((3,), number), {keyword: value}
    else:
        to, with_it = "float16", None
    graph = make_fx(lambda v: tc.cast(v, to, **options))(torch.ones_like(x))
    if with_it is None:
        assert graph(x).equal(tc.cast(x, to, **options))
    else:
        expect(lambda: graph(x), with_it)


def test_a_policy_is_made_once() -> None:
    assert policy_of("cast", {"overflow": "saturate"}) is policy_of(
        "cast", {"overflow": "saturate"}
    )
    with pytest.raises(tc.errors.PolicyError, match=r"overflow=\[\] is not one of"):
        tc.cast(np.ones(2), "float16", overflow=[])  # type: ignore[call-overload]
