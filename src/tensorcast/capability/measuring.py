"""Measures this machine, in this process."""

from __future__ import annotations

import gc
import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from math import isfinite
from typing import Any, Final

from .. import __version__
from ..errors import MissingLibraryError, TensorcastError
from ..words.units import duration, plural, relative, shape
from . import machine
from .cases import cases_of
from .casts import (
    PAIRS,
    LibraryCast,
    contenders,
    copying,
    difference,
    misfits,
    of_misfits,
    values,
)
from .data import BASELINE, CastMeasurement, Measurement, Misfit, Missing
from .libraries import OTHERS, Library, library, numpy_dtype, tensorcast
from .operations import ON_GPU, OPERATIONS, QUICK, Bench, Case, OperationWay, Sizes, Work
from .result import Capability
from .timing import SLOW, Clock, Contender, HostClock, race

PARTS: Final = ("cast", *OPERATIONS)
QUICK_SECONDS: Final = 10.0
FULL_SECONDS: Final = 45.0

_CALL_SHARE: Final = 0.1  # of the time in all, which one call may take
_LEAST_CALL: Final = 1.0
_LATEST: Final = 1.5  # times the seconds asked for: what has not begun then is left out
_LATE_SECONDS: Final = 30.0  # and never before
_LEAST_SECONDS: Final = 0.3  # of a case, however late it is, where there is most of a minute
_WRONG: Final = 0.5  # a relative error that no rounding gives
_LONGEST_REASON: Final = 200

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Attributes:
        parts: of `PARTS`, in that order.
        device: "cpu", "cuda", or "" for a CUDA device where there is one, else the CPU.
        n_threads: of the CPU; 0 for as many as torch takes by itself.
        seconds: in all. On a slow or busy machine it takes up to twice as long; what has no time
            then is named as missing.
        fewer_threads: why there are fewer than one would expect; "" if there are not.
        sizes: how large everything is; None for those of the device.
    """

    parts: tuple[str, ...] = PARTS
    device: str = ""
    n_threads: int = 0
    seconds: float = FULL_SECONDS
    quick: bool = False
    sizes: Sizes | None = None
    fewer_threads: str = ""


def measure(plan: Plan, progress: Progress) -> Capability:
    """What each format gives here.

    Raises:
        MissingLibraryError: a CUDA device is asked for, and there is none.
    """
    begin, others = time.perf_counter(), machine.Others()
    torch = _torch()
    device = _device(plan.device, torch)
    n_threads = plan.n_threads or default_threads()
    sizes = plan.sizes or (QUICK if plan.quick else ON_GPU if device == "cuda" else Sizes())
    run = _Run(torch, device, sizes, n_threads, progress, plan.seconds)
    if plan.fewer_threads:
        run.missing.append(Missing("everything", "", "more threads", "", plan.fewer_threads))
    threads_before = torch.get_num_threads() if torch else 0
    try:
        if torch:
            torch.set_num_threads(n_threads)
        run.all(plan.parts, begin, plan.seconds, min(_LEAST_SECONDS, plan.seconds / 50))
    finally:
        if torch:
            torch.set_num_threads(threads_before)
    if device == "cpu" and not plan.device:
        run.missing.append(Missing("everything", "", "cuda", "", _no_cuda(torch)))
    return Capability(
        machine.cuda(torch) if device == "cuda" else machine.cpu(),
        machine.versions(__version__),
        n_threads,
        datetime.now(UTC).isoformat(timespec="seconds"),
        time.perf_counter() - begin,
        others.n_cpus(),
        tuple(run.measurements),
        tuple(run.casts),
        tuple(run.misfits),
        tuple(run.missing),
    )


def default_threads() -> int:
    """As many as torch takes by itself: one per core; without torch, the CPUs."""
    torch = _torch()
    return torch.get_num_threads() if torch else machine.usable_cpus()


def _torch() -> Any:
    return importlib.import_module("torch") if find_spec("torch") else None


def _device(asked: str, torch: Any) -> str:
    has_cuda = torch is not None and torch.cuda.is_available()
    if asked == "cuda" and not has_cuda:
        raise MissingLibraryError(f"skipped: no CUDA: {_no_cuda(torch)}")
    return asked or ("cuda" if has_cuda else "cpu")


def _no_cuda(torch: Any) -> str:
    if torch is None:
        return "torch is not installed: pip install 'tensorcast[torch]'"
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    return f"torch {torch.__version__} finds no CUDA device"


class _CudaClock:
    """The device's own clock."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch

    def seconds(self, call: Callable[[], Any], n_calls: int) -> float:
        begin, end = (self._torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(n_calls):
            call()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3 / n_calls


class _Run:
    """What was measured so far, and the time that is left."""

    def __init__(
        self,
        torch: Any,
        device: str,
        sizes: Sizes,
        n_threads: int,
        progress: Progress,
        seconds: float,
    ) -> None:
        self.measurements: list[Measurement] = []
        self.casts: list[CastMeasurement] = []
        self.misfits: list[Misfit] = []
        self.missing: list[Missing] = []
        self._torch, self._device, self._sizes = torch, device, sizes
        self._n_threads = n_threads
        self._known: dict[str, Library | str] = {}
        self._progress = progress
        self._longest_call = max(_LEAST_CALL, seconds * _CALL_SHARE)
        self._calls: dict[tuple[str, str, str], tuple[str, float, int]] = {}
        self._clock: Clock = _CudaClock(torch) if device == "cuda" else HostClock()

    def all(self, parts: Sequence[str], begin: float, seconds: float, least: float) -> None:
        """Every part, for so many seconds as far as slow formats let it, each case for `least`
        seconds or more; what would begin long after that is left out."""
        deadline = begin + seconds
        steps: list[tuple[str, str, Callable[[float], None]]] = []
        for part in parts:
            if part == "cast":
                steps += [("cast", f"{a} -> {b}", partial(self.cast, a, b)) for a, b in PAIRS]
            elif self._torch is None:
                reason = "torch is not installed: pip install 'tensorcast[torch]'"
                self.missing.append(Missing(part, "", "", "", reason))
            else:
                bench = Bench(self._torch, self._device, self._sizes)
                for case in cases_of(part, bench):
                    steps.append((part, case.label, partial(self.operation, case)))
        if "cast" in parts:
            self._progress(0.0, "loading the libraries")
            self._libraries()
        for i, (part, label, step) in enumerate(steps):
            now = time.perf_counter()
            left = deadline - now
            if now - begin > max(_LATEST * seconds, _LATE_SECONDS) and i:
                took = f"{duration(seconds)} were asked for, {duration(now - begin)} are over"
                self._miss(part, label, "", "", f"no time was left: {took}")
                continue
            known = max(left, (now - begin) * (len(steps) - i) / i if i else left)
            self._progress(i / len(steps), f"{part} {label}, {about(known)}")
            try:
                step(max(least, left / (len(steps) - i)))
            except Exception as refusal:  # the memory ends, say
                self._miss(part, label, "", "", reason_of(refusal))
            gc.collect()
            if self._device == "cuda":
                self._torch.cuda.empty_cache()
        self._progress(1.0, "")

    def operation(self, case: Case, seconds: float) -> None:
        """Every way of one case: verified, then timed in turns, then verified again."""
        inference = self._torch.inference_mode
        with inference():
            exact = case.exact()
            ready: list[tuple[OperationWay, Work, Contender]] = []
            for way in case.ways:
                found = self._first(case, way, exact)
                if found is not None:
                    ready.append((way, *found))
            race([contender for _, _, contender in ready], self._clock, seconds)
            baseline = next(
                (c for way, _, c in ready if (way.format, way.name) == (BASELINE, "")), None
            )
            for way, work, contender in ready:
                self._called(case, way, contender.spread.least)
                result = contender.again()
                error = relative_error(work.values(result), exact)
                if not error < _WRONG:
                    self._wrong(case, way, work.values(result), result, exact, error)
                    continue
                self.measurements.append(
                    Measurement(
                        case.operation,
                        case.label,
                        dict(case.sizes),
                        way.format,
                        way.name,
                        contender.spread,
                        n_bytes_of([*work.operands, result]),
                        case.n_operations,
                        error,
                        contender.beside(baseline) if baseline is not None else None,
                    )
                )

    def _first(self, case: Case, way: OperationWay, exact: Any) -> tuple[Work, Contender] | None:
        """One way's first call, if it works and is right."""
        known = self._calls.get((case.operation, way.format, way.name))
        if known is not None:
            label, took, n = known
            expected = took * max(1.0, case.n_operations / n if n else 1.0)
            if expected > self._longest_call:
                reason = f"not tried: a call took {duration(took)} at {label}, and this is larger"
                self._miss(case.operation, case.label, way.format, way.name, reason)
                return None
        try:
            work = way.prepare()
            contender = Contender(work.call, work.setting, self._device == "cpu")
            result = contender.first(self._clock)
            if contender.expected >= SLOW:  # a shorter one may be mostly setting up
                self._called(case, way, contender.expected)
            error = relative_error(work.values(result), exact)
        except Exception as refusal:  # whatever torch raises is its reason
            self._miss(case.operation, case.label, way.format, way.name, reason_of(refusal))
            return None
        if not error < _WRONG:
            self._wrong(case, way, work.values(result), result, exact, error)
            return None
        return work, contender

    def _called(self, case: Case, way: OperationWay, seconds: float) -> None:
        key = (case.operation, way.format, way.name)
        self._calls[key] = (case.label, seconds, case.n_operations)

    def _wrong(
        self, case: Case, way: OperationWay, values: Any, result: Any, exact: Any, error: float
    ) -> None:
        reason = f"the result is wrong: {what_is_wrong(values, result, exact, error)}"
        self._miss(case.operation, case.label, way.format, way.name, reason)

    def _miss(self, operation: str, case: str, format: str, way: str, reason: str) -> None:
        self.missing.append(Missing(operation, case, format, way, reason))

    def cast(self, source: str, target: str, seconds: float) -> None:
        """One cast in every library: compared with ours, then timed in turns."""
        array = values(source, target, self._sizes.cast)
        ours: Any = None
        ready: list[tuple[LibraryCast, Contender, int, str]] = []
        for name, known in self._libraries().items():
            if isinstance(known, str):
                continue
            try:
                for found in contenders(known, array, target):
                    contender = Contender(found.call)
                    result = found.array(contender.first(self._clock))
                    if ours is None and name == "tensorcast":
                        ours = result.copy()
                    n, text = (0, "") if ours is None else difference(result, ours, array)
                    ready.append((found, contender, n, text))
                    del result
            except Exception as refusal:  # whatever the library raises is its reason
                self._miss("cast", f"{source} -> {target}", name, "", reason_of(refusal))
        self._misfits(source, target)
        copy = copying(self._torch, array, target, self._device)
        contender = Contender(copy.call)
        contender.first(self._clock)
        ready.append((copy, contender, 0, ""))
        race([contender for _, contender, _, _ in ready], self._clock, seconds)
        n_bytes = array.nbytes + array.size * numpy_dtype(target).itemsize
        our_casts = {x.into: c for x, c, _, _ in ready if x.library == "tensorcast"}
        for found, contender, n, text in ready:
            to = source if found.library == "copy" else target
            base = our_casts.get(found.into)
            beside = contender.beside(base) if base is not None else None
            self.casts.append(
                CastMeasurement(
                    source, to, found.library, found.into, array.size, n_bytes,
                    contender.spread, n, text, beside,
                )
            )  # fmt: skip

    def _misfits(self, source: str, target: str) -> None:
        """What the others make of values that do not fit."""
        array = misfits(source, target)
        for name, known in self._libraries().items():
            if isinstance(known, str) or name == "tensorcast" or not array.size:
                continue
            try:
                made = of_misfits(known, array, target)
            except Exception:  # it has been named where the cast was
                continue
            self.misfits += [Misfit(source, target, name, *texts) for texts in made]

    def _libraries(self) -> dict[str, Library | str]:
        """Ours first, then the others; the reason for one that is not compared."""
        if not self._known:
            self._known["tensorcast"] = tensorcast(self._torch, self._device)
            for name in OTHERS:
                try:
                    found = library(name, self._torch, self._device, self._n_threads)
                    self._known[name] = found
                except Exception as refusal:  # its import may raise anything
                    self._known[name] = reason = reason_of(refusal)
                    self._miss("cast", "", name, "", reason)
        return self._known


def relative_error(result: Any, exact: Any) -> float:
    """|result - exact| / |exact|; infinite where the result is not finite, or of another shape."""
    if result.shape != exact.shape:
        return float("inf")
    wide = result.double()
    error = float((wide - exact).norm() / exact.norm())
    return error if isfinite(error) else float("inf")


def what_is_wrong(values: Any, result: Any, exact: Any, error: float) -> str:
    """In words, why a result is not the exact one.

    Args:
        values: what the result stands for.
        result: as the operation gave it.
        error: `relative_error` of the values.
    """
    if values.shape != exact.shape:
        return f"its shape is {shape(tuple(values.shape))}, not {shape(tuple(exact.shape))}"
    dtype = str(result.dtype).removeprefix("torch.")
    if dtype in ("int8", "uint8"):
        return f"torch returns {dtype}, and sums beyond {dtype} come out as other numbers"
    n_bad = int((~values.double().isfinite()).sum())
    if n_bad:
        return f"{n_bad:,} of {plural(values.numel(), 'value')} are infinite or NaN"
    return f"its error is {relative(error)} of the exact result"


def about(seconds: float) -> str:
    """What remains, for a person who waits."""
    return f"about {duration(round(seconds))} left" if seconds >= 1 else "almost done"


def n_bytes_of(tensors: Sequence[Any]) -> int:
    """Their elements' bytes."""
    return sum(x.numel() * x.element_size() for x in tensors)


def reason_of(refusal: BaseException) -> str:
    """The error in a line; its kind too where it is not our own."""
    text = " ".join(str(refusal).split())
    if len(text) > _LONGEST_REASON:
        text = text[: _LONGEST_REASON - 3] + "..."
    return text if isinstance(refusal, TensorcastError) else f"{type(refusal).__name__}: {text}"
