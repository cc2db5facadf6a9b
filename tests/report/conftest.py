"""A browser for the tests of reports, and what they open in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, why_missing
from report.reading import LIGHT, Keep, Open

import tensorcast as tc


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One window for all tests; where there is no Chromium they are skipped."""
    missing = why_missing()
    if missing:
        pytest.skip(missing)
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
def pictures(request: pytest.FixtureRequest, tmp_path: Path) -> Keep:
    """Keeps a picture of the page for a person to look at."""
    chosen = request.config.getoption("--screenshots")
    directory = Path(chosen) if chosen else tmp_path
    directory.mkdir(parents=True, exist_ok=True)

    def keep(browser: Browser, name: str) -> None:
        path = directory / f"{name}.png"
        browser.picture(path)
        assert path.read_bytes().startswith(b"\x89PNG")

    return keep
