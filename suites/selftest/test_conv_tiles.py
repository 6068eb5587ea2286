"""Direct convolutions on NEON and both versions of RISC-V vectors: strides, padding, groups, epilogues, fringes, sums in parts."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import generators.emit
from generators.generator import Expert
from generators.parts import standalone
from harness.isa import load_isa
from harness.kernel import Candidate
from harness.operators.conv2d import Conv2dSpec
from harness.order import find_blocks, legal_moves
from harness.record import Verdict
from harness.runners.arena import Placement
from harness.target import load_target
from harness.verify import exact_operands, special_operands, verify, verify_exact

EXPERT = Expert()
PLAIN = Conv2dSpec(n=2, c=40, h=9, w=16, f=48, r=3, s=3, padding=1)
SPECS = [
    PLAIN,
    replace(PLAIN, c=5, f=19, w=21, bias=True, relu=True),  # a run that no unrolled turn divides, few of the filters
    replace(PLAIN, w=3, padding=4),  # rows shorter than a segment, and tiles that see nothing but padding
    replace(PLAIN, stride=2, prepacked=True),
    replace(PLAIN, stride=3, padding=0, dilation=2, bias=True),
    replace(PLAIN, c=3, h=16, w=33, r=7, s=7, stride=2, padding=3),
    replace(PLAIN, groups=4, relu=True),
    replace(PLAIN, layout="nhwc", f=37, bias=True, relu=True),  # Y is written, and added to, as far as there are filters
    replace(PLAIN, layout="nhwc", r=1, s=1, padding=0, f=23),
    replace(PLAIN, layout="nhwc", groups=2, padding=0, stride=2, prepacked=True),
    replace(PLAIN, c=0, bias=True, relu=True),
]
SPLIT = {"cb": 8, "kc": 16}
OTHERS = {
    "a76": [{"mr": 6, "rows": 1, "nr": 16, "wide": 0, **SPLIT}, {"mr": 3, "rows": 4, "nr": 4, "unroll": 8, "copy": 0, "mc": 28, **SPLIT}],
    "k1": [{"splat": 1, "ahead": 0, "rows": 1, **SPLIT}, {"mr": 3, "rows": 4, "nr": 8, "lmul": 1, "copy": 0, "mc": 28, **SPLIT}],
    "c910": [{"mr": 3, "rows": 2, "splat": 0, "ahead": 1, "lmul": 2, **SPLIT}],
    "c906": [{"splat": 1, "ahead": 0, "rows": 1, "nr": 16, "lmul": 4, "mr": 4, "copy": 0, **SPLIT}],
}
"""By target, points beside the best guess: each way of loading, sums in several passes, images read in place."""


@pytest.fixture(scope="module", params=[(name, at) for name, others in OTHERS.items() for at in range(len(others) + 1)], ids=str)
def guest(bench, request):
    """A worker, and one point of the sketch."""
    name, at = request.param
    target = load_target(name)
    sketch = tiles_of(target, PLAIN)
    point = EXPERT.start_points(target, PLAIN, sketch)[0] | ({} if at == 0 else OTHERS[name][at - 1])
    builder = bench.builder(target, sketch, EXPERT.kernel_script(target, sketch), PLAIN, trusted=True)
    (item,) = builder.build([Candidate.of(sketch.name, point)])
    assert not isinstance(item, Verdict), item
    with bench.worker(target) as worker:
        yield worker, item


def tiles_of(target, spec):
    return next(one for one in EXPERT.sketches(target, spec) if one.name == "conv2d_tiles")


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.slug)
def test_tiles_are_exact_at_every_edge(guest, spec):
    verdict = verify_exact(*guest, spec, exact_operands(spec, np.random.default_rng(1)), Placement.END)

    assert verdict.ok, verdict


@pytest.mark.parametrize("spec", [SPECS[1], SPECS[3], SPECS[7], SPECS[10]], ids=lambda spec: spec.slug)
def test_nan_and_infinity_spread_as_numpy_has_it(guest, spec):
    """Padding times a weight that is not finite is NaN, prepacked or not, and ReLU keeps it."""
    for prepacked in (False, True):
        ready = replace(spec, prepacked=prepacked, relu=True)
        verdict = verify_exact(*guest, ready, special_operands(ready, np.random.default_rng(3)), Placement.START)
        assert verdict.ok, verdict


@pytest.mark.parametrize("name", ["a72", "c908"])
def test_every_start_is_right_on_its_neighbours(name, bench):
    """What the final verification runs, and that each point that a tuning begins with can be built."""
    target = load_target(name)
    spec = replace(PLAIN, n=1, h=5, bias=True)
    sketch = tiles_of(target, spec)
    points = [dict(point) for point in EXPERT.start_points(target, spec, sketch)]
    builder = bench.builder(target, sketch, EXPERT.kernel_script(target, sketch), spec, trusted=True)
    items = builder.build([Candidate.of(sketch.name, point) for point in points])
    with bench.worker(target) as worker:
        for point, item in zip(points, items, strict=True):
            checked = verify(worker, item, spec, point, 3)
            assert checked.verdict.ok, f"{checked.verdict} with {point}"


@pytest.mark.parametrize(
    ("name", "fields", "wanted"),
    [
        ("a76", {}, ["conv2d_im2col", "conv2d_tiles"]),
        ("a76", {"groups": 4}, ["conv2d_panel", "conv2d_tiles"]),
        ("a76", {"groups": 40, "f": 40}, ["conv2d_panel"]),
        ("a76", {"r": 1, "s": 1, "padding": 0}, ["conv2d_im2col"]),  # turning the pixels would take too long
        ("a76", {"r": 1, "s": 1, "padding": 0, "c": 128, "f": 128}, ["conv2d_im2col", "conv2d_tiles"]),
        ("k1", {}, ["conv2d_im2col", "conv2d_tiles"]),
        ("k1", {"r": 1, "s": 1, "padding": 0, "c": 128, "f": 128}, ["conv2d_im2col"]),
        ("c906", {"groups": 4}, ["conv2d_tiles"]),
        ("c910", {}, ["conv2d_im2col", "conv2d_tiles"]),
    ],
)
def test_sketches_that_serve(name, fields, wanted):
    assert wanted == [sketch.name for sketch in EXPERT.sketches(load_target(name), replace(PLAIN, **fields))]


NEON = {"vector_bits": 128, "mr": 7, "rows": 1, "nr": 8, "unroll": 4, "wide": 1}
RVV = {"vector_bits": 256, "features": ["v"], "mr": 7, "rows": 2, "nr": 16, "lmul": 2, "unroll": 4, "splat": 0, "ahead": 1}


def run_script(name, **parameters):
    script = standalone((Path(next(iter(generators.emit.__path__))) / name).read_text())
    return subprocess.run([sys.executable, "-c", script], input=json.dumps([parameters]), capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("script", "isa", "point"), [("neon_conv.py", "neon", NEON), ("rvv_conv.py", "riscv", RVV)])
def test_blocks_are_understood_and_can_move(script, isa, point):
    printed = run_script(script, **point, roles=["compute"])
    text = json.loads(printed.stdout)[0][0]["text"]
    isa = load_isa(isa)
    block = find_blocks(text, isa)["compute"]

    assert not [instruction.text for instruction in block.instructions if instruction.unknown]
    assert legal_moves(block)


@pytest.mark.parametrize(
    ("script", "point"),
    [
        ("neon_conv.py", NEON | {"mr": 8, "nr": 12}),
        ("neon_conv.py", NEON | {"unroll": 2}),
        ("neon_conv.py", NEON | {"rows": 5, "mr": 1}),
        ("rvv_conv.py", RVV | {"mr": 8}),
        ("rvv_conv.py", RVV | {"unroll": 1}),
        ("rvv_conv.py", RVV | {"nr": 24}),
    ],
)
def test_tiles_that_do_not_fit_are_refused(script, point):
    printed = run_script(script, **point, roles=["compute"])

    assert printed.returncode
    assert "ValueError" in printed.stderr


@pytest.mark.parametrize(("script", "point"), [("neon_conv.py", NEON), ("rvv_conv.py", RVV)])
def test_other_roles_are_refused(script, point):
    assert "role pack_a" in run_script(script, **point, roles=["pack_a"]).stderr
