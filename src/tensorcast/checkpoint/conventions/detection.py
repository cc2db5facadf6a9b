"""Whether a checkpoint's weights mean something only together with their scales.

Casting the codes of such a weight as plain numbers gives a checkpoint that loads and is wrong.
Three witnesses are heard: the configuration and what quantizers leave beside it, the metadata of
the headers, and the tensors. A name counts where formats and shapes agree with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Final

from ...formats import Format
from ..files.strict_json import shortened
from ..protocol import TensorInfo
from .configuration import config_paths, header_keys, side_files
from .scale_names import SCALE_NAMES, ScaleName
from .scale_pairs import (
    codes_of,
    in_one_module,
    is_codes,
    is_index,
    is_named_a_scale,
    may_be_scales,
    module_of,
    named_alike,
)

_PATTERNS: Final = tuple(row.pattern for row in SCALE_NAMES)
_END: Final = 2
_ROWS: Final = {
    pattern[-_END:]: [row for row in SCALE_NAMES if row.pattern.endswith(pattern[-_END:])]
    for pattern in _PATTERNS
}
"""Rows by the last characters of their patterns: few are tried per name."""
_WRAPPED: Final = re.compile(r"(?<=scale)\.(weight|value|data)$")
_EXPONENTS: Final = "float8_e8m0fnu"
_SHOWN: Final = 3
_COUNTED: Final = 100


def scaled_reason(
    tensors: Sequence[TensorInfo],
    configs: Mapping[str, Mapping[str, object]] | None = None,
    files: Iterable[str] = (),
    metadata: Sequence[Mapping[str, str] | None] = (),
    *,
    place: str = "",
    names: Sequence[str] = (),
    unread: Sequence[str] = (),
    absent: Sequence[str] = (),
    coded: bool | None = None,
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
        absent: shards that are not there and that no index tells of; they count if there are codes.
        coded: whether there are codes, where `tensors` are not all of them.
    """
    if coded is None:
        coded = has_codes(tensors)
    found = from_tensors(tensors, names, elsewhere=bool(absent))
    reasons = [found] if found else []
    for name, config in (configs or {}).items():
        for path in config_paths(config, coded):
            reasons.append(f"{name}{place} has {shortened(path)}")
    for key in dict.fromkeys(key for each in metadata for key in header_keys(each or {}, coded)):
        reasons.append(f"the header's metadata has {shortened(key, 60)}")
    reasons += [f"the file {name!r} lies {place.strip() or 'in it'}" for name in side_files(files)]
    if not reasons:
        reasons += [f"the index lists {shortened(name)}" for name in _listed(names, tensors)]
    if not reasons and unread and coded:
        reasons += [f"{name!r}{place} cannot be read, and may tell of scales" for name in unread]
    if not reasons and absent and coded:
        reasons.append(f"{absent[0]!r} is not there, and may hold its scales")
    shown = reasons[: _SHOWN + 1]
    if len(reasons) > len(shown):
        shown.append(f"and {len(reasons) - len(shown)} more signs")
    return "; ".join(shown) or None


def has_codes(tensors: Iterable[TensorInfo]) -> bool:
    """Whether a tensor can hold codes whose scales are elsewhere."""
    return any(
        is_codes(each, 1)
        and (len(each.shape) > 1 or each.numbers.is_float or each.numbers.name == "int8")
        and not is_index(each)
        for each in tensors
    )


def _listed(names: Sequence[str], tensors: Sequence[TensorInfo]) -> list[str]:
    """Names of scales of these tensors' codes, though the scales themselves are not here."""
    here = {each.name for each in tensors}
    missing = [name for name in names if name not in here]
    codes = codes_of(tensors, 1) if missing else []
    ends = {f".{each.name}" for each in codes}
    alike = set(may_be_scales(missing, codes))
    return [
        name
        for name in missing
        if name in alike
        or any(
            f".{name}".endswith(row.pattern)
            and any(f".{name}"[: -len(row.pattern)] + end in ends for end in row.partners)
            for row in _ROWS.get(f".{name}"[-_END:], ())
        )
    ]


