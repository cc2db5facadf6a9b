"""The HTML report in headless Chromium, as a person reads it: by mouse, by keyboard, by screen
reader, in both themes, on narrow and wide windows. `--screenshots DIRECTORY` keeps what it looks
like."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser import ELEMENT, KEYS, Browser, why_missing
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

missing = why_missing()
pytestmark = pytest.mark.skipif(missing is not None, reason=str(missing))

Open = Callable[..., Browser]
DARK = {"prefers_color_scheme": "dark"}
LIGHT = {"prefers_color_scheme": "light"}


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def opened(window: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens a report of what it is given; at the end nothing may have gone wrong in the page, and
    nothing may have been asked for but the file."""

    def open_(*seen: Any, title: str = "", width: int = 1280, **media: str) -> Browser:
        path = tc.write_report(tmp_path / "report.html", *seen, title=title)
        window.size(width)
        window.media(**(media or LIGHT))
        window.run("location.href = 'about:blank'")
        window.requests()
        window.log("browser")
        window.open(path)
        window.run("try { localStorage.clear() } catch {}")
        window.until("return 'ready' in document.documentElement.dataset")
        return window

    yield open_
    said = [entry["message"] for entry in window.log("browser")]
    assert said == []
    assert {url.split("/")[-1] for url in window.requests()} <= {"report.html"}


@pytest.fixture
def pictures(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Browser, str], None]:
    """Keeps a picture of the page for a person to look at."""
    chosen = request.config.getoption("--screenshots")
    directory = Path(chosen) if chosen else tmp_path
    directory.mkdir(parents=True, exist_ok=True)

    def keep(browser: Browser, name: str) -> None:
        path = directory / f"{name}.png"
        browser.picture(path)
        assert path.read_bytes().startswith(b"\x89PNG")

    return keep


def column(browser: Browser, head: str, table: str = "lines") -> list[str]:
    found: list[str] = browser.run(
        "return [...document.querySelectorAll(`#${arguments[1]}-table tbody tr`)].map("
        "(row) => row.querySelector(`td[data-head='${arguments[0]}']`).innerText.split('\\n')[0])",
        head,
        table,
    )
    return found


def sorted_by(browser: Browser, table: str = "lines") -> dict[str, str]:
    found: dict[str, str] = browser.run(
        "return Object.fromEntries([...document.querySelectorAll(`#${arguments[0]}-table "
        "th[aria-sort]`)].map((head) => [head.innerText, head.getAttribute('aria-sort')]))",
        table,
    )
    return found


def head(name: str) -> str:
    index = ["Line", "What", "Module", "Times", "Moved", "Took", "First at", "Finding"].index(name)
    return f"#lines-table th:nth-child({index + 1}) button"


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
        "/work/a.py:3", "/work/b.py:7", "/work/b.py:20", "/work/c.py:100",
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
    assert column(browser, "Line") == ["/work/a.py:3"]
    browser.run("document.getElementById('filter').value = ''")
    browser.type("nothing such")
    assert column(browser, "Line") == []
    assert "no line fits the filter" in browser.text("#lines")
    browser.click("#lines .tools button")
    assert len(column(browser, "Line")) == 4
    browser.click("#finding-2 .more button")
    assert column(browser, "Line") == ["/work/b.py:7"]
    assert "1 line of 4 in finding 2" in browser.text("#lines")
    browser.click("#lines-table td[data-head=Finding] a")
    assert browser.run("return location.hash") == "#finding-2"


