"""`tensorcast promote`."""

from __future__ import annotations

import json

from cli.program import Run


def test_side_by_side(tensorcast: Run) -> None:
    done = tensorcast("promote", "int32", "bf16")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "int32 with bfloat16"
    assert "torch       bfloat16  float wins over int" in done.stdout
    assert "TensorFlow  refused   TensorFlow mixes no formats: tf.cast first" in done.stdout
    assert done.stderr == ""


def test_numbers_and_0d(tensorcast: Run) -> None:
    assert tensorcast("promote", "int32", "1.5", "--like", "numpy").stdout == "float64\n"
    assert tensorcast("promote", "float32", "float64[]", "--like", "torch").stdout == "float32\n"
    assert tensorcast("promote", "--like", "jax", "--", "int8", "-1").stdout == "int8\n"


def test_json(tensorcast: Run) -> None:
    found = json.loads(tensorcast("promote", "uint8", "300", "--json").stdout)
    assert found["tensorcast"]["command"] == "promote"
    assert found["answers"]["torch"]["losses"] == [
        "300 does not fit, and silently becomes another number"
    ]


def test_refused(tensorcast: Run) -> None:
    done = tensorcast("promote", "uint64", "int64", "--like", "torch")
    assert done.returncode == 1
    assert done.stderr.startswith("error: torch refuses uint64 with int64")
    unknown = tensorcast("promote", "bfloat61")
    assert unknown.returncode == 2
    assert "bfloat16" in unknown.stderr
