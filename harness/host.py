"""
The target `host`: this machine, detected into the schema a TOML target has.

Feature bits decide (CPUID and XCR0, read by the worker), never a model name. `OPWRIGHT_HOST_ISA=avx2` masks
AVX-512 off, which gives a machine of its own: another identity, other kernels, and OpenBLAS's Haswell core.
"""

import math
import os
import platform
from collections.abc import Mapping
from statistics import median
from typing import Any

from harness.errors import BadRequest, TargetUnavailable
from harness.probe import probe_object, rates
from harness.runners.native import NativeWorker
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


def detect_host(toolchain: Toolchain, worker: NativeWorker) -> Target:
    """Detect this machine; raise `TargetUnavailable` where the expert has no kernels for it."""
    if platform.machine() not in ("x86_64", "AMD64") or platform.system() != "Linux":
        raise TargetUnavailable(
            f"host: {platform.system()} on {platform.machine()} is not supported yet; run on x86-64 Linux"
        )
    reply = worker.request("factors", 30)
    features = set(reply["features"])
    if host_isa_mask() == "avx2":
        features = {name for name in features if not name.startswith(("avx512", "amx"))}
    if not features >= AVX2:
        raise TargetUnavailable("host: this machine has no AVX2 with FMA; run on a Haswell, Zen or newer machine")
    bits = 512 if features >= AVX512 else 256
    item = probe_object(toolchain)
    peak, clock_hz = max(rates(worker, item, bits)), median(rates(worker, item, 0))
    return Target.from_mapping(_mapping(reply, features, bits, peak, clock_hz))


def _mapping(reply: Mapping[str, Any], features: set[str], bits: int, peak: float, clock_hz: float) -> dict[str, Any]:
    isa = "AVX-512" if bits == 512 else "AVX2"
    manual = f"Intel SDM volume 1, {isa} state"
    cores = len(os.sched_getaffinity(0))
    return {
        "name": "host",
        "isa": "x86",
        "runner": "native",
        "caches": [{**cache, "shared_by": min(cache["shared_by"], cores)} for cache in reply["caches"]],
        "instructions": {
            "features": {"value": sorted(features), "source": "CPUID leaves 1 and 7, XCR0"},
            "fma_per_cycle": {
                "value": math.ceil(peak / clock_hz / (2 * bits / 32) - 0.1),
                "source": "measured: peak / clock, in whole pipes (wide vectors lower the clock)",
            },
        },
        "registers": {
            "vector_bits": {"value": bits, "source": manual},
            "vector_count": {"value": 32 if bits == 512 else 16, "source": manual},
            "scalar_count": {"value": 16, "source": "Intel SDM volume 1, section 3.4.1"},
        },
        "cores": {"count": {"value": cores, "source": "sched_getaffinity"}},
        "clock": {"hz": {"value": clock_hz, "source": "measured: chain of dependent 3-cycle multiplies"}},
        "peak_gflops": {"fp32": {"value": peak / 1e9, "source": "measured: register-only FMA loop"}},
        "toolchain": {"cpu": "x86-64-v4" if bits == 512 else "x86-64-v3", "brand": reply["brand"].strip()},
    }
