"""The reference against ml_dtypes, NumPy and torch.

Where a library differs, a row of DIFFERENCES says what it gives instead and why; elsewhere the
codes must be the same. `oracle`, which test_reference.py holds to the reference, stands in for
it here, to be quick; the full run takes the reference itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from bits import IN_NUMPY, as_array, as_codes, code_dtype, expect_same_codes, numpy_dtype
from codes import interesting_codes
from oracle import FINITE, NAN, Cast, Parts, cast_array, parts_of

from tensorcast import reference
from tensorcast.formats import FORMATS, Format
from tensorcast.policy import Policy, ResolvedPolicy


@dataclass(frozen=True)
class Case:
    """One pair in another library: what is cast, and what the contract says comes out."""

    library: str
    source: Format
    target: Format
    codes: np.ndarray
    parts: Parts
    ours: Cast

    def through(self, name: str) -> np.ndarray:
        """Codes of casting to another format first: what rounds twice."""
        between = FORMATS[name]
        policy = library_policy(self.library, self.source, between)
        first = cast_array(self.codes, self.source, between, policy).codes
        policy = library_policy(self.library, between, self.target)
        return cast_array(first, between, self.target, policy).codes


@dataclass(frozen=True)
class Difference:
    """What a library gives instead of the contract's result, where, and why.

    Attributes:
        where: which elements of a case.
        theirs: their codes for the case; None where nothing defines them, so that they are not
            compared but for a NaN staying a NaN.
        example: (source, code, target, their code): a case that must go on to differ; None where
            nothing defines it.
    """

    library: str
    reason: str
    where: Callable[[Case], np.ndarray | bool]
    theirs: Callable[[Case], np.ndarray] | None
    example: tuple[str, int, str, int] | None


NUMPY_FLOATS = ("float16", "float32", "float64")
WIDE = ("float64", "int32", "int64", "uint32", "uint64")  # float32 does not hold them


def is_nan(case: Case) -> np.ndarray:
    return case.parts.kind == NAN


def is_finite(case: Case) -> np.ndarray:
    return case.parts.kind == FINITE


def small(row: Format) -> bool:
    """Whether ml_dtypes has the float, not NumPy."""
    return row.is_float and row.name not in NUMPY_FLOATS


def by_the_machine(case: Case) -> bool:
    """Whether NumPy or a shift of bits converts the pair, so that NaNs keep what they keep."""
    source, target = case.source.name, case.target.name
    if target == "float16":
        return source in NUMPY_FLOATS
    return target in NUMPY_FLOATS and source in (*NUMPY_FLOATS, "bfloat16")


def to_e8m0(case: Case) -> bool:
    return case.target.name == "float8_e8m0fnu"


def undefined_in_c(case: Case) -> np.ndarray:
    outside = case.ours.overflow | is_nan(case)
    return outside & (case.target.is_integer and case.source.is_float)


def canonical_nan(case: Case) -> np.ndarray:
    sign = np.uint64(1 << (case.target.bits - 1))
    return np.uint64(case.target.nan_code) | np.where(case.parts.negative, sign, np.uint64(0))


def carried_e8m0(case: Case) -> np.ndarray:
    """Half a unit added to the exponent field of a float32's magnitude, whatever its sign."""
    float32 = FORMATS["float32"]
    policy = library_policy(case.library, case.source, float32)
    codes = cast_array(case.codes, case.source, float32, policy).codes & np.uint32(0x7FFFFFFF)
    normal = (codes + np.uint32(0x00400000)) >> np.uint32(23)
    zero = 0xFF if case.library == "ml_dtypes" else 0
    rounded = np.where(codes < 0x00800000, codes > 0x00400000, normal)
    return np.where(codes == 0, zero, rounded)


