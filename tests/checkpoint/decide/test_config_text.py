"""config.json: its dtype follows the weights, all else stays as it was written."""

from __future__ import annotations

import json

import pytest

from tensorcast.checkpoint.decide.config import retyped_config
from tensorcast.formats import FORMATS

F32 = FORMATS["float32"]
BF16 = FORMATS["bfloat16"]


def retyped(text: str, to=BF16, sources=(F32,)) -> str:
    return retyped_config(json.loads(text), text, to, set(sources))


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_sets_whichever_key_is_there(key: str) -> None:
    text = f'{{\n  "b": 1,\n  "{key}": "float32",\n  "a": [1,   2.50, "é"]\n}}\n'
    assert retyped(text) == text.replace("float32", "bfloat16")


def test_adds_no_key() -> None:
    text = '{\n  "hidden_size": 4\n}'
    assert retyped(text) == text


def test_sets_the_top_whatever_it_says() -> None:
    assert json.loads(retyped('{"dtype": "float16", "x": "float16"}')) == {
        "dtype": "bfloat16",
        "x": "float16",
    }
    assert json.loads(retyped('{"dtype": null}')) == {"dtype": "bfloat16"}
    assert json.loads(retyped('{"torch_dtype": "torch.float32"}')) == {
        "torch_dtype": "torch.bfloat16"
    }


def test_sets_deeper_ones_that_name_a_converted_format() -> None:
    config = {
        "torch_dtype": "float32",
        "text_config": {"torch_dtype": "float32", "dtype": "float16"},
        "vision": [{"dtype": "float32", "attention": {"dtype": "int8"}}],
    }
    text = json.dumps(config, indent=4)
    found = retyped(text)
    assert json.loads(found) == {
        "torch_dtype": "bfloat16",
        "text_config": {"torch_dtype": "bfloat16", "dtype": "float16"},
        "vision": [{"dtype": "bfloat16", "attention": {"dtype": "int8"}}],
    }
    assert found == text.replace('"float32"', '"bfloat16"')


def test_text_inside_strings_is_left_alone() -> None:
    text = json.dumps({"dtype": "float32", "note": 'say "dtype": "float32" twice'}, indent=2)
    assert json.loads(retyped(text)) == {
        "dtype": "bfloat16",
        "note": 'say "dtype": "float32" twice',
    }


def test_formats_that_no_model_is_built_in_leave_it() -> None:
    text = '{"dtype": "float32"}'
    assert retyped(text, FORMATS["float8_e4m3fn"]) == text
    assert retyped(text, FORMATS["float4_e2m1fn"]) == text
    assert retyped(text, None) == text
    assert retyped(text, FORMATS["float6_e3m2fn"]) == text
    assert retyped(text, FORMATS["int8"]) == text
    assert retyped(text, sources=()) == text
