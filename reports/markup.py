"""
HTML and SVG elements that escape what they are given.

Records hold text that a model wrote: a plain string is always data here, and only `tag` and `join` make markup.
"""

import html
from collections.abc import Iterable

from reports.load import clean

VOID = ("meta", "line", "rect", "circle", "path")
"""Elements that are closed where they open when they have no content."""


class Markup(str):
    """Text that is already escaped."""

    __slots__ = ()


def join(parts: Iterable[str]) -> Markup:
    """Return parts one after another; plain strings among them are escaped."""
    return Markup("".join(part if isinstance(part, Markup) else html.escape(clean(part)) for part in parts))


def tag(name: str, /, *children: str, **attributes: object) -> Markup:
    """
    Return an element; ``class_`` and ``aria_label`` become ``class`` and ``aria-label``, None leaves an attribute out.

    Numbers are rounded to what a screen can show.
    """
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    opened = "".join(f' {key}="{html.escape(_plain(value))}"' for key, value in given.items())
    if name in VOID and not children:
        return Markup(f"<{name}{opened}/>")
    return Markup(f"<{name}{opened}>{join(children)}</{name}>")


def block(name: str, text: str, **attributes: object) -> Markup:
    """Return an element whose text keeps its lines, as code does."""
    shown = "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)
    return Markup(str(tag(name, Markup("\0"), **attributes)).replace("\0", html.escape(shown)))


def _plain(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else clean(value)
