"""Fixtures for pytest: import them into a conftest.py, or into the test file itself.

from ..testing.fixtures import no_hidden_casts

def test_the_model_stays_in_its_dtype(no_hidden_casts):
    model(inputs)
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..model.trace.tracing import Trace, trace


@pytest.fixture
def no_hidden_casts() -> Iterator[Trace]:
    """Fails the test that casts, moves or waits where it need not: with what `tensorcast.trace`
    finds, lines and ways out.

    Yields the trace; its `findings` are there when the test has ended.
    """
    with trace() as traced:
        yield traced
    if traced.findings:
        pytest.fail(str(traced), pytrace=False)
