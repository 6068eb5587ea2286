"""Every sketch that serves a GEMM computes it: all dtypes, transposes, scalars and leading dimensions, both vector lengths."""

from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from generators.generator import Expert
from generators.sketch import load_sketch, sketch_names
from harness.build import Builder
from harness.dtype import DType
from harness.errors import TargetUnavailable
from harness.kernel import Candidate
from harness.operators.gemm import GemmSpec
from harness.record import Verdict
from harness.runners.arena import Placement
from harness.search.space import SketchSpace
from harness.verify import exact_operands, special_operands, verify_exact, verify_rounding
from suites.selftest.test_expert_kernels import masked

EXPERT = Expert()
KINDS = [
    {"dtype": DType.F32},
    {"dtype": DType.F64},
    {"dtype": DType.I8},
    {"dtype": DType.BF16},
    {"dtype": DType.BF16, "out": DType.F32},
    {"dtype": DType.F16},
]
SCALARS = [(1.0, 0.0), (1.0, 1.0), (-1.5, 0.5), (0.0, 0.5)]


@pytest.fixture(scope="module", params=[512, 256], ids=["avx512", "avx2"])
def target(request, host):
    return masked(host, request.param)


@pytest.fixture(scope="module")
def shared_worker(bench):
    with bench.worker() as started:
        yield started


def made(sizes, kind, trans, gaps, scalars):
    """A spec with rows that are longer than their elements."""
    (m, n, k), (ta, tb), (alpha, beta) = sizes, trans, scalars
    if kind["dtype"].whole:
        alpha, beta = 1.0, float(beta != 0)
    return GemmSpec(
        m=m,
        n=n,
        k=k,
        trans_a=ta,
        trans_b=tb,
        alpha=alpha,
        beta=beta,
        lda=(m if ta else k) + gaps[0],
        ldb=(k if tb else n) + gaps[1],
        ldc=n + gaps[2],
        **kind,
    )


sizes = st.tuples(*[st.integers(1, 70)] * 3) | st.tuples(st.integers(1, 9), st.integers(1, 200), st.integers(1, 200))
specs = st.builds(
    made,
    sizes,
    st.sampled_from(KINDS),
    st.tuples(st.booleans(), st.booleans()),
    st.tuples(*[st.integers(0, 3)] * 3),
    st.sampled_from(SCALARS),
)


def served(target, spec):
    """The sketches for a spec, none where nothing is written for it on this machine."""
    try:
        return EXPERT.sketches(target, spec)
    except TargetUnavailable:
        return []


def built(bench, target, sketch, values):
    builder = Builder(target, sketch, EXPERT.kernel_script(target, sketch), bench.toolchain, bench.sandbox, trusted=True)
    (item,) = builder.build([Candidate.of(sketch.name, values)])
    assert not isinstance(item, Verdict), f"{item} with {values}"
    return item


def drawn(sketch, seed):
    """The start of a sketch, or a legal point by chance."""
    space = SketchSpace(sketch=sketch.name, tunables=sketch.tunables, legal=sketch.legality())
    return sketch.start if seed == 0 and sketch.legal(sketch.start) else dict(next(space.shuffled(Random(seed))).values)


@settings(max_examples=25)
@given(spec=specs, seed=st.integers(0, 40))
@example(spec=made((1, 1, 1), KINDS[0], (False, False), (0, 0, 0), (1.0, 0.0)), seed=1)
def test_every_sketch_is_exact(spec, seed, bench, target, shared_worker):
    rng = np.random.default_rng(seed)
    for sketch in served(target, spec):
        values = drawn(sketch, seed)
        item = built(bench, target, sketch, values)
        for placement, draw in (
            (Placement.END, exact_operands),
            (Placement.START, exact_operands),
            (Placement.ALIGNED, special_operands),
        ):
            verdict = verify_exact(shared_worker, item, spec, draw(spec, rng), placement)
            assert verdict.ok, f"{sketch.name}: {verdict} with {values}"


