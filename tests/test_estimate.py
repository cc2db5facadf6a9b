"""What `explain` says of this machine: free memory, an estimated time, and the way to take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tensorcast as tc
from tensorcast.share import estimate

torch = pytest.importorskip("torch")

LARGE = 3_000_000


def test_a_large_cast_has_a_time_and_a_way() -> None:
    told = tc.explain(torch.ones(LARGE), "float16")
    assert told.seconds is not None
    assert told.seconds > 0
    assert "takes about" in str(told)
    assert "(an estimate)" in str(told)
    assert told.way == (
        "in a loop, tensorcast.reuse or out= saves the time of new memory; "
        "tensorcast.cast_(x, 'float16') if the old values are not needed"
    )
    assert told.way in str(told)
    if told.n_bytes_free is not None:
        assert told.fits is True
        assert "free memory: " in str(told)
    assert told.to_dict()["seconds"] == told.seconds


@pytest.mark.parametrize(("make", "to"), [
    (lambda: np.ones(LARGE), "torch"),
    (lambda: torch.ones(LARGE), "numpy"),
    (lambda: np.ones(LARGE)[::-1], "torch"),
])  # fmt: skip
def test_what_is_no_tensor_for_torch_has_no_way_in_place(make: Any, to: Any) -> None:
    told = tc.explain(make(), "float16", to=to)
    assert told.seconds is not None
    assert told.way == "in a loop, tensorcast.reuse or out= saves the time of new memory"


def test_where_there_is_no_room_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "free_memory", lambda: (1000, ""))
    told = tc.explain(torch.ones(LARGE), "float16")
    assert told.fits is False
    assert "free memory: 1.00 kB" in str(told)
    assert told.way.startswith("there is no room for the result: tensorcast.cast_(x, 'float16') t")
    told = tc.explain(np.ones(600), "float16")
    assert told.way == (
        "there is no room for the result: make it in parts, with tensorcast.cast(part, format, "
        "out=)"
    )
    assert told.way in str(told)
    monkeypatch.setattr(estimate, "free_memory", lambda: (None, ""))
    told = tc.explain(np.ones(600), "float16")
    assert (told.fits, told.way) == (None, "")


def test_what_takes_no_memory_needs_none() -> None:
    for told in (
        tc.explain(torch.ones(LARGE)),
        tc.explain(np.ones(LARGE)),
        tc.explain(np.ones(LARGE)[::-1], copy=False),
    ):
        assert (told.n_bytes_free, told.seconds, told.way) == (None, None, "")
    small = tc.explain(np.ones(3), "float16")
    assert (small.seconds, small.way) == (None, "")
    assert "free memory" not in str(small)


def test_verdicts_do_not_differ_by_the_machine() -> None:
    assert tc.explain(np.ones(LARGE), "int8") == tc.explain(np.ones(LARGE), "int8")


def test_it_leaves_a_pool_alone() -> None:
    estimate._seconds_per_byte.cache_clear()
    with tc.reuse(100 << 20) as pool:
        assert tc.explain(torch.ones(LARGE), "bfloat16").seconds is not None
        assert (pool.hits, pool.misses) == (0, 0)
