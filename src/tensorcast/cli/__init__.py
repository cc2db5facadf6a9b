"""The command line: parse, call, print.

`main` is the console script's entry point; each command is a module of its own, loaded when it
is called.
"""

from __future__ import annotations


def main() -> None:
    """Runs the command line of this process and exits with its code."""
    import sys

    from .app import run

    sys.exit(run(sys.argv[1:]))
