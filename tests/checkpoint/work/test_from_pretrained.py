"""Converted directories load in the libraries that read them, with the values that were written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare, run

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    yield
    transformers.utils.logging.enable_progress_bar()


def llama() -> Any:
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def unet(diffusers: Any) -> Any:
    return diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=8, cross_attention_dim=32,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip


def convert(source: Path, destination: Path, **options: Any) -> Any:
    return run(prepare(open_checkpoint(source), destination, "bfloat16", **options))


def assert_rounded(found: Any, model: Any) -> None:
    """Every parameter is the model's, rounded once to bfloat16."""
    wanted = model.state_dict()
    state = found.state_dict()
    assert set(state) == set(wanted)
    for name, tensor in state.items():
        torch.testing.assert_close(
            tensor.float(), wanted[name].to(torch.bfloat16).float(), rtol=0, atol=0
        )


@pytest.mark.parametrize("size", [None, 40_000, 10_000_000])
@pytest.mark.parametrize("source_size", ["10GB", "40KB"])
@pytest.mark.parametrize("variant", [None, "fp16"])
def test_transformers(
    tmp_path: Path, variant: str | None, source_size: str, size: int | None
) -> None:
    model = llama().half() if variant else llama()
    model.save_pretrained(tmp_path / "m", variant=variant, max_shard_size=source_size)
    convert(tmp_path / "m", tmp_path / "o", max_shard_size=size)
    load = transformers.AutoModelForCausalLM.from_pretrained
    found = load(tmp_path / "o", variant=variant, dtype="auto")
    assert found.dtype == torch.bfloat16
    assert_rounded(found, model)
    if variant:
        with pytest.raises(OSError, match=r"model\.safetensors"):
            load(tmp_path / "o")


@pytest.mark.parametrize("size", ["10GB", "40KB"])
def test_transformers_with_a_variant_beside_the_plain_weights(tmp_path: Path, size: str) -> None:
    model = llama()
    model.save_pretrained(tmp_path / "m", max_shard_size=size)
    llama().half().save_pretrained(tmp_path / "m", variant="fp16", max_shard_size=size)
    result = convert(tmp_path / "m", tmp_path / "o")
    assert all("the variant 'fp16'" in why for why in result.skipped.values())
    assert_rounded(transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "o"), model)


def test_transformers_with_weights_that_the_configuration_names(tmp_path: Path) -> None:
    model = llama()
    model.save_pretrained(tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").rename(tmp_path / "m" / "own.safetensors")
    llama().save_pretrained(tmp_path / "stale")
    (tmp_path / "stale" / "model.safetensors").rename(tmp_path / "m" / "model.safetensors")
    config = tmp_path / "m" / "config.json"
    members = {**json.loads(config.read_text()), "transformers_weights": "own.safetensors"}
    config.write_text(json.dumps(members))
    before = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    torch.testing.assert_close(before.state_dict(), model.state_dict(), rtol=0, atol=0)
    convert(tmp_path / "m", tmp_path / "o")
    assert_rounded(transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "o"), model)


def test_what_transformers_takes_where_index_and_files_disagree(tmp_path: Path) -> None:
    """The reason that such a directory is refused: here, the index is not what counts."""
    model = llama()
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    index = tmp_path / "model.safetensors.index.json"
    members = json.loads(index.read_text())
    name = "model.norm.weight"
    home = members["weight_map"].pop(name)
    index.write_text(json.dumps(members))
    load = transformers.AutoModelForCausalLM.from_pretrained
    assert torch.equal(load(tmp_path).state_dict()[name], model.state_dict()[name])
    members["weight_map"][name] = home
    index.write_text(json.dumps(members))
    for i, file in enumerate(sorted(set(members["weight_map"].values()))):
        tensors = safetensors.load_file(tmp_path / file)
        tensors[name] = torch.full((32,), float(i))
        safetensors.save_file(tensors, tmp_path / file, metadata={"format": "pt"})
    assert torch.equal(load(tmp_path).state_dict()[name], torch.full((32,), float(i)))


