"""The HTML report as a text: what is in it, what cannot be, and how large it gets."""

from __future__ import annotations

import html.parser
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report.made import (
    HOSTILE,
    a_hostile_profile,
    a_hostile_trace,
    a_large_profile,
    a_long_trace,
    a_profile,
    a_trace,
)

import tensorcast as tc
from tensorcast.errors import DestinationError
from tensorcast.model.trace.tracing import Trace
from tensorcast.report.html.embedding import MAX_NAME, Texts, as_json, short_path, shown, within
from tensorcast.report.html.page import BEGIN, MAX_BYTES, page


class Reader(html.parser.HTMLParser):
    """Reads a page as a browser does, near enough: every tag with its attributes, every text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "img", "input"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        where = self._open[-1] if self._open else ""
        self.texts[where] = self.texts.get(where, "") + data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def embedded(text: str) -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    value: dict[str, Any] = json.loads(found)
    return value


def lines_of(text: str) -> list[dict[str, Any]]:
    trace = embedded(text)["trace"]
    return [dict(zip(trace["columns"], row, strict=True)) for row in trace["rows"]]


def test_lines_are_joined_and_the_most_expensive_come_first() -> None:
    text = page(a_trace(), title="train.py")
    rows = lines_of(text)
    texts = embedded(text)["trace"]["texts"]
    named = [(texts[row["file"]], row["line"], row["count"], row["read"]) for row in rows]
    assert named == [
        ("/code/b.py", 20, 1, 36),  # wrong values before cost
        ("/code/b.py", 7, 2, 8_000_000),
        ("/code/a.py", 3, 20, 44_000),
        ("/code/c.py", 100, 5, 20),
    ]
    assert [row["findings"] for row in rows] == [[0], [1], [2], []]
    assert rows[2]["n"] == 2
    assert [texts[member[1]] for member in rows[2]["members"]] == [
        "encoder.layer.0.weight", "encoder.layer.1.weight",
    ]  # fmt: skip
    assert "<title>train.py - tensorcast</title>" in text


def test_the_timeline_has_every_event_in_order() -> None:
    trace = a_trace()
    flat = embedded(page(trace))["trace"]["timeline"]["flat"]
    events = [flat[i : i + 4] for i in range(0, len(flat), 4)]
    at, times = 0, []
    for since, _, _, _ in events:
        at += since
        times.append(at)
    assert times == [round(at * 1e6) for at, _, _ in trace.timeline]
    assert {tuple(event[2:]) for event in events} == {(0, 1), (1, 1), (2, 1), (3, 1)}


def test_findings_stand_in_the_page_itself() -> None:
    reader = Reader(page(a_trace()))
    heads = [
        attributes for attributes in reader.of("li") if "finding" in (attributes["class"] or "")
    ]
    assert [head["id"] for head in heads] == ["finding-1", "finding-2", "finding-3"]
    assert heads[0]["class"] == "finding wrong"
    assert "2 values lie outside float16" in reader.texts["h3"]
    assert "scale before the cast" in reader.texts["dd"]
    assert "/code/b.py:20" in reader.texts["span"]
    assert 'class="clean">No findings' in page(Trace())
    links = [a for a in reader.of("a") if (a["href"] or "").startswith("#finding-")]
    assert [link["href"] for link in links] == [f"#finding-{n}" for n in (1, 2, 3)]


def test_a_report_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="none was given"):
        tc.write_report(tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_a_line_leads_to_all_of_its_findings() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with tc.trace() as trace:
        torch.tensor([1e6, 1e-9]).half()
    assert [finding.rule for finding in trace.findings] == ["overflow", "underflow"]
    assert [row["findings"] for row in lines_of(page(trace))] == [[0, 1]]
    assert not any(finding.saves for finding in trace.findings)  # values, no cost
    assert "<dt>Saves</dt>" not in page(trace)


def test_no_network_by_policy_and_by_content() -> None:
    reader = Reader(page(a_trace()))
    (policy,) = (
        meta["content"] or ""
        for meta in reader.of("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", rules["script-src"])
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", rules["style-src"])
    for tag, attributes in reader.tags:
        assert not {"src", "srcset", "style", "data", "action"} & attributes.keys(), (
            tag,
            attributes,
        )
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert (attributes.get("href") or "#").startswith("#"), (tag, attributes)
    assert not re.search(r"url\(|@import|\bfetch\(|XMLHttpRequest|innerHTML", page(a_trace()))


def test_hostile_names_are_texts() -> None:
    plain = Reader(page(a_trace()))
    hostile = Reader(page(a_hostile_trace(), title=HOSTILE[0]))
    assert {tag for tag, _ in hostile.tags} <= {tag for tag, _ in plain.tags} | {"b", "details"}
    assert len(hostile.of("script")) == 2
    texts = embedded(page(a_hostile_trace()))["trace"]["texts"]
    assert set(map(shown, HOSTILE)) <= set(texts)
    for text in texts:
        assert text.isprintable()


def test_a_page_stays_small_and_counts_what_it_leaves_out() -> None:
    text = page(a_long_trace())
    assert len(text.encode()) < MAX_BYTES == 500_000
    trace = embedded(text)["trace"]
    kept = len(trace["rows"])
    assert 100 < kept < 5000
    assert trace["left"]["lines"] == 5000 - kept
    moved = sum(row["read"] + row["written"] for row in lines_of(text))
    assert moved + trace["left"]["bytes"] == sum(i * 1500 for i in range(5000))
    assert sum(trace["timeline"]["flat"][3::4]) == 20_000  # all, some joined
    assert "cheaper findings left out" in text
    assert embedded(text)["findings"] == 5000 - 1
    long = Trace()
    long.sites = a_long_trace(2).sites
    assert len(page(long, title="n" * 10_000_000)) < 100_000


def test_the_budgets_add_up() -> None:
    from tensorcast.report.html import finding_list, profile_part, trace_part

    budgets = [
        finding_list.MAX_BYTES, profile_part.SIZES_BYTES, profile_part.TENSORS_BYTES,
        trace_part.LINES_BYTES, trace_part.TIMELINE_BYTES,
    ]  # fmt: skip
    least = len(page(Trace()).encode())  # style and script
    assert least + sum(budgets) + 20_000 < MAX_BYTES


def test_the_same_trace_gives_the_same_bytes() -> None:
    assert page(a_trace()) == page(a_trace())


def test_a_report_is_of_what_has_one() -> None:
    from tensorcast.model.trace.graphs import GraphTrace
    from tensorcast.model.trace.tracing import Trace

    assert page(GraphTrace()) == page(Trace())
    with pytest.raises(TypeError, match=r"a report is of a trace, .* not of str"):
        page("x")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not of Trace, Trace"):
        page(Trace(), Trace())


def test_writing(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    assert tc.write_report(path, a_trace()) == path
    assert path.read_text(encoding="utf-8").startswith(BEGIN)
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    tc.write_report(path, a_trace(), title="again")  # a report is replaced
    assert "again" in path.read_text(encoding="utf-8")
    assert os.listdir(tmp_path) == ["report.html"]


def test_nothing_else_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text("print(1)\n")
    with pytest.raises(DestinationError, match=r"train\.py is no report of tensorcast"):
        tc.write_report(path, a_trace())
    assert path.read_text() == "print(1)\n"
    with pytest.raises(DestinationError, match="is a directory; name a file in it"):
        tc.write_report(tmp_path, a_trace())
    with pytest.raises(DestinationError, match=r"there is no directory .*nowhere; make it first"):
        tc.write_report(tmp_path / "nowhere" / "r.html", a_trace())
    assert os.listdir(tmp_path) == ["train.py"]


def test_sentences_keep_their_long_names() -> None:
    what = f"float16: {'decoder.layers.12.' * 12}output reaches 100,000, beyond 65,504"
    finding = replace(a_profile().findings[0], what=what, saves="")
    text = page(replace(a_profile(), findings=(finding,)))
    assert what in text
    assert "<dt>Saves</dt>" not in text


def test_long_names_are_cut_in_their_middle() -> None:
    name = shown("a" * 1000 + "b" * 1000)
    assert len(name) == MAX_NAME
    assert name.startswith("aaa")
    assert name.endswith("bbb")


@pytest.mark.parametrize("text", HOSTILE)
def test_json_steers_no_parser(text: str) -> None:
    made = as_json({text: [text]})
    assert made.isascii()
    assert not set(made) & set("<>&\n\u2028")
    assert json.loads(made) == {text: [text]}


def test_rows_within_a_budget_count_their_texts() -> None:
    texts = Texts()
    rows = within(([texts("x" * 200 + str(i))] for i in range(100)), texts, 2000)
    assert len(rows) == 2000 // (160 + 3 + 4 + 1)  # the text, its quotes and comma; [i] and comma
    assert within([[1]], Texts(), 1000) == [[1]]


def test_paths_are_short() -> None:
    assert short_path("/usr/lib/python3/dist-packages/torch/nn.py") == "torch/nn.py"
    assert short_path("/home/me/a/b.py", "/home/me") == "a/b.py"
    assert short_path("/home/you/b.py", "/home/me") == "/home/you/b.py"
    assert short_path("<string>") == "<string>"


def profile_of(text: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The embedded profile, and its tensors by name."""
    profile = embedded(text)["profile"]
    columns = profile["columns"]
    tensors = []
    for row in profile["tensors"]:
        tensor = dict(zip(columns["tensors"], row, strict=True))
        tensor["name"] = profile["texts"][tensor["name"]]
        if tensor["values"]:
            tensor["values"] = dict(zip(columns["values"], tensor["values"], strict=True))
        tensors.append(tensor)
    return profile, tensors


