"""One file: what is read, what is refused and how, and the bytes that are written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from checkpoint.handmade import STORABLE, container, header_of, member, packed, write
from cli.program import Run, tensorcast

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint.files.safetensors import MAX_HEADER_BYTES, SafetensorsWriter, holds
from tensorcast.checkpoint.protocol import TensorSpec
from tensorcast.errors import CheckpointError, CorruptFileError
from tensorcast.formats import FORMATS

__all__ = ["tensorcast"]

F32 = FORMATS["float32"]


def test_reads_names_formats_shapes_and_places(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.safetensors",
        {"b": np.ones((2, 3), "f4"), "a": np.arange(5), "scalar": np.float64(1).reshape(())},
        {"format": "pt"},
    )
    found = open_checkpoint(path)
    start = len(header_of(path))
    assert [(t.name, t.format.name, t.shape, t.offset, t.n_bytes) for t in found.tensors] == [
        ("b", "float32", (2, 3), start, 24),
        ("a", "int64", (5,), start + 24, 40),
        ("scalar", "float64", (), start + 64, 8),
    ]
    assert found.kind == "safetensors"
    assert found.metadata == {"format": "pt"}
    assert found.files[0].metadata == {"format": "pt"}
    assert found.n_elements == 12
    assert found.by_name["a"].file == "x.safetensors"


def test_reads_tensors_in_the_order_of_their_offsets(tmp_path: Path) -> None:
    header = {"late": member("F32", [1], 4, 8), "early": member("F32", [1], 0, 4)}
    path = tmp_path / "x.safetensors"
    path.write_bytes(container(header, bytes(8)))
    assert [t.name for t in open_checkpoint(path).tensors] == ["early", "late"]


def test_reads_a_file_without_tensors_and_tensors_without_elements(tmp_path: Path) -> None:
    (tmp_path / "none.safetensors").write_bytes(container({}))
    assert open_checkpoint(tmp_path / "none.safetensors").tensors == ()
    path = write(tmp_path / "x.safetensors", {"e": np.zeros((0, 3), "f4"), "x": np.ones(1, "f4")})
    assert [t.n_elements for t in open_checkpoint(path).tensors] == [0, 1]


@pytest.mark.parametrize("row", STORABLE, ids=str)
def test_reads_every_dtype_with_its_logical_shape(tmp_path: Path, row) -> None:
    n = 24
    path = write(tmp_path / "x.safetensors", {"x": (row.name, [2, 12], bytes(row.n_bytes(n)))})
    (tensor,) = open_checkpoint(path).tensors
    assert (tensor.format, tensor.shape, tensor.n_bytes) == (row, (2, 12), row.n_bytes(n))


DEEP = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
ONE = member("F32", [1], 0, 4)

# name: (content of the file, parts of the message)
HOSTILE = {
    "empty": (b"", ["byte 0", "8 bytes of header length", "a file of 0 bytes"]),
    "seven bytes": (b"1234567", ["8 bytes of header length", "a file of 7 bytes"]),
    "header past the end": (
        container({"x": ONE}, bytes(4), n=1000),
        ["byte 0", "ends inside the file", "header length of 1000"],
    ),
    "header length of 2^64 - 1": (
        container(b"{}", n=(1 << 64) - 1),
        [f"at most {MAX_HEADER_BYTES} bytes", "18446744073709551615"],
    ),
    "header over the cap": (
        container(b"{}", n=MAX_HEADER_BYTES + 1),
        [f"at most {MAX_HEADER_BYTES} bytes", "100000001"],
    ),
    "header of no bytes": (container(b""), ["JSON starting with '{'", "nothing"]),
    "nothing but space": (container(b" \n "), ["byte 11", "JSON starting with '{'", "nothing"]),
    "space, then no object": (container(b"  []"), ["byte 10", "starting with '{'", "b'[]'"]),
    "a space that is none of JSON's": (container(b"\x0b{}"), ["byte 8", "starting with '{'"]),
    "a tensor's entry in place of the header": (
        container(ONE, bytes(4)),
        ["objects by name", "one of them"],
    ),
    "minus nothing as a dimension": (
        container(b'{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}'),
        ["tensor 'a'", "non-negative integers", "[-0.0]"],
    ),
    "minus nothing as an offset": (
        container(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[-0,4]}}', bytes(4)),
        ["tensor 'a'", "0 <= begin <= end", "[-0.0, 4]"],
    ),
    "a list": (container(b"[]"), ["JSON starting with '{'"]),
    "byte-order mark": (container(b"\xef\xbb\xbf{}"), ["JSON starting with '{'"]),
    "invalid UTF-8": (container(b'{"a\xff":1}'), ["byte 11", "valid UTF-8", "0xff"]),
    "invalid JSON": (container(b'{"a":}'), ["byte 13", "valid JSON", "expecting value"]),
    "two objects": (container(b"{}{}"), ["byte 10", "valid JSON", "extra data"]),
    "cut off": (container(b'{"a":{"dtype":"F3'), ["valid JSON", "unterminated string"]),
    "NaN": (container(b'{"a":NaN}'), ["a JSON number", "NaN"]),
    "Infinity": (container(b'{"a":-Infinity}'), ["a JSON number", "-Infinity"]),
    "deep nesting": (container(DEEP), ["nested a few levels deep", "deep nesting"]),
    "number of 5000 digits": (container(b'{"a":' + b"9" * 5000 + b"}"), ["valid JSON"]),
    "duplicate tensor": (
        container(b'{"a":' + json.dumps(ONE).encode() + b',"a":' + json.dumps(ONE).encode() + b"}"),
        ["every key once", "the key 'a' twice"],
    ),
    "duplicate key in a tensor": (
        container(b'{"a":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}}', bytes(4)),
        ["every key once", "'dtype' twice"],
    ),
    "a tensor that is a list": (
        container({"a": [1]}),
        ["tensor 'a'", "an object of dtype, shape and data_offsets", "[1]"],
    ),
    "a missing key": (
        container({"a": {"dtype": "F32", "shape": []}}),
        ["tensor 'a'", "['dtype', 'shape']"],
    ),
    "unknown dtype": (
        container({"a": member("F31", [1], 0, 4)}, bytes(4)),
        ["tensor 'a'", "a dtype of BOOL, F4", "'F31'"],
    ),
    "dtype in lower case": (container({"a": member("f32", [1], 0, 4)}, bytes(4)), ["'f32'"]),
    "dtype that is a number": (container({"a": {**ONE, "dtype": 4}}, bytes(4)), ["a dtype of"]),
    "negative dimension": (
        container({"a": member("F32", [-1], 0, 4)}, bytes(4)),
        ["tensor 'a'", "non-negative integers", "[-1]"],
    ),
    "bool dimension": (
        container({"a": {**ONE, "shape": [True]}}, bytes(4)),
        ["non-negative integers", "[True]"],
    ),
    "float dimension": (container({"a": {**ONE, "shape": [1.0]}}, bytes(4)), ["[1.0]"]),
    "text dimension": (container({"a": {**ONE, "shape": ["1"]}}, bytes(4)), ["['1']"]),
    "shape that is a number": (container({"a": {**ONE, "shape": 1}}, bytes(4)), ["a shape of"]),
    "dimension of 2^63": (container({"a": member("F32", [1 << 63], 0, 4)}, bytes(4)), ["shape of"]),
    "product that overflows": (
        container({"a": member("F32", [1 << 32, 1 << 32], 0, 4)}, bytes(4)),
        ["tensor 'a'", "below 2^63 bits", "overflows"],
    ),
    "product that overflows to a small one": (
        container({"a": member("U8", [1 << 62, 4, 1], 0, 0)}),
        ["below 2^63 bits"],
    ),
    "product that overflows before a zero": (
        container({"a": member("F32", [1 << 62, 1 << 62, 0], 0, 0)}),
        ["below 2^63 bits"],
    ),
    "three offsets": (container({"a": {**ONE, "data_offsets": [0, 4, 4]}}), ["[begin, end]"]),
    "offsets the wrong way round": (
        container({"a": member("F32", [1], 4, 0)}, bytes(4)),
        ["tensor 'a'", "0 <= begin <= end", "[4, 0]"],
    ),
    "negative offset": (container({"a": member("F32", [1], -4, 0)}, bytes(4)), ["[-4, 0]"]),
    "bool offset": (
        container({"a": {**ONE, "data_offsets": [False, 4]}}, bytes(4)),
        ["[False, 4]"],
    ),
    "wrong size": (
        container({"a": member("F32", [2], 0, 4)}, bytes(4)),
        ["tensor 'a'", "8 bytes for shape [2] of F32", "4 bytes"],
    ),
    "part of a byte": (
        container({"a": member("F4", [3], 0, 2)}, bytes(2)),
        ["whole bytes for shape [3] of F4", "12 bits"],
    ),
    "overlap": (
        container({"a": member("F32", [2], 0, 8), "b": member("F32", [1], 4, 8)}, bytes(8)),
        ["tensor 'b'", "an overlap"],
    ),
    "the same bytes twice": (
        container({"a": ONE, "b": ONE}, bytes(4)),
        ["tensor 'b'", "an overlap"],
    ),
    "gap": (
        container({"a": ONE, "b": member("F32", [1], 8, 12)}, bytes(12)),
        ["tensor 'b'", "a gap"],
    ),
    "gap at the start": (
        container({"a": member("F32", [1], 4, 8)}, bytes(8)),
        ["tensor 'a'", "a gap"],
    ),
    "truncated": (
        container({"a": ONE, "b": member("F32", [2], 4, 12)}, bytes(8)),
        ["tensor 'b'", "truncated"],
    ),
    "trailing data": (container({"a": ONE}, bytes(5)), ["trailing data"]),
    "metadata that is a list": (container({"__metadata__": ["pt"]}), ["__metadata__", "['pt']"]),
    "metadata with a number": (
        container({"__metadata__": {"step": 3}}),
        ["map strings to strings", "'step': 3"],
    ),
    "metadata with half a surrogate pair": (
        container(b'{"__metadata__":{"a":"\\ud800"}}'),
        ["map strings to strings"],
    ),
    "name with half a surrogate pair": (
        container(b'{"\\udc00":' + json.dumps(ONE).encode() + b"}", bytes(4)),
        ["a name in valid UTF-8"],
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_refuses_hostile_files_and_says_where(tmp_path: Path, name: str) -> None:
    content, parts = HOSTILE[name]
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(CorruptFileError) as caught:
        open_checkpoint(path)
    message = str(caught.value)
    for part in [str(path), "expected ", ", found ", *parts]:
        assert part in message
    assert len(message) < 2000


@pytest.mark.parametrize("space", [b" ", b"\n\t\r  ", b" " * 1000])
def test_white_space_may_stand_before_the_header(
    tmp_path: Path, tensorcast: Run, space: bytes
) -> None:
    library = pytest.importorskip("safetensors.numpy")
    path, result = tmp_path / "x.safetensors", tmp_path / "y.safetensors"
    path.write_bytes(container(space + json.dumps({"a": ONE}).encode() + space, b"\0\0\x80\x3f"))
    (tensor,) = open_checkpoint(path).tensors
    assert (tensor.name, tensor.offset) == ("a", path.stat().st_size - 4)
    done = tensorcast("convert", path, result, "--to", "float16")
    assert done.returncode == 0, done.stderr
    assert float(library.load_file(result)["a"][0]) == 1.0


def test_an_unknown_key_of_a_tensor_is_passed_over_and_said(
    tmp_path: Path, tensorcast: Run
) -> None:
    library = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "x.safetensors"
    strange = {**ONE, "strides": [1], "why": {"dtype": "F32"}}
    other = {**member("F32", [1], 4, 8), "strides": None}
    path.write_bytes(container({"a": strange, "b": other}, bytes(8)))
    assert set(library.load_file(path)) == {"a", "b"}  # as the reference library does
    source = open_checkpoint(path)
    assert [tensor.name for tensor in source.tensors] == ["a", "b"]
    said = (
        "x.safetensors: 'strides' in the header is no key of safetensors; "
        "it was passed over in 2 tensors"
    )
    assert said in source.remarks
    assert any("'why'" in remark for remark in source.remarks)
    converted = tensorcast("convert", path, tmp_path / "y.safetensors", "--to", "float16")
    assert (converted.returncode, "'strides'" in converted.stderr) == (0, True)
    assert "'strides'" in tensorcast("inspect", path).stdout


def test_messages_stay_short_whatever_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(container({"n" * 100_000: member("F32", [1] * 10_000, 0, 5)}, bytes(5)))
    with pytest.raises(CorruptFileError) as caught:
        open_checkpoint(path)
    assert len(str(caught.value)) < 1000


def test_refuses_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.safetensors")
    with pytest.raises(CorruptFileError, match="expected a regular file"):
        open_checkpoint(tmp_path / "x.safetensors")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors"):
        open_checkpoint(tmp_path / "nowhere.safetensors")


def test_offsets_beyond_4_gib(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    n = 5 << 30
    header = container({"a": member("U8", [n], 0, n), "b": member("F32", [1], n, n + 4)})
    with path.open("wb") as file:  # sparse: it takes a few blocks
        file.write(header)
        file.seek(len(header) + n)
        file.write(b"\0\0\x80\x3f")
    a, b = open_checkpoint(path).tensors
    assert (a.n_bytes, b.offset) == (n, len(header) + n)


def lay_out(specs: list[TensorSpec], metadata: dict[str, str] | None = None) -> bytes:
    return SafetensorsWriter().lay_out("x.safetensors", specs, metadata).header


def reference_header(specs: list[TensorSpec], metadata: dict[str, str] | None) -> bytes:
    """What the reference library writes before the data."""
    safetensors = pytest.importorskip("safetensors", reason="the safetensors library")
    tensors = {}
    for spec in specs:
        n = int(np.prod(spec.shape, dtype=np.int64))
        tensors[spec.name] = (spec, np.zeros(max(1, spec.format.n_bytes(n)), np.uint8))
    if hasattr(safetensors, "TensorSpec"):
        given = {
            name: safetensors.TensorSpec(
                dtype=python_name(spec),
                shape=storage_shape(spec),
                data_ptr=data.ctypes.data,
                data_len=spec.format.n_bytes(int(np.prod(spec.shape, dtype=np.int64))),
            )
            for name, (spec, data) in tensors.items()
        }
    else:
        given = {
            name: {
                "dtype": python_name(spec),
                "shape": storage_shape(spec),
                "data": data.tobytes()[
                    : spec.format.n_bytes(int(np.prod(spec.shape, dtype=np.int64)))
                ],
            }
            for name, (spec, data) in tensors.items()
        }
    written = bytes(safetensors.serialize(given, metadata))
    return written[: 8 + int.from_bytes(written[:8], "little")]


def python_name(spec: TensorSpec) -> str:
    return "float4_e2m1fn_x2" if spec.format.name == "float4_e2m1fn" else spec.format.name


def storage_shape(spec: TensorSpec) -> list[int]:
    shape = list(spec.shape)
    if spec.format.name == "float4_e2m1fn":
        shape[-1] //= 2
    return shape


# float6 has no name in the reference library's Python binding
BOUND = [row for row in STORABLE if not row.name.startswith("float6")]


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}], ids=str)
def test_writes_the_reference_librarys_header(metadata) -> None:
    specs = [
        TensorSpec(f"{name}.{row.name}", row, shape)
        for name in ("b", "a", "layer.10", "layer.9", "Z")
        for row in BOUND
        for shape in [(2, 4)]
    ]
    assert lay_out(specs, metadata) == reference_header(specs, metadata)


def test_writes_the_reference_librarys_header_for_odd_names_and_shapes() -> None:
    names = ['"', "\\", "\x01\t\n\r\x08\x0c\x7f", "é", "\U0001f600", "/", "", " ", "\u2028", "<&>"]
    specs = [TensorSpec(name, F32, (i,)) for i, name in enumerate(names)]
    specs.append(TensorSpec("scalar", F32, ()))
    metadata = {'k"\\é\n': "v\x01\u2028/"}
    assert lay_out(specs, metadata) == reference_header(specs, metadata)


def test_metadata_of_several_keys_is_sorted() -> None:
    header = lay_out([TensorSpec("x", F32, (1,))], {"b": "1", "a": "2"})
    assert header[8:].startswith(b'{"__metadata__":{"a":"2","b":"1"},"x"')


@pytest.mark.parametrize("row", STORABLE, ids=str)
def test_what_is_laid_out_reads_back(tmp_path: Path, row) -> None:
    specs = [TensorSpec("x", row, (3, 8)), TensorSpec("e", row, (0,)), TensorSpec("y", F32, ())]
    layout = SafetensorsWriter().lay_out("x.safetensors", specs, {"a": "b"})
    path = tmp_path / "x.safetensors"
    path.write_bytes(layout.header + bytes(layout.n_bytes - len(layout.header)))
    found = open_checkpoint(path)
    assert found.tensors == layout.tensors
    assert found.metadata == {"a": "b"}
    assert len(layout.header) % 8 == 0


def test_the_reference_library_reads_sub_byte_formats(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors", reason="the safetensors library")
    for name in ("float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn", "float8_e8m0fnu"):
        row = FORMATS[name]
        data = packed(np.arange(8, dtype=np.uint8), row)
        layout = SafetensorsWriter().lay_out("x", [TensorSpec("x", row, (2, 4))], None)
        ((found, info),) = safetensors.deserialize(layout.header + data)
        assert (found, info["dtype"], info["shape"]) == (
            "x",
            row.spellings["safetensors"],
            [2, 4],
        )


def test_refuses_formats_and_sizes_that_it_cannot_write() -> None:
    with pytest.raises(CheckpointError, match="no dtype for float8_e3m4"):
        lay_out([TensorSpec("x", FORMATS["float8_e3m4"], (1,))])
    with pytest.raises(CheckpointError, match="'x': 12 bits of float4_e2m1fn do not fill whole"):
        lay_out([TensorSpec("x", FORMATS["float4_e2m1fn"], (3,))])
    assert [row.name for row in FORMATS.values() if not holds(row)] == [
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in range(1, 8)),
        "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "complex128",
    ]  # fmt: skip
