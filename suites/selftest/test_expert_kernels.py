"""The expert's scripts and sketches, on both instruction sets, over sizes, strides, transposes and scalars."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.generator import Expert
from harness.build import Builder
from harness.kernel import Candidate
from harness.operators import operators
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec
from harness.record import Verdict
from harness.runners.arena import Placement
from harness.target import Fact, load_target
from harness.verify import exact_operands, special_operands, verify_exact, verify_rounding

EXPERT = Expert()
CANDIDATES = 10
GEMM = GemmSpec(m=200, n=300, k=100)


def masked(target, bits):
    if bits == 512:
        if target.vector_bits.value < 512:
            pytest.skip("this machine has no AVX-512; its kernels are assembled in test_every_parameter_set_assembles")
        return target
    facts = {"vector_bits": Fact(value=256, source="masked"), "vector_registers": Fact(value=16, source="masked")}
    return replace(target, **facts, toolchain={**target.toolchain, "cpu": "x86-64-v3"})


def packing_sketch(target, spec):
    """The sketch that packs and serves every GEMM, else the first; the others have tests of their own."""
    sketches = {sketch.name: sketch for sketch in EXPERT.sketches(target, spec)}
    return sketches.get("gemm_packed") or next(iter(sketches.values()))


def draw_candidates(sketch, rng, count):
    found = []
    while len(found) < count:
        point = {t.name: rng.choice(t.values) for t in sketch.tunables}
        if sketch.legal(point):
            found.append(Candidate.of(sketch.name, point))
    return found


class Family:
    """A random handful of built candidates of one sketch."""

    def __init__(self, bench, target, spec):
        self.sketch = packing_sketch(target, spec)
        script = EXPERT.kernel_script(target, self.sketch)
        builder = Builder(target, self.sketch, script, bench.toolchain, bench.sandbox, trusted=True)
        starts = [Candidate.of(self.sketch.name, p) for p in EXPERT.start_points(target, spec, self.sketch)][:3]
        self.candidates = starts + draw_candidates(self.sketch, Random(20), CANDIDATES)
        self.items = builder.build(self.candidates)
        refused = [str(item) for item in self.items if isinstance(item, Verdict)]
        assert not refused, refused[0]


@pytest.fixture(scope="module", params=[512, 256], ids=["avx512", "avx2"])
def target(request, host):
    return masked(host, request.param)


@pytest.fixture(scope="module")
def gemm(bench, target):
    return Family(bench, target, GEMM)


@pytest.fixture(scope="module", params=["nchw", "nhwc"])
def conv(bench, target, request):
    spec = Conv2dSpec(n=1, c=16, h=14, w=14, f=32, r=3, s=3, stride=1, padding=1, layout=request.param)
    return Family(bench, target, spec)


@pytest.fixture(scope="module")
def shared_worker(bench):
    with bench.worker() as started:
        yield started


sizes = st.integers(1, 70)
gaps = st.integers(0, 5)
scalars = st.sampled_from([(1.0, 0.0), (1.0, 1.0), (-1.5, 0.5), (2.0, 0.0), (0.0, 0.5)])
gemm_specs = st.builds(
    lambda m, n, k, ta, tb, gap, scalars: GemmSpec(
        m=m,
        n=n,
        k=k,
        trans_a=ta,
        trans_b=tb,
        alpha=scalars[0],
        beta=scalars[1],
        lda=(m if ta else k) + gap,
        ldb=(k if tb else n) + gap,
        ldc=n + gap,
    ),
    sizes,
    sizes,
    sizes,
    st.booleans(),
    st.booleans(),
    gaps,
    scalars,
)


def built_for(family, bench, target, spec, index):
    """Transposes decide which kernels a candidate needs, so build it for the spec at hand."""
    sketch = packing_sketch(target, spec)
    builder = Builder(target, sketch, EXPERT.kernel_script(target, sketch), bench.toolchain, bench.sandbox, trusted=True)
    return builder.build([family.candidates[index]])[0]


@settings(max_examples=60)
@given(spec=gemm_specs, index=st.integers(0, CANDIDATES + 2), seed=st.integers(0, 99))
def test_gemm_is_exact(spec, index, seed, gemm, bench, target, shared_worker):
    item = built_for(gemm, bench, target, spec, index)
    rng = np.random.default_rng(seed)
    for placement in (Placement.END, Placement.START):
        verdict = verify_exact(shared_worker, item, spec, exact_operands(spec, rng), placement)
        assert verdict.ok, f"{verdict} with {gemm.candidates[index]}"


@settings(max_examples=15)
@given(spec=gemm_specs, index=st.integers(0, CANDIDATES + 2), seed=st.integers(0, 99))
def test_gemm_spreads_nan_and_infinity_as_numpy_does(spec, index, seed, gemm, bench, target, shared_worker):
    item = built_for(gemm, bench, target, spec, index)
    operands = special_operands(spec, np.random.default_rng(seed))
    verdict = verify_exact(shared_worker, item, spec, operands, Placement.ALIGNED)

    assert verdict.ok, f"{verdict} with {gemm.candidates[index]}"


@pytest.mark.parametrize("unroll", [1, 4, 8])
def test_late_prefetches_of_c_leave_every_depth_right(unroll, bench, target, shared_worker):
    """The k loop is then in three parts: depths at which one of them is empty or ends exactly."""
    depths = sorted({0, 1, unroll * 6 - 1, unroll * 6, unroll * 6 + 1, 63, 64, 65, 64 + unroll, 64 + unroll * 6, 200})
    for k in depths:
        spec = GemmSpec(m=13, n=70, k=k)
        sketch = packing_sketch(target, replace(spec, k=512))
        values = {**sketch.start, "mr": 6, "nr": 16, "unroll": unroll, "prefetch_c": 64, "kc": 512, "pack_a": k % 3}
        builder = Builder(target, sketch, EXPERT.kernel_script(target, sketch), bench.toolchain, bench.sandbox, trusted=True)
        (item,) = builder.build([Candidate.of(sketch.name, values)])
        operands = exact_operands(spec, np.random.default_rng(k))
        verdict = verify_exact(shared_worker, item, spec, operands, Placement.END)
        assert verdict.ok, f"{verdict} at k={k}"


def test_gemm_neighbours_of_every_candidate(gemm, shared_worker):
    for candidate, item in zip(gemm.candidates, gemm.items, strict=True):
        rng = np.random.default_rng(1)
        for spec in GEMM.neighbours(dict(candidate.values)):
            verdict = verify_exact(shared_worker, item, spec, exact_operands(spec, rng), Placement.END)
            assert verdict.ok, f"{verdict} with {candidate}"


def test_gemm_rounds_as_expected(gemm, shared_worker):
    spec = GemmSpec(m=65, n=130, k=3000)
    rng = np.random.default_rng(2)
    operands = {"A": rng.standard_normal((65, 3000), "f4"), "B": rng.standard_normal((3000, 130), "f4")}
    for item in gemm.items:
        checked = verify_rounding(shared_worker, item, spec, operands)
        assert checked.verdict.ok
        assert 0.0 < checked.residual < 1.0


def test_conv_neighbours_of_every_candidate(conv, bench, shared_worker):
    spec_names = conv.sketch.names
    layout = "nhwc" if spec_names["nhwc"] else "nchw"
    spec = Conv2dSpec(n=1, c=16, h=14, w=14, f=32, r=3, s=3, stride=1, padding=1, layout=layout)
    for candidate, item in zip(conv.candidates[:6], conv.items, strict=False):
        rng = np.random.default_rng(3)
        for near in spec.neighbours(dict(candidate.values)):
            for placement in (Placement.END, Placement.START):
                verdict = verify_exact(shared_worker, item, near, exact_operands(near, rng), placement)
                assert verdict.ok, f"{verdict} with {candidate}"


@pytest.mark.parametrize("operator", ["gemm", "conv2d"])
@pytest.mark.parametrize("name", ["a72", "a76", "c906", "c908", "c910", "k1"])
def test_every_first_guess_is_legal(name, operator):
    """A search that begins with a point outside its own space finds nothing near it: no cache beyond the first, say."""
    target = load_target(name)
    for spec in operators()[operator].shape_sets["paper"]:
        for sketch in EXPERT.sketches(target, spec):
            assert [] == [point for point in EXPERT.start_points(target, spec, sketch) if not sketch.legal(point)]


@pytest.mark.parametrize("bits", [512, 256])
def test_every_parameter_set_assembles(bench, host, bits):
    """Also on a machine that cannot run them: the assembler knows what the target's features allow."""
    registers = 32 if bits == 512 else 16
    facts = {"vector_bits": Fact(value=bits, source="test"), "vector_registers": Fact(value=registers, source="test")}
    target = replace(host, **facts, toolchain={"cpu": "x86-64-v4" if bits == 512 else "x86-64-v3"})
    sketch = EXPERT.sketches(target, GEMM)[0]
    script = EXPERT.kernel_script(target, sketch)
    builder = Builder(target, sketch, script, bench.toolchain, bench.sandbox, trusted=True)
    refused = [str(item) for item in builder.build(draw_candidates(sketch, Random(7), 25)) if isinstance(item, Verdict)]

    assert refused == []
