"""The grammar of prompts: sentences it reads, and how it refuses the others."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import target
from harness.dtype import DType
from harness.errors import BadRequest
from harness.operators import operators
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec
from harness.prompt import LONGEST, Request, parse_prompt

NAMES = ("a72", "a76", "a100", "c908", "c910", "h100", "k1", "rtx4060")


@pytest.fixture(autouse=True, scope="module")
def known_targets(tmp_path_factory):
    """Know these targets and `host`, whatever files the checkout has."""
    folder = tmp_path_factory.mktemp("targets")
    for name in NAMES:
        (folder / f"{name}.toml").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, "TARGETS", folder)
        yield


def gemm(m, n, k, **fields):
    """Build a GEMM in the order ids use."""
    return GemmSpec(m=m, n=n, k=k, **fields)


def conv(c, f, image, kernel, **fields):
    """Build a convolution of square images and kernels."""
    return Conv2dSpec(**{"n": 1, "c": c, "f": f, "h": image, "w": image, "r": kernel, "s": kernel, **fields})


@pytest.mark.parametrize(
    ("expected_target", "expected", "sentence"),
    [
        ("c910", gemm(1024, 1024, 1024), "fp32 GEMM 1024x1024x1024 on a C910"),
        ("host", gemm(512, 768, 1024), "sgemm 512 by 768 by 1024 on host"),
        (
            "a100",
            conv(64, 64, 56, 3, n=32, padding=1, dtype=DType.F16),
            "fp16 conv 3x3 64->64 at 56x56, batch 32, on an A100",
        ),
        ("host", gemm(1024, 512, 4096), "matrix multiplication of 1024x4096 by 4096x512 in single precision"),
        (
            "host",
            conv(128, 256, 28, 3, stride=2, padding=1, layout="nhwc"),
            "conv2d 3x3 stride 2 pad 1 nhwc 128->256 at 28x28 on this machine",
        ),
        ("host", gemm(5, 6, 7), "gemm 5x6x7"),
        ("host", gemm(5, 6, 7), "  GEMM: 5 X 6 × 7.  "),
        ("host", gemm(5, 6, 7), "gemm 5*6*7"),
        ("host", gemm(5, 6, 7), "gemm with m=5, n=6 and k = 7"),
        ("k1", gemm(5, 6, 1), "gemm m=5 n=6 k=1 on the SpacemiT K1"),
        ("host", gemm(5, 6, 1), "gemm m 5 n 6 k 1"),
        ("host", gemm(5, 6, 7), "gemm of a 5 by 7 matrix with a 7 by 6 matrix"),
        ("host", gemm(5, 6, 7), "gemm 5 x 7 times 7 x 6"),
        ("host", gemm(0, 6, 7), "gemm 0x6x7"),
        ("host", gemm(5, 6, 7, dtype=DType.F64), "Please write a fast double-precision matmul of size 5x6x7 for me"),
        ("host", gemm(5, 6, 7, dtype=DType.F64), "dgemm 5x6x7"),
        ("host", gemm(5, 6, 7, dtype=DType.F16), "hgemm 5x6x7 in fp16"),
        ("host", gemm(5, 6, 7, dtype=DType.BF16), "bfloat16 gemm 5x6x7"),
        ("host", gemm(5, 6, 7, dtype=DType.I8), "int8 GEMM 5x6x7 into int32"),
        ("host", gemm(5, 6, 7, dtype=DType.I8), "i8gemm 5x6x7"),
        ("host", gemm(5, 6, 7, dtype=DType.BF16, out=DType.F32), "bf16 -> fp32 gemm 5x6x7"),
        ("host", gemm(5, 6, 7, dtype=DType.BF16, out=DType.F32), "bf16 gemm 5x6x7 with fp32 output"),
        ("host", gemm(5, 6, 7, dtype=DType.F16), "fp16 gemm 5x6x7 with float accumulation"),
        ("host", gemm(5, 6, 7, dtype=DType.F16, acc=DType.F16), "hgemm 5x6x7, accumulate in half precision"),
        ("host", gemm(5, 6, 7, trans_b=True, alpha=-1.5, beta=1e-3), "gemm 5x6x7 nt alpha=-1.5 beta 1e-3"),
        ("host", gemm(5, 6, 7, trans_a=True, trans_b=True), "gemm 5x6x7 with transposed A and transposed B"),
        ("host", gemm(5, 6, 7, lda=9, ldb=10, ldc=11), "gemm 5x6x7 lda 9 ldb=10 ldc 11"),
        ("rtx4060", gemm(5, 6, 7), "gemm 5x6x7 on an NVIDIA GeForce RTX 4060"),
        ("rtx4060", gemm(5, 6, 7), "gemm 5x6x7 on rtx-4060"),
        ("a76", gemm(5, 6, 7), "gemm 5x6x7 on an Arm Cortex-A76"),
        ("h100", gemm(5, 6, 7), "H100 gemm 5x6x7"),
        ("host", gemm(5, 6, 7), "gemm 5x6x7 here"),
        ("host", conv(3, 64, 224, 7, stride=2, padding=3), "7x7 conv, stride 2, 3->64 channels on 224x224 images"),
        ("host", conv(3, 4, 9, 3, n=2), "2d convolution 3x3 3 to 4 at 9x9, batch of 2, valid padding"),
        ("host", conv(3, 4, 9, 3, padding=1), "conv 3x3 3→4 at 9x9 same padding"),
        ("host", conv(3, 4, 9, 3, padding=2, dilation=2), "conv 3x3 3->4 at 9x9 dilation 2"),
        ("host", conv(3, 4, 9, 3, padding=1), "conv 3x3 3->4 9x9"),
        ("host", conv(3, 4, 9, 3, padding=1), "conv 9x9 input 3->4 with a 3x3 filter"),
        ("host", conv(3, 4, 9, 3, padding=1), "conv with 3 input channels and 4 output channels, 3x3 kernel, 9x9 image"),
        ("host", conv(3, 4, 9, 3, padding=1), "conv 3x3, 3 channels, 4 filters, 9x9 images"),
        ("host", conv(3, 4, 9, 3, s=5, n=2, w=8, stride=2, padding=1), "conv N=2 C=3 H=9 W=8 K=4 R=3 S=5 stride=2 pad=1"),
        ("host", conv(3, 4, 9, 3, stride=2, padding=1), "conv 3x3 3->4 at 9x9, stride 2x2, padding of 1x1"),
        ("host", conv(3, 4, 9, 3, padding=2, dilation=2), "conv 3x3 3->4 at 9x9 dilated 2 same"),
        ("host", conv(4, 8, 9, 3, padding=0, groups=2), "grouped conv 3x3 4->8 at 9x9, 2 groups, valid"),
        ("host", conv(8, 8, 9, 3, padding=1, groups=8), "depthwise conv 3x3 8 channels 9x9 input"),
        ("host", conv(3, 4, 9, 1, padding=0), "pointwise conv 3->4 at 9x9"),
        ("host", gemm(8, 8, 8), "square gemm 8^3"),
        ("host", gemm(8, 8, 8), "gemm 8³"),
        ("host", gemm(5, 6, 7), "gemm m:5 n:6 k:7"),
        ("host", gemm(5, 6, 7), "a 5-by-6-by-7 gemm on my laptop, thanks!"),
        ("host", gemm(5, 6, 7), "Multiply a 5x7 matrix by a 7x6 matrix"),
        ("host", gemm(5, 6, 7), "matmul 5x7 @ 7x6"),
        ("host", gemm(5, 6, 7), "Could you tune the fastest row-major GEMM of 5 x 6 x 7?"),
        ("host", gemm(5, 6, 7, trans_a=True), "gemm 5x6x7 with A transposed"),
        ("host", gemm(5, 6, 7, trans_b=True), "gemm 5x6x7 transB"),
        ("host", gemm(5, 6, 7, trans_a=True, trans_b=True), "gemm 5x6x7, transpose A and B"),
        ("cuda", gemm(5, 6, 7), "gemm 5x6x7 on this GPU"),
        ("rtx4060", gemm(5, 6, 7), "gemm 5x6x7 on a GeForce RTX 4060 GPU"),
        ("a72", gemm(5, 6, 7), "gemm 5x6x7 on an ARM Cortex-A72 core"),
        ("host", conv(3, 4, 9, 3, s=5, padding=0, w=8), "conv 3x5 3->4 at 9x8 padding 0 groups 1"),
        ("host", conv(4, 8, 9, 3, padding=1, groups=2), "conv 3x3 4->8 at 9x9 groups 2"),
        ("host", conv(8, 8, 9, 3, padding=1, groups=8), "depthwise conv 3x3 8->8 at 9x9"),
        (
            "host",
            conv(8, 4, 9, 3, padding=1, bias=True, relu=True, prepacked=True),
            "conv 3x3 8->4 at 9x9 with bias and relu, prepacked weights",
        ),
    ],
)
def test_read(expected_target, expected, sentence):
    """Sentences people write, and what they mean."""
    assert Request(target=expected_target, spec=expected) == parse_prompt(sentence)


def test_other_names():
    """What a target's file says it is also called reads as that target, in any case, and as no other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, "TARGETS", Path(target.__file__).parent / "targets")
        called = {other: name for name in target.target_names() for other in target.other_names(name)}

        assert called == {other: parse_prompt(f"gemm 5x6x7 on a {other.title()} board").target for other in called}

    assert {"k230", "raspberry pi 4"} <= called.keys()


