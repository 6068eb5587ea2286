"""Batched GEMM: the spec against a loop of single ones, the sentences, and every sketch on a whole batch."""

from dataclasses import replace

import numpy as np
import pytest

from generators.generator import Expert
from generators.sketch import load_sketch, sketch_names
from harness.dtype import DType
from harness.errors import BadRequest
from harness.kernel import Candidate
from harness.operators import operators, spec_from_json
from harness.operators.batched_gemm import BatchedGemmSpec
from harness.prompt import parse_prompt
from harness.record import Verdict
from harness.verify import verify
from suites.selftest.drawn_specs import draw_operands

SPEC = BatchedGemmSpec(batch=3, m=4, n=5, k=6, trans_b=True, alpha=2.0, beta=0.5)
RUN = (
    BatchedGemmSpec(batch=5, m=9, n=20, k=33),
    BatchedGemmSpec(batch=2, m=40, n=30, k=20, trans_a=True, trans_b=True, beta=1.0, shared_b=True),
    BatchedGemmSpec(batch=4, m=1, n=70, k=64, trans_b=True),
    BatchedGemmSpec(batch=3, m=33, n=17, k=29, dtype=DType.F64, alpha=0.5),
    BatchedGemmSpec(batch=3, m=20, n=30, k=50, dtype=DType.I8, beta=1.0),
    BatchedGemmSpec(batch=3, m=20, n=30, k=50, dtype=DType.BF16, out=DType.F32),
)


@pytest.mark.parametrize("shared", [False, True])
def test_reference_is_a_loop(shared):
    spec = replace(SPEC, shared_b=shared)
    operands = draw_operands(spec)
    found = spec.reference(operands)
    for at in range(spec.batch):
        own = {**operands, "A": operands["A"][at], "C": operands["C"][at], "B": operands["B"] if shared else operands["B"][at]}

        assert np.allclose(spec.one.reference(own), found[at])


def test_no_matrices_at_all():
    spec = replace(SPEC, batch=0)

    assert (0, 4, 5) == spec.reference(draw_operands(spec)).shape
    assert 0 == spec.flops == spec.least_bytes


def test_a_shared_matrix_moves_once():
    """B has two dimensions, no step and counts once."""
    alone, shared = (BatchedGemmSpec(batch=8, m=2, n=3, k=5, shared_b=shared) for shared in (False, True))

    assert (5, 3) == shared.operands()[1].shape
    assert 0 == shared.dims()["step_b"]
    assert 7 * 3 * 5 * 4 == alone.least_bytes - shared.least_bytes
    assert alone.flops == shared.flops == 8 * 2 * 2 * 3 * 5


@pytest.mark.parametrize(
    ("sentence", "spec"),
    [
        ("fp32 batched GEMM 64x32x33x34 on host", BatchedGemmSpec(batch=64, m=32, n=33, k=34)),
        ("bf16 bmm 32x33x34, batch 7", BatchedGemmSpec(batch=7, m=32, n=33, k=34, dtype=DType.BF16)),
        ("batched matmul 7 x 8 x 9 batch 5 nt one b", BatchedGemmSpec(batch=5, m=7, n=8, k=9, trans_b=True, shared_b=True)),
        ("int8 batched GEMM 2x7x8x9 beta 1", BatchedGemmSpec(batch=2, m=7, n=8, k=9, dtype=DType.I8, beta=1.0)),
    ],
)
def test_sentences(sentence, spec):
    assert spec == parse_prompt(sentence).spec
    assert spec == spec_from_json(spec.to_json())


@pytest.mark.parametrize(
    ("sentence", "words"),
    [("batched GEMM 32x33x34", "batch is missing"), ("batched GEMM 2x7x8x9 lda 20", "gaps"), ("batched GEMM 2x7x8x9 fast blue", "blue")],
)
def test_sentences_that_say_too_little(sentence, words):
    with pytest.raises(BadRequest, match=words):
        parse_prompt(sentence)


def test_every_spec_of_the_sets_has_a_sketch(host):
    for specs in operators()["batched_gemm"].shape_sets.values():
        assert all(Expert().sketches(host, spec) for spec in specs)


@pytest.mark.parametrize("spec", RUN, ids=lambda spec: spec.slug)
def test_sketches_on_this_machine(bench, worker, host, spec):
    """Each sketch's start is right on the batch, on fringes, on one matrix, on none, and on a shared B."""
    for name in sketch_names(host, spec):
        sketch = load_sketch(name, host, spec)
        builder = bench.builder(host, sketch, Expert().kernel_script(host, sketch), spec, trusted=True)
        (item,) = builder.build([Candidate.of(name, sketch.start)])
        assert not isinstance(item, Verdict), f"{name}: {item}"
        checked = verify(worker, item, spec, sketch.start, 3)

        assert checked.verdict.ok, f"{name}: {checked.verdict}"
