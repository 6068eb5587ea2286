"""
Target: the hardware factors of one machine, each with the source it came from.

The four factors are the paper's (section 2.3): memory hierarchy, instructions, registers, streaming processors.
A TOML file in `harness/targets/` and the detected `host` give the same mapping and pass the same validation.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import harness.isa
from harness.errors import BadRequest
from harness.registry import discover

TARGETS = Path(__file__).parent / "targets"
DETECTED = ("host", "cuda")
"""Targets without a file: what this machine has, and whatever GPU is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """One level of the memory hierarchy as one core sees it."""

    level: int
    bytes: int
    ways: int
    line_bytes: int
    shared_by: int
    """Cores that share it."""
    source: str
    replacement: str = "lru"
    """``lru`` or ``fifo``; this and the next two are for the timing model."""
    latency_cycles: float = 0
    """What an access that hits here waits beyond a hit in the first level."""
    occupancy_cycles: float = 0
    """How long one line keeps the path upwards busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One value and where it comes from: a manual's section, a CPUID leaf, ``measured``, ``inferred``."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """
    The hardware factors of a target.

    ``isa`` names the instruction-set module (`harness/isa/`, `generators/emit/`); ``features`` are the bits that
    decide which instructions may be used; ``runner`` says how kernels run: ``native``, ``emulated``, ``cuda``, ``ssh``.
    """

    name: str
    isa: str
    runner: str
    features: tuple[str, ...]
    features_source: str
    caches: tuple[Cache, ...]
    vector_bits: Fact
    vector_registers: Fact
    scalar_registers: Fact
    fma_per_cycle: Fact
    cores: Fact
    clock_hz: Fact
    peak_gflops: Mapping[str, Fact] = field(default_factory=dict)
    """By dtype, one core: measured on a host, modelled elsewhere (its source says which)."""
    streaming_processors: Fact | None = None
    toolchain: Mapping[str, str] = field(default_factory=dict)
    emulator: Mapping[str, Fact] = field(default_factory=dict)
    """Parameters of the emulated instruction set, as ``vector_version``."""
    timing: Mapping[str, Fact] = field(default_factory=dict)
    """Parameters of the timing model, but for caches and clock (harness/emulators/timing.h)."""
    timing_classes: Mapping[str, Fact] = field(default_factory=dict)
    """By class of instructions: latency, ports and cycles."""
    gpu: Mapping[str, Fact] = field(default_factory=dict)
    """Of a GPU: limits of multiprocessor, block and thread, memory bandwidth; names that launch plans use."""
    model: str = ""
    """How far the timing model may be trusted, as ``uncalibrated: ...``; empty where time is measured."""
    core: str = ""
    """Which core it is where an instruction set has too few feature bits to tell, as ``MIDR_EL1 0x4100d0b0``."""
    compatible: str = ""
    """What Linux calls such a core where nothing else identifies it, as ``spacemit,x60``."""
    processors: tuple[int, ...] = ()
    """The processors of this machine that it runs on; all of them where that is empty."""

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> "Target":
        """Validate a mapping (TOML file or detection); raise `BadRequest` naming the entry that is wrong."""
        name = data.get("name", "(unnamed)")
        try:
            registers, instructions = data["registers"], data["instructions"]
            return cls(
                name=data["name"],
                isa=data["isa"],
                runner=data["runner"],
                features=tuple(sorted(instructions["features"]["value"])),
                features_source=instructions["features"]["source"],
                caches=tuple(_cache(entry) for entry in data["caches"]),
                vector_bits=_fact(registers, "vector_bits", int),
                vector_registers=_fact(registers, "vector_count", int),
                scalar_registers=_fact(registers, "scalar_count", int),
                fma_per_cycle=_fact(instructions, "fma_per_cycle", (int, float)),
                cores=_fact(data["cores"], "count", int),
                clock_hz=_fact(data["clock"], "hz", (int, float)),
                peak_gflops={key: _fact(data["peak_gflops"], key, (int, float)) for key in data.get("peak_gflops", {})},
                streaming_processors=_fact(data["sms"], "count", int) if "sms" in data else None,
                toolchain=dict(data.get("toolchain", {})),
                emulator=_facts(data.get("emulator", {})),
                timing=_facts({key: entry for key, entry in data.get("timing", {}).items() if key != "class"}),
                model=data.get("timing_model", ""),
                core=data.get("core", ""),
                compatible=_fact(data["cores"], "compatible", str).value if "compatible" in data["cores"] else "",
                processors=tuple(data.get("processors", ())),
                gpu={key: _fact(data["gpu"], key, (int, float)) for key in data.get("gpu", {})},
                timing_classes=_facts(data.get("timing", {}).get("class", {})),
            )
        except KeyError as missing:
            raise BadRequest(f"target {name}: the entry {missing} is missing; see harness/targets/README.md") from None

    def cache(self, level: int) -> Cache | None:
        """Return the data cache of a level, or None where the machine has no such level."""
        return next((cache for cache in self.caches if cache.level == level), None)

    def peak(self, dtype: str) -> float:
        """Return the peak of a dtype that the file gives, in GFLOP/s; raise `BadRequest` where it gives none."""
        if dtype not in self.peak_gflops:
            raise BadRequest(f"{self.name}: its file gives no peak for {dtype}; add {dtype} to [peak_gflops] in harness/targets/{self.name}.toml")
        return float(self.peak_gflops[dtype].value)

    @property
    def factors(self) -> dict[str, float]:
        """Return the hardware factors under the names that sketches' formulas use; bytes, bits, Hz, counts."""
        sizes = {level: (cache.bytes if (cache := self.cache(level)) else 0) for level in (1, 2, 3)}
        l1 = self.cache(1)
        return {
            "l1_bytes": sizes[1],
            "l2_bytes": sizes[2] or sizes[1],
            "l3_bytes": sizes[3] or sizes[2] or sizes[1],
            "l1_ways": l1.ways if l1 else 8,
            "line_bytes": l1.line_bytes if l1 else 64,
            "vector_bits": self.vector_bits.value,
            "vector_registers": self.vector_registers.value,
            "cores": self.cores.value,
            **{f"isa_{isa}": int(self.isa == isa) for isa in isa_names()},
            "sms": 0,
            "capability": 0,  # of no GPU at all: every sketch's `when` is asked on every target
            **{key: fact.value for key, fact in self.gpu.items()},
        }

    def identity(self) -> dict[str, Any]:
        """Return what a tuned operator is looked up by: feature bits, cache geometry, cores; nothing measured."""
        return {
            **({"core": self.core} if self.core else {}),
            "isa": self.isa,
            "features": list(self.features),
            "caches": [[c.level, c.bytes, c.ways, c.line_bytes] for c in self.caches],
            "cores": self.cores.value,
        }


