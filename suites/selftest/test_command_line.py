"""What a user types, run for real: options, mistakes, a whole tuning, interruption and resumption."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fixtures.plugin import wanted_words
from harness.store import Store

ROOT = Path(__file__).parents[2]
TINY = "fp32 GEMM 48x40x56 on this machine"
CASE = "host-sgemm-48x40x56"


def command(*options: str, store: Path) -> tuple[list[str], dict[str, str]]:
    words = [sys.executable, "-m", "pytest", "suites/test_conformance.py", "suites/test_throughput.py"]
    words += ["-p", "no:cacheprovider", "-p", "no:xdist", *options]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return words, {**outside, "OPWRIGHT_STORE": str(store), "COLUMNS": "100"}


def run(*options: str, store: Path, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
    words, environment = command(*options, store=store)
    return subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
    )


def evaluations(store: Path, case: str) -> list[int]:
    with Store.open(store) as opened:
        return [record.sequence for record in opened.records(case=case, kind="evaluation")]


def test_collecting_starts_nothing(tmp_path):
    done = run("--collect-only", "-q", "-k", "host", store=tmp_path / "store")

    assert done.returncode == 0
    assert "test_throughput[host-sgemm-512x512x512]" in done.stdout
    assert not (tmp_path / "store").exists()


def test_asking_for_a_target_imports_neither_tuner_nor_selftests(tmp_path):
    words = ["suites/", "--collect-only", "-q", "-k", "host"]
    script = f"import pytest, sys; pytest.main({words}); print(sorted(set(sys.modules) & {{'harness.tune', 'sqlite3', 'matplotlib'}}))"
    _, environment = command(store=tmp_path)

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert "test_throughput[host-sgemm-512x512x512]" in done.stdout
    assert "selftest" not in done.stdout
    assert "[]" == done.stdout.splitlines()[-1]


@pytest.mark.parametrize("options", [["-k", "host and selftest"], ["-k", "test_stats"], ["suites/selftest/test_reports.py", "-k", "host"]])
def test_selftests_are_collected_for_those_who_mention_them(tmp_path, options):
    path = [] if any("/" in option for option in options) else ["suites/"]
    _, environment = command(store=tmp_path)
    words = [sys.executable, "-m", "pytest", *path, *options, "--collect-only", "-q", "-p", "no:xdist"]

    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert "suites/selftest/test_" in done.stdout


@pytest.mark.parametrize(
    ("words", "expression"),
    [
        ({"host", "and", "sgemm"}, "Host and sgemm"),
        (set(), "not c910"),
        ({"host", "and"}, "host and not conv"),
        ({"and", "host"}, "not (c910 or k1) and host"),
        ({"target", "name", "c910"}, 'target(name="c910")'),
        (set(), 'not target(name="c910")'),
        ({"nothing"}, "nothing"),
    ],
)
def test_a_target_behind_a_not_is_not_asked_for(words, expression):
    assert words == wanted_words(expression)


def test_bare_collection_is_smoke_on_this_machine(tmp_path):
    done = run("--collect-only", "-q", store=tmp_path)
    cases = [line.split("[")[1] for line in done.stdout.splitlines() if "[" in line]

    assert cases
    assert all(case.startswith("host-") for case in cases)


MISTAKES = {
    "unread sentence": (["--prompt", "make it fast"], ["example", "GEMM"]),
    "negative size": (["--prompt", "fp32 GEMM -512x512x512"], ["-512"]),
    "unknown target in a sentence": (["--prompt", "fp32 GEMM 8x8x8 on a Cray"], ["host", "cray"]),
    "unknown dtype": (["--prompt", "fp13 GEMM 8x8x8"], ["fp13"]),
    "unknown target": (["--target", "vax"], ["vax", "known targets", "host"]),
    "unknown operator": (["--operator", "fft"], ["fft", "gemm"]),
    "unknown peer": (["--peer", "lapack"], ["lapack", "known peers", "openblas"]),
    "fewer evaluations than none": (["--tune-evals", "-1"], ["--tune-evals"]),
    "unknown search": (["--search", "magic"], ["unknown search 'magic'", "known searches", "mcts"]),
    "a policy without its search": (["--policy", "random"], ["--policy random", "--search mcts"]),
    "no number of seconds": (["--tune-seconds", "nan"], ["--tune-seconds"]),
    "two targets": (["--prompt", "gemm 8x8x8 on host", "--target", "a72"], ["asks for host", "--target for a72"]),
    "two operators": (["--prompt", "gemm 8x8x8", "--operator", "conv2d"], ["asks for gemm", "--operator for conv2d"]),
    "unknown shapes": (["--shapes", "huge"], ["smoke", "paper", "full"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_one_clear_message(name, tmp_path):
    options, words = MISTAKES[name]
    done = run("--collect-only", "-q", *options, store=tmp_path)
    said = done.stderr + done.stdout

    assert done.returncode == 4
    assert all(word.lower() in said.lower() for word in words), said
    assert "Traceback" not in said


def test_late_mistake_is_one_sentence_too(shared_store):
    done = run("--prompt", TINY, "--retune", "-k", "conformance", "--llm", "gpt", store=shared_store)

    assert done.returncode == 1
    assert "unknown author 'gpt'" in done.stdout
    assert "Traceback" not in done.stdout


def test_sentences_without_a_target_mean_those_of_the_option(tmp_path):
    sentences = ["--prompt", "gemm 8x8x8", "--prompt", "sgemm m=8 n=8 k=8", "--prompt", "gemm 8x8x9"]
    done = run("--collect-only", "-q", *sentences, "--target", "a72", "--target", "k1", "--target", "k1", store=tmp_path)
    found = [line.split("[")[1] for line in done.stdout.splitlines() if "test_throughput[" in line]

    assert sorted(f"{target}-sgemm-8x8x{k}]" for target in ("a72", "k1") for k in (8, 9)) == sorted(found)


def test_a_sentence_becomes_a_measured_operator_and_is_found_again(shared_store):
    first = run("--prompt", TINY, "--tune-evals", "8", "--retune", "--seed", str(time.time_ns()), store=shared_store)
    before = len(evaluations(shared_store, CASE))
    second = run("--prompt", TINY, "--peer", "openblas", store=shared_store)
    after = len(evaluations(shared_store, CASE))

    assert first.returncode == 0, first.stdout
    assert "openblas" in first.stdout
    assert re.search(rf"^{CASE}: tunables, \d+ evaluations, .* at most \d+ s left$", first.stdout, re.MULTILINE)
    assert f"{CASE}: tuned, " in (shared_store / "status.txt").read_text()
    assert second.returncode == 0, second.stdout
    assert before == after

    words = [sys.executable, "-m", "reports", "json", "--store", str(shared_store)]
    (row,) = json.loads(subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout)

    assert row["id"] == CASE
    assert row["verdict"] == "OK"
    assert ["openblas"] == list(row["peers"])
    assert row["peers"]["openblas"]["ratio"] > 0
    assert 0 < row["peak_fraction"] < 1


def test_progress_is_one_changing_line_on_a_terminal(shared_store):
    words, environment = command("--prompt", TINY, "--tune-evals", "6", "--retune", "-k", "conformance", store=shared_store)
    ours, theirs = pty.openpty()
    with subprocess.Popen(words, cwd=ROOT, env=environment, stdout=theirs, stderr=theirs) as process, os.fdopen(ours, "rb") as screen:
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # how a terminal says that the other end is closed
            while more := screen.read1():
                said += more
    shown = [line for line in said.decode().split("\r") if line.startswith(f"{CASE}: tunables, ")]

    assert 0 == process.returncode, said
    assert shown
    assert all(" s left" in line and "\n" not in line for line in shown), shown


def test_no_evaluations_take_what_is_known_of_other_shapes(shared_store):
    other = "host-sgemm-47x41x55"
    before = len(evaluations(shared_store, other))
    done = run("--prompt", "fp32 GEMM 47x41x55 on this machine", "--tune-evals", "0", store=shared_store)

    assert done.returncode == 0, done.stdout
    assert "OK (untuned)" in done.stdout
    assert f"untuned: {other} runs" in " ".join(done.stdout.split())
    assert before == len(evaluations(shared_store, other))


def test_drawn_shapes_are_drawn_again(tmp_path):
    options = ["--collect-only", "--shapes", "drawn", "--operator", "gemm", "--draws", "3"]
    first = run(*options, store=tmp_path)
    again = next(line for line in first.stdout.splitlines() if "the same again" in line).split(": ", 1)[1].split()
    second = run("--collect-only", "--operator", "gemm", *again, store=tmp_path)
    other = run(*options, "--seed", "1", store=tmp_path)

    def cases(done):
        return [line.strip() for line in done.stdout.splitlines() if "[" in line]

    assert 2 * 3 == len(cases(first))
    assert cases(first) == cases(second)
    assert cases(first) != cases(other)


def test_junit_carries_the_record(shared_store, tmp_path):
    done = run("--prompt", TINY, f"--junit-xml={tmp_path / 'out.xml'}", store=shared_store)

    assert done.returncode == 0, done.stdout
    assert "peak_gflops" in (tmp_path / "out.xml").read_text()


def listen() -> None:
    """Undo what a background shell may have left: an ignored Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for_evaluations(store: Path, case: str, count: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while len(evaluations(store, case)) < count:
        assert process.poll() is None, "the tuning ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "ctrl-c"])
def test_interrupted_tuning_resumes(end, shared_store):
    size = 64 + time.time_ns() % 400
    case = f"host-sgemm-{size}x72x80"
    options = ("--prompt", f"sgemm {size}x72x80 on host", "-k", "conformance", "--tune-evals", "50")
    words, environment = command(*options, store=shared_store)
    process = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=listen)
    wait_for_evaluations(shared_store, case, 8, process)
    process.send_signal(end)
    status = process.wait(timeout=60)
    learnt = evaluations(shared_store, case)
    resumed = run(*options, store=shared_store)
    known = evaluations(shared_store, case)

    assert (-9 if end is signal.SIGKILL else 2) == status
    assert resumed.returncode == 0, resumed.stdout
    assert learnt == known[: len(learnt)]
    assert len(known) == len(set(known)), "an evaluation was repeated"


def test_corrupt_store_is_one_sentence(tmp_path):
    tmp_path.joinpath("records.sqlite").write_bytes(b"not a database" * 100)
    with Store.open(tmp_path) as store:
        database = store.database
    database.write_bytes(b"not a database" * 100)
    done = run("--prompt", TINY, "-k", "conformance", store=tmp_path)

    assert done.returncode == 1
    assert "StoreError" in done.stdout
    assert "Traceback" not in done.stdout
    assert database.read_bytes() == b"not a database" * 100
