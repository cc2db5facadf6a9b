"""Which tensors go with which codes, by module, name, format and shape.

A scale stands in the module of its codes; or its name is theirs but for words that mean a scale
and words that say nothing of which weight it is (`weights.l` with `scales.l`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from ...formats import Format
from ..files.strict_json import shortened
from ..protocol import TensorInfo
from .scale_names import (
    COMPANION_WORDS,
    NO_CODES_WORDS,
    NO_SCALE_NAMES,
    NO_SCALE_WORDS,
    NORM_WORDS,
    SCALE_WORDS,
    SHORT_CODES,
    SHORT_SCALES,
    WRAPPER_WORDS,
)
from .scale_shapes import fits_as_scale, squeezed

_BORDERS: Final = re.compile(r"[./:]")
_CUTS: Final = re.compile(r"[./:_]")
_WORDS: Final = re.compile(r"[A-Za-z]+")
_PARTS: Final = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])")
_BORDER_CODES: Final = {code: "." for code in range(128) if not chr(code).isalnum()}
_HINTS: Final = tuple(
    word
    for word in SCALE_WORDS
    if not any(word != other and other in word for other in SCALE_WORDS)
)
_SHORT: Final = re.compile(rf"(?:^|[^a-z])(?:{'|'.join(sorted(SHORT_SCALES))})[0-9]*(?:$|[^a-z])")
_LONG: Final = 1000
"""Characters of a name that are looked into."""
_KINDS: Final = 16
"""Formats and shapes of codes in one module, or of one name, that are looked at."""


def is_codes(tensor: TensorInfo, n_dimensions: int = 2) -> bool:
    """Whether the tensor can hold codes: 8 bits or fewer, or integers that others are packed in."""
    format = tensor.numbers
    if format.kind == "bool" or len(tensor.shape) < n_dimensions or not tensor.n_elements:
        return False
    return format.bits <= 8 or (format.is_integer and format.bits == 32)


def is_index(tensor: TensorInfo) -> bool:
    """Whether an integer tensor is called what only masks, positions and the like are."""
    words = _WORDS.findall(_last(tensor.name))
    return tensor.numbers.is_integer and bool(words) and words[-1].lower() in NO_CODES_WORDS


def codes_of(tensors: Iterable[TensorInfo], n_dimensions: int = 2) -> list[TensorInfo]:
    """The tensors that can hold codes."""
    return [each for each in tensors if is_codes(each, n_dimensions) and not is_index(each)]


def in_one_module(
    tensors: Sequence[TensorInfo],
    by_name: Mapping[str, TensorInfo],
    codes: Sequence[TensorInfo],
) -> Iterator[tuple[str, str]]:
    """Tensors called or shaped like the scale of codes in the same module, and why."""
    if not codes:
        return
    modules: dict[str, dict[tuple[str, tuple[int, ...]], TensorInfo]] = {}
    for each in codes:
        kinds = modules.setdefault(module_of(each.name), {})
        if len(kinds) < _KINDS:
            kinds.setdefault((each.numbers.name, each.shape), each)
    names = {each.name for each in codes}
    for tensor in tensors:
        if not _can_be_scale(tensor.numbers):
            continue
        last = _last(tensor.name)
        kinds = modules.get(module_of(tensor.name), {})
        others = [one for one in kinds.values() if _can_scale(tensor, one)]
        words = _words(last)
        named = _is_scale_word(words)
        partner: TensorInfo | None = None
        if named:
            partner = _named_after(tensor, words, names, by_name, others)
        if partner is None and others and not _is_no_scale(last, words):
            if named or len(others) == _KINDS:  # the name says it, or too many shapes to try
                partner = others[0]
            else:
                fit = (one for one in others if fits_as_scale(tensor.shape, one.shape))
                partner = next(fit, None)
        if partner is not None and _can_scale(tensor, partner):
            yield tensor.name, _like(partner)


def named_alike(
    tensors: Sequence[TensorInfo], codes: Sequence[TensorInfo]
) -> Iterator[tuple[str, str]]:
    """Tensors called a scale whose names are those of codes otherwise, and why.

    Args:
        tensors: among which scales may be; of any files.
        codes: of one or more dimensions.
    """
    maybe: list[tuple[TensorInfo, tuple[str, ...]]] = []
    short: list[tuple[TensorInfo, str]] = []
    for tensor in tensors if codes else ():
        if not _can_be_scale(tensor.numbers):
            continue
        if rests := rests_of_scale(tensor.name):
            maybe.append((tensor, rests))
        elif (rest := _short_rest_of_scale(tensor.name)) is not None:
            short.append((tensor, rest))
    if maybe:
        by_rest = _by_rest(codes, rest_of_codes, {rest for _, rests in maybe for rest in rests})
        for tensor, rests in maybe:
            pairs = (one for rest in rests for one in by_rest.get(rest, ()) if _fits(tensor, one))
            if (partner := next(pairs, None)) is not None:
                yield tensor.name, _like(partner)
    if short:
        by_rest = _by_rest(codes, _short_rest_of_codes, {rest for _, rest in short})
        for tensor, rest in short:
            pairs = (
                one
                for one in by_rest.get(rest, ())
                if _can_scale(tensor, one) and fits_as_scale(tensor.shape, one.shape)
            )
            if (partner := next(pairs, None)) is not None:
                yield tensor.name, _like(partner)


def may_be_scales(names: Sequence[str], codes: Sequence[TensorInfo]) -> Iterator[str]:
    """Those of the names, of tensors that are not here, that can be the scales of codes."""
    if not names or not codes:
        return
    rests = {rest_of_codes(each.name) for each in codes}
    modules = {module_of(each.name) for each in codes if len(each.shape) > 1} - {""}
    for name in names:
        last = _last(name)
        if any(rest in rests for rest in rests_of_scale(name)) or (
            module_of(name) in modules and not _is_no_scale(last, _words(last))
        ):
            yield name


def is_named_a_scale(name: str) -> bool:
    """Whether the name has a word that means a scale."""
    return any(_means_scale(part) for part in _parts(name))


def rest_of_codes(name: str) -> str:
    """What a name says of which weight it is.

    Example:
        >>> rest_of_codes("params/l.0/kernel"), rest_of_codes("fc_1.weight_quantized")
        ('l.0', 'fc.1')
    """
    return ".".join(part for part in _parts(name) if part not in WRAPPER_WORDS)


def rests_of_scale(name: str) -> tuple[str, ...]:
    """What the name of a scale says of which weight it is of, read in one or two ways; nothing if
    it is no name of a scale.

    Example:
        >>> [rests_of_scale(name) for name in ("scales.l.0", "fc.input_scale", "fc.bias")]
        [('l.0',), ('fc.input', 'fc'), ()]
    """
    lower = name.lower()
    if not any(word in lower for word in _HINTS):
        return ()
    parts = _parts(name)
    others = [part for part in parts if not _means_scale(part)]
    if len(others) == len(parts):
        return ()
    others = [part for part in others if part not in WRAPPER_WORDS]
    fewer = [part for part in others if part not in COMPANION_WORDS]
    return tuple(dict.fromkeys((".".join(others), ".".join(fewer))))


def _parts(name: str) -> list[str]:
    if name.isascii() and name.islower():  # most are, and this takes a fraction of the time
        return [part for part in name.translate(_BORDER_CODES).split(".") if part]
    return [part.lower() for part in _PARTS.split(name) if part]


def _means_scale(part: str) -> bool:
    if part in SCALE_WORDS:
        return True
    front = part.removesuffix("s").removesuffix("scale")
    return front in WRAPPER_WORDS and front != part.removesuffix("s")


def _short_rest_of_codes(name: str) -> str:
    return ".".join(
        part for part in _shortened(name, SHORT_CODES) if part and part not in WRAPPER_WORDS
    )


def _short_rest_of_scale(name: str) -> str | None:
    if not _SHORT.search(name.lower()):
        return None
    parts = _shortened(name, SHORT_SCALES)
    if parts == _parts(name):
        return None
    return ".".join(part for part in parts if part and part not in WRAPPER_WORDS)


def _shortened(name: str, letters: frozenset[str]) -> list[str]:
    """The parts of the name, of `w1` the number alone."""
    parts = _parts(name)
    fronts = [part.rstrip("0123456789") for part in parts]
    return [
        part[len(front) :] if front in letters else part
        for part, front in zip(parts, fronts, strict=True)
    ]


def _by_rest(
    codes: Sequence[TensorInfo], rest_of: Callable[[str], str], wanted: Collection[str]
) -> dict[str, list[TensorInfo]]:
    found: dict[str, list[TensorInfo]] = {}
    for each in codes:
        rest = rest_of(each.name)
        if rest in wanted:
            same = found.setdefault(rest, [])
            if len(same) < _KINDS:
                same.append(each)
    return found


def _fits(tensor: TensorInfo, codes: TensorInfo) -> bool:
    """Whether a tensor that is named as the scale of the codes can be it."""
    if tensor.name == codes.name:
        return False
    if not _can_scale(tensor, codes) and module_of(tensor.name) != module_of(codes.name):
        return False
    if len(codes.shape) == 1:
        exempt = (_words(_last(codes.name)) | _words(_last(tensor.name))) & NORM_WORDS
        return not exempt and fits_as_scale(tensor.shape, codes.shape)
    return tensor.n_elements < codes.n_elements or fits_as_scale(tensor.shape, codes.shape)


def _named_after(
    tensor: TensorInfo,
    words: frozenset[str],
    names: set[str],
    by_name: Mapping[str, TensorInfo],
    here: Sequence[TensorInfo],
) -> TensorInfo | None:
    """The codes whose name the scale's own name carries on: `x.weight` of `x.weight.scale`."""
    text = tensor.name[:_LONG]
    for cut in _CUTS.finditer(text):
        if text[: cut.start()] in names:
            return by_name[text[: cut.start()]]
    stem = words - {word for word in words if _is_scale_word({word})}
    return next((one for one in here if stem and stem <= _words(_last(one.name))), None)


