"""transformers: from_pretrained in the new dtype, save_pretrained, the tokenizer's files beside."""

import shutil
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

source, destination, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
model = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, name))
model.save_pretrained(destination, max_shard_size="550MB")
for path in source.glob("tokenizer*"):
    shutil.copy(path, destination)
