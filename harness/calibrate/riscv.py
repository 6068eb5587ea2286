"""The microbenchmarks in RISC-V assembly, both vector dialects (0.7.1 is translated by `harness.isa.rvv071`)."""

from harness.calibrate.probes import CLOCK, LINE_BYTES, Probe
from harness.target import Target

REPEATS = 96
"""Instructions a turn, so that the loop's own two do not count."""
SCALAR = {
    "alu": ("add t{d}, t5, t5", "add t0, t0, t5"),
    "mul": ("mul t{d}, t5, t5", "mul t0, t0, t5"),
    "load": ("lw t{d}, 0(a0)", None),
    "store": ("sw t5, 0(a0)", None),
    "fload": ("flw ft{d}, 0(a0)", None),
    "fadd": ("fadd.s ft{d}, fa0, fa0", "fadd.s ft0, ft0, fa0"),
    "fma": ("fmadd.s ft{d}, fa0, fa0, fa1", "fmadd.s ft0, ft0, fa0, fa1"),
    "fdiv": ("fdiv.s ft{d}, fa0, fa1", None),
}
"""By class: one of many that do not wait for each other ({d} is 0 to 3), and one that feeds the next."""
VECTOR = {
    "vload": ("vle32.v v{d}, (a0)", None),
    "vstore": ("vse32.v v{a}, (a0)", None),
    "valu": ("vadd.vv v{d}, v{a}, v{a}", "vadd.vv v{d}, v{d}, v{a}"),
    "vlogic": ("vand.vv v{d}, v{a}, v{a}", "vand.vv v{d}, v{d}, v{a}"),
    "vmul": ("vmul.vv v{d}, v{a}, v{a}", "vmul.vv v{d}, v{d}, v{a}"),
    "vfadd": ("vfadd.vv v{d}, v{a}, v{a}", "vfadd.vv v{d}, v{d}, v{a}"),
    "vfmul": ("vfmul.vv v{d}, v{a}, v{a}", "vfmul.vv v{d}, v{d}, v{a}"),
    "vfma": ("vfmacc.vv v{d}, v{a}, v{a}", "vfmacc.vv v{d}, v{a}, v{a}"),
    "vfma_element": ("vfmacc.vf v{d}, fa0, v{a}", "vfmacc.vf v{d}, fa0, v{a}"),
    "vfadd_scalar": ("vfadd.vf v{d}, v{a}, fa0", "vfadd.vf v{d}, v{d}, fa0"),
    "vfdiv": ("vfdiv.vv v{d}, v{a}, v{a}", None),
    "vmove": ("vmv.v.v v{d}, v{a}", None),
    "vsplat": ("vfmv.v.f v{d}, fa0", None),
    "vpermute": ("vslidedown.vi v{d}, v{a}, 1", None),
}
LMULS = (1, 2, 4, 8)
FIRST_FREE = 8


class RiscvProbes:
    """RV64GC with RVV 1.0 or 0.7.1."""

    ENTRY = "opw_run:\nld t0, 8(a0)\nld a0, 16(a0)\nlw a1, 0(t0)\nj {symbol}"

    def clock(self) -> Probe:
        """Return the chain of additions."""
        return Probe(name=CLOCK, text="\n".join(["add t0, t0, t5"] * 4 * REPEATS), per_turn=4 * REPEATS)

    def vector(self, target: Target) -> list[Probe]:
        """Return scalar and vector instructions, the latter at every LMUL."""
        found = []
        for name, (free, chain) in SCALAR.items():
            found.append(_probe(f"{name} m1 throughput", "", [free.format(d=i % 4) for i in range(REPEATS)]))
            found += [_probe(f"{name} latency", "", [chain] * REPEATS)] if chain else []
        old = "xtheadvector" in target.features
        for name, (free, chain) in VECTOR.items():
            for lmul in LMULS:
                begin = f"vsetvli t1, x0, e32, m{lmul}{'' if old else ', ta, ma'}\n"
                groups = list(range(FIRST_FREE, 32, lmul))
                source, targets = groups[-1], groups[:-1]
                lines = [free.format(d=targets[i % len(targets)], a=source) for i in range(REPEATS)]
                found.append(_probe(f"{name} m{lmul} throughput", begin, [_dialect(line, old) for line in lines]))
                if chain and lmul == 1:
                    line = _dialect(chain.format(d=FIRST_FREE, a=source), old)
                    found.append(_probe(f"{name} latency", begin, [line] * REPEATS))
        return found

    def chase(self, name: str, size: int, chains: int) -> Probe:
        """Return chains of byte offsets in t0 to t6 and a2."""
        registers = ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "a2"][:chains]
        begin = "".join(f"li {r}, {LINE_BYTES * i}\n" for i, r in enumerate(registers))
        turn = "".join(f"add a3, a0, {r}\nld {r}, 0(a3)\n" for r in registers)
        return Probe(name=name, text=_loop(begin, turn), per_turn=chains, bytes=size, chains=chains)

    def stream(self, target: Target, name: str, size: int) -> Probe:
        """Return a walk over the first half, or from it to the second, in whole lines."""
        old = "xtheadvector" in target.features
        begin = f"li t2, {LINE_BYTES}\nvsetvli t1, t2, e8, m4{'' if old else ', ta, ma'}\n"
        begin += f"li t3, {size}\nadd a3, a0, t3\n"
        load, store = ("vle.v", "vse.v") if old else ("vle8.v", "vse8.v")
        turn = {
            "read": f"{load} v0, (a0)\nvadd.vv v8, v8, v0\naddi a0, a0, {LINE_BYTES}\n",
            "fill": f"{store} v0, (a3)\naddi a3, a3, {LINE_BYTES}\n",
            "copy": f"{load} v0, (a0)\n{store} v0, (a3)\naddi a0, a0, {LINE_BYTES}\naddi a3, a3, {LINE_BYTES}\n",
        }[name]
        return Probe(name=name, text=_loop(begin, turn), per_turn=1, bytes=size, walks=True)

    def function(self, probe: Probe) -> str:
        """Return the function; constants first: 0.0 is a number that no unit treats apart from others here."""
        text = probe.text if "\n1:" in f"\n{probe.text}" else _loop("", probe.text)
        set_up = "li t5, 3\nfcvt.s.w fa0, t5\nfcvt.s.w fa1, t5\n"
        return f".globl {probe.symbol}\n.type {probe.symbol}, @function\n{probe.symbol}:\n{set_up}{text}\nli a0, 0\nret\n"


def _loop(begin: str, turn: str) -> str:
    return f"{begin}1:\n{turn.rstrip()}\naddi a1, a1, -1\nbnez a1, 1b"


def _probe(name: str, begin: str, lines: list[str]) -> Probe:
    return Probe(name=name, text=_loop(begin, "\n".join(lines)), per_turn=len(lines))


def _dialect(line: str, old: bool) -> str:
    """Return the line as version 0.7.1 calls it: its loads have no width in their name."""
    return line.replace("vle32.v", "vle.v").replace("vse32.v", "vse.v") if old else line


PROBES = RiscvProbes()
