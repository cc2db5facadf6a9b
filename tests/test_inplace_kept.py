"""What `cast_` of a module keeps in float32 without being told, and that the model runs then."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import tensorcast as tc  # noqa: E402

LOW = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def bn(kind: Any, *shape: int, **options: Any) -> Callable[[], tuple[Any, Any]]:
    return lambda: (
        torch.nn.Sequential(kind(shape[1], **options)),
        torch.rand(*shape, generator=torch.Generator().manual_seed(0)),
    )


NORMS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "BatchNorm1d": bn(torch.nn.BatchNorm1d, 8, 4),
    "BatchNorm2d": bn(torch.nn.BatchNorm2d, 2, 4, 5, 5),
    "BatchNorm3d": bn(torch.nn.BatchNorm3d, 2, 4, 3, 3, 3),
    "without weights": bn(torch.nn.BatchNorm2d, 2, 4, 5, 5, affine=False),
    "InstanceNorm1d": bn(torch.nn.InstanceNorm1d, 2, 4, 6, affine=True, track_running_stats=True),
    "InstanceNorm2d": bn(torch.nn.InstanceNorm2d, 2, 4, 5, 5, track_running_stats=True),
}


@pytest.mark.parametrize("to", LOW)
@pytest.mark.parametrize("name", NORMS)
def test_a_layer_with_running_statistics_stays_whole(name: str, to: str) -> None:
    model, x = NORMS[name]()
    model(x)  # statistics that are not 0 and 1
    before = copy.deepcopy(model).state_dict()
    result, losses = tc.cast_(model, to, report=True)
    assert result is model
    for key, value in model.state_dict().items():
        assert value.dtype == before[key].dtype, key
        assert torch.equal(value, before[key]), key
        if value.is_floating_point():
            assert losses.kept[key] == "of a normalisation layer with running statistics"
    assert "kept={'0." in repr(losses)
    for train in (True, False):
        y = model.train(train)(x.to(LOW[to]).requires_grad_())
        assert y.dtype == LOW[to]
        y.sum().backward()


@pytest.mark.parametrize("to", LOW)
def test_a_cnn_trains_and_infers_on(to: str) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
        torch.nn.Conv2d(8, 4, 3), torch.nn.InstanceNorm2d(4, affine=True),
        torch.nn.Flatten(), torch.nn.Linear(64, 2),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters())
    x = torch.rand(2, 3, 8, 8)
    model(x).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    reference = copy.deepcopy(model)
    for i in (0, 3, 4, 6):
        reference[i].to(LOW[to])
    if to == "float16":  # the squares of small gradients are 0 in it
        with pytest.raises(tc.errors.CollapseError, match="exp_avg_sq"):
            tc.cast_(model, to, optimizer=optimizer)
        assert {x.dtype for x in model.state_dict().values()} == {torch.float32, torch.int64}
    tc.cast_(model, to, optimizer=optimizer, raw=to == "float16")
    low = x.to(LOW[to])
    assert torch.equal(model.eval()(low), reference.eval()(low))
    assert model[1].weight.dtype == torch.float32
    assert model[4].weight.dtype == LOW[to]  # no statistics: nothing holds it back
    assert optimizer.state[model[1].weight]["exp_avg"].dtype == torch.float32
    assert optimizer.state[model[0].weight]["exp_avg"].dtype == LOW[to]
    model.train()(low).sum().backward()
    optimizer.step()


def test_a_rule_decides_before() -> None:
    def new() -> Any:
        return torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))

    model = new()
    _, losses = tc.cast_(model, "bfloat16", rules={"1.*": "bfloat16"}, report=True)
    assert losses.kept == {}
    assert model[1].running_var.dtype == model[1].weight.dtype == torch.bfloat16
    model(torch.rand(3, 4, dtype=torch.bfloat16))
    for to in ("float32", "float64"):  # wider than what is kept: nothing is
        model = new()
        tc.cast_(model, "bfloat16", rules={"1.[wbr]*": "bfloat16"})
        tc.cast_(model, to)
        assert {x.dtype for x in model.state_dict().values()} == {getattr(torch, to), torch.int64}
    model = tc.cast_(new().double(), "bfloat16")  # and from float64, float32 is what code takes
    assert model[1].weight.dtype == model[1].running_mean.dtype == torch.float32
    model(torch.rand(3, 4, dtype=torch.bfloat16))
    model = tc.cast_(new().half(), "bfloat16", overflow="saturate")
    assert model[1].weight.dtype == torch.bfloat16
    model(torch.rand(3, 4, dtype=torch.bfloat16))


class Rotary(torch.nn.Module):
    """Attention's positions as most code has them, and tables of other kinds."""

    def __init__(self, name: str = "inv_freq", saved: bool = False) -> None:
        super().__init__()
        self.name = name
        inverse = 1.0 / (10000.0 ** (torch.arange(0, 16, 2) / 16))
        self.register_buffer(name, inverse, persistent=saved)
        self.register_buffer("embed_scale", torch.tensor(16.0**0.5 + 1e-3), persistent=False)
        self.register_buffer("pe", torch.rand(5000, 16), persistent=False)  # added to activations
        self.register_buffer("mask", torch.full((8, 8), float("-inf")).triu(1), persistent=False)
        self.register_buffer("scale", torch.tensor(1.0 / 3.0))
        self.linear = torch.nn.Linear(16, 16)

    def forward(self, x: Any) -> Any:
        n = x.shape[-2]
        angles = torch.outer(torch.arange(n).float(), getattr(self, self.name).float())
        turns = torch.cat([angles, angles], -1)
        x = (x * self.embed_scale + self.pe[:n]) * self.scale
        x = x * turns.cos().to(x.dtype)
        scores = x[:8] @ x[:8].mT + self.mask
        return self.linear(scores.softmax(-1) @ x[:8])


