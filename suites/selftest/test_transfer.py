"""Transfer: what similar shapes were tuned to, for one that was not; and the shapes drawn to try it on."""

import math
import time
from dataclasses import replace

import pytest

from generators.generator import Expert
from harness.case import Case
from harness.dtype import DType
from harness.errors import HarnessError
from harness.kernel import Candidate
from harness.operators import drawn, operators
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec
from harness.transfer import CLOSE, Neighbourly, fitted, neighbours, octaves_between, untuned
from harness.tune import Budget, Tuner

SQUARE = GemmSpec(m=64, n=64, k=64)
LAYER = Conv2dSpec(n=1, c=16, h=8, w=8, f=16, r=3, s=3, padding=1)
TUNED, NEAR, FAR = (
    Case(target="host", spec=GemmSpec(m=m, n=n, k=k, ldc=n + 1, trans_b=True)) for m, n, k in ((40, 33, 50), (37, 41, 47), (9, 70, 220))
)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (SQUARE, 0.0),
        (replace(SQUARE, m=256), 2.0),
        (replace(SQUARE, m=8, k=1024), 5.0),
        (replace(SQUARE, trans_a=True), 1.0),
        (replace(SQUARE, beta=1.0), 0.5),
        (replace(SQUARE, ldb=80), 0.5),
        (replace(SQUARE, dtype=DType.F64), math.inf),
        (LAYER, math.inf),
    ],
)
def test_distance(other, expected):
    assert expected == pytest.approx(octaves_between(SQUARE, other))
    assert expected == pytest.approx(octaves_between(other, SQUARE))


def test_another_layout_is_no_neighbour():
    assert math.inf == octaves_between(LAYER, replace(LAYER, layout="nhwc"))


@pytest.mark.parametrize("name", operators())
def test_drawn_shapes(name):
    """The same seed draws the same, another seed others; more of them begin with the same."""
    operator = operators()[name]

    assert drawn(operator, 7, 30)[:10] == drawn(operator, 7, 10)
    assert not set(drawn(operator, 7, 10)) & set(drawn(operator, 8, 10))
    assert all(operator.from_json(spec.to_json()) == spec for spec in drawn(operator, 9, 50))


def test_drawn_products_cover_the_regimes():
    shapes = drawn(operators()["gemm"], 1, 200)

    assert any(max(s.m, s.n, s.k) <= 64 for s in shapes)
    assert any(min(s.m, s.n, s.k) <= 32 and max(s.m, s.n, s.k) >= 1024 for s in shapes)
    assert any(min(s.m, s.n, s.k) > 128 for s in shapes)
    assert any(s.trans_a for s in shapes)
    assert any(s.trans_b for s in shapes)
    assert any(s.ldb for s in shapes)
    assert any(s.beta for s in shapes)
    assert max(s.flops for s in shapes) <= 2**31


class Newcomer(Expert):
    """The expert under a name that the store has never seen, so that its neighbours are this test's."""

    def __init__(self):
        self.name = f"newcomer-{time.time_ns()}"


@pytest.fixture(scope="module")
def newcomer(bench):
    """A newcomer who has tuned one shape."""
    author = Newcomer()
    run = bench.store.begin_run(["test"], {})
    Tuner(bench, TUNED, author, run=run, budget=Budget(evaluations=5, seconds=60)).run()
    return author


@pytest.mark.measured
def test_neighbours(bench, newcomer):
    """A tuned shape is the neighbour of others, not of itself, and of nothing that came before it."""
    (near,) = neighbours(bench, NEAR, newcomer)

    assert TUNED.slug == near.record.case
    assert [] == neighbours(bench, TUNED, newcomer)
    assert [] == neighbours(bench, replace(NEAR, threads=2), newcomer)
    assert [] == neighbours(bench, NEAR, newcomer, before=near.record.created)
    assert [] == neighbours(bench, NEAR, Newcomer())


@pytest.mark.measured
def test_tuning_begins_with_the_neighbour(bench, newcomer, host):
    near = neighbours(bench, NEAR, newcomer)
    won = near[0].candidate
    author = Neighbourly(newcomer, near)
    first = author.sketches(host, NEAR.spec)[0]
    (point, *others) = author.start_points(host, NEAR.spec, first)

    assert won.sketch == first.name
    assert dict(fitted(first, won).values) == dict(point)
    assert [*newcomer.start_points(host, NEAR.spec, first)] == others