def _fact(table: Mapping[str, Any], key: str, kind: type | tuple[type, ...]) -> Fact:
    entry = table[key]
    if not isinstance(entry, Mapping) or "value" not in entry or not entry.get("source"):
        raise BadRequest(f"hardware factor {key}: write it as {{ value = ..., source = ... }}")
    value = entry["value"]
    if not isinstance(value, kind) or isinstance(value, bool) or (kind is not str and value < 0):
        raise BadRequest(f"hardware factor {key}: {value!r} is not a number of 0 or more")
    return Fact(value=value, source=entry["source"])


def _facts(table: Mapping[str, Any]) -> dict[str, Fact]:
    """Read a table of facts of any kind; its reader checks the values."""
    for key, entry in table.items():
        if not isinstance(entry, Mapping) or "value" not in entry or not entry.get("source"):
            raise BadRequest(f"{key}: write it as {{ value = ..., source = ... }}")
    return {key: Fact(value=entry["value"], source=entry["source"]) for key, entry in table.items()}


def _cache(entry: Mapping[str, Any]) -> Cache:
    known = {name: entry[name] for name in ("level", "bytes", "ways", "line_bytes", "shared_by", "source")}
    known |= {name: entry[name] for name in ("replacement", "latency_cycles", "occupancy_cycles") if name in entry}
    if known["level"] not in (1, 2, 3) or known["bytes"] <= 0:
        raise BadRequest(f"cache {entry}: level is 1 to 3 and bytes is positive")
    return Cache(**known)


@cache
def isa_names() -> tuple[str, ...]:
    """Return the instruction sets that a formula may ask for: those with a file in `harness/isa/`, and CUDA's."""
    return (*reversed(discover(harness.isa, "ISA")), "cuda")


def target_names() -> list[str]:
    """Return the names a user may ask for: `host`, `cuda` (whatever GPU is here) and every TOML file, in name order."""
    return sorted({*DETECTED, *(path.stem for path in TARGETS.glob("*.toml"))})


def other_names(name: str) -> tuple[str, ...]:
    """Return what a sentence may also call a target (``called`` in its TOML file): its chip, a board that carries it."""
    path = TARGETS / f"{name}.toml"
    return tuple(tomllib.loads(path.read_text()).get("called", ())) if path.exists() else ()


def load_target(name: str) -> Target:
    """Load a target from its TOML file (`host` and `cuda` are detected, see `harness.host` and `harness.cuda.detect`)."""
    path = TARGETS / f"{name}.toml"
    if name in DETECTED:
        raise BadRequest(f"{name} is what this machine has, found out when it runs; it has no file in harness/targets/")
    if not path.exists():
        raise BadRequest(f"unknown target {name!r}; known targets: {', '.join(target_names())}")
    with path.open("rb") as file:
        return Target.from_mapping(tomllib.load(file))
