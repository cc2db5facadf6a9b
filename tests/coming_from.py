"""What people write in other libraries, and what does the same here: docs/coming_from.md.

    python tests/coming_from.py    writes the table into the page, each cell as it ran just now

Each row runs on both sides. `alike` are values for which both give the same bits; for `unlike` they
do not, and the table says what either gives.
"""

from __future__ import annotations

import array
import os
import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import tensorcast as tc

PAGE = Path(__file__).resolve().parents[1] / "docs" / "coming_from.md"
BEGIN, END = "<!-- the table: python tests/coming_from.py -->\n", "<!-- the end of the table -->\n"
NAN, INF = float("nan"), float("inf")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        library: "torch", "numpy", "tensorflow" or "jax".
        of: the format of the library's tensor x that is made of each value; "" where x is the value
            itself, an expression.
        theirs, ours: expressions in x.
        alike: values for which both are the same.
        unlike: values for which they are not.
    """

    library: str
    of: str
    theirs: str
    ours: str
    alike: tuple[Any, ...]
    unlike: tuple[Any, ...] = ()


ROWS = (
    Row("torch", "float32", "x.to(torch.bfloat16)", 'tc.cast(x, "bfloat16")',
        (1.1, -0.0, INF, 1e-40), (3.4e38,)),
    Row("torch", "float32", "x.to(torch.bfloat16)", 'tc.cast(x, "bfloat16", overflow="ieee")',
        (1.1, 3.4e38, -3.4e38, INF)),
    Row("torch", "float64", "x.to(torch.bfloat16)", 'tc.cast(x, "bfloat16")',
        (1.1, 0.1), (1.00390625 + 2**-40,)),
    Row("torch", "float32", "x.half()", 'tc.cast(x, "float16")', (1.1, 65504, 1e-8), (70000,)),
    Row("torch", "float32", "x.double()", 'tc.cast(x, "float64")', (1.1, -0.0, INF, NAN)),
    Row("torch", "float32", "x.type(torch.int8)", 'tc.cast(x, "int8")',
        (1.9, -1.9, 127), (300, NAN)),
    Row("torch", "int64", "x.to(torch.int8)", 'tc.cast(x, "int8", overflow="wrap")',
        (127, 128, -129, 2**40 + 3)),
    Row("torch", "float32", "x.clamp(-128, 127).to(torch.int8)",
        'tc.cast(x, "int8", overflow="saturate", nan="zero")', (1.9, 300, -300, INF, NAN)),
    Row("torch", "float32", "x.round().to(torch.int8)",
        'tc.cast(x, "int8", rounding="nearest-even")', (0.5, 1.5, 2.5, -2.5), (300,)),
    Row("torch", "float32", "x.to(torch.bool)", 'tc.cast(x, "bool")', (0, -0.0, 0.5, NAN)),
    Row("torch", "float32", "x.to(torch.float8_e4m3fn)",
        'tc.cast(x, "float8_e4m3fn", overflow="saturate")', (1.1, 448, 1000, INF, NAN)),
    Row("torch", "complex64", "x.to(torch.float32)", 'tc.cast(x.real, "float32")', (1.5, 1 + 2j)),
    Row("torch", "float32", "torch.empty(1, dtype=torch.float16).copy_(x)",
        'tc.cast(x, "float16", out=torch.empty(1, dtype=torch.float16))', (1.1,), (70000,)),
    Row("torch", "float32", "x.to(torch.float16, copy=True)",
        'tc.as_tensor(x, "float16", copy=True)', (1.1,), (70000,)),
    Row("torch", "", "torch.as_tensor(x)", "tc.as_tensor(x)",
        ("[1, 2]", "[[1.5], [2]]", "True", "np.arange(3)", "np.float32(2)"),
        ("np.arange(3)[::-1]", 'np.arange(3, dtype=">i4")', 'np.zeros(2, "bfloat16")',
         'array.array("d", [1.5])', 'b"abc"')),
    Row("torch", "", "torch.as_tensor(x, dtype=torch.float16)", 'tc.as_tensor(x, "float16")',
        ("[1, 2]", "[1.1]", "np.arange(3)"), ("[70000]", "[2049.0000001]")),
    Row("torch", "", "torch.tensor(x, dtype=torch.int8)", 'tc.as_tensor(x, "int8")',
        ("[1, -2]", "[[True]]", "[1.9]"), ("[300]",)),
    Row("torch", "bfloat16", "x.numpy()", "tc.to_numpy(x)", (), (1.5,)),
    Row("torch", "float32", "x.numpy()", "tc.to_numpy(x)", (1.5,)),
    Row("numpy", "float32", "x.astype(np.float16)", 'tc.cast(x, "float16")',
        (1.1, 1e-8, NAN, INF), (70000,)),
    Row("numpy", "float64", "x.astype(np.float32)", 'tc.cast(x, "float32", overflow="ieee")',
        (1.1, 1e300, 1e-46)),
    Row("numpy", "int64", "x.astype(np.int8)", 'tc.cast(x, "int8", overflow="wrap")',
        (127, 128, -129)),
    Row("numpy", "int64", "x.astype(np.int8)", 'tc.cast(x, "int8")', (127, -128), (128,)),
    Row("numpy", "float64", "x.astype(np.int32)", 'tc.cast(x, "int32")', (1.9, -1.9), (NAN, 1e10)),
    Row("numpy", "float64", 'x.astype(np.int32, casting="same_value")',
        'tc.cast(x, "int32", exact=True)', (2.0, -7.0), (2.5,)),
    Row("numpy", "float64", "x.astype(ml_dtypes.bfloat16)", 'tc.cast(x, "bfloat16")',
        (1.1, 0.1), (1.00390625 + 2**-40,)),
    Row("numpy", "float32", "x.astype(ml_dtypes.float8_e4m3fn)",
        'tc.cast(x, "float8_e4m3fn", overflow="ieee")', (1.1, 448, 1000, NAN)),
    Row("numpy", "float32", "x.astype(bool)", 'tc.cast(x, "bool")', (0, -0.0, 0.5, NAN)),
    Row("numpy", "float32", "x.astype(np.float32, copy=False)", 'tc.cast(x, "float32")', (1.5,)),
    Row("numpy", "complex64", "x.astype(np.float32)", 'tc.cast(x.real, "float32")', (1.5, 1 + 2j)),
    Row("numpy", "", "np.asarray(x)", "tc.to_numpy(x)",
        ("[1, 2]", "[1.5]", "np.arange(3)[::-1]", "array.array('d', [1.5])"), ('b"abc"',)),
    Row("tensorflow", "float32", "tf.cast(x, tf.bfloat16)", 'tc.to_tensorflow(x, "bfloat16")',
        (1.1, -0.0, INF), (3.4e38,)),
    Row("tensorflow", "float32", "tf.cast(x, tf.int32)", 'tc.to_tensorflow(x, "int32")',
        (1.9, -1.9), (1e10, NAN)),
    Row("tensorflow", "int64", "tf.cast(x, tf.int8)",
        'tc.to_tensorflow(x, "int8", overflow="wrap")', (127, 128, -129)),
    Row("tensorflow", "float32", "tf.saturate_cast(x, tf.int8)",
        'tc.to_tensorflow(x, "int8", overflow="saturate")', (1.9, 300, -300)),
    Row("tensorflow", "float32", "tf.saturate_cast(x, tf.int64)",
        'tc.to_tensorflow(x, "int64", overflow="saturate")', (1.9, -1e30), (INF,)),
    Row("tensorflow", "float32", "tf.cast(x, tf.bool)", 'tc.to_tensorflow(x, "bool")',
        (0, -0.0, 0.5, NAN)),
    Row("tensorflow", "float32", "x.numpy()", "tc.to_numpy(x)", (1.5,)),
    Row("tensorflow", "", "tf.convert_to_tensor(x)", "tc.to_tensorflow(x)",
        ("np.arange(3)", "np.float32(2)", "True", "[1, 2]", "1.5")),
    Row("jax", "float32", "x.astype(jnp.bfloat16)", 'tc.to_jax(x, "bfloat16")',
        (1.1, -0.0, INF), (3.4e38,)),
    Row("jax", "float32", "x.astype(jnp.int8)",
        'tc.to_jax(x, "int8", overflow="saturate", nan="zero")', (1.9, 300, -300, INF, NAN)),
    Row("jax", "int32", "x.astype(jnp.int8)", 'tc.to_jax(x, "int8", overflow="wrap")',
        (127, 128, -129)),
    Row("jax", "float32", "x.astype(jnp.float8_e4m3fn)",
        'tc.to_jax(x, "float8_e4m3fn", overflow="ieee")', (1.1, 448, 1000, NAN)),
    Row("jax", "float32", "x.astype(bool)", 'tc.to_jax(x, "bool")', (0, -0.0, 0.5, NAN)),
    Row("jax", "float32", "np.asarray(x)", "tc.to_numpy(x)", (1.5,)),
    Row("jax", "", "jnp.asarray(x)", "tc.to_jax(x)",
        ("np.float32(2)", "np.arange(3, dtype=np.int32)"), ("np.array([2**40 + 1])",)),
)  # fmt: skip


def namespace() -> dict[str, Any]:
    """What the rows' expressions may name, of the libraries that are loaded."""
    names: dict[str, Any] = {"array": array, "ml_dtypes": ml_dtypes, "np": np, "tc": tc}
    for name, module in (("torch", "torch"), ("tf", "tensorflow"), ("jnp", "jax.numpy")):
        if module in sys.modules:
            names[name] = sys.modules[module]
    return names


