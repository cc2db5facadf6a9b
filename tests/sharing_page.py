"""docs/matrix.md: what becomes of every source of sharing_matrix.py on the way to every library.

    python tests/sharing_page.py    writes the tables and the reasons into the page

That what is said is also what happens is proven elsewhere, source by source: test_arrays.py and
test_way_out.py write through one side and read the other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sharing_matrix import LAYOUTS, LIBRARIES, Source, jax_x64

import tensorcast as tc

PAGE = Path(__file__).resolve().parents[1] / "docs" / "matrix.md"
BEGIN, END = (
    "<!-- the tables: python tests/sharing_page.py -->\n",
    "<!-- the end of the tables -->\n",
)
TARGETS = {
    "torch": "torch", "numpy": "NumPy", "jax": "JAX", "tensorflow": "TensorFlow", "arrow": "Arrow",
    "pil": "Pillow",
}  # fmt: skip
MODULES = {"arrow": "pyarrow", "pil": "PIL", "protocols": "numpy", "buffers": "numpy"}
TITLES = {
    "numpy": "NumPy arrays",
    "OnlyInterface": "Objects with `__array_interface__`",
    "OnlyDlpack": "Objects with DLPack",
    "OnlyArrow": "Objects with `__arrow_c_array__`",
    "torch": "torch tensors",
    "jax": "JAX arrays",
    "tensorflow": "TensorFlow tensors",
    "pyarrow.Array": "Arrow arrays",
    "pyarrow.Tensor": "Arrow tensors",
    "PIL": "Pillow images",
}
ACTIONS = {
    "returns the same object": "itself", "shares": "shared", "copies": "copied",
    "refuses": "refused",
}  # fmt: skip
ALIGNED = re.compile(r"the memory is not aligned to 64 bytes, as \w+ asks")
# whose memory lies where malloc puts it
ANYWHERE = ("array.array", "memoryview", "bytes", "bytearray", "PIL")
Cell = tuple[str, str]  # what becomes of it, and why, or ""


@contextmanager
def wide_jax() -> Iterator[None]:
    """With x64, so that 64 bits are a JAX array's too."""
    import sys

    with jax_x64(True) if "jax" in sys.modules else nullcontext():
        yield


def cell(source: Source, target: str) -> Cell:
    """What becomes of one source."""
    try:
        said = tc.explain(source.make(), to=target)  # type: ignore[arg-type]
    except tc.errors.TensorcastError as error:
        return "refused", general(str(error), source)
    if said.action == "refuses":
        return "refused", general(said.refusal, source)
    because = list(said.because)
    anywhere = target in ("jax", "tensorflow") and source.library.split()[0] in ANYWHERE
    if anywhere and all(ALIGNED.match(reason) for reason in because) and source.layout != "empty":
        asks = f"the memory is not aligned to 64 bytes, as {TARGETS[target]} asks"
        return "shared if aligned", asks
    if said.action == "shares":
        because = [note for note in said.notes if note.startswith("Pillow keeps")]
    # one reason is enough, and this one may go by chance
    because = [x for x in because if not ALIGNED.match(x)] or because
    word = ACTIONS[said.action] + (", read-only" if said.shares and said.read_only else "")
    return word, general("; ".join(because), source)


def general(reason: str, source: Source) -> str:
    """The reason without what is of this source only: its format, shape and mode; and without
    versions."""
    reason = re.sub(r"no image of \w+ \[[\d, ]*\];", "no such image;", reason)
    reason = re.sub(r"shape \[[\d, ]*\] has", "the shape has", reason)
    reason = re.sub(r", of which \d are the \w+", "", reason)
    reason = re.sub(r"\b(torch|JAX|TensorFlow) \d[\w.+]* has", r"\1 has", reason)
    if "no such image" in reason:
        return reason
    reason = reason.replace(f", {source.format.name!r}", ", format")
    reason = re.sub(rf"\b(torch\.)?{source.format.name}(_x2)?\b", "the format", reason)
    return reason.replace("has no the format", "has no such format")


def section_of(source: Source) -> tuple[str, str]:
    """The source's section, and its name in there: the format, or an image's mode."""
    library, _, mode = source.library.partition(" ")
    return (library, mode) if mode else (library, source.format.name)


def cells_of(library: str, target: str) -> dict[str, dict[str, dict[str, Cell]]]:
    """Section -> name -> layout -> what becomes of it, of the sources of one entry of LIBRARIES."""
    found: dict[str, dict[str, dict[str, Cell]]] = {}
    for source in LIBRARIES[library]():
        section, name = section_of(source)
        found.setdefault(section, {}).setdefault(name, {})[source.layout] = cell(source, target)
    return found


def agree(a: dict[str, Cell], b: dict[str, Cell], merge: bool) -> bool:
    """Whether two rows say the same: of the layouts that both have, or of all."""
    if not merge:
        return a == b
    return all(a[layout] == b[layout] for layout in a.keys() & b.keys())


def rows_of(
    section: str, names: dict[str, dict[str, Cell]], target: str, number: Callable[[str], int]
) -> list[str]:
    """The table's rows for one target: names with the same cells share one."""
    merge = section in ("numpy", "OnlyInterface")  # whose formats of one byte have fewer layouts
    layouts = [x for x in LAYOUTS if any(x in cells for cells in names.values())]
    groups: list[tuple[dict[str, Cell], list[str]]] = []
    for name, cells in names.items():
        for together, members in groups:
            if agree(together, cells, merge):
                together.update(cells)
                members.append(name)
                break
        else:
            groups.append((dict(cells), [name]))
    rows = []
    for together, members in groups:
        texts = []
        for layout in layouts:
            word, why = together.get(layout, ("", ""))
            texts.append(f"{word} [{number(why)}](#r{number(why)})" if why else word)
        which = "all" if len(members) == len(names) else ", ".join(members)
        rows.append(f"| {TARGETS[target]} | {which} | {' | '.join(texts)} |")
    return rows


def head_of(names: dict[str, dict[str, Cell]]) -> list[str]:
    layouts = [x for x in LAYOUTS if any(x in cells for cells in names.values())]
    return [f"| to | of | {' | '.join(layouts)} |", "|---|---|" + "---|" * len(layouts)]


def title_of(section: str) -> str:
    return f"## {TITLES.get(section, f'`{section}`')}"


def main() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import jax
    import PIL.Image
    import pyarrow
    import tensorflow
    import torch

    del jax, PIL, pyarrow, tensorflow, torch
    reasons: dict[str, int] = {}

    def number(why: str) -> int:
        return reasons.setdefault(why, len(reasons) + 1)

    lines: list[str] = []
    with wide_jax():
        for library in LIBRARIES:
            found = {target: cells_of(library, target) for target in TARGETS}
            for section, names in found["torch"].items():
                lines += ["", title_of(section), ""]
                every = ", ".join(names)
                lines += [f"Of {every}.", ""] if len(names) > 1 else []
                lines += head_of(names)
                for target in TARGETS:
                    lines += rows_of(section, found[target][section], target, number)
    lines += ["", "## The reasons", ""]
    lines += [f'{i}. <a id="r{i}"></a>{why}' for why, i in reasons.items()]
    table = "\n".join(lines).lstrip("\n") + "\n"
    page = PAGE.read_text()
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    PAGE.write_text(re.sub(pattern, lambda _: BEGIN + table + END, page, flags=re.DOTALL))


if __name__ == "__main__":
    main()
