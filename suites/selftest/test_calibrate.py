"""
Calibration finds what a board has: a model stands in for the board, so what should come out is known.

The program itself runs here, with probes for this processor; on RISC-V and ARM only its build is tested.
"""

import platform
import subprocess
import tomllib
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from harness.__main__ import main
from harness.calibrate.fit import fit, read_output, rewritten
from harness.calibrate.probes import CLOCK, LINE_BYTES, STREAM_BYTES, Probe, probe_set, probes
from harness.calibrate.program import BOARD, header, program
from harness.errors import BadRequest
from harness.kernel import KernelText
from harness.machine import Machine
from harness.record import Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.target import TARGETS, Fact, Target, load_target
from suites.selftest.vector_probe import ProbeSpec

TURNS = 100
CHANGED = {
    "c908": {"vfma": "7 V 3 6 12 24", "vload": "6 L 3 6 12 24", "alu": "1 A0+A1 2", "fma": "9 F 2"},
    "a72": {"vfma": "11 F0+F1 4", "vload": "6 L 3", "mul": "7 M 2"},
}


def linked(probe: Probe) -> np.ndarray:
    """Return the memory of a chain as board.c links it, in an order of its own."""
    memory = np.zeros(2 * STREAM_BYTES // 8 if probe.walks else max(probe.bytes, 4096) // 8, np.int64)
    per_line, rng = LINE_BYTES // 8, np.random.default_rng(1)
    for chain in range(probe.chains):
        lines = rng.permutation(probe.bytes // LINE_BYTES // probe.chains) * probe.chains + chain
        first = np.flatnonzero(lines == chain)[0]
        order = np.roll(lines, -first)
        memory[order * per_line] = np.roll(order, -1) * LINE_BYTES
    return memory


def turns_of(probe: Probe) -> int:
    return probe.turns or (probe.bytes // LINE_BYTES // probe.chains if probe.chains else TURNS)


def kernel(target: Target, probe: Probe) -> KernelText:
    """Return a probe as the contract's function."""
    known = probe_set(target.isa)
    entry = f".globl opw_run\n.type opw_run, @function\n{known.ENTRY.format(symbol=probe.symbol)}\n"
    return KernelText(name="opw_run", role="whole", signature="opw_run", text=f".text\n{entry}{known.function(probe)}")


def output(bench, target: Target) -> str:
    """Return what the program would print on a board that is as the model says."""
    chosen = probes(target)
    built = bench.toolchain.assemble([kernel(target, probe) for probe in chosen], Machine.of(target), trusted=True)
    lines = ["begin"]
    with bench.worker(target) as worker:
        for probe, made in zip(chosen, built.values(), strict=True):
            assert not isinstance(made, Verdict), f"{probe.name}: {made}"
            memory, turns = linked(probe), turns_of(probe)
            with Arena(ProbeSpec(1, memory.size * 2), Placement.ALIGNED) as arena:
                arena.view("B").view("i4")[...] = turns
                arena.view("C").view("i8")[...] = memory
                with worker.open(NativeObject(name=probe.name, libraries=(made,)), arena) as session:
                    assert session.time(timeout_s=20, samples=1) is not None, f"{probe.name}: {session.verdict}"
                    cycles = session.counters["cycles"]
            lines.append(f"{probe.name} {round(cycles * 1e12 / target.clock_hz.value / turns)}")
    return "\n".join([*lines, "end"])


@lru_cache
def other(name: str) -> Target:
    """Return a target as another board might have it: slower units, caches, memory and clock."""
    target = load_target(name)
    classes = {key: Fact(value=value, source="test") for key, value in CHANGED[name].items()}
    caches = [target.caches[0], replace(target.caches[1], latency_cycles=31, occupancy_cycles=12)]
    return replace(
        target,
        timing_classes={**target.timing_classes, **classes},
        timing={**target.timing, "memory": Fact(value="310 30 22", source="test")},
        caches=tuple(caches),
        clock_hz=replace(target.clock_hz, value=1_200_000_000),
    )


def fitted(name: str, text: str) -> Target:
    path = TARGETS / f"{name}.toml"
    return Target.from_mapping(tomllib.loads(rewritten(path, fit(load_target(name), read_output(text)), "a model")))


@pytest.mark.parametrize("name", CHANGED)
def test_a_board_unlike_the_file_is_found(bench, name):
    board = other(name)
    found = fitted(name, output(bench, board))

    assert board.clock_hz.value == pytest.approx(found.clock_hz.value, rel=0.02)
    for key in CHANGED[name]:
        wanted, got = (str(one.timing_classes[key].value).split() for one in (board, found))
        assert wanted[1] == got[1]
        assert [float(word) for word in wanted[2:]] == pytest.approx([float(word) for word in got[2:]], rel=0.06), key
    for key in ("vfma", "vfmul"):
        wanted, got = (float(str(one.timing_classes[key].value).split()[0]) for one in (board, found))
        assert wanted == pytest.approx(got, rel=0.06), f"latency of {key}"
    assert (31, 12) == pytest.approx((found.caches[1].latency_cycles, found.caches[1].occupancy_cycles), rel=0.1)
    wanted, got = ([float(word) for word in str(one.timing["memory"].value).split()] for one in (board, found))
    assert wanted == pytest.approx(got, rel=0.1)


def test_fitted_values_name_the_board(bench):
    text = output(bench, other("a72"))
    found = fitted("a72", text)

    assert "measured: python -m harness calibrate, on a model" == found.timing_classes["vfma"].source


@pytest.mark.parametrize("text", ["begin\nclock 100\n", "begin\nclock abc\nend\n", "begin\nclock 0\nend", ""])
def test_output_that_is_not_whole_is_refused(text):
    with pytest.raises(BadRequest, match="calibrate: "):
        read_output(text)


def test_output_of_another_target_is_refused():
    with pytest.raises(BadRequest, match=r"the output lacks .* another target's or version's"):
        fit(load_target("k1"), {CLOCK: 1000})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["host"], "host is what this machine has"),
        (["h100"], "runs on real hardware"),
        (["c910", "--results", "{file}"], "name the board"),
        (["c910", "--results", "{file}", "--board", "a\\b"], "name the board"),
        (["c910", "--results", "{file}", "--board", "b"], "not the whole output"),
        (["c910", "--results", "{folder}", "--board", "b"], "cannot be read (Is a directory)"),
        (["c910", "--program", "{folder}/none/x"], "choose another file with --program"),
    ],
)
def test_mistake_is_one_sentence(options, words, tmp_path, capsys):
    (tmp_path / "noise").write_bytes(bytes(range(256)))
    status = main(["calibrate", *(option.format(file=tmp_path / "noise", folder=tmp_path) for option in options)])
    said = capsys.readouterr().err

    assert status == 2
    assert words in said
    assert 1 == said.count("\n")


