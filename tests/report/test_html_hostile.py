"""Reports of hostile names and of too much, in headless Chromium."""

from __future__ import annotations

import json
import re

from browser import ELEMENT, KEYS
from report.made import (
    HOSTILE,
    a_hostile_profile,
    a_hostile_trace,
    a_large_profile,
    a_long_trace,
    a_trace,
)
from report.reading import Open


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
