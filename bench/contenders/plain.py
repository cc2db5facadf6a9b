"""What people write: load a shard, cast every tensor, save the shard."""

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

source, destination, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
dtype = getattr(torch, name)
destination.mkdir()
for shard in sorted(source.glob("*.safetensors")):
    tensors = {key: tensor.to(dtype) for key, tensor in load_file(shard).items()}
    save_file(tensors, destination / shard.name, metadata={"format": "pt"})
for path in source.iterdir():
    if path.suffix == ".json":
        shutil.copy(path, destination)
config = json.loads((destination / "config.json").read_text())
config["torch_dtype"] = name
(destination / "config.json").write_text(json.dumps(config, indent=2))
