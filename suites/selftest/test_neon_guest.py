"""NEON kernels, verdicts, the timing model and the OpenBLAS baseline in the AArch64 emulator."""

from random import Random

import numpy as np
import pytest

from generators.generator import Expert
from harness.baselines.openblas_guest import BASELINE
from harness.build import Builder
from harness.case import Case
from harness.errors import BaselineUnavailable
from harness.kernel import Candidate, KernelText
from harness.machine import Machine
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec
from harness.record import Outcome, Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.target import TARGETS, load_target
from harness.verify import exact_operands, special_operands, verify_exact

EXPERT = Expert()
TARGET_NAMES = sorted(path.stem for path in TARGETS.glob("*.toml") if load_target(path.stem).isa == "neon")
CORTEX = load_target(TARGET_NAMES[-1])
SPECS = [
    GemmSpec(m=37, n=61, k=75),
    GemmSpec(m=16, n=24, k=9, trans_a=True, alpha=0.5, beta=2.0),
    GemmSpec(m=13, n=50, k=33, trans_b=True, beta=1.0),
    Conv2dSpec(n=1, c=5, h=9, w=8, f=13, r=3, s=3, stride=1, padding=1, layout="nchw"),
    Conv2dSpec(n=2, c=4, h=9, w=8, f=10, r=3, s=3, stride=2, padding=1, layout="nhwc"),
]


@pytest.fixture(scope="module")
def worker(bench):
    with bench.worker(CORTEX) as started:
        yield started


def whole(bench, body: str) -> NativeObject | Verdict:
    """Assemble an `opw_run` of its own."""
    text = f".text\n.globl opw_run\n.type opw_run, %function\nopw_run:\n{body}\n"
    kernel = KernelText(name="opw_run", role="whole", signature="opw_run", text=text)
    (built,) = bench.toolchain.assemble([kernel], Machine.of(CORTEX), trusted=True).values()
    return built if isinstance(built, Verdict) else NativeObject(name="asm", libraries=(built,))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.slug)
def test_random_candidates_are_right(bench, worker, spec):
    sketch = EXPERT.sketches(CORTEX, spec)[0]
    script = EXPERT.kernel_script(CORTEX, sketch)
    builder = Builder(CORTEX, sketch, script, bench.toolchain, bench.sandbox, trusted=True)
    rng, candidates = Random(5), []
    while len(candidates) < 6:
        point = {t.name: rng.choice(t.values) for t in sketch.tunables}
        if sketch.legal(point):
            candidates.append(Candidate.of(sketch.name, point))
    draw = np.random.default_rng(7)
    found = []
    for item in builder.build(candidates):
        for placement, operands in ((Placement.END, exact_operands), (Placement.START, special_operands)):
            found.append(item if isinstance(item, Verdict) else verify_exact(worker, item, spec, operands(spec, draw), placement))

    assert not [str(verdict) for verdict in found if not verdict.ok]


@pytest.mark.parametrize(
    ("body", "outcome", "words"),
    [
        ("ldr x1, [x0, #16]\n str q0, [x1, #4080]\n ret", Outcome.BOUNDS, "C, 3824 bytes past its end"),
        ("ldr x1, [x0]\n str w0, [x1]\n ret", Outcome.BOUNDS, "A at byte 0 (an input: read only)"),
        (".word 0x04a0c000\n ret", Outcome.CRASH, "encoded 0x04a0c000"),
        ("mov x8, #93\n .word 0xd4000001\n ret", Outcome.CRASH, "system call 93"),
        ("mov x9, #8\n br x9", Outcome.CRASH, "no code"),
        ("movi v9.4s, #0\n mov w0, #0\n ret", Outcome.ABI, "d9"),
        ("mov x20, #1\n mov w0, #0\n ret", Outcome.ABI, "x20"),
        ("mov w0, #7\n ret", Outcome.CRASH, "returned 7"),
    ],
)
def test_faults_have_names(bench, worker, body, outcome, words):
    spec = GemmSpec(m=8, n=8, k=8)
    verdict = verify_exact(worker, whole(bench, body), spec, exact_operands(spec, np.random.default_rng(0)), Placement.END)

    assert outcome is verdict.outcome, str(verdict)
    assert words in verdict.reason


LOOPS = {
    # name: instructions of one turn, and by class how many cycles the sources of the target files say they take
    "independent fma": ([f"fmla v{k}.4s, v30.4s, v31.s[0]" for k in range(24)], lambda cycles: 24 * cycles("vfma") / 2),
    "dependent fma": (["fmla v0.4s, v30.4s, v31.s[0]"] * 8, lambda cycles: 8 * cycles("vfma", latency=True)),
    "independent add": ([f"fadd v{k}.4s, v30.4s, v31.4s" for k in range(24)], lambda cycles: 24 * cycles("vfadd") / 2),
    "dependent multiply": (["fmul v0.4s, v0.4s, v31.4s"] * 8, lambda cycles: 8 * cycles("vfmul", latency=True)),
    "dependent load": (["ldr x9, [x9]"] * 8, lambda cycles: 8 * cycles("load", latency=True)),
    "vector loads": (["ldr q1, [sp]"] * 8, lambda cycles: 8 * cycles("vload") / cycles.load_ports),
}


class Cycles:
    """What a target file says of a class."""

    def __init__(self, target):
        self._classes = target.timing_classes
        self.load_ports = len(self._classes["vload"].value.split()[1].split("+"))

    def __call__(self, name: str, latency: bool = False) -> float:
        words = self._classes[name].value.split()
        return float(words[0] if latency else words[2])


@pytest.mark.parametrize("target_name", TARGET_NAMES)
@pytest.mark.parametrize("loop", LOOPS)
def test_microbenchmarks_reproduce_the_published_throughput(bench, target_name, loop):
    body, published = LOOPS[loop]
    target, turns, spec = load_target(target_name), 400, GemmSpec(m=1, n=1, k=1)
    text = "\n".join(["sub sp, sp, #16", "mov x9, sp", "str x9, [x9]", "stp d8, d9, [sp, #-64]!", "stp d10, d11, [sp, #16]",
                      "stp d12, d13, [sp, #32]", "stp d14, d15, [sp, #48]", f"mov w10, #{turns}", "1:", *body,
                      "subs w10, w10, #1", "b.ne 1b", "ldp d10, d11, [sp, #16]", "ldp d12, d13, [sp, #32]",
                      "ldp d14, d15, [sp, #48]", "ldp d8, d9, [sp], #64", "add sp, sp, #16", "mov w0, #0", "ret"])
    with bench.worker(target) as started, Arena(spec, Placement.ALIGNED) as arena:
        arena.fill(exact_operands(spec, np.random.default_rng(0)))
        with started.open(whole(bench, text), arena) as session:
            timing = session.time(timeout_s=10, samples=1)
    measured = timing.cpu_s[0] * target.clock_hz.value / turns

    assert pytest.approx(published(Cycles(target)), rel=0.1) == measured


def test_openblas_runs_in_the_guest_and_is_right(bench, worker):
    spec = GemmSpec(m=65, n=70, k=130)
    try:
        item = BASELINE.build(bench.toolchain, CORTEX, Case(target=CORTEX.name, spec=spec))
    except BaselineUnavailable as missing:
        pytest.skip(str(missing))
    verdict = verify_exact(worker, item, spec, exact_operands(spec, np.random.default_rng(3)), Placement.END)

    assert verdict.ok, str(verdict)
