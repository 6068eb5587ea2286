"""The microbenchmarks in AArch64 assembly."""

from harness.calibrate.probes import CLOCK, LINE_BYTES, Probe
from harness.target import Target

REPEATS = 96
"""Instructions a turn, so that the loop's own two do not count."""
SCALAR = {
    "alu": ("add x{x}, x7, x7", "add x4, x4, x7"),
    "mul": ("mul x{x}, x7, x7", "mul x4, x4, x7"),
    "load": ("ldr w{x}, [x0]", None),
    "store": ("str w7, [x0]", None),
    "fadd": ("fadd s{d}, s16, s16", "fadd s1, s1, s16"),
    "fmul": ("fmul s{d}, s16, s16", "fmul s1, s1, s16"),
    "fma": ("fmadd s{d}, s16, s16, s17", "fmadd s1, s1, s16, s17"),
    "fdiv": ("fdiv s{d}, s16, s17", None),
    "vload": ("ldr q{d}, [x0]", None),
    "vload_pair": ("ldp q{d}, q{e}, [x0]", None),
    "vload_lane": ("ld1r {{v{d}.4s}}, [x0]", None),
    "vstore": ("str q16, [x0]", None),
    "vstore_pair": ("stp q16, q17, [x0]", None),
    "valu": ("add v{d}.4s, v16.4s, v16.4s", "add v1.4s, v1.4s, v16.4s"),
    "vlogic": ("and v{d}.16b, v16.16b, v17.16b", "and v1.16b, v1.16b, v16.16b"),
    "vmul": ("mul v{d}.4s, v16.4s, v16.4s", "mul v1.4s, v1.4s, v16.4s"),
    "vfadd": ("fadd v{d}.4s, v16.4s, v16.4s", "fadd v1.4s, v1.4s, v16.4s"),
    "vfmul": ("fmul v{d}.4s, v16.4s, v16.4s", "fmul v1.4s, v1.4s, v16.4s"),
    "vfma": ("fmla v{d}.4s, v16.4s, v17.4s", "fmla v1.4s, v16.4s, v17.4s"),
    "vfma_element": ("fmla v{d}.4s, v16.4s, v17.s[1]", "fmla v1.4s, v16.4s, v17.s[1]"),
    "vfdiv": ("fdiv v{d}.4s, v16.4s, v17.4s", None),
    "vpermute": ("zip1 v{d}.4s, v16.4s, v17.4s", "zip1 v1.4s, v1.4s, v16.4s"),
}
"""By class: one of many that do not wait for each other, and one that feeds the next."""


class NeonProbes:
    """ARMv8-A with Advanced SIMD."""

    ENTRY = "opw_run:\nldr x3, [x0, #8]\nldr x0, [x0, #16]\nldrsw x1, [x3]\nb {symbol}"

    def clock(self) -> Probe:
        """Return the chain of additions."""
        return Probe(name=CLOCK, text="\n".join(["add x4, x4, x7"] * 4 * REPEATS), per_turn=4 * REPEATS)

    def vector(self, target: Target) -> list[Probe]:
        """Return scalar and vector instructions."""
        found = []
        for name, (free, chain) in SCALAR.items():
            lines = [free.format(x=8 + i % 4, d=18 + i % 12, e=19 + i % 12) for i in range(REPEATS)]
            found.append(Probe(name=f"{name} m1 throughput", text="\n".join(lines), per_turn=REPEATS))
            if chain:
                found.append(Probe(name=f"{name} latency", text="\n".join([chain] * REPEATS), per_turn=REPEATS))
        return found

    def chase(self, name: str, size: int, chains: int) -> Probe:
        """Return chains of byte offsets in x4 and from x8 on."""
        registers = ["x4", "x8", "x9", "x10", "x11", "x12", "x13", "x14"][:chains]
        begin = "".join(f"mov {r}, #{LINE_BYTES * i}\n" for i, r in enumerate(registers))
        turn = "".join(f"add x3, x0, {r}\nldr {r}, [x3]\n" for r in registers)
        return Probe(name=name, text=_loop(begin, turn), per_turn=chains, bytes=size, chains=chains)

    def stream(self, target: Target, name: str, size: int) -> Probe:
        """Return a walk over the first half, or from it to the second, in whole lines."""
        begin = f"mov x3, #{size}\nadd x3, x0, x3\n"
        loads = "ldp q0, q1, [x0], #32\nldp q2, q3, [x0], #32\n"
        stores = "stp q0, q1, [x3], #32\nstp q2, q3, [x3], #32\n"
        sums = "".join(f"add v{4 + i}.4s, v{4 + i}.4s, v{i}.4s\n" for i in range(4))
        turn = {"read": loads + sums, "fill": stores, "copy": loads + stores}[name]
        return Probe(name=name, text=_loop(begin, turn), per_turn=1, bytes=size, walks=True)

    def function(self, probe: Probe) -> str:
        """Return the function."""
        text = probe.text if "\n1:" in f"\n{probe.text}" else _loop("", probe.text)
        set_up = "mov x7, #3\nfmov v16.4s, #3.0\nfmov v17.4s, #3.0\n"
        return f".globl {probe.symbol}\n.type {probe.symbol}, @function\n{probe.symbol}:\n{set_up}{text}\nmov x0, #0\nret\n"


def _loop(begin: str, turn: str) -> str:
    return f"{begin}1:\n{turn.rstrip()}\nsubs x1, x1, #1\nb.ne 1b"


PROBES = NeonProbes()
