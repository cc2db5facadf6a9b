"""All benchmarks, one after another: `python -m bench`, what `make bench` runs."""

from __future__ import annotations

import argparse

from . import convert, kernels, startup


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.parse_args()
    startup.main([])
    convert.main([])
    kernels.main([])


if __name__ == "__main__":
    main()
