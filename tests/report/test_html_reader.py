"""Reports for every reader: by keyboard, by screen reader, in both themes, still, narrow, on paper.

`--screenshots DIRECTORY` keeps what it looks like.
"""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from browser import ELEMENT, Browser
from report.made import a_profile, a_trace
from report.reading import DARK, LIGHT, Keep, Open


def tab_stops(browser: Browser, most: int = 300) -> dict[str, float]:
    """Every element that Tab reaches, in order, and how wide its outline is then."""
    browser.run("document.activeElement.blur(); scrollTo(0, 0)")
    found: dict[str, float] = {}
    for _ in range(most):
        browser.press("Tab")
        element, width = browser.run(
            "const e = document.activeElement, s = getComputedStyle(e);"
            "return [e, s.outlineStyle === 'none' ? 0 : parseFloat(s.outlineWidth)]"
        )
        name = element[ELEMENT]
        if name in found or browser.run("return document.activeElement === document.body"):
            return found
        found[name] = width
    raise AssertionError("Tab never comes round")


def html_of(browser: Browser, element: str) -> str:
    return str(browser.run("return arguments[0].outerHTML", {ELEMENT: element}))


def test_every_control_is_reached_named_and_shown(opened: Open) -> None:
    browser = opened(a_profile(), a_trace())
    browser.run("for (const d of document.querySelectorAll('details')) d.open = true")
    stops = tab_stops(browser)
    for name, width in stops.items():
        assert width >= 2, html_of(browser, name)
    controls = {
        name
        for name in browser.all("button, a[href], input:not([type=radio]), input:checked, summary")
        if browser.run("return arguments[0].checkVisibility()", {ELEMENT: name})
    }
    assert controls <= set(stops)
    for name in controls:
        role = browser.role(name)
        label = browser.label(name)
        assert label.strip(), html_of(browser, name)
        # what one sees is what one says to a computer that listens: WCAG 2.2, 2.5.3
        seen = browser.run(
            "const e = arguments[0].cloneNode(true);"
            "for (const x of e.querySelectorAll('[aria-hidden=true]')) x.remove();"
            "return e.textContent",
            {ELEMENT: name},
        )
        assert set(re.findall(r"\w+", seen)) <= set(re.findall(r"\w+", label)), (seen, label)
        assert role in {
            "button", "link", "switch", "searchbox", "radio", "DisclosureTriangle",
        }, role  # fmt: skip


def test_a_screen_reader_is_told_the_structure(opened: Open) -> None:
    browser = opened(a_trace(), a_profile())
    assert browser.run("return document.documentElement.lang") == "en"
    levels = browser.run(
        "return [...document.querySelectorAll('h1,h2,h3,h4')].map((e) => +e.tagName[1])"
    )
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    for selector, role in (
        ("main", "main"), ("nav", "navigation"), ("section", "region"), ("#lines-table", "table"),
        ("#lines-table th", "columnheader"), ("#lines-table td", "cell"),
        ("#lines-table tr", "row"),
        ("ol.findings", "list"), ("figure", "figure"), ("[role=switch]", "switch"),
    ):  # fmt: skip
        assert browser.role(browser.one(selector)) == role, selector
    for section in browser.all("section"):
        assert browser.label(section)
    # a picture is hidden from the reader, and its figure says where the same stands as a table
    assert browser.run(
        "return [...document.querySelectorAll('svg')].every((e) => e.closest('[aria-hidden=true]') "
        "|| e.getAttribute('role') === 'img' && e.ariaLabel)"
    )
    assert "table below" in browser.text("#timeline figcaption")
    assert browser.label(browser.one("#filter")) == "Filter"
    assert browser.label(browser.one("[role=switch]")) == "Dark theme"
    assert browser.run(
        "return [...document.querySelectorAll('dl > *')].every((e) => "
        "['DT', 'DD'].includes(e.tagName) || e.querySelector(':scope > dt'))"
    )
    scrolls = (
        "return [...document.querySelectorAll('main *')].filter((e) => e.tabIndex < 0 && "
        "e.scrollHeight > e.clientHeight + 2 && ['auto', 'scroll'].includes("
        "getComputedStyle(e).overflowY)).map((e) => e.outerHTML.slice(0, 90))"
    )
    assert browser.run(scrolls) == []
    ids = browser.run("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const rgb = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return canvas.getImageData(0, 0, 1, 1).data;
};
const luminance = (c) => {
  const [r, g, b] = [...c].slice(0, 3).map((v) => v / 255).map(
    (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (e) => {
  for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor);
    if (c[3] === 255) return c;
  }
  return [255, 255, 255];
};
const ratio = (a, b) => {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05);
};
const found = [];
for (const e of document.querySelectorAll("body *")) {
  if (!e.checkVisibility() || e.closest("script, .unseen, .skip")) continue;
  const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const style = getComputedStyle(e);
  if (text) {
    const colour = e.namespaceURI.endsWith("svg") ? style.fill : style.color;
    const r = ratio(rgb(colour), behind(e));
    if (r < 4.5) found.push([r.toFixed(2), e.outerHTML.slice(0, 120)]);
  } else if (e.tagName === "path" && style.fill !== "none") {
    const drawn = [style.fill, ...(style.stroke === "none" ? [] : [style.stroke])];
    const r = Math.max(...drawn.map((colour) => ratio(rgb(colour), behind(e))));
    if (r < 3) found.push([r.toFixed(2), e.parentElement.outerHTML.slice(0, 120)]);
  }
}
return found;
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast(opened: Open, theme: str) -> None:
    """Text 4.5 to 1, marks 3 to 1: WCAG 2.2, success criteria 1.4.3 and 1.4.11."""
    browser = opened(a_trace(), a_profile(), prefers_color_scheme=theme)
    assert browser.run(CONTRAST) == []


