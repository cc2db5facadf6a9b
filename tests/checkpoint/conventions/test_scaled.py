"""Checkpoints whose codes mean nothing without their scales are refused, all others are not."""

from __future__ import annotations

import json
import os
from math import prod
from pathlib import Path

import numpy as np
import pytest
from checkpoint.handmade import tensors_of, write, write_directory

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare, run
from tensorcast.checkpoint.decide.job import Job
from tensorcast.errors import UnsupportedCheckpointError
from tensorcast.formats import FORMATS

Tensor = tuple[str, list[int], bytes]


def zeros(format: str, *shape: int) -> Tensor:
    return format, list(shape), bytes(prod(shape) * FORMATS[format].bits // 8)


def f8(*shape: int) -> Tensor:
    return zeros("float8_e4m3fn", *shape)


def f32(*shape: int) -> Tensor:
    return zeros("float32", *shape)


def f16(*shape: int) -> Tensor:
    return zeros("float16", *shape)


def bf16(*shape: int) -> Tensor:
    return zeros("bfloat16", *shape)


def i8(*shape: int) -> Tensor:
    return zeros("int8", *shape)


def u8(*shape: int) -> Tensor:
    return zeros("uint8", *shape)


def i32(*shape: int) -> Tensor:
    return zeros("int32", *shape)


def u32(*shape: int) -> Tensor:
    return zeros("uint32", *shape)


def i64(*shape: int) -> Tensor:
    return zeros("int64", *shape)


def e8m0(*shape: int) -> Tensor:
    return zeros("float8_e8m0fnu", *shape)


SCALED = {
    "block float8": {"l.weight": f8(128, 128), "l.weight_scale_inv": f32(1, 1)},
    "block float8, scale_inv below": {"l.weight": f8(128, 128), "l.weight.scale_inv": f32(1, 1)},
    "block float8 of one dimension": {"l.weight": f8(4), "l.weight_scale_inv": f32(1)},
    "scales alone, the weight elsewhere": {"l.weight_scale_inv": f32(1)},
    "scales of rows alone": {"l.weight_scale": f32(128, 1)},
    "DeepSeek-V4": {"l.weight": f8(128, 128), "l.scale": e8m0(1, 1)},
    "DeepSeek-V4 experts": {"e.0.w1.weight": i8(64, 64), "e.0.w1.scale": e8m0(64, 4)},
    "float32 scale": {"l.weight": f8(128, 128), "l.scale": f32(1, 1)},
    "Mistral": {"l.weight": f8(8, 8), "l.qscale_weight": bf16(), "l.qscale_act": bf16()},
    "FBGEMM experts": {"e.gate_up_proj": f8(2, 8, 16), "e.gate_up_proj_scale": f32(2, 1, 16)},
    "fused experts": {"e.w13_weight": f8(2, 8, 16), "e.w13_weight_scale": f32(2, 1, 1)},
    "compressed-tensors": {"l.weight": f8(8, 8), "l.weight_scale": bf16(8, 1)},
    "compressed-tensors, int8": {"l.weight": i8(8, 8), "l.weight_scale": bf16(8, 1)},
    "compressed-tensors, packed": {
        "l.weight_packed": i32(8, 2),
        "l.weight_scale": bf16(8, 1),
        "l.weight_shape": i64(2),
    },
    "packed alone": {"l.weight_packed": i32(8, 2)},
    "packed bytes with their shape": {"l.weight": u8(8, 8), "l.weight_shape": i64(2)},
    "NVFP4": {
        "l.weight": u8(16, 8),
        "l.weight_scale": f8(16, 1),
        "l.weight_scale_2": f32(),
    },
    "F4 with scales": {"l.weight": zeros("float4_e2m1fn", 16, 32), "l.weight_scale": f8(16, 2)},
    "ModelOpt AWQ": {"l.weight": u8(8, 128), "l.weight_scale": f32(16, 1)},
    "MXFP4": {"e.gate_up_proj_blocks": u8(2, 8, 2, 16), "e.gate_up_proj_scales": u8(2, 8, 2)},
    "MXFP4, original names": {
        "m.mlp1_weight.blocks": u8(8, 2, 16),
        "m.mlp1_weight.scales": u8(8, 2),
    },
    "GPTQ": {"l.qweight": i32(16, 8), "l.scales": f16(1, 8), "l.g_idx": i32(128)},
    "GPTQ packed in int64": {"l.qweight": i64(16, 8), "l.scales": f16(1, 8)},
    "AWQ": {"l.qweight": i32(128, 1), "l.qzeros": i32(1, 1), "l.scales": f16(1, 8)},
    "AQLM": {"l.codes": zeros("int16", 16, 32, 1), "l.codebooks": f16(1, 256, 1, 8)},
    "VPTQ": {"l.indices": i32(1, 8, 8), "l.centroids.weight": f16(1, 4096)},
    "Marlin": {"l.B": i32(8, 32), "l.s": f16(1, 16)},
    "zero points": {"l.weight": i8(8, 8), "l.weight_zero_point": i8(8, 1)},
    "bitsandbytes": {
        "l.weight": u8(64, 1),
        "l.weight.absmax": f32(2),
        "l.weight.quant_map": f32(16),
    },
    "bitsandbytes in bfloat16": {
        "l.weight": bf16(32, 1),
        "l.weight.quant_state.bitsandbytes__nf4": u8(80),
    },
    "bitsandbytes int8": {"l.weight": i8(8, 8), "l.SCB": f32(8), "l.weight_format": u8()},
    "torchao": {"0._weight_qdata": i8(8, 16), "0._weight_scale": f32(8, 1)},
    "torchao, swizzled": {"0._weight_qdata": f8(128, 256), "0._weight_scale": e8m0(32, 32)},
    "torchao, older": {"0.weight:qdata": i8(8, 16), "0.weight:scale": f32(8, 1)},
    "quanto": {"l.weight._data": i8(8, 8), "l.weight._scale": f32(8, 1)},
    "quanto int4": {
        "l.weight._data._data": u8(4, 128),
        "l.weight._scale": f16(8, 1),
        "l.weight._shift": f16(8, 1),
    },
    "HQQ": {"l.W_q": u8(8, 8), "l.scale": f16(16, 1), "l.zero": f16(16, 1)},
    "HQQ viewed as floats": {"l.W_q": bf16(8, 4), "l.unpack_view_dtype": u8(5)},
    "MLX": {"l.weight": u32(8, 8), "l.scales": f16(8, 1), "l.biases": f16(8, 1)},
    "ComfyUI": {"l.weight": f8(8, 8), "l.scale_weight": f32()},
    "ComfyUI, the input's scale alone": {"l.weight": f8(8, 8), "l.scale_input": f32()},
    "ComfyUI, the mark alone": {"m.a.b.c.weight": f8(8, 8), "m.scaled_fp8": f8(0)},
    "ComfyUI, comfy_quant": {"l.weight": f8(8, 8), "l.comfy_quant": u8(28)},
    "EETQ": {"l.weight": i8(8, 8), "l.weight_scales": f16(8)},
    "a quantized cache": {"a.k_proj.weight": f8(8, 8), "a.k_scale": f32(1)},
    "QAT": {"l.weight": i8(8, 8), "l.weight_quantizer._amax": f32()},
    "a scale in a module of its own": {"l.weight": f8(8, 8), "l.scale.weight": f32(8, 1)},
    "a scale in a module beside": {"l.weight": f8(8, 8), "l_scale.weight": f32(8, 1)},
    "a scale that is a value": {"l.weight": f8(8, 8), "l.weight_scale.value": f32(8, 1)},
    # names that nobody knows
    "one for all": {"l.weight": f8(8, 8), "l.foo": f32()},
    "one per row": {"l.kernel": i8(16, 8), "l.foo": f16(16)},
    "one per column": {"l.kernel": i8(16, 8), "l.foo": f16(1, 8)},
    "one per matrix of a stack": {"l.kernel": f8(3, 16, 8), "l.foo": f16(3)},
    "one per group": {"l.kernel": i8(16, 64), "l.foo": bf16(16, 4)},
    "one per ragged group": {"l.kernel": i8(16, 72), "l.foo": bf16(16, 3)},
    "one per block": {"l.kernel": f8(200, 260), "l.foo": f32(2, 3)},
    "bytes of exponents": {"l.kernel": i8(16, 64), "l.foo": u8(16, 2)},
    "bytes beside bytes of exponents": {"l.kernel": u8(16, 64), "l.foo": u8(16, 4)},
    "the scale of a module beside it": {"b.fc.weight": f8(8, 8), "b.fc_scale": f32()},
    "packed 32 bits": {"l.kernel": i32(16, 8), "l.foo": f16(16, 1)},
    "a filter per channel": {"c.kernel": i8(16, 3, 3, 3), "c.foo": f32(16, 1, 1, 1)},
    "without a module": {"weight": f8(8, 8), "scale": f32()},
    "without a module, known": {"weight": f8(8, 8), "weight_scale_inv": f32(1, 1)},
    "names with slashes": {"params/l/kernel": i8(8, 8), "params/l/kernel_scale": f32(8)},
    "named after the codes": {"l.token_embedding": i8(32, 8), "l.token_embedding_scale": f32(7)},
    "exponents elsewhere": {"codes.l": f8(8, 8), "scales.l": e8m0(3)},
}
PLAIN = {
    "float8 without scales": {"l.weight": f8(8, 8), "l.bias": f32(8)},
    "float8 whose norms have scales": {
        "b.qkv.weight": f8(8, 8),
        "b.query_norm.scale": bf16(8),
        "b.norm.query_norm.scale": f8(8),
    },
    "float4 without scales": {"l.weight": zeros("float4_e2m1fn", 8, 8), "l.bias": f32(8)},
    "float8_e8m0fnu of everything": {"l.weight": e8m0(8, 8), "l.bias": e8m0(8)},
    "norms kept wide": {"l.weight": f8(8, 8), "ln.weight": f32(8), "ln.bias": f32(8)},
    "float8 of attention": {"a.in_proj_weight": f8(24, 8), "a.in_proj_bias": f16(24)},
    "float8 of CLIP": {
        "text_projection": f8(8, 8),
        "positional_embedding": f8(7, 8),
        "logit_scale": f32(),
    },
    "float8 of an LSTM": {"weight_ih_l0": f8(16, 32), "weight_hh_l0": f8(16, 4)},
    "float8 with an adapter": {"l.weight": f8(16, 32), "l.lora_A": f32(4, 32)},
    "float8 of an adapter": {"x.lokr_w1": f8(4, 4), "x.alpha": bf16()},
    "a learned scale": {"l.weight": bf16(8, 8), "logit_scale": f32(1), "l.scale": f32(1)},
    "a wide weight with its scale": {"l.weight": bf16(8, 8), "l.weight_scale": f32(8, 1)},
    "a wide weight normed": {"l.weight_v": bf16(8, 8), "l.weight_g": f32(8, 1)},
    "a scale beside a wide tensor": {"l.gamma": bf16(2), "l.gamma_scale": f32(1)},
    "float8 of a model that scales its queries": {"a.q.weight": f8(8, 8), "a.q_scale": f8(1)},
    "float8 of a learned cache": {"a.k_proj.weight": f8(8, 8), "a.k_scale": f8(1)},
    "float8 of Mamba": {"m.A_log": f8(8, 16), "m.D": bf16(8), "m.dt_bias": bf16(8)},
    "float8 of a codebook": {"q.embed": f8(16, 8), "q.inited": f32(1), "q.cluster_size": f32(16)},
    "a wide cache": {"a.k_proj.weight": bf16(8, 8), "a.k_scale": f32(1)},
    "largest magnitudes": {"l.weight": bf16(8, 8), "stats.absmax": f32(8), "l.absmax": f32(1)},
    "int8 of one dimension": {"norm": i8(8), "norm_scale": f32(8)},
    "blocks that are layers": {"blocks.0.scales": f32(1), "x_blocks": bf16(2)},
    "a mask with its scale": {"m": zeros("bool", 4, 4), "m_scale": f32(1)},
    "GPT-2": {"h.attn.bias": u8(1, 1, 8, 8), "h.attn.masked_bias": f32(), "h.attn.w": f32(8, 8)},
    "a mask of bytes": {"a.mask": u8(8, 8), "a.scale": f32(), "a.weight": f32(8)},
    "two buffers of bytes": {"a.grid": u8(8, 8), "a.flags": u8(8), "a.weight": f32(8)},
    "positions": {"e.position_ids": i32(1, 8), "e.weight": f32(8), "e.temperature": f32()},
    "relative positions": {
        "a.relative_position_index": i32(49, 49),
        "a.relative_position_bias_table": f32(169, 3),
        "a.logit_scale": f32(3, 1, 1),
    },
    "batch norm": {
        "bn.weight": f32(8),
        "bn.running_mean": f32(8),
        "bn.num_batches_tracked": i64(),
        "bn.buffer": u8(2, 8),
    },
    "int8 embeddings": {"embedding.weight": i8(32, 8), "dense.weight": f32(8, 8)},
    "the text of a tokenizer": {"spiece_model": u8(100), "shared.weight": f8(8, 8)},
    "queries": {"a.qweight": bf16(8, 8), "a.W_q": f32(8, 8), "a.q_weight": f32(8)},
    "nothing": {},
}


@pytest.mark.parametrize("name", SCALED)
def test_refuses_scaled_weights_by_their_tensors(tmp_path: Path, name: str) -> None:
    source = open_checkpoint(write(tmp_path / "x.safetensors", SCALED[name]))
    assert source.scaled
    with pytest.raises(UnsupportedCheckpointError) as caught:
        prepare(source, tmp_path / "y.safetensors", "bfloat16")
    message = str(caught.value)
    assert str(tmp_path / "x.safetensors") in message
    assert "holds scaled weights" in message
    assert "raw codes would load and be wrong" in message
    assert "convert the unquantized checkpoint" in message
    assert "raw=True" in message
    assert any(repr(tensor) in message for tensor in SCALED[name])
    assert not (tmp_path / "y.safetensors").exists()


@pytest.mark.parametrize("name", SCALED)
def test_the_scales_may_lie_in_another_shard(tmp_path: Path, name: str) -> None:
    """Every tensor in a file of its own: the directory is refused, and so is any file of it."""
    path = shard_by_shard(tmp_path / "m", SCALED[name])
    assert open_checkpoint(path).scaled
    for shard in path.glob("*.safetensors"):
        assert open_checkpoint(shard).scaled


@pytest.mark.parametrize("name", PLAIN)
def test_plain_weights_are_none_of_them(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "x.safetensors", PLAIN[name])
    assert open_checkpoint(path).scaled is None
    if PLAIN[name]:
        folder = shard_by_shard(tmp_path / "m", PLAIN[name])
        assert open_checkpoint(folder).scaled is None
        for shard in folder.glob("*.safetensors"):
            assert open_checkpoint(shard).scaled is None


def shard_by_shard(path: Path, tensors: dict[str, Tensor]) -> Path:
    path.mkdir()
    weight_map = {name: f"model-{i:05d}.safetensors" for i, name in enumerate(tensors)}
    for name, file in weight_map.items():
        write(path / file, {name: tensors[name]})
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return path


CONFIGS = {
    '{"quantization_config": {"bits": 4}}': "'quantization_config'",
    '{"text_config": {"quantization_config": {"bits": 4}}}': "'text_config.quantization_config'",
    '{"a": {"b": [{"quantization_config": {"bits": 4}}]}}': "'a.b.0.quantization_config'",
    '{"compression_config": {"format": "int-quantized"}}': "'compression_config'",
    '{"quantization": {"group_size": 64, "bits": 4}}': "'quantization'",
    '{"quantization": "fp8"}': "'quantization'",
}
NO_CONFIGS = [
    '{"quantization": {"quant_algo": null, "kv_cache_quant_algo": null}}',
    '{"quantization_config": {"load_in_4bit": false, "load_in_8bit": false, "bnb_x": "fp4"}}',
    '{"quantization_config": null}',
    '{"quantization_config": {}}',
    '{"quantization": "none", "torch_dtype": "float32"}',
    '{"quantization": "bf16"}',
    '{"quantization": false}',
]


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("file", ["config.json", "params.json"])
def test_refuses_what_the_configuration_calls_quantized(
    tmp_path: Path, file: str, config: str, single: bool
) -> None:
    path = write_directory(tmp_path / "m", [{"a": np.ones(1, "f4")}], extra={file: config})
    source = path / "model.safetensors" if single else path
    with pytest.raises(UnsupportedCheckpointError, match=CONFIGS[config]) as caught:
        prepare(open_checkpoint(source), tmp_path / "out", "bfloat16")
    assert file in str(caught.value)


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(
    "file",
    [
        "hf_quant_config.json",
        "quanto_qmap.json",
        "quant_model_description.json",
        "quant_model_description_w8a8.json",
        "quantize_config.json",
        "quant_config.json",
    ],
)
def test_refuses_beside_the_file_of_a_quantizer(tmp_path: Path, file: str, single: bool) -> None:
    path = write_directory(tmp_path / "m", [{"a": np.ones(1, "f4")}], extra={file: "{}"})
    source = path / "model.safetensors" if single else path
    with pytest.raises(UnsupportedCheckpointError, match=repr(file)):
        prepare(open_checkpoint(source), tmp_path / "out", "bfloat16")


@pytest.mark.parametrize("config", NO_CONFIGS)
def test_an_empty_quantization_config_is_none(tmp_path: Path, config: str) -> None:
    path = write_directory(tmp_path / "m", [{"a": np.ones(1, "f4")}], extra={"config.json": config})
    assert open_checkpoint(path).scaled is None
    assert open_checkpoint(path / "model.safetensors").scaled is None


HEADERS = [
    {"_quantization_metadata": '{"layers": {"l": {"format": "float8_e4m3fn"}}}'},
    {"l.weight": '{"_type": "Int8Tensor", "_data": {}}', "tensor_names": '["l.weight"]'},
    {"quantization_config": '{"method": "svdquant"}'},
    {"config": '{"transformer": {"quantization_config": {"bits": 4}}}'},
]
PLAIN_HEADERS = [
    {"format": "pt"},
    {"_quantization_metadata": '{"format_version": "1.0", "layers": {}}'},
    {"l.weight": '{"_type": "Tensor"}', "tensor_names": '["l.weight"]'},
    {"notes": "no quantization_config here", "quantization": "none", "config": '{"_type": [1'},
]


@pytest.mark.parametrize("metadata", HEADERS)
def test_refuses_what_the_header_calls_quantized(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = write(tmp_path / "x.safetensors", {"l.weight": f8(8, 8)}, metadata)
    with pytest.raises(UnsupportedCheckpointError, match="the header's metadata has"):
        prepare(open_checkpoint(path), tmp_path / "y.safetensors", "bfloat16")


@pytest.mark.parametrize("metadata", PLAIN_HEADERS)
def test_a_plain_header_is_none(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = write(tmp_path / "x.safetensors", {"l.weight": f8(8, 8)}, metadata)
    assert open_checkpoint(path).scaled is None


def test_a_file_is_judged_by_the_directory_whose_model_it_is(tmp_path: Path) -> None:
    config = {"config.json": '{"quantization_config": {"bits": 4}}'}
    path = write_directory(
        tmp_path / "m", [{"a": np.ones(2, "f4")}, {"b": np.ones(2, "f4")}], extra=config
    )
    link = tmp_path / "link.safetensors"
    link.symlink_to(path / "model-00001-of-00002.safetensors")
    assert open_checkpoint(path / "model-00001-of-00002.safetensors").scaled
    assert open_checkpoint(link).scaled
    # a file that the index does not list is another model's
    assert open_checkpoint(write(path / "vae.safetensors", {"l": f32(2)})).scaled is None
    assert open_checkpoint(write(tmp_path / "vae.safetensors", {"l": f32(2)})).scaled is None


@pytest.mark.parametrize("content", ["{", "[]", "", '{"a": NaN}', "\0"])
def test_what_lies_beside_a_file_and_cannot_be_read_is_passed_over(
    tmp_path: Path, content: str
) -> None:
    path = write(tmp_path / "model.safetensors", {"l.weight": f32(8, 8)})
    (tmp_path / "config.json").write_text(content)
    (tmp_path / "model.safetensors.index.json").write_text(content)
    os.mkfifo(tmp_path / "params.json")
    assert open_checkpoint(path).scaled is None


def test_codes_whose_scale_may_lie_in_a_lost_shard_are_refused(tmp_path: Path) -> None:
    path = shard_by_shard(tmp_path / "m", {"l.weight": f8(8, 8), "l.other": f32(1)})
    first, second = sorted(path.glob("*.safetensors"))
    assert open_checkpoint(first).scaled
    second.write_bytes(b"no header")
    assert open_checkpoint(first).scaled
    second.unlink()
    assert open_checkpoint(first).scaled
    path = shard_by_shard(tmp_path / "n", {"l.weight": f8(8, 8), "l.bias": f32(8)})
    first, second = sorted(path.glob("*.safetensors"))
    second.unlink()
    assert open_checkpoint(first).scaled is None  # the index names all that is lost


def quantized(path: Path) -> Path:
    codes = np.arange(256, dtype=np.uint8).reshape(16, 16)
    codes[codes % 128 == 127] = 0  # no NaN
    path.mkdir()
    write(
        path / "model.safetensors",
        {
            "l.weight": ("float8_e4m3fn", [16, 16], codes.tobytes()),
            "l.weight_scale": np.full((16, 1), 0.5, "f4"),
            "e.w": np.full((4, 4), 3, np.int8),
            "e.w_scale": np.full((4, 1), 0.25, "f4"),
        },
        {
            "format": "pt",
            "quantization_config": "{}",
            "_quantization_metadata": '{"layers": {"l": 1}}',
        },
    )
    config = {
        "model_type": "x",
        "dtype": "float32",
        "quantization_config": {"bits": 8},
        "text_config": {"a": 1, "quantization": {"bits": 8}, "compression_config": {"c": 2}},
    }
    (path / "config.json").write_text(json.dumps(config))
    (path / "hf_quant_config.json").write_text("{}")
    (path / "params.json").write_text('{"quantization": {"qformat_weight": "fp8_e4m3"}}')
    (path / "tokenizer.json").write_text("{}")
    return path


def test_raw_casts_the_stored_numbers_and_leaves_the_quantization_out(tmp_path: Path) -> None:
    source = quantized(tmp_path / "m")
    made = prepare(open_checkpoint(source), tmp_path / "out", "float32", raw=True)
    assert Job.from_json(made.to_json()) == made
    assert json.loads(made.to_json())["request"]["raw"] is True
    result = run(Job.from_json(made.to_json()), verify=True)
    out = tensors_of(tmp_path / "out" / "model.safetensors")
    before = tensors_of(source / "model.safetensors")
    import ml_dtypes

    codes = np.frombuffer(before["l.weight"][2], ml_dtypes.float8_e4m3fn)
    assert out["l.weight"][0] == "F32"
    assert out["l.weight"][2] == codes.astype("f4").tobytes()
    assert {name: out[name] for name in before if name != "l.weight"} == {
        name: before[name] for name in before if name != "l.weight"
    }
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == {
        "model_type": "x",
        "dtype": "float32",
        "text_config": {"a": 1},
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    written = open_checkpoint(tmp_path / "out" / "model.safetensors")
    assert written.metadata["format"] == "pt"
    assert "_quantization_metadata" not in written.metadata
    assert set(result.skipped) == {"hf_quant_config.json", "params.json"}
    said = "\n".join(result.warnings)
    assert "scales stay as tensors" in said
    for left in (
        "'quantization_config'",
        "'text_config.quantization'",
        "'text_config.compression_config'",
        "'_quantization_metadata'",
        "'hf_quant_config.json' is not copied",
        "'params.json' is not copied",
    ):
        assert left in said


def test_raw_takes_every_kind_of_scaled_weight(tmp_path: Path) -> None:
    for i, tensors in enumerate(SCALED.values()):
        path = write(tmp_path / f"{i}.safetensors", tensors)
        result = run(
            prepare(open_checkpoint(path), tmp_path / f"{i}-out.safetensors", "bf16", raw=True)
        )
        assert list(tensors_of(tmp_path / f"{i}-out.safetensors")) != []
        assert "scales stay as tensors" in result.warnings[0]


def test_raw_of_torchao_leaves_its_metadata_out(tmp_path: Path) -> None:
    metadata = {
        "format": "pt",
        "l.weight": '{"_type": "Int8Tensor", "_data": {}, "_tensor_data_names": ["qdata"]}',
        "l.bias": '{"_type": "Tensor"}',
        "tensor_names": '["l.weight", "l.bias"]',
    }
    path = write(
        tmp_path / "x.safetensors", {"l._weight_qdata": i8(8, 8), "l.bias": f32(8)}, metadata
    )
    run(prepare(open_checkpoint(path), tmp_path / "y.safetensors", "bfloat16", raw=True))
    assert open_checkpoint(tmp_path / "y.safetensors").metadata == {"format": "pt"}


def test_raw_of_plain_weights_changes_nothing(tmp_path: Path) -> None:
    path = write_directory(
        tmp_path / "m",
        [{"a": np.ones((2, 2), "f4")}],
        extra={"config.json": '{"dtype": "float32"}'},
    )
    for raw in (False, True):
        run(prepare(open_checkpoint(path), tmp_path / f"{raw}", "bfloat16", raw=raw))
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "True" / name).read_bytes() == (tmp_path / "False" / name).read_bytes()
    (warning,) = prepare(open_checkpoint(path), tmp_path / "x", "bfloat16", raw=True).warnings
    assert warning.startswith("raw: no scales were found")


BROKEN = {
    "Infinity": '{"a": Infinity, "quantization_config": {"bits": 8}}',
    "a key twice": '{"quantization_config": {"bits": 8}, "a": 1, "a": 2}',
    "null behind it": '{"quantization_config": {"bits": 8}, "quantization_config": null}',
    "a mark": '\ufeff{"quantization_config": {"bits": 8}}',
    "text behind": '{"quantization_config": {"bits": 8}} x',
    "cut off": '{"quantization_config": {"bits": 8, "a',
    "no JSON": "x",
}


@pytest.mark.parametrize("name", BROKEN)
def test_codes_beside_what_is_no_strict_json_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text(BROKEN[name], encoding="utf-8")
    for file in ("model.safetensors", "model.fp8.safetensors", "adapter_x.safetensors"):
        assert open_checkpoint(write(tmp_path / file, {"l.weight": f8(8, 8)})).scaled
    (tmp_path / "config.json").rename(tmp_path / "params.json")
    assert open_checkpoint(tmp_path / "model.safetensors").scaled


def test_scales_that_only_the_index_names_are_signs(tmp_path: Path) -> None:
    first = write(tmp_path / "model-00001-of-00002.safetensors", {"l.weight": f8(8, 8)})
    names = {"l.weight": first.name, "l.weight_scale_inv": "model-00002-of-00002.safetensors"}
    index = tmp_path / "model.safetensors.index.json"
    text = json.dumps({"metadata": {"n": float("nan")}, "weight_map": names})
    for written in (text, text[:-1]):
        index.write_text(written)
        assert open_checkpoint(first).scaled
    index.unlink()
    write(tmp_path / "model-00002-of-00002.safetensors", {"l.weight_scale_inv": f32(1, 1)})
    assert open_checkpoint(first).scaled
    write(tmp_path / "model-00002-of-00002.safetensors", {"l.bias": f32(8)})
    assert open_checkpoint(first).scaled is None


@pytest.mark.parametrize("key", ["prompt", "workflow", "ss_network_args"])
def test_how_a_plain_file_was_made_is_no_configuration(tmp_path: Path, key: str) -> None:
    metadata = {key: '{"1": {"inputs": {"quantization": "fp8_e4m3fn"}}}'}
    plain = write(tmp_path / "a.safetensors", {"l.weight": f32(8, 8)}, metadata)
    assert open_checkpoint(plain).scaled is None
    assert open_checkpoint(write(plain, {"l.weight": f8(8, 8)}, metadata)).scaled
