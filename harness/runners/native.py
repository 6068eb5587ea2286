"""
The native runner: the guarded worker (harness/native/worker.c), its sessions, and what their replies mean.

A session is one candidate in one forked, filtered child over one arena; several sessions may be open at a time,
which is how candidates and baselines are timed in turn.
"""

import json
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.errors import RunnerError
from harness.record import Outcome, Verdict
from harness.runners.arena import Arena

WORKSPACE_LIMIT_BYTES = 2 << 30
SLOTS = 16
STEP_S = 0.5
"""Waiting goes in steps, and none counts for more than its length: what took longer was all stopped (a debugger, a paused
container, a suspended machine), the worker as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeObject:
    """Something that exports `opw_run`: libraries to load in order, kernels by role, tunables by position."""

    name: str
    libraries: tuple[Path, ...]
    """The last one exports `opw_run`."""
    kernels: tuple[tuple[int, str], ...] = ()
    """(index into libraries, symbol); the symbol ``-`` leaves a role empty."""
    values: tuple[int, ...] = ()
    trusted: bool = False
    """Load without system-call and file filters: for our own probes and vendor libraries only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Raw samples of one slice; each is the mean of `calls` consecutive calls, in seconds."""

    calls: int
    cpu_s: tuple[float, ...]
    wall_s: tuple[float, ...]
    switches: tuple[int, ...]
    """Involuntary context switches during each sample."""
    outside_cpu_s: float
    """CPU time of the child for the whole slice, warm-up included, as the worker saw it from outside."""
    clock: str = "cpu"
    busy_s: tuple[float, ...] = ()
    """Seconds each thread spent in the bodies of parallel loops, over the whole slice."""

    @property
    def taken_s(self) -> tuple[float, ...]:
        """Return the samples by the slice's clock: CPU time, but for several threads elapsed time."""
        return self.wall_s if self.clock == "wall" else self.cpu_s


