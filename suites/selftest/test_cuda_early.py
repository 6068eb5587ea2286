"""Kernels that are launched while the one before ends: each waits for what it reads, and a careless one is refused."""

from dataclasses import replace

import pytest

from generators.generator import Expert
from harness.cuda.detect import present
from harness.dtype import DType
from harness.errors import TargetUnavailable, ToolchainError
from harness.operators.gemm import GemmSpec
from harness.record import Outcome, Verdict
from harness.repertoire import Repertoire
from harness.runners.cuda import DeviceProblem
from harness.store import Store
from harness.target import load_target
from harness.workbench import Workbench

SQUARE = GemmSpec(m=128, n=128, k=128, dtype=DType.F16, trans_b=True)
CALLS, SPARSE = 24, 80
"""With one element in 80 not zero, sums of 128 products neither die out nor overflow in so many products."""


@pytest.fixture
def bench(tmp_path):
    with Store.open(tmp_path / "store") as store:
        yield Workbench(store, allow_unsafe=False)


@pytest.fixture
def gpu(bench):
    try:
        return present("cuda", lambda target: bench.worker(target))
    except TargetUnavailable as missing:
        pytest.skip(f"{missing}")


def objects(bench, target):
    """Return the first start point of every sketch for the square product, built."""
    repertoire = Repertoire(bench, target, SQUARE, Expert())
    firsts = {candidate.sketch: candidate for candidate in reversed(repertoire.space().starts)}
    return [item for item in repertoire.build(list(firsts.values())) if not isinstance(item, Verdict) and item.early]


def test_a_call_reads_what_the_call_before_wrote(bench, gpu):
    """A chain of products gives the same bits whether launches overlap or not."""
    items = objects(bench, gpu)
    assert items
    problem = DeviceProblem(spec=SQUARE, sparse=SPARSE)
    with bench.worker(gpu) as worker:
        for item in items:
            with worker.open(item, problem) as early, worker.open(item.apart(), problem) as apart:
                wanted = apart.chained(CALLS, 10)
                assert wanted > 0
                assert [wanted] * 5 == [early.chained(CALLS, 10) for _ in range(5)], item.name


def test_a_kernel_that_never_waits_is_refused(bench):
    """What is launched early must say griddepcontrol.wait; looked at before anything is compiled."""
    repertoire = Repertoire(bench, load_target("h100"), SQUARE, Expert())
    start = next(one for one in repertoire.space().starts if one.sketch == "gemm_cuda_splitk")
    try:
        (item,) = repertoire.build([start])
    except ToolchainError as missing:
        pytest.skip(f"{missing}")
    kernels = item.printed(SQUARE)
    careless = replace(item, printed=lambda _: {role: replace(one, text=one.text.replace("griddepcontrol.wait;", "")) for role, one in kernels.items()})
    verdict = careless.compiled(SQUARE, ("split_k",))
    assert (Outcome.SCREENED, True) == (verdict.outcome, "split_k" in verdict.reason)
