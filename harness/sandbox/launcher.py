"""
Run generated text where it can do no harm: kernel scripts, and the toolchain on what they print.

`Sandbox` is the only door. It decides whether the machine's protections are enough for the text, lays out a private
place, and starts `guard.py` there under `supervisor`.
"""

import functools
import marshal
import resource
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import SandboxRefused
from harness.sandbox import guard, policy
from harness.sandbox.forkserver import Afresh, ForkServer
from harness.sandbox.protections import Protections, bubblewrap_prefix, interpreter, script_paths
from harness.sandbox.supervisor import Ended, limit_that_killed, supervise

_GUARD = Path(guard.__file__).resolve()
_TOOL_PROCESSES = 4096
_ENVIRONMENT = {"PATH": "/nonexistent", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
_DEVICES = (Path("/dev/null"), Path("/dev/zero"), Path("/dev/urandom"))


class SandboxNotice(UserWarning):
    """Something runs with fewer protections than it could have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may use; a run of several commands shares ``wall_s``, each process has the rest to itself."""

    cpu_s: int = 5
    wall_s: float = 10.0
    memory_mb: int = 1024
    """Address space."""
    output_bytes: int = 8 << 20
    """Of stdout and stderr together."""
    file_mb: int = 64
    """Size of one written file; scripts write none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What came of a script or a command."""

    returncode: int
    """Exit status, or minus the signal."""
    stdout: bytes
    stderr: str
    stopped: str | None
    """The limit that ended it (``wall time``, ``output``, ``cpu time``, ``file size``), or None."""
    seconds: float

    @property
    def ok(self) -> bool:
        """Return whether it ended by itself, with success."""
        return self.returncode == 0 and self.stopped is None


DEFAULT_LIMITS = Limits()
_noticed: set[str] = set()


class Sandbox:
    """
    The place where generated text runs.

    ``allow_unsafe`` runs untrusted text even where a protection is missing; it is a user's explicit decision.
    ``protections`` are probed unless given (a test takes layers away with it). ``afresh`` starts an interpreter for
    every run rather than forking one that is ready; bubblewrap always does.
    """

    def __init__(self, *, allow_unsafe: bool = False, protections: Protections | None = None, afresh: bool = False):
        self._allow_unsafe = allow_unsafe
        self._protections = protections or Protections.detect()
        self._afresh = afresh or self._protections.bubblewrap is not None

    @property
    def level(self) -> str:
        """Return the layers for the record, as in ``rlimits+landlock6+seccomp``."""
        return self._protections.level

    def describe(self) -> str:
        """Return one sentence: what protects this machine, what is missing, and what follows from that."""
        missing = self._protections.missing
        if not missing:
            return f"Generated text runs under {self.level}."
        untrusted = "runs, as was asked for" if self._allow_unsafe else "is refused"
        return f"Generated text runs under {self.level}; {missing} is missing, so LLM-written text {untrusted}."

    @property
    def worker_environment(self) -> dict[str, str]:
        """Return what lets the guarded worker run candidates where the kernel filters no system calls: asked for, or not at all."""
        return {"OPW_UNFILTERED": "1"} if self._allow_unsafe and not self._protections.seccomp else {}

    def run_script(self, text: str, stdin: bytes = b"", *, trusted: bool, limits: Limits = DEFAULT_LIMITS) -> Completed:
        """
        Run a kernel script; it reads ``stdin``, prints, and can neither write files nor start anything.

        It sees the standard library and itself. String hashes are seeded alike each time, so that equal input gives
        equal text. Raise `SandboxRefused` where this machine cannot hold the text (``trusted`` is for checked-in
        scripts only).
        """
        self._admit(trusted)
        with tempfile.TemporaryDirectory(prefix="opwright-script-") as private:
            home = Path(private).resolve()
            (home / guard.SCRIPT).write_text(text, encoding="utf-8", errors="replace")
            readable = (*script_paths(), home)
            rights = [(path, policy.READ) for path in readable]
            ended = self._start(home, rights, build=False, limits=limits, stdin=stdin)
        return Completed(
            returncode=ended.returncode,
            stdout=ended.stdout,
            stderr=ended.stderr.decode(errors="replace"),
            stopped=ended.stopped,
            seconds=ended.seconds,
        )

    def run_tool(
        self,
        commands: Sequence[Sequence[str]],
        *,
        workdir: Path,
        read_only: Sequence[Path],
        trusted: bool,
        limits: Limits = DEFAULT_LIMITS,
        environment: Mapping[str, str] | None = None,
        writable: Sequence[Path] = (),
    ) -> list[Completed]:
        """
        Run toolchain commands in ``workdir``, one after another in one guarded start, until one fails.

        The answer has one entry for each command that was started. Only ``read_only`` paths can be executed or read
        (a dynamically linked tool needs its libraries named, too), only ``workdir`` and ``writable`` written; a
        cache shared between runs is ``writable`` and as trustworthy as what was compiled with it. ``commands`` begin
        with absolute paths. ``trusted`` speaks of the text to be compiled.
        """
        self._admit(trusted)
        if not commands:
            return []
        home = workdir.resolve()
        rights = [(path, policy.READ | policy.EXECUTE) for path in read_only]
        rights += [(path, policy.READ | policy.WRITE_FILE) for path in _DEVICES]
        rights += [(path, policy.WRITE) for path in (home, *writable)]
        words = [[str(word) for word in command] for command in commands]
        ended = self._start(home, rights, build=True, limits=limits, commands=words, environment=environment or {})
        return _reports(ended, limits)

    def _admit(self, trusted: bool) -> None:
        """Refuse, or say once a process that less protects it than could."""
        missing = self._protections.missing
        if not missing:
            return
        if not (trusted or self._allow_unsafe):
            raise SandboxRefused(
                f"LLM-written code is not run here, because this machine lacks {missing}; "
                "use another machine or --llm expert, or accept the risk with --unsafe"
            )
        if missing not in _noticed:
            _noticed.add(missing)
            warnings.warn(f"generated code runs under {self.level} only: {missing} is missing", SandboxNotice, 3)

    def _start(
        self,
        home: Path,
        rights: Sequence[tuple[Path, int]],
        *,
        build: bool,
        limits: Limits,
        stdin: bytes = b"",
        commands: Sequence[Sequence[str]] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Ended:
        """Write the guard's configuration and run it."""
        abi = self._protections.landlock_abi
        base = {**_ENVIRONMENT, "HOME": str(home), "TMPDIR": str(home)}
        config = {
            "limits": _resource_limits(limits, build=build),
            "ruleset": policy.landlock_ruleset(abi) if abi else b"",
            "rules": policy.landlock_rules(abi, rights) if abi else [],
            "filter": policy.seccomp_filter(build=build) if self._protections.seccomp else b"",
            "commands": [list(command) for command in commands],
            "environment": {**base, **(environment or {})},
            "output_bytes": limits.output_bytes,
        }
        return supervise(
            Afresh(command=[*self._wrapper(rights, home), *_guard_command()]) if self._afresh else _fork_server(),
            config=marshal.dumps(config),
            stdin=stdin,
            home=home,
            environment=base,
            wall_s=limits.wall_s,
            # The guard of a tool frames what each command printed, and cuts it itself.
            output_bytes=limits.output_bytes if not build else (len(commands) + 1) * (2 * limits.output_bytes + 4096),
        )

    def _wrapper(self, rights: Sequence[tuple[Path, int]], home: Path) -> list[str]:
        """Return bubblewrap's part of the command, or nothing where it does not work."""
        if self._protections.bubblewrap is None:
            return []
        writable = [path for path, access in rights if access == policy.WRITE]
        readable = [path for path, access in rights if access != policy.WRITE and path not in _DEVICES]
        readable += [_GUARD, *script_paths()]
        prefix = bubblewrap_prefix(self._protections.bubblewrap, readable=readable, writable=writable)
        return [*prefix, "--chdir", str(home), "--"]


def _guard_command() -> list[str]:
    # -I would do, but it also ignores PYTHONHASHSEED; the environment is ours alone, so -E protects from nothing.
    return [interpreter(), "-P", "-s", "-S", "-B", str(_GUARD)]


@functools.cache
def _fork_server() -> ForkServer:
    return ForkServer(_guard_command(), _ENVIRONMENT)


def _resource_limits(limits: Limits, *, build: bool) -> list[tuple[int, int, int]]:
    """Return (resource, soft, hard), none above what this process itself may have."""
    wanted = [
        (resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 1),
        (resource.RLIMIT_AS, limits.memory_mb << 20, limits.memory_mb << 20),
        (resource.RLIMIT_FSIZE, *([limits.file_mb << 20 if build else 0] * 2)),
        (resource.RLIMIT_NOFILE, *([256 if build else 32] * 2)),
        # Counts every process of the user, so a tool gets room; a script needs none, and seccomp holds root as well.
        (resource.RLIMIT_NPROC, *([_TOOL_PROCESSES if build else 0] * 2)),
        (resource.RLIMIT_CORE, 0, 0),
    ]
    clamped = []
    for which, soft, hard in wanted:
        ceiling = resource.getrlimit(which)[1]
        most = hard if ceiling == resource.RLIM_INFINITY else min(hard, ceiling)
        clamped.append((which, min(soft, most), most))
    return clamped


def _reports(ended: Ended, limits: Limits) -> list[Completed]:
    """Take the guard's report apart; a command that a limit cut short has no report and ends the list."""
    completed = []
    rest = ended.stdout
    while b"\n" in rest:
        header, rest = rest.split(b"\n", 1)
        status, seconds, printed, stdout_bytes, stderr_bytes = header.split()
        end = int(stdout_bytes) + int(stderr_bytes)
        over = "output" if int(printed) > limits.output_bytes else None
        completed.append(
            Completed(
                returncode=int(status),
                stdout=rest[: int(stdout_bytes)],
                stderr=rest[int(stdout_bytes) : end].decode(errors="replace"),
                stopped=limit_that_killed(int(status)) or over,
                seconds=float(seconds),
            )
        )
        rest = rest[end:]
    if ended.returncode != 0:
        spent = ended.seconds - sum(command.seconds for command in completed)
        stderr = ended.stderr.decode(errors="replace")
        last = Completed(returncode=ended.returncode, stdout=b"", stderr=stderr, stopped=ended.stopped, seconds=spent)
        completed.append(last)
    return completed