def test_default_target():
    """A sentence without a target means the default one."""
    assert parse_prompt("gemm 5x6x7", default_target="c908").target == "c908"
    assert parse_prompt("gemm 5x6x7 on this machine", default_target="c908").target == "host"


def test_examples_are_read():
    """Every example of an error message is a sentence the grammar reads, and `Operator.parse` one it owns."""
    for operator in operators().values():
        assert operator.name == parse_prompt(operator.example).spec.operator


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        ("the size -512 is negative", "gemm -512x3x3"),
        ("the size -512 is negative", "gemm 3x-512x3"),
        ("the size -512 is negative", "gemm 3 by -512 by 3"),
        ("the size -512 is negative", "gemm 3x\N{MINUS SIGN}512x3"),
        ("the size -4 is negative", "gemm m=3 n=-4 k=5"),
        ("not understood: 'm-4'", "gemm m-4 n=4 k=5"),
        ("the size 1e3 is not a whole number", "gemm 1e3x3x3"),
        ("the size 1.5 is not a whole number", "gemm 1.5x3x3"),
        ("the size +5 is not a whole number", "gemm +5x3x3"),
        ("the size 123456789012... is too large", "gemm 1234567890123x3x3"),
        ("too large", f"gemm {'9' * 900}x3x3"),
        ("not understood: '1,024x3x3'", "gemm 1,024x3x3"),
        ("not understood: '٣x٣x٣'", "gemm ٣x٣x٣"),
        ("the sizes are missing", "gemm"),
        ("the sizes are 3x3;", "gemm 3x3"),
        ("the sizes are 3x3x3x3;", "gemm 3x3x3x3"),
        ("the sizes are 8x8 and 8;", "gemm 8x8 by 8"),
        ("the sizes are 5 and 6 and 7;", "gemm 5 6 7"),
        ("the inner sizes differ: 5x7 by 8x6", "gemm 5x7 by 8x6"),
        ("name each of m, n and k once", "gemm m=5 n=6"),
        ("name each of m, n and k once", "gemm m=5 n=6 k=7 5x6x7"),
        ("not understood: 'x'", "gemm 5x6x7 x"),
        ("not understood: 'alpha'", "gemm 5x6x7 alpha"),
        ("not understood: 'alpha'", "gemm 5x6x7 alpha fast"),
        ("alpha is inf", "gemm 5x6x7 alpha 1e999"),
        ("not understood: 'tn'", "gemm 5x6x7 nt tn"),
        ("lda is 3; a row needs 7", "gemm 5x6x7 lda 3"),
        ("not understood: 'quickly'", "gemm 5x6x7 quickly"),
        ("not understood: 'lpha' (did you mean 'alpha'?)", "gemm 5x6x7 lpha"),
        ("not understood: 'hlaf' (did you mean 'half'?)", "hlaf gemm 5x6x7"),
        ("not understood: 'beta', '0,5' (write numbers as 1024 or 0.5)", "gemm 5x6x7 beta 0,5"),
        ("the sizes are 5; give m x n x k", "square gemm 5"),
        ("not understood: 'column', 'major'", "gemm 5x6x7 column-major"),
        ("one GEMM has no batch; say batched GEMM", "gemm 5x6x7 batch 3"),
        ("'threads' is not said in the sentence; give --threads N", "gemm 5x6x7 on 2 threads"),
        ("'threaded' is not said in the sentence; give --threads N", "fp64 gemm 5x6x7 single threaded"),
        ("unknown target 'c190' (did you mean 'c910'?)", "gemm 5x6x7 on c190"),
        ("the stride is 2x1; it must be the same in height and width", "conv 3x3 3->4 at 9x9 stride 2x1"),
        ("give h and w, or both as 3x3", "conv 3x3 3->4 h=9"),
        ("2 groups of 8 channels", "depthwise conv 3x3 8->8 at 9x9 groups 2"),
        ("groups is 0", "conv 3x3 3->4 at 9x9 groups 0"),
        ("missing: the channels", "conv 3x3 4 filters at 9x9"),
        ("not understood: 'blocked'", "blocked gemm 5x6x7"),
        ("unknown target 'z80'; known targets: a100, a72, a76, c908", "gemm 5x6x7 on a z80"),
        ("unknown target 'nvidia rtx-5090'", "gemm 5x6x7 on an NVIDIA RTX-5090"),
        ("more than one target: c910, host", "gemm 5x6x7 on host and c910"),
        ("unknown dtype 'fp4'; known dtypes: fp32, fp64, fp16, bf16, int8, fp8", "fp4 gemm 5x6x7"),
        ("unknown dtype 'tf32'", "tf32 gemm 5x6x7"),
        ("more than one dtype: fp32, fp16", "fp16 fp32 gemm 5x6x7"),
        ("GEMM in int8: fp32 output is not supported", "int8 gemm 5x6x7 with fp32 output"),
        ("not understood: 'acc', 'fp16'", "fp16 conv 3x3 3->4 at 9x9, accumulate in fp16"),
        ("sgemm is fp32, but the sentence also says fp16", "fp16 sgemm 5x6x7"),
        ("names no operator; known operators: batched_gemm, conv2d, gemm", "512x512x512 on host"),
        ("names no operator, unless by 'gem' (did you mean 'gemm'?); known", "gem 5x6x7"),
        ("names no operator", ""),
        ("names no operator", " \t\n"),
        ("an operator twice: sgemm and conv", "sgemm conv 5x6x7"),
        ("missing: the channels, as in 64->128 and the image, as in at 56x56", "conv 3x3"),
        ("missing: one kernel size, as in 3x3", "conv 3->4 at 9x9"),
        ("missing: one kernel size", "conv 3x3 5x5 3->4 at 9x9"),
        ("missing: the image", "conv 3x3 3->4 at 9"),
        ("a 2x2 kernel has no same padding", "conv 2x2 3->4 at 9x9"),
        ("a 3x5 kernel has no same padding", "conv 3x5 3->4 at 9x9"),
        ("padding is given more than once", "conv 3x3 3->4 at 9x9 same padding pad 1"),
        ("padding is given more than once", "conv 3x3 3->4 at 9x9 no padding pad 1"),
        ("the size -1 is negative", "conv 3x3 3->4 at 9x9 pad -1"),
        ("the size -4 is negative", "conv 3x3 3->-4 at 9x9"),
        ("stride is 0; it must be 1 or more", "conv 3x3 3->4 at 9x9 stride 0"),
        ("not understood: 'stride'", "conv 3x3 3->4 at 9x9 stride"),
        ("not understood: 'stride'", "conv 3x3 3->4 at 9x9 stride 2 stride 3"),
        ("kernel spans 9 but h", "conv 9x9 3->4 at 3x3 pad 0"),
        ("f is 5, which 2 groups do not divide", "conv 3x3 4->5 at 9x9 groups 2"),
        ("longer than 1000 characters", "gemm 5x6x7" + " please" * LONGEST),
    ],
)
def test_refused(problem, sentence):
    """What cannot be read ends in one sentence that says what is wrong, what was understood, and an example."""
    with pytest.raises(BadRequest) as refusal:
        parse_prompt(sentence)
    message = str(refusal.value)

    assert problem in message
    assert "understood" in message
    assert "example: 'fp32 " in message
    assert "\n" not in message


