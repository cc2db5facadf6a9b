"""What a cast does where the target cannot hold a value: the policy, checked before any work.

>>> from tensorcast.policy import Policy
>>> Policy(overflow="saturate").resolve("float32", "int8").rounding
'toward-zero'
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, TypedDict, TypeVar, cast, get_args, get_type_hints

from .errors import CastError, PolicyError
from .formats import Format, lookup

Overflow = Literal["raise", "saturate", "wrap", "ieee"]
Rounding = Literal["nearest-even", "toward-zero", "down", "up", "stochastic"]
Nan = Literal["raise", "zero"]
Inf = Literal["keep", "saturate", "raise"]

OVERFLOWS: Final[tuple[Overflow, ...]] = get_args(Overflow)
ROUNDINGS: Final[tuple[Rounding, ...]] = get_args(Rounding)
NANS: Final[tuple[Nan, ...]] = get_args(Nan)
INFS: Final[tuple[Inf, ...]] = get_args(Inf)

_F = TypeVar("_F", bound=Callable[..., Any])


class RoundingOptions(TypedDict, total=False):
    """The keywords of a verb that rounds: those of `PolicyOptions` that ask of every number."""

    overflow: Overflow
    rounding: Rounding | None


class PolicyOptions(RoundingOptions, total=False):
    """The policy keywords of every verb, with the types of `Policy`, where their defaults stand."""

    nan: Nan
    inf: Inf
    exact: bool
    seed: int


@dataclass(frozen=True)
class Policy:
    """How a cast treats what the target format cannot hold.

    Attributes:
        overflow: for a finite value that, rounded to the target's precision with an unbounded
            exponent, lies outside the target's finite range, and for an infinity the target
            does not have. "raise": nothing is written. "saturate": the nearest finite extreme.
            "wrap": modulo 2^bits, integer targets only (an infinity still raises). "ieee": as IEEE
            754-2019, 7.4: infinity, or NaN in a format without infinity; but where the rounding is
            toward zero or away from that end of the range, the largest finite value. Float targets
            only.
        rounding: "nearest-even", "toward-zero", "down" (toward -infinity), "up" (toward
            +infinity), "stochastic" (up with the probability of the discarded fraction, from
            `seed` and the element's index). None: nearest-even to floats, toward-zero to
            integers.
        nan: for a NaN where the target has none: "raise", or "zero" (+0).
        exact: refuse the cast if any value would change.
        seed: of stochastic rounding, 0 to 2^64 - 1.
        inf: for an infinity where the target has one: "keep"; "saturate": the largest finite value
            of its sign; "raise". Where the target has none, `overflow` decides.

    Raises:
        PolicyError: a value is none of the above.
    """

    overflow: Overflow = "raise"
    rounding: Rounding | None = None
    nan: Nan = "raise"
    exact: bool = False
    seed: int = 0
    inf: Inf = "keep"

    def __post_init__(self) -> None:
        _one_of("overflow", self.overflow, OVERFLOWS)
        if self.rounding is not None:
            _one_of("rounding", self.rounding, ROUNDINGS)
        _one_of("nan", self.nan, NANS)
        _one_of("inf", self.inf, INFS)
        if not isinstance(self.exact, bool):
            raise PolicyError(f"exact={self.exact!r} is not True or False")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 1 << 64:
            raise PolicyError(f"seed={self.seed!r} is not an integer from 0 to 2^64 - 1")

    @lru_cache(maxsize=1024)  # noqa: B019 - policies are values, and few
    def resolve(self, source: Format | str, target: Format | str) -> ResolvedPolicy:
        """The policy with its defaults filled in for one pair of formats.

        Raises:
            PolicyError: the overflow policy does not fit the target: "wrap" needs an integer
                target, "ieee" a float target with an infinity or a NaN.
            CastError: the source is complex and the target real.
        """
        source, target = lookup(source), lookup(target)
        if source.is_complex and not target.is_complex and target.kind != "bool":
            raise CastError(
                f"{source.name} to {target.name} would drop the imaginary part; take .real (or "
                "abs) first, or cast to complex64 or complex128; tensorcast.cast with exact=True "
                "takes them where every imaginary part is zero"
            )
        if self.overflow == "wrap" and not target.is_integer:
            raise PolicyError(
                f'overflow="wrap" is modulo 2^bits and needs an integer target, not {target.name}; '
                f'use "saturate"{_ieee_too(target)} or "raise"'
            )
        if self.overflow == "ieee" and not _has_ieee(target):
            lacks = (
                "has neither infinity nor NaN" if target.is_float else "is not a floating format"
            )
            other = '"saturate" or "wrap"' if target.is_integer else '"saturate"'
            raise PolicyError(
                f'overflow="ieee" gives infinity or NaN, but {target.name} {lacks}; '
                f'use {other} or "raise"'
            )
        default: Rounding = "toward-zero" if target.is_integer else "nearest-even"
        return ResolvedPolicy(
            self.overflow, self.rounding or default, self.nan, self.exact, self.seed, self.inf
        )


@dataclass(frozen=True)
class ResolvedPolicy:
    """A policy that fits its pair of formats, every default filled in; see `Policy`."""

    overflow: Overflow
    rounding: Rounding
    nan: Nan
    exact: bool
    seed: int
    inf: Inf = "keep"


def can_refuse(source: Format, target: Format, policy: ResolvedPolicy) -> bool:
    """Whether some value of the source could make the policy refuse; exact=True is not looked at.

    Example:
        >>> from tensorcast.formats import FORMATS
        >>> float16, float32 = FORMATS["float16"], FORMATS["float32"]
        >>> policy = Policy().resolve(float32, float16)
        >>> can_refuse(float32, float16, policy), can_refuse(float16, float32, policy)
        (True, False)
    """
    if policy.nan == "raise" and source.component.has_nan and not _keeps_nan(target):
        return True
    if policy.inf == "raise" and ends_infinities(source, target, policy):
        return True
    if policy.overflow not in ("raise", "wrap") or source == target or target.kind == "bool":
        return False
    if policy.overflow == "wrap":
        return source.component.infinity
    inside = source.max_exact <= target.max_exact and source.min_exact >= target.min_exact
    no_zero = target.component.is_float and not target.component.subnormals
    return not inside or no_zero or (source.component.infinity and not target.component.infinity)


@lru_cache(maxsize=1024)
def ends_infinities(source: Format, target: Format, policy: Policy | ResolvedPolicy) -> bool:
    """Whether the source and the target have infinities, and the policy does not keep them."""
    return policy.inf != "keep" and source.component.infinity and target.component.infinity


@lru_cache(maxsize=1024)
def changes_nothing(source: Format, target: Format, policy: Policy | ResolvedPolicy) -> bool:
    """Whether a cast gives back what it got: to the same format, but for infinities that the policy
    does not keep."""
    return source == target and (policy.inf == "keep" or not source.component.infinity)


def _keeps_nan(target: Format) -> bool:
    return target.component.has_nan or target.kind == "bool"


def _has_ieee(target: Format) -> bool:
    return target.is_complex or (target.is_float and (target.infinity or target.has_nan))


def _ieee_too(target: Format) -> str:
    return ', "ieee"' if _has_ieee(target) else ""


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value in choices:
        return
    raise PolicyError(
        f"{name}={value!r} is not one of {', '.join(choices)}{_near(str(value), choices)}"
    )


def _near(given: str, choices: Iterable[str]) -> str:
    near = difflib.get_close_matches(given, choices, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


DEFAULT_POLICY: Final = Policy()
"""What a call without policy keywords asks for."""

_remembered: Final = lru_cache(maxsize=256, typed=True)(Policy)

POLICY_DEFAULTS: Final[Mapping[str, Any]] = {
    name: getattr(DEFAULT_POLICY, name) for name in PolicyOptions.__annotations__
}
"""Every policy keyword and its default."""


def policy_of(verb: str, options: RoundingOptions | PolicyOptions) -> Policy:
    """The policy that the keywords of a call ask for.

    Args:
        verb: the function that was called, for messages.
        options: the keywords; what is missing has `Policy`'s default.

    Raises:
        PolicyError: a value is none that `Policy` knows.
        TypeError: no policy has such a keyword.

    Example:
        >>> policy_of("cast", {"overflow": "saturate"}) == Policy(overflow="saturate")
        True
    """
    if not options:
        return DEFAULT_POLICY
    try:
        return _remembered(**options)
    except (TypeError, ValueError):  # no such keyword, or a value that is not hashable
        for name in options:
            if name not in POLICY_DEFAULTS:
                near = _near(name, POLICY_DEFAULTS)
                text = f"{verb}() got an unexpected keyword argument {name!r}{near}"
                raise TypeError(text) from None
        return Policy(**options)


def shows_policy(
    options: type[RoundingOptions] = PolicyOptions, **defaults: object
) -> Callable[[_F], _F]:
    """A decorator: in place of `**policy`, the signature of the function shows each keyword.

    Args:
        options: which keywords the function takes.
        **defaults: of keywords that have another default in this function than in `Policy`.

    Example:
        >>> @shows_policy()
        ... def double(x, *, copy=False, **policy):
        ...     ...
        >>> list(inspect.signature(double).parameters)[:3]
        ['x', 'overflow', 'rounding']
    """

    def decorate(function: _F) -> _F:
        signature = inspect.signature(function)
        *named, rest = signature.parameters.values()
        assert rest.kind is rest.VAR_KEYWORD
        keywords = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(name, POLICY_DEFAULTS[name]),
                annotation=hint,
            )
            for name, hint in get_type_hints(options).items()
        ]
        by_name = [one for one in named if one.kind is one.KEYWORD_ONLY]
        positional = [one for one in named if one.kind is not one.KEYWORD_ONLY]
        parameters = [*positional, *keywords, *by_name]
        cast(Any, function).__signature__ = signature.replace(parameters=parameters)
        return function

    return decorate
