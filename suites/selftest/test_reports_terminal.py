"""The terminal's table: every figure, every peer, 100 columns, and no clock under another's name."""

import re
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record import Outcome, Verdict
from reports.load import case_of
from reports.render_terminal import terminal_table
from suites.selftest.report_records import BARE, FACTS, FAILED, MODELLED, PEER, RECORD


def test_the_table_has_a_row_a_case_with_its_figures():
    """Slug, GFLOP/s, % of peak, ratio with interval, residual, verdict."""
    lines = terminal_table([case_of(RECORD)])

    assert lines[2:3] == ["case                    GFLOP/s  % of peak         x openblas  residual  verdict"]
    assert lines[3:4] == ["host-sgemm-512x512x512    183.0       77.5  1.19 [1.17, 1.21]      0.06  OK"]
    for note in ("openblas 0.3.31 (SkylakeX, 1 thread)", "under 3% is same", "0.990 to 1.010", "A processor, 2.60 GHz"):
        assert note in "\n".join(lines)


def test_a_wrong_result_shows_its_reason_and_no_speed():
    """A fast wrong kernel must not look like a win."""
    text = "\n".join(terminal_table([case_of(FAILED)]))

    assert "host-sgemm-7x7x7: WRONG: row 3 is off" in text
    assert "999" not in text
    assert "geometric mean" not in text


def test_what_is_absent_is_a_dash():
    """An old or partial record still makes a row."""
    lines = terminal_table([case_of(BARE)])

    assert lines[3].split() == ["host-sgemm-1x1x1", "-", "-", "-", "OK"]


def test_clocks_do_not_share_a_table_and_a_model_is_called_one():
    """Nothing modelled reads as measured."""
    lines = terminal_table([case_of(RECORD), case_of(MODELLED)])
    headings = [line for line in lines if line.startswith("clock ")]

    assert headings == [
        "clock cpu: CPU time of the process, one thread",
        "clock model: modelled by a timing model, not measured",
    ]
    assert "peak: 236.0 GFLOP/s, modelled" in lines
    assert sum("measured beside each case" in line for line in lines) == 1


def test_a_stale_operator_and_a_wrong_peer_are_marked():
    """Neither is silently shown as if it were fine."""
    peers = {"openblas": PEER | {"verdict": "WRONG: row 3"}}
    text = "\n".join(terminal_table([case_of(replace(RECORD, facts=FACTS | {"stale": True, "peers": peers}))]))

    assert "OK (stale)" in text
    assert "stale: tuned with other scripts" in text
    assert "1.19" not in text
    assert re.search(r"77\.5 +WRONG +0\.06", text)


NAMES = st.text("abc019-_x", min_size=1, max_size=130)


@settings(max_examples=60)
@given(
    cases=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    peers=st.lists(NAMES.filter(lambda name: len(name) < 60), max_size=6, unique=True),
    reason=st.text(max_size=300),
    ratio=st.floats(1e-3, 1e4),
)
def test_the_table_fits_100_columns_whatever_it_holds(cases, peers, reason, ratio):
    """Long names and many peers make more lines, never longer ones, and no peer is dropped."""
    facts = FACTS | {"peers": {name: PEER | {"ratio": ratio} for name in peers}}
    verdict = Verdict(outcome=Outcome.SUSPICIOUS, reason=reason)
    records = [replace(RECORD, case=name, facts=facts) for name in cases] + [replace(FAILED, verdict=verdict)]
    lines = terminal_table([case_of(record) for record in records])

    assert all(len(line) <= 100 and line.isprintable() for line in lines)
    header = "\n".join(line for line in lines if line.startswith("case "))
    assert all(f"x {name}" in header for name in peers)


def test_figures_are_aligned_under_their_headings():
    """Right edges of figures match, also below a name that needed its own line."""
    long = replace(RECORD, case="host-" + "conv-" * 14)
    lines = terminal_table([case_of(record) for record in (RECORD, long, FAILED)])
    edge = lines[2].index("GFLOP/s") + len("GFLOP/s")

    assert [
        (line[:edge].split()[-1], line[edge] == " ") for line in (lines[3], lines[5], lines[6])
    ] == [("183.0", True), ("183.0", True), ("-", True)]


def test_the_best_peer_of_a_case_is_the_fastest_that_is_right():
    peers = {
        "openblas": PEER | {"ratio": 1.30},
        "mkl": PEER | {"ratio": 1.10},
        "wrong": PEER | {"ratio": 0.50, "verdict": "WRONG: row 3"},
    }
    case = case_of(replace(RECORD, facts=FACTS | {"peers": peers}))
    alone = case_of(replace(RECORD, facts=FACTS | {"peers": {"openblas": PEER}}))
    table = terminal_table([case])

    assert "mkl" == case.best.name
    assert "x best" in table[2]
    assert "1.10 mkl" in table[3]
    assert any("fastest verified peer of the case; geometric mean 1.10" in " ".join(table[i : i + 2]) for i in range(len(table)))
    assert "x best" not in terminal_table([alone])[2]
