"""Microbenchmarks in our own assembly find, in the model, the throughputs that were measured on the chips."""

import numpy as np

from harness.kernel import KernelText
from harness.machine import Machine
from harness.record import Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.target import load_target
from suites.selftest.vector_probe import ProbeSpec

# Cycles an instruction at LMUL 1, 2, 4, 8, 32-bit elements, as rvv-bench-results prints them (camel-cdr, MIT licence).
PUBLISHED = {
    ("c910", "vfadd.vv v{d}, v{a}, v{a}"): (0.5, 1, 2, 4),
    ("c910", "vfmul.vv v{d}, v{a}, v{a}"): (0.5, 1, 2, 4),
    ("c910", "vfadd.vf v{d}, v{a}, fa0"): (2.4, 2.4, 3, 5.5),
    ("c910", "vfmv.v.f v{d}, fa0"): (0.5, 1.4, 2, 4),
    ("c910", "vmul.vv v{d}, v{a}, v{a}"): (1, 2, 4, 8),
    ("c908", "vfmacc.vv v{d}, v{a}, v{a}"): (1, 2, 4, 8.1),
    ("c908", "vfmacc.vf v{d}, fa0, v{a}"): (1, 2, 4, 8.1),
    ("c908", "vfmv.v.f v{d}, fa0"): (2, 4, 8, 16),
    ("c908", "vfdiv.vv v{d}, v{a}, v{a}"): (39, 78, 156, 312),
    ("k1", "vfmacc.vf v{d}, fa0, v{a}"): (1, 2, 4, 8),
    ("k1", "vle32.v v{d}, (a5)"): (2.45, 4.35, 8.6, 16.5),
    ("k1", "vse32.v v{a}, (a6)"): (2.75, 4.8, 8.5, 19.7),
    ("k1", "vmv.v.v v{d}, v{a}"): (2, 4, 8, 16),
    ("k1", "vlse32.v v{d}, (a5), t4"): (8, 16, 32, 64),
    ("k1", "vfcvt.f.x.v v{d}, v{a}"): (2, 4, 8, 16),
    ("c906", "vfmul.vv v{d}, v{a}, v{a}"): (5, 5, 8, 17),
}
DEPENDENT = {("c906", "vfmul.vv v{d}, v{a}, v{a}")}
"""Measured with each result feeding the next: cycles of latency where that is longer."""
SCALAR = {
    ("c908", "flw fa{d}, 0(a5)"): 1.2,
    ("c908", "add t{d}, t5, t5"): 0.5,
    ("c908", "fmadd.s fa0, fa1, fa2, fa0"): 5,
    ("c910", "fmadd.s fa{d}, ft0, ft1, ft2"): 0.5,
    ("c910", "flw fa{d}, 0(a5)"): 1,
    ("c910", "fsw fa0, 0(a6)"): 1,
}
TURNS = 200


def cycles(bench, name: str, instructions: list[str], lmul: int) -> float:
    """Cycles a turn of a loop, from two lengths of it."""
    target = load_target(name)
    policy = "" if "xtheadvector" in target.features else ", ta, ma"
    body = "\n".join(instructions)
    text = ".text\n.globl opw_run\n.type opw_run, @function\nopw_run:\nld a5, 0(a0)\nld a6, 16(a0)\nld t0, 8(a0)\n"
    text += f"lw t0, 0(t0)\nli t4, 4\nvsetvli t1, x0, e32, m{lmul}{policy}\n1:\n{body}\naddi t0, t0, -1\nbnez t0, 1b\nli a0, 0\nret\n"
    kernel = KernelText(name="opw_run", role="whole", signature="opw_run", text=text)
    (built,) = bench.toolchain.assemble([kernel], Machine.of(target), trusted=False).values()
    assert not isinstance(built, Verdict), str(built)
    found = []
    with bench.worker(target) as worker, Arena(ProbeSpec(1024, 1024), Placement.ALIGNED) as arena:
        arena.fill({"A": np.zeros((1, 1024), np.float32), "B": np.zeros((1, 1), np.float32)})
        for turns in (TURNS, 2 * TURNS):
            arena.view("B").view("i4")[...] = turns
            with worker.open(NativeObject(name="loop", libraries=(built,)), arena) as session:
                session.time(timeout_s=1, samples=1)
                assert session.verdict.ok, str(session.verdict)
                found.append(session.counters["cycles"])
    return (found[1] - found[0]) / TURNS


def test_vector_throughput(bench):
    wrong = {}
    for (name, pattern), row in PUBLISHED.items():
        for lmul, published in zip((1, 2, 4, 8), row, strict=True):
            free = list(range(8, 32, lmul))
            chain = (name, pattern) in DEPENDENT
            count = 1 if chain else len(free) - 1
            code = [pattern.format(d=free[0] if chain else d, a=free[0] if chain else free[-1]) for d in free[:count]]
            code *= -(-24 // len(code))
            modelled = cycles(bench, name, code, lmul) / len(code)
            if abs(modelled / published - 1) > 0.10:
                wrong[f"{name} {pattern} m{lmul}"] = (modelled, published)

    assert {} == wrong


def test_scalar_throughput(bench):
    wrong = {}
    for (name, pattern), published in SCALAR.items():
        code = [pattern.format(d=1 + i % 2) for i in range(48)]
        modelled = cycles(bench, name, code, 1) / len(code)
        if abs(modelled / published - 1) > 0.10:
            wrong[f"{name} {pattern}"] = (modelled, published)

    assert {} == wrong
