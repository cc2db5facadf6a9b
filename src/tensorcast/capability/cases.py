"""The operations that are measured, and the ways torch has of doing each in a format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from .operations import Bench, Case, OperationWay, Work


def cases_of(operation: str, bench: Bench) -> Iterator[Case]:
    """The operation's cases, the smallest first."""
    yield from _CASES[operation](bench)


def _exact(operation: Callable[..., Any], *operands: Any) -> Any:
    """The operation in float64."""
    return operation(*(x.double() if x.is_floating_point() else x for x in operands))


def _matmul(bench: Bench) -> Iterator[Case]:
    rows, side = bench.sizes.matmul
    b = bench.normal(side, side, scale=side**-0.5)
    for m in rows:
        a = bench.normal(m, side)
        yield Case(
            "matmul",
            f"M={m}",
            {"m": m, "k": side, "n": side},
            2 * m * side * side,
            partial(_exact, bench.torch.matmul, a, b),
            [
                *bench.plain(bench.torch.matmul, a, b),
                OperationWay("float8_e4m3fn", "_scaled_mm", partial(_scaled_mm, bench, a, b)),
                OperationWay("int8", "_int_mm", partial(_int_mm, bench, a, b)),
            ],
        )


def _scaled_mm(bench: Bench, a: Any, b: Any) -> Work:
    """float8 in, bfloat16 out; the right operand by columns, as the operation wants it."""
    (x, of_x), (y, of_y) = bench.float8(a), bench.float8(b.t().contiguous())
    y, bfloat16 = y.t(), bench.torch.bfloat16
    return Work(
        lambda: bench.torch._scaled_mm(x, y, scale_a=of_x, scale_b=of_y, out_dtype=bfloat16),
        [x, y],
    )


def _int_mm(bench: Bench, a: Any, b: Any) -> Work:
    """int8 in, float32 out: the scales of the rows and columns are multiplied in."""
    (x, of_x), (y, of_y) = bench.int8(a, 1), bench.int8(b, 0)
    scale = of_x * of_y
    return Work(lambda: bench.torch._int_mm(x, y) * scale, [x, y, of_x, of_y])


def _linear(bench: Bench) -> Iterator[Case]:
    """Weights as a Linear holds them, a row per feature out; no bias."""
    batches, n_in, n_out = bench.sizes.linear
    linear = bench.torch.nn.functional.linear
    w = bench.normal(n_out, n_in, scale=n_in**-0.5)
    for batch in batches:
        x = bench.normal(batch, n_in)
        yield Case(
            "linear",
            f"batch {batch}",
            {"batch": batch, "in": n_in, "out": n_out},
            2 * batch * n_in * n_out,
            partial(_exact, linear, x, w),
            [
                *bench.plain(linear, x, w),
                OperationWay("float8_e4m3fn", "_scaled_mm", partial(_scaled_mm, bench, x, w.t())),
                OperationWay("int8", "dynamic", partial(_dynamic_linear, bench, x, w)),
                OperationWay("int8", "weights", partial(_weights_only, bench, x, w)),
            ],
        )


def _dynamic_linear(bench: Bench, x: Any, w: Any) -> Work:
    """float32 in and out: the activations are quantized in the call, as by quantize_dynamic."""
    torch = bench.torch
    packed = torch.ops.quantized.linear_prepack(_per_channel(bench, w), None)
    weights, scale = bench.int8(w, 1)
    return Work(lambda: torch.ops.quantized.linear_dynamic(x, packed, False), [x, weights, scale])


def _per_channel(bench: Bench, w: Any) -> Any:
    """The weights as torch's own quantized tensor, a scale per output channel."""
    torch = bench.torch
    scale = (w.abs().flatten(1).amax(1) / 127).double()
    zero = torch.zeros(len(w), dtype=torch.long, device=w.device)
    return torch.quantize_per_channel(w, scale, zero, 0, torch.qint8)


def _weights_only(bench: Bench, x: Any, w: Any) -> Work:
    """bfloat16 in and out, weights of int8 with a scale per output feature."""
    torch = bench.torch
    weights, scale = bench.int8(w, 1)
    short, of_w = x.to(torch.bfloat16), scale.flatten().to(torch.bfloat16)
    return Work(lambda: torch._weight_int8pack_mm(short, weights, of_w), [short, weights, of_w])


