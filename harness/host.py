"""
The target `host`: this machine, detected into the schema a TOML target has; and the targets that are its own cores.

Feature bits decide (CPUID, HWCAP; read by the worker), never a model name. What differs between instruction sets is in
`harness.hosts`; here is what is measured on all of them.
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import median
from typing import Any

from harness.errors import TargetUnavailable
from harness.hosts import Host, this_host
from harness.probe import rates
from harness.runners.native import NativeWorker
from harness.target import Target
from harness.toolchain import Toolchain


def detect_host(toolchain: Toolchain, worker: NativeWorker) -> Target:
    """Detect this machine; raise `TargetUnavailable` where the expert has no kernels for it."""
    host = this_host()
    factors = host.factors(worker.request("factors", 30))
    return Target.from_mapping(_with_measured(factors, host, toolchain, worker))


def own_processors(target: Target, open_worker: Callable[[], NativeWorker]) -> tuple[int, ...]:
    """
    Return the processors of this machine that are an emulated target's core, so that no emulator is needed for it.

    None where it has no such core, and where `OPWRIGHT_EMULATE` asks for the model all the same.
    """
    try:
        host = this_host()
    except TargetUnavailable:
        return ()
    if host.isa != target.isa or os.environ.get("OPWRIGHT_EMULATE"):
        return ()
    with open_worker() as worker:
        return host.processors(target, worker.request("factors", 30))


def detect_core(target: Target, toolchain: Toolchain, worker: NativeWorker) -> Target:
    """
    Return an emulated target as this machine has it, detected and measured by a worker on one of its processors.

    Of the target's file remain its name and what start points ask of its timing.
    """
    return replace(detect_host(toolchain, worker), name=target.name, timing=target.timing)


def _with_measured(factors: Mapping[str, Any], host: Host, toolchain: Toolchain, worker: NativeWorker) -> dict[str, Any]:
    processors = factors.get("processors") or sorted(os.sched_getaffinity(0))
    bits = factors["registers"]["vector_bits"]["value"]
    item = host.probe(toolchain)
    peak, clock_hz = max(rates(worker, item, bits)), median(rates(worker, item, 0))
    fma_per_cycle = {
        "value": math.ceil(peak / clock_hz / (2 * bits / 32) - 0.1),
        "source": "measured: peak / clock, in whole pipes (wide vectors lower the clock)",
    }
    return {
        **factors,
        "name": "host",
        "isa": host.isa,
        "runner": "native",
        "caches": [{**cache, "shared_by": min(cache["shared_by"], len(processors))} for cache in factors["caches"]],
        "instructions": {**factors["instructions"], "fma_per_cycle": fma_per_cycle},
        "cores": {"count": {"value": len(processors), "source": "sched_getaffinity"}},
        "clock": {"hz": {"value": clock_hz, "source": host.clock_source}},
        "peak_gflops": {"fp32": {"value": peak / 1e9, "source": "measured: register-only FMA loop"}},
    }