@pytest.mark.parametrize("name", ["k1", "c910", "a76"])
def test_the_program_builds_static(bench, name):
    target = load_target(name)
    data = program(bench.toolchain, target, probes(target))

    assert (b"\x7fELF", True) == (data[:4], b"ld-linux" not in data)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the probes of this test are x86-64 assembly; nothing to do")
def test_the_program_runs(bench, tmp_path):
    """Two probes for this processor: a chain of additions gives a clock, a chain of loads its L1 latency in cycles."""
    chain = "\n".join(["add $1, %rax"] * 96)
    load = "xor %eax, %eax\n1:\nmov (%rdi,%rax), %rax\ndec %rsi\njnz 1b"
    chosen = [
        Probe(name=CLOCK, text=chain, per_turn=96),
        Probe(name="chase L1", text=load, per_turn=1, bytes=2048, chains=1),
    ]
    texts = [
        f".globl {p.symbol}\n{p.symbol}:\n{p.text if '1:' in p.text else f'1:{chr(10)}{p.text}{chr(10)}dec %rsi{chr(10)}jnz 1b'}\nxor %eax, %eax\nret\n"
        for p in chosen
    ]
    machine = Machine.x86("x86-64")
    path = tmp_path / "program"
    path.write_bytes(
        bench.toolchain.static_program(BOARD.read_text(), {"probes.h": header(chosen)}, ".text\n" + "".join(texts), machine)
    )
    path.chmod(0o755)
    took_ps = read_output(subprocess.run([path], capture_output=True, text=True, timeout=60, check=True).stdout)

    assert 0.3e9 < 1e12 / (took_ps[CLOCK] / 96) < 7e9
    assert 2 < took_ps["chase L1"] / (took_ps[CLOCK] / 96) < 12
