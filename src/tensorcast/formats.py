"""The number formats: one row each, everything else derived from the row.

This module imports only the standard library; the build reads it too, to generate the rows the
C++ kernels use, so a fact about a number format stands in exactly one place.

    >>> from tensorcast import formats
    >>> row = formats.lookup("F8_E4M3")
    >>> row.name, row.bits, row.max
    ('float8_e4m3fn', 8, 448.0)
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Final, Literal

from .errors import FormatError

Kind = Literal["bool", "int", "uint", "float", "complex"]
NanCodes = Literal["ieee", "all-ones", "negative-zero", "none"]


@dataclass(frozen=True)
class Format:
    """One number format: how its codes are laid out and how others spell it.

    A float code is ``| sign | exponent | mantissa |`` from the most significant bit down; its
    value is ``(-1)^s * 2^(max(e, 1) - bias) * (min(e, 1) + m / 2^mantissa_bits)``, except that
    float8_e8m0fnu, which has no mantissa and no subnormals, is ``2^(e - bias)``.

    Attributes:
        name: the ml_dtypes spelling, the only one used inside tensorcast.
        kind: bool, int, uint, float or complex.
        bits: storage bits of one element (both components, for complex).
        exponent_bits, mantissa_bits, bias: of a float (of one component, for complex), else 0.
        signed: whether a sign bit is there.
        infinity: whether codes for +-infinity exist.
        nan: where the NaN codes lie: "ieee" (exponent all ones, mantissa not zero), "all-ones"
            (exponent and mantissa all ones), "negative-zero" (the code of -0), "none".
        subnormals: whether exponent 0 means subnormal (all floats but float8_e8m0fnu).
        spellings: library -> its name of the format, where it has one. Libraries: torch, numpy,
            ml_dtypes, safetensors, gguf, onnx, jax.
        aliases: short names accepted by `lookup`.
    """

    name: str
    kind: Kind
    bits: int
    exponent_bits: int = 0
    mantissa_bits: int = 0
    bias: int = 0
    signed: bool = True
    infinity: bool = False
    nan: NanCodes = "none"
    subnormals: bool = True
    spellings: dict[str, str] = field(default_factory=dict, hash=False, compare=False, repr=False)
    aliases: tuple[str, ...] = field(default=(), hash=False, compare=False, repr=False)

    # -- derived -----------------------------------------------------------------------------

    @cached_property
    def is_float(self) -> bool:
        """Whether the format is a real floating-point format."""
        return self.kind == "float"

    @cached_property
    def is_integer(self) -> bool:
        """Whether the format is a signed or unsigned integer (bool is not)."""
        return self.kind in ("int", "uint")

    @cached_property
    def is_complex(self) -> bool:
        """Whether an element is a pair of floats."""
        return self.kind == "complex"

    @cached_property
    def is_packed(self) -> bool:
        """Whether several elements share a byte when packed (fewer than 8 bits each)."""
        return self.bits < 8

    @cached_property
    def component(self) -> Format:
        """The format of one component: float32 for complex64, itself for all but complex."""
        if self.kind != "complex":
            return self
        return FORMATS["float32" if self.bits == 64 else "float64"]

    @cached_property
    def container_bits(self) -> int:
        """Bits of one code when codes are not packed: 8 for the sub-byte formats."""
        return max(8, self.bits)

    @cached_property
    def has_nan(self) -> bool:
        """Whether a NaN can be stored."""
        return self.nan != "none"

    @cached_property
    def signed_zero(self) -> bool:
        """Whether -0 is a code of its own."""
        floating = self.kind in ("float", "complex")
        return floating and self.signed and self.nan != "negative-zero" and self.subnormals

    @cached_property
    def max_code(self) -> int:
        """Code of the largest finite value (a float's or an integer's)."""
        if self.kind == "bool":
            return 1
        if self.kind == "int":
            return (1 << (self.bits - 1)) - 1
        if self.kind == "uint":
            return (1 << self.bits) - 1
        row = self.component
        top = (1 << (row.exponent_bits + row.mantissa_bits)) - 1
        if row.nan == "ieee":  # the highest exponent belongs to infinity and NaN
            return (((1 << row.exponent_bits) - 1) << row.mantissa_bits) - 1
        return top - 1 if row.nan == "all-ones" else top

    @cached_property
    def nan_code(self) -> int | None:
        """Code of the positive quiet NaN (the only NaN, where there is one), or None."""
        row = self.component
        magnitude_bits = row.exponent_bits + row.mantissa_bits
        if row.nan == "ieee":
            ones = ((1 << row.exponent_bits) - 1) << row.mantissa_bits
            return ones | (1 << (row.mantissa_bits - 1))
        if row.nan == "all-ones":
            return (1 << magnitude_bits) - 1
        if row.nan == "negative-zero":
            return 1 << magnitude_bits
        return None

    @cached_property
    def infinity_code(self) -> int | None:
        """Code of +infinity, or None."""
        row = self.component
        if not row.infinity:
            return None
        return ((1 << row.exponent_bits) - 1) << row.mantissa_bits

    @property
    def max_exact(self) -> Fraction:
        """The largest finite value, exactly."""
        if self.kind in ("bool", "int", "uint"):
            return Fraction(self.max_code)
        return self._magnitude(self.max_code)

    @property
    def min_exact(self) -> Fraction:
        """The smallest (most negative) finite value, exactly; for float8_e8m0fnu 2^-127."""
        if self.kind in ("bool", "uint"):
            return Fraction(0)
        if self.kind == "int":
            return Fraction(-(1 << (self.bits - 1)))
        return -self.max_exact if self.component.signed else self.smallest_exact

    @property
    def smallest_exact(self) -> Fraction:
        """The smallest value above zero, exactly (subnormal where there are subnormals); 0 for
        int1, which has none."""
        if self.kind in ("bool", "int", "uint"):
            return Fraction(min(1, self.max_code))
        return self._magnitude(1 if self.component.subnormals else 0)

    @property
    def smallest_normal_exact(self) -> Fraction:
        """The smallest value with full precision, exactly."""
        if self.kind in ("bool", "int", "uint"):
            return self.smallest_exact
        row = self.component
        return self._magnitude(1 << row.mantissa_bits if row.subnormals else 0)

    @property
    def max(self) -> int | float:
        """The largest finite value."""
        return self._plain(self.max_exact)

    @property
    def min(self) -> int | float:
        """The smallest (most negative) finite value."""
        return self._plain(self.min_exact)

    @property
    def smallest(self) -> int | float:
        """The smallest value above zero."""
        return self._plain(self.smallest_exact)

    @property
    def smallest_normal(self) -> int | float:
        """The smallest value with full precision."""
        return self._plain(self.smallest_normal_exact)

    @property
    def epsilon(self) -> int | float:
        """The gap between 1 and the next larger value: 2^-mantissa_bits for floats, else 1."""
        if self.kind in ("bool", "int", "uint"):
            return 1
        return float(Fraction(1, 1 << self.component.mantissa_bits))

    def n_bytes(self, n_elements: int) -> int:
        """Bytes that `n_elements` take when sub-byte formats are packed (rounded up)."""
        return (n_elements * self.bits + 7) // 8

    def _magnitude(self, code: int) -> Fraction:
        row = self.component
        exponent, mantissa = code >> row.mantissa_bits, code & ((1 << row.mantissa_bits) - 1)
        if not row.subnormals:
            return Fraction(2) ** (exponent - row.bias)
        significand = mantissa + (1 << row.mantissa_bits if exponent else 0)
        return significand * Fraction(2) ** (max(exponent, 1) - row.bias - row.mantissa_bits)

    def _plain(self, value: Fraction) -> int | float:
        return int(value) if self.kind in ("bool", "int", "uint") else float(value)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Format({self.name!r})"


Reader = Literal["torch", "numpy", "files"]
"""Whose words a spelling is read in: those of torch, of NumPy, of checkpoint files."""

READINGS: Final[dict[str, dict[str, str]]] = {
    "int": {"torch": "int32", "numpy": "int64"},
    "uint": {"C": "uint32", "numpy": "uint64"},
    "float": {"torch": "float32", "numpy": "float64"},
    "byte": {"torch": "uint8", "numpy": "int8"},
    "cfloat": {"torch": "complex64", "numpy": "complex128"},  # NumPy's up to 1.26
    "i1": {"bits": "int1", "numpy": "int8"},
    "i2": {"bits": "int2", "numpy": "int16"},
    "i4": {"bits": "int4", "numpy": "int32"},
    "i8": {"files": "int8", "numpy": "int64"},
    "u1": {"bits": "uint1", "numpy": "uint8"},
    "u2": {"bits": "uint2", "numpy": "uint16"},
    "u4": {"bits": "uint4", "numpy": "uint32"},
    "u8": {"files": "uint8", "numpy": "uint64"},
    "f4": {"files": "float4_e2m1fn", "numpy": "float32"},
    "f8": {"bits": "a float of 8 bits", "numpy": "float64"},
    "f16": {"files": "float16", "numpy": "a longdouble of 128 bits"},
}
"""What is read differently: the spelling, and what it is to whom. It is no alias of any format."""

READERS: Final = {
    "torch": "torch",
    "numpy": "NumPy",
    "files": "safetensors",
    "bits": "by bits",
    "C": "C",
}


def _integer(bits: int, signed: bool, **spellings: str) -> Format:
    name = f"{'int' if signed else 'uint'}{bits}"
    letter = "i" if signed else "u"
    short = () if f"{letter}{bits}" in READINGS else (f"{letter}{bits}",)
    legacy = {
        "int8": ("char",),
        "int16": ("short",),
        "int32": (),
        "int64": ("long", "longlong"),
        "uint64": ("ulonglong",),
    }.get(name, ())
    return Format(
        name,
        "int" if signed else "uint",
        bits,
        signed=signed,
        spellings=spellings,
        aliases=(*short, *legacy),
    )


def _everywhere(name: str, safetensors: str | None, gguf: str | None, onnx: str) -> dict[str, str]:
    """Spellings of a format that torch, NumPy and JAX name alike."""
    spelled = {"torch": name, "numpy": name, "jax": name, "onnx": onnx}
    if safetensors:
        spelled["safetensors"] = safetensors
    if gguf:
        spelled["gguf"] = gguf
    return spelled


def _small_float(
    name: str,
    e: int,
    m: int,
    bias: int,
    nan: NanCodes,
    *,
    infinity: bool = False,
    torch: str | None = None,
    safetensors: str | None = None,
    onnx: str | None = None,
    aliases: tuple[str, ...] = (),
) -> Format:
    spelled = {"ml_dtypes": name, "jax": name}
    for library, spelling in (("torch", torch), ("safetensors", safetensors), ("onnx", onnx)):
        if spelling:
            spelled[library] = spelling
    unsigned = m == 0
    return Format(
        name,
        "float",
        e + m + (0 if unsigned else 1),
        e,
        m,
        bias,
        signed=not unsigned,
        infinity=infinity,
        nan=nan,
        subnormals=not unsigned,
        spellings=spelled,
        aliases=aliases,
    )


_ROWS: Final = (
    Format(
        "bool",
        "bool",
        8,
        signed=False,
        spellings=_everywhere("bool", "BOOL", None, "BOOL"),
        aliases=("boolean", "bool_"),
    ),
    # torch's int1 .. int7 and uint1 .. uint7 keep one code to a byte, in its low bits
    _integer(1, True, ml_dtypes="int1", torch="int1", jax="int1"),
    _integer(2, True, ml_dtypes="int2", torch="int2", jax="int2", onnx="INT2"),
    _integer(3, True, torch="int3"),
    _integer(4, True, ml_dtypes="int4", torch="int4", jax="int4", onnx="INT4"),
    _integer(5, True, torch="int5"),
    _integer(6, True, torch="int6"),
    _integer(7, True, torch="int7"),
    _integer(8, True, **_everywhere("int8", "I8", "I8", "INT8")),
    _integer(16, True, **_everywhere("int16", "I16", "I16", "INT16")),
    _integer(32, True, **_everywhere("int32", "I32", "I32", "INT32")),
    _integer(64, True, **_everywhere("int64", "I64", "I64", "INT64")),
    _integer(1, False, ml_dtypes="uint1", torch="uint1", jax="uint1"),
    _integer(2, False, ml_dtypes="uint2", torch="uint2", jax="uint2", onnx="UINT2"),
    _integer(3, False, torch="uint3"),
    _integer(4, False, ml_dtypes="uint4", torch="uint4", jax="uint4", onnx="UINT4"),
    _integer(5, False, torch="uint5"),
    _integer(6, False, torch="uint6"),
    _integer(7, False, torch="uint7"),
    _integer(8, False, **_everywhere("uint8", "U8", None, "UINT8")),
    _integer(16, False, **_everywhere("uint16", "U16", None, "UINT16")),
    _integer(32, False, **_everywhere("uint32", "U32", None, "UINT32")),
    _integer(64, False, **_everywhere("uint64", "U64", None, "UINT64")),
    # OCP Microscaling Formats (MX) v1.0: FP4, FP6 have neither infinity nor NaN
    _small_float(
        "float4_e2m1fn",
        2,
        1,
        1,
        "none",
        torch="float4_e2m1fn_x2",
        safetensors="F4",
        onnx="FLOAT4E2M1",
        aliases=("fp4", "e2m1", "float4_e2m1"),
    ),
    _small_float(
        "float6_e2m3fn",
        2,
        3,
        1,
        "none",
        safetensors="F6_E2M3",
        onnx="FLOAT6E2M3",
        aliases=("e2m3", "float6_e2m3"),
    ),
    _small_float(
        "float6_e3m2fn",
        3,
        2,
        3,
        "none",
        safetensors="F6_E3M2",
        onnx="FLOAT6E3M2",
        aliases=("e3m2", "float6_e3m2"),
    ),
    _small_float("float8_e3m4", 3, 4, 3, "ieee", infinity=True, aliases=("e3m4",)),
    _small_float("float8_e4m3", 4, 3, 7, "ieee", infinity=True),
    _small_float("float8_e4m3b11fnuz", 4, 3, 11, "negative-zero", aliases=("e4m3b11fnuz",)),
    # OCP 8-bit Floating Point Specification (OFP8) v1.0
    _small_float(
        "float8_e4m3fn",
        4,
        3,
        7,
        "all-ones",
        torch="float8_e4m3fn",
        safetensors="F8_E4M3",
        onnx="FLOAT8E4M3FN",
        aliases=("e4m3fn", "f8_e4m3fn", "fp8_e4m3", "fp8_e4m3fn"),
    ),
    _small_float(
        "float8_e4m3fnuz",
        4,
        3,
        8,
        "negative-zero",
        torch="float8_e4m3fnuz",
        safetensors="F8_E4M3FNUZ",
        onnx="FLOAT8E4M3FNUZ",
        aliases=("e4m3fnuz", "fp8_e4m3fnuz"),
    ),
    _small_float(
        "float8_e5m2",
        5,
        2,
        15,
        "ieee",
        infinity=True,
        torch="float8_e5m2",
        safetensors="F8_E5M2",
        onnx="FLOAT8E5M2",
        aliases=("e5m2", "fp8_e5m2"),
    ),
    _small_float(
        "float8_e5m2fnuz",
        5,
        2,
        16,
        "negative-zero",
        torch="float8_e5m2fnuz",
        safetensors="F8_E5M2FNUZ",
        onnx="FLOAT8E5M2FNUZ",
        aliases=("e5m2fnuz", "fp8_e5m2fnuz"),
    ),
    _small_float(
        "float8_e8m0fnu",
        8,
        0,
        127,
        "all-ones",
        torch="float8_e8m0fnu",
        safetensors="F8_E8M0",
        onnx="FLOAT8E8M0",
        aliases=("e8m0", "e8m0fnu", "f8_e8m0fnu"),
    ),
    # IEEE 754-2019 binary16, binary32, binary64; bfloat16 is binary32 without its low 16 bits
    Format(
        "float16",
        "float",
        16,
        5,
        10,
        15,
        infinity=True,
        nan="ieee",
        spellings=_everywhere("float16", "F16", "F16", "FLOAT16"),
        aliases=("half", "fp16", "binary16"),
    ),
    Format(
        "bfloat16",
        "float",
        16,
        8,
        7,
        127,
        infinity=True,
        nan="ieee",
        spellings={
            "torch": "bfloat16",
            "ml_dtypes": "bfloat16",
            "jax": "bfloat16",
            "safetensors": "BF16",
            "gguf": "BF16",
            "onnx": "BFLOAT16",
        },
    ),
    Format(
        "float32",
        "float",
        32,
        8,
        23,
        127,
        infinity=True,
        nan="ieee",
        spellings=_everywhere("float32", "F32", "F32", "FLOAT"),
        aliases=("single", "fp32", "binary32"),
    ),
    Format(
        "float64",
        "float",
        64,
        11,
        52,
        1023,
        infinity=True,
        nan="ieee",
        spellings=_everywhere("float64", "F64", "F64", "DOUBLE"),
        aliases=("fp64", "binary64"),
    ),
    Format(
        "complex64",
        "complex",
        64,
        8,
        23,
        127,
        infinity=True,
        nan="ieee",
        spellings=_everywhere("complex64", "C64", None, "COMPLEX64"),
    ),
    Format(
        "complex128",
        "complex",
        128,
        11,
        52,
        1023,
        infinity=True,
        nan="ieee",
        spellings=_everywhere("complex128", None, None, "COMPLEX128"),
        aliases=("cdouble",),
    ),
)

FORMATS: Final[dict[str, Format]] = {row.name: row for row in _ROWS}
"""Every format by its name, in the order of the table."""

_PYTHON_TYPES: Final = {bool: "bool", int: "int64", float: "float64", complex: "complex128"}


def _spelled() -> dict[str, Format]:
    """Lower-case spelling -> row. A name wins over a library's spelling, that over an alias."""
    table: dict[str, Format] = {}
    for row in _ROWS:
        for alias in row.aliases:
            table[alias] = row
    for row in _ROWS:
        for spelling in row.spellings.values():
            table[spelling.lower()] = row
    for row in _ROWS:
        table[row.name] = row
    return table


