"""What a model says of itself."""

from genloom.core.capabilities import Explains
from genloom.errors import InputError


def explain(model):
    """Return what a model says of itself."""
    if not isinstance(model, Explains):
        raise InputError(f"{type(model).__name__.lower()} does not say what it has learnt")
    return model.explain()
