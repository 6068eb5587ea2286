"""The code of the operators on the page: each distinct sketch, script and assembly once, linked from every row."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

from reports.load import Case
from reports.markup import Markup, block, join, tag
from reports.wording import counted

SHORT = {"sketch": "sketch", "kernel script": "script", "assembly": "asm"}


def code_links(case: Case, texts: Mapping[str, str]) -> list[Markup]:
    """Return a link for each text of a case that the page carries."""
    links = []
    for name, path in case.texts.items():
        if path in texts:
            links += [tag("a", _short(name), href=f"#{anchor(path)}", title=name), Markup(" ")]
    return links


def code_section(cases: Sequence[Case], texts: Mapping[str, str]) -> Markup:
    """Return every text, folded; a link into it unfolds it."""
    names: dict[str, str] = {}
    users: dict[str, int] = {}
    wanted: dict[str, None] = {}
    for case in cases:
        for name, path in case.texts.items():
            wanted[path] = None
            names.setdefault(path, name)
            users[path] = users.get(path, 0) + 1
    shown = [
        tag(
            "details",
            tag("summary", f"{names[path]}, {counted(users[path], 'case')}, {PurePosixPath(path).stem[:8]}"),
            block("pre", texts[path], id=anchor(path), tabindex=0),
        )
        for path in wanted
        if path in texts
    ]
    if not shown:
        return Markup("")
    left = len(wanted) - len(shown)
    more = f"{counted(left, 'text')} more would make the page too large; they are in the store's artefacts." if left else ""
    return tag("section", tag("h2", "Code"), join(shown), tag("p", more, class_="soft"), class_="code")


@lru_cache(maxsize=1024)
def anchor(path: str) -> str:
    """Return the place of a text on the page."""
    return f"text-{PurePosixPath(path).stem[:16]}"


@lru_cache(maxsize=1024)
def _short(name: str) -> str:
    """Return ``asm pack_b`` for ``assembly pack_b``."""
    kind = next((kind for kind in SHORT if name.startswith(kind)), "")
    role = name.removeprefix(kind).strip() if kind == "assembly" else ""
    return " ".join(filter(None, (SHORT.get(kind, name), role)))
