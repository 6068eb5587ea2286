"""
AArch64 with Advanced SIMD (NEON): scalar code, floating point, vectors, loads and stores, as far as kernels use them.

Resources: ``v0``..``v31`` (b, h, s, d, q and every arrangement), ``x0``..``x30`` (w as well), ``sp``, ``flags``.
Writing a w register or a scalar of a v register clears the rest, so it writes all of it; a lane keeps the others, so it
reads its destination too. The zero register is no resource. A mnemonic or operand that is not understood makes the
line ``unknown``: nothing may pass it. Source: Arm Architecture Reference Manual DDI 0487, C6 and C7.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from harness.isa import Address, Instruction, Memory
from harness.isa.lines import instruction_text, split_operands

FLAGS = frozenset({"flags"})


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


WRITES = _words("""
    mov mvn movz movn movi mvni fmov dup neg negs add sub adc sbc and bic orr orn eor eon lsl lsr asr ror extr
    madd msub mul mneg smull umull smaddl umaddl smulh umulh sdiv udiv clz cls rbit rev rev16 rev32 rev64
    sxtb sxth sxtw uxtb uxth sbfx ubfx sbfiz ubfiz umov smov
    fadd fsub fmul fdiv fnmul fmadd fmsub fnmadd fnmsub fneg fabs fsqrt fmax fmin fmaxnm fminnm fabd fmulx
    fcvt fcvtl fcvtl2 fcvtn fcvtzs fcvtzu fcvtns fcvtnu scvtf ucvtf frintn frintp frintm frintz frinta frecpe frsqrte
    frecps frsqrts faddp fmaxp fminp fmaxnmp fminnmp fmaxv fminv fmaxnmv fminnmv fcmeq fcmge fcmgt fcmle fcmlt
    zip1 zip2 uzp1 uzp2 trn1 trn2 ext tbl cmeq cmge cmgt cmhi cmhs cmle cmlt cmtst not cnt abs addp addv saddlv uaddlv
    smax smin umax umin smaxv sminv umaxv uminv smaxp sminp umaxp uminp sabd uabd shl sshr ushr srshr urshr sshl ushl
    sshll ushll sshll2 ushll2 sxtl uxtl sxtl2 uxtl2 xtn shrn saddl uaddl saddw uaddw ssubl usubl saddlp uaddlp
    smull2 umull2 sqadd uqadd sqsub uqsub sqxtn uqxtn sqxtun
""")
"""The first operand is written, the others are read."""
UPDATES = _words("""
    fmla fmls mla mls sdot udot bit bif bsl ins movk bfi bfxil tbx sli sri ssra usra srsra ursra saba uaba
    smlal umlal smlsl umlsl smlal2 umlal2 smlsl2 umlsl2 sabal uabal sadalp uadalp xtn2 shrn2 fcvtn2 sqxtn2 uqxtn2
""")
"""The first operand is read and written."""
WRITES_WITH_FLAGS = _words("adds subs ands bics")
COMPARES = _words("cmp cmn tst fcmp fcmpe")
CONDITIONAL_COMPARES = _words("ccmp ccmn fccmp")
SELECTS = _words("csel csinc csinv csneg cset csetm cinc cinv cneg fcsel adc sbc")
"""These read the flags."""
LOADS = {"ldr": 0, "ldur": 0, "ldrb": 1, "ldurb": 1, "ldrh": 2, "ldurh": 2, "ldrsb": 1, "ldrsh": 2, "ldrsw": 4, "ldursw": 4}
"""Bytes; 0: those of the register."""
STORES = {"str": 0, "stur": 0, "strb": 1, "sturb": 1, "strh": 2, "sturh": 2}
LOAD_PAIRS, STORE_PAIRS = {"ldp": 0, "ldnp": 0, "ldpsw": 4}, {"stp": 0, "stnp": 0}
LOAD_LISTS, STORE_LISTS = _words("ld1 ld2 ld3 ld4 ld1r ld2r ld3r ld4r"), _words("st1 st2 st3 st4")
PREFETCHES = _words("prfm prfum")
CONTROL = re.compile(r"b|br|cbn?z|tbn?z|b\.\w+")
CALLS = _words("bl blr ret svc hvc smc brk hlt udf eret")
CONDITION_CODES = _words("eq ne cs hs cc lo mi pl vs vc hi ls ge lt gt le al nv")

_COMMENT = re.compile(r"/\*.*?\*/|//.*|^#.*")
_SCALAR_BYTES = {"w": 4, "x": 8, "b": 1, "h": 2, "s": 4, "d": 8, "q": 16}
_GENERAL = re.compile(r"([wx])(\d+|zr)|w?sp")
_SCALAR = re.compile(r"([bhsdq])(\d+)")
_VECTOR = re.compile(r"v(\d+)(?:\.(\d*)([bhsd]))?(?:\[(\d+)\])?")
_IMMEDIATE = re.compile(r"#?-?(?:0x[0-9a-f]+|\d+(?:\.\d+)?(?:e-?\d+)?)")
_MODIFIER = re.compile(r"(?:lsl|lsr|asr|ror|msl|[su]xt[bhwx])(?: #\d+)?")
_MEMORY = re.compile(r"\[([^\]]*)\](!?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operand:
    """A register (``resource``, empty for the zero register), or something that is none (``bytes`` 0)."""

    resource: str = ""
    bytes: int = 0
    lane: bool = False
    """One lane of a vector: writing it keeps the others."""


class Neon:
    """The ISA module's face; see `harness.isa.Isa`."""

    name = "neon"

    def within(self, text: str) -> "Neon":
        """Return itself: a line says all."""
        return self

    @staticmethod
    @lru_cache(maxsize=65536)
    def parse(line: str) -> Instruction | None:
        """Read one line of A64 assembly."""
        text = instruction_text(line, _COMMENT)
        if not text:
            return None
        mnemonic, _, rest = text.lower().partition(" ")
        if CONTROL.fullmatch(mnemonic):
            raise ValueError(f"the branch `{mnemonic}`")
        if mnemonic in CALLS:
            raise ValueError(f"the call or return `{mnemonic}`")
        found = _access(text, mnemonic, rest) if "[" in rest and _is_access(mnemonic) else _compute(text, mnemonic, rest)
        return found or Instruction(text=text, mnemonic=mnemonic, unknown=True)


