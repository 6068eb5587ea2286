"""Everything the HTML page of a run shows, loaded from the store: the report, its cases' histories, their texts."""

from collections.abc import Iterable

from harness import artefacts, garbage
from harness.store import Store
from reports.history import History, load_histories
from reports.load import Case, load_report
from reports.render_html import render_html
from reports.replays import load_replays

HISTORIES = 60
"""Cases whose history is drawn."""
TEXT_BYTES = 1_500_000
"""Of sketches, scripts and assembly that a page may carry."""


def render_page(store: Store, run: str = "last") -> str:
    """Return the page of a run; raise `BadRequest` for a run that is not there."""
    with garbage.left_lying():
        report = load_report(store, run)
        histories = [one for case in report.cases[:HISTORIES] for one in load_histories(store, case.id)]
        texts = load_texts(store, report.cases)
        return render_html(report, _told(histories), texts, load_replays(store, report.run.id))


def _told(histories: Iterable[History]) -> list[History]:
    return [one for one in histories if len({point.run for point in one.points}) > 1]


def load_texts(store: Store, cases: Iterable[Case]) -> dict[str, str]:
    """Return the texts of the cases by path until the page is full; what is gone or altered is left out."""
    texts: dict[str, str] = {}
    left = TEXT_BYTES
    home = (store.path / "artefacts").resolve()
    for path in dict.fromkeys(path for case in cases for path in case.texts.values()):
        file = (store.path / path).resolve()
        if file.is_relative_to(home) and artefacts.intact(file) and file.stat().st_size <= left:
            texts[path] = file.read_text(encoding="utf-8", errors="replace")
            left -= len(texts[path])
    return texts
