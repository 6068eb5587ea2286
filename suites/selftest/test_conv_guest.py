"""Convolutions as products on other instruction sets, NCHW: where panels of pixels break at rows, borders and strides."""

from dataclasses import replace

import numpy as np
import pytest

from generators.generator import Expert
from harness.kernel import Candidate
from harness.operators.conv2d import Conv2dSpec
from harness.runners.arena import Placement
from harness.target import load_target
from harness.verify import exact_operands, verify_exact

EXPERT = Expert()
PLAIN = Conv2dSpec(n=2, c=5, h=9, w=21, f=19, r=3, s=3, padding=1)
SPECS = [
    PLAIN,
    replace(PLAIN, w=40, padding=0),  # a panel within one row
    replace(PLAIN, w=3, h=23, padding=4),  # many rows a panel, and padding wider than the image
    replace(PLAIN, stride=2),
    replace(PLAIN, stride=3, padding=0, dilation=2, bias=True, relu=True),
    replace(PLAIN, r=1, s=1, stride=2, padding=0),  # rows and columns that nothing reads
    replace(PLAIN, h=2, w=2, r=1, s=1, stride=4, padding=3),  # columns of padding alone
    replace(PLAIN, c=3, w=33, r=7, s=7, stride=2, padding=3),
    replace(PLAIN, r=3, s=1, padding=1),
    replace(PLAIN, c=0, padding=1),
]


@pytest.fixture(scope="module", params=["a76", "k1", "c906"])
def guest(bench, request):
    """A worker, and the best guess of im2col."""
    target = load_target(request.param)
    sketch = next(one for one in EXPERT.sketches(target, PLAIN) if one.name == "conv2d_im2col")
    point = EXPERT.start_points(target, PLAIN, sketch)[0]
    builder = bench.builder(target, sketch, EXPERT.kernel_script(target, sketch), PLAIN, trusted=True)
    (item,) = builder.build([Candidate.of(sketch.name, point)])
    with bench.worker(target) as worker:
        yield worker, item


@pytest.mark.parametrize("placement", [Placement.END, Placement.START])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.slug)
def test_pixels_are_gathered_from_rows_borders_and_strides(guest, spec, placement):
    verdict = verify_exact(*guest, spec, exact_operands(spec, np.random.default_rng(1)), placement)

    assert verdict.ok, verdict