ISA = Neon()


def _is_access(mnemonic: str) -> bool:
    return mnemonic in PREFETCHES or mnemonic.startswith(("ld", "st"))


def _operand(text: str) -> _Operand | None:
    """Read one operand, or return None if it is none that a kernel should use."""
    if found := _GENERAL.fullmatch(text):
        if text in ("sp", "wsp"):
            return _Operand(resource="sp", bytes=8)
        zero = found[2] == "zr"
        return _Operand(resource="" if zero else f"x{found[2]}", bytes=_SCALAR_BYTES[found[1]]) if zero or int(found[2]) < 31 else None
    if (found := _SCALAR.fullmatch(text)) and int(found[2]) < 32:
        return _Operand(resource=f"v{found[2]}", bytes=_SCALAR_BYTES[found[1]])
    if (found := _VECTOR.fullmatch(text)) and int(found[1]) < 32:
        element = _SCALAR_BYTES[found[3]] if found[3] else 16
        whole = int(found[2] or 0) * element or 16
        return _Operand(resource=f"v{found[1]}", bytes=element if found[4] else whole, lane=bool(found[4]))
    if _IMMEDIATE.fullmatch(text) or _MODIFIER.fullmatch(text) or text in CONDITION_CODES:
        return _Operand()
    return None


def _list(text: str) -> list[_Operand] | None:
    """Read ``{v0.4s, v1.4s}``, ``{v0.4s-v3.4s}`` or ``{v0.s}[1]``."""
    found = re.fullmatch(r"\{([^}]*)\}(\[\d+\])?", text)
    if not found:
        return None
    names = [name.strip() for name in found[1].split(",")]
    if len(names) == 1 and (span := re.fullmatch(r"v(\d+)\.(\w+) ?- ?v(\d+)\.\w+", names[0])):
        count = (int(span[3]) - int(span[1])) % 32 + 1
        names = [f"v{(int(span[1]) + k) % 32}.{span[2]}" for k in range(count)]
    operands = [_operand(name + (found[2] or "")) for name in names]
    return operands if all(operand is not None for operand in operands) else None


def _compute(text: str, mnemonic: str, rest: str) -> Instruction | None:
    """Read an instruction that touches no memory."""
    if mnemonic == "nop":
        return Instruction(text=text, mnemonic=mnemonic)
    parts = split_operands(rest)
    tables = [_list(part) if part.startswith("{") else [_operand(part)] for part in parts]
    if not parts or any(table is None or None in table for table in tables):
        return None
    reads = {o.resource for table in tables[1:] for o in table}
    writes: set[str] = set()
    first = tables[0][0]
    if mnemonic in COMPARES or mnemonic in CONDITIONAL_COMPARES:
        reads.add(first.resource)
        writes |= FLAGS
        reads |= FLAGS if mnemonic in CONDITIONAL_COMPARES else set()
    elif mnemonic in WRITES or mnemonic in UPDATES or mnemonic in WRITES_WITH_FLAGS or mnemonic in SELECTS:
        writes.add(first.resource)
        if mnemonic in UPDATES or first.lane or (mnemonic == "fmov" and ".d[1]" in parts[0]):
            reads.add(first.resource)
        writes |= FLAGS if mnemonic in WRITES_WITH_FLAGS or mnemonic == "negs" else set()
        reads |= FLAGS if mnemonic in SELECTS else set()
    else:
        return None
    return Instruction(
        text=text, mnemonic=mnemonic, reads=frozenset(reads - {""}), writes=frozenset(writes - {""})
    )


