"""The pool of `tc.reuse`: memory is given out again when nothing sees it, and not before."""

from __future__ import annotations

import gc
import os
import random
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tensorcast as tc

torch = pytest.importorskip("torch")

N = 600_000  # elements: 1.2 MB in float16
ROOM = 64 << 20


def address_of(x: Any) -> int:
    return int(x.data_ptr() if isinstance(x, torch.Tensor) else x.__array_interface__["data"][0])


KINDS: dict[str, Callable[[float], Any]] = {
    "tensor": lambda value: tc.cast(torch.full((N,), value), "float16"),
    "transposed": lambda value: tc.cast(torch.full((600, 1000), value).T, "float16"),
    "array": lambda value: tc.cast(np.full(N, value, np.float32), "float16"),
    "array in Fortran's order": lambda value: tc.cast(np.full((1000, 600), value).T, "float16"),
    "as_tensor": lambda value: tc.as_tensor(np.full(N, value, np.float32), "float16"),
    "as_tensor of a tensor": lambda value: tc.as_tensor(torch.full((N,), value), "float16"),
    "to_numpy": lambda value: tc.to_numpy(torch.full((N,), value), "float16"),
    "a list": lambda value: tc.as_tensor([value] * N, "float16"),
    "with a gradient": lambda value: tc.cast(
        torch.full((N,), value, requires_grad=True), "float16"
    ),
    "with a report": lambda value: tc.cast(torch.full((N,), value), "float16", report=True)[0],
}

# what of a result may be kept in its place, and its values
VIEWS: dict[str, Callable[[Any], tuple[Any, Callable[[], Any]]]] = {
    "itself": lambda x: (x, lambda: x),
    "a view": lambda x: (v := x[7:], lambda: v),
    "a view of a view": lambda x: (v := x[7:][::3], lambda: v),
    "detached": lambda x: (v := x.detach(), lambda: v),
    "as another dtype": lambda x: (v := x.view(torch.int16), lambda: v.view(torch.float16)),
    "an array": lambda x: (v := x.detach().numpy(), lambda: torch.from_numpy(v)),
    "a slice of an array": lambda x: (v := x.detach().numpy()[5:][::2], lambda: v),
    "a memoryview": lambda x: (v := memoryview(x.detach().numpy()), lambda: np.asarray(v)),
    "DLPack": lambda x: (v := np.from_dlpack(x.detach()), lambda: v),
    "a storage": lambda x: (
        v := x.untyped_storage(),
        lambda: torch.empty(0, dtype=torch.float16).set_(v),
    ),
    "a parameter": lambda x: (v := torch.nn.Parameter(x.detach()), lambda: v),
    "a graph": lambda x: (v := torch.ones(N, requires_grad=True) * x.detach(), lambda: v),
    "in a cycle": lambda x: (v := Cycle(x), lambda: v.x),
}


class Cycle:
    def __init__(self, x: Any) -> None:
        self.x, self.itself = x, self


def flat(x: Any) -> Any:
    return x.detach().float().reshape(-1) if isinstance(x, torch.Tensor) else np.ravel(x)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_used_again_once_nobody_sees_it(kind: str) -> None:
    with tc.reuse(ROOM) as pool:
        first = KINDS[kind](1.0)
        where = address_of(first)
        second = KINDS[kind](2.0)
        assert address_of(second) != where
        assert (pool.hits, pool.misses) == (0, 2)
        del first
        third = KINDS[kind](3.0)
        assert address_of(third) == where
        assert where % 64 == 0
        assert (pool.hits, pool.misses, pool.n_bytes_reused) == (1, 2, 2 * N)
        assert (flat(second) == 2).all()
        assert (flat(third) == 3).all()
    fourth = KINDS[kind](4.0)
    assert pool.hits + pool.misses == 3
    assert (flat(second) == 2).all()
    assert (flat(third) == 3).all()
    assert (flat(fourth) == 4).all()


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_what_they_are_without_it(kind: str) -> None:
    plain = KINDS[kind](1.5)
    with tc.reuse(ROOM) as pool:
        made = KINDS[kind](1.5)
    assert pool.misses == 1
    assert type(made) is type(plain)
    assert made.dtype == plain.dtype
    assert made.shape == plain.shape
    if isinstance(made, np.ndarray):
        assert made.strides == plain.strides
        assert made.flags.writeable == plain.flags.writeable
        return
    assert made.stride() == plain.stride()
    assert made._base is None
    assert made.requires_grad == plain.requires_grad
    assert made.grad_fn is plain.grad_fn is None or type(made.grad_fn) is type(plain.grad_fn)


@pytest.mark.parametrize("view", VIEWS)
def test_no_memory_is_given_out_while_something_sees_it(view: str) -> None:
    with tc.reuse(ROOM) as pool:
        made = KINDS["tensor"](1.0)
        kept, values = VIEWS[view](made)
        del made
        gc.collect()
        others = [KINDS["tensor"](float(i)) for i in range(2, 6)]
        assert pool.hits == 0
        assert (flat(values()) == 1).all()
        if view == "a graph":
            return
        del kept, values
        gc.collect()
        again = KINDS["tensor"](9.0)
        assert pool.hits == 1
        assert (flat(again) == 9).all()
        assert [float(x[0]) for x in others] == [2, 3, 4, 5]


def test_what_backward_needs_stays() -> None:
    weight = torch.full((N,), 3.0, dtype=torch.float16, requires_grad=True)
    with tc.reuse(ROOM):
        product = (weight * tc.cast(torch.full((N,), 2.0), "float16")).sum()
        for value in range(5):
            KINDS["tensor"](float(value))
        product.backward()
    assert weight.grad is not None
    assert (weight.grad == 2).all()