@pytest.mark.measured
def test_other_sketches_are_tried_where_nobody_is_close(bench, newcomer, host):
    def offered(case):
        near = neighbours(bench, case, newcomer)
        every = {one.name for one in newcomer.sketches(host, case.spec)}
        return near[0], {one.name for one in Neighbourly(newcomer, near).sketches(host, case.spec)}, every

    near, close, _ = offered(NEAR)
    far, all_of_them, every = offered(FAR)

    assert near.octaves < CLOSE < far.octaves
    assert {near.candidate.sketch} == close
    assert every == all_of_them
    assert len(every) > 1


@pytest.mark.measured
@pytest.mark.parametrize("case", [NEAR, FAR], ids=["near", "far"])
def test_untuned_takes_the_neighbours_operator(bench, newcomer, case):
    """It is built for the new shape and verified there, fringes included; the store's tuned operator stays as it was."""
    run = bench.store.begin_run(["test"], {})
    operator = untuned(bench, case, newcomer, run=run)

    assert operator.record.verdict.ok
    assert operator.record.facts["specs_verified"] > 10
    assert TUNED.slug in operator.record.facts["origin"]
    assert bench.store.tuned(bench.identity(case, newcomer)) is None


@pytest.mark.measured
def test_untuned_prefers_an_interrupted_tuning(bench, newcomer):
    run = bench.store.begin_run(["test"], {})
    case = replace(NEAR, spec=replace(NEAR.spec, k=51))
    tuner = Tuner(bench, case, newcomer, run=run, budget=Budget(evaluations=4, seconds=60), progress=_stop_after(3))
    with pytest.raises(KeyboardInterrupt):
        tuner.run()
    operator = untuned(bench, case, newcomer, run=run)
    costs = {
        Candidate.from_json(one.candidate): one.facts["cost_s"] for one in bench.store.records(run=run, kind="evaluation")
    }

    assert "did not end" in operator.record.facts["origin"]
    assert min(costs, key=costs.get) == operator.candidate


def _stop_after(evaluations):
    def progress(state):
        if state.evaluations >= evaluations:
            raise KeyboardInterrupt

    return progress


@pytest.mark.measured
def test_untuned_without_neighbours_is_the_authors_start(bench, host):
    run = bench.store.begin_run(["test"], {})
    operator = untuned(bench, NEAR, Newcomer(), run=run)

    assert "a start point of" in operator.record.facts["origin"]


class Blunderer(Newcomer):
    """Writes scripts that print nothing."""

    def kernel_script(self, target, sketch):
        return "print('[]')"


def test_nothing_right_is_an_error(bench):
    with pytest.raises(HarnessError, match="nothing untuned is right; tune it"):
        untuned(bench, NEAR, Blunderer(), run=bench.store.begin_run(["test"], {}))


@pytest.mark.parametrize("name", ["c908", "k1"])
def test_what_ships_is_a_neighbour_of_any_other_shape(bench, name):
    case = Case(target=name, spec=GemmSpec(m=640, n=512, k=512))

    near = neighbours(bench, case, Expert())

    assert f"{name}-sgemm-512x512x512" == near[0].record.case


def test_a_point_that_does_not_fit(host):
    """A point of another sketch, with another tunable or against a constraint here, is none."""
    (sketch, *_) = [one for one in Expert().sketches(host, SQUARE) if one.name == "gemm_packed"]
    start = Candidate.of(sketch.name, sketch.start)
    largest = {t.name: t.values[-1] for t in sketch.tunables}

    assert start == fitted(sketch, start)
    before = {name: value for name, value in sketch.start.items() if name != "prefetch_c"}
    assert start == fitted(sketch, Candidate.of(sketch.name, before)), "a tunable that came later takes its start"
    assert fitted(sketch, replace(start, sketch="gemm_small")) is None
    assert fitted(sketch, Candidate.of(sketch.name, {**sketch.start, "new": 1})) is None
    assert fitted(sketch, Candidate.of(sketch.name, largest)) is None
