"""The table of the native goals: which measurement of a case counts, and what is said of those that are missing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.regimes import KEPT, by_machine, goal_cases, judged, kept, rows, table
from harness.record import Outcome, Record, Verdict
from reports.reference import read_records
from suites.selftest.report_records import FACTS, PEER, RECORD

SMALL = [f"host-sgemm-{size}x{size}x{size}" for size in (4, 8, 16, 32, 64)]


def measured(case, minute, **ratios):
    peers = {name: {**PEER, "ratio": ratio} for name, ratio in ratios.items()}
    return replace(RECORD, case=case, created=f"2026-11-22T08:{minute:02}:00", facts={**FACTS, "peers": peers})


def lines(records, regime):
    (cases,) = by_machine(records).values()
    return {line.goal: line for line in judged(cases) if line.regime == regime}


def test_every_case_of_a_regime_is_wanted():
    assert {*SMALL} <= goal_cases()

    found = lines([measured(SMALL[0], 1, libxsmm=2.0)], "small SGEMM")
    assert ("met so far", "1 of 5") == (found["x libxsmm or mkl_jit, mean 1.00"].verdict, found["x libxsmm or mkl_jit, mean 1.00"].measured)
    assert "not measured" == found["x openblas, mean 1.30"].verdict


@pytest.mark.parametrize(("ratio", "verdict"), [(0.96, "met"), (0.94, "missed")])
def test_the_worst_case_decides_what_holds_for_each(ratio, verdict):
    records = [measured(case, 1, libxsmm=1.2, openblas=3.0) for case in SMALL[1:]]
    found = lines([*records, measured(SMALL[0], 1, libxsmm=ratio, mkl_jit=1.5)], "small SGEMM")["x libxsmm or mkl_jit, each 0.95"]

    assert verdict == found.verdict
    assert (f"{ratio:.2f}", "sgemm-4x4x4") == (found.reached, found.least)


def test_the_last_measurement_counts_not_the_best():
    """And where the last had other peers, the last that had those a goal is about."""
    (case,) = [name for name in goal_cases() if "127x129" in name]
    records = [measured(case, 1, mkl=1.5, openblas=1.9), measured(case, 2, mkl=1.1, openblas=1.3), measured(case, 3, openblas=1.4)]
    found = lines(records, "odd SGEMM")

    assert "1.10" == found["x best, mean 1.03"].reached
    assert "1.40" == found["x openblas, mean 1.20"].reached


def test_openblas_alone_is_not_the_best_peer():
    assert "not measured" == lines([measured("host-sgemm-127x129x131", 1, openblas=1.9)], "odd SGEMM")["x best, mean 1.03"].verdict


def test_what_is_kept_says_the_same():
    """One line of a case and set of peers, without samples; read again it is judged alike."""
    records = [measured(case, minute, libxsmm=1.0 + minute / 10, openblas=2.0) for case in SMALL for minute in (1, 2)]
    texts = kept(records)
    again = [Record.from_json(json.loads(text)) for text in texts]

    assert len(SMALL) == len(texts)
    assert '"samples_s": []' in texts[0]
    assert lines(records, "small SGEMM") == lines(again, "small SGEMM")


def test_the_readme_shows_what_is_kept():
    """Its table is what the command prints: paste it again after keeping a measurement."""
    printed = "\n".join(table([record for path in sorted(KEPT.glob("*.jsonl")) for record in read_records(path)]))

    assert printed in (Path(__file__).parents[2] / "README.md").read_text()


def test_a_regime_without_a_goal_is_shown():
    found = lines([measured("host-dgemm-512x512x512", 1, mkl=0.95)], "DGEMM")["x best, mean"]

    assert ("0.95", "", "1 of 2") == (found.reached, found.verdict, found.measured)


def test_machines_stand_side_by_side():
    here = measured(SMALL[0], 1, libxsmm=1.5)
    tiles = {**here.facts, "machine": {"cpu": "Another", "features": ["amx_bf16"]}}
    text = "\n".join(table([here, replace(here, facts=tiles)]))

    assert "| small SGEMM | x libxsmm or mkl_jit, mean 1.00 | 1.50 met so far (1 of 5) | 1.50 met so far (1 of 5) |" in text
    assert "| bf16 GEMM in AMX | x best, mean 1.30 | no amx_bf16 | not measured |" in text


def test_a_case_that_failed_is_a_row_with_its_verdict():
    facts = {name: value for name, value in FACTS.items() if name not in ("throughput_gflops", "peak_fraction", "peers")}
    failed = replace(RECORD, case=SMALL[0], verdict=Verdict(outcome=Outcome.CRASH, reason="gone"), samples_s=(), facts=facts)

    assert "| sgemm-4x4x4 | CRASH | | |" in "\n".join(rows([failed], "sgemm-4x"))


def test_several_threads_are_held_against_one():
    """By throughput of the same case; neither counts in a regime."""
    one = measured(SMALL[4], 1, mkl=1.2)
    four = replace(one, case=f"{one.case}-threads-4", facts={**one.facts, "threads": 4, "throughput_gflops": 366.0, "imbalance": 1.1})
    text = "\n".join(table([one, four]))

    assert "| sgemm-64x64x64-threads-4 | A | 366 | 2.00 | 1.20 mkl | 1.10 | 0.99 to 1.01 |" in text
    assert "| small SGEMM | x libxsmm or mkl_jit, mean 1.00 | not measured |" in text
