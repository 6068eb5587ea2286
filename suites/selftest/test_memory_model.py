"""Streams in our own assembly find, in the model, the memory bandwidths that others measured on the boards."""

import numpy as np
import pytest

from harness.kernel import KernelText
from harness.machine import Machine
from harness.record import Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.target import load_target
from suites.selftest.vector_probe import ProbeSpec

BYTES = 4 << 20
# GB/s of one core: sbc-bench results 8-NK, 3InF, 8to7qX, 4xYE (there at 1.5 and 2.0 GHz) and rvv-bench-results, each
# with the lowest and highest of what is published, 10% wider.
PUBLISHED = {
    ("a76", "read"): (14.9, 14.9),
    ("a76", "fill"): (10.0, 14.0),
    ("a76", "copy"): (6.0, 6.0),
    ("a72", "read"): (4.0, 5.0),
    ("k1", "read"): (2.65, 7.0),
    ("k1", "fill"): (7.18, 7.18),
    ("k1", "copy"): (2.62, 2.78),
    ("c910", "read"): (3.6, 3.9),
    ("c910", "fill"): (11.2, 14.8),
    ("c910", "copy"): (4.05, 4.35),
    ("c908", "copy"): (3.09, 3.09),
}
NEON = {
    "read": "ldp q0, q1, [x1], #32\nldp q2, q3, [x1], #32\nadd v4.4s, v4.4s, v0.4s\nadd v5.4s, v5.4s, v1.4s\n"
    "add v6.4s, v6.4s, v2.4s\nadd v7.4s, v7.4s, v3.4s",
    "fill": "stp q0, q1, [x2], #32\nstp q0, q1, [x2], #32",
    "copy": "ldp q0, q1, [x1], #32\nldp q2, q3, [x1], #32\nstp q0, q1, [x2], #32\nstp q2, q3, [x2], #32",
}
RVV = {
    "read": "{load} v0, (a5)\nvadd.vv v8, v8, v0\naddi a5, a5, 64",
    "fill": "{store} v0, (a6)\naddi a6, a6, 64",
    "copy": "{load} v0, (a5)\n{store} v0, (a6)\naddi a5, a5, 64\naddi a6, a6, 64",
}


def stream_text(target, stream: str) -> str:
    """Return `opw_run`: the stream in steps of a line, as many as B says."""
    head = ".text\n.globl opw_run\n.type opw_run, @function\nopw_run:\n"
    if target.isa == "neon":
        begin = "ldr x1, [x0]\nldr x2, [x0, #16]\nldr x3, [x0, #8]\nldr w3, [x3]\n1:\n"
        return f"{head}{begin}{NEON[stream]}\nsubs w3, w3, #1\nb.ne 1b\nmov w0, #0\nret\n"
    old = "xtheadvector" in target.features
    body = RVV[stream].format(load="vle.v" if old else "vle8.v", store="vse.v" if old else "vse8.v")
    begin = "ld a5, 0(a0)\nld a6, 16(a0)\nld t0, 8(a0)\nlw t0, 0(t0)\nli t2, 64\n"
    begin += f"vsetvli t1, t2, e8, m4{'' if old else ', ta, ma'}\n1:\n"
    return f"{head}{begin}{body}\naddi t0, t0, -1\nbnez t0, 1b\nli a0, 0\nret\n"


@pytest.mark.parametrize(("name", "stream"), PUBLISHED)
def test_bandwidth(bench, name, stream):
    target, (low, high) = load_target(name), PUBLISHED[name, stream]
    kernel = KernelText(name="opw_run", role="whole", signature="opw_run", text=stream_text(target, stream))
    (built,) = bench.toolchain.assemble([kernel], Machine.of(target), trusted=False).values()
    assert not isinstance(built, Verdict), str(built)
    with bench.worker(target) as worker, Arena(ProbeSpec(BYTES // 4, BYTES // 4), Placement.ALIGNED) as arena:
        arena.fill({"A": np.zeros((1, BYTES // 4), np.float32), "B": np.zeros((1, 1), np.float32)})
        arena.view("B").view("i4")[...] = BYTES // 64
        with worker.open(NativeObject(name="stream", libraries=(built,)), arena) as session:
            timing = session.time(timeout_s=10, samples=1)
            assert timing is not None, str(session.verdict)

    assert 0.9 * low <= BYTES / timing.cpu_s[0] / 1e9 <= 1.1 * high
