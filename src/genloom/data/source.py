"""find_source(): from what a person names to data of whatever kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

from genloom.data.options import OPTIONS
from genloom.data.options import Options as AnyOptions
from genloom.data.tables.database import shown
from genloom.errors import InputError, nearest
from genloom.kinds import KINDS, imported
from genloom.shapes.base import Shape

Progress = Callable[[Any, int, str], Any]  # rows, how many, and what is done with them, to the same rows


def silent(rows: Iterable[Any], total: int, what: str) -> Iterator[Any]:
    """Show no progress."""
    yield from rows


class Source(ABC):
    """Data as a person named it, not yet loaded.

    Attributes:
        name: what the person named.
        wanted: where such data lies, as a model says it that was given other data.
    """

    wanted: ClassVar[str] = ""
    Options: ClassVar[type[AnyOptions]]

    def __init__(self, name: str, options: AnyOptions, progress: Progress = silent) -> None:
        self.name, self.options, self.progress = name, options, progress

    @classmethod
    @abstractmethod
    def finds(cls, name: str, given: Mapping[str, Any]) -> bool:
        """Whether what a person named, with these options, is of this kind, as far as the name tells."""

    @abstractmethod
    def shape(self) -> Shape:
        """Return what one example is, without loading them all; InputError where there is nothing usable."""

    @abstractmethod
    def load(self, shape: Shape | None = None) -> Any:
        """Return the data set, in the shape asked for; InputError where that cannot be."""


def find_source(
    name: str | Path, given: Mapping[str, Any] | None = None, progress: Progress = silent, kind: str = ""
) -> Source:
    """Return the source that a person named.

    Args:
        given: options by name, such as `size`; each belongs to one kind of data.
        kind: as what pictures are read, where a model has them otherwise than others.

    Raises:
        InputError: the options are another kind's.
    """
    sources: Iterator[type[Source]] = (imported(each.source) for each in KINDS.values() if each.source)
    source = next(each for each in sources if each.finds(str(name), given or {}))
    if kind and issubclass(other := imported(KINDS[kind].source), source):
        source = other
    own = {f.name for f in fields(source.Options)}
    if foreign := [option for option in given or {} if option not in own]:
        owner = next((kind for kind in OPTIONS if foreign[0] in {f.name for f in fields(kind)}), None)
        if owner is None:
            raise InputError(f"there is no option {foreign[0]!r}{nearest(foreign[0], own)}")
        flags = ", ".join(f"--{own.replace('_', '-')}" for own in vars(owner)["__annotations__"] if own != "split")
        raise InputError(f"{shown(str(name))} holds {source.Options.named()}: {flags} are for {owner.named()}")
    return source(str(name), source.Options.of(given or {}), progress)


def load(name: str | Path, options: AnyOptions | None = None, progress: Progress = silent, **given: Any) -> Any:
    """Load pictures from a folder, zip, idx, npy or npz file, `hf:owner/name` or a built-in name; or a table from a file.

    A range in brackets takes a part of pictures: `mnist[:50000]`. Pictures are decoded once, in parallel,
    into a memory-mapped file in the cache.

    Args:
        options: as `PictureOptions` or `TableOptions`; or the same by name, such as `size=64`.

    Raises:
        InputError: there is nothing usable at `name`; the message says what to do.
    """
    return find_source(name, {**(options.given() if options else {}), **given}, progress).load()
