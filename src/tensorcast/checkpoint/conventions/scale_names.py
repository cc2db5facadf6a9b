"""What is known of who names the scales of a weight how: the one table of it.

A tensor's name alone proves little. Most rows count only where the partner holds codes; `detection`
reads the table beside the tensors' formats and shapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Sign = Literal["always", "codes", "missing", "block", "anywhere"]
Kind = Literal["float", "integer", "any"]


@dataclass(frozen=True)
class ScaleName:
    """One name that a writer gives to a tensor of a quantized weight.

    Attributes:
        pattern: the end of the name; a leading "." is the border of a module (or the beginning
            of the name), anything else may stand inside a word.
        partners: what replaces the pattern in the name of the tensor that holds the codes.
        method: the `quant_method` of its configuration, "" where there is none.
        writer: who writes it.
        sign: when the name counts. "always": by itself. "codes": where a partner holds codes.
            "missing": there too, and where there is no partner at all, since the codes then lie
            in another file. "block": where a weight of the module, or of one right below it,
            holds codes of 8 bits or fewer in another format. "anywhere": where any weight of the
            model holds such codes.
        kind: what the tensor itself must hold for the name to count.
    """

    pattern: str
    partners: tuple[str, ...]
    method: str
    writer: str
    sign: Sign = "codes"
    kind: Kind = "any"


_WEIGHT: Final = (".weight",)
_PACKED: Final = (".weight", ".weight_packed")
_CT: Final = "compressed-tensors"
_DEEPSEEK: Final = "block float8 (DeepSeek)"

SCALE_NAMES: Final = (
    ScaleName(".weight_scale_inv", _WEIGHT, "fp8", _DEEPSEEK, "missing"),
    ScaleName("_scale_inv", ("", ".weight"), "fp8", _DEEPSEEK),
    ScaleName(".scale_inv", ("", ".weight"), "fp8", _DEEPSEEK),
    ScaleName(".activation_scale", _WEIGHT, "fp8", _DEEPSEEK),
    ScaleName(".scale", _WEIGHT, "fp8", "block float8 (DeepSeek-V4)"),
    ScaleName(".qscale_weight", _WEIGHT, "fp8", "float8 (Mistral)", "missing"),
    ScaleName(".qscale_act", _WEIGHT, "fp8", "float8 (Mistral)", "missing"),
    ScaleName(".weight_scale_2", _PACKED, "modelopt", "ModelOpt NVFP4", "missing"),
    ScaleName(".weight_global_scale", _PACKED, _CT, "compressed-tensors NVFP4", "missing"),
    ScaleName(".weight_scale", _PACKED, _CT, "compressed-tensors or ModelOpt", "missing"),
    ScaleName(".weight_zero_point", _PACKED, _CT, _CT, "missing"),
    ScaleName(".weight_shape", _PACKED, _CT, "compressed-tensors, packed", "codes", "integer"),
    ScaleName(".weight_packed", (), _CT, "compressed-tensors, packed", "always", "integer"),
    ScaleName(".weight_scales", _WEIGHT, "eetq", "EETQ", "missing"),
    ScaleName(".pre_quant_scale", _WEIGHT, "modelopt", "ModelOpt AWQ"),
    ScaleName(".input_scale", _PACKED, "modelopt", "ModelOpt or compressed-tensors"),
    ScaleName(".input_global_scale", _PACKED, _CT, "compressed-tensors NVFP4"),
    ScaleName(".k_scale", (), "modelopt", "a quantized key-value cache", "block", "float"),
    ScaleName(".v_scale", (), "modelopt", "a quantized key-value cache", "block", "float"),
    ScaleName(".kv_scale", (), "fp8", "a quantized key-value cache", "block", "float"),
    ScaleName("_scales", ("_blocks", "", ".weight"), "mxfp4", "MXFP4 (gpt-oss)"),
    ScaleName(".scales", (".blocks", ".weight"), "mxfp4", "MXFP4 (gpt-oss) or MLX"),
    ScaleName("_scale", ("", ".weight"), "fbgemm_fp8", "a scale of a parameter"),
    ScaleName("_zero_point", ("", ".weight"), "quark", "a zero point of a parameter"),
    ScaleName(".qweight", (), "gptq", "GPTQ or AWQ", "always", "integer"),
    ScaleName(".qzeros", (), "gptq", "GPTQ or AWQ", "always", "integer"),
    ScaleName(".q_weight", (), "exl2", "EXL2", "always", "integer"),
    ScaleName(".trellis", (), "exl3", "EXL3", "always", "integer"),
    ScaleName(".s", (".B",), "marlin", "Marlin"),
    ScaleName(".s_channel", (".B",), "qqq", "QQQ"),
    ScaleName(".s_group", (".B",), "qqq", "QQQ"),
    ScaleName(".centroids.weight", (".indices",), "vptq", "VPTQ"),
    ScaleName(".codebooks", (".codes",), "aqlm", "AQLM"),
    ScaleName(".scale_packed", (".weight_packed",), _CT, "compressed-tensors, marlin", "missing"),
    ScaleName(".absmax", ("",), "bitsandbytes", "bitsandbytes"),
    ScaleName(".nested_absmax", ("",), "bitsandbytes", "bitsandbytes"),
    ScaleName(".quant_map", ("",), "bitsandbytes", "bitsandbytes"),
    ScaleName(".nested_quant_map", (), "bitsandbytes", "bitsandbytes", "always", "float"),
    ScaleName(".quant_state.bitsandbytes__nf4", (), "bitsandbytes", "bitsandbytes", "always"),
    ScaleName(".quant_state.bitsandbytes__fp4", (), "bitsandbytes", "bitsandbytes", "always"),
    ScaleName(".SCB", _WEIGHT, "bitsandbytes", "bitsandbytes int8", "missing", "float"),
    ScaleName("_qdata", ("_qdata",), "torchao", "torchao"),
    ScaleName("._data", ("._data",), "quanto", "quanto"),
    ScaleName("._scale", ("._data", "._data._data"), "quanto", "quanto"),
    ScaleName("._shift", ("._data", "._data._data"), "quanto", "quanto"),
    ScaleName(".W_q", (), "hqq", "HQQ", "always", "integer"),
    ScaleName(".unpack_view_dtype", (), "hqq", "HQQ", "always", "integer"),
    ScaleName(".scale_weight", _WEIGHT, "", "scaled float8 (ComfyUI)", "missing", "float"),
    ScaleName(".scale_input", _WEIGHT, "", "scaled float8 (ComfyUI)", "codes", "float"),
    ScaleName(".scaled_fp8", (), "", "scaled float8 (ComfyUI)", "anywhere"),
    ScaleName(".comfy_quant", (), "", "ComfyUI", "always", "integer"),
    ScaleName(".wscales", (".qweight",), "svdquant", "SVDQuant (nunchaku)", "missing"),
)

SCALE_WORDS: Final = frozenset(
    "scale scales scaling qscale qscales wscale wscales descale descales absmax amax scb zeros "
    "zero qzeros".split()
)
"""Words that only a scale or a zero point is called, where it stands beside codes."""

WRAPPER_WORDS: Final = frozenset(
    "weight weights param params parameter parameters value values qvalue kernel kernels data "
    "qdata qweight qweights quantized quantizer quantizers quant codes packed array tensor int8 "
    "uint8 int4 uint4 i8 u8 fp8 f8 float8 fp4 nf4 e4m3 e5m2 e4m3fn 8bit 4bit".split()
)
"""Words that say nothing of which weight it is: a scale and its codes differ in these."""

COMPANION_WORDS: Final = frozenset(
    "point points inv inverse factor factors global block channel per group row column tensor "
    "dequant dequantization act activation input output nested quantization state meta fwd "
    "forward stats".split()
)
"""Words that stand beside `SCALE_WORDS` and may belong to them: `weight_scale_inv`."""

SHORT_CODES: Final = frozenset(("w", "q", "qw", "wq"))
SHORT_SCALES: Final = frozenset(("s", "sc", "sw"))
"""One letter and a number: `w1` with `s1`."""

FILE_WORDS: Final = frozenset(
    "scale scales qscale qscales wscale wscales absmax amax qzeros".split()
)
"""Words in the name of a file that holds scales."""

NO_SCALE_WORDS: Final = frozenset(
    "bias biases b beta gamma logit alpha lora dora running norm ln layernorm rmsnorm token tokens "
    "embed embedding embeddings table modulation mask masks ids id index indices idx freq freqs "
    "pos position positions parametrizations".split()
)
"""Words in the names of parameters that are no scale of the tensor beside them, whatever their
shape is: biases, learned scales of logits, norms and adapters, tokens, positions."""

NORM_WORDS: Final = frozenset("norm norms ln layernorm rmsnorm groupnorm batchnorm".split())
"""Words of vectors that are no codes, although a scale is called as they are."""

NO_SCALE_NAMES: Final = frozenset(
    "weight kernel w weight_g original0 D A_log gate inited initialized cluster_size "
    "cluster_usage".split()
)
"""Whole last parts of names that are no scale."""

NO_CODES_WORDS: Final = frozenset(
    "bias biases mask masks ids id index indices indexes idx position positions coords coordinates "
    "bucket buckets tril triu offset offsets length lengths label labels count counts lookup "
    "mapping perm".split()
)
"""Last words in the names of integer buffers that hold no weight."""

CONFIG_KEYS: Final = ("quantization_config", "compression_config", "quantization")
"""Keys that describe a quantization, at any depth of a configuration or of a header's metadata."""

