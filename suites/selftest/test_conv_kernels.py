"""Every sketch of a convolution on both instruction sets: strides, padding, dilation, groups, epilogues, odd sizes."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from generators.generator import Expert
from harness.build import Builder
from harness.dtype import DType
from harness.kernel import Candidate
from harness.operators.conv2d import Conv2dSpec
from harness.record import Verdict
from harness.runners.arena import Placement
from harness.target import Fact
from harness.verify import exact_operands, real_operands, special_operands, verify, verify_exact, verify_rounding

EXPERT = Expert()
DRAWN = 4
TUNED = {
    "dense": Conv2dSpec(n=1, c=40, h=14, w=14, f=48, r=3, s=3, padding=1),
    "pointwise": Conv2dSpec(n=2, c=40, h=14, w=14, f=48, r=1, s=1),
    "grouped": Conv2dSpec(n=1, c=40, h=14, w=14, f=48, r=3, s=3, padding=1, groups=4),
    "depthwise": Conv2dSpec(n=1, c=40, h=14, w=14, f=40, r=3, s=3, padding=1, groups=40),
}
"""What candidates are drawn for; they have to be right for every other size of their kind, too."""


@pytest.fixture(scope="module", params=[512, 256], ids=["avx512", "avx2"])
def target(request, host):
    if host.isa != "x86" or host.vector_bits.value < request.param:
        pytest.skip(f"this machine has no {request.param}-bit x86 vectors: run it on one that has")
    if request.param == 512:
        return host
    facts = {"vector_bits": Fact(value=256, source="masked"), "vector_registers": Fact(value=16, source="masked")}
    return replace(host, **facts, toolchain={**host.toolchain, "cpu": "x86-64-v3"})


@pytest.fixture(scope="module")
def shared_worker(bench):
    with bench.worker() as started:
        yield started


@pytest.fixture(scope="module", params=["nchw", "nhwc"])
def layout(request):
    return request.param


@pytest.fixture(scope="module")
def families(bench, target, layout):
    """By kind, built candidates of every sketch that serves it: its start points and some drawn at random."""
    found = {}
    for kind, spec in TUNED.items():
        tuned = replace(spec, layout=layout)
        found[kind] = [pair for sketch in EXPERT.sketches(target, tuned) for pair in candidates(bench, target, tuned, sketch)]
    return found


def candidates(bench, target, spec, sketch, starts=3, drawn=DRAWN):
    """Build start points and random legal points of a sketch."""
    rng, points = Random(7), [*EXPERT.start_points(target, spec, sketch)][:starts]
    while len(points) < starts + drawn:
        point = {tunable.name: rng.choice(tunable.values) for tunable in sketch.tunables}
        points += [point] if sketch.legal(point) else []
    asked = [Candidate.of(sketch.name, point) for point in points]
    script = EXPERT.kernel_script(target, sketch)
    items = Builder(target, sketch, script, bench.toolchain, bench.sandbox, trusted=True).build(asked)
    refused = [str(item) for item in items if isinstance(item, Verdict)]
    assert not refused, refused[0]
    return list(zip(asked, items, strict=True))


def spec_of(kind, channels, filters, groups, kernel, room, **fields):
    """Build a spec of one kind; images are as large as the kernel needs, and some more."""
    r, s = (1, 1) if kind == "pointwise" else kernel
    groups = {"depthwise": channels, "grouped": groups}.get(kind, 1)
    c = channels if kind == "depthwise" else channels * groups
    f = channels if kind == "depthwise" else filters * groups
    dilation = fields["dilation"]
    h, w = (dilation * (size - 1) + 1 + more for size, more in zip((r, s), room, strict=True))
    return Conv2dSpec(c=c, f=f, groups=groups, r=r, s=s, h=h, w=w, **fields)


drawn_specs = st.builds(
    spec_of,
    kind=st.sampled_from(list(TUNED)),
    n=st.integers(1, 2),
    channels=st.integers(1, 70),
    filters=st.integers(1, 40),
    groups=st.integers(2, 4),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 7)),
    room=st.tuples(st.integers(0, 6), st.integers(0, 20)),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    dilation=st.integers(1, 2),
    bias=st.booleans(),
    relu=st.booleans(),
    prepacked=st.booleans(),
)


def kind_of(spec):
    if spec.groups > 1:
        return "depthwise" if spec.groups == spec.c == spec.f else "grouped"
    return "pointwise" if spec.r == spec.s == 1 else "dense"


def pick(families, spec, index):
    members = families[kind_of(spec)]
    return members[index % len(members)]


@settings(max_examples=100)
@given(spec=drawn_specs, index=st.integers(0, 99), seed=st.integers(0, 99))
def test_conv_is_exact(spec, index, seed, families, layout, shared_worker):
    spec = replace(spec, layout=layout)
    candidate, item = pick(families, spec, index)
    rng = np.random.default_rng(seed)
    for placement in (Placement.END, Placement.START):
        verdict = verify_exact(shared_worker, item, spec, exact_operands(spec, rng), placement)
        assert verdict.ok, f"{verdict} with {candidate}"


@settings(max_examples=25)
@example(spec=Conv2dSpec(n=1, c=8, h=6, w=9, f=20, r=3, s=3, padding=1, prepacked=True), index=0, seed=1)
@example(spec=Conv2dSpec(n=1, c=8, h=6, w=9, f=20, r=4, s=2, padding=3, dilation=2, stride=2, prepacked=True), index=1, seed=2)
@given(spec=drawn_specs, index=st.integers(0, 99), seed=st.integers(0, 99))
def test_conv_spreads_nan_and_infinity_as_numpy_does(spec, index, seed, families, layout, shared_worker):
    spec = replace(spec, layout=layout)
    candidate, item = pick(families, spec, index)
    operands = special_operands(spec, np.random.default_rng(seed))
    verdict = verify_exact(shared_worker, item, spec, operands, Placement.ALIGNED)

    assert verdict.ok, f"{verdict} with {candidate}"


@pytest.mark.parametrize("kind", list(TUNED))
def test_neighbours_of_every_candidate(kind, families, layout, shared_worker):
    """What the final verification runs."""
    tuned = replace(TUNED[kind], layout=layout, prepacked=True)
    for candidate, item in families[kind][::2]:
        rng = np.random.default_rng(3)
        for spec in tuned.neighbours(dict(candidate.values)):
            verdict = verify_exact(shared_worker, item, spec, exact_operands(spec, rng), Placement.END)
            assert verdict.ok, f"{verdict} with {candidate}"


def test_conv_rounds_as_expected(families, layout, shared_worker):
    """A long sum in any order of blocks stays within one expected rounding error."""
    spec = replace(TUNED["dense"], c=300, f=33, h=6, w=9, bias=True, layout=layout)
    operands = real_operands(spec, np.random.default_rng(5))
    for candidate, item in families["dense"]:
        checked = verify_rounding(shared_worker, item, spec, operands)
        assert checked.verdict.ok, f"{checked.verdict} with {candidate}"
        assert 0.0 < checked.residual < 1.0


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(kind, "bf16") for kind in TUNED] + [("grouped", "fp16"), ("depthwise", "fp16"), ("dense", "fp64"), ("depthwise", "fp64")],
)
def test_other_dtypes(kind, dtype, bench, target, layout, shared_worker):
    """Each sketch's start is right with an epilogue, on its neighbours, and rounds Y once."""
    spec = replace(TUNED[kind], dtype=DType(dtype), layout=layout, n=3, h=9, w=10, bias=True, relu=True, prepacked=layout == "nhwc")
    for sketch in EXPERT.sketches(target, spec):
        ((candidate, item),) = candidates(bench, target, spec, sketch, starts=1, drawn=0)
        checked = verify(shared_worker, item, spec, dict(candidate.values), 3)

        assert checked.verdict.ok, f"{checked.verdict} with {candidate}"
        assert checked.residual < 2.0


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, ["conv2d_direct"]),
        ({"r": 1, "s": 1, "padding": 0}, ["conv2d_direct", "conv2d_im2col"]),
        ({"r": 1, "s": 1, "padding": 0, "layout": "nhwc"}, ["conv2d_direct"]),
        ({"groups": 4}, ["conv2d_direct"]),
        ({"groups": 40, "f": 40}, ["conv2d_depthwise"]),
        ({"groups": 40, "f": 80}, ["conv2d_direct"]),
        ({"c": 1, "f": 1}, ["conv2d_direct"]),
        ({"dtype": DType.F64}, ["conv2d_panel"]),
        ({"dtype": DType.F16}, ["conv2d_direct_widened", "conv2d_panel"]),
        ({"dtype": DType.F16, "groups": 40, "f": 40}, ["conv2d_depthwise_widened"]),
    ],
)
def test_sketches_that_serve(fields, wanted, host):
    """Every convolution has a sketch; depthwise ones have their own."""
    if host.isa != "x86":
        pytest.skip("this machine is no x86-64: the direct sketches have no script for it")
    spec = replace(TUNED["dense"], **({"f": 80} | fields))

    assert wanted == [sketch.name for sketch in EXPERT.sketches(host, spec)]
