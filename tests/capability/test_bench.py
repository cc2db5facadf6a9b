"""`tensorcast.bench` and its process, on tiny operands; nothing here looks at a time."""

from __future__ import annotations

import math
import re
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tensorcast as tc
from tensorcast.capability import machine, measuring, process
from tensorcast.capability.casts import PAIRS
from tensorcast.capability.libraries import numpy_dtype
from tensorcast.capability.machine import Others
from tensorcast.capability.measuring import PARTS, Plan, measure
from tensorcast.capability.operations import Sizes, float32_products
from tensorcast.capability.result import Capability
from tensorcast.capability.timing import Contender, are_snapped

TINY = Sizes(
    matmul=((1, 32), 32),
    linear=((1, 2), 32, 64),
    conv2d=((1,), 16, 8),
    attention=((1,), 2, 16, 16),
    layer_norm=(8, 32),
    embedding=(64, 32, 16),
    cast=3000,
)


def tiny(*parts: str) -> Capability:
    steps: list[tuple[float, str]] = []
    plan = Plan(parts, "cpu", 1, 0.1, True, TINY)
    found = measure(plan, lambda done, what: steps.append((done, what)))
    assert steps[-1] == (1.0, "")
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    return found


@pytest.fixture(scope="module")
def found() -> Capability:
    pytest.importorskip("torch")
    return tiny(*PARTS)


def test_every_format_of_every_case_is_there_or_missing_with_a_reason(found: Capability) -> None:
    cases = {(m.operation, m.case) for m in found.measurements}
    assert {operation for operation, _ in cases} == set(PARTS) - {"cast"}
    for operation, case in cases:
        for name in ("float64", "float32", "tf32", "bfloat16", "float16", "float8_e4m3fn", "int8"):
            measured = found.find(operation, name, case=case)
            missing = [
                m
                for m in found.missing
                if (m.operation, m.case, m.format) == (operation, case, name)
            ]
            assert measured or missing, (operation, case, name)
            assert all(m.reason for m in missing)


def test_errors_are_of_the_size_that_the_format_has(found: Capability) -> None:
    for m in found.measurements:
        limit = {
            "float64": 1e-12, "float32": 1e-5, "float16": 5e-3, "bfloat16": 3e-2,
            "float8_e4m3fn": 0.2, "int8": 0.2,
        }[m.format]  # fmt: skip
        assert 0 <= m.relative_error < limit, m
        assert m.sqnr_db == -20 * math.log10(m.relative_error) if m.relative_error else math.inf
        assert m.n_bytes > 0
    by_format = {m.format: m.n_bytes for m in found.find("matmul", case="M=32") if not m.way}
    assert by_format["float64"] == 2 * by_format["float32"] == 4 * by_format["bfloat16"]
    assert by_format["float32"] == 3 * 32 * 32 * 4


def test_wrong_results_are_named_and_not_timed(found: Capability) -> None:
    wrong = [m for m in found.missing if (m.operation, m.format, m.way) == ("matmul", "int8", "")]
    assert wrong
    assert "the result is wrong: torch returns int8" in wrong[0].reason
    assert not [m for m in found.find("matmul", "int8") if not m.way]


def test_casts_stand_beside_a_copy_and_every_library(found: Capability) -> None:
    libraries = {c.library for c in found.casts}
    here = {"tensorcast", "copy", "numpy", "torch"}
    here |= {name for name in ("jax", "tensorflow") if find_spec(name)}
    away = {m.format for m in found.missing if m.operation == "cast" and not m.case}
    assert libraries == here - away
    assert {(c.source, c.target) for c in found.casts} >= {("float32", "float8_e4m3fn")}
    ours = [c for c in found.casts if c.library == "tensorcast"]
    assert all(c.n_different == 0 for c in ours)
    of = next(c for c in ours if (c.source, c.target) == ("float64", "float32"))
    assert (of.n_elements, of.n_bytes) == (3000, 3000 * 12)
    assert of.bytes_per_second == of.n_bytes / of.seconds.median


def test_what_does_not_fit_is_told(found: Capability) -> None:
    made = {(m.source, m.target, m.library, m.value): m.result for m in found.misfits}
    assert made["int64", "int32", "numpy", "4.3e+09"] == "-2"  # 2^32 - 2
    assert made["float32", "float16", "torch", "131008"] == "inf"
    assert {v for s, t, _, v in made if (s, t) == ("float32", "int8")} == {"254", "inf", "nan"}
    assert {v for s, t, _, v in made if (s, t) == ("float32", "float8_e4m3fn")} == {"896", "inf"}
    assert not [t for s, t, _, _ in made if s == "uint8" or (s, t) == ("float16", "float32")]
    for m in found.misfits:
        with pytest.raises(tc.errors.CastError):
            tc.cast(np.array([float(m.value)]).astype(numpy_dtype(m.source)), m.target)


