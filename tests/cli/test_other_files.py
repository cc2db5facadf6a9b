"""What convert says of a directory's other files: in text, in JSON and in the dry run alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.program import Run, float32, write_safetensors

ADAPTER = "an adapter; give its own path to convert it"
SUB_MODULE = "weights of a sub-module; give its own path to convert it"
OTHER = "not among the model's weights; give its own path to convert it"
TENSORS = "only safetensors files are converted"
SAME = "the same weights in another format, as its name says; not converted"
ONNX = "an ONNX export, not converted"
OPENVINO = "part of an OpenVINO export, not converted"
STALE = "a shard that no index names, not converted"

COPIED = {
    # tokenizers, code, settings
    "vocab.bin": TENSORS, "sentencepiece.bpe.model": "", "tokenizer.model": "", "spiece.model": "",
    "modeling_own.py": "", "README.md": "", ".gitattributes": "", "a/b/c.txt": "",
    # of training
    "optimizer.pt": TENSORS, "scheduler.pt": TENSORS, "rng_state.pth": TENSORS,
    "optimizer.bin": TENSORS, "training_args.bin": TENSORS, "pytorch_model_fsdp.bin": TENSORS,
    "checkpoint-5/model.safetensors": SUB_MODULE, "checkpoint-5/pytorch_model.bin": TENSORS,
    "checkpoint-5/optimizer.pt": TENSORS,
    # of other models
    "mel_filters.npz": TENSORS, "silero_vad.onnx": TENSORS, "speaker.onnx": TENSORS,
    "value_head.safetensors": OTHER, "vae.safetensors": OTHER, "vae.pt": TENSORS,
    "adapter_model.safetensors": ADAPTER, "adapter_model.bin": TENSORS,
    "speech-lora/adapter_model.safetensors": ADAPTER,
    "2_Dense/model.safetensors": SUB_MODULE, "2_Dense/pytorch_model.bin": TENSORS,
    "diffusion_pytorch_model.bin": TENSORS, "word_embeddings.npy": TENSORS,
    "head.safetensors.index.json": "", "head-00001-of-00001.safetensors": OTHER,
}  # fmt: skip
LEFT = {
    "pytorch_model.bin": SAME, "pytorch_model.fp16.bin": SAME, "pytorch_model.bin.index.json": SAME,
    "pytorch_model-00001-of-00002.bin": SAME, "tf_model.h5": SAME, "tf_model.h5.index.json": SAME,
    "tf_model-00001-of-00002.h5": SAME, "flax_model.msgpack": SAME, "rust_model.ot": SAME,
    "flax_model.msgpack.index.json": SAME, "consolidated.safetensors": SAME,
    "consolidated.00.pth": SAME, "original/consolidated.00.pth": SAME,
    "model.fp16.safetensors": "another set of weights (the variant 'fp16'), not converted",
    "model-00001-of-00002.safetensors": STALE,
    "onnx/model.onnx": ONNX, "onnx/model.onnx_data": ONNX, "onnx/decoder.onnx": ONNX,
    "model.onnx": ONNX, "decoder_model_merged.onnx": ONNX, "model_quantized.onnx": ONNX,
    "openvino/openvino_model.bin": OPENVINO, "openvino/openvino_model.xml": OPENVINO,
    "model.q4.gguf": "a GGUF file, for llama.cpp, not converted",
    ".git/": "version control", ".cache/": "a download cache",
    "coreml/float32_model.mlpackage/": "a Core ML export, not converted",
}  # fmt: skip
BELOW = {".git/": "x", ".cache/": "huggingface/x", "coreml/float32_model.mlpackage/": "weight.bin"}


def directory(path: Path, weights: str, files: list[str]) -> Path:
    for name in files:
        file = path / f"{name}{BELOW.get(name, '')}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    path.mkdir(exist_ok=True)
    write_safetensors(path / weights, {"a": float32(1.0, 2.0)}, {"format": "pt"})
    return path


def squeezed(text: str) -> str:
    return " ".join(text.split())


def test_every_other_file_is_copied_or_left_out_with_its_reason(
    tensorcast: Run, tmp_path: Path
) -> None:
    source = directory(tmp_path / "m", "model.safetensors", [*COPIED, *LEFT])
    unconverted = {name: why for name, why in COPIED.items() if why}
    as_json = tensorcast("convert", "m", "j", "--to", "bf16", "--json")
    assert as_json.returncode == 0, as_json.stderr
    document = json.loads(as_json.stdout)
    assert document["skipped"] == LEFT
    assert document["unconverted"] == unconverted
    prepared = json.loads(
        tensorcast("convert", "m", "p", "--to", "bf16", "--dry-run", "--json").stdout
    )
    assert prepared["skipped"] == LEFT
    assert prepared["unconverted"] == unconverted
    assert sorted(prepared["extra_files"]) == sorted(COPIED)
    assert json.loads(tensorcast("inspect", "m", "--json").stdout)["unconverted"] == unconverted

    done = tensorcast("convert", "m", "out", "--to", "bf16")
    assert done.returncode == 0, done.stderr
    dry = tensorcast("convert", "m", "p", "--to", "bf16", "--dry-run")
    seen = tensorcast("inspect", "m")
    reasons: dict[str, list[str]] = {}
    for name, why in [*sorted(LEFT.items()), *sorted(unconverted.items())]:
        reasons.setdefault(why, []).append(name)
    for text in (done.stdout, dry.stdout, seen.stdout):
        for why, names in reasons.items():
            assert f"{', '.join(names)}: {why}" in squeezed(text)
    for name in COPIED:
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()
    names = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*")}
    assert not names & {name.removesuffix("/") for name in LEFT}


@pytest.mark.parametrize("weights", ["adapter_model.safetensors", "vae.safetensors"])
def test_beside_an_adapter_the_whole_models_files_are_no_copies_of_it(
    tensorcast: Run, tmp_path: Path, weights: str
) -> None:
    others = ["pytorch_model.bin", "tf_model.h5", "model.onnx", "consolidated.00.pth"]
    directory(tmp_path / "m", weights, [*others, "adapter_model.bin"])
    done = tensorcast("convert", "m", "out", "--to", "bf16", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    adapter = weights.startswith("adapter")
    assert document["skipped"] == ({"adapter_model.bin": SAME} if adapter else {})
    copied = others if adapter else [*others, "adapter_model.bin"]
    assert set(document["unconverted"]) == set(copied)
    assert all((tmp_path / "out" / name).is_file() for name in copied)


def test_diffusers_other_formats_are_left_out(tensorcast: Run, tmp_path: Path) -> None:
    others = ["diffusion_pytorch_model.bin", "diffusion_pytorch_model.fp16.bin",
              "diffusion_pytorch_model.bin.index.json", "diffusion_flax_model.msgpack"]  # fmt: skip
    directory(tmp_path / "m", "diffusion_pytorch_model.safetensors", [*others, "pytorch_model.bin"])
    done = tensorcast("convert", "m", "out", "--to", "bf16", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["skipped"] == dict.fromkeys(sorted(others), SAME)


def test_beside_a_variant_the_plain_weights_of_another_format_stay(
    tensorcast: Run, tmp_path: Path
) -> None:
    directory(
        tmp_path / "m", "model.fp16.safetensors", ["pytorch_model.bin", "pytorch_model.fp16.bin"]
    )
    done = tensorcast("convert", "m", "out", "--to", "bf16", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["skipped"] == {"pytorch_model.fp16.bin": SAME}
    assert document["unconverted"] == {"pytorch_model.bin": TENSORS}


def test_an_adapters_base_model_is_named(tensorcast: Run, tmp_path: Path) -> None:
    directory(tmp_path / "m", "model.safetensors", ["adapter_model.safetensors"])
    config = tmp_path / "m" / "adapter_config.json"
    config.write_text(json.dumps({"base_model_name_or_path": "org/base"}))
    done = tensorcast("convert", "m", "out", "--to", "bf16")
    assert done.returncode == 0, done.stderr
    said = f"{ADAPTER} (peft loads its base model from 'org/base', not from here)"
    assert said in squeezed(done.stdout)
    config.write_text("{,}")  # none of our business: it is copied as it is
    assert tensorcast("convert", "m", "again", "--to", "bf16").returncode == 0
    assert (tmp_path / "again" / "adapter_config.json").read_text() == "{,}"


def test_many_files_of_one_reason_are_counted(tensorcast: Run, tmp_path: Path) -> None:
    names = [f"part{i:02}/model.safetensors" for i in range(30)]
    directory(tmp_path / "m", "model.safetensors", names)
    done = tensorcast("convert", "m", "out", "--to", "bf16")
    assert done.returncode == 0, done.stderr
    said = squeezed(done.stdout)
    assert f"part19/model.safetensors and 10 more (--json has them all): {SUB_MODULE}" in said
    full = tensorcast("convert", "m", "p", "--to", "bf16", "--dry-run", "--full")
    assert f"{', '.join(names)}: {SUB_MODULE}" in squeezed(full.stdout)


def test_a_configuration_that_stays_is_not_announced(tensorcast: Run, tmp_path: Path) -> None:
    source = directory(tmp_path / "m", "model.safetensors", [])
    for text, rewritten in (('{"model_type": "bert"}', False), ('{"dtype": "float32"}', True)):
        (source / "config.json").write_text(text)
        dry = tensorcast("convert", "m", "p", "--to", "bf16", "--dry-run")
        assert ("rewritten" in dry.stdout) == rewritten
        assert ("copied" in dry.stdout) != rewritten
        done = tensorcast("convert", "m", "out", "--to", "bf16", "--force")
        assert done.returncode == 0, done.stderr
        assert ((tmp_path / "out" / "config.json").read_text() != text) == rewritten


def test_a_tensor_larger_than_a_file_may_be(tensorcast: Run, tmp_path: Path) -> None:
    tensors = {"large": float32(*range(400)), "small": float32(1.0)}
    write_safetensors(tmp_path / "w.safetensors", tensors)
    options = ("--to", "bf16", "--max-shard-size", "100B")
    said = "a file is larger than 100 B, for a tensor is never split: "
    said += "w-00001-of-00002.safetensors (800 B: 'large')"
    done = tensorcast("convert", "w.safetensors", "out", *options)
    assert done.returncode == 0
    assert said in squeezed(done.stderr)
    assert said in squeezed(
        tensorcast("convert", "w.safetensors", "p", *options, "--dry-run").stdout
    )
    as_json = tensorcast("convert", "w.safetensors", "j", *options, "--json")
    assert json.loads(as_json.stdout)["warnings"] == [said]


def test_what_index_and_files_leave_open_is_refused_with_the_way_out(
    tensorcast: Run, tmp_path: Path
) -> None:
    path = tmp_path / "m"
    path.mkdir()
    for i, tensors in enumerate([("a", "b"), ("b", "c")], start=1):
        file = path / f"model-0000{i}-of-00002.safetensors"
        write_safetensors(file, {name: float32(1.0) for name in tensors})
    index = path / "model.safetensors.index.json"
    weight_map = dict.fromkeys("ab", "model-00001-of-00002.safetensors")
    weight_map["c"] = "model-00002-of-00002.safetensors"
    index.write_text(json.dumps({"weight_map": weight_map}))
    for command in (["inspect", "m"], ["convert", "m", "out", "--to", "bf16"]):
        done = tensorcast(*command, "--json")
        assert done.returncode == 1
        error = json.loads(done.stdout)["error"]
        assert error["kind"] == "UnsupportedCheckpointError"
        assert "the tensor 'b' is in" in error["message"]
        assert "save_pretrained" in error["message"]
    assert not (tmp_path / "out").exists()


def test_a_pipeline_is_converted_by_the_commands_that_its_refusal_names(
    tensorcast: Run, tmp_path: Path
) -> None:
    import shlex
    import subprocess

    directory(tmp_path / "pipe" / "unet", "diffusion_pytorch_model.safetensors", ["config.json"])
    (tmp_path / "pipe" / "unet" / "config.json").write_text("{}")
    (tmp_path / "pipe" / "model_index.json").write_text("{}")
    refused = tensorcast("convert", "pipe", "out", "--to", "bf16")
    assert refused.returncode == 1
    assert not (tmp_path / "out").exists()
    said = squeezed(refused.stderr)
    copy = said[said.index("cp -rL") : said.index(")", said.index("cp -rL"))]
    subprocess.run(shlex.split(copy), cwd=tmp_path, check=True)
    convert = said[said.index("tensorcast convert") : said.rindex(" FORMAT)")]
    assert tensorcast(*shlex.split(convert)[1:], "bf16").returncode == 0
    assert (tmp_path / "COPY" / "model_index.json").is_file()
    data = (tmp_path / "COPY" / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    assert b'"BF16"' in data
