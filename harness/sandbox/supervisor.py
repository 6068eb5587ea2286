"""Start one guarded process, feed and watch it, and make sure that nothing of it stays behind."""

import os
import selectors
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import SandboxRefused
from harness.sandbox.forkserver import Descriptors, Guarded, Start

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
    begin: Start,
    *,
    config: bytes,
    stdin: bytes,
    home: Path,
    environment: Mapping[str, str],
    wall_s: float,
    output_bytes: int,
) -> Ended:
    """
    Run a guard in a session of its own until it ends or meets a limit, then kill its whole process group.

    The guard reads ``config`` from a descriptor and writes a byte to another when it stands. Raise `SandboxRefused`
    when that byte never comes.
    """
    start = time.perf_counter()
    (read_out, write_out), (read_err, write_err), (read_ready, write_ready) = os.pipe(), os.pipe(), os.pipe()
    ours, theirs = (read_out, read_err, read_ready), (write_out, write_err, write_ready)
    given = Descriptors(stdin=_readable(stdin), stdout=write_out, stderr=write_err, config=_readable(config), ready=write_ready)
    try:
        try:
            process = begin(given, home, environment)
        finally:
            for descriptor in (given.stdin, given.config, *theirs):
                os.close(descriptor)
        try:
            stdout, stderr, stopped = _watch(process, (read_out, read_err), start + wall_s, output_bytes)
        finally:
            returncode = process.end()
        guarded = os.read(read_ready, 1)
    finally:
        for descriptor in ours:
            os.close(descriptor)
    if not guarded:
        said = stderr.decode(errors="replace").strip().splitlines() or [stopped or "no message"]
        raise SandboxRefused(f"the sandbox guard could not be installed ({said[-1]}), so nothing was run")
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


def _watch(
    process: Guarded, streams: tuple[int, int], deadline: float, output_bytes: int
) -> tuple[bytes, bytes, str | None]:
    """Collect both outputs until the process ends; return them and the limit it met."""
    kept = {stream: bytearray() for stream in streams}
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
