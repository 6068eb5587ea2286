"""What operators compute: numpy references against loops, and the expected rounding error against real rounding."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.dtype import DType
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec
from harness.verify import exact_operands
from suites.selftest.drawn_specs import conv_specs, draw_operands, gemm_specs, mixed_specs, plain_specs


def gemm_by_loops(spec, operands):
    """Compute C element by element with exact sums."""
    a, b = operands["A"], operands["B"]
    result = np.zeros((spec.m, spec.n))
    for i in range(spec.m):
        for j in range(spec.n):
            left = [a[p, i] if spec.trans_a else a[i, p] for p in range(spec.k)]
            right = [b[j, p] if spec.trans_b else b[p, j] for p in range(spec.k)]
            result[i, j] = spec.alpha * math.fsum(x * y for x, y in zip(left, right, strict=True))
            result[i, j] += spec.beta * operands["C"][i, j] if spec.beta else 0.0
    return result


def conv_by_loops(spec, operands):
    """Compute Y element by element from the definition."""
    x, w = operands["X"], operands["W"]
    if spec.layout == "nhwc":
        x, w = x.transpose(0, 3, 1, 2), w.transpose(0, 3, 1, 2)
    result = np.zeros((spec.n, spec.f, spec.oh, spec.ow))
    channels, filters = spec.c // spec.groups, spec.f // spec.groups
    for n, f, y, z in np.ndindex(result.shape):
        for c, r, s in np.ndindex(channels, spec.r, spec.s):
            row = y * spec.stride + r * spec.dilation - spec.padding
            column = z * spec.stride + s * spec.dilation - spec.padding
            if 0 <= row < spec.h and 0 <= column < spec.w:
                result[n, f, y, z] += x[n, f // filters * channels + c, row, column] * w[f, c, r, s]
        result[n, f, y, z] += operands["B"][f] if spec.bias else 0.0
        result[n, f, y, z] = max(result[n, f, y, z], 0.0) if spec.relu else result[n, f, y, z]
    return result.transpose(0, 2, 3, 1) if spec.layout == "nhwc" else result


@given(gemm_specs, st.integers(0, 99))
def test_gemm_reference(spec, seed):
    """The reference agrees with exact sums, far below one expected rounding error of fp64."""
    operands = draw_operands(spec, seed)

    assert np.allclose(gemm_by_loops(spec, operands), spec.reference(operands), rtol=1e-12, atol=1e-12)


@given(conv_specs, st.integers(0, 99))
def test_conv_reference(spec, seed):
    """The reference agrees with the definition, in both layouts."""
    operands = draw_operands(spec, seed)
    wanted = conv_by_loops(spec, operands)

    assert spec.operands()[2].shape == wanted.shape
    assert np.allclose(wanted, spec.reference(operands), rtol=1e-12, atol=1e-12)


@given(plain_specs.filter(lambda spec: spec.scalars() in [(), (1.0, 0.0), (2.0, 1.0), (-1.5, 0.5)]))
def test_small_integers_are_exact(spec):
    """Small integers give the same bits in every precision, and the dtype asked for."""
    wanted = spec.reference(draw_operands(spec, kind=np.float64, small_integers=True))
    for kind in (np.float32, np.float16):
        found = spec.reference(draw_operands(spec, kind=kind, small_integers=True))

        assert kind == found.dtype
        assert np.array_equal(wanted, found)


@given(mixed_specs, st.integers(0, 99))
def test_operands_in_their_own_dtype_give_the_output_dtype(spec, seed):
    """int8 sums are exact int32, and what fp16 and bf16 inputs give is rounded once, to the output's dtype."""
    drawn = exact_operands(replace(spec, beta=1.0), np.random.default_rng(seed))
    wanted = gemm_by_loops(spec, {name: array.astype(np.float64) for name, array in drawn.items()})
    found = spec.reference(drawn)

    assert spec.out_dtype.decode(np.empty(0, spec.out_dtype.numpy)).dtype == found.dtype
    assert np.array_equal(spec.out_dtype.round(wanted), found)
    assert np.array_equal(found, spec.out_dtype.round(found))


@given(st.floats(width=32, allow_nan=False))
def test_bf16_rounds_to_nearest_even(value):
    """Against the definition: the nearer of the two neighbours, the even one halfway, and infinity beyond the largest."""
    stored = int(DType.BF16.encode(np.float32(value)))
    below = int(np.float32(value).view(np.uint32)) >> 16
    with np.errstate(invalid="ignore"):  # the neighbour of infinity is a signalling NaN
        near = DType.BF16.decode(np.array([below, below + 1], np.uint16)).astype(np.float64)
    away = np.abs(np.where(np.isinf(near), np.copysign(2.0**128, near), near) - value)

    if below & 0x7FFF == 0x7F80:
        assert below == stored
    else:
        assert (below if away[0] < away[1] or (away[0] == away[1] and below % 2 == 0) else below + 1) == stored


