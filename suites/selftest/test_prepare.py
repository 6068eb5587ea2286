"""opw_prepare sees constant operands only, once, before anything is timed; on this machine and in an emulator."""

import numpy as np
import pytest

from harness.machine import Machine
from harness.operators.conv2d import Conv2dSpec
from harness.record import Outcome
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.target import load_target
from harness.verify import exact_operands
from suites.selftest.conftest import ObjectFactory

SPEC = Conv2dSpec(n=1, c=1, h=1, w=4, f=1, r=1, s=1, bias=True, prepacked=True)
PLAIN = Conv2dSpec(n=1, c=1, h=1, w=4, f=1, r=1, s=1, bias=True)
SIZE = "size_t opw_workspace(const struct opw_args *a, const struct opw_tunables *t) { return 16; }"
RUN = """
int opw_run(const struct opw_args *a, const struct opw_tunables *t, void *workspace)
{
    float *y = a->operand[2], *kept = workspace;
    for (int i = 0; i < 4; i++)
        y[i] = kept[i];
    kept[3] += 1.0f;
    return 0;
}
"""
PREPARE = """
int opw_prepare(const struct opw_args *a, const struct opw_tunables *t, void *workspace)
{
    float *kept = workspace;
    kept[0] = a->operand[0] ? 1.0f : 0.0f;
    kept[1] = *(const float *)a->operand[1];
    kept[2] = a->operand[2] || a->operand[3] ? 1.0f : 0.0f;
    kept[3] = 10.0f;
    return 0;
}
"""
DIMS = tuple(SPEC.dims())


@pytest.fixture(scope="module", params=["host", "c908"])
def target(bench, request):
    return bench.target("host") if request.param == "host" else load_target(request.param)


@pytest.fixture
def place(bench, target):
    factory = ObjectFactory(bench, Machine.of(target))
    with bench.worker(target) as worker:
        yield factory, worker


def outputs(place, body, spec=SPEC, calls=1):
    factory, worker = place
    item = factory.c(SIZE + body, DIMS)
    assert isinstance(item, NativeObject), str(item)
    with Arena(spec, Placement.END) as arena:
        arena.fill({**exact_operands(spec, np.random.default_rng(0)), "W": np.full((1, 1, 1, 1), 3.0, "f4")})
        with worker.open(item, arena) as session:
            for _ in range(calls):
                session.call(5.0)
            return session.verdict, arena.view("Y").ravel().copy()


def test_only_constants_are_seen(place):
    """X, Y and the bias are null; W is there; what was prepared stays for later calls."""
    verdict, first = outputs(place, PREPARE + RUN)
    _, third = outputs(place, PREPARE + RUN, calls=3)

    assert verdict.ok, str(verdict)
    assert [0.0, 3.0, 0.0, 10.0] == list(first)
    assert [0.0, 3.0, 0.0, 12.0] == list(third)


def test_nothing_is_prepared_without_constants(place):
    """A spec that declares none leaves the workspace poisoned."""
    verdict, found = outputs(place, PREPARE + RUN, spec=PLAIN)

    assert verdict.ok
    assert np.isnan(found).all()


def test_it_may_be_missing(place):
    """An object that prepares nothing runs as ever."""
    verdict, found = outputs(place, RUN)

    assert verdict.ok
    assert np.isnan(found).all()


@pytest.mark.parametrize(
    ("body", "outcome", "words"),
    [
        ("return 7;", Outcome.CRASH, "opw_prepare"),
        ("return *(const volatile float *)a->operand[0] > 0.0f;", Outcome.CRASH, "opw_prepare touched"),
        ("*(volatile float *)a->operand[1] = 0.0f; return 0;", Outcome.BOUNDS, "W at byte 0"),
    ],
)
def test_its_faults_have_names(place, body, outcome, words):
    """A failure of the preparation is a verdict on the candidate."""
    prepare = f"int opw_prepare(const struct opw_args *a, const struct opw_tunables *t, void *w) {{ {body} }}"
    verdict, _ = outputs(place, prepare + RUN)

    assert outcome == verdict.outcome
    assert words in verdict.reason