def test_an_object_that_comes_back_to_life_keeps_its_memory() -> None:
    saved: list[Any] = []

    class Returning:
        def __init__(self, x: Any) -> None:
            self.x, self.itself = x, self

        def __del__(self) -> None:
            saved.append(self.x)

    with tc.reuse(ROOM):
        Returning(KINDS["tensor"](1.0))
        Returning(KINDS["array"](1.0))
        gc.collect()
        assert len(saved) == 2
        for value in range(2, 8):
            KINDS["tensor"](float(value))
        assert all((flat(x) == 1).all() for x in saved)


def test_it_holds_no_more_than_it_may() -> None:
    with tc.reuse(5 * N) as pool:  # two results, and a bit
        alive = [KINDS["tensor"](float(i)) for i in range(4)]
        assert pool.n_bytes_held <= pool.n_bytes
        assert (pool.hits, pool.misses) == (0, 4)
        assert [float(x[-1]) for x in alive] == [0, 1, 2, 3]
        del alive
        assert pool.n_bytes_idle <= pool.n_bytes
        tc.cast(torch.ones(2 * N), "float16")  # larger: what is idle makes room
        assert pool.n_bytes_held <= pool.n_bytes
    assert pool.n_bytes_held == pool.n_bytes_idle == 0
    with tc.reuse(0) as nothing:
        assert (flat(KINDS["tensor"](1.0)) == 1).all()
    assert (nothing.hits, nothing.misses, nothing.n_bytes_held) == (0, 1, 0)


def test_after_the_end_results_stay_and_their_memory_goes_with_them() -> None:
    with tc.reuse(ROOM) as pool:
        made = KINDS["tensor"](1.0)
        lease = weakref.ref(pool)
    del pool
    assert (flat(made) == 1).all()
    assert lease() is not None
    del made
    gc.collect()
    assert lease() is None


def test_a_refusal_gives_the_memory_back() -> None:
    with tc.reuse(ROOM) as pool:
        for _ in range(3):
            with pytest.raises(tc.errors.CastOverflowError):
                tc.cast(torch.full((2 * N,), 300.0), "int8")
        gc.collect()
        assert pool.n_bytes_idle == pool.n_bytes_held <= 2 * N


def test_small_results_and_other_threads_have_their_own_memory() -> None:
    with tc.reuse(ROOM) as pool:
        tc.cast(torch.ones(1000), "float16")
        thread = threading.Thread(target=KINDS["tensor"], args=(1.0,))
        thread.start()
        thread.join()
        assert (pool.hits, pool.misses) == (0, 0)
        with tc.reuse(ROOM) as inner:
            KINDS["tensor"](1.0)
        assert (pool.misses, inner.misses) == (0, 1)
        KINDS["tensor"](1.0)
        assert pool.misses == 1


def test_cast_in_place_refuses_memory_of_the_pool() -> None:
    with tc.reuse(ROOM):
        made = KINDS["tensor"](1.0)
        with pytest.raises(tc.errors.InPlaceError):
            tc.cast_(made, "float32")
        assert (flat(made) == 1).all()


def test_compiled_and_traced_casts_are_left_alone() -> None:
    from torch.fx.experimental.proxy_tensor import make_fx

    with tc.reuse(ROOM):
        x = torch.ones(N)
        assert make_fx(lambda v: tc.cast(v, "float16"))(x)(x + 1).eq(2).all()
        with torch.device("meta"):
            assert tc.cast(x, "float16").device.type == "cpu"
        assert tc.cast(torch.ones(N, device="meta"), "float16").device.type == "meta"
        assert torch.func.vmap(lambda v: tc.cast(v, "float16"))(x.reshape(2, -1)).eq(1).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_its_own_memory() -> None:
    with tc.reuse(ROOM) as pool:
        KINDS["array"](1.0)
        child = os.fork()
        if not child:
            made = KINDS["array"](2.0)
            os._exit(0 if (made == 2).all() and pool.hits == 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_many_threads_share_one_pool() -> None:
    """Results made in one context are kept, viewed and let go of in others; none ever changes."""
    import contextvars

    wrong: list[str] = []

    def work(seed: int) -> None:
        draw = random.Random(seed)
        kept: list[tuple[Any, Any, float]] = []
        for i in range(60):
            value = float(1 + (seed * 61 + i) % 2000)
            made = KINDS[draw.choice(["tensor", "array", "as_tensor", "to_numpy"])](value)
            if isinstance(made, torch.Tensor):
                held, values = VIEWS[draw.choice(["itself", "a view", "an array", "DLPack"])](made)
            else:
                part = made[draw.randrange(100) :]
                held, values = part, lambda part=part: part
            del made
            kept.append((held, values, value))
            if len(kept) > 5:
                kept.pop(draw.randrange(len(kept)))
            del held, values
            for _, look, expected in kept:
                if not (flat(look()) == expected).all():
                    wrong.append(f"{expected} became {flat(look())[:3]}")

    with tc.reuse(ROOM) as pool:
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(work, seed))
            for seed in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert pool.hits > 20
        assert pool.n_bytes_held <= pool.n_bytes
    assert not wrong


@pytest.mark.parametrize("wrong", [-1, 1.5, "1GB", None, True])
def test_what_is_no_number_of_bytes_is_refused(wrong: Any) -> None:
    with pytest.raises(tc.errors.CastError, match="is no number of bytes"), tc.reuse(wrong):
        pass


def test_it_tells_what_it_did() -> None:
    with tc.reuse(ROOM) as pool:
        KINDS["tensor"](1.0)
        KINDS["tensor"](1.0)
        assert repr(pool) == "Pool(1 hit, 1 miss, 1.20 MB reused, 1.20 MB of 67.1 MB held)"
