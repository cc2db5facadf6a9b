"""gguf-py: every tensor quantized to BF16 or F16 and written into one GGUF file."""

import sys
from pathlib import Path

import gguf
from gguf.quants import quantize
from safetensors import safe_open

source, destination, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
kind = {"bfloat16": gguf.GGMLQuantizationType.BF16, "float16": gguf.GGMLQuantizationType.F16}[name]
destination.mkdir()
writer = gguf.GGUFWriter(destination / "model.gguf", "llama")
for shard in sorted(source.glob("*.safetensors")):
    with safe_open(shard, "np") as file:
        for key in file.keys():  # noqa: SIM118
            writer.add_tensor(key, quantize(file.get_tensor(key), kind), raw_dtype=kind)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