def _is_scale_word(words: Iterable[str]) -> bool:
    return any(word in SCALE_WORDS or word.endswith(("scale", "scales")) for word in words)


def _can_scale(tensor: TensorInfo, codes: TensorInfo) -> bool:
    """Whether the formats allow it: codes and their scales differ, but for bytes that hold four
    bits twice beside bytes that hold exponents, a matrix of these too."""
    if tensor.format != codes.format:
        return True
    fewer = tensor.n_elements * 4 <= codes.n_elements
    return tensor.numbers.name == "uint8" and fewer and len(squeezed(tensor.shape)) > 1


def _can_be_scale(format: Format) -> bool:
    return format.is_float or (format.is_integer and format.bits == 8)


def _is_no_scale(last: str, words: frozenset[str]) -> bool:
    return bool(words & NO_SCALE_WORDS) or last in NO_SCALE_NAMES


@lru_cache(maxsize=1024)
def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORDS.findall(text[:_LONG]))


def module_of(name: str) -> str:
    """The name before its last border: "" at the top."""
    end = max(name.rfind("."), name.rfind("/"), name.rfind(":"))
    return name[:end] if end > 0 else ""


def _last(name: str) -> str:
    return _BORDERS.split(name[-_LONG:])[-1]


def _like(codes: TensorInfo) -> str:
    shape = shortened(list(codes.shape))
    return f"it looks like the scale of {shortened(codes.name)}, {codes.numbers} {shape}"
