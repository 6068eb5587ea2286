"""A sample stands for its spec: linear work comes out exactly, rows stay where they were, the model agrees."""

from dataclasses import replace

import pytest

from benchmarks.modelled_points import growing
from generators.generator import Expert
from harness.baselines import openblas_guest
from harness.case import Case
from harness.kernel import Candidate
from harness.library_times import taken, time_sample
from harness.modelled import PUBLISHED, memory_models, steadiest
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec
from harness.runners.emulated import machine_text
from harness.sampling import MEASURED_FLOPS, Point, Sample, sample, shrunk
from harness.target import load_target
from harness.tune import unlike

LARGE = GemmSpec(m=4096, n=2048, k=4096)
BATCH = Conv2dSpec(n=64, c=64, h=56, w=56, f=64, r=3, s=3, padding=1)
ROWS = replace(BATCH, h=112, w=112, f=128)
FILTERS = Conv2dSpec(n=32, c=512, h=14, w=14, f=1024, r=3, s=3, padding=1)
LARGE_ONES = [LARGE, BATCH, ROWS, FILTERS, GemmSpec(m=128, n=8192, k=4096)]


@pytest.mark.parametrize("spec", LARGE_ONES, ids=lambda spec: spec.slug)
def test_bilinear_work_is_extrapolated_exactly(spec):
    points = sample(spec, MEASURED_FLOPS)

    def work(one) -> float:
        sizes = [one.dims()[name] for name in ("m", "n", "h", "f") if name in one.dims()]
        return 3.0 + sum(sizes) * 0.25 + sizes[0] * sizes[1] * 1e-3

    assert not points.whole
    assert work(spec) == pytest.approx(points.seconds({point.spec: work(point.spec) for point in points.points}))


def test_only_images_are_left_out_where_that_is_enough():
    cut = [(point.spec.n, point.spec.h, point.spec.f) for point in sample(BATCH, MEASURED_FLOPS).points]

    assert [(4, 56, 64), (8, 56, 64)] == cut


def test_rows_then_filters_are_left_out_where_two_images_are_too_many():
    rows, filters = ({(point.spec.h, point.spec.f) for point in sample(spec, MEASURED_FLOPS).points} for spec in (ROWS, FILTERS))

    assert {(8, 128), (16, 128)} == rows
    assert {(14, 96), (14, 192)} == filters


@pytest.mark.parametrize("spec", LARGE_ONES, ids=lambda spec: spec.slug)
def test_points_cost_at_most_the_limit(spec):
    assert MEASURED_FLOPS >= sum(point.spec.flops for point in sample(spec, MEASURED_FLOPS).points)


def test_a_small_spec_is_run_whole():
    spec = GemmSpec(m=512, n=512, k=512)

    assert Sample(points=(Point(spec=spec, weight=1.0),)) == sample(spec, MEASURED_FLOPS)


def test_rows_stay_as_far_apart_and_k_as_deep():
    for point in sample(LARGE, MEASURED_FLOPS).points:
        assert (4096, 2048, 2048, 4096) == (point.spec.row_a, point.spec.row_b, point.spec.row_c, point.spec.k)


def test_a_shrunk_spec_is_within_the_limit():
    small = shrunk(LARGE, 1e9)

    assert (small.k, True) == (LARGE.k, small.flops <= 1e9)


def test_memory_models_differ_in_the_memory_only():
    target = load_target("c908")
    models = memory_models(target)

    assert {PUBLISHED, "no L1 prefetch", "blocking vector-load misses"} == set(models)
    assert {target.timing_classes == model.timing_classes for model in models.values()} == {True}


def test_a_sample_is_near_the_whole(bench):
    target, spec = load_target("c908"), GemmSpec(m=768, n=768, k=96)
    if reason := openblas_guest.BASELINE.unavailable(Case(target=target.name, spec=spec), target):
        pytest.skip(reason)
    item = openblas_guest.BASELINE.build(bench.toolchain, target, Case(target=target.name, spec=spec))
    whole, points = Sample(points=(Point(spec=spec, weight=1.0),)), sample(spec, 0.6 * spec.flops)
    (_, whole_s, _), (_, sampled_s, _) = (time_sample(bench, target, item, chosen) for chosen in (whole, points))

    assert not points.whole
    assert sampled_s == pytest.approx(whole_s, rel=0.05)


def built(bench, case, *choices):
    """The first guess on the case's target, once with each choice of tunables."""
    target, expert = bench.target(case.target), Expert()
    (sketch,) = expert.sketches(target, case.spec)
    point = expert.start_points(target, case.spec, sketch)[0]
    candidates = [Candidate.of(sketch.name, point | choice) for choice in choices]
    return bench.builder(target, sketch, expert.kernel_script(target, sketch), case.spec, trusted=True).build(candidates)


def test_shapes_of_one_depth_share_their_points(bench):
    target, limit_flops = load_target("a72"), 1e6
    specs = [GemmSpec(m=m, n=512, k=64) for m in (512, 1024)]
    (item,), (other,) = (built(bench, Case(target="a72", spec=spec), {}) for spec in specs)
    near, far = (sample(spec, limit_flops) for spec in specs)
    _, near_s, _ = time_sample(bench, target, item, near)
    run = dict(taken(machine_text(target), item))
    _, far_s, _ = time_sample(bench, target, other, far)

    assert len(near.points) == len(run)
    assert run == taken(machine_text(target), other)
    assert 1.9 * near_s < far_s < 2.1 * near_s


@pytest.mark.parametrize("swapped", [False, True])
def test_a_leader_that_only_prefetches_keep_fast_falls_behind(bench, swapped):
    """Rows of A at 16 KB from each other share the sets of the A72's two ways."""
    case = Case(target="a72", spec=GemmSpec(m=48, n=192, k=384, lda=4096))
    contenders = built(bench, case, *({"mr": 6, "nr": 16, "a_once": 0, "pack_a": packed ^ swapped} for packed in (0, 1)))

    assert ([0, 1] if swapped else [1, 0]) == steadiest(bench, case, contenders)


def test_leaders_that_are_looked_at_again_are_unlike_each_other():
    ranking = [Candidate.of("s", dict(zip("abc", values, strict=True))) for values in ((1, 1, 1), (1, 1, 2), (1, 2, 2), (2, 1, 1), (2, 2, 2))]

    assert [ranking[place] for place in (0, 4, 1)] == unlike(ranking, 3)
    assert ranking[:1] == unlike(ranking[:1], 3)
    assert sorted(ranking, key=str) == sorted(unlike(ranking, 9), key=str)


def test_parts_of_a_time_are_told_from_its_points():
    """What a GEMM of 2 + 3 m + 5 n + 7 m n seconds spends on packing A, packing B and products."""
    spec = GemmSpec(m=512, n=4096, k=4096)
    seconds = {point.spec: 2 + 3 * point.spec.m + 5 * point.spec.n + 7 * point.spec.m * point.spec.n for point in sample(spec, MEASURED_FLOPS).points}

    parts = growing(spec, seconds)

    assert [(), ("m",), ("n",), ("m", "n")] == list(parts)
    assert [2, 3 * 512, 5 * 4096, 7 * 512 * 4096] == pytest.approx(list(parts.values()), rel=1e-6, abs=1e-2)