def _registers(mnemonic: str, parts: list[str]) -> tuple[list[_Operand], int, bool] | None:
    """Return what is transferred: registers, bytes, whether the registers are written."""
    if mnemonic in PREFETCHES:
        return [], 64, False
    loads = mnemonic in LOADS or mnemonic in LOAD_PAIRS or mnemonic in LOAD_LISTS
    if mnemonic in LOAD_LISTS or mnemonic in STORE_LISTS:
        operands = _list(parts[0])
        element = re.search(r"\.\d*([bhsd])", parts[0])
        if not operands or not element:
            return None
        one = _SCALAR_BYTES[element[1]] if mnemonic.endswith("r") else operands[0].bytes
        return operands, one * len(operands), loads
    singles, pairs = {**LOADS, **STORES}, {**LOAD_PAIRS, **STORE_PAIRS}
    count = 1 if mnemonic in singles else 2 if mnemonic in pairs else 0
    operands = [_operand(part) for part in parts[:count]]
    if not count or len(parts) <= count or any(operand is None or not operand.bytes for operand in operands):
        return None
    return operands, ({**singles, **pairs}[mnemonic] or operands[0].bytes) * count, loads


def _access(text: str, mnemonic: str, rest: str) -> Instruction | None:
    """Read a load, store or prefetch."""
    parts = split_operands(rest)
    place = next((at for at, part in enumerate(parts) if part.startswith("[")), None)
    moved = _registers(mnemonic, parts)
    if moved is None or place is None or place != len(parts) - 1 - (not parts[-1].startswith("[")):
        return None
    operands, size, loads = moved
    found = _MEMORY.fullmatch(parts[place])
    address = _address(found[1], size) if found else None
    after = parts[place + 1] if place + 1 < len(parts) else ""
    if address is None or (after and (found[2] or not (_IMMEDIATE.fullmatch(after) or _GENERAL.fullmatch(after)))):
        return None
    base, index, where = address
    reads, writes = {base, index}, set()
    if found[2] or after:
        writes.add(base)
        step = _operand(after) if after else None
        reads.add(step.resource if step else "")
    touched = {operand.resource for operand in operands}
    if loads:
        writes |= touched
        reads |= {operand.resource for operand in operands if operand.lane}
    else:
        reads |= touched
    memory = Memory.PREFETCH if mnemonic in PREFETCHES else Memory.LOAD if loads else Memory.STORE
    return Instruction(
        text=text,
        mnemonic=mnemonic,
        reads=frozenset(reads - {""}),
        writes=frozenset(writes - {""}),
        memory=memory,
        address=where,
    )


def _address(inside: str, size: int) -> tuple[str, str, Address | None] | None:
    """Read ``x1``, ``x1, #16`` or ``x1, x2, lsl #2``: base, index, and the bytes where they can be told."""
    parts = [part.strip() for part in inside.split(",")]
    base = _operand(parts[0])
    if base is None or not base.resource or base.bytes != 8:
        return None
    if len(parts) == 1 or (len(parts) == 2 and _IMMEDIATE.fullmatch(parts[1])):
        offset = int(parts[1].lstrip("#"), 0) if len(parts) == 2 else 0
        return base.resource, "", Address(terms=((base.resource, 1),), displacement=offset, bytes=size)
    index = _operand(parts[1])
    if index is None or not index.bytes or len(parts) > 3 or (len(parts) == 3 and not _MODIFIER.fullmatch(parts[2])):
        return None
    shift = re.fullmatch(r"lsl #(\d+)", parts[2]) if len(parts) == 3 else re.match("", "")
    if index.bytes != 8 or not shift or not index.resource or index.resource == base.resource:
        return base.resource, index.resource, None
    scale = 1 << int(shift[1]) if len(parts) == 3 else 1
    terms = tuple(sorted(((base.resource, 1), (index.resource, scale))))
    return base.resource, index.resource, Address(terms=terms, displacement=0, bytes=size)
