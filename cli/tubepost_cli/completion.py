"""`tubepost completion`: what a shell needs to complete the command."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion script of a shell: commands, options, and values that are known.

    \b
    bash, in ~/.bashrc (4.4 or later):
      eval "$(tubepost completion bash)"
    zsh, in ~/.zshrc, after compinit:
      eval "$(tubepost completion zsh)"
    fish:
      tubepost completion fish > ~/.config/fish/completions/tubepost.fish
    """
    main = click.get_current_context().find_root().command
    completer = get_completion_class(shell)
    assert completer is not None
    click.echo(completer(main, {}, "tubepost", "_TUBEPOST_COMPLETE").source())