def made(row: Row, value: Any) -> Any:
    """x."""
    names = namespace()
    if not row.of:
        return eval(value, names)
    if row.library == "torch":
        return names["torch"].tensor([value], dtype=getattr(names["torch"], row.of))
    plain = np.array([value]).astype(row.of)
    if row.library == "tensorflow":
        return names["tf"].constant(plain)
    return names["jnp"].asarray(plain) if row.library == "jax" else plain


@dataclass(frozen=True)
class Outcome:
    """What an expression gives.

    Attributes:
        text: the values, or why there are none.
        format: its dtype; "" of a refusal.
        all: whatever there is to compare; None of a refusal.
    """

    text: str
    format: str = ""
    all: object = None


def outcome(expression: str, x: Any) -> Outcome:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = eval(expression, {**namespace(), "x": x})
        except Exception as error:
            return Outcome(f"refused ({type(error).__name__})")
    text, name, codes = seen(result)
    return Outcome(text, name, (type(result), str(result.dtype), tuple(result.shape), codes))


def seen(x: Any) -> tuple[str, str, bytes]:
    """A result's values as text, the name of its dtype, and its bytes."""
    if "torch" in str(type(x)):
        import torch

        flat = x.reshape(-1).clone(memory_format=torch.contiguous_format)
        codes = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
        small = x.dtype.is_floating_point and x.dtype.itemsize == 1
        values = flat.to(torch.float64).tolist() if small else flat.tolist()
        name = str(x.dtype).removeprefix("torch.")
    else:
        plain = x if isinstance(x, np.ndarray) else np.asarray(x)
        codes = plain.tobytes()
        values = plain.reshape(-1).astype(np.float64 if plain.dtype.kind == "V" else plain.dtype)
        values, name = values.tolist(), plain.dtype.name
    return f"`{values[0] if len(values) == 1 else values!r}`", name, codes