_SPELLED: Final = _spelled()

_LONG_REAL: Final = 'x.astype("float64") rounds it to float64, once'
_LONG_COMPLEX: Final = 'x.astype("complex128") rounds it to complex128, once'
_NOT_OFFERED: Final = {
    "complex32": "x.to(torch.complex64) makes it complex64, which holds every complex32",
    "chalf": "x.to(torch.complex64) makes it complex64, which holds every complex32",
    **dict.fromkeys(("longdouble", "float80", "float96", "float128"), _LONG_REAL),
    **dict.fromkeys(("clongdouble", "complex160", "complex192", "complex256"), _LONG_COMPLEX),
}
"""What frameworks have and tensorcast has not: the way out."""


_EXACT: Final = {text: row for row in _ROWS for text in row.spellings.values()}


def lookup(spelling: object, reader: Reader | None = None) -> Format:
    """The row that `spelling` names.

    Args:
        spelling: a `Format`; a name of any library in any case ("bfloat16", "BF16",
            "torch.bfloat16", "F8_E4M3", "FLOAT8E4M3FN", "half"); a torch, NumPy, ml_dtypes or
            JAX dtype or scalar type; or Python's bool, int, float, complex, which mean what
            they mean to torch and NumPy: bool, int64, float64, complex128. "F8_E4M3" is
            safetensors' spelling of float8_e4m3fn. What two libraries read differently is refused:
            the name "float" is float32 to torch and float64 to NumPy, "i8" is int8 to safetensors
            and int64 to NumPy. "torch.float", and "I8" as safetensors writes it, are plain.
        reader: whose words they are: "torch" reads "float" as torch does, "files" reads "f16" as
            checkpoints do. What stays in doubt is refused all the same.

    Raises:
        FormatError: no format is spelled so, and the message names the nearest ones; or two are,
            and it names both.

    Example:
        >>> lookup("BF16").name
        'bfloat16'
        >>> lookup("torch.float8_e5m2").name, lookup(float).name
        ('float8_e5m2', 'float64')
        >>> lookup("float", "torch").name
        'float32'
        >>> lookup("float")
        Traceback (most recent call last):
        ...
        tensorcast.errors.FormatError: 'float' is float32 (torch) or float64 (NumPy); write which \
one is meant
        >>> lookup("bflot16")
        Traceback (most recent call last):
        ...
        tensorcast.errors.FormatError: no number format is called 'bflot16'; nearest: bfloat16, ...
    """
    if isinstance(spelling, Format):
        return spelling
    if isinstance(spelling, type) and spelling in _PYTHON_TYPES:
        return FORMATS[_PYTHON_TYPES[spelling]]
    if isinstance(spelling, str):
        text = spelling
    else:
        # torch.dtype prints as torch.bfloat16; np.dtype and ml_dtypes types have .name or __name__
        named = getattr(spelling, "name", None) or getattr(spelling, "__name__", None)
        text = named if isinstance(named, str) else str(spelling)
    prefix, _, name = text.strip().rpartition(".")
    row = _SPELLED.get(name.lower())
    if name.lower() in READINGS:
        row = _EXACT.get(name) or _read(name, _LIBRARIES.get(prefix.lower()), reader)
    if row is None:
        plain = text.strip().rsplit(".", 1)[-1].lower()
        if plain in _NOT_OFFERED:
            raise FormatError(f"{plain} is none of tensorcast's formats; {_NOT_OFFERED[plain]}")
        raise FormatError(_unknown(text))
    return row


