"""Streams from file to file: what they write, digest and count is what a cast of the whole does."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest

from tensorcast.formats import FORMATS, Format
from tensorcast.kernels import cpu
from tensorcast.policy import Policy

RNG = np.random.default_rng(11)
BLOCK = bytearray(1 << 18), bytearray(1 << 18)
SMALL = bytearray(1 << 14), bytearray(1 << 14)  # 2048 elements of 64 bits
SATURATE = Policy(overflow="saturate", nan="zero")
PAIRS = [
    ("float32", "bfloat16"), ("float32", "float16"), ("float32", "float8_e4m3fn"),
    ("float32", "float4_e2m1fn"), ("float4_e2m1fn", "float32"), ("float6_e2m3fn", "bfloat16"),
    ("int64", "int32"), ("uint2", "float64"), ("bfloat16", "float32"), ("bool", "float16"),
]  # fmt: skip


class Two:
    """A file to read, 5 bytes into it, and one to write, 3 bytes into it."""

    def __init__(self, folder: Path, data: bytes) -> None:
        (folder / "in").write_bytes(b"abcde" + data)
        (folder / "out").write_bytes(b"xyz")
        self.source = os.open(folder / "in", os.O_RDONLY)
        self.target = os.open(folder / "out", os.O_RDWR)

    def cast(self, source: Format, target: Format, policy: Policy, n: int, **options):
        blocks = options.pop("blocks", BLOCK)
        writes = options.pop("writes", True)
        return cpu.stream_cast(
            self.source, 5, self.target if writes else None, 3, *blocks, source, target,
            policy.resolve(source, target), n, **options,
        )  # fmt: skip

    def written(self) -> bytes:
        assert os.pread(self.target, 3, 0) == b"xyz"
        return os.pread(self.target, os.fstat(self.target).st_size, 3)


@pytest.fixture
def two(tmp_path: Path):
    made = []

    def make(data: bytes) -> Two:
        made.append(Two(tmp_path, data))
        return made[-1]

    yield make
    for one in made:
        os.close(one.source)
        os.close(one.target)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest.mark.parametrize("n", [0, 1, 2047, 2049, 100_001], ids=str)
@pytest.mark.parametrize("blocks", [BLOCK, SMALL], ids=["segments", "blocks"])
def test_a_stream_is_a_cast_of_the_whole(two, pair, n: int, blocks) -> None:
    source, target = (FORMATS[name] for name in pair)
    n -= n % 4  # whole bytes
    data = RNG.integers(0, 256 if source.name != "bool" else 2, source.n_bytes(n), "u1").tobytes()
    policy = SATURATE.resolve(source, target)
    out = bytearray(target.n_bytes(n))
    want = cpu.cast_chunk(data, out, source, target, policy, n, 4096, True)
    files = two(data)
    stats, end = files.cast(source, target, SATURATE, n, first_index=4096, full=True, blocks=blocks)
    assert files.written() == out
    assert end == (cpu.xxh3(out), len(data), len(out), 0, 0)
    if blocks is BLOCK:
        assert stats == want
    assert stats[:10] == want[:10]  # the counts; sums of smaller blocks round elsewhere
    measured, end = files.cast(source, target, SATURATE, n, first_index=4096, writes=False)
    assert measured[:5] == want[:5]
    assert (end.n_bytes_read, end.n_bytes_written) == (len(data), 0)


def test_random_numbers_go_by_the_index_in_the_tensor(two) -> None:
    source, target = FORMATS["float32"], FORMATS["bfloat16"]
    values = RNG.standard_normal(200_000, "f4")
    policy = Policy(rounding="stochastic", seed=7)
    data, out = values.tobytes(), bytearray(2 * values.size)
    cpu.cast_chunk(data, out, source, target, policy.resolve(source, target), values.size, 10)
    files = two(data)
    files.cast(source, target, policy, values.size, first_index=10)
    assert files.written() == out


@pytest.mark.parametrize("what", ["overflow", "nan"])
def test_after_a_refused_value_nothing_is_written_but_all_is_counted(two, what: str) -> None:
    source, target = FORMATS["float32"], FORMATS["float8_e4m3fn" if what == "overflow" else "uint8"]
    values = np.ones(600_000, "f4")
    values[[300_000, 599_999]] = 1e9 if what == "overflow" else np.nan
    files = two(values.tobytes())
    stats, end = files.cast(source, target, Policy(), values.size)
    assert (stats.n_overflow, stats.n_nan_lost) == ((2, 0) if what == "overflow" else (0, 2))
    assert end.stopped == 0
    assert end.n_bytes_read == values.nbytes
    assert end.n_bytes_written == len(files.written()) == 1 << 18  # the block before


@pytest.mark.parametrize("n", [0, 1, 31, 32, 100, 300_003])
def test_a_copy_is_the_bytes(two, n: int) -> None:
    data = RNG.bytes(n)
    files = two(data)
    block = bytearray(100)
    digest = cpu.xxh3(data)
    assert cpu.stream_copy(files.source, 5, files.target, 3, block, n) == (digest, n, n, 0, 0)
    assert files.written() == data
    assert cpu.stream_copy(files.source, 5, None, 0, block, n) == (digest, n, 0, 0, 0)


def test_the_end_of_a_file(two) -> None:
    files = two(bytes(4000))
    _, end = files.cast(FORMATS["float32"], FORMATS["float16"], SATURATE, 3000)
    assert (end.stopped, end.error, end.n_bytes_read, end.n_bytes_written) == (1, 0, 4000, 0)
    end = cpu.stream_copy(files.source, 5, files.target, 3, BLOCK[0], 4001)
    assert (end.stopped, end.error, end.n_bytes_read, end.n_bytes_written) == (1, 0, 4000, 0)


def test_what_the_system_refuses(two, tmp_path: Path) -> None:
    files = two(bytes(4000))
    float32, float16 = FORMATS["float32"], FORMATS["float16"]
    cast = *BLOCK, float32, float16, SATURATE.resolve(float32, float16), 1000
    _, end = cpu.stream_cast(files.source, 5, files.source, 0, *cast)
    assert (end.stopped, end.error) == (2, errno.EBADF)  # not open for writing
    end = cpu.stream_copy(files.source, 5, files.source, 0, BLOCK[0], 1000)
    assert (end.stopped, end.error) == (2, errno.EBADF)
    folder = os.open(tmp_path, os.O_RDONLY)
    _, end = cpu.stream_cast(folder, 0, files.target, 0, *cast)
    assert (end.stopped, end.error) == (1, errno.EISDIR)
    os.close(folder)


def test_a_write_cut_short_goes_on_until_it_fails(two) -> None:
    files = two(RNG.bytes(4000))
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1003, 1003))
        end = cpu.stream_copy(files.source, 5, files.target, 3, BLOCK[0], 4000)
        good = (end.stopped, end.error, end.n_bytes_written) == (2, errno.EFBIG, 1000)
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(files.written()) == 1000


def test_blocks_that_are_too_small() -> None:
    float32, float16 = FORMATS["float32"], FORMATS["float16"]
    policy = SATURATE.resolve(float32, float16)
    for blocks in ((bytearray(8191), bytearray(8192)), (bytearray(8192), bytearray(4095))):
        with pytest.raises(ValueError, match="too small"):
            cpu.stream_cast(0, 0, None, 0, *blocks, float32, float16, policy, 1)
    with pytest.raises(ValueError, match="too small"):
        cpu.stream_copy(0, 0, None, 0, bytearray(), 1)
    with pytest.raises((TypeError, BufferError)):
        cpu.stream_copy(0, 0, None, 0, bytes(64), 1)
