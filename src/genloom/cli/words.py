"""What a person types, looked over before any command runs: options of a file, the limit on memory, numbers and text.

Here alone numbers and words of the command line are bounded, so that a dry run refuses what a run would.
"""

from __future__ import annotations

import os
import types
from typing import Any, Union, get_args, get_origin

import yaml
from cyclopts import App, ArgumentCollection
from cyclopts.config import Dict

from genloom.bounds import DIGITS, WHOLE, short, whole
from genloom.errors import InputError
from genloom.reading import content_of, limit, named

LONGEST = 5000  # letters of a word
MOST_YAML = 1 << 20  # bytes of a file of options
DEEPEST = 5  # levels of a file of options
MAY_BE_EMPTY = ("missing", "known")  # an empty cell of a table can be meant


def take(arguments: list[str], option: str) -> tuple[str | None, list[str]]:
    """Take `--option VALUE` or `--option=VALUE` out of the arguments; InputError where the value lacks."""
    for i, word in reversed(list(enumerate(arguments))):  # the last one counts, as of any option
        if word.startswith(f"{option}="):
            return word.partition("=")[2], take(arguments[:i], option)[1] + arguments[i + 1 :]
        if word == option:
            if i + 1 == len(arguments):
                raise InputError(f"{option} needs a value after it")
            return arguments[i + 1], take(arguments[:i], option)[1] + arguments[i + 2 :]
    return None, arguments


def take_limit(arguments: list[str]) -> list[str]:
    """Take `--limit GB` out of the arguments and let it hold for this process and those that it starts."""
    said, arguments = take(arguments, "--limit")
    if said is not None:
        os.environ["GENLOOM_LIMIT"] = said
        limit()
    return arguments


def take_config(arguments: list[str]) -> tuple[list[Any], list[str]]:
    """Take `--config FILE` out of the arguments; what the command line says stands over the file."""
    path, arguments = take(arguments, "--config")
    if path is None:
        return [check_words], arguments
    # No commands as keys: a file holds the options of the one that is called.
    return [Dict(options_of(path), source=path, use_commands_as_keys=False), check_words], arguments


def options_of(path: str) -> dict[str, Any]:
    """Return the options of a YAML file as words, as the command line has them.

    Raises:
        InputError: it is no YAML, or holds something else than options.
    """
    content = content_of(named(path), "file of options", MOST_YAML)
    try:
        # Of words alone: dates, types and references to itself have no place in options.
        options = yaml.load(content, Words)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = "nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())[:160]
        raise InputError(f"--config {path} is no YAML: {said}") from None
    if not isinstance(options, dict):
        raise InputError(f"--config {path} holds no options; write one a line, such as `batch: 64`")
    return plain(options, path)


class Words(yaml.BaseLoader):
    """Reads every value as the word that it is written as, and no references."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return a node; a reference could hold itself."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it refers to another place by `*`, which options do not need")
        return super().compose_node(parent, index)


def plain(value: Any, path: str, depth: int = 0) -> Any:
    """Return what YAML held, less what says nothing (`null`); InputError where it is too deep or a key is no word."""
    if depth > DEEPEST:
        raise InputError(f"--config {path} is no list of options: it is nested too deep")
    if isinstance(value, list):
        return [plain(each, path, depth + 1) for each in value]
    if not isinstance(value, dict):
        return value
    if odd := next((key for key in value if not isinstance(key, str) or not key.strip()), None):
        raise InputError(f"--config {path}: {short(str(odd))} is no name of an option")
    return {key: plain(each, path, depth + 1) for key, each in value.items() if each not in ("", "null", "~")}


def check_words(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Raise InputError for a word that is too long, empty, no number where a number is wanted, or one out of bounds.

    The command line's library calls this with the words of a command sorted to its parameters; it would read 1.5 as 1.
    """
    for argument in arguments:
        for token in argument.tokens:
            if isinstance(token.value, str):
                check_word(argument.name, plain_name(argument.name), set(leaves(argument.hint)), token.value)


def check_word(shown: str, name: str, kinds: set[Any], word: str) -> None:
    """Raise InputError where a word makes no sense for an option of these types."""
    if len(word) > LONGEST:
        raise InputError(f"{shown} was given {len(word):,} letters: {short(word, 40)}")
    if bool in kinds:  # a flag stands for itself
        return
    if not word.strip() and name not in MAY_BE_EMPTY:
        raise InputError(f"{shown} was given an empty word")
    if int in kinds and not kinds & {float, str}:
        sign, digits = (word[:1], word[1:]) if word[:1] in "+-" else ("", word)
        if not (digits.isascii() and digits.isdecimal()):
            raise InputError(f"{shown} takes a whole number, got {short(word)}")
        if len(digits) > DIGITS:
            raise InputError(f"{shown} takes a smaller number, got one of {len(digits):,} digits")
        if name in WHOLE:
            whole(name, int(sign + digits))
    elif float in kinds and str not in kinds:
        number = floating(word)
        if number is None or number != number or abs(number) == float("inf"):
            raise InputError(f"{shown} takes a number, got {short(word)}")


def floating(word: str) -> float | None:
    """Return a number, or None where a word is none."""
    try:
        return float(word)
    except ValueError:
        return None


def leaves(hint: Any) -> list[Any]:
    """Return the plain types that an annotation is made of."""
    if get_origin(hint) in (Union, types.UnionType, tuple, list, dict):
        return [leaf for part in get_args(hint) for leaf in leaves(part) if leaf not in (type(None), Ellipsis)]
    return [hint]


def plain_name(shown: str) -> str:
    """Return an option's name as Python has it: `save_every` of `--save-every`."""
    return shown.lstrip("-").partition(".")[0].replace("-", "_").lower()