DIFFERENCES = [
    Difference(
        "ml_dtypes",
        "rounds twice, to float32 first",
        lambda case: is_finite(case) & (case.source.name in WIDE and small(case.target)),
        lambda case: case.through("float32"),
        ("float64", 0x3FF0100000000001, "bfloat16", 0x3F80),
    ),
    Difference(
        "ml_dtypes",
        "float8_e8m0fnu: takes its code 0 for zero, so that all between 2^-127 and 2^-126 goes "
        "up and all between zero and 2^-127 to 2^-127",
        lambda case: is_finite(case) & to_e8m0(case) & positive(case),
        carried_e8m0,
        ("float32", 0x00400001, "float8_e8m0fnu", 1),
    ),
    Difference(
        "ml_dtypes",
        "drops the payload of a NaN",
        lambda case: is_nan(case) & (case.target.nan == "ieee" and not by_the_machine(case)),
        canonical_nan,
        ("float32", 0x7FE00000, "bfloat16", 0x7FC0),
    ),
    Difference(
        "ml_dtypes",
        'the one NaN of a "fnuz" format has the sign bit of its code, 0x80',
        lambda case: (
            is_nan(case)
            & (case.source.nan == "negative-zero" and case.target.nan in ("ieee", "all-ones"))
        ),
        lambda case: case.ours.codes | np.uint64(1 << (case.target.bits - 1)),
        ("float8_e5m2fnuz", 0x80, "float16", 0xFE00),
    ),
    Difference(
        "ml_dtypes",
        "a NaN without code becomes a zero of the other sign",
        lambda case: is_nan(case) & (case.target.is_float and not case.target.has_nan),
        lambda case: np.where(
            case.parts.negative | (case.source.nan == "negative-zero"),
            0,
            1 << (case.target.bits - 1),
        ),
        ("float32", 0x7FC00000, "float4_e2m1fn", 0x8),
    ),
    Difference(
        "ml_dtypes",
        "whether a signalling NaN becomes quiet depends on how NumPy was compiled",
        lambda case: is_nan(case) & by_the_machine(case),
        None,
        None,
    ),
    Difference(
        "ml_dtypes",
        "float to integer out of range is undefined in C",
        undefined_in_c,
        None,
        None,
    ),
    Difference(
        "torch",
        "rounds twice, to float32 first",
        lambda case: (
            is_finite(case)
            & (case.source.name in WIDE and (small(case.target) or case.target.name == "float16"))
        ),
        lambda case: case.through("float32"),
        ("float64", 0x3FF0020000000001, "float16", 0x3C00),
    ),
    Difference(
        "torch",
        "float8_e8m0fnu: the sign is ignored and zero is 2^-127",
        lambda case: to_e8m0(case) & ~is_nan(case),
        carried_e8m0,
        ("float32", 0xC0000000, "float8_e8m0fnu", 0x80),
    ),
    Difference(
        "torch",
        "the bits of a NaN depend on how torch was compiled",
        lambda case: is_nan(case) & case.target.has_nan,
        None,
        None,
    ),
    Difference(
        "torch",
        "float to integer out of range is undefined in C",
        undefined_in_c,
        None,
        None,
    ),
]


def positive(case: Case) -> np.ndarray:
    return ~case.parts.negative & (case.parts.significand != 0)


def library_policy(library: str, source: Format, target: Format) -> ResolvedPolicy:
    """The policy that a library's cast follows."""
    overflow = "ieee" if target.is_float and target.has_nan else "saturate"
    if library == "torch" and target.name == "float8_e4m3fn":
        overflow = "saturate"
    if target.is_integer and not source.is_float:
        overflow = "wrap"
    return Policy(overflow=overflow, nan="zero").resolve(source, target)


def library_cast(
    library: str, codes: np.ndarray, source: Format, target: Format
) -> np.ndarray | None:
    """The codes that a library gives; None if it has no such cast."""
    if library == "torch":
        torch = pytest.importorskip("torch")
        if any("torch" not in row.spellings or row.is_packed for row in (source, target)):
            return None
        array = torch.from_numpy(codes.copy()).view(torch_dtype(source))
        return array.to(torch_dtype(target)).view(torch.uint8).numpy().view(code_dtype(target))
    if source not in IN_NUMPY or target not in IN_NUMPY:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            array = as_array(codes, source).astype(numpy_dtype(target))
        except TypeError:  # ml_dtypes casts few of its formats to each other's sub-byte ones
            pair = source, target
            assert any(row.bits < 8 or row.name == "float8_e8m0fnu" for row in pair), pair
            return None
    return as_codes(array, target)


