"""A language model writes for a GPU: launch plan, kernels, repairs; screened, compiled and examined without one."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.gpu.draft import SENTENCE, attempts_in, draft
from generators.accounts import Limits, Metered
from generators.answers import Unreadable
from generators.generator import GENERATORS, author
from generators.gpu_questions import FILE_SCRIPT, read_plan
from generators.llm_author import LlmAuthor, make_draft
from generators.vanilla import PlainAuthor
from harness.cuda.build import CudaBuilder
from harness.cuda.compiler import CudaCompiler, version
from harness.cuda.cubin import parameter_bytes
from harness.cuda.examine import examine
from harness.cuda.screen import screen_cuda
from harness.errors import AuthorError, ToolchainError
from harness.kernel import Candidate
from harness.prompt import parse_prompt
from harness.record import Outcome, Verdict
from harness.sandbox import Sandbox
from harness.target import load_target
from suites.selftest.scripted_llm import ScriptedLlm

RECORDING = GENERATORS / "llm" / "recordings" / "gemm_cuda.jsonl"
BLIND = RECORDING.with_name("blind_cuda.jsonl")
ON_A_DEVICE = Path(__file__).parents[2] / "docs" / "performance" / "language_models" / "blind_cuda_h100.jsonl"
"""What became of the blind answers on an H100."""
REQUEST = parse_prompt(SENTENCE)
TARGET = load_target(REQUEST.target)
LAUNCH = {"kernel": "gemm", "when": "m * n > 0", "grid": ["ceil(m / bm)"], "block": "128", "args": ["operand:A", "int:m"]}
TUNABLE = {"name": "bm", "kind": "kernel", "values": [64, 128], "start": 64}


FILE = """
```cuda
extern "C" __global__ void scale(const float *a, float *c, int count, float alpha) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) c[i] = alpha * a[i];
}
```
```json
{"launch": [{"kernel": "scale", "when": "m * n", "grid": ["ceil(m * n / 256)"], "block": "256",
             "args": ["operand:A", "operand:C", "int:m * n", "float:alpha"]}]}
```
"""
"""A vanilla answer: not a product, but all that compiling asks for."""


@pytest.fixture(scope="module")
def nvrtc():
    try:
        version()
    except ToolchainError as missing:
        pytest.skip(str(missing))


@pytest.mark.slow
def test_the_recorded_run_is_repaired_until_it_compiles(bench, nvrtc, caplog):
    attempts, kernels = draft(author(f"replay:{RECORDING}"), TARGET, REQUEST.spec, bench.store)

    assert [False, False, True] == [attempt.verdict.ok for attempt in attempts]
    assert "unknown name bm" in attempts[0].verdict.reason
    assert "local memory" in attempts[1].verdict.reason
    assert 3 == len(kernels)
    assert all(" 0 spilled" in line for line in kernels)
    assert "stale" not in caplog.text


@pytest.mark.slow
def test_what_crashed_on_a_device_is_repaired_until_it_compiles(bench, nvrtc, caplog):
    attempts, kernels = draft(author(f"replay:{BLIND}"), TARGET, REQUEST.spec, bench.store, seen=attempts_in(ON_A_DEVICE))

    assert [Outcome.SCREENED, Outcome.CRASH, Outcome.OK] == [attempt.verdict.outcome for attempt in attempts]
    assert "'BN' is not a name of lower-case letters" in attempts[0].verdict.reason
    assert "CUDA_ERROR_ILLEGAL_INSTRUCTION" in attempts[1].verdict.reason
    assert "compiled, not run" == attempts[2].verdict.reason
    assert 4 == len(kernels)
    assert all(" 0 spilled" in line for line in kernels)
    assert "stale" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("style", ["vanilla", "cot"])
def test_the_blind_plain_answers_compile(bench, nvrtc, style):
    (attempt,), kernels = draft(author(f"replay:{BLIND}", prompting=style), TARGET, REQUEST.spec, bench.store)

    assert attempt.verdict.ok, str(attempt)
    assert kernels


def test_what_is_known_to_be_slow_goes_back(bench, nvrtc):
    """A model may repair it; a plain answer, for which nobody asks again, is taken with a note."""
    slow = FILE.replace("int i =", "float kept[32]; for (int j = 0; j < 32; j++) kept[j * count % 32] = a[j];\n  int i =").replace("* a[i]", "* kept[i % count % 32]")
    sketch = FILE.split("```json")[1].split("```")[0]
    script = f"```python\n{FILE_SCRIPT}```"
    answers = {("sketch", 0): f'```json\n{{"plan": {sketch}}}\n```'}
    for question, text in {("kernel", 0): slow, ("repair", 1): FILE}.items():
        answers[question] = script.format(text=text.split("```cuda\n")[1].split("```")[0])
    attempts, _ = draft(LlmAuthor(Metered(ScriptedLlm(answers), Limits())), TARGET, REQUEST.spec, bench.store)
    _, (line,) = draft(plain(slow), TARGET, REQUEST.spec, bench.store)

    assert [False, True] == [attempt.verdict.ok for attempt in attempts], [str(attempt) for attempt in attempts]
    assert "accesses to local memory" in attempts[0].verdict.reason
    assert "accesses to local memory" in line


def plain(answer: str, style: str = "vanilla") -> PlainAuthor:
    """Return an author whose model answers the plain questions so."""
    return PlainAuthor(Metered(ScriptedLlm({("vanilla", 0): answer, ("cot", 0): answer}), Limits()), style)


@pytest.mark.parametrize("style", ["vanilla", "cot"])
def test_a_plain_answer_is_a_file_with_its_plan(bench, nvrtc, style):
    (attempt,), kernels = draft(plain(FILE, style), TARGET, REQUEST.spec, bench.store)

    assert attempt.verdict.ok, str(attempt)
    assert () == attempt.draft.sketch.tunables
    assert ["scale"] == [line.split()[0] for line in kernels]


@pytest.mark.parametrize(
    ("good", "bad", "why"),
    [
        ("```cuda", "```text", "no whole cuda block"),
        ("```json", "```text", "no whole json block"),
        ('"operand:C", ', "", "gives it 3 arguments, it takes 4"),
        ("int:m * n", "long:m * n", "argument 3 is long:.*, the kernel takes an int or a float there"),
        ('extern "C" ', "", 'no kernel of this name; write extern "C"'),
        ("256", "4096", "4096 threads of a block, the limit is 1024"),
        ("alpha * a[i]", "beta * a[i]", "COMPILE.*undefined"),
        ('"float:alpha"]}', '"float:alpha"]}, {"kernel": "tiny", "when": "m < 9", "grid": [1], "block": 32, "args": []}', "no kernel of this name"),
        ("  int i", '#include "/etc/passwd"\n  int i', "not allowed in a kernel"),
    ],
)
def test_a_wrong_plain_answer_is_refused_by_name(bench, nvrtc, good, bad, why):
    (attempt,), _ = draft(plain(FILE.replace(good, bad)), TARGET, REQUEST.spec, bench.store)

    assert not attempt.verdict.ok
    assert re.search(why, str(attempt.verdict)), str(attempt.verdict)


def test_plain_c_is_refused_on_a_gpu(bench):
    with pytest.raises(AuthorError, match="asks for C, which no GPU runs; choose ours, vanilla or cot"):
        draft(plain(FILE, "plain"), TARGET, REQUEST.spec, bench.store)


def test_text_that_a_script_prints_for_other_sizes_is_screened_too(bench, nvrtc):
    """A size may be a constant of a kernel, so what a fringe runs is printed when it is verified."""
    script = """
