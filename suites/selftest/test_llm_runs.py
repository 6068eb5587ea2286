"""Whole runs by a language model, as a user starts them: recordings replayed, and a server on loopback."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from generators.generator import author as open_author
from harness.case import Case
from harness.drafting import settle
from harness.operators.gemm import GemmSpec
from harness.store import default_store
from suites.selftest.chat_server import ChatServer, Step, stream
from suites.selftest.scripted_llm import RECORDED_CASE, RECORDING, recorded

ROOT = Path(__file__).parents[2]
SMALL = "192x160x256"


def pytest_run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    words = [
        sys.executable,
        "-m",
        "pytest",
        "suites/test_conformance.py",
        "-p",
        "no:cacheprovider",
        "--retune",
        *options,
    ]
    known = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI")}
    env = {**known, "OPWRIGHT_STORE": str(default_store() / "selftest"), "COLUMNS": "100", **environment}
    return subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False)


def replayed(recording: Path, sentence: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return pytest_run("--prompt", sentence, "--llm", f"replay:{recording}", *options, **environment)


def smaller(folder: Path, recording: str, recorded_case: str, case: str) -> Path:
    """The same answers for a smaller case: texts serve every size, and whether they still are asked for is seen elsewhere."""
    text = RECORDING.with_name(f"{recording}.jsonl").read_text()
    path = folder / f"{recording}.jsonl"
    path.write_text(text.replace(f'"{recorded_case}"', f'"{case}"'))
    return path


def assert_asked_twice(said: str) -> None:
    """Both answers are right; where the first is fast enough already, as on a Zen 5, there is no second."""
    fates = re.findall(r"attempt (\d) (\w+)", said)

    assert fates in ([("1", "OK"), ("2", "OK")], [("1", "OK")]), said


def with_manual(name: str) -> tuple[str, str]:
    return "--manual", f"generators/manuals/{name}.md"


@pytest.mark.slow
def test_recorded_run_replays_end_to_end():
    """From the prompts alone, at the size that was asked about: extraction, sketch, script, repair, tuning, verification."""
    answers = RECORDING.with_name("blind_x86.jsonl")
    sentence = f"fp32 GEMM {RECORDED_CASE.removeprefix('host-sgemm-')} on this machine"
    done = replayed(answers, sentence, *with_manual("server_512"), "--tune-evals", "4", "--tune-seconds", "4", OPWRIGHT_HOST_ISA="avx512")

    assert 0 == done.returncode, done.stdout
    assert "manual server_512.md: " in done.stdout, "what the manual does not state is said"
    assert "deterministic reader" not in done.stdout, "the recorded extraction was not used"
    assert "stale recording" not in done.stdout
    assert_asked_twice(done.stdout)
    assert "tuned, 4 evaluations" in done.stdout


@pytest.mark.slow
def test_recorded_run_replays_on_avx2(tmp_path):
    answers = smaller(tmp_path, "gemm_x86", RECORDED_CASE, f"host-sgemm-{SMALL}")
    done = replayed(answers, f"fp32 GEMM {SMALL} on this machine", "--tune-evals", "4", OPWRIGHT_HOST_ISA="avx2")

    assert 0 == done.returncode, done.stdout
    assert_asked_twice(done.stdout)
    assert "tuned, 4 evaluations" in done.stdout


@pytest.mark.slow
def test_recorded_convolution_replays(tmp_path):
    """The recorded answer to "make it faster" is asked for, and what it gives is right."""
    asked, small = (f"host-sconv-n-1_c-{c}_{hw}x{hw}_f-{c}_3x3_s-1_p-1-nchw" for c, hw in ((128, 28), (16, 14)))
    answers = smaller(tmp_path, "conv_x86", asked, small)
    done = replayed(answers, "fp32 conv 3x3 16->16 at 14x14, batch 1 on this machine", "--tune-evals", "2")

    assert 0 == done.returncode, done.stdout
    assert "attempt 2 OK" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recording", "machine", "last", "missing"), [("blind_rvv", "K1", 2, True), ("blind_neon", "A76", 1, False)], ids=["riscv", "neon"]
)
def test_recorded_run_of_an_emulated_machine_replays(recording, machine, last, missing, tmp_path):
    """Answers given from the prompts alone: extraction, right in the emulator, then tuned; A76's manual states all, its answer needs no repair."""
    asked, small = (f"{machine.lower()}-sgemm-{shape}" for shape in ("256x256x256", "80x72x96"))
    answers = smaller(tmp_path, recording, asked, small)
    manual = with_manual(machine.lower())
    done = replayed(answers, f"fp32 GEMM 80x72x96 on {machine}", *manual, "--tune-evals", "2", "--tune-seconds", "300")

    assert 0 == done.returncode, done.stdout
    assert missing == (f"manual {machine.lower()}.md: " in done.stdout), "what the manual does not state is said, and nothing else"
    assert "deterministic reader" not in done.stdout, "the recorded extraction was not used"
    assert all(f"attempt {number} OK" in done.stdout for number in range(1, last + 1))
    assert "tuned, 2 evaluations" in done.stdout


