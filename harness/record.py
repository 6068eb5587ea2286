"""
Record: one evaluation, whatever its outcome; the only thing reports read.

A record says what was asked (case, candidate), what came of it (outcome, reason, samples, clock)
and what it depended on (fingerprints, machine facts).
"""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

SCHEMA = 1


class Outcome(StrEnum):
    """What became of a candidate."""

    OK = "ok"
    SCREENED = "screened"
    """Refused before it was built: forbidden directive, illegal constraint, script that printed garbage."""
    COMPILE = "compile"
    CRASH = "crash"
    """Died: illegal instruction, wild access, forbidden system call; the reason says which and where."""
    BOUNDS = "bounds"
    """Touched memory outside an operand; the reason names the operand and the offset."""
    ABI = "abi"
    """Came back with a callee-saved register, MXCSR or the direction flag changed."""
    TIMEOUT = "timeout"
    WRONG = "wrong"
    SUSPICIOUS = "suspicious"
    """Faster than the roofline floor, or its own times contradict the clock outside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An outcome and a reason a person can act on."""

    outcome: Outcome
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Return whether the candidate may be used."""
        return self.outcome is Outcome.OK

    def __str__(self) -> str:
        return f"{self.outcome.name}: {self.reason}" if self.reason else self.outcome.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    One evaluation.

    ``kind`` is ``evaluation`` (one candidate during tuning), ``winner`` (the re-measured, re-verified result of a
    tuning), ``measurement`` (the interleaved comparison that reports show), ``confirmation`` (a measurement repeated
    because a gate doubted it) or ``baseline`` (a peer's verification).
    """

    kind: str
    case: str
    """The id: ``host-sgemm-512x512x512``."""
    run: str
    """The id of the run that made it, as in ``20261121-214500-a1b2``."""
    target: str
    spec: dict[str, Any]
    author: str
    verdict: Verdict
    identity: str = ""
    """Look-up key of the tuned operator: digest of ISA features, caches, cores, threads, spec, author."""
    candidate: dict[str, Any] = field(default_factory=dict)
    samples_s: tuple[float, ...] = ()
    """Raw samples in seconds, as the clock gave them."""
    clock: str = "cpu"
    seconds: float = 0.0
    """Wall time that the evaluation cost, building and checking included."""
    sequence: int = 0
    """Number of the evaluation within its tuning."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Fingerprints, toolchain, machine facts, and for a measurement the peers, ratios and peak."""
    created: str = ""
    """UTC, ISO 8601."""

    @property
    def best_s(self) -> float:
        """Return the smallest sample, or infinity for a failure."""
        return min(self.samples_s) if self.verdict.ok and self.samples_s else float("inf")

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON (one line of an export)."""
        data = asdict(self)
        data["schema"] = SCHEMA
        data["verdict"] = {"outcome": self.verdict.outcome.value, "reason": self.verdict.reason}
        data["samples_s"] = list(self.samples_s)
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Record":
        """Rebuild a record from `to_json`; unknown fields of later schemas are ignored."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        known["verdict"] = Verdict(outcome=Outcome(data["verdict"]["outcome"]), reason=data["verdict"]["reason"])
        known["samples_s"] = tuple(data["samples_s"])
        return cls(**known)
