"""How files of weights are called, and what their names say: stem, variant, shard.

| name | |
|---|---|
| `model.safetensors` | one file |
| `model-00001-of-00002.safetensors` | a shard, named by the index |
| `model.safetensors.index.json` | an index |
| `model.fp16.safetensors` | one file of the variant "fp16" |
| `model.fp16-00001-of-00002.safetensors` | a shard of it |
| `model.safetensors.index.fp16.json` | its index |
| `model.safetensors.fp16.index.json` | its index, as older versions of diffusers wrote it |

transformers and diffusers read these of `from_pretrained(..., variant="fp16")`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# those of which libraries read variants and shards; to them any other name is one file
TRANSFORMERS: Final = "model"
DIFFUSERS: Final = "diffusion_pytorch_model"
ADAPTER: Final = "adapter_model"
WHOLE_MODELS: Final = (TRANSFORMERS, DIFFUSERS)
ONE_FILE: Final = (ADAPTER, "pytorch_lora_weights")  # peft and diffusers read no shards of these

_SHARD: Final = r"-\d{5,}-of-\d{5,}"
_INDEX: Final = re.compile(
    r"(?P<stem>.+)\.safetensors(?:\.(?P<old>[^.]+))?\.index(?:\.(?P<variant>[^.]+))?\.json"
)


class WeightName(NamedTuple):
    """What a file's name says.

    Attributes:
        stem: "model" of all the names above.
        variant: "fp16", or None.
        is_shard: whether it is one of several files.
    """

    stem: str
    variant: str | None
    is_shard: bool


def weight_name(file: str) -> WeightName | None:
    """What the name of a safetensors file says; None of any other file.

    Example:
        >>> weight_name("model.fp16-00001-of-00002.safetensors")
        WeightName(stem='model', variant='fp16', is_shard=True)
        >>> weight_name("lora.v2.safetensors")
        WeightName(stem='lora.v2', variant=None, is_shard=False)
    """
    if not file.endswith(".safetensors"):
        return None
    body = file.removesuffix(".safetensors")
    for stem in WHOLE_MODELS:
        found = re.fullmatch(rf"{stem}(\.[^.]+?)?({_SHARD})?(\.[^.]+)?", body)
        if found is not None and not (found[1] and found[3]):
            variant = found[1] or found[3]  # in front of the shard, or behind it as of old
            return WeightName(stem, variant[1:] if variant else None, found[2] is not None)
    plain = re.sub(_SHARD + "$", "", body)
    return WeightName(plain, None, plain != body)


def index_of(file: str) -> WeightName | None:
    """What the name of an index of safetensors files says; None of any other file.

    Example:
        >>> index_of("model.safetensors.index.fp16.json")
        WeightName(stem='model', variant='fp16', is_shard=False)
    """
    found = _INDEX.fullmatch(file)
    if found is None or (found["old"] and found["variant"]):
        return None
    return WeightName(found["stem"], found["old"] or found["variant"], False)


def single_file(stem: str, variant: str | None) -> str:
    """The name of weights in one file."""
    return f"{stem}.{variant}.safetensors" if variant else f"{stem}.safetensors"


def index_file(stem: str, variant: str | None) -> str:
    """The name of an index: the variant stands behind "index", not behind the stem."""
    end = f".{variant}.json" if variant else ".json"
    return f"{stem}.safetensors.index{end}"


def shard_names(stem: str, n: int, variant: str | None = None) -> list[str]:
    """The files of `n` shards.

    Example:
        >>> shard_names("model", 1), shard_names("model", 2, "fp16")
        (['model.safetensors'], ['model.fp16-00001-of-00002.safetensors', \
'model.fp16-00002-of-00002.safetensors'])
    """
    if n == 1:
        return [single_file(stem, variant)]
    front = f"{stem}.{variant}" if variant else stem
    return [f"{front}-{i:05d}-of-{n:05d}.safetensors" for i in range(1, n + 1)]
