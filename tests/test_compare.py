"""`tensorcast.compare`: every way to one cast is tried, and what it says of them is true."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import tensorcast as tc
from tensorcast.core.comparison import Comparison, Way
from tensorcast.core.load import Load

torch = pytest.importorskip("torch")

OURS = ("tensorcast.as_tensor", "tensorcast.cast", "tensorcast.cast(out=)", "tensorcast.cast_")


def test_every_way_is_there_and_agrees() -> None:
    x = torch.arange(5000, dtype=torch.int32).reshape(50, 100)
    before = x.clone()
    found = tc.compare(x, "int64", seconds=0.05)
    assert tuple(way.name for way in found.ways) == (".to", *OURS)
    assert (found.source, found.target, found.shape) == ("int32", "int64", (50, 100))
    for way in found.ways:
        assert way.same_bits is True
        assert way.seconds is not None
        assert way.seconds > 0
        assert way.n_bytes is not None
    assert x.dtype == torch.int32
    assert x.equal(before)
    assert found.way(".to").n_bytes == 5000 * 12


def test_other_bits_are_told() -> None:
    x = torch.tensor([1.0, 300.0, -5.5])
    found = tc.compare(x, "uint8", overflow="saturate", seconds=0.02)
    assert [found.way(name).same_bits for name in OURS] == [True] * 4
    assert found.way(".to").same_bits is bool(
        x.to(torch.uint8).equal(tc.cast(x, "uint8", overflow="saturate"))
    )
    drawn = tc.compare(
        torch.full((1000,), 1 + 2**-11), "float16", rounding="stochastic", seed=3, seconds=0.02
    )
    assert drawn.way("tensorcast.cast_").same_bits is True
    assert drawn.way(".to").same_bits is False
    assert "differ" in str(drawn)


def test_a_refusal_is_told_once() -> None:
    found = tc.compare(torch.tensor([1.0, 300.0]), "int8", seconds=0.02)
    for name in OURS:
        assert found.way(name).seconds is found.way(name).n_bytes is None
        assert found.way(name).failure.startswith("CastOverflowError: 1 of 2 values")
    assert found.way(".to").same_bits is None
    assert str(found).count("1 of 2 values lie outside int8") == 1
    assert found.quickest == (".to",)


@pytest.mark.parametrize("to", ["float16", "bfloat16", "float32", "complex64"])
def test_arrays(to: str) -> None:
    x = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)[:, ::-1]
    found = tc.compare(x, to, seconds=0.02)
    names = [way.name for way in found.ways]
    assert names == [".astype", "tensorcast.to_numpy", "tensorcast.cast", "tensorcast.cast(out=)"]
    assert all(way.same_bits for way in found.ways)


@pytest.mark.parametrize("x", [
    torch.zeros(0), torch.tensor(1.5), torch.ones(3, requires_grad=True), torch.ones(4, 5).t(),
    np.zeros((0, 3)), np.array(1.5),
], ids=str)  # fmt: skip
def test_odd_shapes(x: Any) -> None:
    found = tc.compare(x, "float16", seconds=0.01)
    assert all(way.same_bits for way in found.ways), str(found)


def test_a_large_cast_in_place_is_measured_to_need_less() -> None:
    x = torch.zeros(40_000_000)
    found = tc.compare(x, "float16", seconds=0.1)
    sizes = {way.name: way.n_bytes for way in found.ways}
    if found.way(".to").is_measured:
        assert sizes[".to"] == pytest.approx(240e6, rel=0.2)
    assert (sizes["tensorcast.cast_"] or 0) >= 160e6


def test_its_time_is_bounded() -> None:
    x = torch.zeros(3_000_000)
    begin = time.perf_counter()
    tc.compare(x, "float16", seconds=0.2)
    assert time.perf_counter() - begin < 60  # two rounds, on whatever machine


def test_what_cannot_be_compared_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(tc.errors.CastError, match="the tensor is on meta"):
        tc.compare(torch.ones(3, device="meta"), "float16")
    with pytest.raises(tc.errors.CastError, match="list is not a tensor"):
        tc.compare([1.0], "float16")
    with pytest.raises(tc.errors.PolicyError, match="overflow='nothing'"):
        tc.compare(torch.ones(3), "float16", overflow="nothing")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"compare\(\) got an unexpected keyword argument 'x_'"):
        tc.compare(torch.ones(3), "float16", x_=1)  # type: ignore[call-arg]
    from tensorcast.api import ways

    monkeypatch.setattr(ways, "free_memory", lambda: (1000, ""))
    with pytest.raises(tc.errors.CastError, match="1,000 are free; compare a part of x"):
        tc.compare(torch.ones(1000), "float16")


QUIET = Comparison(
    "float32",
    "float16",
    (10, 20),
    (
        Way(".to", 0.0012, 1200, False, False),
        Way("tensorcast.cast", 0.00118, 1200, False, True),
        Way("tensorcast.cast_", 0.5, 800, False, True),
        Way("tensorcast.<b>", None, None, False, None, "CastError: no"),
    ),
    0.0,
)


def test_it_prints_as_a_table() -> None:
    assert (
        str(QUIET)
        == """\
float32 -> float16, [10, 20]
                     time   memory  bits
.to               1.20 ms  1.20 kB  differ
tensorcast.cast   1.18 ms  1.20 kB  equal
tensorcast.cast_   500 ms    800 B  equal
tensorcast.<b>          -        -  refuses
tensorcast.<b>: CastError: no
bits: beside those of tensorcast.cast
quickest: .to, tensorcast.cast
least memory: tensorcast.cast_"""
    )
    assert repr(QUIET) == "Comparison(float32 -> float16, quickest: .to and tensorcast.cast)"
    page = QUIET._repr_html_()
    assert "tensorcast.&lt;b&gt;" in page
    assert page.count("<tr") == 5
    assert QUIET.to_dict()["shape"] == [10, 20]


def test_a_busy_machine_has_no_verdict_on_time() -> None:
    busy = replace(QUIET, cores_of_others=1.4)
    assert "quickest:" not in str(busy)
    assert "The machine was busy: other programs used 1.4 cores." in str(busy)
    assert "least memory: tensorcast.cast_" in str(busy)
    assert "busy" in repr(busy)
    assert "busy" in busy._repr_html_()
    assert not replace(QUIET, cores_of_others=None).was_busy


def test_the_load_is_of_others() -> None:
    load = Load()
    end = time.perf_counter() + 0.2
    while time.perf_counter() < end:
        pass
    others = load.others()
    assert others is None or others >= 0