def torch_dtype(row: Format) -> object:
    return getattr(pytest.importorskip("torch"), row.spellings["torch"])


def case_of(library: str, codes: np.ndarray, source: Format, target: Format) -> Case:
    ours = cast_array(codes, source, target, library_policy(library, source, target))
    return Case(library, source, target, codes, parts_of(codes, source), ours)


REAL = [row for row in FORMATS.values() if not row.is_complex]


@pytest.mark.parametrize("source", REAL, ids=str)
@pytest.mark.parametrize("library", ["ml_dtypes", "torch"])
def test_other_libraries(library: str, source: Format) -> None:
    """To every target: every code of a source of at most 16 bits, else the interesting ones."""
    for target in REAL:
        if target is source:
            continue
        codes = interesting_codes(source, target, 2000)
        if source.kind == "bool":
            codes &= codes < 2
        found = library_cast(library, codes, source, target)
        if found is None:
            continue
        case = case_of(library, codes, source, target)
        expected = case.ours.codes.copy()
        for row in DIFFERENCES:
            if row.library != library:
                continue
            where = row.where(case)
            if not where.any():
                continue
            theirs = row.theirs(case) if row.theirs else found
            if row.theirs is None and target.has_nan:
                found_nan = parts_of(found, target).kind == NAN
                assert (found_nan == is_nan(case))[where].all(), (row.reason, source, target)
            expected[where] = theirs[where]
        expect_same_codes(
            found,
            expected,
            target,
            source=source,
            source_codes=codes,
            what=f"{library}: {source} to {target}",
        )


@pytest.mark.parametrize(
    "row",
    [row for row in DIFFERENCES if row.example],
    ids=lambda row: f"{row.library}: {row.reason}",
)
def test_known_differences_go_on(row: Difference) -> None:
    name, code, target_name, theirs = row.example
    source, target = FORMATS[name], FORMATS[target_name]
    codes = np.array([code], code_dtype(source))
    case = case_of(row.library, codes, source, target)
    assert row.where(case).all()
    assert library_cast(row.library, codes, source, target).tolist() == [theirs]
    policy = library_policy(row.library, source, target)
    assert reference.cast_code(code, source, target, policy).code != theirs


@pytest.mark.exhaustive
@pytest.mark.parametrize("source", [row for row in REAL if row.bits == 16], ids=str)
def test_numpy_agrees_with_tables(source: Format) -> None:
    """The reference itself, without the oracle, where nothing is known to differ."""
    for target in REAL:
        policy = library_policy("ml_dtypes", source, target)
        table = reference.cast_table(source, target, policy)
        codes = np.arange(1 << 16, dtype=np.uint16)
        if target not in IN_NUMPY:
            continue
        case = case_of("ml_dtypes", codes, source, target)
        expected = np.array(table.codes, code_dtype(target))
        differ = library_cast("ml_dtypes", codes, source, target) != expected
        for row in DIFFERENCES:
            if row.library == "ml_dtypes":
                differ &= ~row.where(case)
        assert target is source or not differ.any(), (target, codes[differ][:8])


@pytest.mark.parametrize("source", IN_NUMPY, ids=str)
def test_complex_is_numpy_s(source: Format) -> None:
    """Complex of NumPy: to and from complex, and to bool; NaNs stay NaNs."""
    for target in IN_NUMPY:
        if not (source.is_complex or target.is_complex) or target is source:
            continue
        if source.is_complex and not target.is_complex and target.kind != "bool":
            continue
        codes = interesting_codes(source, target, 500)
        if source.kind == "bool":
            codes &= codes < 2
        overflow = "ieee" if target.is_complex else "saturate"
        policy = Policy(overflow=overflow).resolve(source, target)
        ours = cast_array(codes, source, target, policy).codes
        found = library_cast("ml_dtypes", codes, source, target)
        nan = parts_of(ours, target).kind == NAN
        assert (parts_of(found, target).kind[nan] == NAN).all()
        found[nan] = ours[nan]
        expect_same_codes(found, ours, target, source=source, source_codes=codes)
