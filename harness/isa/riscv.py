"""
RISC-V: RV64GC and its vectors, RVV 1.0 and 0.7.1 (plain or with the prefix ``th.``), as far as kernels use them.

Resources: ``x1``..``x31``, ``f0``..``f31``, ``v0``..``v31``, and ``vtype``, which is vtype and vl. How many registers a
vector operand spans depends on LMUL, which a line does not say: `RiscV.within` reads every vsetvli of a text and claims
groups as large as any of them makes, at most as large as a register's number allows (a group of four begins at a
multiple of four). Floating-point flags only accumulate, so their order is free; whatever reads them is ``unknown``, as
is every other mnemonic that is not listed. Source: RISC-V unprivileged ISA; "V" extension 1.0 and 0.7.1.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from harness.isa import Address, Instruction, Memory
from harness.isa.lines import instruction_text, split_operands
from harness.isa.rvv071 import F, V, X


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


COMPUTES = _words("""
    add addi addw addiw sub subw neg negw and andi or ori xor xori not sll slli sllw slliw srl srli srlw srliw sra srai
    sraw sraiw slt slti sltu sltiu seqz snez sltz sgtz mv li lui sext.w zext.b mul mulw mulh mulhu mulhsu div divu divw
    divuw rem remu remw remuw sh1add sh2add sh3add add.uw min max minu maxu
    fadd.s fsub.s fmul.s fdiv.s fsqrt.s fmin.s fmax.s fmadd.s fmsub.s fnmadd.s fnmsub.s fmv.s fneg.s fabs.s fsgnj.s
    fsgnjn.s fsgnjx.s feq.s flt.s fle.s fmv.w.x fmv.x.w fcvt.s.w fcvt.s.l fcvt.w.s fcvt.l.s fcvt.s.d fcvt.d.s
    fadd.d fsub.d fmul.d fdiv.d fsqrt.d fmin.d fmax.d fmadd.d fmsub.d fnmadd.d fnmsub.d fmv.d fneg.d fabs.d fsgnj.d
    feq.d flt.d fle.d fmv.d.x fmv.x.d fcvt.d.w fcvt.d.l fcvt.w.d fcvt.l.d
    fadd.h fsub.h fmul.h fdiv.h fsqrt.h fmin.h fmax.h fmadd.h fmsub.h fnmadd.h fnmsub.h fmv.h fneg.h fabs.h fsgnj.h
    fsgnjn.h fsgnjx.h feq.h flt.h fle.h fmv.h.x fmv.x.h fcvt.s.h fcvt.h.s fcvt.d.h fcvt.h.d fcvt.h.w fcvt.w.h fcvt.h.l fcvt.l.h
""")
"""The first operand is written, the others are read."""
LOADS = {"lb": 1, "lbu": 1, "lh": 2, "lhu": 2, "lw": 4, "lwu": 4, "ld": 8, "flh": 2, "flw": 4, "fld": 8}
STORES = {"sb": 1, "sh": 2, "sw": 4, "sd": 8, "fsh": 2, "fsw": 4, "fsd": 8}
"""Bytes."""
PREFETCHES = _words("prefetch.r prefetch.w")
CONTROL = re.compile(r"b(eq|ne|lt|ge|ltu|geu|gt|le|gtu|leu)z?|j|jr")
CALLS = _words("jal jalr call tail ret ecall ebreak unimp mret sret")

VECTOR = _words("""
    vadd vsub vrsub vminu vmin vmaxu vmax vand vor vxor vnot vneg vsll vsrl vsra vmul vmulh vmulhu vmulhsu vdivu vdiv vremu
    vrem vmacc vnmsac vmadd vnmsub vmerge vmv vsaddu vsadd vssubu vssub vsmul vssrl vssra vadc vsbc vmadc vmsbc
    vmseq vmsne vmsltu vmslt vmsleu vmsle vmsgtu vmsgt vmand vmnand vmandn vmandnot vmor vmnor vmorn vmornot vmxor vmxnor
    vfadd vfsub vfrsub vfmul vfdiv vfrdiv vfsqrt vfmin vfmax vfsgnj vfsgnjn vfsgnjx vfneg vfabs vfmerge vfmv vfclass
    vfmacc vfnmacc vfmsac vfnmsac vfmadd vfnmadd vfmsub vfnmsub vfcvt vmfeq vmfne vmflt vmfle vmfgt vmfge
    vredsum vredmax vredmaxu vredmin vredminu vredand vredor vredxor vfredosum vfredusum vfredsum vfredmax vfredmin
    vslideup vslidedown vslide1up vslide1down vfslide1up vfslide1down vrgather vcompress vid viota vext
    vmsbf vmsif vmsof vcpop vmpopc vfirst vmfirst
    vwadd vwaddu vwsub vwsubu vwmul vwmulu vwmulsu vwmacc vwmaccu vwmaccsu vwmaccus vfwadd vfwsub vfwmul vfwmacc vfwnmacc
    vfwmsac vfwnmsac vfwcvt vfncvt vnsrl vnsra vnclip vnclipu vwredsum vwredsumu vfwredosum vfwredusum vfwredsum
    vzext vsext vmv1r vmv2r vmv4r vmv8r
