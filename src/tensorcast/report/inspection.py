"""What `tensorcast inspect` shows: the tree of tensors, totals, files, metadata.

Data in, lines or JSON out; the losses that --stats adds are laid out in `candidates`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ..checkpoint.protocol import Checkpoint, TensorInfo
from ..checkpoint.wording import by_format, facts_of
from ..words.table import Column, layout, stream
from ..words.text import Line, Span, line, safe, shorten
from ..words.tree import Entry, grow
from ..words.units import count, human_bytes, number, shape
from .document import Json
from .other_files import rows_of_files

if TYPE_CHECKING:
    from ..core.loss import Loss

Losses = Mapping[str, Mapping[str, "Loss"]]

_MANY: Final = 8
_LONG: Final = 100


def lines(
    source: Checkpoint, *, width: int | None, full: bool, losses: Losses | None = None
) -> Iterator[Line]:
    """Everything about a checkpoint, for a person.

    Args:
        width: of the terminal; None: as wide as it takes.
        full: every tensor by its whole name, every file and all metadata.
        losses: tensor -> candidate format -> what the cast would lose; adds ranges.
    """
    yield from _title(source)
    if source.scaled:
        yield line(
            Span("not castable: ", "warn"),
            f"the weights need scales: {safe(source.scaled)}. convert --raw casts the stored "
            "numbers without them",
        )
    yield ()
    yield from tree(source.tensors, width=width, full=full, losses=losses)
    yield ()
    yield from _formats(source.tensors)
    for part in (_files(source, width, full), _notes(source, width, full)):
        if part:
            yield ()
            yield from part


def _title(source: Checkpoint) -> list[Line]:
    facts = facts_of(source)
    return [line(Span(safe(str(source.path)), "title")), line(", ".join(facts))]


def tree(
    tensors: Sequence[TensorInfo], *, width: int | None, full: bool, losses: Losses | None = None
) -> Iterator[Line]:
    """The tree of names; sizes are of one copy where several are folded into a row."""
    if not tensors:
        yield line(Span("no tensors", "dim"))
        return
    entries = _entries(tensors)
    heads = [
        Column("tensor", elastic=True, tall=full),
        Column("format"),
        Column("shape", drop=2 if losses else 0),
        Column("bytes", "right", drop=1 if losses else 0),  # names tell more than sizes then
        Column("min" if losses else "", "right"),
        Column("max" if losses else "", "right"),
    ]
    rows: list[tuple[str | Span, ...]] = []
    for row in grow(entries, full=full):
        n_bytes = human_bytes(row.sizes[0])
        if row.copies > 1:
            n_bytes = f"{row.copies} x {n_bytes}"
        if row.cells is None:
            rows.append((Span(row.label, "name"), "", "", Span(n_bytes, "dim"), "", ""))
            continue
        low, high = _range(tensors, row.members, losses) if losses else ("", "")
        rows.append((row.label, *row.cells, n_bytes, low, high))
    del entries
    yield from stream(heads, rows, width=width)


def _entries(tensors: Sequence[TensorInfo]) -> list[Entry]:
    """The tensors for the tree; those of one format and shape share what is shown of them."""
    shared: dict[object, tuple[tuple[str, str], tuple[int]]] = {}
    found = []
    for tensor in tensors:
        key = (tensor.format.name, tensor.shape)
        if key not in shared:
            shared[key] = (tensor.format.name, shape(tensor.shape)), (tensor.n_bytes,)
        found.append(Entry(tensor.name, *shared[key]))
    return found


def _range(
    tensors: Sequence[TensorInfo], members: Sequence[int], losses: Losses
) -> tuple[str, str]:
    """The smallest and the largest finite value of the tensors a row stands for."""
    seen = [
        loss
        for i in members
        for loss in list(losses.get(tensors[i].name, {}).values())[:1]
        if loss.min is not None and loss.max is not None
    ]
    if not seen:
        return "", ""
    lows = [loss.min for loss in seen if loss.min is not None]
    highs = [loss.max for loss in seen if loss.max is not None]
    return number(min(lows)), number(max(highs))


def _formats(tensors: Sequence[TensorInfo]) -> list[Line]:
    totals = by_format(tensors)
    heads = [
        Column("format"),
        Column("tensors", "right"),
        Column("elements", "right"),
        Column("bytes", "right"),
    ]
    rows: list[list[str | Span]] = [
        [name, count(n), count(n_elements), human_bytes(n_bytes)]
        for name, (n, n_elements, n_bytes) in totals.items()
    ]
    if len(totals) > 1:
        sums = [sum(column) for column in zip(*totals.values(), strict=True)]
        total = ["total", count(sums[0]), count(sums[1]), human_bytes(sums[2])]
        rows.append([Span(cell, "title") for cell in total])
    return layout(heads, rows, width=None)


def _files(source: Checkpoint, width: int | None, full: bool) -> list[Line]:
    if len(source.files) < 2:
        return []
    if len(source.files) > _MANY and not full:
        sizes = sorted(file.n_bytes for file in source.files)
        least, most = human_bytes(sizes[0]), human_bytes(sizes[-1])
        return [
            line(
                Span("files  ", "dim"),
                f"{len(source.files)} of {least} to {most} (--full lists them)",
            )
        ]
    tensors: dict[str, int] = {}
    for tensor in source.tensors:
        tensors[tensor.file] = tensors.get(tensor.file, 0) + 1
    heads = [
        Column("file", elastic=True, tall=True),
        Column("tensors", "right"),
        Column("bytes", "right"),
    ]
    rows = [
        [safe(file.name), count(tensors.get(file.name, 0)), human_bytes(file.n_bytes)]
        for file in source.files
    ]
    return layout(heads, rows, width=width)


def _notes(source: Checkpoint, width: int | None, full: bool) -> list[Line]:
    """Metadata, what config.json says, files that a conversion leaves behind."""
    rows: list[list[str | Span]] = []
    pairs = list(source.metadata.items())
    shown = pairs if full else pairs[:_MANY]
    for key, value in shown:
        text = f"{safe(str(key))} = {safe(str(value))}"
        rows.append([Span("metadata", "dim"), text if full else shorten(text, _LONG)])
    if len(shown) < len(pairs):
        rows.append([Span("metadata", "dim"), f"{len(pairs) - len(shown)} more (--full)"])
    config = source.config or {}
    facts = [
        f"{key} {safe(str(config[key]))}"
        for key in ("model_type", "dtype", "torch_dtype")
        if isinstance(config.get(key), str)
    ]
    if facts:
        rows.append([Span("config", "dim"), shorten(", ".join(facts), _LONG)])
    rows += [[Span("note", "warn"), safe(remark)] for remark in source.remarks]
    rows += rows_of_files(source.unconverted, source.skipped, full=full)
    return layout([Column(""), Column("", wrap=True)], rows, width=width)


def describe(source: Checkpoint, losses: Losses | None = None) -> Json:
    """The checkpoint, JSON-ready."""
    tensors: list[Json] = []
    for tensor in source.tensors:
        described: Json = {
            "name": tensor.name,
            "format": tensor.format.name,
            "shape": list(tensor.shape),
            "n_elements": tensor.n_elements,
            "n_bytes": tensor.n_bytes,
            "file": tensor.file,
            "offset": tensor.offset,
        }
        if losses is not None:
            described["candidates"] = {
                name: loss.to_dict() for name, loss in losses.get(tensor.name, {}).items()
            }
        tensors.append(described)
    return {
        "path": str(source.path),
        "kind": source.kind,
        "n_tensors": len(source.tensors),
        "n_elements": source.n_elements,
        "n_bytes": source.n_bytes,
        "scaled": source.scaled,
        "metadata": dict(source.metadata),
        "formats": {
            name: {"n_tensors": n, "n_elements": n_elements, "n_bytes": n_bytes}
            for name, (n, n_elements, n_bytes) in by_format(source.tensors).items()
        },
        "files": [
            {"name": file.name, "n_bytes": file.n_bytes, "metadata": file.metadata}
            for file in source.files
        ],
        "extra_files": list(source.extra_files),
        "skipped": dict(source.skipped),
        "remarks": list(source.remarks),
        "unconverted": dict(source.unconverted),
        "tensors": tensors,
    }
