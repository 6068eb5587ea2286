"""Operator specs: ids, sizes, prices, neighbours and shape sets."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from harness.dtype import DType
from harness.errors import BadRequest
from harness.operator import OperatorSpec
from harness.operators import operators, spec_from_json
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec
from suites.selftest.drawn_specs import FLOATS, specs

TARGETS = ["c906", "c908", "c910", "k1", "a72", "a76", "h100", "h200", "a100", "rtx4060", "host", "cuda"]
EVERY_SET = [spec for operator in operators().values() for specs in operator.shape_sets.values() for spec in specs]


# Ids


@pytest.mark.parametrize(
    ("expected", "fields"),
    [
        ("sgemm-512x768x1024", {}),
        ("dgemm-512x768x1024", {"dtype": DType.F64}),
        ("bf16gemm-512x768x1024-tn", {"dtype": DType.BF16, "trans_a": True}),
        ("sgemm-512x768x1024-nt-alpha--1.5-beta-0.5", {"trans_b": True, "alpha": -1.5, "beta": 0.5}),
        ("sgemm-512x768x1024-ld-1027-768-768", {"lda": 1027}),
        ("i8gemm-512x768x1024", {"dtype": DType.I8, "acc": DType.I32, "out": DType.I32}),
        ("bf16gemm-512x768x1024-out-fp32", {"dtype": DType.BF16, "out": DType.F32}),
        ("hgemm-512x768x1024-acc-fp16", {"dtype": DType.F16, "acc": DType.F16, "out": DType.F16}),
        ("sgemm-512x768x1024", {"lda": 1024, "ldb": 768, "ldc": 768, "alpha": 1, "beta": -0.0}),
    ],
)
def test_gemm_slug(expected, fields):
    """An id says m x n x k and only what differs from a plain product."""
    assert expected == GemmSpec(m=512, n=768, k=1024, **fields).slug


def test_conv_slug():
    """Letters and numbers of convolution ids are separated."""
    spec = Conv2dSpec(n=64, c=64, h=56, w=56, f=128, r=3, s=3, padding=1)

    assert spec.slug == "sconv-n-64_c-64_56x56_f-128_3x3_s-1_p-1-nchw"
    depthwise = replace(spec, f=64, groups=64, bias=True, relu=True, prepacked=True, layout="nhwc")
    assert depthwise.slug == "sconv-n-64_c-64_56x56_f-64_3x3_s-1_p-1_g-64_bias_relu_prepacked-nhwc"
    assert spec.slug.replace("p-1", "p-2_d-2") == replace(spec, padding=2, dilation=2).slug


def test_paper_sizes_are_converted():
    """The paper prints m, k, n; ids say m x n x k."""
    assert "16384x1280x8192" in GemmSpec.from_mkn(16384, 8192, 1280).slug
    assert GemmSpec.from_mkn(16384, 8192, 1280) in operators()["gemm"].shape_sets["paper_gpu"]
    assert GemmSpec(m=768, n=4096, k=4096) in operators()["gemm"].shape_sets["paper"]


@given(specs, specs)
def test_slug_identifies(one, other):
    """Two specs have one id only when they are equal."""
    assert (one == other) == (one.slug == other.slug)


@given(specs)
def test_slug_is_a_keyword(spec):
    """An id is one word of a `-k` expression, and never selects a target."""
    assert not set(spec.slug) & set("=@, ()'\"")
    assert [target for target in TARGETS if target in spec.slug] == []


@pytest.mark.parametrize("value", [1, 72, 76, 100, 200, 906, 908, 910, 4060])
def test_no_size_spells_a_target(value):
    """Sizes that are the number in a target's name stay apart from the letter before them."""
    gemm = GemmSpec(m=value, n=value, k=value, trans_a=True, alpha=float(value), beta=float(value), lda=value + 1)
    conv = Conv2dSpec(n=value, c=value, h=value, w=value, f=value, r=1, s=1, stride=value, padding=value)
    ids = [slug for kind in FLOATS for slug in (replace(gemm, dtype=kind).slug, replace(conv, dtype=kind).slug)]

    assert [(target, slug) for target in TARGETS for slug in ids if target in slug] == []


def test_ids_of_shape_sets_are_unique_and_no_targets():
    """No shape set selects another target by accident, and no id occurs twice in a set."""
    assert [spec.slug for spec in EVERY_SET for target in TARGETS if target in spec.slug] == []
    for operator in operators().values():
        for members in operator.shape_sets.values():
            assert len({spec.slug for spec in members}) == len(members)


# Validation


@pytest.mark.parametrize("name", ["m", "n", "k", "lda", "ldb", "ldc"])
@pytest.mark.parametrize("value", [-1, 2.0, "3", True, None])
def test_gemm_refuses(name, value):
    """A size that is negative or no whole number is refused by name."""
    with pytest.raises(BadRequest, match=rf"GEMM: {name} is "):
        GemmSpec(**{"m": 4, "n": 4, "k": 4, name: value})


