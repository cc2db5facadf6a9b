"""Tensors whose values are not what lies in memory (negated, conjugated, zero), and tensors whose
memory is not all there: every way in gives the same values, or the same refusal."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import tensorcast as tc
from tensorcast.formats import FORMATS, Format
from tensorcast.testing import codes_of

torch = pytest.importorskip("torch", reason="torch is not installed")


def rows_of_torch() -> list[Format]:
    return [
        row
        for row in FORMATS.values()
        if isinstance(getattr(torch, row.spellings.get("torch", ""), None), torch.dtype)
    ]


def dtype_of(row: Format) -> Any:
    return getattr(torch, row.spellings["torch"])


def container(row: Format) -> Any:
    return {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[
        row.component.container_bits // 8
    ]


def some_bits(row: Format, n: int = 3000) -> Any:
    """Codes of a format: all of up to 16 bits, random ones of more; infinities and NaNs too."""
    width = row.component.container_bits
    if width <= 16:
        codes = np.arange(1 << min(width, row.bits), dtype=np.uint64)
    else:
        codes = np.random.default_rng(1).integers(0, 1 << width, n, dtype=np.uint64, endpoint=False)
        codes[: n // 4] |= np.uint64(row.component.infinity_code or 0)
    return torch.from_numpy(codes.astype(f"u{width // 8}").view(f"i{width // 8}")).view(
        container(row)
    )


def negated(codes: Any, row: Format) -> Any:
    """The codes of the negatives, by integers."""
    if row.is_integer:
        return -codes & ((1 << row.bits) - 1) if row.is_packed else -codes
    sign = 0x80 if row.component.container_bits == 8 else -(1 << (row.component.bits - 1))
    flipped = codes ^ sign
    if row.component.nan == "negative-zero":
        return torch.where(codes.bitwise_and(0x7F) == 0, codes, flipped)
    return flipped


WAYS = {
    "cast": lambda x, to, **policy: tc.cast(x, to, **policy),
    "report": lambda x, to, **policy: tc.cast(x, to, report=True, **policy)[0],
    "out": lambda x, to, **policy: tc.cast(
        x, to, out=torch.empty(x.shape, dtype=getattr(torch, to)), **policy
    ),
    "as_tensor": lambda x, to, **policy: tc.as_tensor(x, to, **policy),
    "copied": lambda x, to, **policy: tc.cast(tc.as_tensor(x, copy=True), to, **policy),
    "as_array": lambda x, to, **policy: torch.from_numpy(
        tc.to_numpy(x, to, **policy).view(f"i{getattr(torch, to).itemsize}")
    ).view(getattr(torch, to)),
    "list": lambda x, to, **policy: tc.as_tensor([x], to, **policy)[0],
    "operator": lambda x, to, **policy: torch.vmap(lambda y: tc.cast(y, to, **policy))(x[None])[0],
}


@pytest.mark.parametrize(
    ("row", "way"),
    [
        pytest.param(row, way, id=f"{row.name}-{way}")
        for row in rows_of_torch()
        for way in WAYS
        if not (row.is_complex or (row.is_float and row.is_packed))  # tests of their own
        and not (way in ("operator", "list") and row.is_packed)  # torch moves none of those
    ],
)
def test_a_lazy_negative_is_the_sign_bit_turned(row: Format, way: str) -> None:
    codes = some_bits(row)
    x = torch._neg_view(codes.view(dtype_of(row)))
    assert x.is_neg()
    to = "float64"
    if not row.signed and row.kind != "uint":
        with pytest.raises(
            tc.errors.CastError, match=f"lazy negative of {row.name}, which has no sign"
        ):
            WAYS[way](x, to)
        return
    if row.name == "float64":
        to = "bfloat16"
    policy = {"overflow": "saturate"}
    found = WAYS[way](x, to, **policy)
    expected = tc.cast(negated(codes, row).view(dtype_of(row)), to, **policy)
    assert np.array_equal(codes_of(found)[1], codes_of(expected)[1])


def test_bool_is_not_negated() -> None:
    with pytest.raises(tc.errors.CastError, match="lazy negative of bool"):
        tc.cast(torch._neg_view(torch.tensor([True])), "int8")


def test_lazy_negatives_of_pairs() -> None:
    pairs = torch.arange(256, dtype=torch.int16).to(torch.uint8).view(torch.float4_e2m1fn_x2)
    found = tc.cast(torch._neg_view(pairs), "float32")
    assert torch.equal(found.view(torch.int32), (-tc.cast(pairs, "float32")).view(torch.int32))


@pytest.mark.parametrize("way", ["cast", "report", "out", "as_tensor", "copied", "list"])
@pytest.mark.parametrize(
    ("conjugates", "negates"), [(True, False), (False, True), (True, True)], ids=str
)
@pytest.mark.parametrize("source", ["complex64", "complex128"])
def test_lazy_complex_views(source: str, conjugates: bool, negates: bool, way: str) -> None:
    row = FORMATS[source]
    codes = some_bits(row).view(-1, 2)
    base = torch.view_as_complex(codes.view(dtype_of(row).to_real()))
    x = base.conj() if conjugates else base
    x = torch._neg_view(x) if negates else x
    expected = codes.clone()
    sign = -(1 << (row.component.bits - 1))
    expected[:, 0] ^= sign if negates else 0
    expected[:, 1] ^= sign if negates != conjugates else 0
    plain = torch.view_as_complex(expected.view(dtype_of(row).to_real()))
    to, policy = ("complex128" if source == "complex64" else "complex64"), {"overflow": "saturate"}
    found = WAYS[way](x, to, **policy)
    assert np.array_equal(codes_of(found)[1], codes_of(tc.cast(plain, to, **policy))[1])
    parts = zip((x.real, x.imag), (plain.real, plain.imag), strict=True)
    for lazy, settled in parts:
        found = WAYS[way](lazy, "bfloat16", **policy)
        assert np.array_equal(
            codes_of(found)[1], codes_of(tc.cast(settled, "bfloat16", **policy))[1]
        )


@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_the_imaginary_part_of_a_conjugated_complex32() -> None:
    nan = torch.tensor([0x7E01, 0x7E01], dtype=torch.int16).view(torch.float16)
    imaginary = torch.view_as_complex(nan).conj().imag
    assert imaginary.is_neg()
    assert tc.cast(imaginary, "float32").view(torch.int32).item() & 0xFFFFFFFF == 0xFFC02000


def test_compiled_and_transposed_negatives() -> None:
    x = torch.tensor([[0x7F81, 1], [2, 3]], dtype=torch.int16).view(torch.bfloat16)
    want = tc.cast(x.view(torch.int16).bitwise_xor(-0x8000).view(torch.bfloat16), "float32")
    lazy = torch._neg_view(x)
    assert torch.equal(tc.cast(lazy.T, "float32").view(torch.int32), want.T.view(torch.int32))
    torch.compiler.reset()
    f = torch.compile(lambda x: tc.cast(x, "float32"), backend="eager", fullgraph=True)
    assert torch.equal(f(lazy).view(torch.int32), want.view(torch.int32))


def test_tensors_of_zeros_without_memory() -> None:
    zeros = torch._efficientzerotensor((2, 3))
    for way in ("cast", "report", "as_tensor", "copied", "as_array", "list"):
        assert torch.equal(WAYS[way](zeros, "bfloat16"), torch.zeros(2, 3, dtype=torch.bfloat16))
    assert tc.measure(zeros, "int8").amax == 0
    with pytest.raises(tc.errors.CastError, match="out is a lazy tensor of zeros"):
        tc.cast(torch.ones(2, 3, dtype=torch.float64), "float32", out=zeros)
    with pytest.raises(tc.errors.InPlaceError, match="lazy tensor of zeros"):
        tc.cast_(zeros, "float16")


SHRUNK = """
import numpy as np, torch, tensorcast as tc
from tensorcast.bridges.torch.operators import cast_op
from tensorcast.policy import Policy
from tensorcast.testing import codes_of

