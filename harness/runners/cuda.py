"""
The CUDA runner: a device process, its sessions, and what their replies mean.

A session is one candidate (or peer) over one arena; the operands travel to the device when the arena was filled anew.
An error that ruins the context, or a hang, ends the process: that session has its verdict, the others are opened again
in a fresh process when they are next used.
"""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.cuda.build import CudaObject
from harness.cuda.compiler import Compiled, CudaCompiler
from harness.errors import RunnerError, TargetUnavailable, ToolchainError
from harness.record import Outcome, Verdict
from harness.runners.arena import Arena
from harness.runners.native import Timing

HELPERS = Path(__file__).parents[1] / "cuda" / "helpers.cu"
ROOT = Path(__file__).parents[2]
GRACE_S = 60.0
"""What loading, uploading and downloading may take beside the call itself."""
BURST_SAMPLE_S = 2e-3
ADDRESS_ERRORS = {
    700: "an address outside every buffer (CUDA_ERROR_ILLEGAL_ADDRESS)",
    716: "a misaligned address (CUDA_ERROR_MISALIGNED_ADDRESS)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaTiming(Timing):
    """Samples in device seconds, with clock and power just after them."""

    sensors: Mapping[str, float] = field(default_factory=dict)


class DeviceProcess:
    """The child (`harness.cuda.device`); started with its first request."""

    def __init__(self, helpers: Callable[[], str], under: tuple[str, ...] = ()) -> None:
        self._helpers, self._under = helpers, under
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self.generation = 0
        """Counts the processes that were needed so far."""

    @property
    def alive(self) -> bool:
        """Return whether there is a process: a fault or a hang has ended it, the next request starts another."""
        return self._process is not None

    def request(self, timeout_s: float, **fields: Any) -> dict[str, Any]:
        """Send a request, return the reply; `TimeoutError` and `EOFError` end the process."""
        process = self._process or self._start()
        try:
            process.stdin.write(json.dumps(fields).encode() + b"\n")
            process.stdin.flush()
            reply = json.loads(self._line(process, timeout_s))
        except (TimeoutError, EOFError, OSError, ValueError):
            self.close()
            raise
        if reply["status"] == "cuda" and process.poll() is None and reply["code"] in ADDRESS_ERRORS | {719: "", 714: "", 715: ""}:
            self.close()
        return reply

    def finish(self, timeout_s: float) -> int:
        """Let the process end by itself, so that what it runs under can write its findings; return its status, -1 where it had to be ended."""
        status = -1
        if self._process:
            self._process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                status = self._process.wait(timeout_s)
        self.close()
        return status

    def close(self) -> None:
        """End the process."""
        if self._process:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                pipe.close()
        self._process, self._buffer = None, b""

    def _start(self) -> subprocess.Popen[bytes]:
        self.generation += 1
        command = [*self._under, sys.executable, "-m", "harness.cuda.device", self._helpers()]
        environment = {**os.environ, "CUDA_MODULE_LOADING": "LAZY"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment, bufsize=0, start_new_session=True
        )
        return self._process

    def _line(self, process: subprocess.Popen[bytes], timeout_s: float) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(timeout_s):
                    raise TimeoutError
                data = os.read(process.stdout.fileno(), 1 << 20)
                if not data:
                    raise EOFError
                self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line


class CudaWorker:
    """A worker whose candidates run on the GPU; a context manager."""

    clock = "cuda"
    threads = 1
    repeatable = False

    def __init__(self, compiler: CudaCompiler, *, under: tuple[str, ...] = ()) -> None:
        """``under`` is a command that the device process runs under, as a profiler with its options; it must leave stdout alone."""
        self.process = DeviceProcess(lambda: helpers(compiler).path, under)
        self._slots = 0

    def __enter__(self) -> "CudaWorker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the device process."""
        self.process.close()

    def hello(self) -> dict[str, Any]:
        """Return what the device is; raise `TargetUnavailable` where there is none."""
        try:
            reply = self.process.request(GRACE_S, op="hello")
        except (TimeoutError, EOFError, OSError, ValueError) as error:
            raise TargetUnavailable(f"the GPU's process does not answer ({error!r}); check nvidia-smi") from None
        if reply["status"] != "ok":
            raise TargetUnavailable(reply["where"].removeprefix("TargetUnavailable: "))
        return reply

    def open(self, item: CudaObject, arena: "Arena | DeviceProblem") -> "CudaSession":
        """Start a session; a candidate that cannot be loaded gives a session whose `verdict` says why."""
        self._slots += 1
        return CudaSession(self, self._slots, item, arena)

    def once(self, item: CudaObject, arena: "Arena | DeviceProblem", timeout_s: float) -> Callable[[], Verdict]:
        """Make one checked call in a session of its own; the function returned tells its verdict."""
        with self.open(item, arena) as session:
            verdict = session.call(timeout_s)
        return lambda: verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProblem:
    """Operands that never leave the device: drawn there. ``sparse`` 0 draws reals, else one element in so many is -1 or 1."""

    spec: Any
    seed: int = 1
    sparse: int = 0
    rotate_bytes: int = 256 << 20
    """Timed calls walk over sets of at least this much together; 1 times them with warm caches."""
    generation: int = 0


class CudaSession:
    """One open candidate; a context manager."""

    trusted = False

    def __init__(self, worker: CudaWorker, slot: int, item: CudaObject, arena: "Arena | DeviceProblem") -> None:
        self._worker, self.slot, self._arena = worker, slot, arena
        self.verdict, self.describe, self.workspace_bytes = Verdict(outcome=Outcome.OK), "", 0
        self.compiled: dict[str, Compiled] = {}
        self.sensors: Mapping[str, float] = {}
        self._opened = 0
        self._request = self._prepared(item)
        if self.verdict.ok:
            self._reopen()

    def __enter__(self) -> "CudaSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free what the session holds on the device."""
        if self._is_open():
            self._ask("close", GRACE_S)
        self._opened = 0

    def call(self, timeout_s: float) -> Verdict:
        """Make one checked call; the session is over unless the verdict is OK."""
        if self.verdict.ok and self._reopen():
            reply = self._ask("call", timeout_s, generation=self._arena.generation)
            if self.verdict.ok and reply.get("harm"):
                self.verdict = Verdict(outcome=Outcome.BOUNDS, reason=f"the kernels wrote to {reply['harm']}")
        return self.verdict

    def time(
        self,
        *,
        timeout_s: float,
        samples: int,
        sample_s: float = BURST_SAMPLE_S,
        budget_s: float = 0.01,
        warm: int = 1,
        burst: bool = True,
        collect: bool = True,
    ) -> Timing | None:
        """Take up to `samples` samples within `budget_s` (at least one), or None when the verdict is no longer OK."""
        if not self.verdict.ok or not self._reopen():
            return None
        wanted = {"samples": samples, "sample_s": max(sample_s, BURST_SAMPLE_S), "budget_s": budget_s, "warm": warm}
        limit_s = samples * timeout_s if samples < 4 else timeout_s + 10 * budget_s
        reply = self._ask("time", limit_s, **wanted, burst=burst, collect=collect, sensors=True)
        if not self.verdict.ok:
            return None
        seconds = tuple(reply["samples"])
        self.sensors, self.describe = reply["sensors"], reply.get("describe", self.describe)
        return CudaTiming(
            calls=reply["calls"],
            cpu_s=seconds,
            wall_s=seconds,
            switches=(0,) * len(seconds),
            outside_cpu_s=0.0,
            sensors=reply["sensors"],
        )

    def matches(self, other: "CudaSession", timeout_s: float) -> Verdict:
        """
        Compare outputs with another session's, bit for bit, on the device; for operands whose sums are exact.

        Where the other one cannot run nothing is known of this one: its own verdict stays, the other's is returned.
        """
        if not (self.verdict.ok and self._reopen()):
            return self.verdict
        if not (other.verdict.ok and other._reopen()):
            return replace(other.verdict, reason=f"what it is compared with cannot run: {other.verdict}")
        reply = self._ask("matches", timeout_s, other=other.slot)
        if self.verdict.ok and (reply["differ"] or reply["harm"]):
            reason = reply["harm"] or f"{reply['differ']} elements differ from the other's, the first is {reply['first']}"
            self.verdict = Verdict(outcome=Outcome.BOUNDS if reply["harm"] else Outcome.WRONG, reason=reason)
        return self.verdict

    def chained(self, calls: int, timeout_s: float) -> int:
        """Return the checksum of what calls give that each read what the one before wrote; -1 where a call failed."""
        return self._ask("chain", timeout_s, calls=calls)["sum"] if self.verdict.ok and self._reopen() else -1

    def fetch(self, name: str, path: Path, timeout_s: float = GRACE_S) -> None:
        """Write an operand as the device has it to a file."""
        self._ask("fetch", timeout_s, name=name, path=str(path))

    def _prepared(self, item: CudaObject) -> dict[str, Any]:
        """Return the request that opens this session; a refusal becomes the verdict."""
        problem = _problem(self._arena)
        if item.peer:
            return {"problem": problem, "peer": {"module": item.peer, "chosen": item.chosen, **peer_facts(self._arena.spec)}}
        resolved = item.resolve(self._arena.spec)
        compiled = resolved if isinstance(resolved, Verdict) else item.compiled(self._arena.spec, resolved.roles)
        if isinstance(compiled, Verdict):
            self.verdict = compiled
            return {}
        self.compiled = compiled
        modules = {role: [found.name, found.path] for role, found in compiled.items()}
        return {"problem": problem, "plan": asdict(resolved), "modules": modules}

    def _reopen(self) -> bool:
        """Open in the present process unless that was done; return whether the session can be used."""
        if self._is_open():
            return True
        reply = self._ask("open", GRACE_S, **self._request)
        self._opened = self._worker.process.generation
        self.describe, self.workspace_bytes = reply.get("describe", ""), reply.get("workspace_bytes", 0)
        return self.verdict.ok

    def _is_open(self) -> bool:
        """Return whether the process that is there now is the one this session was opened in."""
        process = self._worker.process
        return bool(self._opened) and self._opened == process.generation and process.alive

    def _ask(self, verb: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        try:
            reply = self._worker.process.request(timeout_s + GRACE_S / 6, op=verb, slot=self.slot, **fields)
        except TimeoutError:
            self.verdict = Verdict(outcome=Outcome.TIMEOUT, reason=f"{verb}: not done within {timeout_s:g} s")
            return {}
        except (EOFError, OSError, ValueError) as error:
            self.verdict = Verdict(outcome=Outcome.CRASH, reason=f"the GPU's process died during {verb} ({error!r})")
            return {}
        if reply["status"] == "cuda":
            self.verdict = _cuda_verdict(reply, verb)
        elif reply["status"] != "ok":
            raise RunnerError(f"the GPU's process failed in {verb}: {reply['where']}")
        return reply


def _cuda_verdict(reply: Mapping[str, Any], verb: str) -> Verdict:
    code, call = reply["code"], reply["call"]
    if code in ADDRESS_ERRORS:
        return Verdict(outcome=Outcome.BOUNDS, reason=f"a kernel touched {ADDRESS_ERRORS[code]} during {verb}")
    outcome = Outcome.COMPILE if "cuModule" in call else Outcome.CRASH
    return Verdict(outcome=outcome, reason=f"{call}: {reply['where']}")


def _problem(arena: "Arena | DeviceProblem") -> dict[str, Any]:
    operands = [
        {
            "name": operand.name,
            "mode": operand.mode,
            "bytes": operand.bytes,
            "elements": operand.elements,
            "dtype": operand.dtype.value,
        }
        for operand in arena.spec.operands()
    ]
    if isinstance(arena, DeviceProblem):
        fill = {"seed": arena.seed, "sparse": arena.sparse}
        key = f"drawn {arena.spec.slug} {fill} {arena.rotate_bytes}"
        rotate = {"rotate_bytes": arena.rotate_bytes}
        return {"key": key, "operands": operands, "placement": "aligned", "fill": fill, **rotate}
    for entry, region in zip(operands, arena.regions, strict=True):
        entry["offset"] = region.data_offset
    key = f"arena {arena.serial}"
    return {"key": key, "operands": operands, "placement": arena.placement.value, "arena": arena.path}


def peer_facts(spec: Any) -> dict[str, Any]:
    """Return what a peer is told of a spec."""
    return {"operator": spec.operator, "dtype": spec.dtype.value, "dims": dict(spec.dims()), "scalars": list(spec.scalars())}


def helpers(compiler: CudaCompiler) -> Compiled:
    """Compile the device process's own kernels; raise `ToolchainError` where that fails."""
    found = compiler.compile([("fill", HELPERS.read_text())])[0]
    if isinstance(found, Verdict):
        raise ToolchainError(f"the device process's own kernels do not compile: {found.reason}")
    return found
