"""The process that measures: `python -m tensorcast.capability PLAN`, as process.py starts it."""

from __future__ import annotations

import json
import os
import sys

from ..errors import TensorcastError
from ..words.units import plural
from .machine import confine, others_now, threads_left, usable_cpus
from .measuring import Plan, default_threads, measure


def main() -> None:
    """Says steps and the result as lines of JSON on what was stdout; libraries that print get
    stderr instead."""
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(**line: object) -> None:
        lines.write(json.dumps(line) + "\n")
        lines.flush()

    asked = json.loads(sys.argv[1])
    asked["parts"] = tuple(asked["parts"])
    n_threads = asked["n_threads"] or default_threads()
    taken = None if asked["n_threads"] or asked["device"] == "cuda" else others_now()
    left = threads_left(n_threads, taken)
    if left < n_threads:
        asked["fewer_threads"] = (
            f"other programs used {taken:.1f} of {plural(usable_cpus(), 'CPU')} at the start, so "
            f"{plural(left, 'thread is', 'threads are')} measured; --threads {n_threads} asks for "
            f"{n_threads}"
        )
        n_threads = left
    plan = Plan(**{**asked, "n_threads": n_threads})
    os.environ["TENSORCAST_NUM_THREADS"] = str(n_threads)  # read at the first cast
    confine(n_threads)
    try:
        found = measure(plan, lambda done, what: say(step=[done, what]))
    except TensorcastError as error:
        say(error=[type(error).__name__, str(error)])
    else:
        say(result=json.loads(found.to_json()))


if __name__ == "__main__":
    main()
