"""A language model's kernels on a GPU: judged, repaired, tuned and recorded as on a processor; the device is a stand-in."""

import json
import sys
from pathlib import Path

import pytest

from generators.accounts import Limits, Metered
from generators.policies import policy
from generators.vanilla import PlainAuthor
from harness.case import Case
from harness.compare import rebuild
from harness.cuda.compiler import CudaCompiler, version
from harness.cuda.tune import _first
from harness.drafting import judge, recall, settle, starts_of
from harness.errors import AuthorError, HarnessError, ToolchainError
from harness.prompt import parse_prompt
from harness.record import Outcome, Verdict
from harness.runners.cuda import CudaWorker, DeviceProblem, DeviceProcess, helpers
from harness.store import Store
from harness.tune import Budget, tuner_of
from harness.workbench import Workbench
from suites.selftest.scripted_llm import ScriptedLlm, author

REQUEST = parse_prompt("fp32 GEMM 48x40x24 on an H100")
CASE = Case(target=REQUEST.target, spec=REQUEST.spec)
SIGNATURE = "const float *a, const float *b, float *c, int m, int n, int k, int lda, int ldb, int ldc, float alpha, float beta"
BODY = """{
  const int row = blockIdx.y, column = blockIdx.x * blockDim.x + threadIdx.x;
  if (column >= n) return;
  float sum = 0.f;
  for (int i = 0; i < k; i++) sum += a[(size_t)row * lda + i] * b[(size_t)i * ldb + column];
  float *to = c + (size_t)row * ldc + column;
  *to = alpha * sum + (beta != 0.f ? beta * *to : 0.f);
}"""
PLAN = {
    "launch": [
        {
            "kernel": "gemm",
            "when": "m * n > 0",
            "grid": ["ceil(n / bn)", "m"],
            "block": "bn",
            "args": ["operand:A", "operand:B", "operand:C", *(f"int:{name}" for name in ("m", "n", "k", "lda", "ldb", "ldc")), "float:alpha", "float:beta"],
        }
    ]
}
TUNABLE = {"name": "bn", "kind": "kernel", "values": [32, 64, 128], "start": 32}
DECLARATION = {"plan": PLAN, "tunable": [TUNABLE]}
SKETCH = f"```json\n{json.dumps(DECLARATION)}\n```"


def kernel(name: str) -> str:
    """Answer with a script whose kernels are called ``NAME_bn_MICROSECONDS``; wide blocks are faster."""
    return f"""```python
import json, sys
TEXT = {f'extern "C" __global__ void NAME({SIGNATURE}) {BODY}'!r}
def one(bn):
    name = f"{name}_{{bn}}_{{10 - bn // 16}}"
    return {{"name": name, "role": "gemm", "signature": "cuda", "text": TEXT.replace("NAME", name)}}
print(json.dumps([[one(given["bn"])] for given in json.load(sys.stdin)]))
```"""


@pytest.fixture
def bench(tmp_path, monkeypatch):
    try:
        version()
    except ToolchainError as missing:
        pytest.skip(str(missing))

    def pretended(_, target):
        compiler = CudaCompiler(store, target.toolchain["arch"])
        worker = CudaWorker(compiler)
        worker.process = DeviceProcess(lambda: helpers(compiler).path, (sys.executable, str(Path(__file__).with_name("pretend_gpu.py"))))
        return worker

    monkeypatch.setattr(Workbench, "_cuda_worker", pretended)
    monkeypatch.setattr(Workbench, "baselines", lambda self, target: {})
    with Store.open(tmp_path / "store") as store:
        yield Workbench(store)


def built(bench, target, name):
    """Return the objects of the first draft whose kernels are called so."""
    writer, _ = author({("sketch", 0): SKETCH, ("kernel", 0): kernel(name)})
    draft = writer.propose(target, CASE.spec, [])
    return bench.builder(target, draft.sketch, draft.script, CASE.spec, trusted=False).build(starts_of(draft)[:1])


def tuned(bench, writer, run):
    return tuner_of(bench.target("h100"))(bench, CASE, writer, run=run, budget=Budget(evaluations=8, seconds=20), policy=policy("expert")).run()