""")
"""Names before the first dot; the first operand is written and, masked or past vl, partly kept."""
_WIDER = re.compile(r"v(f?w|f?n(cvt|srl|sra|clip))")
_SETS = re.compile(r"\b(?:th\.)?vset(?:i?vli)\s+[\w]+\s*,\s*[\w]+\s*,\s*(?:e(\d+)\s*,\s*)m(f?\d)")
_UNKNOWN_SET = re.compile(r"\b(?:th\.)?vsetvl\s")
_ACCESS = re.compile(r"v(?:[ls](?:s|ux|ox|x)?(?:seg[2-8])?e(?:i?\d+)?(?:ff)?|[ls](?:s|x|ux)?[bhw]u?(?:ff)?|[ls][1248]r(?:e\d+)?)\.v")
_COMMENT = re.compile(r"/\*.*?\*/|#.*|//.*")
_PLACE = re.compile(r"(-?(?:0x[0-9a-f]+|\d+)?)\s*\((\w+)\)")
_IMMEDIATE = re.compile(r"-?(?:0x[0-9a-f]+|\d+)|rne|rtz|rdn|rup|rmm|dyn")
_LARGEST = 8


@dataclass(frozen=True, slots=True)
class RiscV:
    """The ISA module's face; see `harness.isa.Isa`. Groups span `group` registers, widened ones twice that."""

    group: int = _LARGEST
    name: str = "riscv"

    def within(self, text: str) -> "RiscV":
        """Return the parser for lines of this text: no group is larger than its vsetvli allow."""
        return _within(text)

    def parse(self, line: str) -> Instruction | None:
        """Read one line of assembly."""
        return _parse(line, self.group)


ISA = RiscV()


@lru_cache(maxsize=256)
def _within(text: str) -> RiscV:
    code = _COMMENT.sub(" ", text.lower())
    settings = _SETS.findall(code)
    if not settings or _UNKNOWN_SET.search(code) or len(settings) != len(re.findall(r"\bvseti?vli\b", code)):
        return RiscV()
    return RiscV(max(1 if lmul.startswith("f") else int(lmul) for _, lmul in settings))


@lru_cache(maxsize=65536)
def _parse(line: str, group: int) -> Instruction | None:
    text = instruction_text(line, _COMMENT)
    if not text:
        return None
    mnemonic, _, rest = text.lower().partition(" ")
    bare = mnemonic.removeprefix("th.")
    if CONTROL.fullmatch(bare):
        raise ValueError(f"the branch `{mnemonic}`")
    if bare in CALLS:
        raise ValueError(f"the call or return `{mnemonic}`")
    parts = split_operands(rest)
    read = _vector if bare.startswith("v") else _scalar
    found = read(bare, parts, group)
    if found is None:
        return Instruction(text=text, mnemonic=mnemonic, unknown=True)
    reads, writes, memory, address = found
    return Instruction(
        text=text,
        mnemonic=mnemonic,
        reads=frozenset(reads - {"x0"}),
        writes=frozenset(writes - {"x0"}),
        memory=memory,
        address=address,
    )


Found = tuple[set[str], set[str], Memory, Address | None]


def _register(text: str) -> str | None:
    """Return the resource of a scalar register, empty for an immediate, None for what is neither."""
    if text in X:
        return f"x{X[text]}"
    if text in F:
        return f"f{F[text]}"
    return "" if _IMMEDIATE.fullmatch(text) else None


