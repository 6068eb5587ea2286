"""Several threads: every index once, faults and filters on every thread, right candidates, elapsed time, honest ids."""

from random import Random

import numpy as np
import pytest

from generators.generator import Expert
from harness.build import Builder
from harness.case import Case
from harness.errors import TargetUnavailable
from harness.kernel import Candidate
from harness.measure import interleave
from harness.operators.gemm import GemmSpec
from harness.probe import ProbeSpec, open_probe
from harness.prompt import parse_prompt
from harness.record import Outcome
from harness.runners.arena import Arena, Placement
from harness.verify import exact_operands, verify_exact

SPEC = GemmSpec(m=5, n=7, k=3)
DIMS = tuple(SPEC.dims())
PROCESSORS = 2
CROWD = 4


@pytest.fixture
def team(bench, host):
    if host.cores.value < PROCESSORS:
        pytest.skip("one processor here: threads are for machines with more")
    with bench.worker(host, threads=PROCESSORS) as started:
        yield started


@pytest.fixture(scope="module")
def crowd(bench, host):
    """More threads than many a machine has processors: slower there, and no less right."""
    with bench.worker(host, threads=CROWD, timed=False) as started:
        yield started


def run(team, item, spec=SPEC):
    with Arena(spec, Placement.END) as arena:
        arena.fill(exact_operands(spec, np.random.default_rng(0)))
        with team.open(item, arena) as session:
            return session.call(20), arena.view("C").copy()


LOOP = """
static void body(void *context, int64_t i)
{ %s }
int opw_run(const struct opw_args *a, const struct opw_tunables *t, void *w)
{ (void)t; (void)w; a->parallel_for(35, body, a->operand[2]); return 0; }
"""


def test_every_index_runs_once(team, objects):
    item = objects.c(LOOP % "((float *)context)[i] = (float)(i + 1);", DIMS)
    for _ in range(20):
        verdict, result = run(team, item)

        assert verdict.ok, str(verdict)
        assert np.array_equal(np.arange(1, 36, dtype=np.float32).reshape(5, 7), result)


def test_loops_follow_each_other(team, objects):
    body = "for (int64_t j = 0; j < 1000; j++) ((volatile float *)context)[i] = (float)j;"
    many = "for (int i = 0; i < 300; i++) a->parallel_for(35, body, a->operand[2]);"
    item = objects.c((LOOP % body).replace("a->parallel_for(35, body, a->operand[2]);", many), DIMS)
    verdict, result = run(team, item)

    assert verdict.ok, str(verdict)
    assert (result == 999).all()


def test_a_fault_in_a_loop_has_a_name(team, objects):
    item = objects.c(LOOP % "((volatile float *)context)[i + 1] = 0.0f;", DIMS)
    verdict, _ = run(team, item)

    assert verdict.outcome == Outcome.BOUNDS
    assert "C, 0 bytes past its end" in verdict.reason


def test_system_calls_are_forbidden_on_every_thread(team, objects):
    """Each thread that takes an index makes the call, so a helper without a filter would answer."""
    call = 'long r; (void)context; (void)i; __asm__ volatile(".byte 0x0f, 0x05" : "=a"(r) : "a"(41L) : "rcx", "r11", "memory");'
    slow = "for (volatile int j = 0; j < 100000; j++) ; if (i) {" + call + "}"
    verdict, _ = run(team, objects.c(LOOP % slow, DIMS, trusted=True))

    assert verdict.outcome == Outcome.CRASH
    assert "system call 41" in verdict.reason


@pytest.mark.parametrize(
    "spec",
    [
        GemmSpec(m=61, n=75, k=90),
        GemmSpec(m=16, n=500, k=33, trans_a=True, alpha=0.5, beta=2.0),
        GemmSpec(m=500, n=16, k=33, trans_b=True, beta=1.0),
        GemmSpec(m=13, n=50, k=0, beta=0.5),
    ],
    ids=lambda spec: spec.slug,
)
def test_random_candidates_are_right(bench, host, team, spec):
    expert = Expert()
    sketch = next(sketch for sketch in expert.sketches(host, spec) if sketch.name == "gemm_packed")
    builder = Builder(host, sketch, expert.kernel_script(host, sketch), bench.toolchain, bench.sandbox, trusted=True)
    rng, candidates = Random(11), []
    while len(candidates) < 6:
        point = {t.name: rng.choice(t.values) for t in sketch.tunables}
        if sketch.legal(point):
            candidates.append(Candidate.of(sketch.name, point))
    operands = exact_operands(spec, np.random.default_rng(5))
    verdicts = [verify_exact(team, item, spec, operands, Placement.END) for item in builder.build(candidates)]

    assert [True] * 6 == [verdict.ok for verdict in verdicts], [str(verdict) for verdict in verdicts]


