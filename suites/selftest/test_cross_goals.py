"""The table of goals for targets without a board: what is measured counts, what is missing is said and missed."""

import pytest

from benchmarks.cross_goals import against_libraries, geometric_mean, validation
from benchmarks.published_rows import published, specs_of
from harness.case import Case
from harness.operators import operators
from harness.record import Outcome, Record, Verdict
from harness.target import load_target

GEMM = operators()["gemm"]


def measured(spec, ours: float, theirs: float) -> Record:
    """Return a measurement that says how fast both were, in GFLOP/s."""
    case = Case(target="k1", spec=spec)
    peers = {"openblas": {"verdict": "OK", "throughput_gflops": theirs, "ratio": ours / theirs}}
    memories = {"as published": {"openblas": ours / theirs}, "no L1 prefetch": {"openblas": 0.9}}
    facts = {"throughput_gflops": ours, "peak_gflops": 25.6, "peers": peers, "memory_models": memories}
    verdict = Verdict(outcome=Outcome.OK)
    return Record(
        kind="measurement", case=case.slug, run="r", target="k1", spec=spec.to_json(), author="expert", verdict=verdict, facts=facts
    )


def test_shapes_that_were_not_measured_are_missed(bench):
    (only,) = against_libraries(bench, load_target("c908"), GEMM)

    assert (only.met, only.found) == (False, "0 of 8 shapes compared")


def test_each_goal_is_judged_by_itself(bench):
    for spec in GEMM.shape_sets["paper"]:
        bench.store.add(measured(spec, 18.0, 10.0))
    faster, memories, gap = against_libraries(bench, load_target("k1"), GEMM)

    assert (True, False, True) == (faster.met, memories.met, gap.met)
    assert gap.found.startswith("51%")


def test_errors_are_those_of_the_shipped_times():
    found = {goal.asked: goal for name in ("a76", "k1") for goal in validation(name)}

    assert "openblas as published, gemm" in found


def test_rows_name_specs_of_the_operators():
    convolutions = [one for name in ("a72", "a76", "k1") for row in published(name) if "operator" in row for one in specs_of(row)]

    assert 21 == len(convolutions)
    assert {"conv2d"} == {spec.operator for spec, _ in convolutions}


def test_geometric_mean():
    assert 4.0 == pytest.approx(geometric_mean([2.0, 8.0]))
