"""Traces made by hand, so that every number in a report is known."""

from __future__ import annotations

from dataclasses import replace

from tensorcast.model.places import Place
from tensorcast.model.sites import Site, What
from tensorcast.model.tracing import Trace

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
    "cast", "aten::_to_copy", "float32", "bfloat16", "cpu", "cpu", Place("/work/a.py", 3, "f"),
    None, "encoder.layer.0", "encoder.layer.0.weight",
)  # fmt: skip


def a_trace() -> Trace:
    """Four lines: a cast of two parameters again and again, an overflow, a transfer, a wait."""
    second = replace(
        CAST, parameter="encoder.layer.1.weight", module="encoder.layer.1", op="aten::to"
    )
    narrow = replace(
        CAST, target="float16", place=Place("/work/b.py", 20, "g"), module="", parameter=""
    )
    moved = replace(
        narrow, kind="transfer", target="float32", target_device="cuda:0",
        place=Place("/work/b.py", 7, "g"), module="head",
    )  # fmt: skip
    waits = replace(
        narrow, kind="synchronisation", op="Tensor.item", target="float",
        place=Place("/work/c.py", 100, "h"),
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
                CAST, place=Place(f"/work/{'deep/' * 20}module_{i}.py", i, f"function_{i}"),
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