CONFIG_FILES: Final = (
    "config.json",
    "params.json",
    "generation_config.json",
    "inference_config.json",
    "transformer_config.json",
    "model_config.json",
)
"""Configurations of a model, which may hold one of `CONFIG_KEYS`. Of other JSON files beside codes,
only objects under these keys count."""

WEIGHT_KEYS: Final = (
    r".*bits?|weights?|weight_.*|.*group_size|quant_.*|algorithm|.*dtype|.*scheme|fmt|format|"
    r"config_groups|mode|linear_class|ignore.*|modules_to_not_convert"
)
"""Keys in a description of quantized weights."""

VECTOR_KEYS: Final = (
    r".*codebooks?_.*|.*_codebooks?|n_q|.*num_quantizers?|n_quantizers?|.*quantizer_dropout|"
    r"commitment.*|kmeans.*|threshold_ema.*|rvq.*|vq_.*|n_embed.*|num_embed.*|.*_levels|levels"
)
"""Keys in a description of a vector quantizer, which is a layer of the model."""

VECTOR_QUANTIZERS: Final = ("vq", "rvq", "grvq", "fsq", "rfsq", "lfq", "bsq", "residual_vq")
"""What such layers are called."""

HEADER_KEYS: Final = {
    "_quantization_metadata": "ComfyUI",
    "quantization_metadata": "ComfyUI",
    "gptq_bits": "AutoGPTQ",
}
"""Keys in the metadata of a safetensors header, and who writes them; `CONFIG_KEYS` count too."""

SIDE_FILES: Final = {
    "hf_quant_config.json": "ModelOpt",
    "quanto_qmap.json": "quanto",
    "quant_model_description.json": "ModelSlim",
    "quantize_config.json": "AutoGPTQ",
    "quant_config.json": "AutoAWQ",
    "quantization_config.json": "AutoRound",
    "quant_strategy.json": "quantizers",
}
"""Files that a quantizer leaves beside the weights, and who writes them."""
