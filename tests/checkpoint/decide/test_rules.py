"""Rules: the first that matches decides; a rule that decides nothing is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checkpoint.handmade import write

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint import prepare
from tensorcast.checkpoint.decide.job import Job
from tensorcast.checkpoint.decide.rules import Rule, parse_rule
from tensorcast.errors import CastError, CheckpointError, FormatError, PolicyError
from tensorcast.formats import FORMATS

BF16, F32 = FORMATS["bfloat16"], FORMATS["float32"]


@pytest.fixture
def source(tmp_path: Path):
    tensors = {
        "model.layers.0.norm.weight": np.ones(2, "f4"),
        "model.layers.0.q.weight": np.ones(2, "f8"),
        "lm_head.weight": np.ones(2, "f2"),
        "ids": np.arange(2),
        "mask": np.ones(2, bool),
        "rope": np.ones(2, "c8"),
    }
    return open_checkpoint(write(tmp_path / "x.safetensors", tensors))


def formats(made: Job) -> dict[str, str]:
    return {step.outputs[0].name: step.outputs[0].format.name for step in made.steps}


def test_only_floating_tensors_change_by_default(source) -> None:
    found = formats(prepare(source, "y.safetensors", "bf16"))
    assert found == {
        "model.layers.0.norm.weight": "bfloat16",
        "model.layers.0.q.weight": "bfloat16",
        "lm_head.weight": "bfloat16",
        "ids": "int64",
        "mask": "bool",
        "rope": "complex64",
    }


def test_the_first_rule_that_matches_decides(source) -> None:
    rules = [Rule("*.norm.*", None), Rule("model.*", FORMATS["float16"]), Rule("*", F32)]
    found = formats(prepare(source, "y.safetensors", "bf16", rules=rules[:2]))
    assert found["model.layers.0.norm.weight"] == "float32"
    assert found["model.layers.0.q.weight"] == "float16"
    assert found["lm_head.weight"] == "bfloat16"
    rules = [Rule("model.*", FORMATS["float16"]), Rule("*.weight", None)]
    found = formats(prepare(source, "y.safetensors", "bf16", rules=rules))
    assert found["model.layers.0.norm.weight"] == "float16"
    assert found["lm_head.weight"] == "float16"


def test_rules_change_integers_too(source) -> None:
    rules = [Rule("ids", FORMATS["int32"]), Rule("mask", FORMATS["uint8"])]
    found = formats(prepare(source, "y.safetensors", "bf16", rules=rules))
    assert (found["ids"], found["mask"]) == ("int32", "uint8")


def test_a_rule_that_matches_nothing_is_refused(source) -> None:
    rules = [Rule("*.norm.*", None), Rule("*layer.*", BF16)]
    with pytest.raises(PolicyError) as caught:
        prepare(source, "y.safetensors", "bf16", rules=rules)
    assert str(caught.value) == (
        "the rule '*layer.*=bfloat16' matches no tensor. Nearest: 'model.layers.0.norm.weight', "
        "'model.layers.0.q.weight', 'lm_head.weight'"
    )


def test_a_rule_that_earlier_ones_contradict_is_refused(source) -> None:
    rules = [Rule("*.norm.*", None), Rule("*norm*", BF16)]
    match = (
        r"'\*norm\*=bfloat16' decides nothing.*'keep \*\.norm\.\*' takes 'model\.layers\.0\.norm"
    )
    with pytest.raises(PolicyError, match=match):
        prepare(source, "y.safetensors", "bf16", rules=rules)


def test_a_rule_that_earlier_ones_agree_with_is_told_of(source) -> None:
    rules = [Rule("*.norm.*", None), Rule("*norm*", F32), Rule("*.q.*", BF16)]
    assert prepare(source, "y.safetensors", "bf16", rules=rules).warnings == (
        "the rule '*norm*=float32' is not needed: earlier rules give its 1 tensor the same format",
    )


def test_globs_match_whole_names_with_case(source) -> None:
    whole, case = "the pattern has to match the whole name", "upper and lower case differ"
    for glob, why in (("norm", whole), ("MODEL.*", case), ("model.layers.?", whole)):
        with pytest.raises(PolicyError, match=rf"matches no tensor\. Nearest: 'model.*\({why}"):
            prepare(source, "y.safetensors", "bf16", rules=[Rule(glob, None)])
    rules = [Rule("model.layers.[0-9].*", None), Rule("lm_head.weigh?", None)]
    assert prepare(source, "y.safetensors", "bf16", rules=rules).warnings == (
        "no tensor changes its format",
    )


def test_a_rule_for_a_file_without_tensors(tmp_path: Path) -> None:
    empty = open_checkpoint(write(tmp_path / "e.safetensors", {}))
    with pytest.raises(PolicyError, match=r"'keep \*' matches no tensor: there are no tensors"):
        prepare(empty, "y.safetensors", "bf16", rules=[Rule("*", None)])


def test_nearest_names_of_a_hostile_file_are_short(tmp_path: Path) -> None:
    names = ["\x1b[31m" + "a" * 100_000, *(f"layer.{i}.{'b' * i}" for i in range(3000))]
    many = open_checkpoint(
        write(tmp_path / "m.safetensors", dict.fromkeys(names, np.ones(1, "f4")))
    )
    for glob in ("nothing", "*" * 50 + "x", "[", "\x1b[31ma"):
        with pytest.raises(PolicyError, match="matches no tensor") as caught:
            prepare(many, "y.safetensors", "bf16", rules=[Rule(glob, None)])
        assert len(str(caught.value)) < 600
        assert str(caught.value).split("Nearest")[1].isprintable()


def test_a_rule_is_glob_and_format() -> None:
    assert parse_rule("*.norm.*=BF16") == Rule("*.norm.*", BF16)
    assert parse_rule("a=b=half") == Rule("a=b", FORMATS["float16"])
    for text in ("bf16", "=bf16", "x=", ""):
        with pytest.raises(CheckpointError, match="a rule is GLOB=FORMAT"):
            parse_rule(text)
    with pytest.raises(FormatError, match="nearest: bfloat16"):
        parse_rule("*=bflot16")


def test_policies_and_formats_that_do_not_fit_name_the_tensor(source) -> None:
    with pytest.raises(CastError, match=r"'rope': complex64 to float32 would drop the imaginary"):
        prepare(source, "y.safetensors", "bf16", rules=[Rule("rope", F32)])
    with pytest.raises(PolicyError, match=r"'ids': overflow=\"ieee\""):
        prepare(
            source, "y.safetensors", "bf16", rules=[Rule("ids", FORMATS["int32"])], overflow="ieee"
        )
    with pytest.raises(FormatError, match="safetensors cannot hold int4; it holds bool, int8"):
        prepare(source, "y.safetensors", "bf16", rules=[Rule("ids", FORMATS["int4"])])
    with pytest.raises(FormatError, match="safetensors cannot hold float8_e3m4"):
        prepare(source, "y.safetensors", "float8_e3m4")
    with pytest.raises(PolicyError, match="overflow='wrap' is not one of raise, saturate, ieee"):
        prepare(source, "y.safetensors", "bf16", overflow="wrap")
