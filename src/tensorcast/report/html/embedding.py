"""Data for the page's script: safe inside HTML, each text once, and never more than a budget."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from ...report.document import finite
from ...words.text import safe, shorten

MAX_NAME: Final = 160
"""Characters of a name; a longer one is cut in its middle."""
MAX_SENTENCE: Final = 400

_STEERING: Final = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def as_json(value: object) -> str:
    r"""JSON that is data wherever it stands in a page: ASCII, without `<`, `>` and `&`.

    Example:
        >>> print(as_json({"name": "</script>"}))
        {"name":"\u003c/script\u003e"}
    """
    text = json.dumps(finite(value), allow_nan=False, separators=(",", ":"))
    return text.translate(_STEERING)


def shown(text: str, most: int = MAX_NAME) -> str:
    """A name as the page shows it: nothing that steers the reader's eye, and not endless."""
    return safe(shorten(text, most))


def short_path(file: str, directory: str = "") -> str:
    """A source file's path from the directory, or from where packages are installed.

    Example:
        >>> short_path("/home/a/lib/python3.11/site-packages/torch/nn/linear.py")
        'torch/nn/linear.py'
        >>> short_path("/home/a/code/train.py", "/home/a/code")
        'train.py'
    """
    for folder in ("/site-packages/", "/dist-packages/"):
        if folder in file:
            return file.rpartition(folder)[2]
    library = f"/python{sys.version_info[0]}.{sys.version_info[1]}/"
    if library in file:
        return file.rpartition(library)[2]
    if directory and file.startswith(directory.rstrip("/") + "/"):
        return file[len(directory.rstrip("/")) + 1 :]
    return file


class Texts:
    """Texts by number, each embedded once.

    Attributes:
        all: them, as the page shows them.
        n_bytes: what they take in the page.
    """

    def __init__(self) -> None:
        self.all: list[str] = []
        self.n_bytes = 0
        self._index: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """The number of a text."""
        index = self._index.get(text)
        if index is None:
            index = self._index[text] = len(self.all)
            self.all.append(shown(text))
            self.n_bytes += len(as_json(self.all[-1])) + 1
        return index


def within(rows: Iterable[Sequence[Any]], texts: Texts, n_bytes: int) -> list[Sequence[Any]]:
    """The first rows, as many as fit; rows are made one by one, as their texts count too."""
    kept: list[Sequence[Any]] = []
    used = -texts.n_bytes
    for row in rows:
        used += len(as_json(row)) + 1
        if used + texts.n_bytes > n_bytes:
            break
        kept.append(row)
    return kept