@pytest.mark.slow
def test_on_a_young_machine_the_method_is_worth_three_plain_questions(bench):
    """C910, whose vector dialect no compiler writes; before any tuning, on the timing model, the same each time."""
    case = Case(target="c910", spec=GemmSpec(m=256, n=256, k=256))
    speeds = {}
    for style in ("ours", "vanilla"):
        run = bench.store.begin_run(["selftest"], {})
        settle(bench, case, open_author(f"replay:{RECORDING.with_name('gemm_rvv.jsonl')}", prompting=style), run=run, seed=0)
        right = [one for one in bench.store.records(run=run, kind="attempt") if one.verdict.ok]
        speeds[style] = max(case.spec.flops / one.best_s / 1e9 for one in right)

    assert speeds["ours"] >= 3 * speeds["vanilla"]


@pytest.mark.slow
def test_recorded_plain_c_replays_with_its_tunables():
    answers = RECORDING.with_name("plain_x86.jsonl")
    done = replayed(answers, "fp32 GEMM 64x64x64 on this machine", "--prompting", "plain", "--tune-evals", "3")

    assert 0 == done.returncode, done.stdout
    assert "tuned, 3 evaluations" in done.stdout


@pytest.mark.slow
def test_recorded_vanilla_answer_replays(tmp_path):
    answers = smaller(tmp_path, "blind_x86", RECORDED_CASE, f"host-sgemm-{SMALL}")
    done = replayed(answers, f"fp32 GEMM {SMALL} on this machine", "--prompting", "vanilla")

    assert 0 == done.returncode, done.stdout
    assert "tuned, 1 evaluations" in done.stdout


@pytest.mark.slow
def test_endpoint_writes_and_steers_and_its_key_stays_in_memory():
    """The whole way: HTTP, drafting, tree search by the model; then every file of the store is searched for the key."""
    pytest.importorskip("openai", reason="pip install -e '.[llm]' for the tests of the endpoint")
    asked: list[str] = []

    def respond(prompt: str) -> Step:
        kinds = {"first of two questions": "sketch", "**kernel script**": "kernel", "what became of it": "repair"}
        kind = next((kind for words, kind in kinds.items() if words in prompt), "action")
        asked.append(kind)
        if kind == "action":
            (first,) = re.findall(r"## The (?:legal actions|actions to choose from)\n\n- (.*)", prompt)
            return stream(json.dumps({"actions": first.split(", ")[:4]}))
        return stream(recorded(kind, 1 if kind == "repair" else 0))

    with ChatServer(respond=respond) as server:
        done = pytest_run(
            *("--prompt", "fp32 GEMM 96x80x72 on this machine", "--llm", "openai:gpt-4o"),
            *("--search", "mcts", "--policy", "llm", "--tune-evals", "12", "--tune-seconds", "200"),
            OPENAI_BASE_URL=server.url,
            OPENAI_API_KEY="sk-VERY-SECRET",
        )
    files = [path for path in (default_store() / "selftest").rglob("*") if path.is_file()]

    assert 0 == done.returncode, done.stdout
    assert ["sketch", "kernel", "repair"] == asked[:3]
    assert "action" in asked
    assert "expert policy steers" not in done.stdout
    assert not [path for path in files if b"VERY-SECRET" in path.read_bytes()]
    assert "VERY-SECRET" not in done.stdout + done.stderr
