"""
Build for a GPU: candidates into objects that the CUDA runner can load.

A candidate is a launch plan with its tunables' values and the kernel texts of its roles. Kernels are compiled when a
case needs them: those of the tuned spec ahead and many at once, those that only a fringe needs when it is verified.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.cuda.compiler import Compiled, CudaCompiler
from harness.cuda.cubin import parameter_bytes
from harness.cuda.plan import Launch, LaunchPlan, Resolved, case_names
from harness.cuda.screen import screen_cuda
from harness.errors import BadRequest
from harness.kernel import Candidate, Sketch, TunableKind
from harness.operator import OperatorSpec
from harness.record import Outcome, Verdict
from harness.sandbox import Sandbox
from harness.script import KernelScript, KernelSet
from harness.store import Store
from harness.target import Target

ARGUMENT_BYTES = {"operand": 8, "workspace": 8, "map": 128, "int": 4, "long": 8, "float": 4}
IN_WORDS = {8: "a pointer or a 64-bit integer", 128: "a tensor map by value", 4: "an int or a float"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaObject:
    """Something the CUDA runner can open: a plan with texts and values, or a peer by its module."""

    name: str
    plan: LaunchPlan | None = None
    values: Mapping[str, int] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)
    printed: Callable[[OperatorSpec], KernelSet | Verdict] | None = None
    """The script's kernels for a spec: a size may be a constant of the text."""
    compile: Callable[[Sequence[tuple[str, str]]], list[Compiled | Verdict]] | None = None
    peer: str = ""
    """The module (in harness/baselines) whose `DevicePeer` runs in the device process."""
    chosen: int = 0
    """Which of its ways a peer takes before they were timed."""

    @property
    def early(self) -> bool:
        """Return whether a launch may begin while the one before it ends."""
        wanted = self.plan is not None and self.values.get("early", 1)
        return bool(wanted) and any(launch.early != "0" for launch in self.plan.launches)

    def apart(self) -> "CudaObject":
        """Return the same with every launch waiting until the one before it is over."""
        return replace(self, plan=replace(self.plan, launches=tuple(replace(one, early="0") for one in self.plan.launches)))

    def resolve(self, spec: OperatorSpec) -> Resolved | Verdict:
        """Return the plan in numbers for a spec, or why there is none."""
        try:
            resolved = self.plan.resolve({**self.factors, **case_names(spec), **self.values})
        except BadRequest as wrong:
            return Verdict(outcome=Outcome.SCREENED, reason=str(wrong))
        refusal = resolved.refusal(self.factors) or resolved.stranger(spec)
        return Verdict(outcome=Outcome.SCREENED, reason=refusal) if refusal else resolved

    def compiled(self, spec: OperatorSpec, roles: Sequence[str]) -> dict[str, Compiled] | Verdict:
        """Return the compiled kernels of some roles for a spec, or the first verdict against one."""
        kernels = self.printed(spec)
        if isinstance(kernels, Verdict):
            return kernels
        hasty = {launch.kernel for launch in self.plan.launches if launch.early != "0"} & set(roles)
        if careless := sorted(role for role in hasty if "griddepcontrol.wait" not in kernels[role].text):
            return Verdict(outcome=Outcome.SCREENED, reason=f"{careless[0]} is launched early and never waits (griddepcontrol.wait)")
        texts = [(kernels[role].name, kernels[role].text) for role in roles]
        done = dict(zip(roles, self.compile(texts), strict=True))
        for role, found in done.items():
            if isinstance(found, Verdict):
                return found
            own = (launch for launch in self.plan.launches if launch.kernel == role)
            if refusal := register_refusal(found, self.factors) or next(filter(None, (argument_refusal(one, found) for one in own)), ""):
                return Verdict(outcome=Outcome.SCREENED, reason=f"{kernels[role].name}: {refusal}")
        return done


def register_refusal(found: Compiled, limits: Mapping[str, float]) -> str:
    """Say which limit of the target a compiled kernel exceeds, or nothing."""
    if found.registers > limits["registers_per_thread"]:
        return f"{found.registers} registers a thread, the limit is {limits['registers_per_thread']:.0f}"
    if found.spill_bytes > 256:
        return f"{found.spill_bytes} bytes of registers spill: the tile is too large for the register file"
    return ""


def argument_refusal(launch: Launch, found: Compiled) -> str:
    """Say where a launch's arguments are not those the kernel takes, or nothing; the driver would read beyond the list."""
    wanted = parameter_bytes(Path(found.path), found.name)
    if wanted is None:
        return f'the text defines no kernel of this name; write extern "C" __global__ void {found.name}(...)'
    if len(wanted) != len(launch.args):
        return f"the plan gives it {len(launch.args)} arguments, it takes {len(wanted)}"
    for number, (given, size) in enumerate(zip(launch.args, wanted, strict=True), 1):
        if ARGUMENT_BYTES[given.partition(":")[0]] != size:
            return f"argument {number} is {given}, the kernel takes {IN_WORDS.get(size, f'{size} bytes')} there"
    return ""


