"""The error that names every tensor its target does not hold, and the format that would."""

from __future__ import annotations

from collections.abc import Sequence

from ...core.loss import Loss
from ...core.refusal import (
    format_that_holds,
    format_that_keeps,
    n_ended_infinities,
    n_out_of_range,
)
from ...formats import Format
from ...judgement import collapse_headline
from ..decide.job import Job
from ..errors import TensorCollapseError, TensorNanError, TensorOverflowError, TensorRefusal
from .worker import measure_steps


def refusal(
    job: Job, failures: Sequence[int], *, threads: int
) -> TensorOverflowError | TensorNanError | TensorCollapseError:
    """The error for the steps that failed; their tensors are measured for it.

    Args:
        failures: indices of the steps.
    """
    losses = measure_steps(job, failures, report=True, threads=threads)
    findings = []
    for index in failures:
        step, loss = job.steps[index], losses[index]
        source, target = step.inputs[0].numbers, step.outputs[0].numbers
        policy = step.policy
        assert policy is not None
        gone = not job.request.raw and loss.collapses
        findings.append(
            TensorRefusal(
                tensor=step.outputs[0].name,
                source=source.name,
                target=target.name,
                n_elements=loss.n_elements,
                n_overflow=n_out_of_range(loss, policy),
                n_infinite=n_ended_infinities(loss, policy) if policy.inf == "raise" else 0,
                n_nan_lost=loss.n_nan_lost if policy.nan == "raise" else 0,
                amax=loss.amax,
                holds=_taken_instead(source, target, loss, bool(gone)).name,
                collapse=loss.collapse_text() if gone else "",
            )
        )
    return _error(tuple(findings))


def _taken_instead(source: Format, target: Format, loss: Loss, gone: bool) -> Format:
    """The format for a tensor with this loss; the source's own where no other holds it."""
    if gone:
        return format_that_keeps(source, target, loss.amax)
    whole = source.is_integer
    return format_that_holds(target, loss.min or 0, loss.max or 0, whole=whole) or source


def _error(
    findings: tuple[TensorRefusal, ...],
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