@pytest.mark.parametrize(
    ("problem", "fields"),
    [
        ("lda is 7; a row needs 8", {"lda": 7}),
        ("lda is 3; a row needs 4", {"lda": 3, "trans_a": True}),
        ("ldb is 5; a row needs 6", {"ldb": 5}),
        ("ldb is 7; a row needs 8", {"ldb": 7, "trans_b": True}),
        ("ldc is 5; a row needs 6", {"ldc": 5}),
        ("alpha is nan", {"alpha": math.nan}),
        ("beta is inf", {"beta": math.inf}),
        ("alpha is '1'", {"alpha": "1"}),
        ("GEMM in int32: it is the dtype of results only", {"dtype": DType.I32}),
        ("GEMM in int8: fp32 output is not supported; choose int32", {"dtype": DType.I8, "out": DType.F32}),
        ("GEMM in bf16: fp16 accumulate is not supported; choose fp32", {"dtype": DType.BF16, "acc": DType.F16}),
        ("whole numbers are not scaled", {"dtype": DType.I8, "alpha": 2}),
        ("whole numbers are not scaled", {"dtype": DType.I8, "beta": 0.5}),
    ],
)
def test_gemm_refuses_combinations(problem, fields):
    """Rows shorter than their elements, scalars that cannot be and dtypes that do not combine are refused."""
    with pytest.raises(BadRequest, match=problem):
        GemmSpec(m=4, n=6, k=8, **fields)


@pytest.mark.parametrize(
    ("problem", "fields"),
    [
        ("n is -1", {"n": -1}),
        ("padding is -1", {"padding": -1}),
        ("stride is 0", {"stride": 0}),
        ("dilation is 0", {"dilation": 0}),
        ("r is 0", {"r": 0}),
        ("s is 1.0", {"s": 1.0}),
        ("f is 3, which 2 groups do not divide", {"groups": 2}),
        ("groups is 0", {"groups": 0}),
        ("layout is 'chwn'", {"layout": "chwn"}),
        ("kernel spans 6 but h with its padding has 5", {"r": 6}),
        ("kernel spans 7 but w with its padding has 6", {"s": 4, "dilation": 2}),
        ("kernel spans 1 but w with its padding has 0", {"w": 0, "s": 1, "r": 1}),
    ],
)
def test_conv_refuses(problem, fields):
    """Sizes that give no output, and what is not supported yet, are refused in one sentence."""
    with pytest.raises(BadRequest, match=problem):
        Conv2dSpec(**{"n": 1, "c": 2, "h": 5, "w": 6, "f": 3, "r": 2, "s": 2, **fields})


# The protocol


@given(specs)
def test_protocol(spec):
    """A spec is an `OperatorSpec`, hashable, and survives JSON."""
    assert isinstance(spec, OperatorSpec)
    assert spec == spec_from_json(json.loads(json.dumps(spec.to_json())))
    assert hash(spec) == hash(replace(spec))


@pytest.mark.parametrize(
    ("problem", "data"),
    [
        ("unknown operator 'fft'; known operators: batched_gemm, conv2d, gemm", {"operator": "fft"}),
        ("unknown operator None", {}),
        ("the field 'n' is missing", {"operator": "gemm", "m": 1, "k": 2}),
        ("unknown field 'x'", {"operator": "gemm", "m": 1, "n": 2, "k": 2, "x": 1}),
        ("unknown dtype 'fp4'", {"operator": "gemm", "m": 1, "n": 2, "k": 2, "dtype": "fp4"}),
    ],
)
def test_json_refused(problem, data):
    """A record that is not a spec is refused by the field at fault."""
    with pytest.raises(BadRequest, match=problem):
        spec_from_json(data)


def test_dims():
    """Dims come in the order of the C interface, leading dimensions as numbers."""
    gemm = GemmSpec(m=4, n=6, k=8, trans_a=True, ldb=9)
    conv = Conv2dSpec(n=2, c=3, h=9, w=8, f=5, r=3, s=2, stride=2, padding=1, layout="nhwc")

    assert list(gemm.dims().values()) == [4, 6, 8, 4, 9, 6, 1, 0]
    assert " ".join(gemm.dims()) == "m n k lda ldb ldc trans_a trans_b"
    assert list(conv.dims().values()) == [2, 3, 9, 8, 5, 3, 2, 2, 1, 1, 5, 5, 1, 1, 0, 0, 0]
    names = "n c h w f r s stride padding dilation oh ow nhwc groups bias relu prepacked"
    assert " ".join(conv.dims()) == names
    assert gemm.scalars() == (1.0, 0.0)
    assert conv.scalars() == ()


