"""
x86-64: AVX-512 or AVX2, as CPUID and XCR0 have it.

`OPWRIGHT_HOST_ISA=avx2` masks AVX-512 off, which gives a machine of its own: another identity, other kernels, and
OpenBLAS's Haswell core.
"""

import os
from collections.abc import Mapping
from typing import Any

from harness.errors import BadRequest, TargetUnavailable
from harness.probe import probe_object
from harness.runners.native import NativeObject
from harness.target import Target
from harness.toolchain import Toolchain

AVX512 = {"avx512f", "avx512dq", "avx512bw", "avx512vl"}
AVX2 = {"avx2", "fma", "bmi2"}


def host_isa_mask() -> str:
    """Return what `OPWRIGHT_HOST_ISA` allows: ``avx512`` or ``avx2``."""
    wanted = os.environ.get("OPWRIGHT_HOST_ISA", "avx512")
    if wanted not in ("avx512", "avx2"):
        raise BadRequest(f"OPWRIGHT_HOST_ISA={wanted}: use avx512 (everything the machine has) or avx2")
    return wanted


class X86:
    """An x86-64 machine."""

    isa = "x86"
    pace = 256
    clock_source = "measured: chain of dependent 3-cycle multiplies"

    def probe(self, toolchain: Toolchain) -> NativeObject:
        """Build the loops of harness/native/probe.c."""
        return probe_object(toolchain)

    def factors(self, reply: Mapping[str, Any]) -> dict[str, Any]:
        """Return features, registers and caches by CPUID; raise `TargetUnavailable` below AVX2 with FMA."""
        features = set(reply["features"])
        if host_isa_mask() == "avx2":
            features = {name for name in features if not name.startswith(("avx512", "amx"))}
        if not features >= AVX2:
            raise TargetUnavailable("host: this machine has no AVX2 with FMA; run on a Haswell, Zen or newer machine")
        bits = 512 if features >= AVX512 else 256
        manual = f"Intel SDM volume 1, {'AVX-512' if bits == 512 else 'AVX2'} state"
        return {
            "caches": reply["caches"],
            "instructions": {"features": {"value": sorted(features), "source": "CPUID leaves 1 and 7, XCR0"}},
            "registers": {
                "vector_bits": {"value": bits, "source": manual},
                "vector_count": {"value": 32 if bits == 512 else 16, "source": manual},
                "scalar_count": {"value": 16, "source": "Intel SDM volume 1, section 3.4.1"},
            },
            "toolchain": {"cpu": "x86-64-v4" if bits == 512 else "x86-64-v3", "brand": reply["brand"].strip()},
        }

    def processors(self, target: Target, reply: Mapping[str, Any]) -> tuple[int, ...]:
        """Return none: no target file describes an x86-64 core."""
        return ()


HOST = X86()
