"""
AArch64: NEON, by the kernel's HWCAP; which core it is, by MIDR_EL1.

A core that a target file describes lends `host` what firmware may not tell (caches) and its compiler's flags; asked for
by its own name, as ``a76``, it is that target on a real clock.
"""

import os
from collections.abc import Mapping
from typing import Any

from harness.errors import TargetUnavailable
from harness.hosts import build_probe, described_by, sysfs
from harness.machine import Machine
from harness.probe import WORK
from harness.runners.native import NativeObject
from harness.target import Target
from harness.toolchain import Toolchain

FEATURES = {"asimd": "neon", "asimddp": "dotprod", "i8mm": "i8mm", "bf16": "bf16", "sve": "sve", "sve2": "sve2"}
"""
By HWCAP's words what scripts ask for. Half precision (fphp, asimdhp) is not among them: `harness.probe` has one loop for
the peak of fp32 and fp16, which sums in fp16 would outrun twice; so fp16 is converted, as on x86.
"""
LOOPS = {128: 24 * 8, 64128: 24 * 4, 32128: 24 * 32}
"""Operations of one turn of probe_aarch64.c: 24 vectors of fp32 or fp64 FMAs, or dot products of int8, each counted twice."""
EXTENSIONS = ("dotprod", "i8mm", "bf16")
"""Features that compiler and assembler have to be told of, under the same names."""
SAME_CORE = 0xFF00FFF0
"""Of MIDR_EL1 the implementer and the part number; not its variant and revision."""
MANUAL = "Arm ARM DDI 0487, B1.2.1"


class AArch64:
    """An AArch64 machine."""

    isa = "neon"
    pace = 128
    clock_source = "measured: chain of dependent 1-cycle operations"

    def probe(self, toolchain: Toolchain) -> NativeObject:
        """Build the loops, and tell `harness.probe` what they are worth."""
        WORK.update(LOOPS)
        flags = ("-march=armv8-a",)
        return build_probe(toolchain, "probe_aarch64.c", Machine(triple="aarch64-linux-gnu", c_flags=flags, assembler_flags=()))

    def factors(self, reply: Mapping[str, Any]) -> dict[str, Any]:
        """Return features by HWCAP, caches by /sys, the core's own or assumed ones; raise `TargetUnavailable` without NEON."""
        features = {FEATURES[name] for name in reply["features"] if name in FEATURES}
        if "neon" not in features:
            raise TargetUnavailable("host: this machine has no Advanced SIMD (asimd), without which there are no kernels; run on another")
        core = int(reply["core"], 16)
        known = described(core)
        same = _processors_of(core, reply)
        return {
            "caches": sysfs.caches_or(reply["processor"], known, line_bytes=reply["line_bytes"]),
            "instructions": {"features": {"value": sorted(features), "source": "HWCAP, HWCAP2"}},
            "registers": {
                "vector_bits": {"value": 128, "source": f"{MANUAL}: V0 to V31"},
                "vector_count": {"value": 32, "source": f"{MANUAL}: V0 to V31"},
                "scalar_count": {"value": 31, "source": f"{MANUAL}: X0 to X30"},
            },
            "toolchain": {
                "triple": "aarch64-linux-gnu",
                **(_flags(known) if known else _general_flags(features)),
                "comment": "//",
                "brand": f"{known.name if known else 'Armv8-A'}, MIDR_EL1 {core:#010x}",
            },
            "core": f"MIDR_EL1 {core & SAME_CORE:#010x}",
            "processors": same,
        }

    def processors(self, target: Target, reply: Mapping[str, Any]) -> tuple[int, ...]:
        """Return the processors whose MIDR_EL1 is that of a target file's ``[emulator]``, but for the revision."""
        return _processors_of(_midr(target), reply) if "midr" in target.emulator else ()


HOST = AArch64()


def described(core: int) -> Target | None:
    """Return the target file that describes a core, by MIDR_EL1; None where there is none."""
    return described_by(lambda target: "midr" in target.emulator and not (_midr(target) ^ core) & SAME_CORE)


def _midr(target: Target) -> int:
    return int(target.emulator["midr"].value, 16)


def _processors_of(core: int, reply: Mapping[str, Any]) -> tuple[int, ...]:
    """Return our processors of one core; where /sys does not tell, all are what the worker found on one."""
    found = {processor: sysfs.identification(processor) for processor in sorted(os.sched_getaffinity(0))}
    own = int(reply["core"], 16)
    return tuple(processor for processor, midr in found.items() if not ((own if midr is None else midr) ^ core) & SAME_CORE)


def _flags(known: Target) -> dict[str, str]:
    return {name: known.toolchain[name] for name in ("c_flags", "assembler_flags")}


def _general_flags(features: set[str]) -> dict[str, str]:
    """Return flags that let code use what the kernel says there is, whatever the core is."""
    extra = [name for name in EXTENSIONS if name in features]
    told = " ".join(f"-target-feature +{name}" for name in ("neon", *extra))
    return {"c_flags": "".join(["-march=armv8-a", *(f"+{name}" for name in extra)]), "assembler_flags": told}