def lookup_target(spelling: object, reader: Reader | None = None) -> Format:
    """`lookup` of the format that a result is to have, which is in the machine's byte order.

    Raises:
        FormatError: as `lookup`, or a NumPy dtype of the other byte order.

    Example:
        >>> import numpy as np
        >>> lookup_target(np.dtype("int32").newbyteorder())
        Traceback (most recent call last):
        ...
        tensorcast.errors.FormatError: dtype('>i4') asks for the other byte order, and results \
have the machine's; cast to 'int32', then use NumPy's .astype(dtype)
    """
    row = lookup(spelling, reader)
    if getattr(spelling, "isnative", True) is False:
        raise FormatError(
            f"{spelling!r} asks for the other byte order, and results have the machine's; cast to "
            f"{row.name!r}, then use NumPy's .astype(dtype)"
        )
    return row


_LIBRARIES: Final = {"torch": "torch", "np": "numpy", "numpy": "numpy"}


def _read(name: str, library: str | None, reader: Reader | None) -> Format:
    """What a spelling means that not everybody reads alike.

    Raises:
        FormatError: it is not told whose it is.
    """
    readings = READINGS[name.lower()]
    if library or reader == "torch":
        row = FORMATS.get(readings.get(library or "torch", ""))
        if row is not None:
            return row
    known = [FORMATS[each] for each in readings.values() if each in FORMATS]
    if reader in ("torch", "files") and not library and len(known) == 1 and "files" in readings:
        return known[0]  # as nobody else can mean here
    told = " or ".join(f"{each} ({READERS[who]})" for who, each in readings.items())
    raise FormatError(f"{name!r} is {told}; write which one is meant")


