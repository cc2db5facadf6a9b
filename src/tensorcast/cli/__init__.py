"""The command line: parse, call, print.

`main` is the console script's entry point; each command is a module of its own, loaded when it
is called.
"""

from __future__ import annotations


def main() -> None:
    """Runs the command line of this process and exits with its code.

    An interruption is exit code 3 from the first line on, while modules are still imported too.
    """
    import os
    import sys

    from .interruption import INTERRUPTED, exit_at_once, interrupted

    try:
        exit_at_once()
        _open_standard_streams()
        from .app import run

        code = run(sys.argv[1:])
        if code != INTERRUPTED:
            sys.exit(code)
    except KeyboardInterrupt:  # before `run` could answer it, or once more while it did
        interrupted()
    os._exit(INTERRUPTED)  # all is said and tidied up; the interpreter's own end is interruptible


def _open_standard_streams() -> None:
    """A program may be started without them (`>&-`): the next file that is opened would be taken
    for standard output, and Python has None in its place."""
    import os
    import sys

    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
