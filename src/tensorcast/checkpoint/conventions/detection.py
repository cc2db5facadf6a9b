"""Whether a checkpoint's weights mean something only together with their scales.

Casting the codes of such a weight as plain numbers gives a checkpoint that loads and is wrong.
Three witnesses are heard: the configuration and what quantizers leave beside it, the metadata of
the headers, and the tensors. A name counts where formats and shapes agree with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Final

from ...formats import Format
from ..files.strict_json import shortened
from ..protocol import TensorInfo
from .configuration import config_paths, header_keys, side_files
from .scale_names import (
    NO_CODES_WORDS,
    NO_SCALE_NAMES,
    NO_SCALE_WORDS,
    SCALE_NAMES,
    SCALE_WORDS,
    ScaleName,
)
from .scale_shapes import fits_as_scale, squeezed

_PATTERNS: Final = tuple(row.pattern for row in SCALE_NAMES)
_END: Final = 2
_ROWS: Final = {
    pattern[-_END:]: [row for row in SCALE_NAMES if row.pattern.endswith(pattern[-_END:])]
    for pattern in _PATTERNS
}
"""Rows by the last characters of their patterns: few are tried per name."""
_BORDERS: Final = re.compile(r"[./:]")
_CUTS: Final = re.compile(r"[./:_]")
_WORDS: Final = re.compile(r"[A-Za-z]+")
_WRAPPED: Final = re.compile(r"(?<=scale)\.(weight|value|data)$")
_LONG: Final = 1000
"""Characters of a name that are looked into."""
_EXPONENTS: Final = "float8_e8m0fnu"
_SHOWN: Final = 3
_COUNTED: Final = 100
_KINDS: Final = 16
"""Formats and shapes of codes in one module that are looked at."""


def scaled_reason(
    tensors: Sequence[TensorInfo],
    configs: Mapping[str, Mapping[str, object]] | None = None,
    files: Iterable[str] = (),
    metadata: Sequence[Mapping[str, str] | None] = (),
    *,
    place: str = "",
    names: Iterable[str] = (),
    unread: Sequence[str] = (),
) -> str | None:
    """Why the weights may not be cast as plain numbers, or None.

    Args:
        tensors: of the whole model; of one file, when there is no more.
        configs: configuration files by their names, parsed.
        files: names of the other files beside the weights.
        metadata: of the files' headers.
        place: where configurations and files lie, " beside it" for those of one file.
        names: of the model's tensors by its index, whose files may be missing.
        unread: files that cannot be read; they count if there are codes.
    """
    found = from_tensors(tensors)
    reasons = [found] if found else []
    for name, config in (configs or {}).items():
        for path in config_paths(config):
            reasons.append(f"{name}{place} has {shortened(path)}")
    coded = has_codes(tensors)
    for key in dict.fromkeys(key for each in metadata for key in header_keys(each or {}, coded)):
        reasons.append(f"the header's metadata has {shortened(key, 60)}")
    reasons += [f"the file {name!r} lies {place.strip() or 'in it'}" for name in side_files(files)]
    if not reasons:
        reasons += [f"the index lists {shortened(name)}" for name in _listed(names, tensors)]
    if not reasons and unread and coded:
        reasons += [f"{name!r}{place} cannot be read, and may tell of scales" for name in unread]
    shown = reasons[: _SHOWN + 1]
    if len(reasons) > len(shown):
        shown.append(f"and {len(reasons) - len(shown)} more signs")
    return "; ".join(shown) or None


def has_codes(tensors: Iterable[TensorInfo]) -> bool:
    """Whether a tensor can hold codes whose scales are elsewhere."""
    return any(
        (_is_codes(each) or (each.format.is_float and _is_codes(each, 1))) and not _is_index(each)
        for each in tensors
    )


def _listed(names: Iterable[str], tensors: Sequence[TensorInfo]) -> list[str]:
    """Names of scales of these tensors' codes, though the scales themselves are not here."""
    codes = {f".{each.name}" for each in tensors if _is_codes(each, 1) and not _is_index(each)}
    here = {each.name for each in tensors}
    return [
        name
        for name in names
        if name not in here
        and any(
            f".{name}".endswith(row.pattern)
            and any(f".{name}"[: -len(row.pattern)] + end in codes for end in row.partners)
            for row in _ROWS.get(f".{name}"[-_END:], ())
        )
    ]


