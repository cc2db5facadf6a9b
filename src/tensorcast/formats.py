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
from typing import Any, Final, Literal

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
        subnormals: whether exponent 0 means zero and subnormals (all floats with a mantissa).
        spellings: library -> its name of the format, where it has one. Libraries: torch, numpy,
            ml_dtypes, jax, tensorflow, safetensors, gguf, onnx.
        aliases: short names accepted by `lookup`.
        safetensors_rank: the place of its dtype in the order of the reference library's writer.
        dlpack: DLDataTypeCode and bits.
        precedence: in ml_dtypes' promotions of small floats, where the least wins; None: it takes
            part in none of them.
        mixes: whether ml_dtypes promotes it with any other small float.
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
    safetensors_rank: int | None = field(default=None, hash=False, compare=False, repr=False)
    dlpack: tuple[int, int] | None = field(default=None, hash=False, compare=False, repr=False)
    precedence: int | None = field(default=None, hash=False, compare=False, repr=False)
    mixes: bool = field(default=True, hash=False, compare=False, repr=False)

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
    def has_zero(self) -> bool:
        """Whether zero can be stored: by all but floats without a mantissa, which are exponents."""
        return self.subnormals

    @cached_property
    def torch_pairs(self) -> str | None:
        """torch's dtype that keeps two codes of the format to a byte, where that is how torch has
        it."""
        spelled = self.spellings.get("torch")
        return spelled if spelled != self.name else None

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


# `who` has the libraries that call the format by its name: torch, numpy, ml_dtypes, jax, tensorflow
# (f). x: torch has pairs of its codes, called NAME_x2. A hyphen: there is none.
# safetensors: the dtype, and its rank in the reference library's "increasing alignment order".
# dlpack: DLDataTypeCode and bits.
# torch's int1 .. int7 and uint1 .. uint7 keep one code to a byte, in its low bits.
_INTEGERS: Final = """
name    who   safet. gguf onnx     dlpack aliases
bool    tnjf  BOOL:0 -    BOOL     6:8    boolean bool_
int1    tmj   -      -    -        -      -
int2    tmjf  -      -    INT2     -      -
int3    t     -      -    -        -      i3
int4    tmjf  -      -    INT4     -      -
int5    t     -      -    -        -      i5
int6    t     -      -    -        -      i6
int7    t     -      -    -        -      i7
int8    tnjf  I8:5   I8   INT8     0:8    char
int16   tnjf  I16:11 I16  INT16    0:16   i16 short
int32   tnjf  I32:15 I32  INT32    0:32   i32
int64   tnjf  I64:20 I64  INT64    0:64   i64 long longlong
uint1   tmj   -      -    -        -      -
uint2   tmjf  -      -    UINT2    -      -
uint3   t     -      -    -        -      u3
uint4   tmjf  -      -    UINT4    -      -
uint5   t     -      -    -        -      u5
uint6   t     -      -    -        -      u6
uint7   t     -      -    -        -      u7
uint8   tnjf  U8:4   -    UINT8    1:8    -
uint16  tnjf  U16:12 -    UINT16   1:16   u16
uint32  tnjf  U32:16 -    UINT32   1:32   u32
uint64  tnjf  U64:21 -    UINT64   1:64   u64 ulonglong
"""

