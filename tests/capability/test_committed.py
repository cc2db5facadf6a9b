"""The committed capability file: read back, and shown in docs/bench.md as it prints."""

from __future__ import annotations

import re

from conftest import ROOT

from tensorcast.capability.result import Capability

PATH = ROOT / "bench" / "results" / "capability.json"


def test_the_page_shows_what_the_file_prints() -> None:
    found = Capability.read(PATH)
    page = (ROOT / "docs" / "bench.md").read_text()
    shown = re.search(r"```text\n(CPU .*?)```", page, re.DOTALL)
    assert shown is not None
    assert shown[1].splitlines() == str(found).splitlines()