@pytest.mark.parametrize(
    "prompt",
    [
        "fp32 GEMM 200x130x70",
        "fp32 GEMM 9x300x40",
        "fp64 GEMM 140x90x70",
        "int8 GEMM 70x200x65",
        "bf16 GEMM 150x70x66 with fp32 output",
        "fp32 batched GEMM 5x20x30x40",
        "fp32 conv 3x3 20->40 at 11x9 nhwc with bias and relu",
        "fp32 conv 1x1 20->40 at 11x9 nhwc prepacked weights",
        "fp32 conv 3x3 16->70 at 12x18, batch 3",
        "fp32 depthwise conv 3x3 40->40 at 14x13 nhwc with bias",
        "fp32 depthwise conv 3x3 20->20 at 14x21, stride 2, relu",
        "fp64 conv 3x3 20->24 at 9x11, groups 4, bias",
        "bf16 conv 3x3 20->40 at 11x9, batch 2, nhwc, bias, relu, prepacked",
        "bf16 conv 3x3 20->40 at 11x9 with bias",
        "bf16 depthwise conv 3x3 40->40 at 30x20 nhwc",
    ],
)
def test_every_sketch_is_right_on_a_crowd(bench, host, crowd, prompt):
    """Whatever it divides among its threads."""
    spec, expert = parse_prompt(f"{prompt} on host").spec, Expert()
    operands = exact_operands(spec, np.random.default_rng(5))
    for sketch in expert.sketches(host, spec):
        builder = Builder(host, sketch, expert.kernel_script(host, sketch), bench.toolchain, bench.sandbox, trusted=True)
        (item,) = builder.build([Candidate.of(sketch.name, expert.start_points(host, spec, sketch)[0])])
        verdict = verify_exact(crowd, item, spec, operands, Placement.END)

        assert verdict.ok, f"{sketch.name}: {verdict}"


def test_a_team_is_timed_by_elapsed_time(team, objects):
    item = objects.c(LOOP % "for (volatile int j = 0; j < 20000; j++) ; (void)context; (void)i;", DIMS)
    with Arena(SPEC, Placement.ALIGNED) as arena:
        arena.fill(exact_operands(SPEC, np.random.default_rng(0)))
        with team.open(item, arena) as session:
            timing = session.time(timeout_s=20, samples=5)
            slices = interleave({"it": session}, rounds=3, timeout_s=20)["it"]

    assert timing.wall_s == timing.taken_s
    assert PROCESSORS == len(timing.busy_s)
    assert 1.0 <= slices.imbalance <= PROCESSORS


def test_the_peak_is_that_of_all_threads(bench, team):
    session, spec = open_probe(team, bench.probe, 256)
    with session:
        timing = session.time(timeout_s=20, samples=100, budget_s=0.2)

    assert PROCESSORS * ProbeSpec(kind=256).work == spec.work
    assert all(busy_s > 0 for busy_s in timing.busy_s), "a helper never got an index in 0.2 s"


def test_threads_are_part_of_identity(bench, host):
    expert = Expert()
    cases = [Case(target="host", spec=SPEC, threads=threads) for threads in (1, 2)]

    assert ["host-sgemm-5x7x3", "host-sgemm-5x7x3-threads-2"] == [case.slug for case in cases]
    assert bench.identity(cases[0], expert) != bench.identity(cases[1], expert)
    assert ["cpu", "wall"] == [bench.clock(host, case.threads) for case in cases]


def test_more_threads_than_processors_are_refused(bench, host):
    with pytest.raises(TargetUnavailable, match="ask for fewer"):
        bench.worker(host, threads=host.cores.value + 1)