@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize(
    "name",
    ["inv_freq", "original_inv_freq", "sliding_attention_inv_freq", "freqs", "inv_timescales"],
)
def test_frequencies_are_told_apart(name: str, saved: bool) -> None:
    torch.manual_seed(0)
    model = Rotary(name, saved)
    inverse = getattr(model, name).clone()
    _, losses = tc.cast_(model, "bfloat16", report=True)
    assert set(losses.kept) == {name, "embed_scale"}
    assert torch.equal(getattr(model, name), inverse)
    kept = {key for key, x in model.named_buffers() if x.dtype == torch.float32}
    assert kept == {name, "embed_scale"}
    assert model(torch.rand(8, 16, dtype=torch.bfloat16)).dtype == torch.bfloat16
    tc.cast_(model, "bfloat16", rules={f"*{name}": "bfloat16"})
    assert getattr(model, name).dtype == torch.bfloat16


def test_a_series_is_one_under_any_name_that_is_not_saved() -> None:
    model = tc.cast_(Rotary("theta"), "bfloat16")
    assert model.theta.dtype == torch.float32
    assert tc.cast_(Rotary("theta", saved=True), "bfloat16").theta.dtype == torch.bfloat16
    assert tc.cast_(Rotary("slopes"), "bfloat16").slopes.dtype == torch.bfloat16


def test_a_model_says_itself_what_it_keeps() -> None:
    class Says(torch.nn.Module):
        _keep_in_fp32_modules = ("wo",)
        _keep_in_fp32_modules_strict = frozenset({"gate.weight"})

        def __init__(self) -> None:
            super().__init__()
            self.wo, self.gate, self.two = (torch.nn.Linear(2, 2) for _ in range(3))

    def kept(to: str) -> set[str]:
        _, losses = tc.cast_(torch.nn.ModuleDict({"m": Says()}), to, report=True)
        return set(losses.kept)

    assert kept("bfloat16") == {"m.gate.weight"}
    assert kept("float16") == {"m.gate.weight", "m.wo.weight", "m.wo.bias"}
    assert kept("float64") == set()


MODELS = ("llama", "gpt2", "t5", "bert", "whisper", "gemma3", "vit")


