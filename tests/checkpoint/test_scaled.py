"""Checkpoints whose codes mean nothing without their scales are refused, all others are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checkpoint.handmade import write, write_directory

from tensorcast.checkpoint import open_checkpoint
from tensorcast.checkpoint.plan import plan
from tensorcast.errors import UnsupportedCheckpointError

CODES = ("float8_e4m3fn", [4], bytes(4))
BYTES = ("uint8", [4], bytes(4))
SCALE = ("float32", [1], bytes(4))
WIDE = ("bfloat16", [2], bytes(4))

SCALED = {
    "block float8": {"l.weight": CODES, "l.weight_scale_inv": SCALE},
    "scales alone, the weight elsewhere": {"l.weight_scale_inv": SCALE},
    "compressed-tensors": {"l.weight": CODES, "l.weight_scale": SCALE},
    "compressed-tensors, packed": {
        "l.weight_packed": ("int32", [1], bytes(4)),
        "l.weight_scale": SCALE,
    },
    "packed alone": {"l.weight_packed": ("int32", [1], bytes(4))},
    "MXFP4": {"e.gate_up_proj_blocks": BYTES, "e.gate_up_proj_scales": BYTES},
    "a parameter with its scale": {"e.gate_up_proj": CODES, "e.gate_up_proj_scale": SCALE},
    "GPTQ": {"l.qweight": ("int32", [1], bytes(4)), "l.scales": ("float16", [2], bytes(4))},
    "bitsandbytes": {"l.weight": BYTES, "l.weight.absmax": SCALE},
    "bitsandbytes int8": {"l.weight": ("int8", [4], bytes(4)), "l.SCB": SCALE},
}
PLAIN = {
    "float8 without scales": {"l.weight": CODES},
    "a learned scale": {"l.weight": WIDE, "logit_scale": SCALE, "l.scale": SCALE},
    "a scale beside a wide tensor": {"l.gamma": WIDE, "l.gamma_scale": SCALE},
    "blocks that are layers": {"blocks.0.scales": SCALE, "x_blocks": WIDE},
    "a mask with its scale": {"m": ("bool", [4], bytes(4)), "m_scale": SCALE},
}


@pytest.mark.parametrize("name", SCALED)
def test_refuses_scaled_weights_by_their_names(tmp_path: Path, name: str) -> None:
    source = open_checkpoint(write(tmp_path / "x.safetensors", SCALED[name]))
    assert source.scaled
    with pytest.raises(UnsupportedCheckpointError) as caught:
        plan(source, tmp_path / "y.safetensors", "bfloat16")
    message = str(caught.value)
    assert str(tmp_path / "x.safetensors") in message
    assert "holds scaled weights" in message
    assert "raw codes would load and be wrong" in message
    assert "convert the unquantized checkpoint" in message
    assert any(repr(tensor) in message for tensor in SCALED[name])
    assert not (tmp_path / "y.safetensors").exists()


@pytest.mark.parametrize("name", PLAIN)
def test_plain_weights_are_none_of_them(tmp_path: Path, name: str) -> None:
    assert open_checkpoint(write(tmp_path / "x.safetensors", PLAIN[name])).scaled is None


@pytest.mark.parametrize(
    ("extra", "part"),
    [
        ({"config.json": '{"quantization_config": {"bits": 4}}'}, "'quantization_config'"),
        (
            {"config.json": '{"text_config": {"quantization_config": {"bits": 4}}}'},
            "'text_config.quantization_config'",
        ),
        ({"hf_quant_config.json": "{}"}, "'hf_quant_config.json'"),
    ],
)
def test_refuses_what_the_configuration_calls_quantized(tmp_path: Path, extra, part) -> None:
    path = write_directory(tmp_path / "m", [{"a": np.ones(1, "f4")}], extra=extra)
    with pytest.raises(UnsupportedCheckpointError, match=part):
        plan(open_checkpoint(path), tmp_path / "out", "bfloat16")


def test_an_empty_quantization_config_is_none(tmp_path: Path) -> None:
    path = write_directory(
        tmp_path / "m",
        [{"a": np.ones(1, "f4")}],
        extra={"config.json": '{"quantization_config": null}'},
    )
    assert open_checkpoint(path).scaled is None


def test_the_scales_may_lie_in_another_shard(tmp_path: Path) -> None:
    shards = [{"e.w": np.zeros(4, np.uint8)}, {"e.w_scale": np.ones(1, "f4")}]
    assert open_checkpoint(write_directory(tmp_path / "m", shards)).scaled
