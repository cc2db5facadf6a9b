"""Compare what a contender wrote with torch's `.to` of the source, bit by bit, every tensor.

python check.py SOURCE DESTINATION DTYPE; prints the number of tensors, exits 1 on a difference.
"""

import sys
from pathlib import Path

import torch
from safetensors import safe_open

source, destination, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
dtype = getattr(torch, name)


def written() -> dict[str, object]:
    """A function per tensor that reads it, by name."""
    found: dict[str, object] = {}
    for path in sorted(destination.glob("*.safetensors")):
        file = safe_open(path, "pt")
        for key in file.keys():  # noqa: SIM118
            found[key] = lambda key=key, file=file: file.get_tensor(key)
    for path in destination.glob("*.gguf"):
        import gguf

        for tensor in gguf.GGUFReader(path).tensors:
            shape = [int(n) for n in reversed(tensor.shape)]
            found[tensor.name] = lambda data=tensor.data, shape=shape: (
                torch.from_numpy(data.copy()).view(torch.int16).view(dtype).reshape(shape)
            )
    return found


found = written()
n_tensors = 0
for shard in sorted(source.glob("*.safetensors")):
    with safe_open(shard, "pt") as file:
        for key in file.keys():  # noqa: SIM118
            if key not in found:
                sys.exit(f"{key} was not written")
            wanted, made = file.get_tensor(key).to(dtype), found.pop(key)()
            if made.dtype != dtype or made.shape != wanted.shape:
                sys.exit(f"{key}: {made.dtype} {list(made.shape)} was written")
            differ = made.view(torch.int16) != wanted.view(torch.int16)
            if differ.any():
                sys.exit(f"{key}: {int(differ.sum())} values differ from torch's")
            n_tensors += 1
if found:
    sys.exit(f"also written: {', '.join(found)}")
print(n_tensors)