def test_the_timeline_by_mouse_and_by_keyboard(opened: Open) -> None:
    browser = opened(a_trace())
    names = browser.run(
        "return [...document.querySelectorAll('.lane-name')].map((b) => b.ariaLabel)"
    )
    assert names == [
        "/work/b.py:20, cast float32 to float16: 1 event",
        "/work/b.py:7, transfer cpu to cuda:0: 2 events",
        "/work/a.py:3, cast float32 to bfloat16: 20 events",
        "/work/c.py:100, Tensor.item hands float32 to Python: 5 events",
    ]
    lane = ".lane:nth-child(4)"
    browser.click(f"{lane} .strip")
    assert "/work/a.py:3" in browser.text(".readout")
    assert browser.run("return document.querySelector('tr.chosen').innerText").startswith(
        "/work/a.py:3"
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
    assert column(browser, "Overflow", "ranges") == ["0", "\u2013", "0", "0"]
    browser.click("label[for=target-0]")
    assert column(browser, "Overflow", "ranges") == ["3", "\u2013", "0", "0"]
    browser.click("#ranges-table tbody tr:nth-child(4) button")
    assert browser.text("#range-name") == "encoder.1.weight"
    assert "4 values (50%) become 0, below half of 5.96e-08" in browser.text(".sentence")
    assert browser.run("return document.activeElement.id") == "range-name"
    browser.click("#ranges-table th:nth-child(5) button")
    browser.run("document.getElementById('filter-ranges').focus()")
    browser.type("activation")
    assert column(browser, "Largest", "ranges") == ["100,000"]
    browser.click("#ranges .tools button")
    assert column(browser, "Largest", "ranges") == ["100,000", "8", "4", "2"]


def test_a_finding_leads_to_its_values(opened: Open) -> None:
    browser = opened(a_trace(), a_profile())
    browser.click("#ranges-table tbody tr:nth-child(3) button")
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
        assert browser.label(name).strip(), html_of(browser, name)
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
def test_the_layout_holds(
    opened: Open, pictures: Callable[[Browser, str], None], width: int, theme: str
) -> None:
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


def test_print_has_the_findings_and_no_controls(
    opened: Open, pictures: Callable[[Browser, str], None]
) -> None:
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


def test_hostile_names_do_nothing(opened: Open) -> None:
    browser = opened(a_hostile_trace(), a_hostile_profile(), title=HOSTILE[0])
    assert browser.run("return document.title").startswith("</script><script>")
    assert "owned" not in browser.run("return document.title").replace("document.title='owned'", "")
    assert (
        browser.run("return document.querySelectorAll('main script, main img, svg svg').length")
        == 0
    )
    assert browser.run(
        "return [...document.querySelectorAll('*')].every((e) => [...e.attributes].every("
        "(a) => !a.name.startsWith('on')))"
    )
    for table in ("#lines-table", "#ranges-table"):
        shown = browser.text(table)
        for name in HOSTILE[:3]:
            assert name in shown
    browser.click(".lane:nth-child(2) .lane-name")
    for button in browser.all("main button"):
        browser.run("arguments[0].dispatchEvent(new MouseEvent('mouseover'))", {ELEMENT: button})
    assert "owned" not in browser.run("return document.title").replace("document.title='owned'", "")


def test_a_script_that_gets_in_does_not_run(opened: Open) -> None:
    browser = opened(a_trace())
    browser.run(
        "const s = document.createElement('script'); s.textContent = 'document.title = 1';"
        "document.body.append(s);"
        "const i = new Image(); i.src = 'https://example.org/x.png'; document.body.append(i)"
    )
    assert browser.run("return document.title") == "trace - tensorcast"
    said = [entry["message"] for entry in browser.log("browser")]
    assert len(said) == 2
    assert all("Content Security Policy" in message for message in said)
    assert browser.run("return document.querySelector('img').naturalWidth") == 0
    browser.requests()  # the picture's, which the policy blocked


def test_a_large_report_is_quick(opened: Open) -> None:
    browser = opened(a_long_trace(), a_large_profile())
    assert "left out" in browser.text("#lines")
    assert len(browser.all("#lines-table tbody tr")) == 40
    browser.click("#lines .table > button")
    n_rows = len(browser.all("#lines-table tbody tr"))
    assert n_rows > 100
    assert re.search(r"cheaper lines left out here", browser.text("#lines"))
    assert browser.run("return document.documentElement.scrollWidth") <= 1280
    browser.click("button[aria-label='Next event']")
    assert len(browser.all(".lane-name")) == 13
    shown = "return document.getElementById('finding-40').checkVisibility()"
    assert not browser.run(shown)  # folded away
    browser.run("document.querySelector('a[href=\"#finding-40\"]').click()")
    browser.until(shown)


def test_keys_are_those_of_the_protocol() -> None:
    assert len(set(KEYS.values())) == len(KEYS)
    assert json.dumps(KEYS["Tab"]) == '"\\ue004"'
