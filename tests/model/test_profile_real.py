"""Profiles of real models: MiniLM on sentences, and a small CNN trained here on real images."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tensorcast as tc  # noqa: E402

FASHION = Path("/usr/share/datasets/fashion-mnist")  # Debian's dataset-fashion-mnist
SENTENCES = [
    "A cast that loses nothing needs no report.",
    "The rain in Spain stays mainly in the plain, they say, and it has rained all week.",
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small operations on several threads wait for each other on a machine that does other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def sentences(minilm: Path) -> tuple[Any, Any]:
    """The model without its pooler, and tokens of sentences."""
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModel.from_pretrained(minilm, add_pooling_layer=False).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(minilm)(
        SENTENCES, padding=True, return_tensors="pt"
    )
    return model, tokens


def test_minilm(sentences: tuple[Any, Any]) -> None:
    model, tokens = sentences
    with torch.no_grad():
        expected = model(**tokens).last_hidden_state
        p = tc.profile(model, **tokens)
    assert round(p.n_bytes_of("parameter") / 1e6, 1) == 90.3
    (finding,) = p.findings
    assert finding.rule == "wide"
    assert finding.instead.endswith("embeddings.word_embeddings.weight is 52% of it")
    assert finding.saves == "45.1 MB"
    verdicts = {(c.of, c.total.target): c.total.verdict for c in p.candidates}
    assert verdicts["weights", "bfloat16"] == verdicts["activations", "float16"] == "fits"
    assert verdicts["weights", "float8_e5m2"] == "coarse"
    outputs = {t.name: t for t in p.tensors if t.role == "activation"}
    last = outputs["encoder.layer.5.output.LayerNorm"].values
    assert last is not None
    assert (last.min, last.max) == (float(expected.min()), float(expected.max()))
    assert "{0..5}" in str(tc.profile(model))


def test_an_activation_beyond_float16_in_minilm(sentences: tuple[Any, Any]) -> None:
    model, tokens = sentences
    layer = model.encoder.layer[4].output

    def scale(module: Any, inputs: Any, output: Any) -> Any:
        return output * (71_000 / output.abs().max())

    handle = layer.dense.register_forward_hook(scale)
    try:
        with torch.no_grad():
            p = tc.profile(model, **tokens)
    finally:
        handle.remove()
    found = [f for f in p.findings if f.rule == "overflow"]
    assert [f.module for f in found] == ["encoder.layer.4.output.dense"]
    assert found[0].what == (
        "float16: encoder.layer.4.output.dense's output reaches 71,000, beyond 65,504"
    )
    assert found[0].where is not None
    assert found[0].where.text == "hidden_states = self.dense(hidden_states)"
    sentence = next(
        c.sentence for c in p.candidates if (c.of, c.total.target) == ("activations", "float16")
    )
    assert sentence == (
        "encoder.layer.4.output.dense's output reaches 71,000, overflows; bfloat16 holds it"
    )


class Cnn(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.BatchNorm2d(16), torch.nn.ReLU(),
            torch.nn.Conv2d(16, 32, 3, padding=1, stride=2), torch.nn.ReLU(),
        )  # fmt: skip
        self.head = torch.nn.LazyLinear(10)

    def forward(self, images: Any) -> Any:
        return self.head(self.features(images).flatten(1))


def digits() -> tuple[Any, Any]:
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not here")
    images, labels = datasets.load_digits(return_X_y=True)
    return images.reshape(-1, 1, 8, 8) / 16, labels


def fashion() -> tuple[Any, Any]:
    if not FASHION.is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")

    def read(name: str, header: int) -> Any:
        with gzip.open(FASHION / f"train-{name}-ubyte.gz") as file:
            return np.frombuffer(file.read(), "u1", offset=header)

    return read("images-idx3", 16).reshape(-1, 1, 28, 28) / 255, read("labels-idx1", 8)


@pytest.mark.parametrize(
    ("data", "epochs", "accuracy"),
    [(digits, 8, 0.9), pytest.param(fashion, 1, 0.8, marks=pytest.mark.exhaustive)],
    ids=["digits", "fashion"],
)
def test_a_trained_cnn(data: Any, epochs: int, accuracy: float) -> None:
    """What is said of the trained weights is true of the cast model."""
    pixels, classes = data()
    images, labels = torch.tensor(pixels, dtype=torch.float32), torch.tensor(classes).long()
    torch.manual_seed(0)
    model = Cnn()
    model(images[:2])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    split = len(images) * 4 // 5
    for _ in range(epochs):
        for batch in torch.randperm(split).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()

    def right(model: Any, dtype: Any = torch.float32) -> float:
        with torch.no_grad():
            return float(
                (model(images[split:].to(dtype)).argmax(1) == labels[split:]).float().mean()
            )

    training = tc.profile(model, images[:256], optimizer=optimizer)
    parameters = sum(p.numel() * 4 for p in model.parameters())
    assert training.n_bytes_of("parameter") == training.n_bytes_of("gradient") == parameters
    assert training.n_bytes_of("optimizer") == 2 * parameters + 4 * len(list(model.parameters()))
    assert training.peak is not None
    assert training.peak.saved > 0.5 * training.peak.n_bytes
    assert not training.findings

    model.eval()
    before = right(model)
    assert before > accuracy
    found = tc.profile(model)
    verdicts = {c.total.target: c.total.verdict for c in found.candidates}
    assert verdicts["bfloat16"] == "fits"
    assert abs(right(tc.cast_(model, "bfloat16"), torch.bfloat16) - before) < 0.01

    model.float()
    with torch.no_grad():
        model.features[3].weight *= 71_000 / model.features[:4](images[:64]).abs().max()
        planted = tc.profile(model, images[:64])
        finding = planted.findings[0]
        assert (finding.rule, finding.module) == ("overflow", "features.3")
        half = model.half().features[:4](images[:64].half())
        assert torch.isinf(half).any()
