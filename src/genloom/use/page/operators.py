"""The operators that a page knows: those that go number by number, as formulas, and the others of `operators.js`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

OF_ONE = {  # of x, with further numbers p and q
    "relu": "x < 0 ? 0 : x",
    "leaky_relu": "x > 0 ? x : x * p",
    "tanh": "Math.tanh(x)",
    "sigmoid": "1 / (1 + Math.exp(-x))",
    "exp": "Math.exp(x)",
    "log": "Math.log(x)",
    "log1p": "Math.log1p(x)",
    "sin": "Math.sin(x)",
    "cos": "Math.cos(x)",
    "sqrt": "Math.sqrt(x)",
    "rsqrt": "1 / Math.sqrt(x)",
    "neg": "-x",
    "abs": "Math.abs(x)",
    "sign": "Math.sign(x)",
    "floor": "Math.floor(x)",
    "round": "Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)",
    "bitwise_not": "!x",
    "clamp": "x !== x ? x : Math.min(Math.max(x, p), q)",
}
OF_TWO = {  # of x and y, with a further number p
    "add": "x + p * y",
    "sub": "x - p * y",
    "mul": "x * y",
    "div": "x / y",
    "pow": "x === 1 ? 1 : x ** y",
    "remainder": "x % y !== 0 && x % y < 0 !== y < 0 ? x % y + y : x % y",
    "maximum": "x > y || x !== x ? x : y",
    "eq": "x === y",
    "ne": "x !== y",
    "lt": "x < y",
    "le": "x <= y",
    "gt": "x > y",
    "ge": "x >= y",
    "bitwise_and": "x & y",
    "bitwise_or": "x | y",
}
TABLE = re.compile(r"^  '?([\w+*/-]+)'?: ?\(", re.MULTILINE)  # how operators.js writes the others


def source(name: str) -> str:
    """Return a file of the page's own."""
    return files("genloom.use.page").joinpath(name).read_text(encoding="utf-8")


@cache
def operators() -> frozenset[str]:
    """Return the names of all operators that a page knows; `limits.py` says in which forms."""
    return frozenset((*OF_ONE, *OF_TWO, *TABLE.findall(source("operators.js"))))


def loops(names: Iterable[str]) -> str:
    """Return those of these operators that go number by number as functions in JavaScript.

    They are written out one by one, as one loop that is given a formula would be ten times slower, and a page may not
    make functions of texts.
    """
    written = []

    def add(name: str, takes: str, values: str, formula: str) -> None:
        loop = f"for (let i = 0; i < o.length; i++) {{ const {values}; o[i] = {formula} }}"
        written.append(f"  {name}(o, a, {takes}) {{ {loop} }},")

    for name in sorted(names):
        if name in OF_ONE:
            add(name, "p, q", "x = a[i]", OF_ONE[name])
        if name in OF_TWO:
            add(name, "b, p", "x = a[i], y = b[i]", OF_TWO[name])
            add(f"{name}_by", "y, p", "x = a[i]", OF_TWO[name])
    return "\n".join(["const LOOPS = {", *written, "}"])