def _conv2d(bench: Bench) -> Iterator[Case]:
    """3 x 3, as many channels out as in, the same height and width."""
    batches, channels, side = bench.sizes.conv2d
    conv2d = partial(bench.torch.nn.functional.conv2d, padding=1)
    w = bench.normal(channels, channels, 3, 3, scale=(9 * channels) ** -0.5)
    for batch in batches:
        x = bench.normal(batch, channels, side, side)
        exact = partial(_exact, conv2d, x, w)
        yield Case(
            "conv2d",
            f"batch {batch}",
            {"batch": batch, "channels": channels, "side": side, "kernel": 3},
            2 * batch * side * side * channels * channels * 9,
            exact,
            [
                *bench.plain(conv2d, x, w),
                OperationWay("int8", "static", partial(_static_conv2d, bench, x, w, exact)),
            ],
        )


def _static_conv2d(bench: Bench, x: Any, w: Any, exact: Callable[[], Any]) -> Work:
    """Quantized in and out, with scales known before, as in a network quantized as a whole."""
    quantized = bench.torch.ops.quantized
    weights = _per_channel(bench, w)
    packed = quantized.conv2d_prepack(weights, None, [1, 1], [1, 1], [1, 1], 1)
    codes, (scale, zero) = _unsigned(bench, x), _range(exact())
    return Work(
        lambda: quantized.conv2d(codes, packed, scale, zero),
        [codes, weights],
        lambda result: result.dequantize(),
    )


def _range(x: Any) -> tuple[float, int]:
    """(scale, zero point) of uint8 for values on both sides of zero."""
    return float(x.abs().amax()) / 127, 128


def _unsigned(bench: Bench, x: Any) -> Any:
    """The values as torch's own quantized tensor of uint8."""
    return bench.torch.quantize_per_tensor(x, *_range(x), bench.torch.quint8)


def _attention(bench: Bench) -> Iterator[Case]:
    batches, heads, length, width = bench.sizes.attention
    attention = bench.torch.nn.functional.scaled_dot_product_attention
    for batch in batches:
        q, k, v = (bench.normal(batch, heads, length, width) for _ in range(3))
        yield Case(
            "attention",
            f"batch {batch}",
            {"batch": batch, "heads": heads, "length": length, "width": width},
            4 * batch * heads * length * length * width,
            partial(_exact, attention, q, k, v),
            bench.plain(attention, q, k, v),
        )


def _layer_norm(bench: Bench) -> Iterator[Case]:
    rows, width = bench.sizes.layer_norm
    functional = bench.torch.nn.functional

    def layer_norm(x: Any, weight: Any, bias: Any) -> Any:
        return functional.layer_norm(x, (width,), weight, bias)

    x, weight, bias = bench.normal(rows, width), bench.normal(width), bench.normal(width)
    exact = partial(_exact, layer_norm, x, weight, bias)
    yield Case(
        "layer_norm",
        f"{rows} rows",
        {"rows": rows, "width": width},
        0,
        exact,
        [
            *bench.plain(layer_norm, x, weight, bias, products=False),
            OperationWay(
                "int8", "static", partial(_static_layer_norm, bench, x, weight, bias, exact)
            ),
        ],
    )


def _static_layer_norm(
    bench: Bench, x: Any, weight: Any, bias: Any, exact: Callable[[], Any]
) -> Work:
    """Quantized in and out, weight and bias float32."""
    codes, (scale, zero) = _unsigned(bench, x), _range(exact())
    layer_norm = bench.torch.ops.quantized.layer_norm
    return Work(
        lambda: layer_norm(codes, [len(weight)], weight, bias, 1e-5, scale, zero),
        [codes, weight, bias],
        lambda result: result.dequantize(),
    )


def _embedding(bench: Bench) -> Iterator[Case]:
    n_rows, width, n = bench.sizes.embedding
    embedding = bench.torch.nn.functional.embedding
    table, indices = bench.normal(n_rows, width), bench.indices(n_rows, n)
    yield Case(
        "embedding",
        f"{n} of {n_rows}",
        {"rows": n_rows, "width": width, "indices": n},
        0,
        partial(_exact, embedding, indices, table),
        [
            *bench.plain(embedding, indices, table, products=False),
            OperationWay("int8", "rows", partial(_byte_embedding, bench, table, indices)),
        ],
    )


def _byte_embedding(bench: Bench, table: Any, indices: Any) -> Work:
    """float32 out, the table of uint8 with a scale and an offset for each row."""
    torch = bench.torch
    low = table.amin(1)
    scale = (table.amax(1) - low) / 255
    codes = torch.quantize_per_channel(table, scale, -low / scale, 0, torch.quint8)
    packed = torch.ops.quantized.embedding_bag_prepack(codes)
    return Work(
        lambda: torch.ops.quantized.embedding_byte(packed, indices), [codes, scale, low, indices]
    )


_CASES: Final[dict[str, Callable[[Bench], Iterator[Case]]]] = {
    "matmul": _matmul,
    "linear": _linear,
    "conv2d": _conv2d,
    "attention": _attention,
    "layer_norm": _layer_norm,
    "embedding": _embedding,
}
