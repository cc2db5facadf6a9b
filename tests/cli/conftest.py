"""The fixtures of `program`, for every test of the command line."""

from cli.program import model, tensorcast

__all__ = ["model", "tensorcast"]
