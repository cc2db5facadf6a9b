"""What convert writes loads in transformers, with its defaults and with the values of the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare, run
from tensorcast.checkpoint.decide.rules import Rule, parse_rule

torch = pytest.importorskip("torch", reason="no torch")
transformers = pytest.importorskip("transformers", reason="no transformers")

BUILT_IN = ("float16", "bfloat16", "float32", "float64")
FLOAT8 = (
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("llama") / "m"
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    return path


def source_of(llama: Path, path: Path, dtype: str | None) -> Path:
    """The model with this dtype in its configuration, and in it."""
    path.mkdir()
    if dtype in (None, "float32"):
        (path / "model.safetensors").write_bytes((llama / "model.safetensors").read_bytes())
    else:
        model = transformers.AutoModelForCausalLM.from_pretrained(llama, dtype=dtype)
        model.save_pretrained(path)
    config = json.loads((llama / "config.json").read_text())
    del config["dtype"]
    if dtype is not None:
        config["dtype"] = dtype
    (path / "config.json").write_text(json.dumps(config))
    return path


def load(path: Path, **options: Any) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(path, **options)


def expect_loaded(path: Path, model: Any, dtype: str) -> None:
    """Every parameter has this dtype and the values of the file."""
    from safetensors.torch import load_file

    wanted = getattr(torch, dtype)
    written = load_file(path / "model.safetensors")
    parameters = dict(model.named_parameters())
    assert parameters
    for name, parameter in parameters.items():
        assert parameter.dtype == wanted, name
        values = written[name].to(torch.float64).to(wanted)
        assert torch.equal(parameter.detach(), values), name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", None])
@pytest.mark.parametrize("to", BUILT_IN + FLOAT8)
def test_an_output_loads(llama: Path, tmp_path: Path, to: str, dtype: str | None) -> None:
    source = source_of(llama, tmp_path / "source", dtype)
    out = tmp_path / "out"
    run(prepare(open_checkpoint(source), out, to))
    # with its defaults: in the format of the weights, or the one that the source said
    expected = to if to in BUILT_IN else dtype or "float32"
    expect_loaded(out, load(out), expected)
    for asked in ("bfloat16", "float32"):
        expect_loaded(out, load(out, dtype=getattr(torch, asked)), asked)
    if dtype is not None and to not in BUILT_IN:
        assert (out / "config.json").read_text() == (source / "config.json").read_text()


MIXTURES = [
    # to, rules, the dtype of the model that loads: source float32
    ("float8_e4m3fn", ["*norm*=bfloat16"], "float32"),
    ("float8_e4m3fn", ["*=bfloat16"], "bfloat16"),
    ("bfloat16", ["*_proj.weight=float8_e5m2"], "bfloat16"),
    ("bfloat16", ["*=float16"], "float16"),
    ("bfloat16", ["*=float8_e5m2"], "float32"),
    ("bfloat16", ["*norm*=float32"], "bfloat16"),
    ("float16", ["*norm*=bfloat16"], "float32"),
    ("float8_e5m2", ["model.*=float16", "*=float64"], "float64"),
]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(("to", "rules", "dtype"), MIXTURES)
def test_a_mixture_loads(
    llama: Path, tmp_path: Path, to: str, rules: list[str], dtype: str, named: bool
) -> None:
    source = source_of(llama, tmp_path / "source", "float32" if named else None)
    out = tmp_path / "out"
    run(prepare(open_checkpoint(source), out, to, rules=[parse_rule(rule) for rule in rules]))
    model = load(out)
    if "dtype" in json.loads((out / "config.json").read_text()):
        assert model.dtype == getattr(torch, dtype)
    expect_loaded(out, load(out, dtype=torch.bfloat16), "bfloat16")


@pytest.mark.parametrize("to", ["float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn"])
def test_what_does_not_load_is_said(llama: Path, tmp_path: Path, to: str) -> None:
    out = tmp_path / "out"
    result = run(prepare(open_checkpoint(llama), out, to, overflow="saturate", raw=True))
    assert f"transformers cannot load tensors of {to}" in result.warnings
    assert (out / "config.json").read_bytes() == (llama / "config.json").read_bytes()
    with pytest.raises(Exception, match=r"shape|Dtype"):
        load(out)


def test_a_raw_output_loads(llama: Path, tmp_path: Path) -> None:
    """The codes of float8 as numbers, once the configuration calls nothing quantized."""
    codes = tmp_path / "codes"
    run(prepare(open_checkpoint(llama), codes, "float8_e4m3fn"))
    config = json.loads((codes / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8"}
    (codes / "config.json").write_text(json.dumps(config))
    out = tmp_path / "out"
    run(prepare(open_checkpoint(codes), out, "bfloat16", raw=True))
    expect_loaded(out, load(out), "bfloat16")


@pytest.mark.parametrize("said", ["float32", "float16", None])
@pytest.mark.parametrize("to", ["float16", "float8_e4m3fn", "bfloat16"])
@pytest.mark.parametrize("way", ["overflow", "keep"])
def test_a_kept_tensor_does_not_overflow_when_it_is_loaded(
    llama: Path, tmp_path: Path, to: str, said: str | None, way: str
) -> None:
    from safetensors.torch import load_file, save_file

    source = source_of(llama, tmp_path / "source", "float32")
    tensors = load_file(source / "model.safetensors")
    tensors["model.norm.weight"][3] = torch.finfo(torch.float32).max
    save_file(tensors, source / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    config.pop("dtype")
    if said is not None:
        config |= {"dtype": said, "deeper": {"dtype": said}}
    (source / "config.json").write_text(json.dumps(config))
    out = tmp_path / "out"
    # a rule says nothing of values, and bfloat16 has float32's exponents
    dtype = "bfloat16" if (to, way) == ("bfloat16", "keep") else "float32"
    options: dict[str, Any] = (
        {"overflow": "keep"} if way == "overflow" else {"rules": [Rule("model.norm.weight", None)]}
    )
    result = run(prepare(open_checkpoint(source), out, to, **options))
    written = json.loads((out / "config.json").read_text())
    text = (
        "config.json's dtype is float32, so that tensors of float32 do not overflow when the model "
        "is loaded"
    )
    if dtype != "float32":
        assert load(out).dtype == torch.bfloat16
        return
    if said is not None:
        assert written["deeper"]["dtype"] == "float32"
        assert (text in result.warnings) == (written["dtype"] != said)
    expect_loaded(out, load(out), "float32")


def test_no_dtype_and_one_wide_tensor(llama: Path, tmp_path: Path) -> None:
    """Most of the source is float16, and a float32 tensor stays beside float8."""
    from safetensors.torch import load_file, save_file

    source = source_of(llama, tmp_path / "source", None)
    tensors = {n: t.half() for n, t in load_file(source / "model.safetensors").items()}
    tensors["model.norm.weight"] = tensors["model.norm.weight"].float() * 1e6
    save_file(tensors, source / "model.safetensors", metadata={"format": "pt"})
    out = tmp_path / "out"
    run(
        prepare(
            open_checkpoint(source), out, "float8_e5m2", rules=[Rule("model.norm.weight", None)]
        )
    )
    expect_loaded(out, load(out), "float32")


def test_a_dtype_that_holds_every_tensor_stays(llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(
        prepare(open_checkpoint(llama), out, "float32", rules=[parse_rule("*norm*=float16")])
    )
    assert json.loads((out / "config.json").read_text())["dtype"] == "float32"
    assert not [text for text in result.warnings if "dtype" in text]