def test_refusal_shows_what_was_understood():
    """The user sees which part of the sentence was right."""
    with pytest.raises(BadRequest, match=r"\(understood target c910, dtype fp32, operator gemm\)"):
        parse_prompt("fp32 gemm 5x6x7 on a C910 soon")


sizes = st.integers(0, 10**9 - 1)
rooms = st.integers(0, 9)
targets = st.sampled_from((*NAMES, "host"))


@st.composite
def gemm_requests(draw):
    """Draw a spec, a target, and a sentence that asks for them."""
    spec = GemmSpec(
        **{name: draw(sizes) for name in "mnk"},
        dtype=draw(st.sampled_from([DType.F32, DType.F64, DType.F16, DType.BF16])),
        trans_a=draw(st.booleans()),
        trans_b=draw(st.booleans()),
        alpha=draw(st.floats(allow_nan=False, allow_infinity=False)),
        beta=draw(st.floats(allow_nan=False, allow_infinity=False)),
    )
    letters = "".join("t" if flag else "n" for flag in (spec.trans_a, spec.trans_b))
    by = draw(st.sampled_from(["x", " x ", " by ", " × ", "*"]))
    shape = draw(
        st.sampled_from(
            [
                by.join(map(str, (spec.m, spec.n, spec.k))),
                f"m={spec.m} n={spec.n} k={spec.k}",
                f"{spec.m}x{spec.k} by {spec.k}x{spec.n}",
            ]
        )
    )
    parts = [shape, letters, f"alpha {spec.alpha!r}", f"beta={spec.beta!r}", spec.dtype.value]
    return _request(draw, spec, ["gemm", "matmul", "matrix multiplication"], parts)


