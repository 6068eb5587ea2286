"""One table of the paper's report, and how it is printed."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.render_markdown import escape
from reports.wording import MISSING


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table with what a reader has to know about it."""

    name: str
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]


def figure(value: float | None) -> str:
    """Return a printed figure as the paper has it; what failed there is a dash."""
    return MISSING if value is None else f"{value:.2f}"


def render(sections: Sequence[Section]) -> str:
    """Return sections as Markdown that a terminal shows well, too: cells are padded to their column."""
    return "\n\n".join(_render(section) for section in sections)


def _render(section: Section) -> str:
    lines = [f"### {section.title}", ""]
    if section.rows:
        table = [[escape(cell) for cell in row] for row in (section.header, *section.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        rule = ["-" * width if index == 0 else "-" * (width - 1) + ":" for index, width in enumerate(widths)]
        lines += [_row(row, widths) for row in (table[0], rule, *table[1:])] + [""]
    return "\n".join([*lines, *(f"- {escape(note)}" for note in section.notes)])


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]) + " |"
