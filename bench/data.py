"""A synthetic Llama of any size in float32: a Hugging Face directory that transformers loads.

Written without tensorcast, so that no contender made what it reads. Kept under bench/data and
checked against its manifest before every use, which also brings it into the page cache.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .machine import ROOT

DATA = ROOT / "bench" / "data"

HIDDEN, INTERMEDIATE, KEY_VALUE, VOCABULARY, HEADS = 2048, 5632, 256, 8000, 32
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Model:
    """A size.

    Attributes:
        name: of the directory.
        n_layers: decoder layers; 44 million parameters each, 33 million beside them.
        n_shards: files.
        sparse: files with holes for data, which read as zeros: for memory only, not for time.
    """

    name: str
    n_layers: int
    n_shards: int = 4
    sparse: bool = False

    def tensors(self) -> list[tuple[str, tuple[int, ...]]]:
        """Names and shapes, in the order of the layers."""
        found: list[tuple[str, tuple[int, ...]]] = [
            ("model.embed_tokens.weight", (VOCABULARY, HIDDEN))
        ]
        for layer in range(self.n_layers):
            prefix = f"model.layers.{layer}."
            found += [
                (prefix + "input_layernorm.weight", (HIDDEN,)),
                (prefix + "mlp.down_proj.weight", (HIDDEN, INTERMEDIATE)),
                (prefix + "mlp.gate_proj.weight", (INTERMEDIATE, HIDDEN)),
                (prefix + "mlp.up_proj.weight", (INTERMEDIATE, HIDDEN)),
                (prefix + "post_attention_layernorm.weight", (HIDDEN,)),
                (prefix + "self_attn.k_proj.weight", (KEY_VALUE, HIDDEN)),
                (prefix + "self_attn.o_proj.weight", (HIDDEN, HIDDEN)),
                (prefix + "self_attn.q_proj.weight", (HIDDEN, HIDDEN)),
                (prefix + "self_attn.v_proj.weight", (KEY_VALUE, HIDDEN)),
            ]
        return [*found, ("model.norm.weight", (HIDDEN,)), ("lm_head.weight", (VOCABULARY, HIDDEN))]

    def shards(self) -> list[list[tuple[str, tuple[int, ...]]]]:
        """The tensors of each file: in order, files of about the same size."""
        tensors = self.tensors()
        total = sum(_n_bytes(shape) for _, shape in tensors)
        files: list[list[tuple[str, tuple[int, ...]]]] = [[] for _ in range(self.n_shards)]
        done = 0
        for name, shape in tensors:
            files[min(done * self.n_shards // total, self.n_shards - 1)].append((name, shape))
            done += _n_bytes(shape)
        return files


ONE = Model("llama-1gb", 5)
FOUR = Model("llama-4gb", 22)
SIXTEEN = Model("llama-16gb-sparse", 90, 16, sparse=True)


def _n_bytes(shape: tuple[int, ...]) -> int:
    return 4 * int(np.prod(shape))


def _config(model: Model) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "initializer_range": 0.02,
        "intermediate_size": INTERMEDIATE,
        "max_position_embeddings": 2048,
        "model_type": "llama",
        "num_attention_heads": HEADS,
        "num_hidden_layers": model.n_layers,
        "num_key_value_heads": KEY_VALUE * HEADS // HIDDEN,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": VOCABULARY,
    }


def _tokenizer() -> dict[str, Any]:
    words = ["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(3, VOCABULARY))]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: i for i, word in enumerate(words)},
            "unk_token": "<unk>",
        },
    }


def directory(model: Model, root: Path = DATA) -> Path:
    """The model's directory, made if it is not there or not what its manifest says."""
    folder = root / model.name
    if not _is_whole(folder):
        shutil.rmtree(folder, ignore_errors=True)
        _make(model, folder)
        if not _is_whole(folder):
            raise OSError(f"{folder}: does not read back as it was written")
    return folder / "model"


def _is_whole(folder: Path) -> bool:
    """Whether every file hashes to what the manifest says (sparse ones: has the size)."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
    except (OSError, ValueError):
        return False
    try:
        return all(_digest(folder / "model" / name) == digest for name, digest in manifest.items())
    except OSError:
        return False


def _digest(path: Path) -> str:
    status = path.stat()
    if status.st_blocks * 512 < status.st_size // 2:
        return f"sparse, {status.st_size} bytes"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make(model: Model, folder: Path) -> None:
    target = folder / "model"
    target.mkdir(parents=True)
    rng = np.random.default_rng(20)
    weight_map: dict[str, str] = {}
    shards = model.shards()
    for number, tensors in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        weight_map |= dict.fromkeys((tensor for tensor, _ in tensors), name)
        _write_shard(target / name, sorted(tensors), rng, sparse=model.sparse)
    total = sum(_n_bytes(shape) for _, shape in model.tensors())
    texts = {
        "config.json": _config(model),
        "generation_config.json": {"bos_token_id": 1, "eos_token_id": 2},
        "tokenizer.json": _tokenizer(),
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": "<unk>",
            "bos_token": "<s>",
            "eos_token": "</s>",
        },
        "model.safetensors.index.json": {
            "metadata": {"total_size": total},
            "weight_map": dict(sorted(weight_map.items())),
        },
    }
    for name, content in texts.items():
        (target / name).write_text(json.dumps(content, indent=2) + "\n")
    manifest = {path.name: _digest(path) for path in sorted(target.iterdir())}
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def _write_shard(
    path: Path,
    tensors: list[tuple[str, tuple[int, ...]]],
    rng: np.random.Generator,
    *,
    sparse: bool,
) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in tensors:
        begin, end = end, end + _n_bytes(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        if sparse:
            file.truncate(8 + len(text) + end)
            return
        for name, shape in tensors:
            values = rng.standard_normal(int(np.prod(shape)), np.float32)
            values *= np.float32(0.02)
            if name.endswith("norm.weight"):
                values += np.float32(1)
            file.write(values.data)