def test_it_goes_through_its_file(found: Capability) -> None:
    assert Capability.from_dict(found.to_dict()) == found
    assert found.machine.device == "cpu"
    assert found.n_threads == 1
    assert not [m for m in found.missing if m.format == "cuda"]  # device="cpu" was asked for


def test_a_table_and_html_are_made_of_it(found: Capability) -> None:
    text, html = str(found), found._repr_html_()
    assert max(map(len, text.splitlines())) <= 100
    for operation in PARTS[1:]:
        assert operation in text
        assert operation in html
    assert "Not measured" in text
    assert "<script" not in html


def test_without_torch_casts_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "_torch", lambda: None)
    found = tiny(*PARTS)
    assert {"tensorcast", "numpy", "copy"} <= {c.library for c in found.casts}
    assert found.measurements == ()
    reasons = {m.operation: m.reason for m in found.missing}
    for operation in PARTS[1:]:
        assert reasons[operation] == "torch is not installed: pip install 'tensorcast[torch]'"


def test_what_fails_later_is_named_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    calls = [0]
    embedding = torch.nn.functional.embedding

    def forgetful(indices: object, table: object) -> object:
        result = embedding(indices, table)
        calls[0] += 1
        return result if result.dtype != torch.float16 or calls[0] < 10 else result + 100

    def out_of_memory(*operands: object) -> object:
        raise MemoryError("no room")

    monkeypatch.setattr(torch.nn.functional, "embedding", forgetful)
    monkeypatch.setattr(torch.nn.functional, "layer_norm", out_of_memory)
    found = tiny("layer_norm", "embedding")
    reasons = {(m.operation, m.format): m.reason for m in found.missing}
    assert reasons["layer_norm", ""] == "MemoryError: no room"  # the float64 one that all need
    assert reasons["embedding", "float16"].startswith("the result is wrong: its error is ")
    assert found.find("embedding", "bfloat16")


def test_without_our_own_cast_the_others_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> object:
        raise RuntimeError("no kernel")

    monkeypatch.setattr("tensorcast.capability.libraries.cast", broken)
    found = tiny("cast")
    assert {c.library for c in found.casts} >= {"numpy", "copy"}
    assert all(c.beside_ours is None and c.n_different == 0 for c in found.casts)
    assert [m.reason for m in found.missing if m.format == "tensorcast"] == [
        "RuntimeError: no kernel"
    ] * len(PAIRS)
    assert str(found)


