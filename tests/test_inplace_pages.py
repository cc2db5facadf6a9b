"""`cast_` of large tensors, which takes the pages of the source over: every way it can go."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import tensorcast as tc  # noqa: E402
from tensorcast.formats import FORMATS  # noqa: E402
from tensorcast.inplace import convert  # noqa: E402
from tensorcast.kernels import replacing  # noqa: E402

# narrower, wider, by 2, 4, 8 and 16; the larger is 16 MiB at least
PAIRS = [
    ("float32", "float16"),
    ("float32", "float8_e4m3fn"),
    ("float64", "int8"),
    ("complex128", "complex64"),
    ("int64", "int32"),
    ("int32", "int64"),
    ("int8", "int64"),
    ("float8_e5m2", "float16"),
    ("bfloat16", "float32"),
    ("uint8", "complex128"),
]
DTYPES = {name: getattr(torch, name) for pair in PAIRS for name in pair}


def values(name: str, n: int) -> Any:
    """n elements, every one different from its neighbours, none a zero."""
    x = torch.arange(n, dtype=torch.int32).remainder_(113).add_(1)
    return x.to(DTYPES[name])


def elements(source: str, target: str, mib: int) -> int:
    """So many that the wider of both takes that many MiB."""
    return (mib << 20) // max(DTYPES[source].itemsize, DTYPES[target].itemsize)


def same(a: Any, b: Any) -> bool:
    return bool(a.dtype == b.dtype and torch.equal(a.view(torch.uint8), b.view(torch.uint8)))


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("n_more", [0, 12_345])
def test_the_bits_of_cast(source: str, target: str, n_more: int) -> None:
    n = elements(source, target, 48) + n_more
    x = values(source, n)
    expected = tc.cast(x, target, overflow="saturate", nan="zero")
    tc.cast_(x, target, overflow="saturate", nan="zero")
    assert same(x, expected)
    if not target.startswith("complex"):  # and again, in memory that pages were moved to
        tc.cast_(x, source, overflow="saturate", nan="zero")
        assert same(x, tc.cast(expected, source, overflow="saturate", nan="zero"))


@pytest.mark.parametrize(("source", "target"), [("float32", "float16"), ("int32", "int64")])
def test_with_pages_given_back_instead(
    source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system cannot move pages: parts, here smaller ones than usual."""
    monkeypatch.setattr(replacing, "MOVES_PAGES", False)
    monkeypatch.setattr(replacing, "CHUNK_BYTES", 3 << 20)
    x = values(source, elements(source, target, 24) + 77)
    expected = tc.cast(x, target)
    tc.cast_(x, target)
    assert same(x, expected)


@pytest.mark.parametrize("moves", [True, False])
@pytest.mark.parametrize(("source", "target"), [("float32", "float16"), ("int16", "complex64")])
def test_failing_allocations(
    source: str, target: str, moves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replacing, "MOVES_PAGES", moves)
    monkeypatch.setattr(replacing, "CHUNK_BYTES", 8 << 20)
    for n_failures in (1, 2, 5):
        x = torch.arange(elements(source, target, 40) if source in DTYPES else 5 << 20)
        x = x.remainder_(1000).to(getattr(torch, source))
        expected = tc.cast(x, target)
        convert.convert_all(
            [convert.Wish("", x, FORMATS[target])], tc.policy.Policy(), n_failures=n_failures
        )
        assert same(x, expected)


@pytest.mark.parametrize(("source", "target"), [("float32", "float16"), ("float16", "float32")])
@pytest.mark.parametrize("offset", [1, 1000, 4097, 300_001])
def test_a_tensor_inside_its_storage(source: str, target: str, offset: int) -> None:
    """It begins anywhere in a page, and what is beside it in the storage goes with it."""
    whole = values(source, elements(source, target, 40) + offset + 5)
    x = whole[offset:-5].data
    expected = tc.cast(x, target)
    del whole
    tc.cast_(x, target)
    assert same(x, expected)


