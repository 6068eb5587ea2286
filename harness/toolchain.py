"""
The toolchain: the `ziglang` wheel's clang, assembler and linker; nothing from the system.

Generated text goes through the sandbox: screened, then assembled by `clang -cc1as` and linked by `ld.lld`, both run
directly (11 and 12 ms, against 70 ms for the compiler driver with its cache).
Only the worker and the emulators, our own C, are built by `zig cc`, which brings its own libc headers.
"""

import importlib.util
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from shutil import disk_usage

from harness.artefacts import disk_errors, disk_full
from harness.errors import BadRequest, StoreError, ToolchainError
from harness.kernel import KernelText, digest
from harness.machine import Machine
from harness.record import Outcome, Verdict
from harness.sandbox import Limits, Sandbox
from harness.screen import screen_assembly
from harness.screen_c import expansion, hides, screen_c
from harness.store import Store

NATIVE = Path(__file__).parent / "native"
EMULATORS = Path(__file__).parent / "emulators"
HEADER = "opw.h"
FREESTANDING = "freestanding.c"
LIMITS = Limits(cpu_s=60, wall_s=120.0, memory_mb=8192, output_bytes=1 << 20, file_mb=64)
WORKER_SOURCES = ("worker.c", "words.c", "child.c", "pool.c", "guard.c")
"""Beside these the one that is named after the machine's instruction set."""
KERNELS_A_FILE = 256


