"""What the tests read off a report in the browser."""

from __future__ import annotations

from collections.abc import Callable

from browser import Browser

Open = Callable[..., Browser]
"""Opens a report: open_(trace, profile, title="", width=1280, prefers_color_scheme="dark")."""
Keep = Callable[[Browser, str], None]
"""Keeps a picture by that name."""

DARK = {"prefers_color_scheme": "dark"}
LIGHT = {"prefers_color_scheme": "light"}


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
