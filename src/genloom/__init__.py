"""genloom: train, judge and use the classic generative models on your own data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genloom.api import Request, fit, load, prepare
    from genloom.data import load as load_data
    from genloom.errors import InputError
    from genloom.measures.mechanisms import known_mask
    from genloom.run import Run
    from genloom.tools.imputers import GAINImputer, TableImputer
    from genloom.tools.judge import judge

__all__ = ["GAINImputer", "InputError", "Request", "Run", "TableImputer", "fit", "judge", "known_mask", "load", "load_data",
           "prepare"]  # fmt: skip

_HOMES = {
    "InputError": "errors:InputError", "Request": "api:Request", "Run": "run:Run", "fit": "api:fit",
    "judge": "tools.judge:judge",    "load": "api:load", "load_data": "data:load", "prepare": "api:prepare",
    "known_mask": "measures.mechanisms:known_mask",
    "GAINImputer": "tools.imputers:GAINImputer", "TableImputer": "tools.imputers:TableImputer",
}  # fmt: skip


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
