"""A language model writes for a GPU: launch plan, kernels, repairs; screened and compiled, never run."""

import json

import pytest

from benchmarks.gpu.draft import SENTENCE, draft
from generators.answers import Unreadable
from generators.generator import GENERATORS, author
from generators.gpu_questions import read_plan
from harness.cuda.build import CudaBuilder
from harness.cuda.compiler import version
from harness.cuda.screen import screen_cuda
from harness.errors import BadRequest, ToolchainError
from harness.prompt import parse_prompt
from harness.sandbox import Sandbox
from harness.target import load_target

RECORDING = GENERATORS / "llm" / "recordings" / "gemm_cuda.jsonl"
REQUEST = parse_prompt(SENTENCE)
TARGET = load_target(REQUEST.target)
LAUNCH = {"kernel": "gemm", "when": "m * n > 0", "grid": ["ceil(m / bm)"], "block": "128", "args": ["operand:A", "int:m"]}
TUNABLE = {"name": "bm", "kind": "kernel", "values": [64, 128], "start": 64}


@pytest.fixture(scope="module")
def drafted(bench):
    try:
        version()
    except ToolchainError as missing:
        pytest.skip(str(missing))
    return draft(author(f"replay:{RECORDING}"), TARGET, REQUEST.spec, bench.store)


@pytest.mark.slow
def test_the_recorded_run_is_repaired_until_it_compiles(drafted):
    attempts, kernels = drafted

    assert [False, False, True] == [attempt.verdict.ok for attempt in attempts]
    assert "unknown name bm" in attempts[0].verdict.reason
    assert "local memory" in attempts[1].verdict.reason
    assert 3 == len(kernels)
    assert all(" 0 spilled" in line for line in kernels)


@pytest.mark.slow
def test_what_a_model_wrote_is_not_built_to_be_run(drafted, bench):
    found = drafted[0][-1].draft

    with pytest.raises(BadRequest, match="only checked-in kernels run on a GPU yet"):
        CudaBuilder(TARGET, found.sketch, found.script, bench.store, Sandbox(), REQUEST.spec, trusted=False)


def test_a_plan_is_read_with_its_tunables():
    text = json.dumps({"plan": {"launch": [LAUNCH]}, "tunable": [TUNABLE], "parameters": ["trans_a", "dtype"], "starts": [{"bm": 128}]})
    answer = read_plan(text, TARGET, REQUEST.spec)

    assert ["gemm"] == answer.declared["roles"]
    assert ["trans_a", "dtype"] == answer.declared["parameters"]
    assert ({"bm": 128},) == answer.starts


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"plan": {}}, "it has no launch"),
        ({"plan": {"launch": [{**LAUNCH, "block": "2048"}]}}, "2048 threads of a block, the limit is 1024"),
        ({"plan": {"launch": [{**LAUNCH, "shared_bytes": "10 ** 9"}]}}, "bytes of shared memory"),
        ({"plan": {"launch": [{**LAUNCH, "grid": ["ceil(m / tile)"]}]}}, "unknown name tile"),
        ({"plan": {"launch": [{**LAUNCH, "args": ["host:A"]}]}}, "write KIND:WHAT"),
        ({"parameters": ["secrets"]}, "secrets is neither a dim"),
        ({"tunable": []}, "unknown name bm"),
    ],
)
def test_a_wrong_plan_is_refused_by_name(change, why):
    text = json.dumps({"plan": {"launch": [LAUNCH]}, "tunable": [TUNABLE], **change})

    with pytest.raises(Unreadable, match=why):
        read_plan(text, TARGET, REQUEST.spec)


@pytest.mark.parametrize(
    "text",
    [
        '#include "/etc/passwd"',
        'char *s = "/*";\n  #  include </etc/passwd>\n char *t = "*/";',
        "/* */ #/**/include <x>",
        "%:include <x>",
        "#def\\\nine X",
        '_Pragma("message")',
        "#embed </etc/passwd>",
        "#pragma GCC poison x",
        'asm(".include \\"x\\"");',
        "#if __has_include(</etc/shadow>)\n#endif",
        "x" * (1 << 20) + "x",
    ],
    ids=lambda text: text[:12].strip().split("\n")[0],
)
def test_text_that_would_open_files_is_screened(text):
    assert "SCREENED" == screen_cuda("k", text).outcome.name


def test_a_kernel_passes_the_screen():
    text = '#define N 4\n#if N > 2\nextern "C" __global__ void k(float *x) {\n#pragma unroll\n  for (int i = 0; i < N; i++) x[i] = 0;\n}\n#endif\n'

    assert screen_cuda("k", text).ok
