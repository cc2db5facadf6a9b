"""The one reading of values: every kernel and torch's operations, against plain numbers and
NumPy's frexp."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tensorcast.bridges.torch.tensor import dtype_of  # noqa: E402
from tensorcast.errors import CastError  # noqa: E402
from tensorcast.formats import FORMATS, Format  # noqa: E402
from tensorcast.kernels import cpu  # noqa: E402
from tensorcast.model.profile.value_ranges import Values  # noqa: E402
from tensorcast.model.profile.value_reading import _by_torch, values_of  # noqa: E402

BLOCK = 2048  # as in cpp/isa/ranges.cpp
FLOATS = ("float16", "bfloat16", "float32", "float64")
INTEGERS = ("int16", "uint16", "int32", "uint32", "int64", "uint64")


def narrow() -> list[Format]:
    found = []
    for row in FORMATS.values():
        try:
            dtype_of(row)
        except CastError:
            continue
        if row.bits <= 8 and not row.is_complex:
            found.append(row)
    return found


def bits_to(row: Format, bits: Any) -> Any:
    return torch.from_numpy(bits.astype(f"u{row.container_bits // 8}")).view(dtype_of(row))


def patterns(row: Format, n: int, seed: int = 0) -> Any:
    """Codes of a block: random bits, with each kind of special number and all exponents in them."""
    rng = np.random.default_rng(seed)
    width = row.container_bits // 8
    return np.frombuffer(rng.bytes(n * width), f"u{width}").copy()


def wide(x: Any) -> np.ndarray[Any, Any]:
    """Exactly, as float64."""
    return np.asarray(x.to(torch.float64).numpy())


def by_numpy(x: np.ndarray[Any, Any]) -> Values:
    """What NumPy says: the exponents are frexp's."""
    finite = x[np.isfinite(x)]
    magnitudes = np.abs(finite[finite != 0])
    exponents = np.frexp(magnitudes)[1] - 1
    first = int(exponents.min()) if exponents.size else 0
    return Values(
        x.size,
        int((finite == 0).sum()),
        int(np.isinf(x).sum()),
        int(np.isnan(x).sum()),
        float(finite.min()) if finite.size else None,
        float(finite.max()) if finite.size else None,
        float(np.abs(finite).max()) if finite.size else None,
        float(magnitudes.min()) if magnitudes.size else None,
        first,
        tuple(np.bincount(exponents - first).tolist()),
    )


@pytest.mark.parametrize("kernel", cpu.available())
@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_every_code_of_16_bits(name: str, kernel: str) -> None:
    codes = np.arange(1 << 16)
    for seed in range(2):  # in order: blocks of one kind; shuffled: blocks of every kind
        x = bits_to(FORMATS[name], codes)
        assert values_of(x, kernel=kernel) == by_numpy(wide(x))
        np.random.default_rng(seed).shuffle(codes)


@pytest.mark.parametrize("kernel", cpu.available())
@pytest.mark.parametrize("row", narrow(), ids=lambda row: row.name)
def test_every_code_of_8_bits_and_fewer(row: Format, kernel: str) -> None:
    pairs = row.spellings["torch"].endswith("x2")
    x = bits_to(row, np.arange(1 << (8 if pairs else row.bits)))
    values = values_of(x, kernel=kernel)
    from tensorcast.reference import Special, decode

    decoded = [decode(code, row) for code in range(1 << row.bits)]
    numbers = [
        {"infinity": float("inf"), "nan": float("nan"), "zero": 0.0}[v.kind]
        if isinstance(v, Special)
        else float(v)  # type: ignore[arg-type]
        for v in decoded
    ]
    assert values == Values.of_numbers(numbers * (32 if pairs else 1))


KINDS = {
    "random bits": lambda row, n: patterns(row, n),
    "normal": lambda row, n: np.random.default_rng(1).standard_normal(n),
    "small": lambda row, n: (
        np.random.default_rng(2).standard_normal(n) * float(row.smallest_normal)
    ),
    "zeros": lambda row, n: np.zeros(n),
    "minus zeros": lambda row, n: -np.zeros(n),
    "half zeros": lambda row, n: np.maximum(np.random.default_rng(3).standard_normal(n), 0),
    "one negative": lambda row, n: np.full(n, -3.0),
    "zeros and subnormals": lambda row, n: np.where(np.arange(n) % 3, 0, 3 * float(row.smallest)),
    "wide": lambda row, n: np.exp2(np.random.default_rng(4).uniform(-60, 60, n)),
}


@pytest.mark.parametrize("kernel", cpu.available())
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FLOATS)
def test_floats(name: str, kind: str, kernel: str) -> None:
    row = FORMATS[name]
    for n in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 7):
        made = KINDS[kind](row, n)
        x = (
            bits_to(row, made)
            if kind == "random bits"
            else torch.from_numpy(made).to(dtype_of(row))
        )
        expected = by_numpy(wide(x))
        assert values_of(x, kernel=kernel) == expected, n
        assert _by_torch(x) == expected, n


