"""Markdown of results, from their JSON alone, so that tables and numbers cannot part.

python -m bench.tables bench/results/*.json    writes the .md beside each
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .cast_tables import cast_markdown

Row = dict[str, Any]

FLOOR = 0.25  # no pair of formats under this part of the roof
MEMORY_BAR = 128 * 10**6
_CONVERT_BARS = {"tensorcast": 0.75, "tensorcast full": 1.0}  # of cp -r with fsync, at most
_FASTER_BARS = {"plain script": 2.8, "transformers": 5.0, "mergekit": 6.0}  # times, at least


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    align = ["---", *["---:"] * (len(header) - 1)]
    lines = [header, align, *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def _range(value: Row, digits: int = 2) -> str:
    return f"{value['median']:.{digits}f} ({value['min']:.{digits}f} to {value['max']:.{digits}f})"


def _verdict(holds: bool) -> str:
    return "yes" if holds else "**no**"


def _provenance(result: Row) -> str:
    machine = result["machine"]
    caches = ", ".join(f"{level} {size}" for level, size in machine["caches"].items())
    virtual = "virtual, " if machine["virtual"] else ""
    versions = {**result["versions"]}
    for name, found in result.get("contenders", {}).items():
        if isinstance(found, dict):
            named = " ".join(f"{package} {version}" for package, version in found.items())
            versions[f"in the environment of {name}"] = named
        else:
            versions[name] = found
    family = "/".join(str(value) for value in machine["cpu_family_model"])
    hardware = (
        f"{machine['cpu']} (family/model {family}; {' '.join(machine['flags'])}), {virtual}"
        f"{machine['cpus']} CPUs, {caches}, {machine['memory_gib']} GiB; Linux "
        f"{machine['kernel']}, {machine['libc']}, GLIBC_TUNABLES {machine['glibc_tunables']}, "
        f"transparent huge pages {machine['transparent_hugepages']}."
    )
    changed = f" with changes in {', '.join(result['changed'])}" if result["changed"] else ""
    named = "; ".join(f"{name} {version}" for name, version in versions.items())
    loads = f"load averages before {result['load_before']}, after {result.get('load_after')}"
    commit = f"Commit {result['commit']}{changed}; `{result['command']}`; {loads}."
    lines = [hardware, f"Versions: {named}.", commit]
    return "\n\n".join(lines) + "\n"


def _pair(row: Row) -> str:
    return f"{row['source']} -> {row['target']}"


def _hot_table(rows: Sequence[Row]) -> str:
    kernels = [name for name in rows[0]["of_roof"] if name != "torch"]
    body = []
    for row in rows:
        best = row["of_roof"][kernels[0]]["median"]
        bar, ratio, speed = row["bar"], row["of_roof"], row["gb_per_s"]
        roof = max((name for name in speed if name.startswith("roof")), key=speed.__getitem__)
        body.append(
            [
                _pair(row),
                row["overflow"],
                row["rounding"],
                "all" if row["full"] else "counts",
                f"{speed[kernels[0]]:.1f}",
                f"{speed[roof]:.1f}, {roof.removeprefix('roof, ')}",
                *(_range(ratio[name]) for name in kernels),
                _range(ratio["torch"]) if "torch" in ratio else "",
                f"{row['of_memcpy'][kernels[0]]['median']:.2f}",
                f"{bar:.2f}" if bar is not None else "",
                _verdict(best >= bar) if bar is not None else "",
            ]
        )
    return _table(
        [
            "cast", "overflow", "rounding", "Loss", f"GB/s ({kernels[0]})", "roof, GB/s",
            *(f"{name} of the roof" for name in kernels), "torch of the roof",
            f"{kernels[0]} of memcpy", "bar", "reached",
        ],
        body,
    )  # fmt: skip


def _all_table(rows: Sequence[Row]) -> str:
    kernel = next(iter(rows[0]["of_roof"]))
    twice = {
        (row["source"], row["target"]) for row in rows if not row["packed"]
    }  # of sub-byte formats
    packed = [row for row in rows if row["packed"] and (row["source"], row["target"]) in twice]
    whole = [row for row in rows if row not in packed]
    text = ""
    for title, group in (
        ("Formats of whole bytes, and sub-byte formats with a byte per code", whole),
        ("Packed sub-byte formats", packed),
    ):
        if not group:
            continue
        ordered = sorted(group, key=lambda row: row["of_roof"][kernel]["median"])
        n_under = sum(row["of_roof"][kernel]["median"] < FLOOR for row in group)
        least = ordered[0]
        text += (
            f"\n### {title}\n\n{len(group)} pairs; the slowest is {_pair(least)} at "
            f"{least['ratio'][kernel]['median']:.2f} of the roof. Under {FLOOR}: {n_under} "
            f"(none: {_verdict(n_under == 0)}).\n\n"
        )
        by_source: dict[str, list[Row]] = defaultdict(list)
        for row in group:
            by_source[row["source"]].append(row)
        body = []
        for source, theirs in by_source.items():
            theirs.sort(key=lambda row: row["of_roof"][kernel]["median"])
            middle = theirs[len(theirs) // 2]["of_roof"][kernel]["median"]
            slow = [row for row in theirs if row["of_roof"][kernel]["median"] < FLOOR]
            named = ", ".join(
                f"{row['target']} {row['ratio'][kernel]['median']:.2f}" for row in slow[:4]
            )
            more = f" and {len(slow) - 4} more" if len(slow) > 4 else ""
            least = theirs[0]
            body.append(
                [
                    source,
                    f"{middle:.2f}",
                    f"{least['ratio'][kernel]['median']:.2f}",
                    f"{least['target']}, {least['ns_per_element'][kernel]:.2f} ns",
                    named + more,
                ]
            )
        header = ["from", "median", "least", "to, time per element", f"under {FLOOR}"]
        text += _table(header, body)
    return text


def kernels_markdown(result: Row) -> str:
    """The tables of bench/kernels.py."""
    text = (
        "# Kernels against the shape roof\n\nOne thread, memory touched before and larger than the "
        "caches; bytes read plus bytes written per second, in those of the roof of the same round: "
        "the quickest of four loops that read and write the same bytes per element and do nothing "
        "else (bench/roof.py). Median (least to most) of "
        f"{result['rounds']} rounds, {result['clock']}. Every output was compared, whole, with "
        "the oracle's first.\n\n" + _provenance(result)
    )
    for key, title in (("pairs", "Pairs"), ("hot", "Hot pairs")):
        if result.get(key):
            text += f"\n## {title}\n\n" + _hot_table(result[key])
    if result.get("all"):
        loss = ", with the whole Loss" if result["all"][0]["full"] else ""
        text += f"\n## Every pair\n\nUnder the default policy{loss}.\n" + _all_table(result["all"])
    return text


def convert_markdown(result: Row) -> str:
    """The tables of bench/convert.py."""
    source = result["source"]
    text = (
        f"# Converting a checkpoint\n\n{source['n_bytes'] / 1e9:.2f} GB of float32 in "
        f"{source['n_shards']} safetensors files, {source['n_tensors']} tensors, in the page "
        f"cache, on {result['file_system']}. Whole processes, in turn, round after round: median "
        "(least to most).\n\n" + _provenance(result)
    )
    if result.get("rows"):
        text += "\n## Time\n\n"
        if "of_write" in result["rows"][0]:
            text += (
                "tensorcast and both references return when what they wrote is on the disk, the "
                "others when it is in the page cache.\n\n"
            )
        text += _time_table(result["rows"])
    if result.get("memory"):
        text += (
            "\n## Peak memory\n\nOwn: anonymous and shared pages, sampled. Mapped: resident pages "
            "of mapped files, which the kernel may take back. VmHWM: the kernel's peak of both. "
            "The 16 GB model is files with holes.\n\n" + _memory_table(result["memory"])
        )
    text += "\n## Verified before timing\n\n"
    text += "".join(f"- {name}: {what}\n" for name, what in result["verified"].items())
    for name, reason in result["not_here"].items():
        text += f"- {name} did not run: {reason.strip().splitlines()[-1]}\n"
    return text


def _time_table(rows: Sequence[Row]) -> str:
    body = []
    for row in rows:
        bar, reached = "", ""
        if row["group"] in _CONVERT_BARS:
            most = _CONVERT_BARS[row["group"]]
            bar, reached = f"at most {most} of the copy", _verdict(row["of_cp"]["median"] <= most)
        if row["name"] in _FASTER_BARS and "tensorcast_is_faster" in row:
            least = _FASTER_BARS[row["name"]]
            bar = f"at least {least} times faster"
            reached = _verdict(row["tensorcast_is_faster"]["median"] >= least)
        faster = row.get("tensorcast_is_faster")
        body.append(
            [
                row["name"],
                f"{row['median_seconds']:.2f}",
                _range(row["of_cp"], 3),
                _range(row["of_write"], 3) if "of_write" in row else "",
                f"{_range(faster, 1)}" if faster else "",
                f"{row['user_seconds']['median']:.2f}",
                f"{row['system_seconds']['median']:.2f}",
                bar,
                reached,
            ]
        )
    return _table(
        [
            "",
            "s",
            "of `cp -r`, then fsync",
            "of the bare durable write",
            "times as long as tensorcast",
            "user s",
            "system s",
            "bar",
            "held",
        ],
        body,
    )


def _memory_table(rows: Sequence[Row]) -> str:
    body = []
    for row in rows:
        ours = row["name"].startswith("tensorcast")
        body.append(
            [
                f"{row['name']}, {row['model']}",
                *(f"{row[key] / 1e6:.0f}" for key in ("own", "mapped", "high_water")),
                f"{MEMORY_BAR / 1e6:.0f}" if ours else "",
                _verdict(row["own"] <= MEMORY_BAR) if ours else "",
            ]
        )
    return _table(["", "own MB", "mapped MB", "VmHWM MB", "bar", "held"], body)


def startup_markdown(result: Row) -> str:
    """The table of bench/startup.py."""
    bar = result["bar_seconds"]
    body = [
        [
            f"`{row['name']}`",
            *(f"{row['seconds'][key] * 1000:.0f}" for key in ("median", "min", "max")),
            f"{bar * 1000:.0f}" if row["bar"] else "",
            _verdict(row["seconds"]["median"] < bar) if row["bar"] else "",
        ]
        for row in result["rows"]
    ]
    return (
        f"# Startup\n\nWhole processes, interleaved, {result['rounds']} rounds.\n\n"
        + _provenance(result)
        + "\n"
        + _table(["", "median ms", "least", "most", "bar", "held"], body)
    )


PEAK_BAR = 128 << 20  # over the larger of source and destination


def inplace_markdown(result: Row) -> str:
    """The table of bench/inplace.py."""
    usual = {
        row["case"]: row["seconds"]["median"] for row in result["rows"] if ".to()" in row["way"]
    }
    body = []
    for row in result["rows"]:
        ours = row["way"].startswith("cast_")
        over = row["peak"] - row["larger"]
        ratio = row["seconds"]["median"] / usual[row["case"]]
        body.append(
            [
                row["case"],
                f"`{row['way']}`",
                *(f"{row[key] / (1 << 20):,.0f}" for key in ("larger", "both", "peak")),
                f"{over / (1 << 20):,.0f}",
                _verdict(over <= PEAK_BAR) if ours else "",
                row["n_runs"],
                _range(row["seconds"]),
                f"{row['cpu_seconds']:.2f}",
                f"{ratio:.2f}",
                _verdict(ratio <= 1) if ours else "",
            ]
        )
    header = ["", "way", "larger MiB", "both", "peak", "over the larger", "at most 128", "runs"]
    header += ["seconds", "CPU seconds", "of `.to()`", "at most 1"]
    loads = [run["load"] for run in result["runs"]]
    return (
        "# In place\n\nA fresh process for each run, after as much free memory was touched: the "
        "largest peak (VmHWM) over what the process had before the tensor was made, and the median "
        f"time. Load averages during the runs: {min(loads):.1f} to {max(loads):.1f}.\n\n"
        + _provenance(result)
        + "\n"
        + _table(header, body)
    )


def as_tensor_markdown(result: Row) -> str:
    """The table of bench/as_tensor.py."""
    body = []
    for row in result["rows"]:
        ours, theirs = (row["seconds"][name]["median"] for name in ("tensorcast", row["against"]))
        bar = row["bar"]
        body.append(
            [
                row["what"],
                f"{ours * 1e6:,.2f}",
                f"{row['against']}, {theirs * 1e6:,.2f}",
                _range(row["ratio"]),
                "" if bar is None else f"{bar:.2g}",
                "" if bar is None else _verdict(row["ratio"]["median"] >= bar),
            ]
        )
    header = ["", "microseconds", "against", "times as fast", "at least", "reached"]
    grown = [
        [row["what"], f"{row['n_calls']:,}", f"{row['n_bytes'] / 1024:,.0f}"]
        for row in result["soak"]
    ]
    return (
        f"# as_tensor\n\n`tensorcast.as_tensor` against torch's ways in the same process, "
        f"{result['rounds']} rounds of each in turn, 1 thread for everyone; a ratio is taken "
        "within a round: median (least to most). Results were compared with torch's first. Clock: "
        f"{result['clock']}.\n\n" + _provenance(result) + "\n" + _table(header, body)
        + "\n## What the process grew by\n\n" + _table(["", "calls", "KiB"], grown)
    )  # fmt: skip


def profile_markdown(result: Row) -> str:
    """Times per element, from the cache and from memory."""
    body = []
    for row in result["pairs"]:
        bound = "memory" if row["memory"] > 1.3 * row["cache"] else "arithmetic"
        loss = "memory" if row["memory_loss"] > 1.3 * row["cache_loss"] else "arithmetic"
        times = [f"{row[name]:.3f}" for name in ("cache", "memory")]
        whole = [f"{row[name]:.3f}" for name in ("cache_loss", "memory_loss")]
        ratio = f"{row['memory'] / row['memory_loss']:.2f}"
        body.append([_pair(row), *times, bound, *whole, ratio, loss])
    header = (
        "ns per element|from the cache|from memory|bound by|"
        "with Loss, cache|memory|of without|bound by"
    )
    return (
        "# What bounds the hot kernels\n\n"
        "One thread, called from C, AVX2: 4096 elements in the first two caches, and windows of "
        f"512K elements that come from memory ({result['pages']} pages), stored around the caches. "
        "The tenth part's best of 400 turns. What the figures say of the bars stands in "
        "[bench/README.md](../README.md#what-bounds-the-kernels).\n\n"
        + _provenance(result)
        + "\n"
        + _table(header.split("|"), body)
    )


def trace_markdown(result: Row) -> str:
    """The table of bench/trace.py."""
    dtype = {True: "autocast", False: "float32"}
    body = [
        [
            f"{row['batch']} x {row['tokens']} tokens, {dtype[row['autocast']]}",
            row["n_operations"],
            row["n_events"],
            f"{row['seconds']['without']['median'] * 1e3:.1f}",
            _range(row["ratio"]["an empty mode"]),
            _range(row["ratio"]["trace"]),
            row["bar"],
            _verdict(row["ratio"]["trace"]["median"] <= row["bar"]),
        ]
        for row in result["rows"]
    ]
    header = ["forward", "operations", "events", "ms without", "times, in an empty mode"]
    header += ["times, in a trace", "at most", "reached"]
    return (
        "# What a trace costs\n\nA forward of MiniLM (6 layers, 384 wide, its real weights) under "
        f"`inference_mode`, 1 thread, {result['rounds']} rounds of each in turn; a ratio is taken "
        "within a round: median (least to most). Making the trace and reading what it saw are in "
        f"it. The output was compared with the untraced one's first, bit for bit. Clock: "
        f"{result['clock']}.\n\n" + _provenance(result) + "\n" + _table(header, body)
    )


def markdown(result: Row) -> str:
    """The tables of any result."""
    kinds = {
        "as_tensor": as_tensor_markdown,
        "cast": lambda found: cast_markdown(found, _provenance),
        "kernels": kernels_markdown,
        "convert": convert_markdown,
        "inplace": inplace_markdown,
        "startup": startup_markdown,
        "profile": profile_markdown,
        "trace": trace_markdown,
    }
    return kinds[result["what"]](result)


def save(result: Row, path: Path) -> str:
    """Write a result as JSON, a row to a line, and its tables beside; the tables."""
    members = []
    for key, value in result.items():
        text = json.dumps(value)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n  " + ",\n  ".join(json.dumps(row) for row in value) + "\n ]"
        members.append(f" {json.dumps(key)}: {text}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(members) + "\n}\n")
    table = markdown(json.loads(path.read_text()))
    path.with_suffix(".md").write_text(table)
    return table


def main() -> None:
    for name in sys.argv[1:]:
        path = Path(name)
        path.with_suffix(".md").write_text(markdown(json.loads(path.read_text())))


if __name__ == "__main__":
    main()
