"""fp64, int8, fp16 and bf16 GEMM on the emulated targets: random candidates are right, with every instruction they may use."""

from random import Random

import numpy as np
import pytest

from generators.generator import Expert
from generators.sketch import sketch_names
from harness.build import Builder
from harness.dtype import DType
from harness.kernel import Candidate
from harness.operators.gemm import GemmSpec
from harness.record import Verdict
from harness.runners.arena import Placement
from harness.target import load_target
from harness.verify import exact_operands, real_operands, verify_exact, verify_rounding

EXPERT = Expert()
ODD = {"m": 29, "n": 43, "k": 37}
CASES = {
    ("a76", "sdot"): GemmSpec(**ODD, dtype=DType.I8),
    ("a72", "smlal"): GemmSpec(**ODD, dtype=DType.I8, beta=1.0),
    ("a76", ".8h"): GemmSpec(**ODD, dtype=DType.F16, acc=DType.F16),
    ("a76", ".4s"): GemmSpec(**ODD, dtype=DType.F16, trans_a=True, alpha=0.5, beta=2.0),
    ("a72", ".2d"): GemmSpec(**ODD, dtype=DType.F64, trans_b=True),
    ("a72", "fmla"): GemmSpec(**ODD, dtype=DType.BF16),
    ("c908", "vle64"): GemmSpec(**ODD, dtype=DType.F64, beta=1.0),
    ("c908", "vwmacc"): GemmSpec(**ODD, dtype=DType.I8, beta=1.0),
    ("k1", "vwmacc"): GemmSpec(**ODD, dtype=DType.I8, trans_a=True),
    ("c908", "vfmacc"): GemmSpec(**ODD, dtype=DType.F16, acc=DType.F16, trans_a=True, beta=1.0),
    ("k1", "vfmacc"): GemmSpec(**ODD, dtype=DType.F16, acc=DType.F16, alpha=0.5),
    ("c908", "vfwmacc"): GemmSpec(**ODD, dtype=DType.F16, trans_b=True, alpha=0.5, beta=2.0),
    ("k1", "vfwmacc"): GemmSpec(**ODD, dtype=DType.F16, out=DType.F32),
    ("k1", "vle32"): GemmSpec(**ODD, dtype=DType.BF16, trans_b=True),
}
"""By target and what its kernels must contain."""


@pytest.mark.parametrize(("name", "instruction"), CASES)
def test_random_candidates_are_right(bench, name, instruction):
    target, spec = load_target(name), CASES[name, instruction]
    (sketch,) = EXPERT.sketches(target, spec)
    builder = Builder(target, sketch, EXPERT.kernel_script(target, sketch), bench.toolchain, bench.sandbox, trusted=True)
    rng, candidates = Random(3), []
    while len(candidates) < 4:
        point = {tunable.name: rng.choice(tunable.values) for tunable in sketch.tunables}
        if sketch.legal(point):
            candidates.append(Candidate.of(sketch.name, point))
    wrong = {}
    with bench.worker(target) as worker:
        for candidate, item in zip(candidates, builder.build(candidates), strict=True):
            verdict = item
            if not isinstance(item, Verdict):
                draw = np.random.default_rng(5)
                verdict = verify_exact(worker, item, spec, exact_operands(spec, draw), Placement.END)
                if verdict.ok:
                    verdict = verify_rounding(worker, item, spec, real_operands(spec, draw)).verdict
            if not verdict.ok:
                wrong[str(candidate)] = str(verdict)

    assert {} == wrong
    assert all(instruction in kernel.text for candidate in candidates for kernel in builder.texts(candidate).values())


@pytest.mark.parametrize("name", ["a72", "a76", "c908", "k1"])
def test_a_peak_is_given_for_every_dtype_that_is_served(name):
    target = load_target(name)
    numbers = [dtype for dtype in DType if dtype is not DType.I32]
    served = [dtype for dtype in numbers if sketch_names(target, GemmSpec(**ODD, dtype=dtype))]

    assert {"fp32", "fp64", "bf16", "fp16"} <= {dtype.value for dtype in served} <= set(target.peak_gflops)