_FLOAT8: Final = ("fp8", "float8", "f8")
_SHOWN: Final = 3


def _unknown(text: str) -> str:
    """The message for a spelling that no format has: what it may mean, at most three formats."""
    wanted = text.strip().rsplit(".", 1)[-1].lower()
    if wanted in _FLOAT8:
        fine, wide = FORMATS["float8_e4m3fn"], FORMATS["float8_e5m2"]
        return (
            f"{text!r} may be one of several formats. {fine.name} holds values up to "
            f"{fine.max:g} and is the usual one for weights and activations; {wide.name} holds "
            f"values up to {wide.max:g}, with half the precision, and is used for gradients. "
            "`tensorcast formats` lists all"
        )
    # the beginning of a name ("float6") means all that continue it
    begun = {row.name for text, row in _SPELLED.items() if wanted and _continues(text, wanted)}
    found = [name for name in FORMATS if name in begun]
    if not found:
        near = difflib.get_close_matches(wanted, _SPELLED, n=8, cutoff=0.6)
        found = list(dict.fromkeys(_SPELLED[text].name for text in near))[:_SHOWN]
    if not found:
        return (
            f"no number format is called {text!r}, and no name is near it. `tensorcast formats` "
            "lists all"
        )
    more = f" and {len(found) - _SHOWN} more (`tensorcast formats` lists all)"
    more = more if len(found) > _SHOWN else ""
    shown = ", ".join(found[:_SHOWN])
    return f"no number format is called {text!r}; nearest: {shown}{more}"


def _continues(text: str, begun: str) -> bool:
    """Whether the text goes on where the other ends; "float6" not to "float64"."""
    rest = text.removeprefix(begun)
    return text.startswith(begun) and not (begun[-1].isdigit() and rest[:1].isdigit())


def spelled_by(library: str, spelling: str) -> Format | None:
    """The row that one library spells so, exactly; None when it has no such format.

    Example:
        >>> spelled_by("safetensors", "F8_E4M3").name
        'float8_e4m3fn'
    """
    return _BY_LIBRARY.get(library, {}).get(spelling)


def _by_library() -> dict[str, dict[str, Format]]:
    tables: dict[str, dict[str, Format]] = {}
    for row in _ROWS:
        for library, spelling in row.spellings.items():
            tables.setdefault(library, {})[spelling] = row
    return tables


_BY_LIBRARY: Final = _by_library()
