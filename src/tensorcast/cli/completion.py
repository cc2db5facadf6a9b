"""`tensorcast completion`: the shell's completion script."""

from __future__ import annotations

import click

from .options import ChoiceType
from .terminal import write

_HOW = {
    "bash": 'eval "$(tensorcast completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(tensorcast completion zsh)" in ~/.zshrc',
    "fish": "tensorcast completion fish > ~/.config/fish/completions/tensorcast.fish",
}


@click.command("completion")
@click.argument("shell", type=ChoiceType(sorted(_HOW)))
def command(shell: str) -> None:
    """Print the script that completes commands, options and formats in SHELL.

    \b
    bash: eval "$(tensorcast completion bash)" in ~/.bashrc
    zsh:  eval "$(tensorcast completion zsh)" in ~/.zshrc
    fish: tensorcast completion fish \\
        > ~/.config/fish/completions/tensorcast.fish
    """
    from click.shell_completion import get_completion_class

    from .app import cli

    completer = get_completion_class(shell)
    assert completer is not None
    write(completer(cli, {}, "tensorcast", "_TENSORCAST_COMPLETE").source() + "\n")
