"""The error that names every tensor its target does not hold, and the format that would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...core.block import n_ended_infinities, n_out_of_range
from ...core.loss import Loss
from ...formats import FORMATS, Format
from ...judgement import collapse_headline
from ..decide.planning import Plan
from ..errors import Finding, TensorCollapseError, TensorNanError, TensorOverflowError
from .worker import measure_steps

_FLOATS: Final = ("float16", "bfloat16", "float32", "float64")
_INTEGERS: Final = "int8 uint8 int16 uint16 int32 uint32 int64 uint64".split()


def refusal(
    plan: Plan, failures: Sequence[int], *, threads: int
) -> TensorOverflowError | TensorNanError | TensorCollapseError:
    """The error for the steps that failed; their tensors are measured for it.

    Args:
        failures: indices of the steps.
    """
    losses = measure_steps(plan, failures, report=True, threads=threads)
    findings = []
    for index in failures:
        step, loss = plan.steps[index], losses[index]
        source, target = step.inputs[0].format, step.outputs[0].format
        policy = step.policy
        assert policy is not None
        gone = not plan.request.raw and loss.collapses
        findings.append(
            Finding(
                tensor=step.outputs[0].name,
                source=source.name,
                target=target.name,
                n_elements=loss.n_elements,
                n_overflow=n_out_of_range(loss, policy),
                n_infinite=n_ended_infinities(loss, policy) if policy.inf == "raise" else 0,
                n_nan_lost=loss.n_nan_lost if policy.nan == "raise" else 0,
                amax=loss.amax,
                holds=(keeper(source, target, loss) if gone else holder(source, target, loss)).name,
                collapse=loss.collapse_text() if gone else "",
            )
        )
    return _error(tuple(findings))


def holder(source: Format, target: Format, loss: Loss) -> Format:
    """The narrowest usual format of the target's kind, no narrower than it, that holds values
    with this loss; the source's format if none of them does."""
    names = _INTEGERS if target.is_integer and source.is_integer else _FLOATS
    for name in names:
        row = FORMATS[name]
        if row.bits < target.bits or row == target:
            continue
        in_range = (loss.max is None or loss.max <= row.max) and (
            loss.min is None or loss.min >= row.min
        )
        special = (not loss.n_inf or row.infinity) and (not loss.n_nan or row.has_nan)
        if in_range and special:
            return row
    return source


def keeper(source: Format, target: Format, loss: Loss) -> Format:
    """A usual format for a tensor that collapses in its target: 16 bits where its magnitudes allow
    it, else the source's own."""
    if not source.is_float or source.bits <= 16 or target.name == "bfloat16":
        return source
    row = FORMATS["bfloat16"]
    return row if loss.amax is None or loss.amax <= row.max else source


def _error(
    findings: tuple[Finding, ...],
) -> TensorOverflowError | TensorNanError | TensorCollapseError:
    overflow = any(finding.n_overflow for finding in findings)
    nan = any(finding.n_nan_lost for finding in findings)
    infinite = any(finding.n_infinite for finding in findings)
    count = f"{len(findings)} tensor{'s do' if len(findings) > 1 else ' does'}"
    lines = [f"{count} not fit; no destination was written"]
    if not (overflow or nan or infinite):
        headline = collapse_headline([f.collapse for f in findings], [f.target for f in findings])
        lines = [f"{headline}; nothing was written"]
    lines += [f"  {finding}" for finding in findings]
    ways = []
    if overflow or nan or infinite:
        way = 'overflow="keep" leaves such tensors in their format'
        if overflow:
            way += ', "saturate" gives the nearest extreme'
        if infinite:
            way += ', inf="keep" lets infinities be, inf="saturate" makes them the largest value'
        if nan:
            way += ', nan="zero" turns NaN into 0'
        lost = [finding for finding in findings if finding.n_overflow or finding.n_nan_lost]
        if lost:
            way = f"A rule ({lost[0].tensor}={lost[0].holds}) chooses another format; {way}"
        ways.append(f"{way}.")
    gone = [finding for finding in findings if finding.collapse]
    if gone:
        ways.append(
            f"No scale is applied here. Choose another format, as {gone[0].holds}, for all tensors "
            f"or by a rule ({gone[0].tensor}={gone[0].holds}); keep a tensor as it is; or pass "
            "raw=True to cast the stored numbers in any case."
        )
    message = "\n".join([*lines, *ways])
    if overflow or infinite:
        return TensorOverflowError(message, findings)
    return TensorNanError(message, findings) if nan else TensorCollapseError(message, findings)
