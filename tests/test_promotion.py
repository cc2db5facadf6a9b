"""promotion.py and promotion_rules.py: over all pairs against the frameworks that are installed."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import tensorcast
from tensorcast.core.promotion import _answer, promote
from tensorcast.core.promotion_rules import RULES, Framework, Operand, Scalar
from tensorcast.errors import CastError, FormatError
from tensorcast.formats import FORMATS

SCALARS: dict[Scalar, Any] = {"bool": True, "int": 1, "float": 1.5, "complex": 1j}
TENSORS = [Operand(row) for row in FORMATS.values()]
ZERO_DIM = [Operand(row, zero_dim=True) for row in FORMATS.values()]
PYTHON = [Operand(scalar=name) for name in SCALARS]


def numpy_dtype(name: str) -> np.dtype[Any]:
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name, None) or name)


def by_numpy(operands: Sequence[Operand]) -> str:
    return np.result_type(
        *(SCALARS[o.scalar] if o.scalar else numpy_dtype(o.format.name) for o in operands)
    ).name


def by_torch(operands: Sequence[Operand]) -> str:
    import torch

    given = [
        SCALARS[o.scalar]
        if o.scalar
        else torch.empty(() if o.zero_dim else 1, dtype=getattr(torch, o.format.name))
        for o in operands
    ]
    return str(torch.result_type(*given)).removeprefix("torch.")


def by_jax(operands: Sequence[Operand]) -> str:
    import jax.numpy as jnp

    given = (SCALARS[o.scalar] if o.scalar else numpy_dtype(o.format.name) for o in operands)
    return str(jnp.result_type(*given).name)


def by_tensorflow(operands: Sequence[Operand]) -> str:
    import tensorflow as tf

    tensors = [tf.constant(np.zeros(1, numpy_dtype(o.format.name))) for o in operands if o.format]
    scalars = [SCALARS[o.scalar] for o in operands if o.scalar]
    if not tensors:
        tensors = [tf.convert_to_tensor(scalars.pop(0))]
    if any(tensor.dtype != tensors[0].dtype for tensor in tensors):
        with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
            tensors[0] + tensors[1]
        raise TypeError("formats differ")
    for scalar in scalars:
        tf.convert_to_tensor(scalar, dtype=tensors[0].dtype)
    return str(tensors[0].dtype.name)


def held_to(
    framework: Framework, theirs: Callable[[Sequence[Operand]], str], mixtures: Any
) -> None:
    """Each mixture: the same format, or refused by both."""
    wrong = []
    for mixture in mixtures:
        try:
            expected: str | None = theirs(mixture)
        except Exception:
            expected = None
        if expected == "complex32":  # of two float16: we have no row for it, and say so
            expected = None
        found = RULES[framework](mixture)[0]
        if (found.name if found else None) != expected:
            wrong.append(f"{', '.join(map(str, mixture))}: {found}, {framework}: {expected}")
    assert not wrong, "\n".join(wrong[:20])


def triples(operands: Sequence[Operand], n: int) -> list[tuple[Operand, ...]]:
    rng = random.Random(11)
    return [tuple(rng.choices(operands, k=3)) for _ in range(n)]


STANDARD = [
    Operand(FORMATS[name])
    for name in (
        "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 "
        "complex128"
    ).split()
]


def test_numpy() -> None:
    held_to("numpy", by_numpy, itertools.product(TENSORS + PYTHON, repeat=2))
    held_to("numpy", by_numpy, itertools.product(STANDARD, repeat=3))
    held_to("numpy", by_numpy, triples(STANDARD + PYTHON, 1000))


def test_torch() -> None:
    pytest.importorskip("torch", reason="no torch")
    held_to("torch", by_torch, itertools.product(TENSORS + ZERO_DIM + PYTHON, repeat=2))


@pytest.mark.parametrize("framework", ["jax", "jax-x64"])
def test_jax(framework: Framework) -> None:
    jax = pytest.importorskip("jax", reason="no jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", framework == "jax-x64")
    try:
        held_to(framework, by_jax, itertools.product(TENSORS + PYTHON, repeat=2))
        held_to(framework, by_jax, triples(STANDARD + PYTHON, 1000))
    finally:
        jax.config.update("jax_enable_x64", before)


def test_tensorflow() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    pytest.importorskip("tensorflow", reason="no tensorflow")
    held_to("tensorflow", by_tensorflow, itertools.product(TENSORS + PYTHON, repeat=2))


LOST_IN_FLOAT32 = (
    "float64 overflows above 3.4028e+38 and keeps 24 of 53 significant bits and underflows below "
    "1.4e-45"
)


def test_side_by_side() -> None:
    found = tensorcast.promote("int32", "bfloat16")
    assert [answer.format and answer.format.name for answer in found.answers] == [
        "bfloat16",
        None,
        "bfloat16",
        None,
    ]
    assert not found.agree
    assert found["torch"].losses == ("int32 is rounded above 2^8",)
    assert found["tensorflow"].reason == "TensorFlow mixes no formats: tf.cast first"
    assert tensorcast.promote("F32", np.float32).agree
    with pytest.raises(KeyError):
        found["jax-x64"]


@pytest.mark.parametrize(
    ("operands", "framework", "losses"),
    [
        (("int64", "float32"), "torch", ["int64 is rounded above 2^24"]),
        (("int64", "float16"), "torch", ["int64 overflows above 65504 and is rounded above 2^11"]),
        (("int64", "float32"), "numpy", ["int64 is rounded above 2^53"]),
        (("uint8", 300), "torch", ["300 does not fit, and silently becomes another number"]),
        (("uint8", 300), "numpy", ["300 does not fit: OverflowError"]),
        (("uint8", 255), "torch", []),
        (("uint8", "int64[]"), "torch", ["int64 wraps outside 0 to 255"]),
        (
            ("float32", "float64[]"),
            "torch",
            [LOST_IN_FLOAT32],
        ),
        (("float16", "bfloat16"), "torch", []),
        (("bool", "complex64"), "jax", []),
        (
            ("int8", "float8_e8m0fnu"),
            "jax",
            ["int8 keeps powers of two only, and neither zero nor negatives"],
        ),
    ],
)
def test_losses(operands: tuple[Any, ...], framework: Framework, losses: list[str]) -> None:
    answer = promote(*operands)[framework]
    assert list(answer.losses) == losses
    assert answer.is_lossless == (not losses)


def test_what_is_said_of_scalars_that_do_not_fit() -> None:
    torch = pytest.importorskip("torch", reason="no torch")
    assert (torch.zeros(1, dtype=torch.int8) + 300).item() == 44
    with pytest.raises(OverflowError):
        np.zeros(1, np.int8) + 300


@pytest.mark.parametrize("framework", ["numpy", "torch", "jax", "jax-x64", "tensorflow"])
def test_integers_that_do_not_fit(framework: Framework) -> None:
    """What is said of each, against what the framework does."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    module = pytest.importorskip("jax.numpy" if framework.startswith("jax") else framework)
    if framework.startswith("jax"):
        jax = pytest.importorskip("jax")
        before = jax.config.jax_enable_x64
        jax.config.update("jax_enable_x64", framework == "jax-x64")
    wrong = []
    powers = (7, 8, 15, 16, 31, 32, 63, 64, 70)
    values = [sign * 2**n + k for sign in (1, -1) for n in powers for k in (-1, 0, 1)]
    for name in "int8 int16 int32 int64 uint8 uint16 uint32 uint64".split():
        if (framework == "jax" and "64" in name) or (framework == "torch" and name > "uint16"):
            continue  # JAX has none of them then, torch no sums
        if framework == "torch" and name == "uint16":
            continue
        zero = module.zeros(1, dtype=getattr(module, name))
        for value in values:
            if framework == "tensorflow" and name == "uint64" and not 0 <= value < 2**64:
                continue  # a SystemError each, and after some the end of the process
            try:
                found = int((zero + value)[0])
                does = "" if found == value else "becomes another number"
            except (OverflowError, ValueError, SystemError) as error:
                does = type(error).__name__
            operands = [Operand(FORMATS[name]), Operand(scalar="int", value=value)]
            said = _answer(framework, operands).losses
            if (said and does not in said[0]) or bool(said) != bool(does):
                wrong.append((name, value, does, said))
    if framework.startswith("jax"):
        jax.config.update("jax_enable_x64", before)
    assert not wrong, wrong[:5]


def test_operands() -> None:
    assert promote(np.zeros((), np.float64), np.zeros(2, np.float32), like="numpy").name == (
        "float64"
    )
    assert promote(np.zeros((), np.float64), np.zeros(2, np.float32), like="torch").name == (
        "float32"
    )
    assert promote(int, "int8", like="torch").name == "int8"
    assert promote(float, like="jax").name == "float32"
    assert promote("int16", "int16", "uint8", "float16", like="numpy").name == "float32"


def test_refusals() -> None:
    with pytest.raises(CastError, match=r"^torch refuses uint64 with int64: torch promotes uint64"):
        promote("uint64", "int64", like="torch")
    with pytest.raises(FormatError, match="like='tf' is not one of torch, numpy, jax, jax-x64"):
        promote("uint64", like="tf")  # type: ignore[call-overload]
    with pytest.raises(FormatError, match="at least one"):
        promote()
    with pytest.raises(FormatError, match="bfloat16"):
        promote("bfloat61")
