"""Every peer that is here is right, says what it is, and is measured as ours is."""

import numpy as np
import pytest

import harness.baselines
from harness.adapter import BASELINES, signature
from harness.case import Case
from harness.dtype import DType
from harness.measure import interleave
from harness.operators.batched_gemm import BatchedGemmSpec
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec
from harness.record import Outcome
from harness.registry import discover
from harness.runners.arena import Arena, Placement
from harness.runners.hosted import HostedObject, HostedWorker
from harness.stage import Stage
from harness.verify import real_operands, timeout_s, verify_library

SPECS = [
    GemmSpec(m=48, n=40, k=56),
    GemmSpec(m=17, n=33, k=9),
    GemmSpec(m=17, n=33, k=9, beta=1.0),
    GemmSpec(m=37, n=61, k=75, trans_a=True, alpha=-1.5, beta=0.5),
    GemmSpec(m=37, n=61, k=75, trans_b=True, lda=80, ldb=81, ldc=70),
    GemmSpec(m=37, n=61, k=75, dtype=DType.F64),
    GemmSpec(m=16, n=24, k=64, dtype=DType.BF16, out=DType.F32),
    GemmSpec(m=16, n=24, k=64, dtype=DType.BF16),
    GemmSpec(m=16, n=24, k=64, dtype=DType.I8),
    BatchedGemmSpec(batch=4, m=17, n=33, k=9, beta=1.0),
    BatchedGemmSpec(batch=3, m=8, n=24, k=16, trans_a=True, trans_b=True, shared_b=True),
    BatchedGemmSpec(batch=3, m=8, n=24, k=16, dtype=DType.I8),
    Conv2dSpec(n=2, c=5, h=9, w=8, f=13, r=3, s=3, padding=1),
    Conv2dSpec(n=2, c=16, h=9, w=8, f=32, r=3, s=3, stride=2, padding=1, layout="nhwc"),
    Conv2dSpec(n=1, c=16, h=10, w=11, f=16, r=3, s=3, padding=2, dilation=2),
    Conv2dSpec(n=1, c=16, h=7, w=9, f=48, r=1, s=1, layout="nhwc"),
    Conv2dSpec(n=1, c=16, h=7, w=9, f=32, r=3, s=3, padding=1, groups=2, bias=True, relu=True, layout="nhwc"),
    Conv2dSpec(n=1, c=32, h=9, w=9, f=32, r=3, s=3, padding=1, groups=32, relu=True, prepacked=True),
    Conv2dSpec(n=1, c=32, h=9, w=9, f=32, r=3, s=3, padding=1, bias=True, prepacked=True, dtype=DType.BF16),
]
PEERS = {b.name: b for b in discover(harness.baselines, "BASELINE").values() if "native" in b.runners}
CASES = [Case(target="host", spec=spec) for spec in SPECS]
OFFERED = [(name, case) for case in CASES for name in PEERS if PEERS[name].offers(case)]


@pytest.mark.parametrize(("name", "asked"), OFFERED, ids=lambda part: getattr(part, "slug", part))
def test_a_peer_is_right_and_says_what_it_is(bench, host, name, asked):
    baseline, case, spec = PEERS[name], asked, asked.spec
    if reason := baseline.unavailable(case, host):
        pytest.skip(reason)
    item = baseline.build(bench.toolchain, host, case)
    with Stage(bench, host, case, baseline.environment(case, host)) as stage:
        verdict = verify_library(stage.worker_of(item), item, spec)
        with Arena(spec, Placement.ALIGNED) as arena:
            arena.fill(real_operands(spec, np.random.default_rng(3)))
            with stage.open(item, arena) as session:
                described = dict(word.split("=", 1) for word in session.describe.split())

    assert verdict.ok, str(verdict)
    assert described["version"][0].isdigit()
    assert described["core"]


def test_peers_take_turns(bench, host):
    case = Case(target="host", spec=GemmSpec(m=64, n=64, k=64))
    baselines = {name: b for name, b in bench.baselines(host).items() if b.offers(case) and not b.unavailable(case, host)}
    environment = {k: v for b in baselines.values() for k, v in b.environment(case, host).items()}
    with Stage(bench, host, case, environment) as stage, Arena(case.spec, Placement.ALIGNED) as arena:
        arena.fill(real_operands(case.spec, np.random.default_rng(3)))
        sessions = {n: stage.open(b.build(bench.toolchain, host, case), arena) for n, b in baselines.items()}
        for session in sessions.values():
            session.call(timeout_s(case.spec))
        slices = interleave(sessions, rounds=2, timeout_s=timeout_s(case.spec))

    assert baselines.keys() == slices.keys(), {name: str(session.verdict) for name, session in sessions.items()}


def test_every_adapter_is_used():
    files = {path.stem for path in BASELINES.glob("*.c") if "opw_run(" in path.read_text()}
    guests = [one for one in discover(harness.baselines, "BASELINE").values() if "emulated" in one.runners]
    in_guests = {f"{one.name}_{spec.operator}" for one in guests for spec in SPECS if one.offers(Case(target="a76", spec=spec))}

    assert {"openblas_gemm", "acl_gemm"} <= files
    assert files <= {f"{name}_{case.spec.operator}" for name, case in OFFERED} | in_guests


def test_dtypes_have_one_name():
    assert "fp32" == signature(SPECS[0])
    assert "bf16 to fp32" == signature(SPECS[6])
    assert "int8 to int32" == signature(SPECS[8])
    assert not PEERS["openblas"].offers(CASES[8])


@pytest.mark.parametrize(
    ("how", "outcome", "words"),
    [
        ("", Outcome.OK, ""),
        ("wrong", Outcome.WRONG, "C[0, 0]"),
        ("raises", Outcome.COMPILE, "RuntimeError: no kernel for this size"),
        ("refuses", Outcome.COMPILE, "ValueError: not in this build"),
        ("dies", Outcome.COMPILE, "stopped answering"),
    ],
)
def test_a_peer_in_python_is_judged_like_any_other(how, outcome, words):
    spec = GemmSpec(m=5, n=7, k=3)
    item = HostedObject(name="numpy", module="suites.selftest.hosted_peers", settings=how)
    with HostedWorker(item) as worker:
        verdict = verify_library(worker, item, spec)

    assert outcome == verdict.outcome, str(verdict)
    assert words in verdict.reason


def test_a_peer_in_python_is_timed_on_the_same_clock():
    spec = GemmSpec(m=64, n=64, k=64)
    item = HostedObject(name="numpy", module="suites.selftest.hosted_peers")
    with HostedWorker(item) as worker, Arena(spec, Placement.ALIGNED) as arena:
        arena.fill(real_operands(spec, np.random.default_rng(3)))
        with worker.open(item, arena) as session:
            timing = session.time(timeout_s=20, samples=50, sample_s=1e-4, budget_s=0.02)

        assert np.isfinite(arena.view("C")).all()

    assert "version=1 core=numpy" == session.describe
    assert timing.cpu_s == timing.taken_s
    assert 0 < min(timing.cpu_s) < 0.1
