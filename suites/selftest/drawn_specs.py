"""Hypothesis strategies that draw small operator specs, and operands for them."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from harness.dtype import DType
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec

FLOATS = [DType.F32, DType.F64, DType.F16, DType.BF16]


def draw_operands(spec, seed=0, kind=np.float64, small_integers=False):
    """Draw the operands of a spec as tight arrays, outputs included."""
    rng = np.random.default_rng(seed)
    draw = (lambda shape: rng.integers(-2, 3, shape)) if small_integers else rng.standard_normal
    return {operand.name: draw(operand.shape).astype(kind) for operand in spec.operands()}


def _with_room(spec, room):
    return replace(spec, lda=spec.row_a + room[0], ldb=spec.row_b + room[1], ldc=spec.row_c + room[2])


gemm_specs = st.builds(
    lambda sizes, room, **fields: _with_room(GemmSpec(**sizes, **fields), room),
    sizes=st.fixed_dictionaries({name: st.integers(0, 9) for name in "mnk"}),
    room=st.tuples(*[st.integers(0, 3)] * 3),
    dtype=st.sampled_from(FLOATS),
    trans_a=st.booleans(),
    trans_b=st.booleans(),
    alpha=st.sampled_from([1.0, 0.0, -1.5, 2.0]) | st.floats(-1e3, 1e3),
    beta=st.sampled_from([0.0, 1.0, 0.5]) | st.floats(-1e3, 1e3),
)
conv_specs = st.builds(
    lambda c, f, groups, **fields: Conv2dSpec(c=c * groups, f=f * groups, groups=groups, **fields),
    n=st.integers(0, 2),
    c=st.integers(0, 4),
    h=st.integers(5, 9),
    w=st.integers(5, 9),
    f=st.integers(0, 4),
    r=st.integers(1, 3),
    s=st.integers(1, 3),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 1, 2, 3]),
    bias=st.booleans(),
    relu=st.booleans(),
    prepacked=st.booleans(),
    layout=st.sampled_from(["nchw", "nhwc"]),
    dtype=st.sampled_from(FLOATS),
)
mixed_specs = st.builds(
    lambda kinds, beta, **fields: GemmSpec(**fields, **kinds, beta=beta),
    m=st.integers(0, 9),
    n=st.integers(0, 9),
    k=st.integers(0, 9),
    trans_a=st.booleans(),
    trans_b=st.booleans(),
    beta=st.sampled_from([0.0, 1.0]),
    kinds=st.sampled_from(
        [
            {"dtype": DType.I8},
            {"dtype": DType.BF16, "out": DType.F32},
            {"dtype": DType.F16, "out": DType.F32},
            {"dtype": DType.F16, "acc": DType.F16},
        ]
    ),
)
plain_specs = gemm_specs | conv_specs
specs = plain_specs | mixed_specs
