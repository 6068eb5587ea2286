"""Start one guarded process, feed and watch it, and make sure that nothing of it stays behind."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import SandboxRefused

_STDERR_KEPT_BYTES = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the process went: ``returncode`` is negative for a signal, ``stopped`` says which limit ended it, if any."""

    returncode: int
    stdout: bytes
    stderr: bytes
    stopped: str | None
    seconds: float


def supervise(
    command: Sequence[str],
    *,
    config: bytes,
    stdin: bytes,
    cwd: Path,
    environment: Mapping[str, str],
    wall_s: float,
    output_bytes: int,
) -> Ended:
    """
    Run ``command`` in a session of its own until it ends or meets a limit, then kill its whole process group.

    ``command`` ends in the guard and gets two more words: a descriptor to read ``config`` from, and one to write a
    byte to when the guard stands. Raise `SandboxRefused` when that byte never comes.
    """
    start = time.perf_counter()
    read_ready, write_ready = os.pipe()
    sources = [_readable(data) for data in (stdin, config)]
    try:
        process = subprocess.Popen(
            [*command, str(sources[1]), str(write_ready)],
            stdin=sources[0],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=dict(environment),
            start_new_session=True,
            pass_fds=(sources[1], write_ready),
        )
    except OSError as error:
        os.close(read_ready)
        raise SandboxRefused(f"the sandbox cannot start {command[0]} ({error.strerror}), so nothing was run") from None
    finally:
        for descriptor in (*sources, write_ready):
            os.close(descriptor)
    try:
        stdout, stderr, stopped = _watch(process, start + wall_s, output_bytes)
    finally:
        _end(process)
        guarded = os.read(read_ready, 1)
        os.close(read_ready)
    if not guarded:
        said = stderr.decode(errors="replace").strip().splitlines() or [stopped or "no message"]
        raise SandboxRefused(f"the sandbox guard could not be installed ({said[-1]}), so nothing was run")
    returncode = process.returncode
    if Path(command[0]).name == "bwrap" and 128 < returncode < 160:
        returncode = 128 - returncode  # bubblewrap reports a signal as a shell does
    return Ended(
        returncode=returncode,
        stdout=stdout,
        stderr=stderr[:_STDERR_KEPT_BYTES],
        stopped=stopped or limit_that_killed(returncode),
        seconds=time.perf_counter() - start,
    )


def limit_that_killed(returncode: int) -> str | None:
    """Name the resource limit whose signal ended a process, or None."""
    # SIGXCPU can be caught; the hard limit one second later cannot, and nothing else in there may send SIGKILL
    # except the kernel when memory runs out.
    names = {
        -signal.SIGXCPU: "cpu time",
        -signal.SIGXFSZ: "file size",
        -signal.SIGKILL: "cpu time or memory",
    }
    return names.get(returncode)


def _readable(data: bytes) -> int:
    """Return a descriptor that reads ``data``; no pipe, so nobody has to feed it and it never blocks."""
    descriptor = os.memfd_create("opwright", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _watch(process: subprocess.Popen, deadline: float, output_bytes: int) -> tuple[bytes, bytes, str | None]:
    """Collect both outputs until the process ends; return them and the limit it met."""
    kept: dict[int, bytearray] = {stream.fileno(): bytearray() for stream in (process.stdout, process.stderr)}
    exit_notice = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            for descriptor in kept:
                os.set_blocking(descriptor, False)
                selector.register(descriptor, selectors.EVENT_READ)
            selector.register(exit_notice, selectors.EVENT_READ)
            stopped = None
            running = True
            while running and stopped is None:
                events = [key.fd for key, _ in selector.select(max(deadline - time.perf_counter(), 0))]
                running = exit_notice not in events
                for descriptor in kept.keys() & events:
                    if not _drain(descriptor, kept[descriptor], output_bytes):
                        selector.unregister(descriptor)
                if running and time.perf_counter() >= deadline:
                    stopped = "wall time"
                if sum(map(len, kept.values())) > output_bytes:
                    stopped = "output"
        if not running:  # what the pipes still hold; some other process may keep them open for ever
            for descriptor, data in kept.items():
                _drain(descriptor, data, output_bytes)
    finally:
        os.close(exit_notice)
    stdout, stderr = (bytes(data) for data in kept.values())
    return stdout[:output_bytes], stderr, stopped


def _drain(descriptor: int, into: bytearray, limit: int) -> bool:
    """Read what is there, at most a little over ``limit``; return False at the end of the stream."""
    while len(into) <= limit:
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return True
        if not data:
            return False
        into += data
    return True


def _end(process: subprocess.Popen) -> None:
    """Kill the process group and reap its leader; the group is killed first, while its number cannot be reused."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stderr.close()
