"""Where memory runs out: an error that says how much was wanted and is free, and the ways out."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

resource = pytest.importorskip("resource", reason="no resource limits on this system")

# 64 MB more than is there already, for results of 128 MB and more
PROGRAM = """
import json, resource, sys
import numpy as np
import tensorcast as tc
N = 1 << 27
library, *calls = sys.argv[1:]
if library == "torch":
    import torch
    x = torch.zeros(N, dtype=torch.uint8)
    warm = torch.zeros(4)
else:
    x = np.zeros(N, np.uint8)
    warm = np.zeros(4, np.float32)
tc.cast(warm, "float16"); tc.cast(warm, "float16", report=True); tc.to_numpy([1.0, 2])
tc.to_numpy(warm, "float16"); tc.image_to_tensor(np.zeros((1, 1, 1), np.uint8))
pack = tc.pack(np.zeros(2, np.uint8), "uint4")
if library == "torch":
    tc.as_tensor([warm, warm]); tc.as_tensor(warm, "float16"); tc.cast_(torch.zeros(4), "float16")
size = [line for line in open("/proc/self/status") if line.startswith("VmSize")][0]
limit = (int(size.split()[1]) << 10) + (64 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
said = {}
for call in calls:
    try:
        eval(call)
    except tc.errors.NoMemoryError as error:
        assert isinstance(error, tc.errors.CastError) and isinstance(error, MemoryError)
        said[call] = str(error), type(error.__cause__).__name__
print(json.dumps(said))
"""
CALLS = {
    ("torch", 'tc.cast(x, "float32")'): 4 << 27,
    ("torch", 'tc.cast(x, "float32", report=True)'): 4 << 27,
    ("torch", 'tc.cast(x.view(1, 2, 1 << 13, -1), "int16", memory_format=torch.channels_last)'): 2
    << 27,
    ("torch", 'tc.cast(x[::2], "int32")'): 2 << 27,
    ("torch", 'tc.cast(x, "uint7", packed=True, overflow="saturate")'): 7 << 24,
    ("torch", "tc.as_tensor(x, copy=True)"): 1 << 27,
    ("torch", 'tc.as_tensor(x, "float16")'): 2 << 27,
    ("torch", 'tc.to_numpy(x, "float16")'): 2 << 27,
    ("torch", "tc.as_tensor([x, x])"): 2 << 27,
    ("torch", 'tc.cast_(x, "float64")'): 8 << 27,
    ("numpy", 'tc.cast(x, "float32")'): 4 << 27,
    ("numpy", 'tc.cast(x, "float32", report=True)'): 4 << 27,
    ("numpy", "tc.to_numpy(x, copy=True)"): 1 << 27,
    ("numpy", 'tc.to_numpy(x, "bfloat16")'): 2 << 27,
    ("numpy", "tc.to_numpy([x, x])"): 2 << 27,
    ("numpy", 'tc.image_to_tensor(x.reshape(1 << 13, -1, 1), "float16")'): 2 << 27,
    ("numpy", 'tc.pack(x, "uint7")'): 7 << 24,
}


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_says_what_is_wanted_and_free(library: str) -> None:
    pytest.importorskip(library)
    wanted = {call: n_bytes for (of, call), n_bytes in CALLS.items() if of == library}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, library, *wanted],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said.keys() == wanted.keys()
    for call, (message, cause) in said.items():
        assert f"{wanted[call]:,} bytes" in message, call
        free = re.search(r"and ([0-9,]+) bytes \(.*\) are free", message)
        assert free is not None, message
        assert 0 <= int(free[1].replace(",", "")) <= 64 << 20
        assert "tensorcast.cast_" in message
        assert "out=" in message
        assert "memory_format" not in message
        assert cause in ("RuntimeError", "MemoryError", "_ArrayMemoryError")


def test_more_bytes_than_an_address_counts() -> None:
    torch = pytest.importorskip("torch")
    import numpy as np

    import tensorcast as tc

    with pytest.raises(tc.errors.NoMemoryError, match="address"):
        tc.cast(torch.zeros(1).expand(2**40, 2**21), "float64")
    with pytest.raises(tc.errors.NoMemoryError, match="address"):
        tc.to_numpy(np.broadcast_to(np.zeros(1, np.uint8), (2**40, 2**22)), "float64")
    with pytest.raises(tc.errors.NoMemoryError, match="9,007,199,254,740,992 bytes"):
        tc.cast(torch.zeros(1).expand(2**40, 2**10), "float64")