def from_tensors(
    tensors: Sequence[TensorInfo], names: Iterable[str] = (), elsewhere: bool = False
) -> str | None:
    """What the tensors' names, formats and shapes tell.

    Args:
        tensors: those that are here.
        names: those of the whole model, as far as they are known.
        elsewhere: whether there are more that nobody knows of.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    codes = codes_of(tensors)
    vectors = codes_of(tensors, 1)
    alone = elsewhere or bool(vectors) or all(_is_scale(each.name) for each in tensors)
    known = _known(tensors, by_name, codes, frozenset(names), alone)
    others = chain(
        _exponents(tensors, codes),
        in_one_module(tensors, by_name, codes),
        named_alike(
            tensors, [each for each in tensors if is_codes(each, 1) and each.n_elements > 1]
        ),
    )
    found = list(islice(known, _COUNTED)) or list(islice(others, _COUNTED))
    if not found:
        return None
    shown = ", ".join(shortened(name) for name, _ in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    if len(found) == _COUNTED:
        more = " and many more"
    return f"it has {shown}{more} ({found[0][1]})"


def _is_scale(name: str) -> bool:
    return f".{name}".endswith(_PATTERNS) or is_named_a_scale(name)


def _is_matrix(tensor: TensorInfo) -> bool:
    """Whether the tensor can be the weight of its module."""
    return len(tensor.shape) > 1 and not f".{tensor.name}".endswith(_PATTERNS)


def _is_kind(row: ScaleName, format: Format) -> bool:
    return row.kind == "any" or (format.is_float if row.kind == "float" else format.is_integer)


def _known(
    tensors: Sequence[TensorInfo],
    by_name: Mapping[str, TensorInfo],
    codes: Sequence[TensorInfo],
    names: frozenset[str],
    alone: bool,
) -> Iterator[tuple[str, str]]:
    """Tensors that a row of the table names, with the writer.

    Args:
        names: of tensors that are in the model, here or not.
        alone: whether a name counts though its partner is not here.
    """
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
            if not name.endswith(row.pattern) or not _is_kind(row, tensor.numbers):
                continue
            stem = name[: -len(row.pattern)]
            if row.sign == "always":
                counts = True
            elif row.sign == "anywhere":
                counts = any(each.numbers.bits <= 8 for each in codes)
            elif row.sign == "block":
                if above is None:
                    small = (each for each in codes if each.numbers.bits <= 8)
                    above = {(part, each.numbers.name) for each in small for part in _above(each)}
                    formats = {format for _, format in above}
                others = formats - {tensor.numbers.name}
                counts = any((module_of(tensor.name), format) in above for format in others)
            else:
                partners = [
                    by_name[partner[1:]]
                    for end in row.partners
                    if (partner := stem + end)[1:] in by_name
                ]
                counts = any(_is_pair(row, tensor, partner) for partner in partners)
                lost = not partners and row.sign == "missing" and wrapped == f".{tensor.name}"
                if lost and (alone or any((stem + end)[1:] in names for end in row.partners)):
                    if modules is None:
                        modules = {module_of(each.name) for each in tensors if _is_matrix(each)}
                    counts = stem[1:] not in modules
            if counts:
                yield tensor.name, row.writer
                break


def _is_pair(row: ScaleName, tensor: TensorInfo, partner: TensorInfo) -> bool:
    """Whether a partner holds codes that the tensor can belong to."""
    if row.sign == "missing":  # a name that says it all is believed of one dimension too
        return is_codes(partner, 1)
    same = partner is not tensor and partner.format == tensor.format
    # codes of 16 bits and words of 64 are believed where the name is a whole one
    wide = row.pattern[0] == "." and partner.numbers.is_integer and len(partner.shape) > 1
    return (wide or is_codes(partner)) and (not same or tensor.numbers.name == "uint8")


def _exponents(
    tensors: Sequence[TensorInfo], codes: Sequence[TensorInfo]
) -> Iterator[tuple[str, str]]:
    """Tensors of float8_e8m0fnu, a format of scales, smaller than codes of another format."""
    small = (each for each in codes if each.numbers.bits <= 8)
    largest = max((t.n_elements for t in small if t.numbers.name != _EXPONENTS), default=0)
    for tensor in tensors:
        if tensor.numbers.name == _EXPONENTS and tensor.n_elements < largest:
            yield tensor.name, f"{_EXPONENTS} is a format of scales"


def _above(tensor: TensorInfo) -> Iterator[str]:
    """The module of the tensor, the one around it, and the top."""
    module = module_of(tensor.name)
    yield from (module, module_of(module), "")
