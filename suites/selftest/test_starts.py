"""Whatever the spec: each sketch that serves it is read without an error, and its starts are legal points."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings

from generators.generator import Expert
from generators.sketch import load_sketch, sketch_names
from harness.dtype import DType
from harness.operators.batched_gemm import BatchedGemmSpec
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec
from harness.target import load_target
from suites.selftest.drawn_specs import specs
from suites.selftest.test_expert_kernels import masked

AMX = ("amx_tile", "amx_bf16", "amx_int8", "avx512_bf16")
NO_CHANNELS = Conv2dSpec(n=2, c=0, h=32, w=27, f=200, r=7, s=5, stride=3, padding=1, layout="nhwc")


@pytest.fixture(scope="module", params=["avx512", "avx2", "amx", "a76", "k1"])
def target(request, host):
    if request.param in ("a76", "k1"):
        return load_target(request.param)
    wide = masked(host, 256 if request.param == "avx2" else 512)
    return replace(wide, features=tuple(sorted({*wide.features, *AMX}))) if request.param == "amx" else wide


@settings(max_examples=8)
@given(spec=specs)
@example(spec=NO_CHANNELS)
@example(spec=replace(NO_CHANNELS, dtype=DType.BF16))
@example(spec=GemmSpec(m=5, n=27, k=68, dtype=DType.BF16))
@example(spec=GemmSpec(m=17, n=9, k=300, dtype=DType.I8, trans_a=True))
@example(spec=GemmSpec(m=1, n=1, k=1))
@example(spec=replace(NO_CHANNELS, c=16, f=16, groups=16))
@example(spec=replace(NO_CHANNELS, c=16, f=8))
@example(spec=GemmSpec(m=4096, n=4097, k=129, trans_b=True, dtype=DType.F64))
@example(spec=BatchedGemmSpec(batch=3, m=30, n=20, k=50, dtype=DType.I8))
def test_every_sketch_has_a_legal_start(spec, target):
    expert = Expert()
    for name in sketch_names(target, spec):
        sketch = load_sketch(name, target, spec)
        wrong = [point for point in (sketch.start, *expert.start_points(target, spec, sketch)) if not sketch.legal(point)]

        assert [] == wrong, name
