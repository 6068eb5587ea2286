"""Machines of other instruction sets, as far as this one can tell: what Linux says of them, what their worker is made of."""

import os
import platform
import re
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import harness.baselines
from harness.errors import TargetUnavailable
from harness.host import own_processors
from harness.hosts import Host, sysfs
from harness.hosts.aarch64 import AArch64, described
from harness.hosts.riscv64 import RiscV
from harness.isa.rvv071 import translate
from harness.machine import Machine
from harness.registry import discover
from harness.sandbox import policy
from harness.sandbox.system_calls import CALLS
from harness.target import Target, isa_names, load_target
from harness.toolchain import NATIVE, WORKER_SOURCES
from harness.workbench import Workbench

A55, A76, NEOVERSE_N1 = 0x412FD050, 0x414FD0B1, 0x413FD0C1
PI_5 = {
    "index0": "1 Data 64K 4 64 256 0",
    "index1": "1 Instruction 64K 4 64 256 0",
    "index2": "2 Unified 512K 8 64 1024 0",
    "index3": "3 Unified 2048K 16 64 2048 0-3",
}
"""A Raspberry Pi 5: level, type, size, ways, line, sets, processors that share it."""
FILES = ("level", "type", "size", "ways_of_associativity", "coherency_line_size", "number_of_sets", "shared_cpu_list")
REPLY = {"processor": 0, "core": f"{A76:#010x}", "line_bytes": 64, "features": ["asimd", "fphp", "asimdhp", "asimddp"]}


class Pretend:
    """A worker on an AArch64 machine."""

    def __enter__(self) -> "Pretend":
        return self

    def __exit__(self, *_: object) -> None: ...

    def request(self, line: str, timeout_s: float) -> dict:
        return REPLY


@pytest.fixture
def processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight processors whose /sys is a folder; the test fills it."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr("harness.hosts.sysfs.PROCESSORS", tmp_path)
    return tmp_path


def show(root: Path, *cores: int) -> None:
    for processor, core in enumerate(cores):
        place = root / f"cpu{processor}/regs/identification"
        place.mkdir(parents=True)
        (place / "midr_el1").write_text(f"{core:#018x}\n")


def show_caches(root: Path, caches: dict[str, str]) -> None:
    for index, words in caches.items():
        place = root / "cpu0/cache" / index
        place.mkdir(parents=True)
        for file, word in zip(FILES, words.split(), strict=True):
            (place / file).write_text(f"{word}\n")


def test_caches_are_what_sys_shows(processors: Path) -> None:
    show_caches(processors, PI_5)
    found = sysfs.caches(0)

    expected = [(c.level, c.bytes, c.ways, c.line_bytes, c.shared_by) for c in load_target("a76").caches]
    assert expected == [(c["level"], c["bytes"], c["ways"], c["line_bytes"], c["shared_by"]) for c in found]


def test_ways_come_from_sets_where_sys_shows_none(processors: Path) -> None:
    show_caches(processors, {"index0": "1 Data 64K 0 64 256 0"})

    assert [4] == [cache["ways"] for cache in sysfs.caches(0)]


@pytest.mark.parametrize(("core", "name"), [(A76, "a76"), (0x410FD083, "a72"), (0x410FD080, "a72"), (A55, None), (NEOVERSE_N1, None)])
def test_a_core_is_known_by_implementer_and_part(core: int, name: str | None) -> None:
    known = described(core)

    assert name == (known.name if known else None)


def test_only_the_big_cores_are_the_target(processors: Path) -> None:
    show(processors, *[A55] * 4, *[A76] * 4)

    assert (4, 5, 6, 7) == AArch64().processors(load_target("a76"), REPLY)
    assert () == AArch64().processors(load_target("a72"), REPLY)


def test_without_sys_the_worker_speaks_for_all(processors: Path) -> None:
    assert tuple(range(8)) == AArch64().processors(load_target("a76"), REPLY)


