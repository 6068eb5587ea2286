"""
HTML and SVG elements that escape what they are given.

Records hold text that a model wrote: a plain string is always data here, and only `tag` and `join` make markup.
"""

import html
import re
from collections.abc import Iterable

from reports.load import clean

VOID = ("meta", "line", "rect", "circle", "path")
"""Elements that are closed where they open when they have no content."""
STEERING = re.compile(r"[^\x20-\x7e\n\t]")
"""Where code may hold a character that cannot be shown: most code is plain ASCII, and looking takes its time."""

HARMLESS = re.compile(r"[\w.,:;%+*/()\[\]|#=-]+(?: [\w.,:;%+*/()\[\]|#=-]+)*", re.ASCII)


class Markup(str):
    """Text that is already escaped."""

    __slots__ = ()


def join(parts: Iterable[str]) -> Markup:
    """Return parts one after another; plain strings among them are escaped."""
    return Markup("".join([part if isinstance(part, Markup) else _escaped(part) for part in parts]))


def tag(name: str, /, *children: str, **attributes: object) -> Markup:
    """
    Return an element; ``class_`` and ``aria_label`` become ``class`` and ``aria-label``, None leaves an attribute out.

    Numbers are rounded to what a screen can show.
    """
    opened = "".join([_attribute(key, value) for key, value in attributes.items() if value is not None]) if attributes else ""
    if name in VOID and not children:
        return Markup(f"<{name}{opened}/>")
    inside = "".join([child if isinstance(child, Markup) else _escaped(child) for child in children])
    return Markup(f"<{name}{opened}>{inside}</{name}>")


def cells(texts: Iterable[str]) -> Markup:
    """Return table cells without attributes, of which a page of many cases has most."""
    return Markup("".join([f"<td>{_escaped(text)}</td>" for text in texts]))


def block(name: str, text: str, **attributes: object) -> Markup:
    """Return an element whose text keeps its lines, as code does."""
    shown = STEERING.sub(lambda found: found[0] if found[0].isprintable() else " ", text)
    return Markup(str(tag(name, Markup("\0"), **attributes)).replace("\0", html.escape(shown)))


def _attribute(key: str, value: object) -> str:
    plain = f"{value:.5g}" if isinstance(value, float) else _escaped(value)
    return f' {key.rstrip("_").replace("_", "-")}="{plain}"'


def _escaped(value: object) -> str:
    """Return text of one line, escaped; words and figures with single spaces between them are that already."""
    text = str(value)
    return text if HARMLESS.fullmatch(text) else html.escape(clean(text))
