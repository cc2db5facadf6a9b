"""An interruption, from the first line of the program to its last: exit code 3."""

from __future__ import annotations

INTERRUPTED = 3


def exit_at_once() -> None:
    """Nothing is done before a command begins, and an exception in the middle of an import may be
    lost or become another one; so an interruption ends the process then."""
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupted)


def take_interruptions() -> None:
    """From now on an interruption is a KeyboardInterrupt again: a command begins."""
    import signal

    if signal.getsignal(signal.SIGINT) is interrupted:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def interrupted(*_: object) -> None:
    import os

    os.write(2, b"error: interrupted\n")
    os._exit(INTERRUPTED)