class Toolchain:
    """Compiles, assembles and links for one machine; results are artefacts of the store, keyed by all their inputs."""

    def __init__(self, store: Store, sandbox: Sandbox) -> None:
        self.store, self._sandbox = store, sandbox
        spec = importlib.util.find_spec("ziglang")
        if spec is None or not spec.submodule_search_locations:
            raise ToolchainError("the ziglang wheel is missing; install the project's requirements: pip install -e .")
        self._root = Path(spec.submodule_search_locations[0])
        self._zig = self._root / "zig"
        self.name = f"ziglang {version('ziglang')}"

    def worker(self) -> Path:
        """Return the guarded worker, built at first use (about 10 s, the C library's stubs included)."""
        own = f"{platform.machine()}.c"
        if not (NATIVE / own).exists():
            raise ToolchainError(f"there is no guarded worker for {platform.machine()}: add harness/native/{own}")
        return self._program("the guarded worker", [NATIVE / name for name in (*WORKER_SOURCES, own)], [NATIVE])

    def emulator(self, isa: str) -> Path:
        """Return the emulator of an instruction set, built at first use for this machine's own processor (about 20 s)."""
        own = sorted((EMULATORS / isa).glob("*.c"))
        if not own:
            raise ToolchainError(f"there is no emulator of {isa}: add harness/emulators/{isa}")
        sources = [NATIVE / "worker.c", NATIVE / "words.c", *sorted(EMULATORS.glob("*.c")), *own]
        return self._program(f"the {isa} emulator", sources, [NATIVE, EMULATORS, EMULATORS / isa])

    def _program(self, name: str, sources: Sequence[Path], includes: Sequence[Path]) -> Path:
        """Return a program of our own C, with the C library, for the processor it is built on."""
        texts = [path.read_text() for place in includes for path in sorted(place.glob("*.[ch]"))]
        key = digest("program", name, self.name, _processor(), texts)
        if (built := self.store.artefact(key)) is not None:
            return _executable(built)
        cache = self.store.path / "zig"
        with disk_errors(cache):
            cache.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=cache).close()  # zig's own words for a read-only place name no remedy
        with tempfile.TemporaryDirectory(prefix="opwright-program-") as place:
            output = Path(place) / "program"
            caches = {f"ZIG_{kind}_CACHE_DIR": str(cache) for kind in ("GLOBAL", "LOCAL")}
            command = [str(self._zig), "cc", "-O2", "-flto", "-std=gnu11", "-Wno-pass-failed", "-o", str(output)]
            command += [*(f"-I{path}" for path in includes), *map(str, sources), "-ldl", "-lm"]
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **caches}, check=False)
            if done.returncode:
                _require_room(done.stderr, self.store.path)
                raise ToolchainError(f"{name} does not build with {self.name}: {_first_lines(done.stderr)}")
            return _executable(self.store.put_artefact(output.read_bytes(), keys=[key]))

    def compile_c(
        self, source: str, names: str, machine: Machine, *, trusted: bool, may_import: bool = False
    ) -> Path | Verdict:
        """
        Compile one freestanding C file into a shared object.

        ``names`` is the text of opw_names.h; ``may_import`` leaves undefined symbols to the loader (baselines only).
        """
        if not trusted and (refused := screen_c(source, expanded_too=True)) is not None:
            return refused
        key = digest("c", self.name, source, names, machine.to_json(), may_import, *self._contract_texts())
        if (built := self.store.artefact(key)) is not None:
            return built
        with tempfile.TemporaryDirectory(prefix="opwright-c-") as place:
            home = Path(place).resolve()
            (home / "source.c").write_text(source)
            (home / "opw_names.h").write_text(names)
            (home / HEADER).write_text((NATIVE / HEADER).read_text())
            (home / FREESTANDING).write_text((NATIVE / FREESTANDING).read_text())
            compile_it = [self._zig, "clang", f"--target={machine.triple}", *machine.c_flags, "-O3", "-std=c11"]
            compile_it += ["-ffreestanding", "-fno-builtin", "-fPIC", "-fvisibility=default", "-nostdinc", "-isystem"]
            compile_it += [self._root / "lib" / "include", "-I", home, "-c"]
            if not trusted and hides(source) and (refused := self._screen_expansion(compile_it, home)) is not None:
                return refused
            steps = [[*compile_it, home / "source.c", "-o", home / "source.o"]]
            objects = [home / "source.o"]
            if not may_import:  # else the library that is imported from has them
                steps.append([*compile_it, home / FREESTANDING, "-o", home / "freestanding.o"])
                objects.append(home / "freestanding.o")
            refused = self._run([*steps, self._link(objects, home / "out.so", may_import)], home, trusted)
            return refused or self.store.put_artefact((home / "out.so").read_bytes(), ".so", keys=[key])

    def _screen_expansion(self, compile_it: Sequence[str | Path], home: Path) -> Verdict | None:
        """Screen what the preprocessor makes of source.c, in which macros may have pasted forbidden words together, or hidden variables."""
        source, output = home / "source.c", home / "source.i"
        refused = self._run([[*compile_it, "-E", source, "-o", output]], home, trusted=False)
        return refused or screen_c(expansion(output.read_text(), str(source)))

    def static_program(self, source: str, headers: Mapping[str, str], assembly: str, machine: Machine) -> bytes:
        """Return an executable of our own C, which has its own ``_start``, and assembly; no C library is in it."""
        with tempfile.TemporaryDirectory(prefix="opwright-static-") as place:
            home = Path(place).resolve()
            for name, text in {"main.c": source, "part.s": _translated(assembly, machine), **headers}.items():
                (home / name).write_text(text)
            compile_it = [self._zig, "clang", f"--target={machine.triple}", *machine.c_flags, "-O2", "-std=gnu11", "-ffreestanding"]
            compile_it += ["-fno-builtin", "-fno-pic", "-fno-stack-protector", "-nostdinc", "-isystem", self._root / "lib" / "include"]
            assemble = [self._zig, "clang", "-cc1as", "-triple", machine.triple, "-filetype", "obj", *machine.assembler_flags]
            objects = [home / "main.o", home / "part.o"]
            steps = [[*compile_it, "-I", home, "-c", home / "main.c", "-o", objects[0]]]
            steps += [[*assemble, home / "part.s", "-o", objects[1]]]
            steps += [[self._zig, "ld.lld", "-static", "-z", "noexecstack", *objects, "-o", home / "program"]]
            refused = self._run(steps, home, trusted=True)
            if refused is not None:
                raise ToolchainError(f"a static program does not build with {self.name}: {refused.reason}")
            return (home / "program").read_bytes()

    @staticmethod
    def _contract_texts() -> list[str]:
        return [(NATIVE / name).read_text() for name in (HEADER, FREESTANDING)]

    def link_archives(self, archives: Sequence[Path]) -> Path:
        """Return one shared object of whole static libraries, a peer's; what they do not define is left to the loader."""
        key = digest("archives", self.name, [digest(path.read_bytes().hex()) for path in archives])
        if (built := self.store.artefact(key)) is not None:
            return built
        with tempfile.TemporaryDirectory(prefix="opwright-archives-") as place:
            output = Path(place) / "out.so"
            command = self._link(["--whole-archive", *archives, "--no-whole-archive"], output, may_import=True)
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
            if done.returncode:
                _require_room(done.stderr, output.parent)
                raise ToolchainError(f"{archives[0].name} cannot be linked: {_first_lines(done.stderr)}")
            return self.store.put_artefact(output.read_bytes(), ".so", keys=[key])

    def assemble(self, kernels: Sequence[KernelText], machine: Machine, *, trusted: bool) -> dict[str, Path | Verdict]:
        """Assemble kernels, many a file; map the digest of each text to its shared object or to what is wrong with it."""
        results: dict[str, Path | Verdict] = {}
        missing: dict[str, KernelText] = {}
        for kernel in kernels:
            key = kernel_key(kernel, machine, self.name)
            if key in results or key in missing:
                continue
            if (built := self.store.artefact(key)) is not None:
                results[key] = built
            elif (refused := screen_assembly(kernel.text, comment=machine.comment)) is not None:
                results[key] = refused
            else:
                missing[key] = kernel
        files = list(_distinct_names(missing))
        return {**results, **(self._assemble_files(files, machine, trusted) if files else {})}

    def _assemble_files(
        self, files: Sequence[Mapping[str, KernelText]], machine: Machine, trusted: bool
    ) -> dict[str, Path | Verdict]:
        """Assemble in one guarded start; where that fails, one kernel at a time, so that the fault has a name."""
        with tempfile.TemporaryDirectory(prefix="opwright-asm-") as place:
            home = Path(place).resolve()
            outputs = [home / f"kernels{index}.so" for index in range(len(files))]
            try:
                commands = [
                    command
                    for kernels, output in zip(files, outputs, strict=True)
                    for command in self._assemble_file(list(kernels.values()), machine, output)
                ]
                refused = self._run(commands, home, trusted)
            except BadRequest as unknown:
                refused = Verdict(outcome=Outcome.COMPILE, reason=str(unknown))
            if refused is None:
                built: dict[str, Path | Verdict] = {}
                for kernels, output in zip(files, outputs, strict=True):
                    data = output.read_bytes()
                    built.update(dict.fromkeys(kernels, self.store.put_artefact(data, ".so", keys=kernels, lasting=False)))
                return built
        everything = [{key: kernel} for kernels in files for key, kernel in kernels.items()]
        if len(everything) == 1:
            return dict.fromkeys(everything[0], refused)
        results: dict[str, Path | Verdict] = {}
        for alone in everything:
            results.update(self._assemble_files([alone], machine, trusted))
        return results

    def _assemble_file(
        self, kernels: Sequence[KernelText], machine: Machine, output: Path
    ) -> list[list[str | Path]]:
        """Write one source file and return the commands that make a shared object of it."""
        source, made = output.with_suffix(".s"), output.with_suffix(".o")
        source.write_text("\n".join(_translated(kernel.text, machine) for kernel in kernels))
        assemble = [self._zig, "clang", "-cc1as", "-triple", machine.triple, "-filetype", "obj"]
        return [[*assemble, *machine.assembler_flags, source, "-o", made], self._link([made], output)]

    def _link(self, objects: Sequence[str | Path], output: Path, may_import: bool = False) -> list[str | Path]:
        undefined = [] if may_import else ["-z", "defs", "-Bsymbolic"]
        return [self._zig, "ld.lld", "-shared", "-z", "noexecstack", *undefined, *objects, "-o", output]

    def _run(self, commands: Sequence[Sequence[str | Path]], home: Path, trusted: bool) -> Verdict | None:
        """Run commands in the sandbox; the verdict of the first that fails, or None."""
        reports = self._sandbox.run_tool(
            [[str(word) for word in command] for command in commands],
            workdir=home,
            read_only=[self._root],
            trusted=trusted,
            limits=LIMITS,
        )
        for report in reports:
            if not report.ok:
                _require_room(report.stderr, home.parent)
                said = _first_lines(report.stderr.replace(f"{home}/", "")) or f"exit status {report.returncode}"
                reason = f"stopped by the {report.stopped} limit" if report.stopped else said
                return Verdict(outcome=Outcome.COMPILE, reason=reason)
        return None


