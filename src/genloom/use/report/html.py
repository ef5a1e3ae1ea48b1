"""Self-contained pages: their style, figures and pictures as HTML that holds its own bytes. Needs matplotlib and pillow."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genloom.files import replaced

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top; }
th { border-bottom: 1px solid #999; font-weight: 600; } tr:nth-child(even) td { background: #f6f6f3; }
td.figure { font-variant-numeric: tabular-nums; white-space: nowrap; } small, .quiet { color: #767676; }
img { max-width: 100%; image-rendering: pixelated; } .pictures { display: flex; flex-wrap: wrap; gap: 2rem; }
.slider { position: relative; --at: 50%; } .slider img { display: block; }
.slider img + img { position: absolute; top: 0; left: 0; clip-path: inset(0 0 0 var(--at)); }
.slider input { display: block; width: 100%; margin: .3rem 0; }
p.verdict { background: #fdf3d8; padding: .5rem .8rem; margin: .4rem 0; }
"""


def page_of(title: str, parts: Sequence[str]) -> str:
    """Return a page of these parts."""
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return head + "\n".join(parts) + "</html>\n"


def write_html(title: str, parts: Sequence[str], path: Path) -> None:
    """Write a page of these parts, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    with replaced(path) as part:
        part.write_text(page_of(title, parts), encoding="utf-8")


def plot(page: Any) -> str:
    """Return a matplotlib figure as an image of the page."""
    data = io.BytesIO()
    page.savefig(data, format="png")
    return embedded(data.getvalue(), "")


def image(picture: Any) -> str:
    """Return a pillow image as an image of the page, enlarged where it is small."""
    data = io.BytesIO()
    picture.save(data, format="png")
    return embedded(data.getvalue(), f' width="{shown_width(picture)}"')


def slider(before: Any, after: Any) -> str:
    """Return two pillow images of one size on top of each other, with a slider between them."""
    move = "this.parentNode.style.setProperty('--at', this.value + '%')"
    handle = f'<input type="range" value="50" aria-label="before and after" oninput="{move}">'
    return f'<div class="slider" style="width: {shown_width(before)}px">{image(before)}{image(after)}{handle}</div>'


def shown_width(picture: Any) -> int:
    """Return how wide a picture is on the page: enlarged where it is small."""
    return picture.width * max(1, round(420 / picture.width))


def sound(data: bytes) -> str:
    """Return a WAV file as a player of the page."""
    return f'<audio controls preload="none" src="data:audio/wav;base64,{base64.b64encode(data).decode()}"></audio>'


def embedded(data: bytes, attributes: str) -> str:
    """Return a PNG as an HTML image that holds its own bytes."""
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(data).decode()}"{attributes}>'
