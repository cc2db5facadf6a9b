"""What of a module stays in float32 when the rest becomes narrower: the one rule of it.

Kept is what code keeps in float32 on purpose and can take beside narrower weights:

- a normalisation layer with running statistics, whole: `batch_norm` takes narrow inputs with
  float32 weights and statistics, but no mixture of both;
- buffers that are frequencies: multiplied by positions, their rounding grows with the length. A
  name tells of what is not saved; what is saved under such a name has to be a series as well;
- buffers of one number that are not saved: they never make a result float32;
- what a model of transformers or diffusers says itself (`_keep_in_fp32_modules`).

Other tables and masks are converted: added to activations, a float32 one would make those float32,
and the next layer refuses them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ..core.pairs import is_lossless_pair
from ..formats import FORMATS, Format
from .blocks import row_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

KEPT_AS: Final = FORMATS["float32"]

_FREQUENCIES: Final = re.compile(r"(^|_)(inv_?)?(freqs?|frequency|frequencies|timescales?)(_|$)")
_OTHER_SERIES: Final = re.compile(r"slope|alibi|decay")
_FEWEST: Final = 4  # numbers that make a series


def kept_in_float32(module: torch.nn.Module, to: Format) -> dict[str, str]:
    """The tensors of a module that stay in float32 when it becomes `to`, and why; by name."""
    if is_lossless_pair(KEPT_AS, to):
        return {}
    found: dict[str, str] = {}
    for path, each in module.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        for key, reason in _of_one(each):
            found.setdefault(prefix + key, reason)
        patterns = _asked_for(each, to)
        if patterns is None:
            continue
        own = [*each.named_parameters(remove_duplicate=False)]
        own += [*each.named_buffers(remove_duplicate=False)]
        for key, tensor in own:
            if _is_wide(tensor) and patterns.search(key):
                found.setdefault(prefix + key, f"{type(each).__name__} keeps it in float32")
    return found


def _of_one(module: torch.nn.Module) -> Iterator[tuple[str, str]]:
    """(name, reason) of one module's own tensors."""
    import torch

    if (
        isinstance(module, torch.nn.modules.batchnorm._NormBase)
        and module._buffers.get("running_mean") is not None
    ):
        for tensors in (module._parameters, module._buffers):
            for key, tensor in tensors.items():
                if tensor is not None and _is_wide(tensor):
                    yield key, "of a normalisation layer with running statistics"
        return
    for key, buffer in module._buffers.items():
        if buffer is None or not _is_wide(buffer):
            continue
        is_saved = key not in module._non_persistent_buffers_set
        is_named = _FREQUENCIES.search(key) is not None
        if (is_named and not is_saved) or ((is_named or not is_saved) and _is_series(key, buffer)):
            yield key, "frequencies: positions multiply their rounding"
        elif not is_saved and buffer.dim() == 0:
            yield key, "one number that is not saved"


def _is_wide(tensor: torch.Tensor) -> bool:
    """Whether a tensor has float32's values and more."""
    row = row_of(tensor)
    return row is not None and row.is_float and is_lossless_pair(KEPT_AS, row)


def _is_series(key: str, buffer: torch.Tensor) -> bool:
    """Whether numbers fall by one ratio, as base ** (-i / n) does."""
    import torch

    n = buffer.numel()
    if n < _FEWEST or n != max(buffer.shape, default=0) or buffer.device.type == "meta":
        return False
    if _OTHER_SERIES.search(key):
        return False
    with torch.no_grad():
        numbers = buffer.detach().reshape(-1).double().cpu()
        if not bool((numbers > 0).all()):
            return False
        ratios = numbers[1:] / numbers[:-1]
        first = float(ratios[0])
        return 0 < first < 1 and bool(((ratios - first).abs() < 1e-4 * first).all())


def _asked_for(module: torch.nn.Module, to: Format) -> re.Pattern[str] | None:
    """The names that a model of transformers or diffusers says to keep."""
    lists = ["_keep_in_fp32_modules_strict"]
    if not is_lossless_pair(FORMATS["bfloat16"], to) and to.name != "bfloat16":
        lists.append("_keep_in_fp32_modules")  # for its range: bfloat16 has that
    names: list[str] = []
    for attribute in lists:
        value: Any = getattr(module, attribute, None)
        if isinstance(value, (list, tuple, set, frozenset)):
            names += [name for name in value if isinstance(name, str)]
    if not names:
        return None
    whole = "|".join(re.escape(name).replace(r"\*", ".*") for name in names)
    return re.compile(rf"(^|\.)({whole})($|\.)")
