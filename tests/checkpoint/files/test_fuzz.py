"""The reader on files that nobody meant: it raises CorruptFileError, or what it says is true."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoint.handmade import container, member
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tensorcast.checkpoint import open as open_checkpoint
from tensorcast.checkpoint.files.safetensors import MAX_HEADER_BYTES
from tensorcast.checkpoint.folders.huggingface import open_directory
from tensorcast.errors import CorruptFileError, UnsupportedCheckpointError

DTYPES = {"F32": 32, "BF16": 16, "F8_E4M3": 8, "F4": 4, "F6_E2M3": 6, "I64": 64, "BOOL": 8}
NUMBERS = st.one_of(
    st.integers(-2, 40),
    st.sampled_from([1 << 31, 1 << 32, (1 << 62) + 1, 1 << 63, 1 << 64, 10**30, 1.0, True, None]),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=4), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
TENSORS = st.one_of(
    st.fixed_dictionaries(
        {
            "dtype": st.one_of(st.sampled_from([*DTYPES, "I4", "f32"]), JSON),
            "shape": st.one_of(st.lists(NUMBERS, max_size=3), JSON),
            "data_offsets": st.one_of(st.lists(NUMBERS, min_size=2, max_size=2), JSON),
        }
    ),
    JSON,
)
HEADERS = st.dictionaries(
    st.one_of(st.text(max_size=3), st.just("__metadata__")), TENSORS, max_size=4
)


@st.composite
def sound(draw: Callable) -> tuple[dict[str, object], bytes]:
    """A header without fault, and its data."""
    header: dict[str, object] = {}
    position = 0
    for i in range(draw(st.integers(0, 4))):
        dtype = draw(st.sampled_from(sorted(DTYPES)))
        shape = draw(st.lists(st.integers(0, 4), max_size=3))
        n_bits = DTYPES[dtype]
        for n in shape:
            n_bits *= n
        if n_bits % 8:
            shape, n_bits = [*shape, 4], n_bits * 4
        header[f"t{i}"] = member(dtype, shape, position, position + n_bits // 8)
        position += n_bits // 8
    if draw(st.booleans()):
        header["__metadata__"] = {"format": "pt"}
    return header, bytes(position)


@st.composite
def damaged(draw: Callable) -> bytes:
    """A sound file with some bytes changed, cut, doubled or put in."""
    header, data = draw(sound())
    content = bytearray(container(json.dumps(header).encode(), data))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        kind = draw(st.sampled_from(["change", "cut", "insert", "double", "swap digits"]))
        if kind == "change" and at < len(content):
            content[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del content[at : at + draw(st.integers(1, 9))]
        elif kind == "insert":
            content[at:at] = draw(st.binary(max_size=5))
        elif kind == "double":
            content[at:at] = content[at : at + 20]
        else:
            digits = [i for i, c in enumerate(content) if 48 <= c < 58]
            if digits:
                content[digits[at % len(digits)]] = draw(st.integers(48, 57))
    return bytes(content)


def check(path: Path, content: bytes) -> None:
    """Refused with a message that names the file, or described as it is."""
    path.write_bytes(content)
    refusal = None
    try:
        found = open_checkpoint(path)
    except CorruptFileError as error:
        refusal = str(error)
    if refusal is not None:
        assert str(path) in refusal
        assert len(refusal) < 2500
        return
    assert content[8:9] == b"{"
    n = int.from_bytes(content[:8], "little")
    assert n <= MAX_HEADER_BYTES
    position = 8 + n
    for tensor in found.tensors:
        assert tensor.offset == position
        assert tensor.n_bytes * 8 == tensor.n_elements * tensor.format.bits
        assert all(type(size) is int and size >= 0 for size in tensor.shape)
        position += tensor.n_bytes
    assert position == len(content)
    names = [name for name in json.loads(content[8 : 8 + n]) if name != "__metadata__"]
    assert sorted(names) == sorted(tensor.name for tensor in found.tensors)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "x.safetensors"


QUICK = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
LONG = settings(QUICK, max_examples=100_000, derandomize=False)


def checks(name: str, strategy: st.SearchStrategy[bytes]) -> None:
    """Two tests of one strategy: a short one that never varies, a long one for the full run."""

    def test(path: Path, content: bytes) -> None:
        check(path, content)

    for suffix, how in (("", QUICK), ("_long", LONG)):
        one = how(given(content=strategy)(test))
        one.__name__ = f"test_{name}{suffix}"
        globals()[one.__name__] = pytest.mark.exhaustive(one) if suffix else one


checks("any_bytes", st.binary(max_size=200))
checks("any_header", st.binary(max_size=100).map(lambda b: container(b"{" + b)))
checks(
    "any_json",
    st.builds(
        lambda header, n: container(json.dumps(header).encode(), bytes(n)),
        HEADERS,
        st.integers(0, 40),
    ),
)
checks("damaged_files", damaged())


@given(made=sound())
@QUICK
def test_sound_files_are_read(path: Path, made: tuple[dict[str, object], bytes]) -> None:
    header, data = made
    path.write_bytes(container(header, data))
    assert len(open_checkpoint(path).tensors) == len(header) - ("__metadata__" in header)


@given(
    index=st.one_of(
        st.binary(max_size=60),
        st.dictionaries(st.sampled_from(["weight_map", "metadata"]), JSON).map(
            lambda index: json.dumps(index).encode()
        ),
        st.dictionaries(
            st.text(max_size=3), st.one_of(st.text(alphabet="./a\0\\x", max_size=8), JSON)
        ).map(lambda weight_map: json.dumps({"weight_map": weight_map}).encode()),
    )
)
@QUICK
def test_any_index(path: Path, index: bytes) -> None:
    directory = path.parent / "m"
    directory.mkdir(exist_ok=True)
    (directory / "model.safetensors.index.json").write_bytes(index)
    (directory / "a.safetensors").write_bytes(container({"a": member("U8", [1], 0, 1)}, b"x"))
    refusal = None
    try:
        found = open_directory(directory)
    except (CorruptFileError, UnsupportedCheckpointError) as error:
        refusal = str(error)
    if refusal is not None:
        assert str(directory) in refusal
    else:
        assert [tensor.name for tensor in found.tensors] == ["a"]
