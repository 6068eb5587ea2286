"""
Vector instructions one at a time: text that loads registers, runs one instruction and stores its destination.

Operands lie at A: the mask, then vs2, vs1 and the old vd, eight registers each; results go to C, eight registers for
each instruction, moved as raw bytes so that nothing but the instruction under test depends on vtype.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.kernel import KernelText
from harness.machine import Machine
from harness.operator import Operand
from harness.record import Verdict
from harness.runners.arena import Arena, Placement
from harness.runners.native import NativeObject
from harness.target import Target

VS2, VS1, VD = 8, 16, 24
INTEGER = ["vadd.vv", "vsub.vv", "vadd.vx", "vrsub.vx", "vadd.vi", "vminu.vv", "vmin.vv", "vmaxu.vv", "vmax.vx", "vand.vv"]
INTEGER += ["vor.vx", "vxor.vi", "vsll.vv", "vsrl.vx", "vsra.vi", "vmul.vv", "vmulh.vv", "vmulhu.vx", "vmacc.vv", "vnmsac.vx"]
INTEGER += ["vmadd.vx", "vdivu.vv", "vdiv.vv", "vremu.vv", "vrem.vv"]
FLOAT = ["vfadd.vv", "vfsub.vf", "vfrsub.vf", "vfmul.vv", "vfmul.vf", "vfmin.vv", "vfmax.vf", "vfsgnjn.vv", "vfsgnjx.vf"]
FLOAT += ["vfmacc.vv", "vfmacc.vf", "vfnmacc.vv", "vfmsac.vf", "vfnmsac.vv", "vfmadd.vf", "vfdiv.vv", "vfsqrt.v"]
WIDTHS = ["vfwadd.vv", "vfwsub.vf", "vfwadd.wv", "vfwsub.wf", "vfwmul.vv", "vfwmacc.vv", "vfwmacc.vf", "vfwnmacc.vf", "vfwmsac.vv"]
WIDTHS += ["vfwnmsac.vf", "vfwcvt.f.f.v", "vfwcvt.f.x.v", "vfwcvt.f.xu.v", "vfwcvt.x.f.v", "vfwcvt.xu.f.v", "vfwcvt.rtz.x.f.v"]
WIDTHS += ["vfwcvt.rtz.xu.f.v", "vfncvt.f.f.w", "vfncvt.rod.f.f.w", "vfncvt.f.x.w", "vfncvt.f.xu.w", "vfncvt.x.f.w", "vfncvt.xu.f.w"]
WIDTHS += ["vfncvt.rtz.x.f.w", "vfncvt.rtz.xu.f.w", "vfcvt.x.f.v", "vfcvt.xu.f.v", "vfcvt.f.x.v", "vfcvt.f.xu.v", "vfcvt.rtz.x.f.v"]
WIDTHS += ["vfcvt.rtz.xu.f.v", "vfclass.v", "vfslide1up.vf", "vfslide1down.vf", "vmfeq.vv", "vmfne.vf", "vmfle.vv", "vmflt.vf", "vmfgt.vf"]
WIDTHS += ["vmfge.vf", "vfredosum.vs", "vfredmin.vs", "vfredmax.vs", "vfmerge.vfm", "vfmv.v.f", "vfmv.s.f"]
"""Version 1.0: results of another width or kind than the operands."""
FLOATS = {16: np.float16, 32: np.float32, 64: np.float64}


@dataclass(frozen=True, slots=True)
class Setting:
    """vtype, vl and mask of a probe."""

    sew: int
    lmul: int
    vl: int
    masked: bool = False

    def __str__(self) -> str:
        return f"e{self.sew}m{self.lmul}vl{self.vl}{'masked' if self.masked else ''}"


def operands(instruction: str) -> str:
    """Return the operands of an instruction of three."""
    form = instruction.rsplit(".", 1)[1]
    if form in ("v", "w"):
        return f"v{VD}, v{VS2}"
    if form == "f":
        return f"v{VD}, fa0"
    last = {"vx": "t5", "vi": "5", "vf": "fa0", "wf": "fa0", "vfm": "fa0, v0"}.get(form, f"v{VS1}")
    backwards = instruction[:-3].lstrip("v") in (
        "macc", "nmsac", "madd", "nmsub", "fmacc", "fnmacc", "fmsac", "fnmsac", "fmadd", "fnmadd", "fmsub", "fnmsub",
        "fwmacc", "fwnmacc", "fwmsac", "fwnmsac",
    )  # fmt: skip
    return f"v{VD}, {last}, v{VS2}" if backwards else f"v{VD}, v{VS2}, {last}"


def probe_text(instructions: Sequence[str], setting: Setting, old: bool, vlenb: int) -> str:
    """Return `opw_run`."""
    policy, byte = ("", "vle.v") if old else (", tu, mu", "vle8.v")
    raw = f"li t0, {8 * vlenb}\nvsetvli t1, t0, e8, m8{policy}"
    load = {16: "flw" if old else "flh", 64: "fld"}.get(setting.sew, "flw")
    lines = ["ld a5, 0(a0)", "ld a6, 16(a0)", "li t5, -12345", f"{load} fa0, {25 * vlenb}(a5)"]
    for instruction in instructions:
        lines += [raw, "mv t2, a5", f"li t0, {vlenb}", f"vsetvli t1, t0, e8, m1{policy}", f"{byte} v0, (t2)", raw]
        for register in (VS2, VS1, VD):
            lines += [f"addi t2, t2, {vlenb if register == VS2 else 8 * vlenb}", f"{byte} v{register}, (t2)"]
        lines += [f"li t0, {setting.vl}", f"vsetvli t1, t0, e{setting.sew}, m{setting.lmul}{policy}"]
        mask = ", v0.t" if setting.masked and not instruction.startswith(("vfmv", "vfmerge")) else ""
        lines += [f"{instruction} {operands(instruction)}{mask}", raw]
        lines += [f"{'vse.v' if old else 'vse8.v'} v{VD}, (a6)", f"addi a6, a6, {8 * vlenb}"]
    return "\n".join([".text", ".globl opw_run", ".type opw_run, @function", "opw_run:", *lines, "li a0, 0", "ret"]) + "\n"


def drawn(target: Target, sew: int, seed: int = 0) -> np.ndarray:
    """Random registers; as floats, small numbers with few bits among special ones."""
    rng = np.random.default_rng(seed)
    vlenb = target.vector_bits.value // 8
    given = rng.integers(0, 256, 26 * vlenb).astype(np.uint8)
    if sew in FLOATS and seed:
        kind = FLOATS[sew]
        values = (rng.integers(-999, 999, given.size // kind().itemsize) / 8).astype(kind)
        special, any_bits = rng.random((2, values.size)) < 0.15
        values[special] = rng.choice(np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, np.finfo(kind).tiny / 4], kind), special.sum())
        values[any_bits] = given.view(kind)[any_bits]
        given[vlenb:] = values.view(np.uint8)[vlenb:]
    return given


def register(given: np.ndarray, number: int, kind: np.dtype) -> np.ndarray:
    """The eight registers of an operand."""
    vlenb = given.size // 26
    at = {VS2: 1, VS1: 9, VD: 17}[number] * vlenb
    return given[at : at + 8 * vlenb].view(kind)


def run_probe(bench, target: Target, instructions: Sequence[str], setting: Setting, given: np.ndarray) -> np.ndarray:
    """Run a probe in the emulator; a row of bytes for each instruction."""
    vlenb = target.vector_bits.value // 8
    text = probe_text(instructions, setting, "xtheadvector" in target.features, vlenb)
    kernel = KernelText(name="opw_run", role="whole", signature="opw_run", text=text)
    (built,) = bench.toolchain.assemble([kernel], Machine.of(target), trusted=False).values()
    assert not isinstance(built, Verdict), str(built)
    spec = ProbeSpec(given.size // 4, len(instructions) * 8 * vlenb // 4)
    with bench.worker(target) as worker, Arena(spec, Placement.ALIGNED) as arena:
        arena.fill({"A": given.view(np.float32).reshape(1, -1), "B": np.zeros((1, 1), np.float32)})
        with worker.open(NativeObject(name="probe", libraries=(built,)), arena) as session:
            verdict = session.call(1)
            assert verdict.ok, str(verdict)
        return arena.view("C").copy().view(np.uint8).reshape(len(instructions), 8 * vlenb)


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """Enough of an `OperatorSpec` for the runner: floats in, floats out."""

    given: int
    results: int

    def operands(self) -> tuple[Operand, ...]:
        def row(name: str, mode: str, count: int) -> Operand:
            return Operand(name=name, mode=mode, shape=(1, count), strides=(count, 1))

        return row("A", "in", self.given), row("B", "in", 1), row("C", "out", self.results)

    def dims(self) -> dict[str, int]:
        return {}

    def scalars(self) -> tuple[float, ...]:
        return ()
