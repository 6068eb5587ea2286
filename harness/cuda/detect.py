"""Which GPU is here: the target `cuda`, probed, and whether a named GPU (`h100`) is the one that is present."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from harness.errors import HarnessError, TargetUnavailable
from harness.runners.protocol import Worker
from harness.target import DETECTED, Target, load_target, target_names

PROBED = ("sms", "shared_per_block_bytes", "shared_per_sm_bytes", "registers_per_sm", "threads_per_block", "threads_per_sm")


def present(name: str, worker: Callable[[Target], Worker]) -> Target:
    """Return the target if its GPU is here; raise `TargetUnavailable` with cause and remedy otherwise."""
    wanted = load_target("h100" if name == "cuda" else name)
    checked = "h100" if name == "cuda" else name
    try:
        with worker(wanted) as process:
            found = process.hello()["properties"]
    except HarnessError as missing:
        remedy = f"to compile and check its kernels without one: python -m benchmarks.gpu.check {checked}, a language model's: python -m benchmarks.gpu.draft"
        raise TargetUnavailable(f"{name}: {missing}; {remedy}") from None
    if name == "cuda":
        return probed(found)
    if not _is(wanted, found):
        here = f"{found['name']} with {found['sms']} multiprocessors"
        raise TargetUnavailable(f"{name}: the GPU here is an {here}; pass --target cuda for it")
    return wanted


def probed(found: Mapping[str, Any]) -> Target:
    """Return the target of a device: the TOML file that knows it, else what its driver says."""
    files = (load_target(name) for name in target_names() if name not in DETECTED)
    known = next((target for target in files if target.runner == "cuda" and _is(target, found)), None)
    return replace(known, name="cuda") if known else Target.from_mapping(_mapping(found))


def _is(target: Target, found: Mapping[str, Any]) -> bool:
    return target.toolchain["device"].lower() in str(found["name"]).lower() and target.factors["sms"] == found["sms"]


def _mapping(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a device's properties in the schema of a TOML file."""
    source = "cuDeviceGetAttribute"
    capability = 10 * found["capability_major"] + found["capability_minor"]
    arch = f"sm_{capability}" + ("a" if capability >= 90 else "")
    per_clock = 64 if capability in (80, 75) else 128
    peak = found["sms"] * per_clock * 2 * found["clock_khz"] * 1e3 / 1e9

    def fact(value: Any, source: str = source) -> dict[str, Any]:
        return {"value": value, "source": source}

    caches = [(1, found["shared_per_sm_bytes"], 1), (2, found["l2_bytes"], found["sms"])]
    guide = "CUDA C++ programming guide, compute capabilities"
    return {
        "name": "cuda",
        "isa": "cuda",
        "runner": "cuda",
        "instructions": {
            "features": fact([f"sm_{capability}"], "compute capability"),
            "fma_per_cycle": fact(per_clock // 32, guide),
        },
        "registers": {
            "vector_bits": fact(1024, "a warp of 32 fp32 registers"),
            "vector_count": fact(255, guide),
            "scalar_count": fact(63, "SASS: uniform registers"),
        },
        "cores": {"count": fact(found["sms"])},
        "sms": {"count": fact(found["sms"])},
        "clock": {"hz": fact(found["clock_khz"] * 1000)},
        "peak_gflops": {"fp32": fact(peak, "modelled: cores x 2 x clock")},
        "caches": [
            {"level": level, "bytes": size, "ways": 16, "line_bytes": 128, "shared_by": shared, "source": source}
            for level, size, shared in caches
        ],
        "gpu": {
            **{key: fact(found[key]) for key in PROBED},
            "capability": fact(capability),
            "clustered_sms": fact(found["sms"] * 10 // 11, "inferred: the H100's share, 120 of 132"),
            "registers_per_thread": fact(255, guide),
            "warp_size": fact(32, guide),
            "cluster_limit": fact(8 if capability >= 90 else 1, guide),
        },
        "toolchain": {"arch": arch, "device": found["name"], "brand": found["name"]},
    }