def test_a_profile_as_data() -> None:
    profile, tensors = profile_of(page(a_profile()))
    assert [tensor["name"] for tensor in tensors] == [
        "encoder.1",  # overflows
        "head.weight",  # NaN
        "head.bias",  # nothing else
        "encoder.0.weight", "encoder.1.weight",
        "head.scale",  # nothing to see
    ]  # fmt: skip
    assert [target["name"] for target in profile["targets"]] == [
        "float16", "bfloat16", "float8_e4m3fn", "int8",
    ]  # fmt: skip
    half, wide, _, scaled = profile["targets"]
    assert (half["smallest"], half["normal"], half["max"]) == (-24, -14, 15.999)
    assert (wide["smallest"], wide["normal"]) == (-133, -126)
    assert "max" not in scaled
    values = tensors[3]["values"]
    assert (values["first"], values["n"], values["zeros"], values["peak"]) == (-2, 8, 1, 1)
    # exponents -2 to 3 hold 1, 1, 1, 2, 1, 1 values: log(2) is 0.63 of log(3)
    assert values["levels"] == "ccczcc"
    assert values["peakShare"] == 0.25
    assert sum(row[6] for row in profile["sizes"]) == a_profile().n_bytes_of()


def test_a_large_profile_stays_small_and_adds_up() -> None:
    whole = a_large_profile()
    text = page(whole, a_long_trace())
    assert len(text.encode()) < MAX_BYTES
    profile, tensors = profile_of(text)
    assert sum(row[6] for row in profile["sizes"]) == whole.n_bytes_of()
    own = [row for row in profile["sizes"] if profile["texts"][row[1]].endswith((".up", ".down"))]
    assert len(own) > 200
    assert profile["smaller"] == 16_000 - len(own)
    assert min(row[6] for row in own) >= 1000 + 8000 - len(own)  # the largest have their own
    assert len(tensors) + profile["left"] == 8000
    assert len(tensors) > 100


def test_both_in_one_page_with_wrong_values_first() -> None:
    text = page(a_trace(), a_profile())
    heads = re.findall(r'<li class="finding( wrong)?" id="finding-(\d)"', text)
    assert heads == [(" wrong", "1"), (" wrong", "2"), ("", "3"), ("", "4"), ("", "5")]
    assert [row["findings"] for row in lines_of(text)] == [[0], [2], [3], []]
    reader = Reader(text)
    ids = [attributes["id"] for attributes in reader.of("section")]
    assert ids == ["findings", "sizes", "formats", "ranges", "timeline", "lines"]


def test_hostile_profiles_are_texts() -> None:
    reader = Reader(page(a_hostile_profile()))
    assert len(reader.of("script")) == 2
    assert not reader.of("img")
    profile, _ = profile_of(page(a_hostile_profile()))
    assert set(map(shown, HOSTILE)) <= set(profile["texts"])


def test_a_model_without_tensors_has_a_page() -> None:
    empty = replace(
        a_profile(), tensors=(), sizes=(), peak=None, candidates=(), findings=(), notes=()
    )
    profile, tensors = profile_of(page(empty))
    assert (profile["sizes"], tensors, profile["targets"]) == ([], [], [])
