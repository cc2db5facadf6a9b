"""A profile's report in headless Chromium: drilling, ranges, formats; by mouse and by keyboard."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from browser import ELEMENT, Browser
from report.made import a_profile, a_trace
from report.reading import Open, column, sorted_by

from tensorcast.model.trace.tracing import Trace


def tiles(browser: Browser) -> list[str]:
    found: list[str] = browser.run(
        "return [...document.querySelectorAll('.tile')].map((tile) => tile.title)"
    )
    return found


def crumbs(browser: Browser) -> list[str]:
    found: list[str] = browser.run(
        "return [...document.querySelectorAll('.crumbs li')].map((item) => item.innerText)"
    )
    return found


def test_drilling_by_mouse(opened: Open) -> None:
    browser = opened(a_profile())
    assert tiles(browser) == ["encoder, 4.10 MB, 97%", "head, 108 kB, 2.6%"]
    assert column(browser, "Module", "sizes") == ["encoder", "head"]
    browser.click(".tile")
    assert crumbs(browser) == ["Net", "encoder"]
    assert tiles(browser) == ["encoder.1, 2.30 MB, 55%", "encoder.0, 1.80 MB, 43%"]
    browser.click("#sizes-table tbody tr:nth-child(2) button")
    assert crumbs(browser) == ["Net", "encoder", "encoder.0"]
    assert column(browser, "Module", "sizes") == ["optimizer, float32", "parameters, float32"]
    assert not browser.all("button.tile")  # nothing further down
    browser.click(".crumbs li:first-child button")
    assert crumbs(browser) == ["Net"]


def test_drilling_by_keyboard(opened: Open) -> None:
    browser = opened(a_profile())
    browser.run("document.querySelector('button.tile').focus()")
    browser.press("Enter")
    assert crumbs(browser) == ["Net", "encoder"]
    label = browser.label(browser.run("return document.activeElement")[ELEMENT])
    assert label.startswith("encoder: 4.10 MB.")
    assert browser.text("[role=status].unseen") == "encoder: 4.10 MB"
    browser.press("Tab", "Space")
    assert crumbs(browser) == ["Net", "encoder", "encoder.1"]
    browser.press("Escape")
    assert crumbs(browser) == ["Net", "encoder"]
    browser.press("Escape", "Escape")
    assert crumbs(browser) == ["Net"]


def test_what_is_counted_is_chosen(opened: Open) -> None:
    browser = opened(a_profile())
    toggles = browser.run(
        "return [...document.querySelectorAll('.toggle')].map((b) => b.innerText)"
    )
    assert [re.sub(r"\s+", " ", text) for text in toggles] == [
        "Parameters 1.00 MB", "Buffers 8.00 kB", "Optimizer 1.20 MB",
        "Activations at the peak 2.00 MB",
    ]  # fmt: skip
    browser.click(".tile")
    browser.click(".toggle:nth-child(4)")
    browser.click(".toggle:nth-child(3)")
    assert crumbs(browser) == ["Net", "encoder"]  # where one was
    assert column(browser, "Bytes", "sizes") == ["600 kB", "300 kB"]
    assert column(browser, "Share", "sizes") == ["60%", "30%"]
    for i in (1, 2):
        browser.click(f".toggle:nth-child({i})")
    assert tiles(browser) == []
    browser.click(".toggle:nth-child(2)")
    assert tiles(browser) == ["buffers, int64, 8.00 kB, 100%"]


def test_areas_are_bytes(opened: Open) -> None:
    browser = opened(a_profile())
    browser.click(".tile")
    areas = browser.run(
        "return [...document.querySelectorAll('.tile')].map((tile) => {"
        "const b = tile.getBoundingClientRect(); return (b.width + 2) * (b.height + 2)})"
    )
    assert areas[0] / sum(areas) == pytest.approx(2.3 / 4.1, abs=0.01)


def test_ranges_against_each_format(opened: Open) -> None:
    browser = opened(a_profile())
    assert browser.text("#range-name") == "encoder.1"
    assert browser.text(".sentence") == (
        "float16 overflows: 3 values of 8 beyond 65504; SQNR 60.0 dB"
    )
    label = browser.label(browser.one(".histogram"))
    assert label.startswith("Magnitudes of encoder.1: 2^-100 to 2^17, most, 38%, at 2^16.")
    assert len(browser.all(".histogram .bar-over")) == 1
    assert len(browser.all(".histogram .outside")) == 2
    browser.run("document.getElementById('target-0').focus()")
    browser.press("Down")
    assert browser.text(".sentence").startswith("bfloat16 fits: the range holds every value")
    assert browser.all(".histogram .bar-over") == []
    assert column(browser, "Overflow", "ranges") == ["0", "\u2013", "\u2013", "0", "0"]
    browser.click("label[for=target-0]")
    assert column(browser, "Overflow", "ranges") == ["3", "\u2013", "\u2013", "0", "0"]
    browser.click("#ranges-table tbody tr:nth-child(5) button")
    assert browser.text("#range-name") == "encoder.1.weight"
    assert "4 values (50%) become 0, below half of 5.96e-08" in browser.text(".sentence")
    assert browser.run("return document.activeElement.id") == "range-name"
    browser.click("#ranges-table th:nth-child(5) button")
    browser.run("document.getElementById('filter-ranges').focus()")
    browser.type("activation")
    assert column(browser, "Largest", "ranges") == ["100,000"]
    browser.click("#ranges .tools button")
    assert column(browser, "Largest", "ranges") == [
        "100,000", "8", "4", "2", "0",
    ]  # fmt: skip


def test_a_finding_leads_to_its_values(opened: Open) -> None:
    browser = opened(a_trace(), a_profile())
    browser.click("#ranges-table tbody tr:nth-child(4) button")
    assert browser.text("#range-name") == "encoder.0.weight"
    browser.click("#finding-2 .more button")
    assert browser.text("#range-name") == "encoder.1"
    assert len(browser.all(".finding .more button")) == 4  # `wide` is about no one tensor


def test_formats_are_judged(opened: Open) -> None:
    browser = opened(a_profile())
    assert column(browser, "Verdict", "candidates") == ["loses", "fits", "overflows"]
    browser.click("#candidates-table th:nth-child(5) button")
    assert column(browser, "Of", "candidates") == ["activations", "weights", "weights"]
    assert sorted_by(browser, "candidates") == {"Overflow": "descending"}
    assert "At the peak of the forward 2.00 MB of activations are alive" in browser.text("#sizes")
    assert "one tensor could not be seen" in browser.text("#sizes")


def test_what_is_no_number_is_shown(opened: Open) -> None:
    browser = opened(a_profile())
    browser.click("#ranges-table tbody tr:nth-child(3) button")
    assert browser.text("#range-name") == "head.bias"
    assert "1 zero (33%); 1 NaN; 1 infinite" in browser.text("#range-picture")
    label = browser.label(browser.one(".histogram"))
    assert label.startswith("Magnitudes of head.bias: none but zeros, infinities and NaN.")
    shown = browser.run("return [...document.querySelectorAll('.missing')].map((e) => e.innerText)")
    assert [text.strip(", ") for text in shown] == ["1 NaN", "1 NaN", "1 infinite"]


def test_little_to_show(opened: Open) -> None:
    nothing = replace(
        a_profile(), tensors=(), sizes=(), peak=None, candidates=(), findings=(), notes=()
    )
    browser = opened(nothing, Trace())
    assert "No findings." in browser.text("#findings")
    assert "Nothing takes memory." in browser.text("#sizes")
    assert "No tensor's values are known." in browser.text("#ranges")
    assert "Nothing happened that has a time." in browser.text("#timeline")
    no_candidates = replace(
        a_profile(),
        candidates=(),
        tensors=tuple(replace(t, losses={}) for t in a_profile().tensors),
    )
    browser = opened(no_candidates)
    assert len(column(browser, "Tensor", "ranges")) == 5
    assert browser.text(".sentence") == ""
