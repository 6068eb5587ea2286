"""The sandbox runs kernel scripts, and stops every attack of the zoo, on machines with few protections as well."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.errors import SandboxRefused
from harness.sandbox import Limits, Protections, Sandbox, SandboxNotice
from suites.selftest.attacks import SCRIPTS, TOOLS, limits_for, proves
from suites.selftest.sandbox_rig import HERE, complete, leaks, places, sandbox

__all__ = ["leaks", "places", "sandbox"]

pytestmark = pytest.mark.filterwarnings("ignore::harness.sandbox.SandboxNotice")
BARE = Protections(landlock_abi=0, seccomp=False, bubblewrap=None)

@complete
def test_a_kernel_script_reads_parameters_and_prints_kernels(sandbox):
    script = "import json, sys\njson.dump([{'name': f'k{p}'} for p in json.load(sys.stdin)], sys.stdout)"

    completed = sandbox.run_script(script, b"[1, 2, 3]", trusted=False)

    assert json.loads(completed.stdout) == [{"name": "k1"}, {"name": "k2"}, {"name": "k3"}]
    assert (completed.stderr, completed.stopped, completed.returncode, completed.ok) == ("", None, 0, True)


@complete
def test_the_standard_library_is_there(sandbox):
    modules = "dataclasses, decimal, fractions, functools, heapq, itertools, json, math, random, re, statistics, string"
    script = f"import {modules}, struct, textwrap\nprint('fine', random.random() < 1)"

    assert sandbox.run_script(script, trusted=False).stdout == b"fine True\n"


@complete
def test_a_large_batch_crosses_both_ways(sandbox):
    data = bytes(range(256)) * (1 << 14)
    script = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])"

    assert data[::-1] == sandbox.run_script(script, data, trusted=False).stdout


@complete
def test_equal_input_gives_equal_text(sandbox):
    script = "print(list({'load', 'compute', 'store', 'prefetch'}), hash('kernel'))"

    assert len({sandbox.run_script(script, trusted=False).stdout for _ in range(4)}) == 1


@complete
def test_an_error_shows_the_script_and_not_the_guard(sandbox):
    completed = sandbox.run_script("x = 1\nraise ValueError('mr is odd')\n", trusted=False)

    assert completed.returncode == 1
    assert 'File "kernel_script.py", line 2' in completed.stderr
    assert "raise ValueError('mr is odd')" in completed.stderr
    assert "guard" not in completed.stderr


@complete
@pytest.mark.parametrize(("text", "status"), [("import sys; sys.exit(3)", 3), ("def f(:", 1), ("", 0), ("'\udc80'", 0)])
def test_the_exit_status_is_the_scripts(sandbox, text, status):
    assert status == sandbox.run_script(text, trusted=False).returncode


@complete
def test_nothing_is_left_behind(sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sandbox.run_script("", trusted=False)  # the fork server stays, with its socket
    before = len(list(Path("/proc/self/fd").iterdir()))

    for text in ("print(1)", "1 / 0", "while True: print('x' * 9999)"):
        sandbox.run_script(text, trusted=False, limits=Limits(output_bytes=1 << 16))

    assert list(tmp_path.iterdir()) == []
    assert before == len(list(Path("/proc/self/fd").iterdir()))


@complete
@pytest.mark.parametrize("attack", SCRIPTS, ids=lambda attack: attack.name)
def test_a_script_cannot(sandbox, places, leaks, attack):
    completed = sandbox.run_script(attack.against(**places), trusted=False, limits=limits_for(attack))

    assert b"BREACH" not in completed.stdout
    assert proves(attack, f"{completed.stdout[:9999]}{completed.stderr}{completed.stopped}")
    assert places["secret"].read_text() == "TOP SECRET"


@complete
def test_limits_leave_what_was_printed_before(sandbox):
    completed = sandbox.run_script(
        "import time; print('first', flush=True); time.sleep(9)", trusted=False, limits=Limits(wall_s=0.5)
    )

    assert (completed.stdout, completed.stopped, completed.ok) == (b"first\n", "wall time", False)
    assert 0.5 <= completed.seconds < 5


@complete
def test_output_is_cut_at_its_limit(sandbox):
    completed = sandbox.run_script("print('x' * 5000)", trusted=False, limits=Limits(output_bytes=1000))

    assert (completed.stdout, completed.stopped) == (b"x" * 1000, "output")


@complete
def test_runs_from_several_threads_do_not_mix(sandbox):
    answers = {}

    def ask(number):
        answers[number] = sandbox.run_script(f"print({number})", trusted=False).stdout

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {number: f"{number}\n".encode() for number in range(8)} == answers


# The zoo has teeth


def unguarded(text, workdir):
    """Run a text with nothing around it."""
    command = [sys.executable, "-S", "-B", "-c", text]
    return subprocess.run(
        command, cwd=workdir, capture_output=True, text=True, timeout=20, close_fds=False, check=False
    ).stdout


@pytest.mark.parametrize("zoo", [SCRIPTS, TOOLS], ids=["scripts", "tools"])
def test_the_attacks_work_where_nothing_guards(zoo, places, leaks, tmp_path):
    (tmp_path / "kernel_script.py").touch()
    toothed = [attack for attack in zoo if attack.toothed]

    harmless = []
    for at, attack in enumerate(toothed):
        workdir = tmp_path / str(at)
        workdir.mkdir()
        (workdir / "kernel_script.py").touch()
        if "BREACH" not in unguarded(attack.against(**places), workdir):
            harmless.append(attack.name)

    assert harmless == []
    assert len(toothed) >= 10


# Machines with fewer protections


def without(**changes):
    """Return this machine's protections with some taken away."""
    fields = {"landlock_abi": HERE.landlock_abi, "seccomp": HERE.seccomp, "bubblewrap": None}
    return Protections(**{**fields, **changes})