def transformer(name: str) -> tuple[Any, Any]:
    """A small one of its kind with weights drawn by a seed, and its inputs."""
    t = pytest.importorskip("transformers")
    ids = torch.arange(8)[None]
    small: dict[str, Any] = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2}
    heads = {**small, "num_attention_heads": 4, "intermediate_size": 64}
    made = {
        "llama": lambda: (t.LlamaForCausalLM, t.LlamaConfig(**heads), {"input_ids": ids}),
        "gpt2": lambda: (
            t.GPT2LMHeadModel,
            t.GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4, n_positions=64),
            {"input_ids": ids},
        ),
        "t5": lambda: (
            t.T5ForConditionalGeneration,
            t.T5Config(
                vocab_size=64, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
                decoder_start_token_id=0,
            ),
            {"input_ids": ids, "decoder_input_ids": ids[:, :4]},
        ),
        "bert": lambda: (t.BertForMaskedLM, t.BertConfig(**heads), {"input_ids": ids}),
        "whisper": lambda: (
            t.WhisperForConditionalGeneration,
            t.WhisperConfig(
                vocab_size=64, d_model=32, encoder_layers=2, decoder_layers=2,
                encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=64,
                decoder_ffn_dim=64, num_mel_bins=16, max_source_positions=30,
                max_target_positions=32, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                decoder_start_token_id=1, suppress_tokens=None, begin_suppress_tokens=None,
            ),
            {
                "input_features": torch.linspace(-1, 1, 960).view(1, 16, 60),
                "decoder_input_ids": ids[:, :4],
            },
        ),
        "gemma3": lambda: (
            t.Gemma3ForCausalLM,
            t.Gemma3TextConfig(**heads, num_key_value_heads=1, head_dim=8),
            {"input_ids": ids},
        ),
        "vit": lambda: (
            t.ViTForImageClassification,
            t.ViTConfig(
                hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
                image_size=32, patch_size=8,
            ),
            {"pixel_values": torch.linspace(-1, 1, 3072).view(1, 3, 32, 32)},
        ),
    }  # fmt: skip
    kind, config, inputs = made[name]()
    torch.manual_seed(0)
    return kind(config).eval(), inputs


@pytest.mark.parametrize("to", LOW)
@pytest.mark.parametrize("name", MODELS)
def test_transformers_run_as_those_that_were_loaded_so(name: str, to: str, tmp_path: Any) -> None:
    model, inputs = transformer(name)
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path, dtype=LOW[to], local_files_only=True).eval()
    tc.cast_(model, to)
    for (key, p), q in zip(model.named_parameters(), loaded.parameters(), strict=True):
        assert p.dtype == q.dtype, key
    low = {k: x.to(LOW[to]) if x.is_floating_point() else x for k, x in inputs.items()}
    with torch.no_grad():
        assert torch.equal(model(**low).logits, loaded(**low).logits)


def test_positions_far_out_are_right() -> None:
    t = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = t.LlamaConfig(
        vocab_size=64, hidden_size=128, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=8192, initializer_range=0.2,
    )  # fmt: skip
    model = t.LlamaForCausalLM(config).eval()
    x = torch.randint(0, 64, (1, 3000))
    with torch.no_grad():
        right = model(x).logits[:, -500:]
        found = tc.cast_(model, "bfloat16")(x).logits[:, -500:].float()
    error = (found - right).square().mean().sqrt() / right.std()
    assert error < 0.1, error  # 0.05; with rounded frequencies 0.7


def test_a_profile_says_the_same() -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(1000, 300)
            self.norm = torch.nn.BatchNorm1d(300)
            self.register_buffer("inv_freq", 1 / 10000.0 ** (torch.arange(8) / 8), persistent=False)

    net = Net()
    net.norm.running_var.fill_(1e6)  # beyond float16, and it stays
    p = tc.profile(net)
    (finding,) = p.findings
    assert finding.rule == "wide"
    assert finding.what.startswith("2 weights of 1.20 MB in float32; bfloat16 holds them")
    assert "it keeps 5 tensors in float32: norm.weight and 4 more" in finding.instead
    assert any("cast_ keeps it in float32 (frequencies" in note for note in p.notes)
    counted = {c.total.target: c.total.n_tensors for c in p.candidates if c.of == "weights"}
    assert counted["bfloat16"] == 2
    _, losses = tc.cast_(net, "bfloat16", report=True)
    assert len(losses.kept) == 5


def test_a_saved_buffer_called_freqs_is_no_frequency_by_its_name() -> None:
    class Learned(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            generator = torch.Generator().manual_seed(0)
            self.register_buffer("freqs", torch.randn(8, generator=generator))
            self.linear = torch.nn.Linear(8, 8)

        def forward(self, x: Any) -> Any:
            return self.linear(x * self.freqs)

    model, losses = tc.cast_(Learned(), "bfloat16", report=True)
    assert losses.kept == {}
    assert model(torch.ones(2, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16