import json, sys
for_k = lambda k: '#include "/etc/passwd"' if k == 7 else 'extern "C" __global__ void one(int x) {}'
print(json.dumps([[{"name": "one", "role": "one", "signature": "cuda", "text": for_k(p["k"])}] for p in json.load(sys.stdin)]))
"""
    launch = {"kernel": "one", "grid": [1], "block": 32, "args": ["int:k"]}
    sketch = make_draft(read_plan(json.dumps({"plan": {"launch": [launch]}, "parameters": ["k"]}), TARGET, REQUEST.spec), script, TARGET, REQUEST.spec).sketch
    (item,) = CudaBuilder(TARGET, sketch, script, bench.store, Sandbox(), REQUEST.spec, trusted=False).build([Candidate.of(sketch.name, {})])

    assert not isinstance(examine(item, REQUEST.spec, TARGET.factors), Verdict)
    refused = examine(item, replace(REQUEST.spec, k=7, lda=0, ldb=0), TARGET.factors)
    assert (Outcome.SCREENED, True) == (refused.outcome, "#include" in refused.reason)


@pytest.mark.parametrize("arch", ["sm_80", "sm_90a"])
def test_a_cubin_says_what_its_kernels_take(bench, nvrtc, arch):
    text = 'struct M { alignas(64) char x[128]; };\nextern "C" __global__ void take(float *p, int i, long long l, float f, const __grid_constant__ M m) { *p = i + l + f + m.x[1]; }'
    (found,) = CudaCompiler(bench.store, arch).compile([("take", text)])

    assert (8, 4, 8, 4, 128) == parameter_bytes(Path(found.path), "take")
    assert parameter_bytes(Path(found.path), "give") is None


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
        ({"plan": {"launch": [{**LAUNCH, "args": ["operand:D"]}]}}, "no operand 'D'; the operator has A, B, C"),
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
        "#define A \\\n#include <x>",
        "#define A x\\ \n#include <x>",
        "int x; \\\n_Pra\\\ngma",
        "#if 1 /\\\r\n* *\\ \n/\n??=include <x>",
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
    text = '#define N \\\n  4\n#if N > 2\nextern "C" __global__ void k(float *x) {\n#pragma unroll\n  for (int i = 0; i < N; i++) x[i] = 0;\n}\n#endif\n'

    assert screen_cuda("k", text).ok