@pytest.mark.skipif(sys.platform != "linux", reason="madvise as Linux has it")
@pytest.mark.parametrize(("source", "target"), [("float32", "float16"), ("int32", "int64")])
def test_memory_of_several_mappings(source: str, target: str) -> None:
    """Parts of it were advised upon, as huge pages of a fresh result are."""
    x = tc.cast(values("int64", elements(source, target, 60)), source)
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    first = -(-x.data_ptr() // 4096) * 4096
    dont_dump = 16
    for begin, n_pages in ((3, 5), (100, 1), (1000, 900), (4000, 17), (5000, 1)):
        assert madvise(first + begin * 4096, n_pages * 4096, dont_dump) == 0
    for to in (target, source, target):
        expected = tc.cast(x, to)
        tc.cast_(x, to)
        assert same(x, expected)


def test_stochastic_rounding_draws_by_the_index() -> None:
    x = torch.rand(elements("float32", "float16", 20) + 3)
    expected = tc.cast(x, "float16", rounding="stochastic", seed=7)
    tc.cast_(x, "float16", rounding="stochastic", seed=7)
    assert same(x, expected)


@pytest.mark.skipif(not hasattr(torch, "float4_e2m1fn_x2"), reason="torch has no float4_e2m1fn_x2")
def test_two_elements_to_a_byte() -> None:
    x = torch.arange(32 << 20, dtype=torch.int32).remainder_(13).sub_(6).reshape(-1, 64).float()
    expected = tc.cast(x, torch.float4_e2m1fn_x2)
    tc.cast_(x, torch.float4_e2m1fn_x2)
    assert torch.equal(x.view(torch.uint8), expected.view(torch.uint8))
    tc.cast_(x, "float32")
    assert torch.equal(x, tc.cast(expected, "float32"))


def test_the_storage_is_of_the_new_size() -> None:
    x = values("float32", 8 << 20)
    tc.cast_(x, "float16")
    assert x.untyped_storage().nbytes() == x.nbytes
    tc.cast_(x, "float64")
    assert x.untyped_storage().nbytes() == x.nbytes
    x.untyped_storage().resize_(2 * x.nbytes)  # torch's own memory, to grow and to free
    assert x[-1] == values("float64", 8 << 20)[-1]


# mremap as Linux before 6.17 has it: not across mappings (EFAULT), not beyond the process's limits
# (ENOMEM), and what was at the destination is gone by then
OLDER_KERNEL = """
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
static int refused = 0;
void* mremap(void* old, size_t n, size_t m, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    void* to = va_arg(rest, void*);
    va_end(rest);
    const uintptr_t border = 5 << 20, begin = (uintptr_t)old;
    if ((flags & 4) && begin / border != (begin + n - 1) / border) {
        munmap(to, n);
        ++refused;
        errno = ERROR;
        return MAP_FAILED;
    }
    return (void*)syscall(SYS_mremap, old, n, m, flags, to);
}
__attribute__((destructor)) static void tell(void) { fprintf(stderr, "refused %d\\n", refused); }
"""
CASTS = """
import torch
import tensorcast as tc
for a, b in (("float32", "float16"), ("int32", "int64"), ("float64", "int8")):
    x = torch.arange(6_000_000, dtype=torch.int32).remainder_(113).add_(1).to(getattr(torch, a))
    expected = tc.cast(x, b)
    tc.cast_(x, b)
    assert x.dtype == expected.dtype and torch.equal(x, expected)
print("whole")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mremap is of Linux")
@pytest.mark.parametrize("error", ["EFAULT", "ENOMEM"])
def test_a_kernel_that_refuses_to_move(error: str, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "older.c").write_text(OLDER_KERNEL)
    older = tmp_path / "older.so"
    options = ["-shared", "-fPIC", f"-DERROR={error}", "-o", older]
    subprocess.run([compiler, *options, tmp_path / "older.c"], check=True)
    done = subprocess.run(
        [sys.executable, "-c", CASTS],
        env={**os.environ, "LD_PRELOAD": f"{os.environ.get('LD_PRELOAD', '')} {older}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "whole"), done.stderr[-2000:]
    assert int(done.stderr.split("refused ")[1].split()[0]) >= 3


NO_MORE_MAPPINGS = """
import ctypes, torch
import tensorcast as tc
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
def values(dtype):
    return torch.arange(4 << 20, dtype=torch.int32).remainder_(113).add_(1).to(dtype)
cases = [(values(getattr(torch, a)), b) for a, b in (("float32", "float16"), ("int32", "int64"))]
expected = [tc.cast(x, to) for x, to in cases]
tc.cast_(torch.ones(8 << 20), "float16")
limit = int(open("/proc/sys/vm/max_map_count").read())
pages = libc.mmap(None, 2 * limit * 4096, 0, 0x4022, -1, 0)  # private, anonymous, not reserved
assert pages not in (None, ctypes.c_void_p(-1).value)
made = 0
while made < 2 * limit and libc.mprotect(pages + made * 4096, 4096, 1) == 0:
    made += 2  # one mapping more for each, and one for what is between
assert made < 2 * limit, "the limit was not reached"
libc.mprotect(pages, 4096, 0)  # room for the memory of the results
for x, to in cases:
    tc.cast_(x, to)
libc.munmap(pages, 2 * limit * 4096)
for (x, _), y in zip(cases, expected):
    assert x.dtype == y.dtype and torch.equal(x.view(torch.uint8), y.view(torch.uint8))
print("whole")
"""


@pytest.mark.skipif(not os.path.exists("/proc/sys/vm/max_map_count"), reason="not Linux")
def test_a_process_with_no_more_mappings() -> None:
    """Pages then cannot be moved: their bytes are copied, and nothing is lost."""
    if "asan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("AddressSanitizer's allocator needs mappings of its own")
    if int(Path("/proc/sys/vm/max_map_count").read_text()) > 1_000_000:
        pytest.skip("this system has no such limit to reach")
    script = [sys.executable, "-c", NO_MORE_MAPPINGS]
    done = subprocess.run(script, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "whole"), done.stderr[-2000:]