def occupancy(launch_block: int, shared_bytes: int, found: Compiled, limits: Mapping[str, float]) -> int:
    """Return how many blocks fit a multiprocessor by threads, registers and shared memory (1 KiB a block is the system's)."""
    warps = -(-launch_block // 32)
    registers = warps * -(-found.registers * 32 // 256) * 256
    by_shared = limits["shared_per_sm_bytes"] // max(shared_bytes + found.static_shared_bytes + 1024, 1)
    by_registers = limits["registers_per_sm"] // max(registers, 1)
    return int(min(limits["threads_per_sm"] // (warps * 32), by_registers, by_shared, 32))


class CudaBuilder:
    """Builds candidates of one sketch and script for one GPU; whatever a language model's script prints is screened."""

    def __init__(
        self,
        target: Target,
        sketch: Sketch,
        script: str,
        store: Store,
        sandbox: Sandbox,
        spec: OperatorSpec,
        *,
        trusted: bool,
    ) -> None:
        self._trusted = trusted
        self._target, self._sketch, self._spec = target, sketch, spec
        self._plan = LaunchPlan.from_mapping(json.loads(sketch.source))
        self._script = KernelScript(script, store, sandbox, trusted=trusted)
        self._compiler = CudaCompiler(store, target.toolchain["arch"])
        self._objects: dict[Candidate, CudaObject | Verdict] = {}
        self._parameters: set[str] = set()

    def build(self, candidates: Sequence[Candidate]) -> list[CudaObject | Verdict]:
        """Return for each candidate its object, or the verdict that there is none; compiles all of them at once."""
        fresh = [candidate for candidate in dict.fromkeys(candidates) if candidate not in self._objects]
        if fresh:
            self._script.kernels([self.parameters(candidate) for candidate in fresh])  # one start of the script for all
            made = {candidate: self._object(candidate) for candidate in fresh}
            self._compile(made)
            self._objects |= made
            self._parameters.update(str(self.parameters(candidate)) for candidate in fresh)
        return [self._objects[candidate] for candidate in candidates]

    def has_kernels(self, candidate: Candidate) -> bool:
        """Return whether a candidate needs no new kernel."""
        return str(self.parameters(candidate)) in self._parameters

    def texts(self, candidate: Candidate) -> KernelSet | Verdict:
        """Return a candidate's kernels by role."""
        return self._printed(self.parameters(candidate))

    def parameters(self, candidate: Candidate) -> dict[str, Any]:
        """Return the parameter set the kernel script is given for a candidate."""
        values = dict(candidate.values)
        chosen = {tunable.name: values[tunable.name] for tunable in self._sketch.of_kind(TunableKind.KERNEL)}
        return {**self._fixed(self._spec), **chosen, "roles": list(self._sketch.roles)}

    def _fixed(self, spec: OperatorSpec) -> dict[str, Any]:
        """Return the sketch's fixed parameters as they are for a spec."""
        known = {**spec.dims(), "dtype": spec.dtype.value}
        return {key: known.get(key, value) for key, value in self._sketch.parameters.items()}

    def _printed(self, parameters: Mapping[str, Any]) -> KernelSet | Verdict:
        """Return what the script prints for a parameter set; a model's may print other text for other sizes, so all is screened."""
        kernels = self._script.kernels([parameters])[0]
        if isinstance(kernels, Verdict) or self._trusted:
            return kernels
        screened = (screen_cuda(kernel.name, kernel.text) for kernel in kernels.values())
        return next((verdict for verdict in screened if not verdict.ok), kernels)

    def _object(self, candidate: Candidate) -> CudaObject | Verdict:
        kernels, parameters = self.texts(candidate), self.parameters(candidate)
        if isinstance(kernels, Verdict):
            return kernels
        return CudaObject(
            name=candidate.key,
            plan=self._plan,
            values=dict(candidate.values),
            factors=self._target.factors,
            printed=lambda spec: self._printed({**parameters, **self._fixed(spec)}),
            compile=self._compiler.compile,
        )

    def _compile(self, made: dict[Candidate, CudaObject | Verdict]) -> None:
        """Compile what the tuned spec needs; a candidate whose kernel is refused becomes that verdict."""
        wanted: dict[Candidate, Resolved] = {}
        for candidate, item in made.items():
            resolved = item if isinstance(item, Verdict) else item.resolve(self._spec)
            if isinstance(resolved, Verdict):
                made[candidate] = resolved
            else:
                wanted[candidate] = resolved
        texts = {
            (kernel.name, kernel.text): None
            for candidate, resolved in wanted.items()
            for kernel in (self.texts(candidate)[role] for role in resolved.roles)
        }
        self._compiler.compile(list(texts))
        for candidate, resolved in wanted.items():
            found = made[candidate].compiled(self._spec, resolved.roles)
            if isinstance(found, Verdict):
                made[candidate] = found


