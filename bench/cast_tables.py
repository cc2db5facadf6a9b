"""The tables of bench/cast.py, from its JSON alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Row = dict[str, Any]

DECODE_BAR, ENCODE_BAR, MEAN_BAR, NEVER_UNDER, RESIDENT_BAR = 20.0, 15.0, 2.0, 0.9, 1.0
_FP8 = ("float8_e4m3fn", "float8_e5m2")
_FLOATS = ("float32", "float16", "bfloat16")


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def _range(value: Row) -> str:
    return f"{value['median']:.2f} ({value['min']:.2f} to {value['max']:.2f})"


def _verdict(holds: bool) -> str:
    return "yes" if holds else "**no**"


def _mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def _pair(row: Row) -> str:
    return f"{row['source']} -> {row['target']}"


def cast_markdown(result: Row, provenance: Callable[[Row], str]) -> str:
    """Every part that ran, the bars first."""
    parts = {name: result[name] for name in result["seconds"]}
    text = (
        "# The public cast\n\n`tensorcast.cast` against torch, NumPy and memcpy in the same "
        f"process, taking turns; {result['n_threads']} "
        f"thread{'s' if result['n_threads'] > 1 else ''} "
        "for everyone. A ratio is taken within a round: median (least to most). Every output was "
        "compared, whole, with the oracle's first. "
        f"Preallocated memory lies on {result['pages']} pages. Clock: {result['clock']}.\n\n"
    )
    if result["quick"]:
        text += "**A quick run: a sixteenth of the size. No bar is held by it.**\n\n"
    text += provenance(result)
    text += f"\nSeconds by part: {_seconds(result)}.\n\n## Bars\n\n" + _bars(parts)
    for key, title in (
        ("pairs_64m", "Every pair, large arrays, into preallocated memory"),
        ("pairs_64k", "Every pair, 64K elements, in the L2 cache"),
    ):
        if parts.get(key):
            text += f"\n## {title}\n\n" + _pairs_tables(parts[key])
    for key, title in _DETAILS:
        if parts.get(key):
            text += f"\n## {title}\n\n" + _rows_table(parts[key])
    if parts.get("threads"):
        text += "\n## Threads\n\nBy the clock on the wall.\n\n" + _threads_table(parts["threads"])
    if parts.get("cuda"):
        text += "\n## NVIDIA GPU\n\n" + _cuda_table(parts["cuda"])
    return text


_DETAILS = (
    ("hot", "Hot pairs"),
    ("loss", "With the whole Loss"),
    ("careful", "The same statistics by torch operations"),
    ("raise", 'overflow="raise" against unchecked'),
    ("fresh", "New outputs, page faults included"),
    ("small", "Four elements"),
    ("lists", "Lists"),
    ("images", "Images"),
)


def _seconds(result: Row) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in result["seconds"].items())


def _bars(parts: Row) -> str:
    """One line for each bar: the figure that is nearest to failing, or fails most."""
    body: list[Sequence[object]] = []

    def add(what: str, figure: float, bar: float, where: str) -> None:
        body.append([what, f"{figure:.2f}", f"{bar:g}", _verdict(figure >= bar), where])

    large = {(row["source"], row["target"]): row for row in parts.get("pairs_64m", [])}
    if large:
        speed = {pair: row["ratio"]["torch"]["median"] for pair, row in large.items()}
        worst = min(speed, key=speed.__getitem__)
        n_under = sum(value < NEVER_UNDER for value in speed.values())
        where = f"{' -> '.join(worst)}; {n_under} of {len(speed)} under the bar"
        add("every pair, large, times torch's copy_: least", speed[worst], NEVER_UNDER, where)
        for fp8 in _FP8:  # torch decodes float8_e5m2 as float16 with eight bits fewer
            decode = {pair: v for pair, v in speed.items() if pair[0] == fp8 and pair[1] in _FLOATS}
            encode = {pair: v for pair, v in speed.items() if pair == ("float16", fp8)}
            for name, group, bar in (
                (f"{fp8} to float32, float16, bfloat16, times torch: least", decode, DECODE_BAR),
                (f"float16 -> {fp8}, times torch", encode, ENCODE_BAR),
            ):
                if group:
                    least = min(group, key=group.__getitem__)
                    add(name, group[least], bar, " -> ".join(least))
        mean = _mean(list(speed.values()))
        add("every pair, large, times torch: geometric mean", mean, MEAN_BAR, f"{len(speed)} pairs")
    if parts.get("pairs_64k"):
        rows = parts["pairs_64k"]
        least_row = min(rows, key=lambda row: row["ratio"]["torch"]["median"])
        n_under = sum(row["ratio"]["torch"]["median"] < RESIDENT_BAR for row in rows)
        where = f"{_pair(least_row)}; {n_under} of {len(rows)} under the bar"
        figure = least_row["ratio"]["torch"]["median"]
        add("every pair, 64K in the L2 cache, times torch: least", figure, RESIDENT_BAR, where)
    for key, title in _DETAILS:
        groups: dict[tuple[str, float], list[Row]] = {}
        for row in parts.get(key, []):
            if row["bar"] is not None:
                kind = f", {row['stores']} stores" if "stores" in row else ""
                kind += f", {row['what'].partition(':')[0]}" if key == "raise" else ""
                kind += f", {row['what']}" if key in ("lists", "images") else ""
                name = f"{title}{kind}: against {row['against']}"
                groups.setdefault((name, row["bar"]), []).append(row)
        for (name, bar), group in groups.items():
            least_row = min(group, key=lambda row: row["ratio"][row["against"]]["median"])
            n_under = sum(row["ratio"][row["against"]]["median"] < bar for row in group)
            count = f"; {n_under} of {len(group)} under the bar" if len(group) > 1 else ""
            figure = least_row["ratio"][least_row["against"]]["median"]
            add(
                f"{name}: least" if len(group) > 1 else name, figure, bar, least_row["what"] + count
            )
    cuda = [row for row in parts.get("cuda", []) if "skipped" not in row]
    for name in ("tensorcast", "with Loss") if cuda else ():
        least_row = min(cuda, key=lambda row: row["of_copy"][name]["median"])
        figure = least_row["of_copy"][name]["median"]
        add(f"GPU, {name}, of the device's copy: least", figure, least_row["bar"], _pair(least_row))
    return _table(["", "figure", "bar", "reached", "where"], body)


def _pairs_tables(rows: Sequence[Row]) -> str:
    text = ""
    names = list(dict.fromkeys(row[end] for end in ("source", "target") for row in rows))
    for against, title in (
        ("torch", "Times as fast as torch's copy_"),
        ("numpy", "Times as fast as NumPy and ml_dtypes"),
        ("memcpy", "Of memcpy's speed"),
    ):
        found = {(row["source"], row["target"]): row["ratio"][against]["median"] for row in rows}
        body = [
            [f"**{source}**"]
            + [f"{found[source, to]:.2f}" if (source, to) in found else "" for to in names]
            for source in names
        ]
        mean = _mean(list(found.values()))
        text += f"{title}; geometric mean {mean:.2f}, least {min(found.values()):.2f}:\n\n"
        text += _table(["from \\ to", *names], body) + "\n"
    spreads = [row["ratio"]["torch"] for row in rows]
    widest = max((value["max"] - value["min"]) / value["median"] for value in spreads)
    middle = sorted((value["max"] - value["min"]) / value["median"] for value in spreads)
    text += (
        f"Spread of the ratio to torch over the rounds, most less least by median: "
        f"{middle[len(middle) // 2]:.0%} in the middle, {widest:.0%} at most.\n"
    )
    wrong = [row for row in rows if any(row.get("n_differ", {}).values())]
    if wrong:
        listed = "; ".join(
            f"{_pair(row)} ({', '.join(f'{k} {v}' for k, v in row['n_differ'].items() if v)})"
            for row in wrong
        )
        text += (
            "\nElements which the others make otherwise than the contract says, of "
            f"{rows[0]['n_elements']} ordinary ones: {listed}.\n"
        )
    return text


def _rows_table(rows: Sequence[Row]) -> str:
    body = []
    for row in rows:
        bar = row["bar"]
        for against, value in row["ratio"].items():
            seconds = row["seconds"]
            held = bar is not None and against == row["against"]
            ours = seconds.get("tensorcast", next(iter(seconds.values())))["median"]
            theirs = seconds[against]["median"] if against in seconds else math.nan
            body.append(
                [
                    row["what"] + (f", {row['stores']}" if "stores" in row else ""),
                    _time(ours),
                    f"{against}, {_time(theirs)}",
                    _range(value),
                    f"{bar:g}" if held else "",
                    _verdict(value["median"] >= bar) if held else "",
                ]
            )
        if not row["ratio"]:
            body.append([row["what"], "", "", "", "", ""])
    header = ["", "tensorcast", "against", "times as fast", "bar", "reached"]
    return _table(header, body)


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _threads_table(rows: Sequence[Row]) -> str:
    counts = list(rows[0]["speedup"])
    body = [
        [
            _pair(row),
            f"{row['n_elements']:,}",
            f"{row['n_bytes'] / 2**20:.2f}",
            *(_range(row["speedup"][count]) for count in counts[1:]),
        ]
        for row in rows
    ]
    text = _table(["", "elements", "MiB", *(f"{count} threads" for count in counts[1:])], body)
    if len(counts) == 1:
        return text + "\nThis machine has one core: there is nothing to scale over.\n"
    lines = []
    for pair in dict.fromkeys(map(_pair, rows)):
        theirs = [row for row in rows if _pair(row) == pair]
        pays = None  # from here on, each size
        for row in reversed(theirs):
            if row["speedup"][counts[-1]]["median"] < 1.1:
                break
            pays = row
        size = f"{pays['n_bytes'] / 2**20:.2f} MiB" if pays else "no size measured"
        lines.append(f"{pair} from {size}")
    return (
        text + f"\nThreads pay (1.1 times as fast, and at every larger size): {'; '.join(lines)}.\n"
    )


def _cuda_table(rows: Sequence[Row]) -> str:
    if "skipped" in rows[0]:
        return f"Skipped: {rows[0]['skipped']}.\n"
    body = [
        [
            _pair(row),
            *(_range(row["of_copy"][name]) for name in ("tensorcast", "with Loss")),
            _verdict(min(v["median"] for v in row["of_copy"].values()) >= row["bar"]),
            *(_range(row["ratio"][name]) for name in ("torch", "torch.compile")),
        ]
        for row in rows
    ]
    header = ["", "of the device's copy", "with Loss", f"both {rows[0]['bar']}", "times torch"]
    return _table([*header, "times torch.compile"], body)