@given(st.floats(width=32, allow_nan=False))
def test_fp8_rounds_to_nearest_even(value):
    """Against the definition of e4m3: the nearest of all its numbers, of two the even code; 448 beyond the largest."""
    codes = np.arange(127)
    numbers = np.where(codes < 8, codes * 2.0**-9, (8 + codes % 8) * 2.0 ** (codes // 8 - 10))
    away = np.abs(numbers - min(abs(value), 448.0))
    nearest = codes[away == away.min()]

    wanted = next(code for code in nearest if len(nearest) == 1 or code % 2 == 0)
    assert wanted | 128 * np.signbit(value) == int(DType.F8.encode(np.float32(value)))
    assert np.copysign(numbers[wanted], value) == DType.F8.round(np.float32(value))


def test_fp8_codes_stand_for_themselves():
    """Every code decodes to a number that encodes to it; two of them are NaN."""
    codes = np.arange(256, dtype=np.uint8)
    assert [127, 255] == list(codes[np.isnan(DType.F8.decode(codes))])
    assert np.array_equal(codes & 127, DType.F8.encode(DType.F8.decode(codes)) & 127)


def test_bf16_keeps_nan():
    """A NaN whose payload lies in the bits that are dropped stays a NaN."""
    nan = np.array([0x7F800001, 0xFF800001, 0x7FC00000], np.uint32).view(np.float32)

    assert np.isnan(DType.BF16.round(nan)).all()


@pytest.mark.parametrize("dtype", list(DType), ids=str)
def test_poison_is_no_number(dtype):
    """What marks elements never written is a NaN wherever there is one."""
    poison = dtype.decode(np.array([dtype.poison], dtype.numpy))

    assert dtype.numpy == dtype.poison.dtype
    assert dtype.whole or np.isnan(poison).all()


def test_blas_does_not_read_what_zero_scales():
    """A NaN in C does not spread when beta is 0, nor one in A or B when alpha is 0."""
    spec = GemmSpec(m=2, n=3, k=4)
    operands = draw_operands(spec)
    poisoned = {name: np.full_like(array, np.nan) for name, array in operands.items()}

    assert np.isfinite(spec.reference({**operands, "C": poisoned["C"]})).all()
    assert np.isfinite(spec.rounding_scale({**operands, "C": poisoned["C"]})).all()
    scaled = replace(spec, alpha=0.0, beta=2.0).reference({**poisoned, "C": operands["C"]})
    assert np.array_equal(2 * operands["C"], scaled)
    assert np.isnan(replace(spec, beta=1.0).reference({**operands, "C": poisoned["C"]})).all()


def test_empty_depth_scales_c():
    """Without products C is beta C, and zeros when beta is 0."""
    spec = GemmSpec(m=2, n=3, k=0, beta=0.5)
    operands = draw_operands(spec)

    assert np.array_equal(0.5 * operands["C"], spec.reference(operands))
    assert np.array_equal(np.zeros((2, 3)), replace(spec, beta=0.0).reference(operands))


ROUNDED = [
    GemmSpec(m=32, n=48, k=1),
    GemmSpec(m=32, n=48, k=500, alpha=-1.5, beta=0.5, trans_b=True),
    GemmSpec(m=32, n=48, k=4096),
    Conv2dSpec(n=1, c=40, h=9, w=11, f=16, r=3, s=3, padding=1),
    Conv2dSpec(n=1, c=40, h=9, w=11, f=16, r=3, s=3, padding=1, layout="nhwc"),
]


@pytest.mark.parametrize("spec", ROUNDED, ids=lambda spec: spec.slug)
def test_rounding_scale_passes_correct_results(spec):
    """A result in single precision stays within 4 expected errors; one product left out does not."""
    operands = draw_operands(spec)
    single = {name: array.astype(np.float32) for name, array in operands.items()}
    exact = {name: array.astype(np.float64) for name, array in single.items()}
    scale, wanted = spec.rounding_scale(exact), spec.reference(exact)
    right = np.abs(spec.reference(single) - wanted) / scale
    first, second = list(exact)[:2]
    product = np.abs(exact[first]).mean() * np.abs(exact[second]).mean()

    assert right.max() < 4
    assert scale.shape == wanted.shape
    assert (product / scale).min() > 40


def round_to(dtype, array):
    """Round fp32 numbers to a half type, and return them as fp32."""
    if dtype is DType.F16:
        return array.astype(np.float16).astype(np.float32)
    bits = array.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16], ids=str)
@pytest.mark.parametrize("spec", ROUNDED, ids=lambda spec: spec.slug)
def test_rounding_scale_of_halves(spec, dtype):
    """Half precision is judged by fp32 sums rounded once: those pass, one product left out of every sum does not."""
    spec = replace(spec, dtype=dtype)
    stored = {name: round_to(dtype, array) for name, array in draw_operands(spec).items()}
    exact = {name: array.astype(np.float64) for name, array in stored.items()}
    scale, wanted = spec.rounding_scale(exact), spec.reference(exact)
    right = np.abs(round_to(dtype, spec.reference(stored)) - wanted) / scale
    first, second = list(exact)[:2]
    product = np.abs(exact[first]).mean() * np.abs(exact[second]).mean()

    assert right.max() <= 1.5
    assert (product / scale).max() > 8


@given(plain_specs)
def test_rounding_scale_is_positive(spec):
    """Where every product is 0, any error is far too large instead of a division by zero."""
    zeros = {operand.name: np.zeros(operand.shape) for operand in spec.operands()}
    scale = spec.rounding_scale(zeros)

    assert spec.operands()[2].shape == scale.shape
    assert ((scale > 0) & (scale < 1e-6)).all()
