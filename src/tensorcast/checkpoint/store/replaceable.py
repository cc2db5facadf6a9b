"""What a forced run may replace: a file, an empty directory, or one that holds a checkpoint and
nothing else, and that can be removed. Anything else stays, whatever is asked."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator
from fnmatch import translate
from typing import Final

from . import syscalls

_KINDS: Final = (
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
)
_WEIGHTS: Final = ".safetensors"
# files that stand beside the weights of a checkpoint, by name
_USUAL: Final = (
    # weights of one model, whole or in shards; of other names they are somebody's collection
    *"model*.safetensors diffusion_pytorch_model*.safetensors consolidated*.safetensors".split(),
    *"pytorch_model*.safetensors adapter_model.safetensors *.safetensors.index*.json".split(),
    *"pytorch_model*.bin pytorch_model*.json adapter_model.bin model*.onnx *.gguf".split(),
    *"tf_model*.h5 flax_model*.msgpack rust_model.ot openvino_* training_args.bin".split(),
    # configuration
    *"*config*.json generation_config.json modules.json model_index.json".split(),
    *"trainer_state.json quanto_qmap.json quant_model_description.json mel_filters.npz".split(),
    # tokenizers
    *"*tokenizer*.json special_tokens_map.json added_tokens.json vocab* merges*.txt".split(),
    *"*.model *.spm *.tiktoken *.bpe spiece.* sentencepiece.* normalizer.json".split(),
    *"chat_template* *.jinja".split(),
    # code and documents
    *"modeling_*.py configuration_*.py tokenization_*.py processing_*.py".split(),
    *"image_processing_*.py feature_extraction_*.py __init__.py".split(),
    *"README* LICENSE* LICENCE* COPYING* NOTICE* USE_POLICY* MODEL_CARD*".split(),
    *".gitattributes .gitignore".split(),
)
_PATTERN: Final = re.compile("|".join(translate(glob) for glob in _USUAL))
# and of them those that end so: vocab.xlsx and README-notes.docx are somebody's work
_ENDINGS: Final = frozenset(
    ".safetensors .bin .onnx .gguf .h5 .msgpack .ot .xml .json .npz .txt .model .spm .tiktoken "
    ".bpe .jinja .py .md .rst .vocab".split()
)
_CACHE: Final = os.path.join(".cache", "huggingface") + os.sep  # what a download leaves
_NAMED: Final = 3


def special(place: str | os.PathLike[str]) -> str | None:
    """What stands there, if it is neither a file nor a directory; None also for nothing."""
    try:
        mode = os.stat(place).st_mode
    except OSError:
        return None
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), None)


def obstacle(place: str, *, directory: bool, written: Collection[str]) -> str | None:
    """Why what stands there may not be replaced, as the end of a sentence; None: it may.

    Args:
        place: a path at which something stands.
        directory: whether a directory would come in its place, or a file.
        written: names in the directory that would come, with forward slashes.
    """
    try:
        mode = os.lstat(place).st_mode
        link = stat.S_ISLNK(mode)
        if link:
            mode = os.stat(place).st_mode
    except FileNotFoundError:
        return "is a link that leads nowhere"
    except OSError as error:
        return f"cannot be looked at ({error.strerror})"
    for is_kind, kind in _KINDS:
        if is_kind(mode):
            return f"is {kind}, not a checkpoint"
    if stat.S_ISDIR(mode) != directory:
        kinds = ("a file", "a directory") if directory else ("a directory", "a file")
        return f"is {kinds[0]} and the result would be {kinds[1]}"
    if not directory:
        return None
    try:
        return _directory(place, written, link=link)
    except OSError as error:
        return f"cannot be looked at ({error.filename!r}: {error.strerror})"


def _directory(place: str, written: Collection[str], *, link: bool) -> str | None:
    if not link and os.path.ismount(place):
        return "is a mount point, which nothing can replace"
    names = os.listdir(place)
    if not names:
        return None
    if not any(name.endswith(_WEIGHTS) for name in names):
        entries = f"{len(names)} entr{'y' if len(names) == 1 else 'ies'}"
        return f"is a directory that holds no checkpoint ({entries})"
    others: list[str] = []
    for name in _strange(place, written):
        others.append(name)
        if len(others) > _NAMED:
            break
    if others:
        more = " and more" if len(others) > _NAMED else ""
        shown = ", ".join(repr(name) for name in others[:_NAMED])
        return f"holds more than a checkpoint: {shown}{more} would be lost"
    return None if link else _stuck(place)


def _strange(root: str, written: Collection[str]) -> Iterator[str]:
    """Names in the directory that no checkpoint has, those further up first."""
    folders = [""]
    for folder in folders:
        with os.scandir(os.path.join(root, folder)) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            name = os.path.join(folder, entry.name)
            if entry.is_dir(follow_symlinks=False):
                if entry.name == ".git":
                    yield name + "/"
                else:
                    folders.append(name)
            elif not (entry.is_symlink() or entry.is_file()) or not _usual(name, written):
                yield name


def _usual(name: str, written: Collection[str]) -> bool:
    last = os.path.basename(name)
    if name in written or name.startswith(_CACHE):
        return True
    stem, ending = os.path.splitext(last)
    fits = ending.lower() in _ENDINGS or not ending or stem.startswith("LICEN") or not stem
    return fits and bool(_PATTERN.match(last))


def _stuck(root: str) -> str | None:
    """What in the directory could not be removed, found without trying it."""
    device = os.lstat(root).st_dev
    fixed = syscalls.STATX_ATTR_IMMUTABLE | syscalls.STATX_ATTR_APPEND
    pending = [root]
    while pending:
        folder = pending.pop()
        name = os.path.relpath(folder, root)
        if os.lstat(folder).st_dev != device:
            return f"holds {name!r}, a mount point, which cannot be removed"
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=_EFFECTIVE):
            return f"holds {name!r}, whose entries cannot be removed: no permission"
        with os.scandir(folder) as entries:
            for entry in entries:
                if syscalls.attributes(entry.path) & fixed:
                    inner = os.path.relpath(entry.path, root)
                    return f"holds {inner!r}, which is immutable and cannot be removed"
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return None


_EFFECTIVE: Final = os.access in os.supports_effective_ids
