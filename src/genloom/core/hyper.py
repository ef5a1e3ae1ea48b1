"""Hyper-parameters: a frozen dataclass beside each model, with one source for flag, form and docs.

>>> @dataclass(frozen=True)
... class Small(Hyper):
...     width: int = hp(64, "channels of the widest layer", low=1)
>>> Small().with_values({"width": "32"}).width
32
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args, get_origin

from genloom.bounds import short
from genloom.errors import InputError, nearest

MOST = 1 << 40  # of a whole number whose hyper-parameter names no bound: counts of examples are the largest
MOST_VALUES = 100  # of a hyper-parameter that is a list


def hp(default: Any, help: str, *, low: float | None = None, high: float | None = None) -> Any:
    """Declare a hyper-parameter: its default, one line of help, and its closed range [low, high]."""
    return dataclasses.field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass(frozen=True)
class Hyper:
    """Base of every model's hyper-parameters. `Hyper()` of a model is its paper.

    Presets are class methods that take nothing and return an instance; `paper` is the defaults,
    `tiny` learns something in seconds on one core.

    Raises:
        InputError: a value lies outside its range or its choices.
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            check_value(field, hints[field.name], getattr(self, field.name))

    @classmethod
    def paper(cls) -> Self:
        """Return the values of the paper."""
        return cls()

    @classmethod
    def tiny(cls) -> Self:
        """Return values that learn something in seconds on one core."""
        return cls()

    @classmethod
    def preset(cls, name: str) -> Self:
        """Return the preset of that name, or raise InputError naming the nearest one."""
        if name not in cls.presets():
            known = cls.presets()
            raise InputError(f"there is no preset {name!r}{nearest(name, known)}: this model has {', '.join(known)}")
        return getattr(cls, name)()

    @classmethod
    def usual(cls) -> str:
        """Return the preset that is taken where nobody names one: `modern` where there is one, else `paper`."""
        return "modern" if "modern" in cls.presets() else "paper"

    @classmethod
    def presets(cls) -> list[str]:
        """Return the names of the presets, the paper first."""
        return [name for name in ("paper", "modern", "tiny") if getattr(cls, name, None)]

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """Return a copy with some values replaced; text is read as the type of its field."""
        hints = typing.get_type_hints(type(self))
        names = [field.name for field in dataclasses.fields(self)]
        for name in values:
            if name not in names:
                raise InputError(f"no hyper-parameter {name!r}{nearest(name, names)}")
        return dataclasses.replace(self, **{name: read_value(name, hints[name], value) for name, value in values.items()})

    def to_json(self) -> dict[str, Any]:
        """Return the values as plain JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild from `to_json`."""
        return cls().with_values(values)


def read_value(name: str, hint: Any, value: Any) -> Any:
    """Read a value, given as itself or as text, as the annotated type `hint`."""
    if get_origin(hint) is types.UnionType:  # `float | None`
        if value is None or str(value).lower() == "none":
            return None
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple) or len(parts) > MOST_VALUES:
            raise InputError(f"--hyper.{name} takes values with commas between them, got {short(value)}")
        return tuple(read_value(name, get_args(hint)[0], part) for part in parts)
    if get_origin(hint) is Literal:
        return next((choice for choice in get_args(hint) if str(choice) == str(value)), value)
    try:
        return read_plain(hint, value)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise InputError(f"--hyper.{name} takes {hint.__name__}, got {short(value)}") from None


def read_plain(hint: Any, value: Any) -> Any:
    """Read a bool, int, float or str; raises ValueError, TypeError or KeyError where it is none."""
    if hint is bool:
        return (
            value
            if isinstance(value, bool)
            else {"true": True, "yes": True, "false": False, "no": False}[str(value).lower()]
        )
    if hint is int and int(float(value)) != float(value):
        raise ValueError(value)
    if hint is not str and isinstance(value, list | dict | tuple):
        raise TypeError(value)
    return int(float(value)) if hint is int else hint(value)


def check_value(field: dataclasses.Field[Any], hint: Any, value: Any) -> None:
    """Raise InputError where a value lies outside its field's range or choices."""
    low, high = field.metadata.get("low"), field.metadata.get("high")
    if get_origin(hint) is Literal and value not in get_args(hint):
        choices = [str(choice) for choice in get_args(hint)]
        raise InputError(
            f"--hyper.{field.name} is one of {', '.join(choices)}, got {short(value)}{nearest(short(value), choices)}"
        )
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        if not math.isfinite(number):
            raise InputError(f"--hyper.{field.name} takes a finite number, got {number}")
        if isinstance(number, int) and high is None and number > MOST:
            raise InputError(f"--hyper.{field.name} is at most {MOST:,}, got {short(number)}")
        if (low is not None and number < low) or (high is not None and number > high):
            bounds = f"at least {low}" if high is None else f"at most {high}" if low is None else f"between {low} and {high}"
            raise InputError(f"--hyper.{field.name} is {bounds}, got {short(number)}")
