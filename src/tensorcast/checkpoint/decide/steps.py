"""Which tensor becomes what, under which policy, and where in which file it goes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from ...errors import CastError, PolicyError, UnsupportedCheckpointError
from ...formats import Format
from ...policy import Policy, ResolvedPolicy, changes_nothing
from ..kinds import writer_of
from ..protocol import Checkpoint, TensorInfo, TensorSpec
from .job import Request, Shard, Step
from .rules import Choice
from .shards import Group


def targets(
    source: Checkpoint, choices: Mapping[str, Choice], kept: Mapping[str, str]
) -> list[TensorSpec]:
    """Every tensor as it will be, in the source's order.

    Args:
        choices: tensor -> what the rules say.
        kept: tensors to leave in their source format, with the reason.
    """
    return [
        TensorSpec(
            tensor.name,
            tensor.format if tensor.name in kept else choices[tensor.name].format,
            tensor.shape,
        )
        for tensor in source.tensors
    ]


def shards_and_steps(
    source: Checkpoint,
    groups: Sequence[Group],
    request: Request,
    choices: Mapping[str, Choice],
    kept: Mapping[str, str],
) -> tuple[tuple[Shard, ...], tuple[Step, ...]]:
    """The files to write, and a step for each tensor in the order of their bytes.

    Raises:
        PolicyError, CastError: the policy does not fit a tensor's formats.
        CheckpointError: a file cannot hold a tensor.
    """
    shards: list[Shard] = []
    steps: list[Step] = []
    for each in groups:
        layout = writer_of(each.file).lay_out(each.file, each.specs, each.metadata)
        shards.append(Shard(each.file, layout.n_bytes, each.metadata))
        for output in layout.tensors:
            origin, choice = source.by_name[output.name], choices[output.name]
            why = kept.get(output.name)
            policy = _policy(request, origin, output, choice, why is not None)
            reason = None if policy is not None else why or _why_kept(origin, choice)
            steps.append(Step((origin,), (output,), policy, None, reason))
    return tuple(shards), tuple(steps)


def _why_kept(tensor: TensorInfo, choice: Choice) -> str | None:
    """Why the format stays the source's, if it does."""
    if choice.format != tensor.format:
        return None
    if choice.rule is not None:
        return f"the rule {str(choice.rule)!r}"
    return "already" if tensor.numbers.is_float else "not a floating format"


def _policy(
    request: Request, origin: TensorInfo, output: TensorInfo, choice: Choice, kept: bool
) -> ResolvedPolicy | None:
    """The policy of a tensor's cast; None where its bytes are copied."""
    left_alone = kept or (choice.rule is not None and choice.rule.format is None)
    if origin.format == output.format and (left_alone or request.inf == "keep"):
        return None
    for each in (origin, output):
        if not each.is_plain:
            raise UnsupportedCheckpointError(
                f"{origin.name!r} is stored as {each.format.name}, in blocks with scales, which "
                f"are not applied yet; leave it as it is (keep={origin.name!r})"
            )
    before, after = origin.numbers, output.numbers
    _check_ieee(request, origin, after)
    overflow = "raise" if request.overflow == "keep" else request.overflow
    policy = Policy(
        overflow,
        request.rounding,
        request.nan,
        seed=tensor_seed(request.seed, origin.name),
        inf=request.inf,
    )
    if changes_nothing(before, after, policy):
        return None
    try:
        return policy.resolve(before, after)
    except PolicyError as error:
        raise PolicyError(f"{origin.name!r}: {error}") from None
    except CastError as error:
        raise CastError(f"{origin.name!r}: {error}") from None


def _check_ieee(request: Request, origin: TensorInfo, target: Format) -> None:
    """Said here, where "wrap" is no way out."""
    if request.overflow == "ieee" and (target.is_integer or target.kind == "bool"):
        raise PolicyError(
            f'{origin.name!r}: overflow="ieee" gives infinity or NaN, but {target.name} is '
            'not a floating format; use "saturate", "keep" or "raise"'
        )


def tensor_seed(seed: int, name: str) -> int:
    """The seed of one tensor's stochastic rounding: the same wherever and however it runs."""
    digest = hashlib.sha256(name.encode("utf-8")).digest()
    return seed ^ int.from_bytes(digest[:8], "little")
