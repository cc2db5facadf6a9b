"""config.json with its dtype set, everything else as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from math import frexp
from typing import Final

from ...errors import FormatError
from ...formats import FORMATS, Format, lookup
from ...words.text import safe, shorten
from ..protocol import TensorInfo

_KEYS: Final = ("dtype", "torch_dtype")


# what torch takes as a default dtype, and transformers builds a model in
_BUILT_IN: Final = ("float32", "bfloat16", "float16", "float64")


def model_format(pairs: Iterable[tuple[TensorInfo, TensorInfo]], to: Format) -> Format | None:
    """The format that the dtype in config.json shall name; None: what the source says.

    transformers builds the model in it before it reads a weight, and casts what it reads. A
    format that no model can be built in (float8, an integer) is never named.

    Args:
        pairs: source and output of every tensor.
        to: what was asked for; rules may have given some tensors, or all, another format.
    """
    changed: set[Format] = set()
    floats: set[Format] = set()
    for source, output in pairs:
        if source.format != output.format:
            changed.add(output.numbers)
        if output.numbers.is_float:
            floats.add(output.numbers)
    if to.name in _BUILT_IN and to in changed:
        return to
    if changed and len(floats) == 1 and (one := floats.pop()).name in _BUILT_IN:
        return one
    return None


def loading_format(
    config: Mapping[str, object],
    pairs: Iterable[tuple[TensorInfo, TensorInfo]],
    named: Format | None,
    *,
    overflowed: bool = False,
) -> Format | None:
    """A wider format than the one that config.json would name, where floating tensors are written
    that it does not hold: transformers casts them to it, without a word of what overflows. None
    where it holds all, or nothing changes.

    Args:
        config: the parsed text.
        pairs: source and output of every tensor.
        named: from `model_format`.
        overflowed: tensors were kept because they hold values that the target does not: then every
            value counts, where else exponents do.
    """
    pairs = list(pairs)
    reach = _largest if overflowed else _reach
    floats = {output.numbers for _, output in pairs if output.numbers.is_float}
    if not floats or all(source.format == output.format for source, output in pairs):
        return None
    said = next((config[key] for key in _KEYS if config.get(key) is not None), None)
    narrow = {named} if named is not None else set()
    if said is None and "model_type" in config:  # the first weight of the file would decide
        narrow |= {format for format in floats if format.name in _BUILT_IN}
        if named is None:
            narrow |= {source.numbers for source, _ in pairs if source.numbers.name in _BUILT_IN}
    if named is None and isinstance(said, str):
        narrow |= {FORMATS[name] for name in _BUILT_IN if _names_one(said, [FORMATS[name]])}
    most = max(map(reach, floats))
    if all(reach(format) >= most for format in narrow):
        return None
    built = [format for format in floats if format.name in _BUILT_IN]
    for name in ("float16", "bfloat16", "float32", "float64"):
        row = FORMATS[name]
        exact = all(row.mantissa_bits >= format.mantissa_bits for format in built)
        if reach(row) >= most and exact:
            return row
    return None


def narrowed_on_load(text: str, kept: Iterable[TensorInfo]) -> str | None:
    """What to say of tensors that stayed as they were, and that transformers makes narrower when it
    loads the model in the dtype of its configuration; None where there are none.

    Args:
        text: of config.json as it is written.
        kept: the tensors that keep their format.
    """
    config = json.loads(text)
    said = next((config[key] for key in _KEYS if isinstance(config.get(key), str)), None)
    row = next((FORMATS[name] for name in _BUILT_IN if _names_one(said, [FORMATS[name]])), None)
    if row is None:
        return None
    names = [
        one.name
        for one in kept
        if one.numbers.is_float and one.numbers.mantissa_bits > row.mantissa_bits
    ]
    if not names:
        return None
    shown = ", ".join(repr(shorten(safe(name), 60)) for name in names[:3])
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    verb = "is" if len(names) == 1 else "are"
    return (
        f"config.json's dtype is {row}: {shown}{more} {verb} written wider, and transformers makes "
        f"{row} of {'it' if len(names) == 1 else 'them'} when it loads the model, unless "
        "from_pretrained is called with a wider dtype="
    )


def too_narrow(format: Format) -> set[Format]:
    """The formats that a model can be built in and that do not reach as far as this one."""
    return {row for name in _BUILT_IN if (row := FORMATS[name]).max < format.max}


def _largest(format: Format) -> float:
    return float(format.max)


def _reach(format: Format) -> float:
    """The exponent of the largest value. bfloat16 reaches as far as float32: all but the last 0.4%,
    and norms kept in float32 beside bfloat16 weights are everyday."""
    return frexp(float(format.max))[1]


def completed_config(
    config: dict[str, object],
    text: str,
    pairs: Iterable[tuple[TensorInfo, TensorInfo]],
    named: Format | None,
    *,
    always: bool = False,
) -> tuple[dict[str, object], str]:
    """A transformers configuration and its text, with a dtype where it has to have one.

    Without one transformers takes the format of a weight in the file, and fails where that is
    one that no model can be built in. Then the dtype is `named`, or that of most of the source's
    values. With `always` it is added whatever the formats are: where they are several, the first
    weight in the file would decide.
    """
    if "model_type" not in config or any(config.get(key) is not None for key in _KEYS):
        return config, text
    n_elements: dict[Format, int] = {}
    unbuilt = False
    for source, output in pairs:
        if source.numbers.is_float:
            n_elements[source.numbers] = n_elements.get(source.numbers, 0) + source.n_elements
            unbuilt |= output.format.name not in _BUILT_IN
    if not (unbuilt or always) or not n_elements:
        return config, text
    most = named or max(n_elements, key=lambda format: n_elements[format])
    if most.name not in _BUILT_IN:
        return config, text
    key = next((key for key in _KEYS if key in config), "dtype")
    config = config | {key: most.name}
    return config, json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def retyped_config(
    config: dict[str, object], text: str, to: Format | None, sources: Collection[Format]
) -> str:
    """The text of config.json for weights that became `to`.

    `dtype` and `torch_dtype` at the top are set, whichever is there; deeper ones
    (`text_config.dtype`) where they name one of the formats that were converted. Order,
    indentation and the rest of the text stay.

    Args:
        config: the parsed text.
        text: of config.json.
        to: from `model_format`; None, or one that no model is built in, leaves the text as it is.
        sources: formats of the tensors that change.
    """
    if to is None or to.name not in _BUILT_IN or not sources:
        return text
    name = to.spellings["torch"]
    wanted = _retyped(config, name, sources, top=True)
    if wanted == config:
        return text
    edited = text
    # every spelling of a changed value, replaced where it stands; the parse below is the judge
    for old in {value for value in _values(config) if isinstance(value, str)}:
        if _names_one(old, sources) or old in (config.get(key) for key in _KEYS):
            pattern = rf'("(?:torch_)?dtype"\s*:\s*)"{re.escape(old)}"'
            prefix = "torch." if old.startswith("torch.") else ""
            edited = re.sub(pattern, rf'\g<1>"{prefix}{name}"', edited)
    try:
        if json.loads(edited) == wanted:
            return edited
    except ValueError:
        pass
    return json.dumps(wanted, indent=2, ensure_ascii=False) + "\n"


def _names_one(value: object, formats: Collection[Format]) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return lookup(value, "torch") in formats
    except FormatError:
        return False


def _values(node: object) -> list[object]:
    """Everything that stands under a dtype key, at any depth."""
    if isinstance(node, list):
        return [value for item in node for value in _values(item)]
    if not isinstance(node, dict):
        return []
    found = [node[key] for key in _KEYS if key in node]
    return found + [value for item in node.values() for value in _values(item)]


def _retyped(node: object, name: str, sources: Collection[Format], *, top: bool) -> object:
    if isinstance(node, list):
        return [_retyped(item, name, sources, top=False) for item in node]
    if not isinstance(node, dict):
        return node
    changed: dict[str, object] = {}
    for key, value in node.items():
        if key in _KEYS and (top or _names_one(value, sources)):
            prefix = "torch." if isinstance(value, str) and value.startswith("torch.") else ""
            changed[key] = prefix + name
        else:
            changed[key] = _retyped(value, name, sources, top=False)
    return changed