def test_a_core_that_is_here_needs_no_emulator(processors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    show(processors, *[A76] * 4)

    found = {name: own_processors(load_target(name), Pretend) for name in ("a76", "a72", "c910")}
    assert found == {"a76": tuple(range(8)), "a72": (), "c910": ()}
    monkeypatch.setenv("OPWRIGHT_EMULATE", "1")
    assert () == own_processors(load_target("a76"), Pretend)


def native(reply: dict) -> Target:
    """Return the target that such a machine would be, its measured values made up."""
    factors = AArch64().factors(reply)
    instructions = {**factors["instructions"], "fma_per_cycle": {"value": 2, "source": "test"}}
    clock, cores = {"hz": {"value": 2.4e9, "source": "test"}}, {"count": {"value": 4, "source": "test"}}
    return Target.from_mapping(
        {**factors, "name": "host", "isa": "neon", "runner": "native", "instructions": instructions, "clock": clock, "cores": cores}
    )


def test_a_described_core_lends_flags_and_what_firmware_does_not_tell(processors: Path) -> None:
    host, known = native(REPLY), load_target("a76")

    assert ("neon", "dotprod") == tuple(sorted(host.features, reverse=True))
    assert Machine.of(host) == Machine.of(known)
    assert [(c.level, c.bytes) for c in known.caches] == [(c.level, c.bytes) for c in host.caches]
    assert all(c.source.startswith("harness/targets/a76.toml: ") for c in host.caches)


def test_an_unknown_core_has_the_flags_of_its_features(processors: Path) -> None:
    host = native({**REPLY, "core": f"{NEOVERSE_N1:#010x}"})

    assert Machine.of(host).c_flags == ("-march=armv8-a+dotprod",)
    assert Machine.of(host).assembler_flags == ("-target-feature", "+neon", "-target-feature", "+dotprod")
    assert all(c.source.startswith("assumed") for c in host.caches)


def test_a_real_clock_and_a_modelled_one_never_share_a_tuned_operator(processors: Path) -> None:
    known = load_target("a76")
    here = replace(native(REPLY), features=known.features, caches=known.caches, cores=known.cores)

    assert known.identity() != here.identity()


def test_a_machine_without_vectors_is_refused(processors: Path) -> None:
    with pytest.raises(TargetUnavailable, match="no Advanced SIMD"):
        AArch64().factors({**REPLY, "features": []})


MACHINES = sorted(path.stem for path in NATIVE.glob("*.c") if path.stem in CALLS and path.stem != platform.machine())


def filtered(program: bytes, machine: str, number: int, *arguments: int) -> int:
    """Return what a filter does with a system call: a reader of the four kinds of step that `policy` writes."""
    call = struct.pack("<IIQ6Q", number, CALLS[machine].architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    steps, at, value = list(struct.iter_unpack("<HBBI", program)), 0, 0
    while True:
        code, skip_if, skip_else, operand = steps[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            value = struct.unpack_from("<I", call, operand)[0]
        elif code == 0x54:
            value &= operand
        else:
            at += skip_if if (value == operand if code == 0x15 else value >= operand) else skip_else


@pytest.mark.parametrize("machine", sorted(CALLS))
def test_filters_speak_the_machine_s_own_numbers(machine: str) -> None:
    allow, refuse, read_only, create = 0x7FFF_0000, 0x0005_0001, 0o2000000, 0o101
    script, build = (policy.seccomp_filter(build=build, machine=machine) for build in (False, True))
    number, connect = CALLS[machine].numbers, 42 if machine == "x86_64" else 203

    assert [allow, refuse] == [filtered(script, machine, number["openat"], 0, 0, flags) for flags in (read_only, create)]
    assert [refuse, allow] == [filtered(filter_, machine, number["execve"]) for filter_ in (script, build)]
    assert [refuse, refuse] == [filtered(filter_, machine, connect) for filter_ in (script, build)]
    assert [allow, refuse] == [filtered(build, machine, number["clone"], flags) for flags in (0x11, 0x1000_0011)]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_worker_of_another_machine_compiles(machine: str, bench: Workbench, tmp_path: Path) -> None:
    sources = [str(NATIVE / name) for name in (*WORKER_SOURCES, f"{machine}.c")]
    command = [sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-gnu", "-O0", "-Wall", "-Werror", "-c", *sources]
    caches = {f"ZIG_{kind}_CACHE_DIR": str(bench.store.path / "zig") for kind in ("GLOBAL", "LOCAL")}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **caches}, cwd=tmp_path, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_every_library_says_which_instruction_sets_it_has_code_for() -> None:
    known = discover(harness.baselines, "BASELINE")

    assert all(one.isas and set(one.isas) <= set(isa_names()) for one in known.values())


TRIALS = {
    "aarch64": {"x19": "mov x19, #0", "x29": "mov x29, #0", "the stack pointer": "sub sp, sp, #32", "d8": "movi v8.2d, #0", "FPCR": "mov x9, #0x400000; msr fpcr, x9"},
    "riscv64": {"s0": "li s0, 0", "s11": "li s11, 0", "the stack pointer": "addi sp, sp, -32", "fs11": "fmv.d.x fs11, zero", "the rounding mode": "fsrmi 1"},
}
"""By what it leaves changed, a function's body."""
FAILS = {"aarch64": "mov w0, #-3; ret", "riscv64": "li a0, -3; ret"}


@pytest.mark.parametrize("machine", sorted(TRIALS))
def test_the_trampoline_of_another_machine_names_registers(machine: str, bench: Workbench, tmp_path: Path) -> None:
    emulator = shutil.which(f"qemu-{machine}-static") or shutil.which(f"qemu-{machine}")
    if not emulator:
        pytest.skip(f"there is no qemu-{machine} here: install qemu-user (Debian, Ubuntu: apt install qemu-user)")
    bodies = {"nothing": "", **TRIALS[machine]}
    lines = [f'__asm__(".text; body{at}: {body}; {FAILS[machine]}");' for at, body in enumerate(bodies.values())]
    lines += [f"extern const char body{at}[];" for at in range(len(bodies))]
    lines += ["struct trial { const char *name; const void *body; };", "const struct trial trials[] = {"]
    lines += [f'{{"{name}", body{at}}},' for at, name in enumerate(bodies)]
    (tmp_path / "trials.c").write_text("\n".join([*lines, "{0, 0}};"]))
    sources = [str(Path(__file__).parent / "host_rig.c"), str(NATIVE / f"{machine}.c"), str(tmp_path / "trials.c")]
    command = [sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-musl", "-static", "-O1", f"-I{NATIVE}", *sources]
    caches = {f"ZIG_{kind}_CACHE_DIR": str(bench.store.path / "zig") for kind in ("GLOBAL", "LOCAL")}
    subprocess.run([*command, "-o", str(tmp_path / "rig")], env={**os.environ, **caches}, cwd=tmp_path, check=True)
    done = subprocess.run([emulator, str(tmp_path / "rig")], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.splitlines() == ["nothing: , -3", *(f"{name}: {name}, -3" for name in TRIALS[machine])]


@pytest.mark.parametrize("host", [AArch64(), RiscV()], ids=lambda host: host.isa)
def test_the_probe_of_another_machine_compiles(host: Host, bench: Workbench) -> None:
    assert host.probe(bench.toolchain).libraries[0].read_bytes().startswith(b"\x7fELF")


BPI_F3 = """processor\t: {0}
hart\t\t: {0}
model name\t: Spacemit(R) X60
isa\t\t: rv64imafdcv_zicbom_zicboz_zicntr_zicond_zicsr_zifencei_zihintpause_zihpm_zfh_zba_zbb_zbc_zbs_zvfh_sscofpmf_sstc
mmu\t\t: sv39
uarch\t\t: spacemit,x60
mvendorid\t: 0x710
marchid\t\t: 0x8000000058000001
"""


def cpuinfo(monkeypatch: pytest.MonkeyPatch, place: Path, text: str) -> None:
    (place / "cpuinfo").write_text("\n".join(text.format(processor) for processor in range(8)))
    monkeypatch.setattr("harness.hosts.sysfs.CPUINFO", place / "cpuinfo")


def test_a_riscv_core_is_known_by_what_linux_calls_it(processors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo(monkeypatch, processors, BPI_F3)
    factors = RiscV().factors({"processor": 3, "vector_bits": 256, "features": ["v"]})

    found = {name: RiscV().processors(load_target(name), {}) for name in ("k1", "c908", "c910")}
    assert found == {"k1": tuple(range(8)), "c908": (), "c910": ()}
    assert (factors["registers"]["vector_bits"]["value"], factors["core"]) == (256, "uarch spacemit,x60")
    assert "zvfh" not in factors["instructions"]["features"]["value"]


def test_the_older_vector_extension_needs_no_hwcap(processors: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo(monkeypatch, processors, BPI_F3.replace("spacemit,x60", "thead,c910"))
    factors = RiscV().factors({"processor": 0, "vector_bits": 0, "features": []})

    assert (factors["registers"]["vector_bits"]["value"], factors["toolchain"]["dialect"]) == (128, "rvv071")


@pytest.mark.parametrize(("bits", "features"), [(0, []), (64, ["v"])])
def test_a_riscv_machine_without_vectors_is_refused(processors: Path, monkeypatch: pytest.MonkeyPatch, bits: int, features: list[str]) -> None:
    cpuinfo(monkeypatch, processors, BPI_F3.replace("spacemit,x60", "sifive,u74-mc"))
    with pytest.raises(TargetUnavailable, match=r"sifive,u74-mc.* shows no vector registers of 128 to 1024 bits"):
        RiscV().factors({"processor": 0, "vector_bits": bits, "features": features})


def test_the_probe_s_words_are_the_older_dialect_s() -> None:
    words = re.findall(r'E\d+ "\.word (0x\w+)', (NATIVE / "probe_riscv64.c").read_text())
    older = [words[0], words[1], words[4]]
    text = "".join(f"vsetvli t0, zero, {width}, m1\n" for width in ("e32", "e64", "e8"))

    assert [int(word, 16) for word in older] == [int(word, 16) for word in re.findall(r"0x\w+", translate(text))]
