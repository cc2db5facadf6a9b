"""Traces and profiles made by hand, so that every number in a report is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tensorcast.core.loss import Loss
from tensorcast.core.totals import total
from tensorcast.model.profile.data import Candidate, Peak, Size, TensorProfile
from tensorcast.model.profile.result import Profile
from tensorcast.model.profile.value_ranges import Values
from tensorcast.model.trace.findings import Finding
from tensorcast.model.trace.sites import Site, What
from tensorcast.model.trace.tracing import Trace
from tensorcast.model.watch.places import Place

HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    '" onmouseover="document.title=\'owned\'" x="',
    "'; document.title='owned'; '",
    "<!--<script>",
    "]]><svg onload=document.title='owned'>",
    "javascript:document.title='owned'",
    "a\u202egnp.exe",
    "\u2028\x00\x1b[31m\ud800",
    "${document.title='owned'}",
)
CAST = What(
    "cast", "aten::_to_copy", "float32", "bfloat16", "cpu", "cpu", Place("/code/a.py", 3, "f"),
    None, "encoder.layer.0", "encoder.layer.0.weight",
)  # fmt: skip


def a_trace() -> Trace:
    """Four lines: a cast of two parameters again and again, an overflow, a transfer, a wait."""
    second = replace(
        CAST, parameter="encoder.layer.1.weight", module="encoder.layer.1", op="aten::to"
    )
    narrow = replace(
        CAST, target="float16", place=Place("/code/b.py", 20, "g"), module="", parameter=""
    )
    moved = replace(
        narrow, kind="transfer", target="float32", target_device="cuda:0",
        place=Place("/code/b.py", 7, "g"), module="head",
    )  # fmt: skip
    waits = replace(
        narrow, kind="synchronisation", op="Tensor.item", target="float",
        place=Place("/code/c.py", 100, "h"),
    )  # fmt: skip
    trace = Trace()
    trace.sites = (
        Site(CAST, (4, 8), 10, 40_000, 20_000, 0.004, n_repeated=9, first_at=0.1),
        Site(second, (4, 8), 10, 4_000, 2_000, 0.002, n_repeated=9, first_at=0.2),
        Site(narrow, (9,), 1, 36, 18, 0.0001, n_overflow=2, largest=1e5, first_at=0.5),
        Site(moved, (1000,), 2, 8_000_000, 8_000_000, 0.03, first_at=0.6),
        Site(waits, (), 5, 20, 0, 0.0, first_at=0.7),
    )
    events = [(0.1 + i * 0.05, 0.0004, 0) for i in range(10)]
    events += [(0.12 + i * 0.05, 0.0002, 1) for i in range(10)]
    events += [(0.5, 0.0001, 2), (0.6, 0.015, 3), (0.65, 0.015, 3)]
    events += [(0.7 + i * 0.01, 0.0, 4) for i in range(5)]
    trace.timeline = tuple(sorted(events))
    trace.seconds, trace.n_operations = 0.8, 1234
    return trace


def a_long_trace(n_lines: int = 5000, n_events: int = 20_000) -> Trace:
    """More lines, names and events than a page may hold."""
    trace = Trace()
    trace.sites = tuple(
        Site(
            replace(
                CAST, place=Place(f"/code/{'deep/' * 20}module_{i}.py", i, f"function_{i}"),
                module=f"decoder.layers.{i}." + "x" * 300,
                parameter=f"decoder.layers.{i}.weight." + "y" * 3000,
            ),
            (i, 17), 1000 * i + 1, i * 1000, i * 500, i * 1e-6, n_repeated=1000 * i,
        )
        for i in range(n_lines)
    )  # fmt: skip
    trace.timeline = tuple((i * 0.00371, 1e-5, i * 7919 % n_lines) for i in range(n_events))
    trace.seconds, trace.n_operations = n_events * 0.00371, 10**9
    return trace


def a_hostile_trace() -> Trace:
    """Every name is one that would do something if it were not a text."""
    trace = Trace()
    trace.sites = tuple(
        Site(
            replace(
                CAST, op=name, source=name, place=Place(name, 1, name),
                called_from=Place(name, 2, name), module=name, parameter=name,
            ),
            (1,), 2, 100, 100, 0.001, n_repeated=1,
        )
        for name in HOSTILE
    )  # fmt: skip
    trace.timeline = tuple((0.1 * i, 0.01, i) for i in range(len(HOSTILE)))
    trace.seconds = 2.0
    return trace


def a_loss(target: str, **counts: Any) -> Loss:
    known = {
        "n_overflow": 0, "n_nan_lost": 0, "n_inexact": 5, "n_underflow": 0, "amax": 8.0,
        "max_abs_error": 0.01, "sum_squared_error": 1e-4, "sum_squared": 100.0,
    }  # fmt: skip
    return Loss("float32", target, 8, **{**known, **counts})


def a_tensor(name: str, numbers: Sequence[float], **fields: Any) -> TensorProfile:
    known: dict[str, Any] = {
        "name": name, "role": "parameter", "module": name.rpartition(".")[0], "kind": "Linear",
        "format": "float32", "shape": (2, 4), "n_elements": 8, "n_bytes": 32, "device": "cpu",
        "values": Values.of_numbers(numbers),
        "losses": {
            name: a_loss(name) for name in ("float16", "bfloat16", "float8_e4m3fn", "int8")
        },
    }  # fmt: skip
    return TensorProfile(**{**known, **fields})


def a_profile() -> Profile:
    """Two levels of modules in three formats and four roles; one tensor beyond float16, one with
    values that become 0, one whose values cannot be seen, one with NaN."""
    large = {
        "float16": a_loss("float16", n_overflow=3, amax=1e5), "bfloat16": a_loss("bfloat16"),
        "float8_e4m3fn": a_loss("float8_e4m3fn", n_overflow=7, amax=1e5, sum_squared_error=50.0),
    }  # fmt: skip
    tiny = {"float16": a_loss("float16", n_underflow=4), "bfloat16": a_loss("bfloat16")}
    tensors = (
        a_tensor("encoder.0.weight", [1.0, 2.0, 3.0, 4.0, 0.5, 0.25, 0.0, -8.0]),
        a_tensor("encoder.1.weight", [1e-9, 1e-8, 3e-8, 1e-7, 0.5, 0.25, 1.0, 2.0], losses=tiny),
        a_tensor(
            "encoder.1", [1e5, 9e4, 7e4, 1.0, 2.0, 0.1, 1e-30, 1.5], role="activation",
            module="encoder.1", losses=large, place=Place("/code/a.py", 3, "f"), count=2,
        ),
        a_tensor("head.weight", [1.0, float("nan"), 2.0, 4.0], losses={}),
        a_tensor("head.bias", [0.0, float("nan"), float("inf")], n_elements=3, losses={}),
        a_tensor("head.scale", [], values=None, losses={}, note="no values: on the meta device"),
    )  # fmt: skip
    sizes = (
        Size("parameter", "encoder.0", "Linear", "float32", "cpu", 2, 600_000),
        Size("parameter", "encoder.1", "Linear", "float32", "cpu", 2, 300_000),
        Size("parameter", "head", "Linear", "bfloat16", "cpu", 2, 100_000),
        Size("buffer", "head", "Linear", "int64", "cpu", 1, 8_000),
        Size("optimizer", "encoder.0", "Linear", "float32", "cpu", 4, 1_200_000),
        Size("activation", "encoder.1", "Linear", "float32", "cpu", 3, 2_000_000),
    )
    candidates = tuple(
        Candidate(of, total(target, losses), 64, 32, f"{target}: a sentence")
        for of, target, losses in (
            ("weights", "float16", {"encoder.1.weight": tiny["float16"]}),
            ("weights", "bfloat16", {"encoder.1.weight": tiny["bfloat16"]}),
            ("activations", "float16", {"encoder.1": large["float16"]}),
        )
    )  # fmt: skip
    findings = (
        Finding(
            "overflow", "float16: encoder.1's output reaches 100,000, beyond 65,504",
            Place("/code/a.py", 3, "f"), None, "encoder.1", "", 2, 32, 0.0, "bfloat16 holds it",
            "16 B, in bfloat16",
        ),
        Finding(
            "wide", "2 weights of 900 kB are float32; bfloat16 holds them", None, None, "", "", 2,
            900_000, 0.0, "tensorcast.cast_(model, 'bfloat16')", "450 kB",
        ),
    )  # fmt: skip
    return Profile(
        "Net", "2.13.0", True, False, tensors, sizes,
        Peak(2_000_000, 3, "encoder.1", "aten::addmm", 0, 500_000), candidates, findings,
        ("one tensor could not be seen",),
    )  # fmt: skip


def a_large_profile(n_layers: int = 4000) -> Profile:
    """More modules and tensors than a page may hold."""
    losses = {name: a_loss(name) for name in ("float16", "bfloat16")}
    values = Values.of_numbers([2.0**e for e in range(-60, 60)])
    tensors = tuple(
        a_tensor(
            f"decoder.layers.{i}.{'expert_' * 10}{i % 64}.{name}.weight", [], values=values,
            losses=losses, n_elements=i,
        )
        for i in range(n_layers)
        for name in ("up", "down")
    )  # fmt: skip
    sizes = tuple(
        Size(role, tensor.module, "Linear", "bfloat16", "cpu", 1, 1000 + i)
        for i, tensor in enumerate(tensors)
        for role in ("parameter", "gradient")
    )
    return replace(a_profile(), tensors=tensors, sizes=sizes)


def a_hostile_profile() -> Profile:
    """Every name is one that would do something if it were not a text."""
    tensors = tuple(
        a_tensor(name, [1.0, 2.0], module=name, kind=name, note=name, format=name)
        for name in HOSTILE
    )
    sizes = tuple(
        Size("parameter", name, name, name, name, 1, 1000 + i) for i, name in enumerate(HOSTILE)
    )
    return replace(
        a_profile(), model=HOSTILE[1], tensors=tensors, sizes=sizes, notes=HOSTILE,
        error=ValueError(HOSTILE[0]), peak=Peak(1, 1, HOSTILE[0], HOSTILE[1], 0, 0),
    )  # fmt: skip
