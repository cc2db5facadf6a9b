"""A trace's report in headless Chromium: figures, sorting, filter, timeline; mouse and keyboard."""

from __future__ import annotations

import pytest
from report.made import a_trace
from report.reading import Open, column, head, sorted_by

import tensorcast as tc


def test_figures_and_findings(opened: Open) -> None:
    browser = opened(a_trace(), title="train.py --epochs 1")
    assert browser.text("h1") == "train.py --epochs 1"
    figures = browser.text("#figures").split("\n")
    assert dict(zip(figures[::2], figures[1::2], strict=True)) == {
        "Findings": "3", "Events": "28", "Moved": "16.1 MB", "In conversions": "36.1 ms",
        "Operations": "1,234", "Run time": "800 ms",
    }  # fmt: skip
    assert "2 values lie outside float16" in browser.text("#finding-1")


def test_sorting_by_mouse(opened: Open) -> None:
    browser = opened(a_trace())
    assert sorted_by(browser) == {"Moved": "descending"}
    assert column(browser, "Moved") == ["16.0 MB", "66.0 kB", "54 B", "20 B"]
    browser.click(head("Times"))
    assert sorted_by(browser) == {"Times": "descending"}
    assert column(browser, "Times") == ["20", "5", "2", "1"]
    browser.click(head("Times"))
    assert sorted_by(browser) == {"Times": "ascending"}
    assert column(browser, "Times") == ["1", "2", "5", "20"]
    browser.click(head("Line"))
    assert sorted_by(browser) == {"Line": "ascending"}
    assert column(browser, "Line") == [
        "/code/a.py:3", "/code/b.py:7", "/code/b.py:20", "/code/c.py:100",
    ]  # fmt: skip


def test_sorting_by_keyboard(opened: Open) -> None:
    browser = opened(a_trace())
    browser.run("document.querySelector(arguments[0]).focus()", head("Module"))
    browser.press("Tab", "Enter")
    assert sorted_by(browser) == {"Times": "descending"}
    browser.press("Space")
    assert sorted_by(browser) == {"Times": "ascending"}
    browser.chord("Shift", "Tab")
    browser.press("Enter")
    assert sorted_by(browser) == {"Module": "ascending"}
    assert browser.text("[role=status].unseen") == "sorted by Module, ascending"


def test_the_filter_and_the_lines_of_a_finding(opened: Open) -> None:
    browser = opened(a_trace())
    browser.run("document.getElementById('filter').focus()")
    browser.type("bfloat16 a.py")
    assert column(browser, "Line") == ["/code/a.py:3"]
    browser.run("document.getElementById('filter').value = ''")
    browser.type("nothing such")
    assert column(browser, "Line") == []
    assert "no line fits the filter" in browser.text("#lines")
    browser.click("#lines .tools button")
    assert len(column(browser, "Line")) == 4
    browser.click("#finding-2 .more button")
    assert column(browser, "Line") == ["/code/b.py:7"]
    assert "1 line of 4 in finding 2" in browser.text("#lines")
    browser.click("#lines-table td[data-head=Finding] a")
    assert browser.run("return location.hash") == "#finding-2"


def test_the_timeline_by_mouse_and_by_keyboard(opened: Open) -> None:
    browser = opened(a_trace())
    assert [browser.label(name) for name in browser.all(".lane-name")] == [
        "b.py:20 float32 \u2192 float16 , cast: 1 event",
        "b.py:7 cpu \u2192 cuda:0 , transfer: 2 events",
        "a.py:3 float32 \u2192 bfloat16 , cast: 20 events",
        "c.py:100 float32 \u2192 Python , wait: 5 events",
    ]
    lane = ".lane:nth-child(4)"
    browser.click(f"{lane} .strip")
    assert "/code/a.py:3" in browser.text(".readout")
    assert browser.run("return document.querySelector('tr.chosen').innerText").startswith(
        "/code/a.py:3"
    )
    browser.run("document.querySelector(arguments[0]).click()", ".lane:nth-child(3) button")
    browser.run("document.querySelector(arguments[0]).focus()", ".lane:nth-child(3) button")
    browser.press("Tab", "Enter")
    assert browser.run("return document.activeElement.ariaPressed") == "true"
    for key, at in (
        ("Right", "120 ms"),
        ("Right", "150 ms"),
        ("Left", "120 ms"),
        ("Left", "100 ms"),
    ):
        browser.press(key)
        assert browser.text(".readout").startswith(at)
    browser.press("Left")  # the first one stays
    assert browser.text(".readout").startswith("100 ms")
    browser.run("document.querySelector('.lane:nth-child(2) button').click()")
    assert browser.text(".readout").startswith("500 ms")
    browser.run("document.querySelector('.lane:nth-child(3) button').click()")
    browser.click("button[aria-label='Next event']")
    assert browser.text(".readout").startswith("650 ms")
    assert "took 15.0 ms" in browser.text(".readout")
    browser.click("button[aria-label='Previous event']")
    assert browser.text(".readout").startswith("600 ms")

    def axis() -> object:
        return browser.run("return document.querySelector('.axis').textContent")

    whole = axis()
    browser.click("button[aria-label='Zoom in']")
    assert axis() != whole
    browser.click("button[aria-label='Whole timeline']")
    assert axis() == whole
    browser.drag(f"{lane} .strip", 0.25, 0.5)
    assert axis() != whole
    browser.run("document.querySelector(\"button[aria-label='Later']\").focus()")
    before = axis()
    browser.press("Enter")
    assert axis() != before


def test_what_torch_really_did(opened: Open) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    x = torch.ones(4, 16)
    with tc.trace(model) as t, torch.autocast("cpu", torch.bfloat16):
        for _ in range(3):
            loss = model(x).float().sum()
            loss.backward()
    with torch.no_grad():
        p = tc.profile(model, x)
    browser = opened(t, p)
    (line,) = {finding.called_from or finding.where for finding in t.findings}
    assert f":{line.line}" in browser.text("#finding-1 .at")
    assert int(browser.text("#figures dl:last-child dd").replace(",", "")) == sum(
        site.count for site in t.sites
    )
    assert browser.text("#figures dl:first-child div:nth-child(2) dd") == "616 B"
    assert browser.text("#range-name") in {tensor.name for tensor in p.tensors}
    browser.click("#ranges-table tbody tr:last-child button")
    browser.click(".lane-name")
    browser.click("button[aria-label='Next event']")
    assert browser.text(".readout")


def test_values_that_become_0_stand_with_their_rows() -> None:
    torch = pytest.importorskip("torch")
    from tensorcast.report.html.trace_part import _belongs

    x = torch.full((9,), 1e-9)
    with tc.trace() as t:
        x.half()
    (finding,) = t.findings
    assert finding.rule == "underflow"
    assert [_belongs(site, finding) for site in t.sites] == [True]
