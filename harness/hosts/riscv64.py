"""
RISC-V: the vector extension, by the kernel's HWCAP; which core it is, by what Linux calls it (``uarch`` of /proc/cpuinfo).

A core that a target file describes lends `host` its dialect (RVV 0.7.1 has no HWCAP bit of its own), the width of its
vectors where the worker cannot ask, caches and flags; asked for by its own name, as ``k1``, it is that target on a real
clock.
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

WIDTHS = (128, 256, 512, 1024)
LOOPS = {kind + bits: 24 * bits // part for bits in WIDTHS for kind, part in ((0, 16), (64000, 32), (32000, 4))}
"""Operations of one turn of probe_riscv64.c, by kind: 24 vectors of fp32, fp64 or int8 multiply-adds, each counted twice."""
FLAGS = {
    "c_flags": "-march=rv64gc -mabi=lp64d",
    "assembler_flags": " ".join(
        ["-target-cpu generic-rv64 -target-abi lp64d", *(f"-target-feature +{letter}" for letter in "mafdcv")]
    ),
}
"""Of a core with RVV 1.0 that no target file describes."""


class RiscV:
    """A RISC-V machine."""

    isa = "riscv"
    pace = 1
    clock_source = "measured: chain of dependent 1-cycle operations"

    def probe(self, toolchain: Toolchain) -> NativeObject:
        """Build the loops, and tell `harness.probe` what they are worth."""
        WORK.update(LOOPS)
        known = described(sysfs.microarchitecture(min(os.sched_getaffinity(0))))
        old = ("-DOPW_RVV071",) if known and known.toolchain.get("dialect") else ()
        flags = ("-march=rv64gcv", "-mabi=lp64d", *old)
        return build_probe(toolchain, "probe_riscv64.c", Machine(triple="riscv64-linux-gnu", c_flags=flags, assembler_flags=()))

    def factors(self, reply: Mapping[str, Any]) -> dict[str, Any]:
        """Return features, registers and caches; raise `TargetUnavailable` without vectors that the expert has kernels for."""
        name = sysfs.microarchitecture(reply["processor"])
        known = described(name)
        bits = reply["vector_bits"] or (int(known.vector_bits.value) if known else 0)
        if bits not in WIDTHS:
            raise TargetUnavailable(
                f"host: this machine ({name or 'a core that Linux does not name'}) shows no vector registers of {WIDTHS[0]} to "
                f"{WIDTHS[-1]} bits, without which there are no kernels; run on another"
            )
        dialect = {"dialect": known.toolchain["dialect"]} if known and "dialect" in known.toolchain else {}
        flags = {key: known.toolchain[key] for key in FLAGS} if known else FLAGS
        features = [feature for feature in known.features if feature != "zvfh"] if known else ["rv64gc", "v", f"zvl{bits}b"]
        manual = "RISC-V V extension, chapter 3: v0 to v31"
        return {
            "caches": sysfs.caches_or(reply["processor"], known),
            "instructions": {"features": {"value": features, "source": f"harness/targets/{known.name}.toml" if known else "HWCAP"}},
            "registers": {
                "vector_bits": {"value": bits, "source": "CSR vlenb" if reply["vector_bits"] else f"harness/targets/{known.name}.toml"},
                "vector_count": {"value": 32, "source": manual},
                "scalar_count": {"value": 31, "source": "RISC-V unprivileged ISA, section 2.1: x1 to x31"},
            },
            "toolchain": {"triple": "riscv64-linux-gnu", **flags, **dialect, "brand": name or "RISC-V"},
            "core": f"uarch {name}",
            "processors": _processors_of(name),
        }

    def processors(self, target: Target, reply: Mapping[str, Any]) -> tuple[int, ...]:
        """Return the processors that Linux calls what the target's file says."""
        return _processors_of(target.compatible) if target.compatible else ()


HOST = RiscV()


def described(name: str) -> Target | None:
    """Return the target file of a core, by what Linux calls it; None where there is none."""
    return described_by(lambda target: bool(name) and target.compatible == name)


def _processors_of(name: str) -> tuple[int, ...]:
    return tuple(one for one in sorted(os.sched_getaffinity(0)) if sysfs.microarchitecture(one) == name)