@pytest.mark.parametrize("kind", KINDS[:2], ids=lambda kind: "-".join(kind.values()))
@pytest.mark.parametrize(("m", "n", "k", "beta"), [(7, 17, 131, 1.0), (9, 34, 16, 0.0), (3, 68, 5, 1.0)])
def test_last_columns_may_be_dot_products(m, n, k, beta, kind, bench, host, shared_worker):
    """They would leave a vector nearly empty; rows and k in whole groups or not, with C or without."""
    if host.vector_bits.value != 512:
        pytest.skip("only AVX-512 has them, which this machine has not; run on a machine that has")
    spec = GemmSpec(m=m, n=n, k=k, beta=beta, lda=k + 3, ldb=n + 1, ldc=n + 2, **kind)
    sketch = next(one for one in served(host, spec) if one.name == "gemm_small")
    item = built(bench, host, sketch, {**sketch.start, "dots": n % sketch.names["lanes"], "mr": 3, "nv": 2})
    for draw in (exact_operands, special_operands):
        verdict = verify_exact(shared_worker, item, spec, draw(spec, np.random.default_rng(2)), Placement.END)
        assert verdict.ok, str(verdict)


@pytest.mark.parametrize(
    ("m", "n", "k", "trans_a", "trans_b"),
    [(1, 1, 1, 0, 0), (5, 17, 3, 0, 0), (33, 64, 66, 0, 0), (17, 40, 130, 1, 0), (61, 50, 13, 0, 1), (120, 96, 64, 1, 1)],
)
def test_bytes_are_packed_by_their_kernel(m, n, k, trans_a, trans_b, bench, host, shared_worker):
    """k in whole steps or not, columns and rows in whole vectors or not, of rows with gaps, in several blocks of rows."""
    kind = {"dtype": DType.I8}
    spec = made((m, n, k), kind, (bool(trans_a), bool(trans_b)), (1, 2, 3), (1.0, float(m > 3)))
    sketch = next((one for one in served(host, spec) if one.name == "gemm_bytes"), None)
    if sketch is None:
        pytest.skip("only AVX-512 VNNI has it, which this machine has not; run on a machine that has")
    for values in (sketch.start, {**drawn(sketch, 1), "mc": 48}):
        item = built(bench, host, sketch, values)
        for placement in (Placement.END, Placement.START):
            verdict = verify_exact(shared_worker, item, spec, exact_operands(spec, np.random.default_rng(3)), placement)
            assert verdict.ok, str(verdict)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(kind.values()))
@pytest.mark.parametrize("shape", [(3, 260, 900), (260, 3, 900), (50, 45, 60)], ids=str)
def test_sums_are_rounded_as_expected(kind, shape, bench, target, shared_worker):
    """Reals, judged in expected rounding errors; the half types once more by what they store."""
    spec = GemmSpec(**dict(zip("mnk", shape, strict=True)), **kind)
    rng = np.random.default_rng(1)
    for sketch in served(target, spec):
        operands = {
            operand.name: operand.dtype.round(rng.integers(-99, 99, operand.shape) * (1 if spec.dtype.whole else 0.37))
            for operand in spec.operands()[:2]
        }
        checked = verify_rounding(shared_worker, built(bench, target, sketch, drawn(sketch, 0)), spec, operands)
        assert checked.verdict.ok, f"{sketch.name}: {checked.verdict}"


def test_each_regime_has_its_sketch(host):
    """What serves where: a skinny or small product has more than the packed loops to choose from."""
    names = {shape: sketch_names(host, GemmSpec(**dict(zip("mnk", shape, strict=True)))) for shape in
             [(512, 512, 512), (8, 4096, 4096), (4096, 8, 4096), (4096, 4096, 8), (32, 32, 32)]}

    assert names[512, 512, 512] == ["gemm_packed"]
    assert {"gemm_packed", "gemm_sweep"} <= set(names[8, 4096, 4096]) & set(names[4096, 4096, 8])
    assert {"gemm_packed", "gemm_dot", "gemm_rows"} <= set(names[4096, 8, 4096])
    assert "gemm_small" in names[32, 32, 32]


def test_starts_are_legal(host):
    """A declared start that no register file holds would be dropped in silence."""
    for shape in [(8, 4096, 4096), (4096, 8, 4096), (4096, 4096, 8), (64, 64, 64), (4, 4, 4), (1, 300, 300)]:
        spec = GemmSpec(**dict(zip("mnk", shape, strict=True)))
        for name in sketch_names(host, spec):
            sketch = load_sketch(name, host, spec)
            assert sketch.legal(sketch.start), f"{name} {shape} {sketch.start}"
