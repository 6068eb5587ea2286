"""CSV for spreadsheets: one row a case and peer, figures as plain numbers."""

import csv
import io
from collections.abc import Iterable

from reports.export_json import CASE_KEYS, PEER_KEYS
from reports.load import Case


def render_csv(run: str, cases: Iterable[Case]) -> str:
    """Return a table with a header; a case without peers has one row, what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["run", *CASE_KEYS, "peer", *(f"peer_{key}" for key in PEER_KEYS)])
    for case in cases:
        for peer in case.peers or (None,):
            figures = [None] * (1 + len(PEER_KEYS)) if peer is None else [peer.name, *(getattr(peer, k) for k in PEER_KEYS)]
            writer.writerow([_cell(value) for value in (run, *(getattr(case, key) for key in CASE_KEYS), *figures)])
    return text.getvalue().rstrip("\n")


def _cell(value: object) -> object:
    """A cell that begins like a formula is text; spreadsheets would run it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@" else value