@st.composite
def conv_requests(draw):
    """Draw a convolution, a target, and a sentence that asks for them."""
    small = st.integers(1, 9)
    spec = Conv2dSpec(
        **{name: draw(sizes) for name in ("n", "c", "f")},
        **{name: draw(st.integers(80, 10**6)) for name in ("h", "w")},
        **{name: draw(small) for name in ("r", "s", "stride", "dilation")},
        padding=draw(st.integers(0, 9)),
        layout=draw(st.sampled_from(["nchw", "nhwc"])),
        dtype=draw(st.sampled_from([DType.F32, DType.F64, DType.F16, DType.BF16])),
    )
    parts = [f"{spec.r}x{spec.s}", f"{spec.c}->{spec.f}", f"at {spec.h}x{spec.w}", f"batch {spec.n}", spec.dtype.value]
    parts += [f"stride {spec.stride}", f"pad {spec.padding}", f"dilation {spec.dilation}", spec.layout]
    return _request(draw, spec, ["conv", "conv2d", "convolution"], parts)


def _request(draw, spec, words, parts):
    where = draw(targets)
    parts = draw(st.permutations([draw(st.sampled_from(words)), f"on {where}", *parts]))
    sentence = draw(st.sampled_from([" ", ", ", " with "])).join(parts)
    return Request(target=where, spec=spec), draw(st.sampled_from([sentence, sentence.upper()]))


@given(gemm_requests() | conv_requests())
def test_round_trip(request_and_sentence):
    """A sentence rendered from a spec reads back as that spec, in any order of its parts."""
    expected, sentence = request_and_sentence

    assert expected == parse_prompt(sentence)


VOCABULARY = [
    *("gemm", "conv", "sgemm", "matmul", "fp32", "half", "precision", "on", "host", "c910", "rtx", "4060", "a", "the"),
    *("by", "x", "->", "to", "at", "times", "and", "with", "of", "stride", "pad", "batch", "alpha", "beta", "lda"),
    *("m", "n", "k", "nt", "nchw", "transposed", "b", "same", "padding", "this", "machine", "3x3", "64", "512x512x512"),
    *("-3", "1.5", "1e3", "0", "=", "."),
]


@settings(max_examples=300)
@given(st.text(max_size=80) | st.lists(st.sampled_from(VOCABULARY), max_size=14).map(" ".join))
def test_junk_raises_nothing_else(text):
    """Whatever the text, the answer is a request or a `BadRequest` of one sentence."""
    try:
        parse_prompt(text)
    except BadRequest as refusal:
        assert "example: '" in str(refusal)
