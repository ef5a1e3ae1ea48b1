"""genloom: train, judge and use the classic generative models on your own data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genloom.api import fit, load
    from genloom.core.random import Noise
    from genloom.data import load as load_data
    from genloom.errors import InputError
    from genloom.measures.mechanisms import known_mask
    from genloom.train.request import Request
    from genloom.train.run import Run
    from genloom.train.session import prepare
    from genloom.use.judging.judge import judge
    from genloom.use.tables.imputers import GAINImputer, TableImputer

__all__ = [
    "GAINImputer",
    "InputError",
    "Noise",
    "Request",
    "Run",
    "TableImputer",
    "fit",
    "judge",
    "known_mask",
    "load",
    "load_data",
    "prepare",
]

_HOMES = {
    "GAINImputer": "use.tables.imputers:GAINImputer",
    "InputError": "errors:InputError",
    "Noise": "core.random:Noise",
    "Request": "train.request:Request",
    "Run": "train.run:Run",
    "TableImputer": "use.tables.imputers:TableImputer",
    "fit": "api:fit",
    "judge": "use.judging.judge:judge",
    "known_mask": "measures.mechanisms:known_mask",
    "load": "api:load",
    "load_data": "data:load",
    "prepare": "train.session:prepare",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `genloom --help` must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'genloom' has no attribute {name!r}")
    from importlib import import_module

    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(f"genloom.{module}"), attribute)


def __dir__() -> list[str]:
    """Return the public names, imported or not: for tab completion."""
    return sorted(__all__)
