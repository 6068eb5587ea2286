"""Guards are forked from one interpreter, which may die, must not stay behind, and belongs to one process."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.sandbox import Limits, Sandbox, launcher
from suites.selftest.sandbox_rig import complete

pytestmark = pytest.mark.filterwarnings("ignore::harness.sandbox.SandboxNotice")
REPOSITORY = Path(__file__).resolve().parents[2]
RUNS_ONE = """
import os, signal
from harness.sandbox import Sandbox, launcher
assert Sandbox().run_script("print(1)", trusted=True).stdout == b"1\\n"
print(launcher._fork_server()._process.pid, flush=True)
"""


def server_pid():
    """Return the process id of this process's fork server."""
    return launcher._fork_server()._process.pid


def alive(pid):
    """Return whether a process runs (one that nobody has reaped yet does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until_gone(pid):
    """Wait up to ten seconds for a process to end."""
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


@complete
def test_a_server_serves_many_runs_and_a_dead_one_is_replaced():
    sandbox = Sandbox()

    assert sandbox.run_script("print(1)", trusted=False).stdout == b"1\n"
    first = server_pid()
    assert sandbox.run_script("print(2)", trusted=False).stdout == b"2\n"
    assert first == server_pid()

    os.kill(first, signal.SIGKILL)
    assert sandbox.run_script("print(3)", trusted=False).stdout == b"3\n"
    assert first != server_pid()


@complete
def test_what_runs_ends_with_the_server():
    sandbox = Sandbox()
    sandbox.run_script("", trusted=False)
    text = "import time; time.sleep(30)"
    killer = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {server_pid()}"])

    ended = sandbox.run_script(text, trusted=False, limits=Limits(wall_s=20))

    killer.wait()
    assert -signal.SIGKILL == ended.returncode
    assert ended.seconds < 15


@pytest.mark.parametrize("end", ["", "os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "1 / 0"])
def test_the_server_ends_with_its_process(end):
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", RUNS_ONE + end],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert until_gone(int(done.stdout))
    assert "Warning" not in done.stderr.replace("SandboxNotice", "")


@complete
def test_a_process_that_was_forked_has_a_server_of_its_own():
    sandbox = Sandbox()
    sandbox.run_script("", trusted=False)
    first = server_pid()

    child = os.fork()
    if child == 0:
        try:
            said = sandbox.run_script("print(1)", trusted=False).stdout
            os._exit(0 if said == b"1\n" and server_pid() != first else 1)
        finally:
            os._exit(2)

    assert os.waitpid(child, 0)[1] == 0
    assert sandbox.run_script("print(1)", trusted=False).stdout == b"1\n"
    assert first == server_pid()


@complete
def test_an_interrupted_question_leaves_no_answer_behind(monkeypatch):
    sandbox, send = Sandbox(), socket.send_fds
    sandbox.run_script("", trusted=False)

    def interrupted(*words):
        send(*words)
        raise KeyboardInterrupt

    monkeypatch.setattr(socket, "send_fds", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sandbox.run_script("print(1)", trusted=False)
    monkeypatch.undo()

    assert [sandbox.run_script(f"print({n})", trusted=False).stdout for n in (2, 3)] == [b"2\n", b"3\n"]


@complete
def test_runs_of_one_server_share_nothing():
    sandbox = Sandbox()

    sandbox.run_script(
        "import os, sys, json; os.environ['LEFT'] = '1'; json.left = 1; sys.path.append('x')", trusted=False
    )
    seen = sandbox.run_script(
        "import os, sys, json; print('LEFT' in os.environ, hasattr(json, 'left'), 'x' in sys.path)", trusted=False
    )

    assert seen.stdout == b"False False False\n"
