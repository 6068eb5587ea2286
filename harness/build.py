"""
Build: candidates into objects that a runner can load.

A sketch is compiled once for each setting of its sketch tunables, a kernel once for each text; candidates that differ
only in runtime tunables share everything. Builds go in batches: one script start, one assembler start.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import order
from harness.errors import BadRequest, IllegalMove
from harness.isa import load_isa
from harness.kernel import Candidate, KernelText, Sketch, TunableKind
from harness.machine import Machine
from harness.record import Outcome, Verdict
from harness.runners.native import NativeObject
from harness.sandbox import Sandbox
from harness.script import KernelScript, KernelSet
from harness.target import Target
from harness.toolchain import Toolchain, kernel_key


class Builder:
    """Builds candidates of one sketch and script for one target."""

    def __init__(
        self, target: Target, sketch: Sketch, script: str, toolchain: Toolchain, sandbox: Sandbox, *, trusted: bool
    ) -> None:
        self._target, self._sketch, self._toolchain, self._trusted = target, sketch, toolchain, trusted
        self._script = KernelScript(script, toolchain.store, sandbox, trusted=trusted)
        self._machine = Machine.of(target)
        self._c_machine = self._machine if sketch.roles else Machine.of_plain_c(target)
        self._paths: dict[str, Path | Verdict] = {}
        self._mains: dict[str, Path | Verdict] = {}
        self._objects: dict[Candidate, NativeObject | Verdict] = {}
        self._parameters: set[str] = set()

    def build(self, candidates: Sequence[Candidate]) -> list[NativeObject | Verdict]:
        """Return for each candidate its object, or the verdict that there is none."""
        fresh = [candidate for candidate in dict.fromkeys(candidates) if candidate not in self._objects]
        if fresh:
            texts = [self._texts(candidate, kernels) for candidate, kernels in self._printed(fresh)]
            self._assemble([text for found in texts if not isinstance(found, Verdict) for text in found.values()])
            self._parameters.update(json.dumps(self.parameters(candidate)) for candidate in fresh)
            for candidate, found in zip(fresh, texts, strict=True):
                self._objects[candidate] = found if isinstance(found, Verdict) else self._object(candidate, found)
        return [self._objects[candidate] for candidate in candidates]

    def has_kernels(self, candidate: Candidate) -> bool:
        """Return whether a candidate needs no new kernel to be built."""
        if candidate.moves:
            return candidate in self._objects
        return json.dumps(self.parameters(candidate)) in self._parameters

    def texts(self, candidate: Candidate) -> KernelSet | Verdict:
        """Return a candidate's kernels by role, with its moves applied."""
        ((_, kernels),) = self._printed([candidate])
        return self._texts(candidate, kernels)

    def parameters(self, candidate: Candidate) -> dict[str, Any]:
        """Return the parameter set the kernel script is given for a candidate."""
        values = dict(candidate.values)
        chosen = {tunable.name: values[tunable.name] for tunable in self._sketch.of_kind(TunableKind.KERNEL)}
        fixed = {"vector_bits": self._target.vector_bits.value, "features": list(self._target.features)}
        return {**fixed, **self._sketch.parameters, **chosen, "roles": list(self._sketch.roles_of(values))}

    def _printed(self, candidates: Sequence[Candidate]) -> list[tuple[Candidate, KernelSet | Verdict]]:
        sets = self._script.kernels([self.parameters(candidate) for candidate in candidates])
        return list(zip(candidates, sets, strict=True))

    def _texts(self, candidate: Candidate, kernels: KernelSet | Verdict) -> KernelSet | Verdict:
        if isinstance(kernels, Verdict) or not candidate.moves:
            return kernels
        try:
            return {role: self._moved(kernel, candidate) for role, kernel in kernels.items()}
        except (IllegalMove, BadRequest) as refused:
            return Verdict(outcome=Outcome.SCREENED, reason=str(refused))

    def _moved(self, kernel: KernelText, candidate: Candidate) -> KernelText:
        """Moves speak of the main compute kernel; the other roles stay as they were printed."""
        if kernel.role != "compute":
            return kernel
        text = order.apply(kernel.text, candidate.moves, load_isa(self._target.isa))
        return KernelText(
            name=kernel.name, role=kernel.role, signature=kernel.signature, text=text, needs=kernel.needs
        )

    def _assemble(self, kernels: Sequence[KernelText]) -> None:
        missing = [kernel for kernel in kernels if self._key(kernel) not in self._paths]
        self._paths.update(self._toolchain.assemble(missing, self._machine, trusted=self._trusted))

    def _key(self, kernel: KernelText) -> str:
        return kernel_key(kernel, self._machine, self._toolchain.name)

    def _object(self, candidate: Candidate, kernels: KernelSet) -> NativeObject | Verdict:
        main = self._main(candidate)
        if isinstance(main, Verdict):
            return main
        libraries: list[Path] = []
        table: list[tuple[int, str]] = []
        for role in self._sketch.roles:
            if role not in kernels:
                table.append((0, "-"))
                continue
            path = self._paths[self._key(kernels[role])]
            if isinstance(path, Verdict):
                return Verdict(outcome=path.outcome, reason=f"{kernels[role].name}: {path.reason}")
            if path not in libraries:
                libraries.append(path)
            table.append((libraries.index(path), kernels[role].name))
        values = dict(candidate.values)
        return NativeObject(
            name=candidate.key,
            libraries=(*libraries, main),
            kernels=tuple(table),
            values=tuple(values[tunable.name] for tunable in self._sketch.tunables),
            trusted=False,
        )

    def _main(self, candidate: Candidate) -> Path | Verdict:
        values = dict(candidate.values)
        settings = {tunable.name: values[tunable.name] for tunable in self._sketch.of_kind(TunableKind.SKETCH)}
        names = names_header(self._sketch.dims, self._sketch, settings)
        if names not in self._mains:
            compiled = self._toolchain.compile_c(self._sketch.source, names, self._c_machine, trusted=self._trusted)
            self._mains[names] = compiled
        return self._mains[names]


def names_header(dims: Sequence[str], sketch: Sketch | None = None, settings: Mapping[str, int] | None = None) -> str:
    """Return opw_names.h: the positions of dims, tunables and kernel roles, the values of parameters and sketch tunables."""
    lines = [f"#define OPW_DIM_{name.upper()} {index}" for index, name in enumerate(dims)]
    if sketch:
        lines += [f"#define OPW_{tunable.name.upper()} {index}" for index, tunable in enumerate(sketch.tunables)]
        lines += [f"#define OPW_KERNEL_{role.upper()} {index}" for index, role in enumerate(sketch.roles)]
        numbers = {name: value for name, value in sketch.parameters.items() if isinstance(value, int)}
        lines += [f"#define OPW_FIXED_{name.upper()} {value}" for name, value in numbers.items()]
    lines += [f"#define OPW_SET_{name.upper()} {value}" for name, value in (settings or {}).items()]
    return "\n".join(lines) + "\n"
