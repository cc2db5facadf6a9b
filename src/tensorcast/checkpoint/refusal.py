"""The error that names every tensor its target does not hold, and the format that would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..casting import n_ended_infinities, n_out_of_range
from ..formats import FORMATS, Format
from ..loss import Loss
from .convert import measure_steps
from .errors import Finding, TensorNanError, TensorOverflowError
from .plan import Plan

_FLOATS: Final = ("float16", "bfloat16", "float32", "float64")
_INTEGERS: Final = "int8 uint8 int16 uint16 int32 uint32 int64 uint64".split()


def refusal(
    plan: Plan, failures: Sequence[int], *, threads: int
) -> TensorOverflowError | TensorNanError:
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
                holds=holder(source, target, loss).name,
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


def _error(findings: tuple[Finding, ...]) -> TensorOverflowError | TensorNanError:
    overflow = any(finding.n_overflow for finding in findings)
    infinite = any(finding.n_infinite for finding in findings)
    count = f"{len(findings)} tensor{'s do' if len(findings) > 1 else ' does'}"
    lines = [f"{count} not fit; no destination was written"]
    lines += [f"  {finding}" for finding in findings]
    lost = [finding for finding in findings if finding.n_overflow or finding.n_nan_lost]
    ways = 'overflow="keep" leaves such tensors in their format'
    if overflow:
        ways += ', "saturate" gives the nearest extreme'
    if infinite:
        ways += ', inf="keep" lets infinities be, inf="saturate" makes them the largest value'
    if any(finding.n_nan_lost for finding in findings):
        ways += ', nan="zero" turns NaN into 0'
    if lost:
        ways = f"A rule ({lost[0].tensor}={lost[0].holds}) chooses another format; {ways}"
    lines.append(f"{ways}.")
    message = "\n".join(lines)
    return (
        TensorOverflowError(message, findings)
        if overflow or infinite
        else TensorNanError(message, findings)
    )