def _place(text: str, size: int) -> tuple[str, Address | None] | None:
    """Read ``8(a1)``: the base, and the bytes where their number is known."""
    found = _PLACE.fullmatch(text)
    if not found or found[2] not in X:
        return None
    base = f"x{X[found[2]]}"
    known = Address(terms=((base, 1),), displacement=int(found[1] or "0", 0), bytes=size) if size and base != "x0" else None
    return base, known


def _scalar(mnemonic: str, parts: list[str], group: int) -> Found | None:
    del group
    if mnemonic == "nop" and not parts:
        return set(), set(), Memory.NONE, None
    if mnemonic in PREFETCHES and len(parts) == 1:
        place = _place(parts[0], 64)
        return ({place[0]}, set(), Memory.PREFETCH, place[1]) if place else None
    if mnemonic in LOADS or mnemonic in STORES:
        register = _register(parts[0]) if len(parts) == 2 else None
        place = _place(parts[1], LOADS.get(mnemonic) or STORES[mnemonic]) if register else None
        if place is None:
            return None
        if mnemonic in LOADS:
            return {place[0]}, {register}, Memory.LOAD, place[1]
        return {place[0], register}, set(), Memory.STORE, place[1]
    names = [_register(part) for part in parts]
    if mnemonic not in COMPUTES or not names or None in names or not names[0]:
        return None
    return set(names[1:]) - {""}, {names[0]}, Memory.NONE, None


def _span(text: str, count: int) -> set[str]:
    """Return the registers of a group that begins at a vector register: at most `count`, aligned as groups are."""
    number = V[text]
    aligned = number & -number or _LARGEST
    return {f"v{number + i}" for i in range(min(count, aligned, 32 - number))}


def _vector(mnemonic: str, parts: list[str], group: int) -> Found | None:
    masked = parts and parts[-1] in ("v0.t", "v0")
    reads = {"vtype"} | ({"v0"} if masked else set())
    if mnemonic in ("vsetvli", "vsetivli", "vsetvl") and len(parts) >= 3:
        names = [_register(part) for part in parts[:2]]
        if mnemonic == "vsetvl" or None in names:
            return None
        return ({names[1]} | {"vtype"}) - {""}, {names[0], "vtype"} - {""}, Memory.NONE, None
    if _ACCESS.fullmatch(mnemonic):
        return _vector_access(mnemonic, parts, reads)
    if mnemonic.split(".")[0] not in VECTOR or len(parts) < 1:
        return None
    count = min(2 * group, _LARGEST) if _WIDER.match(mnemonic) or mnemonic.startswith("vrgather") else group
    count = int(found[1]) if (found := re.fullmatch(r"vmv([1248])r\.v", mnemonic)) else count
    operands: list[set[str]] = []
    for part in parts:
        if part in V:
            operands.append(_span(part, count))
        elif part == "v0.t":
            operands.append({"v0"})
        elif (register := _register(part)) is not None:
            operands.append({register} - {""})
        else:
            return None
    writes = operands[0]
    kept = writes if parts[0] in V else set()  # lanes that are masked or past vl; the target of a multiply-add
    return reads | kept | set().union(*operands[1:]), writes, Memory.NONE, None


def _vector_access(mnemonic: str, parts: list[str], reads: set[str]) -> Found | None:
    """
    Read a vector load or store; how many bytes depends on vl, so it may be anywhere.

    EEW may differ from SEW and segments add registers, so the group is the largest that the number allows, and for
    segments every register from it on.
    """
    place = _place(parts[1], 0) if len(parts) >= 2 and parts[0] in V else None
    if place is None:
        return None
    first = V[parts[0]]
    data = {f"v{number}" for number in range(first, min(first + 8, 32))} if "seg" in mnemonic else _span(parts[0], _LARGEST)
    reads = reads | {place[0]}
    for part in parts[2:]:
        if part in V:
            reads |= _span(part, _LARGEST)
        elif part != "v0.t" and (register := _register(part)):
            reads.add(register)
        elif part != "v0.t":
            return None
    if mnemonic.startswith("vl"):
        writes = data | ({"vtype"} if "ff" in mnemonic else set())
        return reads | data, writes, Memory.LOAD, None
    return reads | data, set(), Memory.STORE, None