def test_a_wrong_kernel_is_repaired_and_the_right_one_tuned(bench):
    writer, llm = author({("sketch", 0): SKETCH, ("kernel", 0): kernel("short"), ("repair", 1): kernel("right"), ("repair", 2): "no idea"})
    run = bench.store.begin_run([], {})
    settle(bench, CASE, writer, run=run, seed=0)
    won = tuned(bench, writer, run)

    assert "WRONG: sgemm-48x40x24: C[0, 0] is" in llm.asked("repair", 1)
    assert "of the chip's peak" not in llm.asked("repair", 1)
    assert "GFLOP/s that the chip's peak for fp32 is" in llm.asked("repair", 2)
    assert 128 == won.candidate["values"]["bn"]
    assert ("scripted", "cuda", 4) == (won.author, won.clock, won.facts["accounts"]["calls"])
    assert [Outcome.WRONG, Outcome.OK, Outcome.SCREENED] == [one.verdict.outcome for one in bench.store.records(kind="attempt")]


def test_what_was_adopted_is_found_again(bench):
    answers = {("sketch", 0): SKETCH, ("kernel", 0): kernel("right")}
    run = bench.store.begin_run([], {})
    settle(bench, CASE, author(answers)[0], run=run, seed=0)
    again, llm = author({})
    assert recall(bench, CASE, again)

    assert rebuild(bench, CASE, again, tuned(bench, again, run)).plan is not None
    assert [] == llm.prompts


@pytest.mark.parametrize(
    ("name", "outcome", "why"), [("dies", Outcome.CRASH, "the GPU's process died during matches"), ("hangs", Outcome.TIMEOUT, "not done within")]
)
def test_a_kernel_that_ends_the_process_is_a_verdict(bench, monkeypatch, name, outcome, why):
    monkeypatch.setattr("harness.runners.cuda.GRACE_S", 12.0)
    writer, _ = author({("sketch", 0): SKETCH, ("kernel", 0): kernel(name)})
    draft = writer.propose(bench.target("h100"), CASE.spec, [])
    attempt = judge(bench, CASE, draft, 1, 0)

    assert (outcome, True) == (attempt.verdict.outcome, why in attempt.verdict.reason)


def test_agreement_with_what_cannot_run_is_none(bench):
    """A library that cannot be opened vouches for nothing."""
    target = bench.target("h100")
    with bench.worker(target) as worker:
        items = {name: one for name in ("right", "stranger") for one in built(bench, target, name)}
        right, stranger = (worker.open(item, DeviceProblem(spec=CASE.spec)) for item in items.values())
        verdict = right.matches(stranger, 30)

    assert not verdict.ok
    assert "what it is compared with cannot run" in verdict.reason
    assert right.verdict.ok


def test_a_tuning_of_which_nothing_compiles_says_so():
    with pytest.raises(HarnessError, match="no start point compiles; the first fails with COMPILE: no such name"):
        _first([Verdict(outcome=Outcome.COMPILE, reason="no such name")])


def test_a_plain_answer_is_measured_as_it_comes(bench):
    file = f'```cuda\nextern "C" __global__ void right_7({SIGNATURE}) {BODY}\n```\n'
    launch = {**PLAN["launch"][0], "kernel": "right_7", "grid": ["ceil(n / 64)", "m"], "block": 64}
    writer = PlainAuthor(Metered(ScriptedLlm({("vanilla", 0): f"{file}```json\n{json.dumps({'launch': [launch]})}\n```"}), Limits()), "vanilla")
    run = bench.store.begin_run([], {})
    settle(bench, CASE, writer, run=run, seed=0)
    won = tuned(bench, writer, run)

    assert ("scripted vanilla", 1) == (won.author, won.facts["evaluations"])
    assert pytest.approx(7e-6) == won.samples_s[0]


def test_no_right_kernel_is_a_failure_that_names_each_attempt(bench):
    writer, _ = author({("sketch", 0): SKETCH, ("kernel", 0): kernel("short")})

    with pytest.raises(AuthorError, match=r"attempt 1: WRONG.*no answer to h100-sgemm-48x40x24: question repair, round 1"):
        settle(bench, CASE, writer, run=bench.store.begin_run([], {}), seed=0)
