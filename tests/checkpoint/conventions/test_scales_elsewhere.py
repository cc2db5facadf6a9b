"""Scales in another file, configurations of any name, and what a raw conversion leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checkpoint.conventions.test_scale_names import tensors
from checkpoint.handmade import tensors_of, write

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare, run
from tensorcast.errors import UnsupportedCheckpointError

CODES = "l.weight f8 64x64, l.shift f8 64, l.bias bf 64, norm.weight bf 64"
PACKED = "l.weight i32 64x8, norm.weight bf 64"
WIDE = "l.weight bf 64x64, l.bias bf 64, norm.weight f32 64"


def refused(path: Path, *said: str) -> None:
    with pytest.raises(UnsupportedCheckpointError, match="raw=True") as caught:
        prepare(path, path.parent / ("out.safetensors" if path.is_file() else "out"), "bfloat16")
    for each in said:
        assert each in str(caught.value)


def converts(path: Path) -> None:
    run(prepare(path, path.parent / "out.safetensors", "bfloat16"))


SCALES = {
    "scales.safetensors": "l.weight f32 64x1",
    "model_scales.safetensors": "l f32",
    "quant.safetensors": "l.weight_scale f32 64x1",
    "extra.safetensors": "scales.l f32 64",
    "fp8.safetensors": "l.scale f32",
    "b.safetensors": "l.weight f32 64x1",
    "a_first.safetensors": "l.weight_scale_inv f32 1x1, norm.weight_scale_inv f32 1",
}


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("weights", ["model.safetensors", "weights.safetensors", "directory"])
def test_a_file_of_scales_beside_codes_is_seen(tmp_path: Path, name: str, weights: str) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    single = weights != "directory"
    path = write(folder / (weights if single else "model.safetensors"), tensors(CODES))
    write(folder / name, tensors(SCALES[name]))
    refused(path if single else folder, name)


@pytest.mark.parametrize("name", ["scales.npz", "l_scales.pt", "kv_scales.json", "absmax.npy"])
def test_scales_in_another_format_are_seen(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "model.safetensors", tensors(CODES))
    (tmp_path / name).write_bytes(b"x")
    refused(path, name)
    refused(tmp_path, name)
    (tmp_path / name).unlink()
    (tmp_path / "scales").mkdir()
    (tmp_path / "scales" / "l.npy").write_bytes(b"x")
    refused(tmp_path, "scales/l.npy")


def test_scales_are_seen_through_a_link(tmp_path: Path) -> None:
    for folder in ("real", "farm"):
        (tmp_path / folder).mkdir()
    path = write(tmp_path / "real" / "w.safetensors", tensors(CODES))
    write(tmp_path / "real" / "s.safetensors", tensors("scales.l f32 64"))
    link = tmp_path / "farm" / "x.safetensors"
    link.symlink_to(path)
    refused(link, "s.safetensors")


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("vae.safetensors", "l.weight f32 64x64, l.bias f32 64"),
        ("lora.safetensors", "l.lora_A.weight f32 4x64, l.lora_B.weight f32 64x4, l.alpha f32"),
        ("norms.safetensors", "norm.weight f32 64, norm.bias f32 64"),
        ("vision.safetensors", "logit_scale f32, b.query_norm.scale f32 64"),
        ("other.safetensors", "l.weight f8 64x128, l.weight_scale f32 64x1"),  # a model of its own
        ("upscale.safetensors", "up.weight f32 8x8"),
        ("biases.safetensors", "l.shift f32 64"),
        ("broken.safetensors", ""),
    ],
)
def test_other_files_beside_codes_are_no_scales(tmp_path: Path, name: str, row: str) -> None:
    path = write(tmp_path / "model.safetensors", tensors(CODES))
    if row:
        write(tmp_path / name, tensors(row))
    else:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "zero_to_fp32.py").write_text("")
    (tmp_path / "grad_scaler.pt").write_text("")
    converts(path)


def test_wide_weights_are_converted_beside_files_of_scales(tmp_path: Path) -> None:
    path = write(tmp_path / "model.safetensors", tensors(WIDE))
    write(tmp_path / "scales.safetensors", tensors("l.weight f32 64x1"))
    converts(path)


@pytest.mark.parametrize("codes", [CODES, PACKED, "l.weight u8 64x32", "l.weight i8 64x64"])
@pytest.mark.parametrize(
    "name",
    [
        "model-00001-of-00002.safetensors",
        "00001-of-00002.safetensors",
        "diffusion_pytorch_model.fp8-00002-of-00003.safetensors",
        "consolidated.00001-of-00002.safetensors",
        "model_1_of_2.safetensors",
    ],
)
def test_one_shard_without_the_others_is_refused_if_it_holds_codes(
    tmp_path: Path, name: str, codes: str
) -> None:
    refused(write(tmp_path / name, tensors(codes)), "is not there, and may hold its scales")


def test_one_shard_without_the_others_converts_if_it_holds_none(tmp_path: Path) -> None:
    converts(write(tmp_path / "model-00001-of-00002.safetensors", tensors(WIDE)))


def test_all_shards_without_an_index_convert_if_none_holds_scales(tmp_path: Path) -> None:
    first = write(tmp_path / "model-00001-of-00002.safetensors", tensors(CODES))
    second = write(tmp_path / "model-00002-of-00002.safetensors", tensors("ln.weight bf 64"))
    converts(first)
    second.write_bytes(b"no header")
    refused(first, second.name, "cannot be read")


def test_a_scale_without_codes_in_a_lone_shard_is_refused(tmp_path: Path) -> None:
    row = "l.weight_scale_inv f32 1x1, norm.weight bf 64"
    refused(write(tmp_path / "model-00002-of-00002.safetensors", tensors(row)))


DESCRIPTION = {"quantization_config": {"quant_method": "fp8"}}


@pytest.mark.parametrize(
    "name",
    [
        "generation_config.json",
        "inference_config.json",
        "transformer_config.json",
        "model_config.json",
        "processor_config.json",
        "anything.json",
        "meta.json",
    ],
)
@pytest.mark.parametrize(
    "content",
    [DESCRIPTION, {"a": [{"b": DESCRIPTION}]}, {"quantization": {}, "a": DESCRIPTION}],
)
@pytest.mark.parametrize("single", [True, False])
def test_any_configuration_beside_codes_counts(
    tmp_path: Path, name: str, content: object, single: bool
) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    path = write(folder / "model.safetensors", tensors(CODES))
    (folder / "config.json").write_text('{"model_type": "x"}')
    (folder / name).write_text(json.dumps(content))
    refused(path if single else folder, name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vocab.json", {"quantization": 17, "quantization_config": 18, "compression_config": 19}),
        ("tokenizer.json", {"model": {"vocab": {"quantization_config": 3}}}),
        ("workflow.json", {"1": {"inputs": {"quantization": "fp8_e4m3fn"}}}),
        ("training_args.json", {"quantization_bit": None, "quantization_config": None}),
        ("notes.json", {"quantization": {"codebook_size": 1024}}),
    ],
)
@pytest.mark.parametrize("row", [CODES, WIDE])
def test_other_json_beside_weights_is_no_configuration(
    tmp_path: Path, name: str, content: object, row: str
) -> None:
    path = write(tmp_path / "model.safetensors", tensors(row))
    (tmp_path / name).write_text(json.dumps(content))
    assert open_checkpoint(tmp_path).scaled is None
    converts(path)


VECTOR = [
    {"quantization": {"codebook_size": 1024}},
    {"quantization": {"codebook_size": 2048, "num_quantizers": 8, "codebook_dim": 128}},
    {"quantization": {"n_q": 32, "q_dropout": True, "bins": 2048, "dimension": 256}},
    {"encoder": {}, "quantization": {"levels": [8, 5, 5, 5], "num_codebooks": 1}},
    {"quantization_config": {"codebook_size": 1024, "commitment_cost": 0.25}},
    {"quantization": "rvq"},
    {"quantization": {"enabled": False, "bits": 8}},
    {"model_type": "ibert", "quant_mode": False, "force_dequant": "none"},
    {"model_type": "recurrent_gemma", "embeddings_scale_by_sqrt_dim": True, "embeddings_scale": 2},
    {"model_type": "encodec", "codebook_size": 1024, "num_quantizers": 8, "quantizer": "rvq"},
    {"model_type": "wav2vec2", "num_codevectors_per_group": 320, "quantizer_initialized": True},
]


@pytest.mark.parametrize("config", VECTOR, ids=json.dumps)
def test_a_vector_quantizer_is_a_layer(tmp_path: Path, config: dict[str, object]) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    wide = "quantizer.codebook f32 16x8, encoder.weight bf 8x8"
    for row in (wide, "encoder.weight f8 8x8, encoder.norm.weight bf 8"):
        if "quantization_config" in config and row != wide:
            continue
        path = write(folder / "model.safetensors", tensors(row))
        assert open_checkpoint(path).scaled is None
        run(prepare(folder, tmp_path / f"out-{len(row)}", "bfloat16", raw=True))
        written = json.loads((tmp_path / f"out-{len(row)}" / "config.json").read_text())
        assert {key: written[key] for key in config} == config


@pytest.mark.parametrize(
    "value",
    [
        {"codebook_size": 1024, "bits": 4},
        {"quant_method": "aqlm", "num_codebooks": 1, "nbits_per_codebook": 16},
        {"weights": {"num_bits": 8}, "codebook_size": 2},
    ],
)
def test_codebooks_of_weights_are_a_quantization(tmp_path: Path, value: object) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"quantization": value}))
    refused(write(tmp_path / "model.safetensors", tensors(WIDE)), "'quantization'")


MADE = {
    "format": "pt",
    "prompt": '{"1": {"inputs": {"quantization": "fp8_e4m3fn"}}}',
    "workflow": '{"nodes": [{"quantization_config": {"bits": 8}}]}',
    "ss_network_args": '{"quantization": "fp8"}',
}


@pytest.mark.parametrize("row", [WIDE, CODES, CODES + ", l.weight_scale f32"])
def test_raw_keeps_how_a_file_was_made(tmp_path: Path, row: str) -> None:
    path = write(tmp_path / "x.safetensors", tensors(row), MADE)
    run(prepare(path, tmp_path / "y.safetensors", "bfloat16", raw=True))
    assert open_checkpoint(tmp_path / "y.safetensors").metadata == MADE
    assert set(tensors_of(tmp_path / "y.safetensors")) == set(tensors(row))


def test_raw_keeps_what_stands_around_a_description(tmp_path: Path) -> None:
    config = {"transformer": {"depth": 2, "quantization_config": {"bits": 8}}}
    path = write(tmp_path / "x.safetensors", tensors(CODES), {"config": json.dumps(config)})
    refused(path, "config")
    made = prepare(path, tmp_path / "y.safetensors", "bfloat16", raw=True)
    assert any("'config'" in warning for warning in made.warnings)
    run(made)
    written = open_checkpoint(tmp_path / "y.safetensors").metadata["config"]
    assert json.loads(str(written)) == {"transformer": {"depth": 2}}