def shrunk(n=3_000_000, dtype=torch.float32, view=lambda x: x):
    x = torch.ones(n, dtype=dtype)
    seen = view(x)
    x.untyped_storage().resize_(16)
    return seen

def nearly(n=4):
    x = torch.ones(n + 1)[1:]
    x.untyped_storage().resize_(4 * n)
    return x

full = torch.ones(3_000_000)
pixels = shrunk(dtype=torch.uint8, view=lambda x: x.view(1000, 1000, 3))
calls = {
    "cast": lambda: tc.cast(shrunk(), "float64"),
    "small": lambda: tc.cast(shrunk(1000), "float64"),
    "strided": lambda: tc.cast(shrunk(view=lambda x: x[::3]), "float64"),
    "by one": lambda: tc.cast(nearly(), "float64"),
    "lazy": lambda: tc.cast(shrunk(view=torch._neg_view), "float64"),
    "conjugate": lambda: tc.cast(shrunk(dtype=torch.complex64, view=torch.conj), "complex128"),
    "pairs": lambda: tc.cast(
        shrunk(dtype=torch.uint8, view=lambda x: x.view(torch.float4_e2m1fn_x2)), "float32"),
    "report": lambda: tc.cast(shrunk(), "float64", report=True),
    "measure": lambda: tc.measure(shrunk(), "float16"),
    "can_cast": lambda: tc.can_cast(shrunk(), "float16"),
    "out": lambda: tc.cast(full, "float64", out=shrunk(dtype=torch.float64)),
    "out with a report": lambda: tc.cast(
        full, "float64", out=shrunk(dtype=torch.float64), report=True),
    "from and to": lambda: tc.cast(shrunk(), "float64", out=shrunk(dtype=torch.float64)),
    "packed": lambda: tc.cast(shrunk(), "int4", packed=True),
    "pack": lambda: tc.pack(shrunk(dtype=torch.uint8), "int4"),
    "as_tensor": lambda: tc.as_tensor(shrunk(), "float64"),
    "as_tensor, copied": lambda: tc.as_tensor(shrunk(), copy=True),
    "as_array": lambda: tc.to_numpy(shrunk()),
    "to_numpy": lambda: tc.to_numpy(shrunk(), "float16"),
    "list": lambda: tc.as_tensor([shrunk(), shrunk()]),
    "short list": lambda: tc.as_tensor([full[:1000], shrunk(1000)], "float64"),
    "image": lambda: tc.image_to_tensor(pixels),
    "cast_": lambda: tc.cast_(shrunk(), "float64"),
    "cast_, same width": lambda: tc.cast_(shrunk(), "int32"),
    "device": lambda: tc.cast(shrunk(), "float64", device="meta"),
    "operator": lambda: cast_op(shrunk(), tc.lookup("float64"), Policy()),
    "gradient": lambda: tc.cast(shrunk().requires_grad_(), "float64"),
    "codes": lambda: codes_of(shrunk()),
}
for name, call in calls.items():
    try:
        call()
    except tc.errors.CastError as error:
        print(name, "refused" if "freed or shrunk" in str(error) else error)
    else:
        print(name, "accepted")
"""


def test_a_shrunk_storage_is_refused_by_every_entry() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SHRUNK],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    lines = done.stdout.splitlines()
    assert len(lines) == 28
    assert [line for line in lines if not line.endswith(" refused")] == []


def test_the_rest_of_a_storage_may_go() -> None:
    x = torch.ones(1000)
    head = x[2:4]
    x.untyped_storage().resize_(16)
    assert tc.cast(head, "float64").tolist() == [1.0, 1.0]
    assert tc.cast(x[:0], "float64").tolist() == []


@pytest.mark.parametrize("call", [tc.cast, tc.measure, tc.can_cast], ids=lambda x: x.__name__)
def test_a_lazy_negative_of_bool_is_refused_alike(call: Any) -> None:
    for to in ("float32", "bool", "int8"):
        with pytest.raises(tc.errors.CastError, match="lazy negative of bool, which has no sign"):
            call(torch._neg_view(torch.tensor([True])), to)
