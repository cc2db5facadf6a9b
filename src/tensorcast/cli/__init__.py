"""The command line: parse, call, print.

`main` is the console script's entry point; each command is a module of its own, loaded when it
is called.
"""

from __future__ import annotations

_INTERRUPTED = 3


def main() -> None:
    """Runs the command line of this process and exits with its code.

    An interruption is exit code 3 from the first line on, while modules are still imported too.
    """
    import os
    import sys

    try:
        _exit_at_once()
        _open_standard_streams()
        from .app import run

        code = run(sys.argv[1:])
        if code != _INTERRUPTED:
            sys.exit(code)
    except KeyboardInterrupt:  # before `run` could answer it, or once more while it did
        _interrupted()
    os._exit(_INTERRUPTED)  # all is said and tidied up; the interpreter's own end is interruptible


def _exit_at_once() -> None:
    """Nothing is done before a command begins, and an exception in the middle of an import may be
    lost or become another one; so an interruption ends the process then."""
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)


def take_interruptions() -> None:
    """From now on an interruption is a KeyboardInterrupt again: a command begins."""
    import signal

    if signal.getsignal(signal.SIGINT) is _interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupted(*_: object) -> None:
    import os

    os.write(2, b"error: interrupted\n")
    os._exit(_INTERRUPTED)


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
