"""What the notes of a run are: those that its model declares, the players' losses, and what training adds itself."""

from __future__ import annotations

from collections.abc import Sequence

from genloom.core.model import Model, Note

OWN = {"diversity": Note("distance")}


def declared_notes(model: type[Model], names: Sequence[str]) -> dict[str, Note]:
    """Return what each of these notes is, in their order; gradient norms and movements are nothing to draw.

    The loss of a single player is left out where the model notes what it is made of.
    """
    players = [name for name in names if f"grad_{name}" in names]
    losses = {name: Note("loss", name) for name in players} if len(players) > 1 or not model.notes else {}
    known = losses | dict(model.notes) | OWN
    return {name: known[name] for name in names if name in known}
