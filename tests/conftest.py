"""What every test shares: how much of all is run, and where the real weights are.

`make test` runs everything but the tests marked `exhaustive`; `make test-exhaustive` passes
`--exhaustive` and runs those too. `make test-quick` passes `--quick`, for work: of each test the
first and the last of its cases, and none marked `slow`. What a test lacks (torch, transformers, the
weights, an instruction set) it skips by name, with the reason; pytest prints the list.
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
        "--quick",
        action="store_true",
        help="of each test the first and the last of its cases, and no test that takes long",
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
    config.addinivalue_line("markers", "slow: takes many seconds, not in the quick run, `--quick`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect, rather than skip, what belongs to the full run: it lacks nothing."""
    if config.getoption("--exhaustive"):
        for item in items:
            if item.get_closest_marker("exhaustive"):
                item.add_marker(pytest.mark.timeout(0))
        return
    left = [item for item in items if item.get_closest_marker("exhaustive")]
    if config.getoption("--quick"):
        left += _left_by_the_quick_run([item for item in items if item not in set(left)])
    if left:
        config.hook.pytest_deselected(items=left)
        gone = set(left)
        items[:] = [item for item in items if item not in gone]


def _left_by_the_quick_run(items: list[pytest.Item]) -> list[pytest.Item]:
    """What is slow, and of each function all cases but the first and the last."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    kept = {each for group in cases.values() for each in (group[0], group[-1])}
    return [item for item in items if item not in kept or item.get_closest_marker("slow")]


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