# e, m: bits of exponent and mantissa; a float without mantissa has no sign, no zero, no subnormals.
# mix: ml_dtypes gives way to those before it in a promotion, and none to those alone.
# OCP Microscaling Formats (MX) v1.0: FP4, FP6 have neither infinity nor NaN. OCP 8-bit Floating
# Point Specification (OFP8) v1.0. IEEE 754-2019 binary16, binary32, binary64; bfloat16 is binary32
# without its low 16 bits. A complex number is two of its floats.
_FLOATS: Final = """
name                e  m  bias inf nan           who   mix   safetensors    gguf onnx            dlpack aliases
float4_e2m1fn       2  1  1    -   none          xmjf  9     F4:1           -    FLOAT4E2M1      17:4   fp4 e2m1 float4_e2m1
float6_e2m3fn       2  3  1    -   none          mj    7     F6_E2M3:2      -    FLOAT6E2M3      15:6   e2m3 float6_e2m3
float6_e3m2fn       3  2  3    -   none          mj    8     F6_E3M2:3      -    FLOAT6E3M2      16:6   e3m2 float6_e3m2
float8_e3m4         3  4  3    inf ieee          mj    1     -              -    -               7:8    e3m4
float8_e4m3         4  3  7    inf ieee          mj    2     -              -    -               8:8    -
float8_e4m3b11fnuz  4  3  11   -   negative-zero mjf   3     -              -    -               9:8    e4m3b11fnuz
float8_e4m3fn       4  3  7    -   all-ones      tmjf  4     F8_E4M3:7      -    FLOAT8E4M3FN    10:8   e4m3fn f8_e4m3fn fp8_e4m3 fp8_e4m3fn
float8_e4m3fnuz     4  3  8    -   negative-zero tmjf  5     F8_E4M3FNUZ:9  -    FLOAT8E4M3FNUZ  11:8   e4m3fnuz fp8_e4m3fnuz
float8_e5m2         5  2  15   inf ieee          tmjf  alone F8_E5M2:6      -    FLOAT8E5M2      12:8   e5m2 fp8_e5m2
float8_e5m2fnuz     5  2  16   -   negative-zero tmjf  6     F8_E5M2FNUZ:10 -    FLOAT8E5M2FNUZ  13:8   e5m2fnuz fp8_e5m2fnuz
float8_e8m0fnu      8  0  127  -   all-ones      tmj   alone F8_E8M0:8      -    FLOAT8E8M0      14:8   e8m0 e8m0fnu f8_e8m0fnu
float16             5  10 15   inf ieee          tnjf  -     F16:13         F16  FLOAT16         2:16   half fp16 binary16
bfloat16            8  7  127  inf ieee          tmjf  alone BF16:14        BF16 BFLOAT16        4:16   -
float32             8  23 127  inf ieee          tnjf  -     F32:17         F32  FLOAT           2:32   single fp32 binary32
float64             11 52 1023 inf ieee          tnjf  -     F64:19         F64  DOUBLE          2:64   fp64 binary64
complex64           8  23 127  inf ieee          tnjf  -     C64:18         -    COMPLEX64       5:64   -
complex128          11 52 1023 inf ieee          tnjf  -     -              -    COMPLEX128      5:128  cdouble
"""  # noqa: E501

_LETTERS: Final = {"t": "torch", "n": "numpy", "m": "ml_dtypes", "j": "jax", "f": "tensorflow"}


def _rows() -> tuple[Format, ...]:
    rows = []
    for line in _INTEGERS.strip().splitlines()[1:]:
        name, who, safetensors, gguf, onnx, dlpack, *aliases = line.split()
        kind = name.rstrip("0123456789")
        bits = int(name.removeprefix(kind) or 8)
        shape: dict[str, Any] = {"signed": kind == "int"}
        rows.append(_row(name, kind, bits, who, safetensors, gguf, onnx, dlpack, aliases, **shape))
    for line in _FLOATS.strip().splitlines()[1:]:
        name, e, m, bias, inf, nan, who, mix, safetensors, gguf, onnx, dlpack, *aliases = (
            line.split()
        )
        kind = "complex" if name.startswith("complex") else "float"
        signed = int(m) > 0
        shape = {
            "exponent_bits": int(e),
            "mantissa_bits": int(m),
            "bias": int(bias),
            "signed": signed,
            "infinity": inf == "inf",
            "nan": nan,
            "subnormals": signed,
            "precedence": int(mix) if mix.isdigit() else None,
            "mixes": mix != "alone",
        }
        bits = (int(e) + int(m) + signed) * (2 if kind == "complex" else 1)
        rows.append(_row(name, kind, bits, who, safetensors, gguf, onnx, dlpack, aliases, **shape))
    return tuple(rows)


def _row(
    name: str,
    kind: str,
    bits: int,
    who: str,
    safetensors: str,
    gguf: str,
    onnx: str,
    dlpack: str,
    aliases: list[str],
    **shape: Any,
) -> Format:
    spellings = {library: name for letter, library in _LETTERS.items() if letter in who}
    if "x" in who:
        spellings = {"torch": f"{name}_x2"} | spellings
    dtype, _, rank = safetensors.partition(":")
    for library, spelling in (("safetensors", dtype), ("gguf", gguf), ("onnx", onnx)):
        if spelling != "-":
            spellings[library] = spelling
    code, _, width = dlpack.partition(":")
    return Format(
        name,
        kind,  # type: ignore[arg-type]
        bits,
        spellings=spellings,
        aliases=() if aliases == ["-"] else tuple(aliases),
        safetensors_rank=int(rank) if rank else None,
        dlpack=(int(code), int(width)) if width else None,
        **shape,
    )


_ROWS: Final = _rows()

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
