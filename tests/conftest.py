"""What every test shares: the full run's option, and where the real weights are.

`make test` runs everything but the tests marked `exhaustive`; `make test-exhaustive` passes
`--exhaustive` and runs those too. What a test lacks (torch, transformers, the weights, an
instruction set) it skips by name, with the reason; pytest prints the list.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "build" / "weights" / "all-MiniLM-L6-v2"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exhaustive",
        action="store_true",
        help="run the tests marked exhaustive too (minutes to hours)",
    )
    parser.addoption(
        "--screenshots",
        metavar="DIRECTORY",
        help="keep pictures of the HTML reports there, to look at",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what it runs in the background with SIGINT ignored, and every process below
    # inherits that; the tests of interruptions send it to themselves and to others.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "exhaustive: only in the full run, `--exhaustive`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect, rather than skip, what belongs to the full run: it lacks nothing."""
    if config.getoption("--exhaustive"):
        for item in items:
            if item.get_closest_marker("exhaustive"):
                item.add_marker(pytest.mark.timeout(0))
        return
    full = [item for item in items if item.get_closest_marker("exhaustive")]
    if full:
        config.hook.pytest_deselected(items=full)
        items[:] = [item for item in items if not item.get_closest_marker("exhaustive")]


@pytest.fixture(scope="session")
def exhaustive(pytestconfig: pytest.Config) -> bool:
    """Whether this is the full run, for a test that only widens its sample there."""
    return bool(pytestconfig.getoption("--exhaustive"))


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The directory of MiniLM's float32 weights, as `make demo` fetches it; never written to."""
    if not (WEIGHTS / "model.safetensors").is_file():
        pytest.skip(f"the MiniLM weights are not in {WEIGHTS.relative_to(ROOT)}: run `make demo`")
    return WEIGHTS