def from_tensors(tensors: Sequence[TensorInfo]) -> str | None:
    """What the tensors' names, formats and shapes tell."""
    by_name = {tensor.name: tensor for tensor in tensors}
    codes = [tensor for tensor in tensors if _is_codes(tensor) and not _is_index(tensor)]
    known = _known(tensors, by_name, codes)
    others = chain(_exponents(tensors, codes), _beside(tensors, by_name, codes))
    found = list(islice(known, _COUNTED)) or list(islice(others, _COUNTED))
    if not found:
        return None
    shown = ", ".join(shortened(name) for name, _ in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    if len(found) == _COUNTED:
        more = " and many more"
    return f"it has {shown}{more} ({found[0][1]})"


def _is_codes(tensor: TensorInfo, n_dimensions: int = 2) -> bool:
    """Whether the tensor can hold codes: 8 bits or fewer, or integers that others are packed in."""
    format = tensor.format
    if format.kind == "bool" or len(tensor.shape) < n_dimensions or not tensor.n_elements:
        return False
    return format.bits <= 8 or (format.is_integer and format.bits == 32)


def _is_index(tensor: TensorInfo) -> bool:
    """Whether an integer tensor is called what only masks, positions and the like are."""
    words = _WORDS.findall(_last(tensor.name))
    return tensor.format.is_integer and bool(words) and words[-1].lower() in NO_CODES_WORDS


def _is_matrix(tensor: TensorInfo) -> bool:
    """Whether the tensor can be the weight of its module."""
    return len(tensor.shape) > 1 and not f".{tensor.name}".endswith(_PATTERNS)


def _is_kind(row: ScaleName, format: Format) -> bool:
    return row.kind == "any" or (format.is_float if row.kind == "float" else format.is_integer)


def _known(
    tensors: Sequence[TensorInfo],
    by_name: Mapping[str, TensorInfo],
    codes: Sequence[TensorInfo],
) -> Iterator[tuple[str, str]]:
    """Tensors that a row of the table names, with the writer."""
    above: set[tuple[str, str]] | None = None
    formats: set[str] = set()
    modules: set[str] | None = None
    for tensor in tensors:
        name = f".{tensor.name}"
        wrapped = _WRAPPED.sub("", name)  # `l.weight_scale.value`, `l.scale.weight`
        rows = list(_ROWS.get(name[-_END:], ()))
        if wrapped != name:
            name, rows = wrapped, [row for row in SCALE_NAMES if row.sign in ("codes", "missing")]
        for row in rows:
            if not name.endswith(row.pattern) or not _is_kind(row, tensor.format):
                continue
            stem = name[: -len(row.pattern)]
            if row.sign == "always":
                counts = True
            elif row.sign == "anywhere":
                counts = any(each.format.bits <= 8 for each in codes)
            elif row.sign == "block":
                if above is None:
                    small = (each for each in codes if each.format.bits <= 8)
                    above = {(part, each.format.name) for each in small for part in _above(each)}
                    formats = {format for _, format in above}
                others = formats - {tensor.format.name}
                counts = any((_module(tensor.name), format) in above for format in others)
            else:
                partners = [
                    by_name[partner[1:]]
                    for end in row.partners
                    if (partner := stem + end)[1:] in by_name
                ]
                counts = any(_is_pair(row, tensor, partner) for partner in partners)
                if not partners and row.sign == "missing" and wrapped == f".{tensor.name}":
                    if modules is None:
                        modules = {_module(each.name) for each in tensors if _is_matrix(each)}
                    counts = stem[1:] not in modules
            if counts:
                yield tensor.name, row.writer
                break


def _is_pair(row: ScaleName, tensor: TensorInfo, partner: TensorInfo) -> bool:
    """Whether a partner holds codes that the tensor can belong to."""
    if row.sign == "missing":  # a name that says it all is believed of one dimension too
        return _is_codes(partner, 1)
    same = partner is not tensor and partner.format == tensor.format
    # codes of 16 bits and words of 64 are believed where the name is a whole one
    wide = row.pattern[0] == "." and partner.format.is_integer and len(partner.shape) > 1
    return (wide or _is_codes(partner)) and (not same or tensor.format.name == "uint8")


def _exponents(
    tensors: Sequence[TensorInfo], codes: Sequence[TensorInfo]
) -> Iterator[tuple[str, str]]:
    """Tensors of float8_e8m0fnu, a format of scales, smaller than codes of another format."""
    small = (each for each in codes if each.format.bits <= 8)
    largest = max((t.n_elements for t in small if t.format.name != _EXPONENTS), default=0)
    for tensor in tensors:
        if tensor.format.name == _EXPONENTS and tensor.n_elements < largest:
            yield tensor.name, f"{_EXPONENTS} is a format of scales"


def _beside(
    tensors: Sequence[TensorInfo],
    by_name: Mapping[str, TensorInfo],
    codes: Sequence[TensorInfo],
) -> Iterator[tuple[str, str]]:
    """Tensors called or shaped like the scale of codes in the same module."""
    if not codes:
        return
    modules: dict[str, dict[tuple[str, tuple[int, ...]], TensorInfo]] = {}
    for each in codes:
        kinds = modules.setdefault(_module(each.name), {})
        if len(kinds) < _KINDS:
            kinds.setdefault((each.format.name, each.shape), each)
    names = {each.name for each in codes}
    for tensor in tensors:
        if not _can_be_scale(tensor.format):
            continue
        last = _last(tensor.name)
        kinds = modules.get(_module(tensor.name), {})
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
            yield tensor.name, f"it looks like the scale of {_shown(partner)}"


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
    return tensor.format.name == "uint8" and fewer and len(squeezed(tensor.shape)) > 1


def _can_be_scale(format: Format) -> bool:
    return format.is_float or (format.is_integer and format.bits == 8)


def _is_no_scale(last: str, words: frozenset[str]) -> bool:
    return bool(words & NO_SCALE_WORDS) or last in NO_SCALE_NAMES


@lru_cache(maxsize=1024)
def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORDS.findall(text[:_LONG]))


def _module(name: str) -> str:
    """The name before its last border: "" at the top."""
    end = max(name.rfind("."), name.rfind("/"), name.rfind(":"))
    return name[:end] if end > 0 else ""


def _last(name: str) -> str:
    return _BORDERS.split(name[-_LONG:])[-1]


def _above(tensor: TensorInfo) -> Iterator[str]:
    """The module of the tensor, the one around it, and the top."""
    module = _module(tensor.name)
    yield from (module, _module(module), "")


def _shown(tensor: TensorInfo) -> str:
    return f"{shortened(tensor.name)}, {tensor.format} {shortened(list(tensor.shape))}"