def test_operands():
    """Operands lie as they are stored; C is read only where beta says so."""
    a, b, c = GemmSpec(m=4, n=6, k=8, trans_a=True, ldb=9, beta=1.0).operands()

    assert [
        (operand.name, operand.mode, operand.shape, operand.strides) for operand in (a, b, c)
    ] == [("A", "in", (8, 4), (4, 1)), ("B", "in", (8, 6), (9, 1)), ("C", "inout", (4, 6), (6, 1))]
    assert b.elements == 7 * 9 + 6
    assert GemmSpec(m=4, n=6, k=8).operands()[2].mode == "out"
    assert [o.dtype for o in GemmSpec(m=4, n=6, k=8, dtype=DType.I8).operands()] == [DType.I8, DType.I8, DType.I32]


def test_conv_operands():
    """X, W and Y share the layout: KCRS with nchw, KRSC with nhwc."""
    spec = Conv2dSpec(n=2, c=3, h=9, w=8, f=5, r=3, s=2, stride=2, padding=1)

    assert [o.shape for o in spec.operands()] == [(2, 3, 9, 8), (5, 3, 3, 2), (2, 5, 5, 5)]
    assert [o.shape for o in replace(spec, layout="nhwc").operands()] == [(2, 9, 8, 3), (5, 3, 2, 3), (2, 5, 5, 5)]
    assert spec.operands()[0].strides == (216, 72, 8, 1)
    assert [o.mode for o in spec.operands()] == ["in", "in", "out"]
    assert [o.constant for o in replace(spec, prepacked=True).operands()] == [False, True, False]
    assert [(o.name, o.shape) for o in replace(spec, bias=True).operands()[3:]] == [("B", (5,))]
    grouped = replace(spec, c=6, f=4, groups=2)
    assert [o.shape for o in grouped.operands()] == [(2, 6, 9, 8), (4, 3, 3, 2), (2, 4, 5, 5)]


def test_prices():
    """Flops and least bytes, by hand."""
    gemm = GemmSpec(m=4, n=6, k=8)
    conv = Conv2dSpec(n=2, c=3, h=5, w=4, f=7, r=1, s=1, stride=2)

    assert (gemm.flops, gemm.least_bytes) == (384, 4 * (32 + 48 + 24))
    assert replace(gemm, beta=1.0, ldb=99).least_bytes == 4 * (32 + 48 + 48)
    assert (replace(gemm, alpha=0.0).flops, replace(gemm, alpha=0.0).least_bytes) == (0, 4 * 24)
    assert replace(gemm, dtype=DType.F64).least_bytes == 8 * (32 + 48 + 24)
    assert replace(gemm, dtype=DType.I8).least_bytes == 32 + 48 + 4 * 24
    assert replace(gemm, dtype=DType.BF16, out=DType.F32, beta=1.0).least_bytes == 2 * (32 + 48) + 4 * 48
    assert (conv.flops, conv.least_bytes) == (2 * 2 * 7 * 6 * 3, 4 * (2 * 3 * 6 + 21 + 2 * 7 * 6))
    depthwise = replace(conv, f=3, groups=3, bias=True)
    assert (depthwise.flops, depthwise.least_bytes) == (2 * 2 * 3 * 6, 4 * (2 * 3 * 6 + 3 + 3 + 2 * 3 * 6))


@pytest.mark.parametrize("given", [{}, {"stride": 2}, {"dilation": 2, "padding": 3}, {"h": 2, "w": 1, "padding": 4, "stride": 3}, {"padding": 0}, {"groups": 3, "f": 6}])
def test_least_flops_are_those_of_pixels_that_exist(given):
    spec = replace(Conv2dSpec(n=2, c=3, h=6, w=7, f=4, r=3, s=2, padding=1), **given)
    ones = {one.name: np.ones(one.shape) for one in spec.operands() if one.name in "XW"}

    assert 2 * spec.reference(ones).sum() == spec.least_flops <= spec.flops


# Neighbours