@pytest.mark.parametrize(
    ("protections", "lacks"),
    [(without(landlock_abi=0), "Landlock"), (without(seccomp=False), "seccomp"), (BARE, "Landlock")],
)
def test_untrusted_text_is_refused_where_a_protection_is_missing(protections, lacks, tmp_path):
    sandbox = Sandbox(protections=protections)

    with pytest.raises(SandboxRefused, match=lacks):
        sandbox.run_script("print(1)", trusted=False)
    with pytest.raises(SandboxRefused, match="--unsafe"):
        sandbox.run_tool([["/bin/true"]], workdir=tmp_path, read_only=[], trusted=False)
    assert "is refused" in sandbox.describe()


def test_trusted_text_runs_with_one_notice(monkeypatch):
    monkeypatch.setattr("harness.sandbox.launcher._noticed", set())
    sandbox = Sandbox(protections=without(landlock_abi=0))

    with pytest.warns(SandboxNotice, match="Landlock") as notices:
        outputs = [sandbox.run_script("print(1)", trusted=True).stdout for _ in range(2)]

    assert outputs == [b"1\n", b"1\n"]
    assert len(notices) == 1


def test_the_unsafe_flag_runs_untrusted_text():
    sandbox = Sandbox(allow_unsafe=True, protections=BARE)

    assert sandbox.run_script("print(1)", trusted=False).stdout == b"1\n"
    assert "as was asked for" in sandbox.describe()


@pytest.mark.skipif(not HERE.seccomp, reason="the seccomp filter is written for x86-64 Linux; run this test there")
@pytest.mark.parametrize("name", ["write outside", "tcp", "subprocess", "signal the parent", "memory"])
def test_without_landlock_trusted_text_is_still_held(places, name):
    attack = next(attack for attack in SCRIPTS if attack.name == name)

    completed = Sandbox(protections=without(landlock_abi=0)).run_script(attack.against(**places), trusted=True)

    assert attack.evidence in completed.stderr
    assert b"BREACH" not in completed.stdout


@complete
@pytest.mark.parametrize("abi", [1, 2, 3, 4, 5, 6])
def test_older_landlock_versions_hold_files_as_well(abi, places):
    if abi > HERE.landlock_abi:
        pytest.skip(f"this kernel has Landlock ABI {HERE.landlock_abi}; run under a newer one to include this test")
    sandbox = Sandbox(protections=without(landlock_abi=abi))

    completed = sandbox.run_script(f"open('{places['secret']}')", trusted=False)

    assert "Permission denied" in completed.stderr
    assert f"landlock{abi}" in sandbox.level


@complete
def test_a_guard_that_cannot_stand_runs_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr("harness.sandbox.policy.seccomp_filter", lambda *, build: b"\x00" * 8)

    with pytest.raises(SandboxRefused, match="seccomp: Invalid argument"):
        Sandbox().run_script(f"open('{tmp_path}/ran', 'w')", trusted=False)
    assert list(tmp_path.iterdir()) == []


@complete
def test_a_script_cannot_pretend_that_the_guard_failed(sandbox):
    completed = sandbox.run_script("import os; os.write(2, b'seccomp: Invalid argument'); os._exit(1)", trusted=False)

    assert (completed.returncode, completed.stopped) == (1, None)


def test_the_level_names_every_layer():
    full = Protections(landlock_abi=6, seccomp=True, bubblewrap="/usr/bin/bwrap")

    assert (full.level, full.missing) == ("bwrap+rlimits+landlock6+seccomp", "")
    assert BARE.level == "rlimits"
