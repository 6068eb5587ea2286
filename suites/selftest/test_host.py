"""This machine as a target: against what the kernel says of it, with a source for each value, and as if it had less."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.commands.factors import facts
from harness.errors import BadRequest, TargetUnavailable
from harness.host import detect_host
from harness.hosts.x86_64 import host_isa_mask
from harness.runners.native import NativeWorker
from harness.target import Target, isa_names, load_target
from harness.workbench import Workbench

x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="speaks of CPUID's bits; run it on x86-64 (others: test_other_machines)")
CPU = Path("/sys/devices/system/cpu/cpu0/cache")
UNITS = {"": 1, "K": 1024, "M": 1024**2}


class OldMachine:
    """A worker on a machine that has fewer feature bits than this one."""

    def __init__(self, worker: NativeWorker, lacks: str) -> None:
        self._worker, self._lacks = worker, lacks

    def request(self, line: str, timeout_s: float) -> dict:
        reply = self._worker.request(line, timeout_s)
        return reply | {"features": [name for name in reply["features"] if not name.startswith(self._lacks)]}


@x86
def test_features_are_those_that_the_kernel_offers(host: Target) -> None:
    flags = set(re.search(r"^flags\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)[1].split())

    assert {"avx2", "fma"} <= set(host.features) <= flags
    assert (host.vector_bits.value == 512) == ({"avx512f", "avx512dq", "avx512bw", "avx512vl"} <= flags)
    assert host.cores.value == len(os.sched_getaffinity(0))


@pytest.mark.skipif(not (CPU / "index0/size").exists(), reason="the kernel shows no caches here; run where /sys has them")
def test_caches_are_those_that_the_kernel_shows(host: Target) -> None:
    shown = {}
    for index in CPU.glob("index*"):
        if (index / "type").read_text().strip() != "Instruction":
            number, unit = re.fullmatch(r"(\d+)([KM]?)", (index / "size").read_text().strip()).groups()
            shown[int((index / "level").read_text())] = (int(number) * UNITS[unit], int((index / "coherency_line_size").read_text()))

    assert {cache.level: (cache.bytes, cache.line_bytes) for cache in host.caches} == shown


def test_every_factor_has_a_source_and_what_is_measured_is_plausible(host: Target) -> None:
    known = dict(facts(host))

    assert {"L1", "instructions", "vector_registers", "scalar_registers", "cores", "clock", "peak fp32"} <= known.keys()
    assert all(fact.source for fact in known.values())
    assert all("measured" in known[name].source for name in ("clock", "peak fp32"))
    lanes = host.vector_bits.value / 32
    cycles = host.peak("fp32") * 1e9 / (2 * lanes * host.clock_hz.value)
    assert 0.3 < cycles < host.fma_per_cycle.value + 0.2


@x86
def test_masked_off_it_is_another_machine(bench: Workbench, worker: NativeWorker, host: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPWRIGHT_HOST_ISA", "avx2")
    masked = detect_host(bench.toolchain, worker)

    assert (masked.vector_bits.value, masked.vector_registers.value) == (256, 16)
    assert not any(name.startswith(("avx512", "amx")) for name in masked.features)
    assert (masked.identity() == host.identity()) == (host.vector_bits.value == 256)


@x86
def test_a_machine_with_too_little_is_refused(bench: Workbench, worker: NativeWorker) -> None:
    with pytest.raises(TargetUnavailable, match="no AVX2 with FMA; run on"):
        detect_host(bench.toolchain, OldMachine(worker, "avx2"))


def test_another_system_is_refused(bench: Workbench, worker: NativeWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "sparc64")
    with pytest.raises(TargetUnavailable, match=r"Linux on sparc64 is not supported yet; run Linux on one of aarch64, .*x86_64"):
        detect_host(bench.toolchain, worker)


def test_a_mask_that_is_none_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPWRIGHT_HOST_ISA", "sse")
    with pytest.raises(BadRequest, match=r"OPWRIGHT_HOST_ISA=sse: use avx512 .* or avx2"):
        host_isa_mask()


def test_formulas_may_ask_for_every_instruction_set() -> None:
    known = {"c910": "riscv", "a76": "neon", "h100": "cuda"}

    for name, isa in known.items():
        asked = {key: value for key, value in load_target(name).factors.items() if key.startswith("isa_")}
        assert asked == {f"isa_{other}": int(other == isa) for other in isa_names()}


@pytest.mark.parametrize(("target", "words"), [("c910", ["L2", "openc910 user manual", "xtheadvector"]), ("h100", ["sms", "132"])])
def test_the_command_shows_factors_and_sources(target: str, words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "harness", "factors", target], capture_output=True, text=True, timeout=60, check=True)

    assert all(word in done.stdout for word in words)