@pytest.mark.parametrize("special", ["inf", "-inf", "nan"])
@pytest.mark.parametrize("name", FLOATS)
def test_one_special_number_anywhere(name: str, special: str) -> None:
    x = torch.full((3 * BLOCK,), 0.5, dtype=dtype_of(FORMATS[name]))
    for at in (0, BLOCK - 1, BLOCK, 2 * BLOCK + 31, 3 * BLOCK - 1):
        y = x.clone()
        y[at] = float(special)
        assert values_of(y) == by_numpy(wide(y)) == _by_torch(y)


@pytest.mark.parametrize("kernel", cpu.available())
@pytest.mark.parametrize("name", INTEGERS)
def test_integers(name: str, kernel: str) -> None:
    row = FORMATS[name]
    codes = patterns(row, 1000)
    codes[:4] = [0, 1, row.max_code, 1 << (row.bits - 1)]
    x = bits_to(row, codes)
    numbers = x.numpy().tolist()
    values = values_of(x, kernel=kernel)
    count = Counter(abs(n).bit_length() - 1 for n in numbers if n)
    assert values.exponent_counts == tuple(count[e] for e in range(min(count), max(count) + 1))
    assert (values.min, values.max) == (min(numbers), max(numbers))
    assert (values.amax, values.smallest) == (max(map(abs, numbers)), 1)
    assert (values.n_zero, values.n_values) == (numbers.count(0), 1000)


def test_any_strides_and_alignment() -> None:
    x = torch.randn(64, 3, 65)
    ways = {
        "transposed": x.transpose(0, 2),
        "sliced": x[::2, :, 1::3],
        "expanded": x[:1].expand(9, 3, 65),
        "flipped": x.flip(1),
        "scalar": x[0, 0, 0],
        "empty": x[:0],
        "channels last": torch.randn(2, 3, 5, 7).to(memory_format=torch.channels_last),
    }
    for way, y in ways.items():
        assert values_of(y) == by_numpy(wide(y)), way
    odd = torch.from_numpy(np.frombuffer(bytearray(x.numpy().tobytes() + b"...."), "u1")[:-4])
    raw = cpu.read_ranges(FORMATS["float32"], odd.data_ptr(), x.numel())
    shifted = np.frombuffer(bytearray(b"..." + x.numpy().tobytes()), "u1")
    assert cpu.read_ranges(FORMATS["float32"], shifted.ctypes.data + 3, x.numel()) == raw


def test_complex_numbers_are_pairs() -> None:
    x = torch.randn(100, dtype=torch.complex64)
    assert values_of(x) == by_numpy(wide(torch.view_as_real(x).flatten()))
    assert values_of(x.conj()) == by_numpy(wide(torch.view_as_real(x.conj().resolve_conj())))


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_threads_and_parts_count_alike(name: str) -> None:
    x = torch.randn((1 << 20) + 12345).to(dtype_of(FORMATS[name]))
    x[777777] = float("inf")
    row = FORMATS[name]
    one, three = (cpu.read_ranges(row, x.data_ptr(), x.numel(), n_threads=n) for n in (1, 3))
    assert one == three
    assert values_of(x) == by_numpy(wide(x))


def test_merged_parts_are_the_whole() -> None:
    x = torch.cat([torch.randn(100), torch.tensor([float("nan"), 0.0, 1e30])])
    assert values_of(x[:60]).merge(values_of(x[60:])) == values_of(x)
    assert values_of(x[:0]).merge(values_of(x)) == values_of(x)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kernel", cpu.available())
def test_every_code_of_float32(kernel: str) -> None:
    step = 1 << 23
    for begin in range(0, 1 << 32, step):
        codes = np.arange(begin, begin + step, dtype=np.uint32)
        x = torch.from_numpy(codes.view(np.float32))
        assert values_of(x, kernel=kernel) == by_numpy(codes.view(np.float32)), hex(begin)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kernel", cpu.available())
@pytest.mark.parametrize("name", FLOATS)
def test_blocks_of_many_kinds(name: str, kernel: str) -> None:
    """100 million values whose exponents spread from one to all, specials here and there."""
    row, rng = FORMATS[name], np.random.default_rng(5)
    for turn in range(100):
        spread = float(rng.choice([0.1, 3, 10, 30, 100]))
        made = rng.standard_normal(1 << 20) * np.exp2(rng.uniform(-spread, spread, 1 << 20))
        made[rng.random(1 << 20) < rng.choice([0, 0, 1e-5, 0.5])] = rng.choice([0, np.inf, np.nan])
        x = torch.from_numpy(made).to(dtype_of(row))
        assert values_of(x, kernel=kernel) == by_numpy(wide(x)), turn