def background(browser: Browser) -> str:
    return str(browser.run("return getComputedStyle(document.body).backgroundColor"))


def test_the_theme_follows_the_system_until_it_is_chosen(opened: Open) -> None:
    browser = opened(a_trace(), **DARK)
    dark = background(browser)
    browser.media(**LIGHT)
    light = background(browser)
    assert dark != light
    switch = "[role=switch]"
    checked = f"return document.querySelector('{switch}').ariaChecked"
    browser.until(f"{checked} === 'false'")
    browser.click(switch)
    assert (background(browser), browser.run(checked)) == (dark, "true")
    browser.media(**DARK)
    browser.run("document.querySelector('[role=switch]').focus()")
    browser.press("Space")
    assert (background(browser), browser.run(checked)) == (light, "false")


def test_nothing_moves_where_that_is_not_wanted(opened: Open) -> None:
    browser = opened(a_trace(), a_profile(), prefers_reduced_motion="no-preference")
    moving = (
        "return [...document.querySelectorAll('*')].filter((e) => getComputedStyle(e)"
        ".transitionDuration !== '0s' || getComputedStyle(e).animationName !== 'none').length"
    )
    assert browser.run(moving) == 1  # the timeline's cursor
    browser.media(prefers_reduced_motion="reduce")
    assert browser.run(moving) == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 768, 880, 1280, 1600])
def test_the_layout_holds(opened: Open, pictures: Keep, width: int, theme: str) -> None:
    seen = (a_trace(), a_profile())
    browser = opened(*seen, title="train.py", width=width, prefers_color_scheme=theme)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    outside = browser.run(
        "return [...document.querySelectorAll('main *')].filter((e) => {"
        "const b = e.getBoundingClientRect();"
        "return e.checkVisibility() && !e.closest('.unseen') && b.width && b.right > innerWidth + 1"
        "}).map((e) => e.outerHTML.slice(0, 100))"
    )
    assert outside == []
    for table in browser.all(".table"):
        assert (
            browser.run(
                "return arguments[0].scrollWidth - arguments[0].clientWidth", {ELEMENT: table}
            )
            <= 0
        )
    pictures(browser, f"report-{width}-{theme}")


def test_print_has_the_findings_and_no_controls(opened: Open, pictures: Keep) -> None:
    browser = opened(a_trace(), a_profile(), **DARK)
    browser.media("print", **DARK)
    assert background(browser) == "rgb(255, 255, 255)"
    assert browser.run(CONTRAST) == []
    shown = "return [...document.querySelectorAll(arguments[0])].some((e) => e.checkVisibility())"
    assert not browser.run(shown, ".tools button, nav a, [role=switch]")
    assert browser.run(shown, "#finding-1")
    pictures(browser, "report-print")
    pdf = browser.command("Page.printToPDF", printBackground=True)
    assert len(pdf["data"]) > 10_000
    browser.media()