@pytest.mark.parametrize("size", [None, 1_000_000, 100_000_000])
@pytest.mark.parametrize("source_size", ["10GB", "1MB"])
@pytest.mark.parametrize("variant", [None, "fp16"])
def test_diffusers(tmp_path: Path, variant: str | None, source_size: str, size: int | None) -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    model = unet(diffusers).half() if variant else unet(diffusers)
    model.save_pretrained(tmp_path / "m", variant=variant, max_shard_size=source_size)
    convert(tmp_path / "m", tmp_path / "o", max_shard_size=size)
    load = diffusers.UNet2DConditionModel.from_pretrained
    found = load(tmp_path / "o", variant=variant, torch_dtype=torch.bfloat16, use_safetensors=True)
    assert_rounded(found, model)


@pytest.mark.parametrize("size", ["10GB", "1MB"])
def test_diffusers_with_a_variant_beside_the_plain_weights(tmp_path: Path, size: str) -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    model = unet(diffusers)
    model.save_pretrained(tmp_path / "m", max_shard_size=size)
    unet(diffusers).half().save_pretrained(tmp_path / "m", variant="fp16", max_shard_size=size)
    convert(tmp_path / "m", tmp_path / "o")
    load = diffusers.UNet2DConditionModel.from_pretrained
    assert_rounded(load(tmp_path / "o", torch_dtype=torch.bfloat16), model)
    with pytest.raises(OSError, match="fp16"):
        load(tmp_path / "o", variant="fp16", use_safetensors=True)


def test_peft_with_an_adapter_beside_the_model(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    llama().save_pretrained(tmp_path / "m")
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    adapted = peft.get_peft_model(base, peft.LoraConfig(r=4, target_modules=["q_proj"]))
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter)
    adapted.save_pretrained(tmp_path / "m")
    x = torch.arange(8)[None]
    load = transformers.AutoModelForCausalLM.from_pretrained
    result = convert(tmp_path / "m", tmp_path / "o")
    assert list(result.job.unconverted) == ["adapter_model.safetensors"]
    files = [tmp_path / name / "adapter_model.safetensors" for name in "mo"]
    assert files[0].read_bytes() == files[1].read_bytes()
    found = load(tmp_path / "o")
    assert any("lora_B" in name for name, _ in found.named_parameters())
    (tmp_path / "o" / "adapter_config.json").rename(tmp_path / "o" / "aside")
    plain = load(tmp_path / "o")
    (tmp_path / "o" / "aside").rename(tmp_path / "o" / "adapter_config.json")
    assert plain.dtype == torch.bfloat16
    wanted = load(tmp_path / "m")(x).logits
    assert (plain(x).logits.float() - wanted).abs().max() > 0.2  # the adapter counts
    assert (found(x).logits.float() - wanted).abs().max() < 0.1
    ours = peft.PeftModel.from_pretrained(plain, tmp_path / "o")(x).logits
    assert (ours.float() - wanted).abs().max() < 0.1
    # an adapter alone
    adapted.save_pretrained(tmp_path / "a")
    convert(tmp_path / "a", tmp_path / "b")
    alone = peft.PeftModel.from_pretrained(load(tmp_path / "o"), tmp_path / "b")(x).logits
    assert alone.isfinite().all()


def test_sentence_transformers_with_a_dense_module(tmp_path: Path, minilm: Path) -> None:
    library = pytest.importorskip(
        "sentence_transformers", reason="sentence_transformers is not installed"
    )
    from sentence_transformers import models

    modules = [models.Transformer(str(minilm)), models.Pooling(384), models.Dense(384, 16)]
    library.SentenceTransformer(modules=modules, device="cpu").save(str(tmp_path / "m"))
    result = convert(tmp_path / "m", tmp_path / "o")
    assert result.job.unconverted == {
        "2_Dense/model.safetensors": "weights of a sub-module; give its own path to convert it"
    }
    load = library.SentenceTransformer
    wanted = load(str(tmp_path / "m"), device="cpu").encode(["a house"])
    found = load(str(tmp_path / "o"), device="cpu").encode(["a house"])
    assert abs(wanted - found).max() < 0.05 * abs(wanted).max()
    (tmp_path / "o" / "2_Dense" / "model.safetensors").unlink()  # and that by its own path
    convert(
        tmp_path / "m" / "2_Dense" / "model.safetensors",
        tmp_path / "o" / "2_Dense" / "model.safetensors",
    )
    found = load(str(tmp_path / "o"), device="cpu").encode(["a house"])
    assert abs(wanted - found).max() < 0.05 * abs(wanted).max()
