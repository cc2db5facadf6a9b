"""All benchmarks, one after another: `python -m bench`, what `make bench` runs."""

from __future__ import annotations

import argparse

from . import as_tensor, cast, convert, inplace, kernels, startup, trace
from .machine import RESULTS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.parse_args()
    startup.main([])
    convert.main(["--no-memory"])
    kernels.main([])
    cast.main([])
    inplace.main([])
    as_tensor.main([])
    trace.main([])
    convert.main(["--no-time", "--out", str(RESULTS / "memory.json")])


if __name__ == "__main__":
    main()