class NativeWorker:
    """A persistent worker process; restarted by its owner when it dies. Use as a context manager."""

    clock = "cpu"
    repeatable = False
    patience = 1.0
    """How much longer a call may take than on a machine."""

    def __init__(
        self,
        executable: Path,
        environment: Mapping[str, str] | None = None,
        cpus: frozenset[int] | None = None,
        *,
        threads: int = 1,
    ) -> None:
        """``cpus`` are the processors it may use; with several ``threads`` its clock is elapsed time."""
        self._executable, self._arguments = executable, ()
        self.cpus, self.threads = cpus, threads
        several = {} if threads == 1 else {"OPW_THREADS": str(threads)}
        self.clock = "cpu" if threads == 1 else "wall"
        plain = {"PATH": "/usr/bin:/bin", "LANG": "C", "OPENBLAS_NUM_THREADS": "1"}
        self._environment = {**plain, **several, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._free = list(range(SLOTS))

    def __enter__(self) -> "NativeWorker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker and every child."""
        if self._process:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    pipe.close()
            self._process = None
        self._buffer, self._free = b"", list(range(SLOTS))

    def request(self, line: str, timeout_s: float) -> dict[str, Any]:
        """Send one command and return its reply; raise `RunnerError` when the worker itself fails."""
        self._send(line)
        return self._reply(timeout_s)

    def _send(self, *lines: str) -> None:
        process = self._process or self._start()
        try:
            process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        except OSError as error:
            raise self._lost(error) from error

    def _reply(self, timeout_s: float) -> dict[str, Any]:
        try:
            if self._process is None:
                raise EOFError("it was closed")
            return json.loads(self._read_line(self._process, timeout_s))
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> RunnerError:
        self.close()
        return RunnerError(f"the guarded worker stopped answering ({error}); run again")

    def open(self, item: NativeObject, arena: Arena) -> "Session":
        """Start a session; a candidate that cannot be loaded gives a session whose `verdict` says why."""
        if not self._free:
            raise RunnerError(f"more than {SLOTS} sessions are open in one worker")
        slot = self._free.pop()
        reply = self.request(f"open {slot} {_problem(arena)} {_object(item)}", 90)
        session = self._session(slot, reply)
        session.trusted = item.trusted
        return session

    def once(self, item: NativeObject, arena: Arena, timeout_s: float) -> Callable[[], Verdict]:
        """
        Begin one checked call in a session of its own; the function returned waits for its verdict.

        Open, call and close go out together, so that the caller may prepare the next call meanwhile.
        """
        if not self._free:
            raise RunnerError(f"more than {SLOTS} sessions are open in one worker")
        slot, limit_s = self._free[-1], self.patience * timeout_s
        self._send(f"open {slot} {_problem(arena)} {_object(item)}", f"call {slot} {int(limit_s * 1000)}", f"close {slot}")

        def verdict() -> Verdict:
            opened = verdict_of(self._reply(90))
            called, _ = self._reply(limit_s + 30), self._reply(10)
            return verdict_of(called) if opened.ok else opened

        return verdict

    def _session(self, slot: int, reply: Mapping[str, Any]) -> "Session":
        return Session(self, slot, reply)

    def release(self, slot: int) -> None:
        """Give a session's slot back."""
        self._free.append(slot)

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            self._process = subprocess.Popen(
                [str(self._executable), *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=self._environment,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise RunnerError(f"cannot start the guarded worker {self._executable}: {error.strerror}") from error
        if self.cpus is not None:
            os.sched_setaffinity(self._process.pid, self.cpus)
        return self._process

    def _read_line(self, process: subprocess.Popen[bytes], timeout_s: float) -> bytes:
        left_s = timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if left_s <= 0:
                    raise TimeoutError(f"no reply within {timeout_s:.0f} s")
                step_s, begin = min(STEP_S, left_s), time.monotonic()
                if selector.select(step_s):
                    data = os.read(process.stdout.fileno(), 1 << 20)
                    if not data:
                        raise EOFError("it died")
                    self._buffer += data
                left_s -= min(step_s, time.monotonic() - begin)
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line


class Session:
    """One open candidate; use as a context manager."""

    def __init__(self, worker: NativeWorker, slot: int, reply: Mapping[str, Any]) -> None:
        self._worker, self._slot = worker, slot
        self.verdict = verdict_of(reply)
        self.trusted = False
        """Whether it is a library's: its threads may work between calls, which is no sign of falsified samples."""
        self.describe: str = reply.get("describe", "")
        self.workspace_bytes: int = reply.get("workspace_bytes", 0)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child and free the slot."""
        if self._slot >= 0:
            if self.verdict.ok:
                self._worker.request(f"close {self._slot}", 10)
            self._worker.release(self._slot)
            self._slot = -1

    def call(self, timeout_s: float) -> Verdict:
        """Make one checked call; the session is over unless the verdict is OK."""
        if self.verdict.ok:
            self.verdict = verdict_of(self._request("call", timeout_s, ""))
        return self.verdict

    def time(
        self, *, timeout_s: float, samples: int, sample_s: float = 1e-4, budget_s: float = 0.01, warm: int = 1
    ) -> Timing | None:
        """Take up to `samples` samples within `budget_s` (at least one), or None when the verdict is no longer OK."""
        if not self.verdict.ok:
            return None
        rest = f"{samples} {int(sample_s * 1e9)} {int(budget_s * 1e9)} {warm}"
        reply = self._request("time", timeout_s, rest)
        self.verdict = verdict_of(reply)
        if not self.verdict.ok:
            return None
        calls = reply["calls"]
        # A virtual processor whose host takes time back now and then shows no CPU time at all for a short sample.
        rows = [row for row in reply["samples"] if row[0] > 0] or reply["samples"]
        return Timing(
            calls=calls,
            cpu_s=tuple(cpu / calls * 1e-9 for cpu, _, _ in rows),
            wall_s=tuple(wall / calls * 1e-9 for _, wall, _ in rows),
            switches=tuple(switches for _, _, switches in rows),
            outside_cpu_s=reply["outside_cpu_ns"] * 1e-9,
            clock=self._worker.clock,
            busy_s=tuple(ns * 1e-9 for ns in reply.get("busy_ns", ())),
        )

    def _request(self, verb: str, timeout_s: float, rest: str) -> dict[str, Any]:
        return self._worker.request(f"{verb} {self._slot} {int(timeout_s * 1000)} {rest}".rstrip(), timeout_s + 30)


def _problem(arena: Arena) -> str:
    spec, words = arena.spec, [quote(arena.path), str(len(arena.regions))]
    for region in arena.regions:
        numbers = (region.map_offset, region.map_bytes, region.data_offset, region.operand.bytes)
        mode = "constant" if region.operand.constant else region.operand.mode
        words += [region.operand.name, mode, *map(str, numbers)]
    dims, scalars = list(spec.dims().values()), spec.scalars()
    words += [str(len(dims)), *map(str, dims), str(len(scalars)), *(repr(float(scalar)) for scalar in scalars)]
    return " ".join(words)


def _object(item: NativeObject) -> str:
    words = [str(int(item.trusted)), str(WORKSPACE_LIMIT_BYTES), str(len(item.libraries))]
    words += [quote(str(path)) for path in item.libraries]
    words += [str(len(item.kernels)), *(f"{index} {symbol}" for index, symbol in item.kernels)]
    words += [str(len(item.values)), *map(str, item.values)]
    return " ".join(words)


def verdict_of(reply: Mapping[str, Any]) -> Verdict:
    """Translate a worker's reply into a verdict; raise `RunnerError` when the worker is at fault."""
    status, where = reply["status"], reply.get("where", "")
    stage, instruction = reply.get("stage", ""), reply.get("instruction", "")
    if status == "ok":
        if reply.get("returned", 0) != 0:
            return Verdict(outcome=Outcome.CRASH, reason=f"opw_run returned {reply['returned']}, not 0")
        return Verdict(outcome=Outcome.OK)
    at = f" in {instruction}" if instruction else ""
    if status == "fault":
        outside = any(words in where for words in ("past its end", "before its start", "read only"))
        outcome = Outcome.BOUNDS if outside else Outcome.CRASH
        return Verdict(outcome=outcome, reason=f"{stage} touched {where}{at}")
    reasons = {
        "illegal": (Outcome.CRASH, f"illegal instruction{at} during {stage}: not in this machine's instruction set"),
        "syscall": (Outcome.CRASH, f"{stage} made {where}{at}: kernels may make none"),
        "arithmetic": (Outcome.CRASH, f"arithmetic exception{at} during {stage}"),
        "trap": (Outcome.CRASH, f"breakpoint{at} during {stage}"),
        "abi": (Outcome.ABI, f"{stage or 'opw_run'} came back with {where} changed: save and restore it"),
        "timeout": (Outcome.TIMEOUT, f"not done within {reply.get('limit_ms', 0) / 1000:g} s"),
        "prepare": (Outcome.CRASH, f"opw_prepare returned {reply.get('returned')}, not 0"),
        "load": (Outcome.COMPILE, f"cannot be loaded: {where}"),
        "died": (Outcome.CRASH, f"the process died (signal {reply.get('signal')}, exit status {reply.get('exit')})"),
    }
    if status not in reasons:
        raise RunnerError(f"the guarded worker says {status}: {where or 'no detail'}")
    outcome, reason = reasons[status]
    return Verdict(outcome=outcome, reason=reason)