@lru_cache(maxsize=4096)
def kernel_key(kernel: KernelText, machine: Machine, toolchain: str) -> str:
    """Return the build key of one kernel; kept, because every candidate that shares a kernel asks for it again."""
    return digest("kernel", toolchain, machine.to_json(), kernel.name, kernel.text)


def _translated(text: str, machine: Machine) -> str:
    """Return text that the assembler takes; raise `BadRequest` that names a line of the dialect that is wrong."""
    return import_module(f"harness.isa.{machine.dialect}").translate(text) if machine.dialect else text


def _processor() -> str:
    """Return what our own programs are compiled for: this machine's feature flags."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line for line in lines if line.lower().startswith(("flags", "features", "isa"))), "")


def _distinct_names(kernels: Mapping[str, KernelText]) -> Iterator[dict[str, KernelText]]:
    """Split into files in which every symbol occurs once (reordered copies of a kernel share its name)."""
    files: list[dict[str, KernelText]] = []
    names: list[set[str]] = []
    for key, kernel in kernels.items():
        for file, used in zip(files, names, strict=True):
            if kernel.name not in used and len(file) < KERNELS_A_FILE:
                break
        else:
            file, used = {}, set()
            files.append(file)
            names.append(used)
        file[key] = kernel
        used.add(kernel.name)
    yield from files


def _executable(path: Path) -> Path:
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    return path


def _require_room(said: str, place: Path) -> None:
    """
    Raise `StoreError` where a tool failed because the disk is full; the candidate is not to blame.

    Diagnostics quote the text that was compiled, so what is ``said`` must also be so.
    """
    if ("NoSpaceLeft" in said or "No space left on device" in said) and disk_usage(place).free < LIMITS.file_mb << 20:
        raise StoreError(disk_full(place))


def _first_lines(text: str) -> str:
    errors = [line.strip() for line in text.splitlines() if "error" in line] or text.strip().splitlines()
    return "; ".join(errors[:3])[:400]
