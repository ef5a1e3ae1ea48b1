"""`genloom explain`."""

from genloom.cli.console import RunFolder, console


def explain(run: RunFolder) -> None:
    """Say what a run's model has learnt."""
    from genloom.use.explain import explain

    from genloom.api import load

    console.print(explain(load(run)))