def test_a_difference_is_found() -> None:
    from tensorcast.capability.casts import difference

    source = np.array([1.0, 1.5, 2.5], np.float32)
    ours, theirs = np.array([1, 2, 2], np.int8), np.array([1, 1, 3], np.int8)
    assert difference(theirs, ours, source) == (2, "1.5 -> code 0x1, ours 0x2")
    assert difference(ours, ours.view(np.uint8), source) == (0, "")
    assert difference(ours[:2], ours, source)[0] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"only": ["matmull"]}, "'matmull' is not a part of the bench; they are cast, matmul"),
        ({"device": "tpu"}, "'tpu' is neither 'cpu' nor 'cuda'"),
        ({"threads": 0}, "threads=0: at least one"),
        ({"seconds": 0}, "seconds=0: above zero"),
        ({"seconds": math.nan}, "seconds=nan: above zero"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        tc.bench(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cuda", "said"),
    [
        (None, "skipped: no CUDA: torch 2.13.0 is built without CUDA"),
        ("13.0", "skipped: no CUDA: torch 2.13.0 finds no CUDA device"),
    ],
)
def test_cuda_is_refused_by_name_where_there_is_none(cuda: str | None, said: str) -> None:
    torch = SimpleNamespace(
        cuda=SimpleNamespace(is_available=lambda: False),
        version=SimpleNamespace(cuda=cuda),
        __version__="2.13.0",
    )
    assert measuring._device("", torch) == "cpu"
    with pytest.raises(tc.errors.MissingLibraryError, match=re.escape(said)):
        measuring._device("cuda", torch)
    with pytest.raises(tc.errors.MissingLibraryError, match="torch is not installed"):
        measuring._device("cuda", None)


def test_the_clock_of_cuda_reads_its_events() -> None:
    class Event:
        now = 0.0

        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.at = Event.now

        def synchronize(self) -> None:
            pass

        def elapsed_time(self, end: Event) -> float:
            return end.at - self.at

    def work() -> None:
        Event.now += 3.0  # milliseconds

    torch = SimpleNamespace(cuda=SimpleNamespace(Event=Event))
    assert measuring._CudaClock(torch).seconds(work, 4) == pytest.approx(3e-3)


def test_what_others_take_is_what_is_busy_without_us(monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter([(0.0, 100.0, 7.0), (10.0, 116.0, 12.0), None])
    monkeypatch.setattr(Others, "_now", staticmethod(lambda: next(states)))
    others = Others()
    assert others.n_cpus() == 1.1  # 16 seconds of work in 10, 5 of them ours
    assert others.n_cpus() is None


@pytest.mark.parametrize("tf32", [True, False])
def test_how_float32_is_multiplied_is_set_and_put_back(tf32: bool) -> None:
    torch = pytest.importorskip("torch")
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with float32_products(torch, tf32):
        assert torch.backends.cuda.matmul.allow_tf32 is tf32
        assert torch.backends.cudnn.allow_tf32 is tf32
    assert before == (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)


def test_a_process_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_environment", lambda plan: {"PYTHONHOME": "/nowhere"})
    with pytest.raises(tc.errors.TensorcastError, match="ended with exit code 1"):
        tc.bench(only=["cast"], seconds=0.1)


def test_threads_that_others_use_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cpus", lambda: 8)
    assert machine.threads_left(8, None) == machine.threads_left(8, 0.1) == 8
    assert machine.threads_left(8, 2.0) == 6
    assert machine.threads_left(4, 2.0) == 4  # there is room beside them
    assert machine.threads_left(8, 8.0) == 1
    plan = Plan(("embedding",), "cpu", 1, 0.1, True, TINY, "others used two CPUs")
    pytest.importorskip("torch")
    found = measure(plan, lambda done, what: None)
    assert "others used two CPUs" in [m.reason for m in found.missing]


def test_a_slow_way_is_not_tried_at_the_next_size(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    asked: list[int] = []
    matmul = torch.matmul

    def crawling(a: Any, b: Any) -> Any:
        if a.dtype == torch.float16:
            asked.append(a.shape[0])
        return matmul(a, b)

    monkeypatch.setattr(torch, "matmul", crawling)
    monkeypatch.setattr(measuring, "_CALL_SHARE", 0.0)
    monkeypatch.setattr(measuring, "_LEAST_CALL", 0.0)
    found = tiny("matmul")
    reasons = {(m.case, m.format, m.way): m.reason for m in found.missing}
    assert "a call took" in reasons["M=32", "float16", ""]
    assert set(asked) == {1}
    assert found.find("matmul", "float16", case="M=1")


def test_what_begins_too_late_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(measuring, "_LATEST", 0.0)
    monkeypatch.setattr(measuring, "_LATE_SECONDS", 0.0)
    found = tiny("layer_norm", "embedding")
    reasons = {m.operation: m.reason for m in found.missing if not m.format}
    assert found.find("layer_norm")  # something is always measured
    assert reasons["embedding"].startswith("no time was left: ")


def test_what_remains_is_told() -> None:
    pytest.importorskip("torch")
    steps: list[str] = []
    measure(
        Plan(("embedding",), "cpu", 1, 900.0, True, TINY), lambda done, what: steps.append(what)
    )
    assert re.fullmatch(r"embedding 16 of 64, about 1[45] min \d\d s left", steps[0])


def test_a_wrong_result_is_told_in_words() -> None:
    torch = pytest.importorskip("torch")
    exact = torch.ones(4, dtype=torch.float64)
    codes = torch.ones(4, dtype=torch.int8)
    said = measuring.what_is_wrong
    assert said(exact[:2], codes[:2], exact, math.inf) == "its shape is [2], not [4]"
    assert said(exact, codes, exact, 0.9) == (
        "torch returns int8, and sums beyond int8 come out as other numbers"
    )
    holes = torch.tensor([1.0, math.nan, math.inf, 1.0])
    assert said(holes, holes, exact, math.inf) == "2 of 4 values are infinite or NaN"
    assert said(exact, exact, exact, 0.997) == "its error is 100% of the exact result"


def test_times_of_whole_ticks_say_little() -> None:
    contenders = [Contender(lambda: None) for _ in range(2)]
    for contender, times in zip(contenders, ([8, 8, 16, 8, 12], [4, 4, 8, 4, 4]), strict=True):
        contender.samples.update({i: ms / 1000 for i, ms in enumerate(times)})
    assert contenders[1].beside(contenders[0]).low > 1  # as it seems
    assert are_snapped([s for c in contenders for s in c.samples.values()])
    for contender in contenders:
        contender.snapped = True
    ratio = contenders[1].beside(contenders[0])
    assert ratio.low < 1 < ratio.high
    assert not are_snapped([i * 0.00137 for i in range(1, 40)])


def test_int32_becomes_int64_among_the_casts() -> None:
    found = tiny("cast")
    pairs = {(c.source, c.target) for c in found.casts if c.library == "numpy"}
    assert ("int32", "int64") in pairs