@pytest.mark.parametrize("blocks", [{"mr": 14, "nr": 32, "kc": 384}, {"mr": 1, "nr": 1, "kc": 1}, {}])
@pytest.mark.parametrize(
    "spec",
    [
        GemmSpec(m=512, n=512, k=512),
        GemmSpec(m=512, n=512, k=512, trans_a=True, trans_b=True, dtype=DType.F16),
        GemmSpec(m=4096, n=4096, k=4096, beta=1.0, ldc=5000),
        GemmSpec(m=512, n=512, k=512, trans_b=True, dtype=DType.I8),
        GemmSpec(m=512, n=512, k=512, dtype=DType.BF16, out=DType.F32),
        Conv2dSpec(n=64, c=3, h=224, w=224, f=64, r=7, s=7, stride=2, padding=3),
        Conv2dSpec(n=64, c=512, h=56, w=56, f=64, r=3, s=3, padding=1, layout="nhwc"),
        Conv2dSpec(n=1, c=96, h=56, w=56, f=96, r=3, s=3, padding=1, groups=96, bias=True, layout="nhwc"),
        Conv2dSpec(n=1, c=128, h=56, w=56, f=256, r=3, s=3, padding=1, groups=32, relu=True),
    ],
    ids=lambda spec: spec.slug,
)
def test_neighbours_are_few_small_and_alike(spec, blocks):
    """About 25 different specs, run in milliseconds, of the same kind as the tuned one."""
    found = list(spec.neighbours(blocks))

    assert 8 <= len(found) == len(set(found)) <= 32
    assert sum(neighbour.flops for neighbour in found) < 1e8
    kept = ("dtype", "acc", "out", "trans_a", "trans_b") if isinstance(spec, GemmSpec) else ("dtype", "layout")
    assert {tuple(getattr(spec, name) for name in kept)} == {tuple(getattr(n, name) for name in kept) for n in found}


def test_gemm_neighbours_cover():
    """Every pair of fringe sizes, roomy rows, other scalars, every empty size, and the outer blocks."""
    spec = GemmSpec(m=512, n=512, k=512)
    found = list(spec.neighbours({"mr": 6, "nr": 16, "kc": 64, "mc": 96, "nc": 128}))
    fringes = {"m": (1, 5, 6, 7), "n": (1, 15, 16, 17), "k": (1, 63, 64, 65)}
    for one, other in (("m", "n"), ("m", "k"), ("n", "k")):
        pairs = {(getattr(neighbour, one), getattr(neighbour, other)) for neighbour in found}
        assert pairs >= {(i, j) for i in fringes[one] for j in fringes[other]}

    assert any(n.lda and n.ldb and n.ldc and n.beta for n in found)
    assert any(n.alpha not in (0, 1) and n.beta not in (0, 1) for n in found)
    assert {("m", 0), ("n", 0), ("k", 0)} <= {(name, getattr(n, name)) for n in found for name in "mnk"}
    assert {0.0, 0.5} <= {n.beta for n in found if n.k == 0}
    assert any(n.m == 97 for n in found)
    assert any(n.n == 129 for n in found)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_conv_neighbours_cover(layout):
    """Fringes of filters, pixels and depth; stride 2, both paddings, 1x1, batch 2, dilation, empty sizes."""
    spec = Conv2dSpec(n=1, c=64, h=56, w=56, f=64, r=5, s=5, padding=2, layout=layout)
    found = list(spec.neighbours({"mr": 6, "nr": 16, "kc": 64, "mc": 96, "nc": 128}))
    filters, pixels = ((5, 6, 7), (15, 16, 17)) if layout == "nchw" else ((15, 16, 17), (5, 6, 7))

    assert {n.f for n in found} >= {1, *filters, 0}
    assert {n.oh * n.ow for n in found} >= {1, *pixels}
    assert {n.c * n.r * n.s for n in found} >= {1, 63, 64, 65, 0}
    assert {(n.stride, n.padding) for n in found if n.r == 3} >= {(1, 0), (1, 1), (2, 0), (2, 1)}
    assert {(1, 1), (3, 3), (1, 3), (5, 5), (7, 7)} == {(n.r, n.s) for n in found}
    assert {0, 1, 2} == {n.n for n in found}
    assert any(n.dilation == 2 for n in found)
    blocks = (97, 129) if layout == "nchw" else (129, 97)
    assert blocks[0] in {n.f for n in found}
    assert blocks[1] in {n.oh * n.ow for n in found}


# Shape sets


def test_shape_sets():
    """Every operator has the three sets; full holds the others, smoke runs fast."""
    for operator in operators().values():
        sets = operator.shape_sets
        assert {"smoke", "paper", "full"} <= sets.keys()
        assert set(sets["full"]) >= {*sets["smoke"], *sets["paper"]}
        assert max(spec.flops for spec in sets["smoke"]) <= 2 * 1024**3


def test_neighbours_with_groups():
    """A depthwise convolution is verified by depthwise ones, one with groups by ones with two."""
    spec = Conv2dSpec(n=1, c=96, h=14, w=14, f=96, r=3, s=3, padding=1, groups=96)

    assert all(n.groups == max(n.c, 1) == max(n.f, 1) for n in spec.neighbours({"mr": 7, "nr": 16}))
    assert {2} == {n.groups for n in replace(spec, groups=8).neighbours({})}


def test_paper_convolutions():
    """The paper's shapes carry the stride and padding of the networks they come from."""
    paper = operators()["conv2d"].shape_sets["paper"]

    assert (paper[0].stride, paper[0].padding, paper[0].oh) == (2, 3, 112)
    assert all(spec.oh == spec.h and spec.stride == 1 for spec in paper[1:])
