"""`genloom completion`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="the shell that you type in")]) -> None:
    """Print what completes commands and options in a shell.

    bash: `source <(genloom completion bash)` in ~/.bashrc; zsh: `genloom completion zsh > ~/.zfunc/_genloom`, with
    `fpath+=~/.zfunc` before compinit; fish: `genloom completion fish > ~/.config/fish/completions/genloom.fish`.
    """
    from genloom.cli.app import app

    print(app.generate_completion(shell=shell, prog_name="genloom"))
