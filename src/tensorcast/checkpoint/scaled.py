"""Whether a checkpoint's weights mean something only together with their scales.

Casting the codes of such a weight as plain numbers gives a checkpoint that loads and is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from .protocol import TensorInfo

# last part of a tensor's name -> who writes it
_SCALE_NAMES: Final = {
    "weight_scale_inv": "block float8 (DeepSeek)",
    "weight_scale": "compressed-tensors or ModelOpt",
    "weight_scale_2": "ModelOpt NVFP4",
    "weight_packed": "compressed-tensors, packed",
    "weight_zero_point": "compressed-tensors",
    "scale_weight": "scaled float8 (ComfyUI)",
    "scaled_fp8": "scaled float8 (ComfyUI)",
    "qweight": "GPTQ or AWQ",
    "qzeros": "GPTQ or AWQ",
    "absmax": "bitsandbytes",
    "quant_map": "bitsandbytes",
    "SCB": "bitsandbytes int8",
}
# suffix of a scale -> what stands in its place in the weight's name
_PARTNERS: Final = {
    "_scale_inv": ("",),
    "_scales": ("", "_blocks"),
    "_scale": ("",),
}
_CONFIG_FILES: Final = ("hf_quant_config.json", "quantize_config.json", "quant_config.json")


def scaled_reason(
    tensors: Sequence[TensorInfo],
    config: Mapping[str, object] | None = None,
    extra_files: Iterable[str] = (),
) -> str | None:
    """Why the weights may not be cast as plain numbers, or None.

    Looks for a `quantization_config` in the configuration, the file another tool leaves for
    it, names that only scales have, and a `X_scale`, `X_scale_inv` or `X_scales` beside an
    `X` (or `X_blocks`) of 8 bits or fewer.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    found: list[str] = []
    why = ""
    for name in by_name:
        last = name.rsplit(".", 1)[-1]
        if last in _SCALE_NAMES:
            found.append(name)
            why = why or _SCALE_NAMES[last]
            continue
        for suffix, replacements in _PARTNERS.items():
            if not last.endswith(suffix):
                continue
            stem = name[: -len(suffix)]
            partners = [by_name.get(stem + replacement) for replacement in replacements]
            if any(partner and _is_coded(partner) for partner in partners):
                found.append(name)
                why = why or f"a scale beside {_partner_name(partners)!r}"
                break
    reasons: list[str] = []
    if found:
        shown = ", ".join(repr(name) for name in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        reasons.append(f"it has {shown}{more} ({why})")
    where = _quantization_config(config)
    if where:
        reasons.append(f"config.json has {where}")
    reasons += [f"it has the file {name!r}" for name in extra_files if name in _CONFIG_FILES]
    return "; ".join(reasons) or None


def _is_coded(tensor: TensorInfo) -> bool:
    return tensor.format.bits <= 8 and tensor.format.kind != "bool"


def _partner_name(partners: list[TensorInfo | None]) -> str:
    return next(partner.name for partner in partners if partner and _is_coded(partner))


def _quantization_config(config: Mapping[str, object] | None) -> str | None:
    """Where in the configuration a quantization is described: at the top or one level down."""
    if config is None:
        return None
    if config.get("quantization_config"):
        return "'quantization_config'"
    for key, value in config.items():
        if isinstance(value, dict) and value.get("quantization_config"):
            return f"'{key}.quantization_config'"
    return None
