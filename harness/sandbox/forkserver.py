"""
Processes for the guard: forked from one interpreter that is ready, or started afresh.

An interpreter with the guard's modules takes far longer to start than to fork, and a tuning starts dozens. The fork
server (`guard.serve`) runs no foreign text itself: each run is a fork of its own that shuts itself in first. What a
run needs of bubblewrap has to be started afresh, since bubblewrap builds its namespaces around an interpreter.
"""

import atexit
import contextlib
import marshal
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.errors import SandboxRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptors:
    """What a guarded process is given: its standard streams, where its configuration is, where it says it is ready."""

    stdin: int
    stdout: int
    stderr: int
    config: int
    ready: int


class Guarded(Protocol):
    """A process that leads a session of its own."""

    pid: int

    def end(self) -> int:
        """Kill the whole process group and return the leader's exit status, negative for a signal."""
        ...


class Start(Protocol):
    """A way to start a guarded process in a directory."""

    def __call__(self, given: Descriptors, home: Path, environment: Mapping[str, str]) -> Guarded:
        """Start it, or raise `SandboxRefused`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Afresh:
    """Starts the guard by a command, which gets two more words: the descriptors of its configuration and readiness."""

    command: Sequence[str]

    def __call__(self, given: Descriptors, home: Path, environment: Mapping[str, str]) -> Guarded:
        """Start the command."""
        try:
            process = subprocess.Popen(
                [*self.command, str(given.config), str(given.ready)],
                stdin=given.stdin,
                stdout=given.stdout,
                stderr=given.stderr,
                cwd=home,
                env=dict(environment),
                start_new_session=True,
                pass_fds=(given.config, given.ready),
            )
        except OSError as error:
            raise SandboxRefused(f"the sandbox cannot start {self.command[0]} ({error.strerror}), so nothing was run") from None
        return _Started(process, bubblewrapped=Path(self.command[0]).name == "bwrap")


class _Started:
    """A process that is our child."""

    def __init__(self, process: subprocess.Popen[bytes], *, bubblewrapped: bool) -> None:
        self.pid, self._process, self._bubblewrapped = process.pid, process, bubblewrapped

    def end(self) -> int:
        _kill_group(self.pid)
        status = self._process.wait()
        if self._bubblewrapped and 128 < status < 160:
            return 128 - status  # bubblewrap reports a signal as a shell does
        return status


class ForkServer:
    """One interpreter that forks guards; begun at the first use in each process, and again where it has died."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Take the command of `guard.serve`, which gets one more word, the descriptor of its socket."""
        self._command, self._environment = command, environment
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._socket: socket.socket | None = None

    def __call__(self, given: Descriptors, home: Path, environment: Mapping[str, str]) -> Guarded:
        """Fork a guard."""
        message = marshal.dumps((str(home), dict(environment)))
        streams = [given.stdin, given.stdout, given.stderr, given.config, given.ready]
        with self._turn:
            for server in (self._connected(), None):
                try:
                    server = server or self._begin()
                    return _Forked(int(self._exchange(server, message, streams)), server, self)
                except OSError as error:
                    reason = error.strerror or str(error)
        raise SandboxRefused(f"the sandbox cannot fork a process ({reason}), so nothing was run")

    def reap(self, pid: int, server: socket.socket) -> int:
        """Return the exit status of a process that was killed; raise `OSError` where its server has gone."""
        with self._turn:
            return int(self._exchange(server, str(pid).encode(), []))

    def _exchange(self, server: socket.socket, message: bytes, descriptors: Sequence[int]) -> bytes:
        """Ask and take the answer; a question that is interrupted leaves no answer behind for the next."""
        try:
            socket.send_fds(server, [message], descriptors)
            if answer := server.recv(64):
                return answer
            raise ConnectionResetError("the fork server has gone")
        except BaseException:
            server.close()
            raise

    def _connected(self) -> socket.socket | None:
        """Return the socket of this process's server; a process that was forked from us needs one of its own."""
        return self._socket if self._owner == os.getpid() else None

    def _begin(self) -> socket.socket:
        self.close()
        if self._owner != os.getpid():
            atexit.register(self.close)
        self._owner = os.getpid()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*self._command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=dict(self._environment),
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
            )
        return self._socket

    def close(self) -> None:
        """Let the server of this process go; what it forked dies with it."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None and self._owner == os.getpid():
            self._process.wait()
        self._socket = self._process = None


class _Forked:
    """A child of the fork server, which keeps its number from being used again until it was asked for its status."""

    def __init__(self, pid: int, server: socket.socket, forks: ForkServer) -> None:
        self.pid, self._server, self._forks = pid, server, forks

    def end(self) -> int:
        _kill_group(self.pid)
        try:
            return self._forks.reap(self.pid, self._server)
        except OSError:  # the server died, and its children with it
            return -signal.SIGKILL


def _kill_group(leader: int) -> None:
    """Kill a process group before its leader is reaped, while the number cannot be used again."""
    for kill in (os.killpg, os.kill):  # a process that was only just forked leads no group yet
        with contextlib.suppress(ProcessLookupError):
            kill(leader, signal.SIGKILL)
