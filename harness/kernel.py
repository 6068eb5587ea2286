"""
The objects of the contract (generators/CONTRACT.md): sketch, kernel script, candidate, and the protocols around them.

Values here are frozen; whatever identifies them is derived, never stored beside them.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from harness.formula import conjunction, evaluate
from harness.operator import OperatorSpec
from harness.target import Target


def digest(*parts: object) -> str:
    """Return a content address: SHA-256 over the canonical JSON of ``parts``, 32 hexadecimal digits."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class TunableKind(StrEnum):
    """What has to be rebuilt when a tunable changes."""

    RUNTIME = "runtime"
    KERNEL = "kernel"
    SKETCH = "sketch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunable:
    """One axis of the search: its legal values for this target and spec, in order."""

    name: str
    kind: TunableKind
    values: tuple[int, ...]
    start: int
    ordered: bool = True
    """Whether neighbours in ``values`` behave alike (KC) or not (loop order)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """C text, its tunables resolved for one target and spec, and the kernel roles it calls."""

    name: str
    operator: str
    source: str
    tunables: tuple[Tunable, ...]
    roles: tuple[str, ...]
    """Kernel roles in the order of ``opw_tunables.kernel``."""
    needed: Mapping[str, str] = field(default_factory=dict)
    """By role, the formula that says whether a candidate calls it; a role without one is always called."""
    dims: tuple[str, ...] = ()
    """Names of the spec's integers in the order of ``opw_args.dim``."""
    constraints: tuple[str, ...] = ()
    """Formulas over tunables, hardware factors and dims; all must hold."""
    names: Mapping[str, float] = field(default_factory=dict)
    """Hardware factors and dims that the constraints may mention."""
    parameters: Mapping[str, int | str] = field(default_factory=dict)
    """What is fixed for the case, for kernel script and C text: sizes of a specialised kernel, ``dtype``."""

    def roles_of(self, values: Mapping[str, int]) -> tuple[str, ...]:
        """Return the roles that a candidate with these values calls."""
        names = {**self.names, **values}
        return tuple(role for role in self.roles if evaluate(self.needed.get(role, "1"), names))

    def legality(self) -> Callable[[Mapping[str, int]], bool]:
        """Return the constraints as one predicate over the tunables."""
        return conjunction(self.constraints, self.names)

    def legal(self, values: Mapping[str, int]) -> bool:
        """Return whether a point satisfies every constraint."""
        return self.legality()(values)

    def of_kind(self, kind: TunableKind) -> tuple[Tunable, ...]:
        """Return the tunables of one kind, in declaration order."""
        return tuple(t for t in self.tunables if t.kind is kind)

    @property
    def start(self) -> dict[str, int]:
        """Return the start value of every tunable."""
        return {t.name: t.start for t in self.tunables}


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelText:
    """One kernel as a script printed it: assembly text for one role."""

    name: str
    role: str
    signature: str
    text: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Move:
    """Take the instruction at ``source`` of a marked block to position ``to`` of the same block."""

    block: str
    source: int
    to: int

    def __str__(self) -> str:
        return f"{self.block}:{self.source}>{self.to}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One point of the search: a sketch, a value for every tunable, and instruction-order moves."""

    sketch: str
    values: tuple[tuple[str, int], ...]
    """Sorted pairs, so that equal candidates compare equal."""
    moves: tuple[Move, ...] = ()

    @classmethod
    def of(cls, sketch: str, values: Mapping[str, int], moves: Sequence[Move] = ()) -> "Candidate":
        """Build a candidate from a mapping."""
        return cls(sketch=sketch, values=tuple(sorted(values.items())), moves=tuple(moves))

    def __getitem__(self, name: str) -> int:
        return dict(self.values)[name]

    @property
    def key(self) -> str:
        """Return the candidate's content address."""
        return digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the candidate as plain JSON; `from_json` inverts it."""
        return {
            "sketch": self.sketch,
            "values": dict(self.values),
            "moves": [[m.block, m.source, m.to] for m in self.moves],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Candidate":
        """Rebuild a candidate from `to_json`."""
        return cls.of(data["sketch"], data["values"], [Move(*m) for m in data["moves"]])


class Author(Protocol):
    """Whoever answers the contract's questions: the expert, an LLM, a recording, a person."""

    name: str
    trusted: bool
    """Whether its text is checked in and reviewed; an LLM's never is."""

    def fingerprint(self, target: Target, spec: OperatorSpec) -> str:
        """Return a digest of everything the answers for a case depend on: sketches, scripts, prompts, model."""

    def sketches(self, target: Target, spec: OperatorSpec) -> Sequence[Sketch]:
        """Answer "which sketches serve this spec on this target?", best first."""

    def kernel_script(self, target: Target, sketch: Sketch) -> str:
        """Answer with a standalone Python program: parameter sets on stdin, kernel sets on stdout."""

    def start_points(self, target: Target, spec: OperatorSpec, sketch: Sketch) -> Sequence[Mapping[str, int]]:
        """Answer "where should the search start?", best guess first."""

    def accounts(self, target: Target, spec: OperatorSpec) -> Mapping[str, Any]:
        """Return what the answers cost: calls, tokens, price, seconds; nothing for an author who is free."""
