"""Runs beside each other: workers of xdist, two sessions on one store, and one that is interrupted."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

from fixtures.plugin import pytest_keyboard_interrupt
from harness.store import DATABASE, Store
from suites.selftest.test_command_line import ROOT, command, listen, run

MODELLED = ("fp32 GEMM 24x16x20 on an A76", "fp32 GEMM 9x40x33 on an A76")
"""A modelled clock gives the same costs each time, so that whole searches can be compared."""
WHAT_WAS_RUN = shutil.ignore_patterns(f"{DATABASE}*", "transcripts", "reports")
"""What a copy of a store leaves out: it keeps what was built."""


def started(*options: str, store: Path) -> subprocess.Popen[str]:
    """Start a run as a shell does: as a group of processes, all of which a Ctrl-C reaches."""
    words, environment = command(*options, store=store)
    return subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=listen, process_group=0
    )


def evaluated(store: Path) -> set[tuple[object, ...]]:
    with Store.open(store) as opened:
        records = [*opened.records(kind="evaluation"), *opened.records(kind="winner")]
    return {
        (one.kind, one.case, one.sequence, str(one.verdict), str(one.candidate), one.samples_s, one.identity)
        for one in records
    }


def wait_for(store: Path, kind: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        with Store.open(store) as opened:
            if opened.records(kind=kind):
                return
        time.sleep(0.1)
    pytest.fail(f"no {kind} came: {process.communicate(timeout=60)[0] if process.poll() is not None else 'too slow'}")


@pytest.mark.slow
def test_workers_make_the_same_records(tmp_path, shared_store):
    options = [word for sentence in MODELLED for word in ("--prompt", sentence)]
    options += ["-k", "conformance", "--tune-evals", "6", "--seed", "5", "--tune-seconds", "600"]
    alone, beside = tmp_path / "alone", tmp_path / "beside"
    shutil.copytree(shared_store, alone, ignore=WHAT_WAS_RUN)
    first = run(*options, store=alone)
    shutil.copytree(alone, beside, ignore=WHAT_WAS_RUN)
    words, environment = command(*options, store=beside)
    parallel = [*words[: words.index("no:xdist") - 1], *words[words.index("no:xdist") + 1 :], "-n", "2"]
    second = subprocess.run(parallel, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)

    assert first.returncode == 0, first.stdout
    assert second.returncode == 0, second.stdout
    assert len(evaluated(alone)) >= 2 * 2
    assert evaluated(alone) == evaluated(beside)


@pytest.mark.slow
def test_a_run_waits_while_another_has_the_device(shared_store, tmp_path):
    size = 16 + time.time_ns() % 400
    sentence = f"fp32 GEMM {size}x12x24 on an A76"
    with Store.open(shared_store) as opened, opened.device_lock("a76"):
        waiting = started("--prompt", sentence, "-k", "throughput", "--tune-evals", "4", store=shared_store)
        time.sleep(8)
        meanwhile = opened.records(case=f"a76-sgemm-{size}x12x24")
    said, _ = waiting.communicate(timeout=240)

    assert waiting.returncode == 0, said
    assert [] == meanwhile, "it evaluated while another run had the device"


@pytest.mark.slow
def test_two_runs_share_a_store(shared_store):
    rows = [16 + (time.time_ns() + shift) % 400 for shift in (0, 1)]
    sentences = [f"fp32 GEMM {size}x12x20 on an A76" for size in rows]
    both = [started("--prompt", sentence, "-k", "throughput", "--tune-evals", "4", store=shared_store) for sentence in sentences]
    said = [process.communicate(timeout=240)[0] for process in both]
    with Store.open(shared_store) as opened:
        measured = [opened.records(case=f"a76-sgemm-{size}x12x20", kind="measurement") for size in rows]

    assert [0, 0] == [process.returncode for process in both], said
    assert [1, 1] == [len(found) for found in measured]
    assert measured[0][0].run != measured[1][0].run


@pytest.mark.slow
def test_ctrl_c_still_gives_the_summary_of_what_is_done(tmp_path, shared_store):
    store = tmp_path / "store"
    shutil.copytree(shared_store, store, ignore=WHAT_WAS_RUN)
    sentences = ("fp32 GEMM 40x48x56 on this machine", "fp32 GEMM 1024x1024x1024 on this machine")
    options = [word for sentence in sentences for word in ("--prompt", sentence)]
    process = started(*options, "-k", "throughput", "--tune-evals", "5", store=store)
    wait_for(store, "measurement", process)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)

    assert process.returncode == 2, said
    assert "KeyboardInterrupt" in said
    row, *_ = [line for line in said.splitlines() if line.startswith("host-sgemm-40x48x56 ")]
    assert row.split()[-1] == "OK", row
    assert "x openblas: throughput over openblas" in said
    assert f"{store / 'reports'}" in said


def cleaned_up() -> Iterator[int]:
    """Code of which some has no line: what an `except ... as` does at its end."""
    try:
        yield 1
    except ValueError as error:
        print(error)


def test_ctrl_c_may_fall_where_the_code_has_no_line() -> None:
    paused = cleaned_up()
    nowhere = next(start for start, _, line in paused.gi_code.co_lines() if line is None)
    interrupt = KeyboardInterrupt().with_traceback(TracebackType(None, paused.gi_frame, nowhere, -1))
    excinfo = pytest.ExceptionInfo.from_exception(interrupt)
    with pytest.raises(TypeError):
        excinfo.getrepr()

    pytest_keyboard_interrupt(excinfo)

    assert "KeyboardInterrupt" in str(excinfo.getrepr())
