"""The command line, for tests that hold Python's face beside it."""

from cli.program import tensorcast

__all__ = ["tensorcast"]