def short(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value == 1.00390625 + 2**-40:
        return "1.00390625 + 2**-40"
    plain = f"{value:g}"
    return plain if float(plain) == value or value != value else repr(value)


def cells(row: Row) -> str:
    """The row of the table, as it runs now."""
    said = []
    for value in row.unlike:
        theirs, ours = outcome(row.theirs, made(row, value)), outcome(row.ours, made(row, value))
        of = not row.of and theirs.format != ours.format
        there, here = (
            f"{found.text} of {found.format}" if of and found.format else found.text
            for found in (theirs, ours)
        )
        said.append(f"`{short(value)}`: {there}, here {here}")
    theirs, ours = (text.replace("|", "\\|") for text in (row.theirs, row.ours))
    return f"| {row.library} | {row.of} | `{theirs}` | `{ours}` | {'<br>'.join(said)} |"


HEADER = "| from | x | you write | here | where they differ |\n|---|---|---|---|---|\n"


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import jax.numpy
    import tensorflow
    import torch

    del jax, tensorflow, torch
    page = PAGE.read_text()
    table = HEADER + "".join(f"{cells(row)}\n" for row in ROWS)
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    PAGE.write_text(re.sub(pattern, lambda _: BEGIN + table + END, page, flags=re.DOTALL))


if __name__ == "__main__":
    main()
