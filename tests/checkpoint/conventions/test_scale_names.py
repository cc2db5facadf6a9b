"""A table of names in both directions: codes with scales are refused, plain weights convert.

A row is written "name format shape, ...": "l.weight f8 8x8, l.scale f32" has a scalar scale.
"""

from __future__ import annotations

import subprocess
import sys
from math import prod
from pathlib import Path

import pytest
from checkpoint.handmade import tensors_of, write

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare, run
from tensorcast.errors import UnsupportedCheckpointError
from tensorcast.formats import FORMATS

FORMAT = {
    "f8": "float8_e4m3fn",
    "e5": "float8_e5m2",
    "e8": "float8_e8m0fnu",
    "f4": "float4_e2m1fn",
    "bf": "bfloat16",
    "f16": "float16",
    "f32": "float32",
    "i8": "int8",
    "u8": "uint8",
    "i16": "int16",
    "i32": "int32",
    "u32": "uint32",
    "i64": "int64",
    "b": "bool",
}
Tensor = tuple[str, list[int], bytes]


def tensors(row: str) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for each in row.split(", "):
        name, short, *rest = each.split(" ")
        shape = [int(n) for n in rest[0].split("x")] if rest else []
        format = FORMAT[short]
        found[name] = (format, shape, bytes(prod(shape) * FORMATS[format].bits // 8))
    return found


SCALED = """
# the scale stands in a tree of its own
weights.l f8 8x8, scales.l f32 8x1
weights.l i8 8x8, scales.l f32
params.weights.l f8 8x8, params.scales.l bf 8
l.params.weight f8 8x8, l.scales.weight f32 8x1
weights.0 i8 8x8, weights.1 i8 8x8, scales.0 f32 8, scales.1 f32 8
weight/h/0/fc i8 8x16, scale/h/0/fc f32 16
l.quantizer.scale f32, l.weight f8 8x8
l.weight f8 8x8, l.weight_quantizer.scale f32
l.weight i8 8x8, l.weight_quantizer.scale f32, l.weight_quantizer.zero_point i8
layers.0.fc.int8.weight i8 8x8, layers.0.fc.fp.scale f32 8, layers.0.fc.scale f32 8
quantized.l.weight i8 8x8, scaling.l.weight f32 8x1
l.w.0 i8 8x8, l.w.1 i8 8x8, l.s.0 f32 8x1, l.s.1 f32 8x1
blk.w.l f8 16x8, blk.s.l f32 16x1
# exempt words, though shaped per row
embed i8 32x8, embed_scale f32 32x1
embed.weight i8 32x8, embed_scale f32 32x1
embed.weight f8 32x8, embed_scale f16 32
token_embedding.weight i8 32x8, token_embedding.scale f32 32x1
pos_embed i8 16x8, pos_embed_scale f32 16x1
m.norm.weight i8 16x8, m.norm_scale f32 16
wte/embedding i8 32x8, wte/embedding_scale f32 32x1
lora_A.weight i8 8x16, lora_A.weight_scale f32 8x1
# float8 scales of float8 codes
l.weight f8 8x8, l.scale f8
l.weight f8 8x8, l.scale f8 8
l.weight f8 8x8, l.scales f8 8x1
l.kernel f8 8x8, l.kernel_scale f8 8
l.weight e5 8x8, l.scale f8 1
# codes of one dimension
l.weight f8 64, l.scale f32
l.weight f8 64, l.scale f32 64
l.weight f8 64, l.scale f32 4
l.weight i8 64, l.weight_scale f32
q u8 1024, q_scale f32
q u8 1024, q_scale f32 32
flat.data i8 4096, flat.scale f16 128
flat i8 4096, flat_absmax f32 64
w f8 256, w_scale e8 8
w.packed i32 128, w.scale f16 8
# DeepSeek, Qwen, MiniMax, Kimi
layers.0.mlp.gate_proj.weight f8 256x128, layers.0.mlp.gate_proj.weight_scale_inv f32 2x1
layers.0.attn.wq_a.weight f8 256x128, layers.0.attn.wq_a.scale e8 2x1
layers.0.ffn.experts.0.w1.weight i8 64x32, layers.0.ffn.experts.0.w1.scale e8 64x2
mlp.experts.gate_up_proj f8 2x256x128, mlp.experts.gate_up_proj_scale_inv f32 2x2x1
mlp.experts.w13_weight f8 2x256x128, mlp.experts.w13_weight_scale_inv f32 2x2x1
visual.blocks.0.attn.qkv.weight f8 256x128, visual.blocks.0.attn.qkv.weight_scale_inv bf 2x1
# compressed-tensors, llm-compressor
l.weight_packed i32 64x8, l.weight_scale bf 64x1, l.weight_shape i64 2
l.weight_packed u8 64x32, l.weight_scale f8 64x4, l.weight_global_scale f32 1
l.weight_packed u8 64x32, l.weight_scale u8 64x2
l.weight i8 64x64, l.weight_scale bf 64x1, l.weight_zero_point i8 64x1
l.weight f8 64x64, l.weight_scale bf 1, l.input_scale bf 1
l.compressed f8 2048, l.bitmask u8 64x8, l.scale f32, l.shape i64 2
# ModelOpt, TensorRT-LLM
l.weight u8 64x32, l.weight_scale f8 64x4, l.weight_scale_2 f32, l.input_scale f32
l.weight u8 32x64, l.weight_scale f32 64x1, l.pre_quant_scale bf 64
l.weight f8 64x64, l.weight_scale f32 1x1x1x1
l.weight i8 64x64, l.per_channel_scale f16 64
l.weight f8 64x64, l.weights_scaling_factor f32 1, l.activation_scaling_factor f32 1
l.weight i32 64x8, l.weights_scaling_factor f16 4x64
l.weight u8 64x32, l.weights_block_scaling_factor f8 64x4, l.weights_global_scaling_factor f32 1
# torchao
0._weight_qdata i8 64x64, 0._weight_scale f32 64x1
0._weight_qdata f8 64x64, 0._weight_scale e8 64x2
0.weight.tensor_impl.int_data i8 64x64, 0.weight.tensor_impl.scale f32 64
l.weight_int_data i8 64x64, l.weight_scale f32 64
l.weight:int_data i8 64x64, l.weight:scale f32 64
# quanto, optimum, HQQ, bitsandbytes
l.weight._data i8 64x64, l.weight._scale f32 64x1
l.weight._data f8 64x64, l.weight._scale bf 64x1, l.input_scale f32
l.weight._data._data u8 32x64, l.weight._scale bf 32x1, l.weight._shift bf 32x1
l.W_q u8 32x64, l.meta.scale f16 64x1, l.meta.zero f16 64x1
l.weight u8 2048x1, l.weight.absmax f32 64, l.weight.quant_map f32 16
l.weight u8 2048x1, l.weight.absmax u8 64, l.weight.nested_absmax f32 1
l.weight i8 64x64, l.SCB f32 64
l.weight i8 64x64, l.weight.SCB f32 64
# GPTQ, AWQ, AQLM, EXL, Marlin, QQQ, VPTQ
l.qweight i32 8x64, l.qzeros i32 1x8, l.scales f16 1x64, l.g_idx i32 64
l.qweight i32 64x8, l.scales f16 1x64
l.qweight i16 16x64, l.scales f16 1x64
l.codes i8 16x8x1, l.codebooks f16 1x256x1x8, l.scales f16 16x1x1x1
l.q_weight i32 8x64, l.q_scale i32 4x8, l.q_scale_max f16 4
l.trellis i16 4x4x64, l.suh f16 64, l.svh f16 64
l.B i32 4x128, l.s f16 1x64
l.B i32 4x128, l.s_channel f32 1x64, l.s_group f16 1x64
# MLX, MXFP4, Nunchaku, FBGEMM, EETQ
l.weight u32 64x8, l.scales bf 64x1, l.biases bf 64x1
l.weight u32 64x8, l.scales u8 64x2
e.gate_up_proj_blocks u8 2x64x2x16, e.gate_up_proj_scales u8 2x64x2
b.mlp1_weight.blocks u8 64x2x16, b.mlp1_weight.scales u8 64x2
l.qweight i8 64x32, l.wscales bf 1x64, l.smooth_factor bf 64
l.qweight i8 64x32, l.wscales f8 4x64, l.wtscale f32
e.down_proj f8 2x64x32, e.down_proj_scale f32 2x64x1
l.weight i8 64x64, l.weight_scales f16 64
# SmoothQuant, torch.ao, ONNX-like
l.weight i8 64x64, l.a f32
l.weight i8 64x64, l.dequant_scale f32 64
l.weight i8 64x64, l.scale f32, l.zero_point i64
fc.weight_quantized i8 64x64, fc.weight_scale f32, fc.weight_zero_point i8
MatMul_12_quantized u8 64x64, MatMul_12_scale f32, MatMul_12_zero_point u8
onnx::MatMul_12_quantized i8 64x64, onnx::MatMul_12_scale f32 64
l.weight_Q4 u8 64x32, l.weight_scales f16 256
# ComfyUI
m.l.weight f8 64x64, m.l.scale_weight f32, m.scaled_fp8 f8 2
m.l.weight f8 64x64, m.l.weight_scale f32, m.l.comfy_quant u8 28
m.l.weight i8 64x64, m.l.weight_scale f32 64
# JAX and Flax
params/fc/kernel i8 64x64, params/fc/kernel_scale f32 64
params/fc/kernel i8 64x64, scales/fc/kernel f32 64
params.fc.kernel.qvalue i8 64x64, params.fc.kernel.scale f32 1x64
aqt/Dense_0/Aqt_0/qrhs/frozen/value i8 64x64, aqt/Dense_0/Aqt_0/qrhs/frozen/scale f32 1x64
fc/kernel/array/qvalue f8 64x64, fc/kernel/array/scale bf 1x64
['params']['fc']['kernel'] f8 64x64, ['params']['fc']['scale'] f32 64
layers_0_fc_kernel f8 64x64, layers_0_fc_kernel_scale f32
fc.kernelQuantized i8 64x64, fc.kernelScale f32 64
# made at home
w1 f8 64x64, w1_scale f32
w1 f8 64x64, s1 f32 64x1
l.w1 i8 64x64, l.s1 f32 64
w.1 f8 64x64, s.1 f32 64
fc.weight_fp8 f8 64x64, fc.weight_fp8_scale f32
fc.weight_fp8 f8 64x64, fc.scale_fp8 f32
fc.weight_q i8 64x64, fc.weight_s f32 64
fc.q i8 64x64, fc.amax f32
model_fc.qdata i8 64x64, model_fc.scale_inverse f32
scale.model.fc f32 64, model.fc f8 64x64
fc.codes u8 64x64, fc.levels f32 64
x.fc.weight f4 64x64, x.fc.block_scale f8 64x4
l.kernel:0 i8 64x64, l.kernel_scale:0 f32 64
l.weight i8 64x64, l.weight-scale f32 64
l.weight f8 64x64, quant_state.l.scale f32
l.weight f8 64x64, l_descale f32
l.weight f8 64x64, weight_descale.l f32
l.weight f8 64x64, l.fp8_meta.scale_fwd f32 3
l.weight i8 64x64, l.qparams f32 64x2
l.weight f8 64x64, amax.l f32
quantized_weight.l i8 64x64, quantization_scale.l f32 64
l.bias i8 64, l.bias_scale f32
l_q i8 64x64, l_s f32 64
l.Wq i8 64x64, l.Ws f32 64
position i8 32x8, position_scale f32 32x1
l.offset i8 64x64, l.offset_scale f32 64
count.weight i8 64x64, count.scale f32 64
"""
PLAIN = """
# names alone, and nothing that could be codes
mix.weight f32 8x8, mix.weight_scale f32
mix.weight_scale f32 8, l.weight f32 8x8
mix.weight_scale bf 8, l.weight bf 8x8
pos.scale_weight f32 8x1, l.weight bf 8x8
pos.scale_weight bf 8x8, l.weight f32 8x8
attn.weight_scales f32 8, attn.qkv.weight bf 8x8
attn.weight_scales bf 8, attn.weight f32 8x8
attn.weight_zero_point f32 8, attn.qkv.weight bf 8x8
attn.weight_zero_point bf 1, attn.weight f32 8x8
a.weight_scale_inv f32 1x1, b.weight f32 8x8
a.weight_scale_2 f32, b.weight f16 8x8
a.weight_global_scale f32 1, b.weight f16 8x8
a.qscale_weight bf, b.weight f16 8x8
a.SCB f32 8, b.weight f16 8x8
a.wscales f32 8x1, b.weight f16 8x8
a.weight bf 8x8, a.scale f32 1x1, a.zero_point f32
a.scales f32 8, a.weight f32 8x8, a.zeros f32 8
absmax f32 8, weight bf 8x8
embed_scale f32 8x1, embed bf 8x8
weights.l f32 8x8, scales.l f32 8x1
w1 bf 8x8, w1_scale f32, s1 f32 8x1
kernel f32 8x8, kernel_scale f32 8
l.quantizer.scale f32, l.quantizer.zero_point f32, l.weight f32 8x8
q.embed f32 16x8, q.cluster_size f32 16, q.embed_avg f32 16x8, q.inited f32 1
quantizer.codebook.weight f32 16x8, quantizer.scale f32 1
# masks, positions and counters of integers
a.bias u8 1x1x8x8, a.masked_bias f32, a.scale f32
e.position_ids i64 1x8, e.position_ids_scale f32, e.weight f32 8x8
e.position_ids i32 1x8, e.scale f32, e.weight f32 8x8
a.relative_position_index i32 8x8, a.logit_scale f32 3x1x1, a.weight f32 8x8
a.mask b 8x8, a.mask_scale f32
bn.num_batches_tracked i64, bn.scale f32 8, bn.weight f32 8
norm i8 8, norm_scale f32 8
spiece_model u8 100, scale f32, shared.weight f16 8x8
labels i32 100, scale f32, head.weight f16 8x8
# float8 without scales
query_norm.scale bf 8, key_norm.scale bf 8, qkv.weight f8 8x8
b.query_norm.scale f8 8, b.qkv.weight f8 8x8
b.0.attn.norm.query_norm.scale f32 8, b.0.attn.qkv.weight f8 24x8, b.0.attn.qkv.bias f8 24
b.query_norm.scale bf 8, b.query.weight f8 8x8, b.norm.weight f8 8
b.0.scale_shift_table bf 6x8, b.0.attn.to_q.weight f8 8x8, scale_shift_table f32 2x8
b.layer_scale1.scale bf 8, b.fc1.weight f8 8x8
b.layer_scale_1 bf 8, b.layer.weight f8 8x8, b.ls1.gamma f32 8
logit_scale f32, text_projection.weight f8 8x8, visual_projection.weight f8 8x8
logit_scale f32, text_projection f8 8x8, logit_bias f32
a.q_proj.weight f8 8x8, a.per_dim_scale bf 8
m.router.scale bf 8, m.router.per_expert_scale bf 4, m.router.proj.weight f8 4x8
m.mixer.A_log f32 8, m.mixer.D f32 8, m.mixer.in_proj.weight f8 16x8, m.mixer.norm.weight bf 8
upscale.0.weight bf 8x8, l.0.weight f8 8x8, upscaler.conv.weight f32 8x8x3x3, conv.weight f8 8x8x3x3
multiscale.conv.weight bf 8x4, conv.weight f8 8x8
grayscale.weight f32 3, rgb.weight f8 8x3
rotary_emb.inv_freq f32 4, attn.q.weight f8 8x8, rotary_emb.scaling f32
zero_convs.0.weight bf 8x8, convs.1.weight f8 8x8
LayerNorm_0/scale f32 8, Dense_0/kernel f8 8x8, Dense_0/bias f32 8
layer_norm/scale f32 8, layer_norm/offset f32 8, linear/w f8 8x8, linear/b f32 8
gn.scale f32 8, conv.kernel f8 3x3x8x8, gn.bias f32 8
lora_unet_a.alpha f32, lora_unet_a.lora_down.weight f8 4x8, lora_unet_a.lora_up.weight f8 8x4
lora_A.weight f8 4x8, lora_magnitude_vector f32 8, lora_B.weight f8 8x4
temperature f32, img_in.weight f8 8x8, guidance_scale.weight bf 8
l.weight f8 8x8, l.bias bf 8, ln.weight bf 8, ln.bias bf 8
l.weight f4 8x8, l.bias bf 8
l.weight e5 8x8, norm.scale bf 8
all.weight f8 8x8, all.bias f8 8, all.norm.weight f8 8, scale f8
weight_g f8 8x1, weight_v f8 8x8
parametrizations.weight.original0 f32 8x1, parametrizations.weight.original1 f8 8x8
embed_tokens.weight f8 32x8, embed_scale f32, head.weight f8 8x8
relative_attention_bias.weight f8 32x4, k.weight f8 8x8, layer_norm.weight f32 8
x.scale_embed.weight bf 8x8, x.embed.weight f8 8x8
scheduler.scale f32, unet.conv.weight f8 8x8x3x3
time_scale f32, emb.weight f8 8x8
snake.alpha f32 8, conv.weight f8 8x8x3, snake.beta f32 8
"""


def rows(table: str) -> list[str]:
    return [row for row in table.strip().splitlines() if not row.startswith("#")]


@pytest.mark.parametrize("row", rows(SCALED))
def test_codes_with_their_scale_are_refused(tmp_path: Path, row: str) -> None:
    path = write(tmp_path / "x.safetensors", tensors(row))
    with pytest.raises(UnsupportedCheckpointError, match="holds scaled weights") as caught:
        prepare(path, tmp_path / "y.safetensors", "bfloat16")
    assert "raw=True" in str(caught.value)
    backwards = dict(reversed(tensors(row).items()))
    assert open_checkpoint(write(tmp_path / "z.safetensors", backwards)).scaled


@pytest.mark.parametrize("row", rows(PLAIN))
def test_plain_weights_convert(tmp_path: Path, row: str) -> None:
    path = write(tmp_path / "x.safetensors", tensors(row))
    run(prepare(path, tmp_path / "y.safetensors", "bfloat16"))
    assert set(tensors_of(tmp_path / "y.safetensors")) == set(tensors(row))


def test_the_command_line_says_so(tmp_path: Path) -> None:
    scaled = write(tmp_path / "a.safetensors", tensors("weights.l f8 8x8, scales.l f32 8x1"))
    out = tmp_path / "out.safetensors"
    convert = [sys.executable, "-m", "tensorcast", "convert", str(scaled), str(out), "--to", "bf16"]
    for more in ([], ["--dry-run"]):
        done = subprocess.run([*convert, *more], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "scales.l" in done.stderr
        assert "--raw" in done.stderr
        assert not out.exists()
    assert subprocess.run([*convert, "--raw"], capture_output=True, check=False).returncode == 0
    assert out.exists()
