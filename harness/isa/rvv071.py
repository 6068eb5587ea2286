"""
Assemble RVV 0.7.1 (T-Head's XTheadVector): its mnemonics, plain or with the prefix ``th.``, into ``.word``.

No assembler in the toolchain knows this version, whose encodings version 1.0 reuses for other things. Everything that
is not a vector instruction passes untouched. After the RISC-V "V" extension, version 0.7.1 (riscv-v-spec, 2019-06);
encodings are tested against GNU binutils 2.44.
"""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches

from harness.errors import BadRequest

_ABI_X = "zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 t3 t4 t5 t6"
_ABI_F = "ft0 ft1 ft2 ft3 ft4 ft5 ft6 ft7 fs0 fs1 fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7"
_ABI_F += " fs2 fs3 fs4 fs5 fs6 fs7 fs8 fs9 fs10 fs11 ft8 ft9 ft10 ft11"
X = {name: i for i, name in enumerate(_ABI_X.split())} | {f"x{i}": i for i in range(32)} | {"fp": 8}
F = {name: i for i, name in enumerate(_ABI_F.split())} | {f"f{i}": i for i in range(32)}
V = {f"v{i}": i for i in range(32)}

OP_V, LOAD_FP, STORE_FP = 0x57, 0x07, 0x27
OPIVV, OPFVV, OPMVV, OPIVI, OPIVX, OPFVF, OPMVX = range(7)

# funct6 and the operand forms, as the opcode map of the specification has them.
_INTEGER = {
    "vadd": (0x00, "vv vx vi"), "vsub": (0x02, "vv vx"), "vrsub": (0x03, "vx vi"), "vminu": (0x04, "vv vx"),
    "vmin": (0x05, "vv vx"), "vmaxu": (0x06, "vv vx"), "vmax": (0x07, "vv vx"), "vand": (0x09, "vv vx vi"),
    "vor": (0x0A, "vv vx vi"), "vxor": (0x0B, "vv vx vi"), "vrgather": (0x0C, "vv vx vi"), "vslideup": (0x0E, "vx vi"),
    "vslidedown": (0x0F, "vx vi"), "vmseq": (0x18, "vv vx vi"), "vmsne": (0x19, "vv vx vi"), "vmsltu": (0x1A, "vv vx"),
    "vmslt": (0x1B, "vv vx"), "vmsleu": (0x1C, "vv vx vi"), "vmsle": (0x1D, "vv vx vi"), "vmsgtu": (0x1E, "vx vi"),
    "vmsgt": (0x1F, "vx vi"), "vsaddu": (0x20, "vv vx vi"), "vsadd": (0x21, "vv vx vi"), "vssubu": (0x22, "vv vx"),
    "vssub": (0x23, "vv vx"), "vsll": (0x25, "vv vx vi"), "vsmul": (0x27, "vv vx"), "vsrl": (0x28, "vv vx vi"),
    "vsra": (0x29, "vv vx vi"), "vssrl": (0x2A, "vv vx vi"), "vssra": (0x2B, "vv vx vi"), "vnsrl": (0x2C, "vv vx vi"),
    "vnsra": (0x2D, "vv vx vi"), "vnclipu": (0x2E, "vv vx vi"), "vnclip": (0x2F, "vv vx vi"),
    "vwredsumu": (0x30, "vs"), "vwredsum": (0x31, "vs"),
}  # fmt: skip
_MULTIPLY = {
    "vredsum": (0x00, "vs"), "vredand": (0x01, "vs"), "vredor": (0x02, "vs"), "vredxor": (0x03, "vs"),
    "vredminu": (0x04, "vs"), "vredmin": (0x05, "vs"), "vredmaxu": (0x06, "vs"), "vredmax": (0x07, "vs"),
    "vslide1up": (0x0E, "vx"), "vslide1down": (0x0F, "vx"), "vcompress": (0x17, "vm"), "vmandnot": (0x18, "mm"),
    "vmand": (0x19, "mm"), "vmor": (0x1A, "mm"), "vmxor": (0x1B, "mm"), "vmornot": (0x1C, "mm"), "vmnand": (0x1D, "mm"),
    "vmnor": (0x1E, "mm"), "vmxnor": (0x1F, "mm"), "vdivu": (0x20, "vv vx"), "vdiv": (0x21, "vv vx"),
    "vremu": (0x22, "vv vx"), "vrem": (0x23, "vv vx"), "vmulhu": (0x24, "vv vx"), "vmul": (0x25, "vv vx"),
    "vmulhsu": (0x26, "vv vx"), "vmulh": (0x27, "vv vx"), "vmadd": (0x29, "vv vx"), "vnmsub": (0x2B, "vv vx"),
    "vmacc": (0x2D, "vv vx"), "vnmsac": (0x2F, "vv vx"), "vwaddu": (0x30, "vv vx"), "vwadd": (0x31, "vv vx"),
    "vwsubu": (0x32, "vv vx"), "vwsub": (0x33, "vv vx"), "vwmulu": (0x38, "vv vx"), "vwmulsu": (0x3A, "vv vx"),
    "vwmul": (0x3B, "vv vx"), "vwmaccu": (0x3C, "vv vx"), "vwmacc": (0x3D, "vv vx"), "vwmaccsu": (0x3E, "vv vx"),
    "vwmaccus": (0x3F, "vx"),
}  # fmt: skip
_FLOAT = {
    "vfadd": (0x00, "vv vf"), "vfredsum": (0x01, "vs"), "vfsub": (0x02, "vv vf"), "vfredosum": (0x03, "vs"),
    "vfmin": (0x04, "vv vf"), "vfredmin": (0x05, "vs"), "vfmax": (0x06, "vv vf"), "vfredmax": (0x07, "vs"),
    "vfsgnj": (0x08, "vv vf"), "vfsgnjn": (0x09, "vv vf"), "vfsgnjx": (0x0A, "vv vf"), "vmfeq": (0x18, "vv vf"),
    "vmfle": (0x19, "vv vf"), "vmflt": (0x1B, "vv vf"), "vmfne": (0x1C, "vv vf"), "vmfgt": (0x1D, "vf"),
    "vmfge": (0x1F, "vf"), "vfdiv": (0x20, "vv vf"), "vfrdiv": (0x21, "vf"), "vfmul": (0x24, "vv vf"),
    "vfrsub": (0x27, "vf"), "vfmadd": (0x28, "vv vf"), "vfnmadd": (0x29, "vv vf"), "vfmsub": (0x2A, "vv vf"),
    "vfnmsub": (0x2B, "vv vf"), "vfmacc": (0x2C, "vv vf"), "vfnmacc": (0x2D, "vv vf"), "vfmsac": (0x2E, "vv vf"),
    "vfnmsac": (0x2F, "vv vf"), "vfwadd": (0x30, "vv vf"), "vfwredsum": (0x31, "vs"), "vfwsub": (0x32, "vv vf"),
    "vfwredosum": (0x33, "vs"), "vfwmul": (0x38, "vv vf"), "vfwmacc": (0x3C, "vv vf"), "vfwnmacc": (0x3D, "vv vf"),
    "vfwmsac": (0x3E, "vv vf"), "vfwnmsac": (0x3F, "vv vf"),
}  # fmt: skip
# Unary instructions: funct6, value of the vs1 field, funct3.
_UNARY = {
    "vfcvt.xu.f.v": (0x22, 0, OPFVV), "vfcvt.x.f.v": (0x22, 1, OPFVV), "vfcvt.f.xu.v": (0x22, 2, OPFVV),
    "vfcvt.f.x.v": (0x22, 3, OPFVV), "vfwcvt.xu.f.v": (0x22, 8, OPFVV), "vfwcvt.x.f.v": (0x22, 9, OPFVV),
    "vfwcvt.f.xu.v": (0x22, 10, OPFVV), "vfwcvt.f.x.v": (0x22, 11, OPFVV), "vfwcvt.f.f.v": (0x22, 12, OPFVV),
    "vfncvt.xu.f.v": (0x22, 16, OPFVV), "vfncvt.x.f.v": (0x22, 17, OPFVV), "vfncvt.f.xu.v": (0x22, 18, OPFVV),
    "vfncvt.f.x.v": (0x22, 19, OPFVV), "vfncvt.f.f.v": (0x22, 20, OPFVV), "vfsqrt.v": (0x23, 0, OPFVV),
    "vfclass.v": (0x23, 16, OPFVV), "vmsbf.m": (0x16, 1, OPMVV), "vmsof.m": (0x16, 2, OPMVV),
    "vmsif.m": (0x16, 3, OPMVV), "viota.m": (0x16, 16, OPMVV),
}  # fmt: skip
_REVERSED = re.compile(r"v(f?n?m(add|sub|acc|sac)|f?w(n?m)(acc|sac)(u|su|us)?)\.v[vxf]")
"""Multiply-adds name the multiplier before the vector: ``vfmacc.vf vd, fa0, vs2``."""
_WIDTHS = {"b": 0, "h": 5, "w": 6, "e": 7}
_MEMORY = re.compile(
    r"v(?P<kind>l|s)(?P<how>|s|x|ux)(?:seg(?P<nf>[2-8]))?(?P<width>[bhwe])(?P<unsigned>u?)(?P<ff>(?:ff)?)\.v"
)
_NEW = {
    "vle8.v": "vlbu.v or vle.v", "vle16.v": "vlhu.v or vle.v", "vle32.v": "vlw.v or vle.v", "vle64.v": "vle.v",
    "vse8.v": "vsb.v or vse.v", "vse16.v": "vsh.v or vse.v", "vse32.v": "vsw.v or vse.v", "vse64.v": "vse.v",
    "vsetivli": "li and vsetvli", "vcpop.m": "vmpopc.m", "vfirst.m": "vmfirst.m", "vfredusum.vs": "vfredsum.vs",
    "vmv1r.v": "vmv.v.v", "vfslide1up.vf": "vslideup.vi and vfmv.s.f", "vzext.vf2": "vwaddu.vx", "vsext.vf2": "vwadd.vx",
    "vnsrl.wi": "vnsrl.vi", "vnsra.wi": "vnsra.vi", "vmandn.mm": "vmandnot.mm", "vmorn.mm": "vmornot.mm",
}  # fmt: skip

_LINE = re.compile(r"^(?P<label>\s*(?:[\w.$]+\s*:\s*)*)(?P<mnemonic>[a-zA-Z][\w.]*)(?P<rest>[^#\n]*)(?P<comment>#.*)?$")
Operands = list[str]


def translate(text: str) -> str:
    """Return the text with every vector instruction as ``.word``; raise `BadRequest` that names the line and why."""
    return "\n".join(_line(line, number) for number, line in enumerate(text.split("\n"), 1))


def _line(line: str, number: int) -> str:
    match = _LINE.match(line)
    mnemonic = match["mnemonic"].lower().removeprefix("th.") if match else ""
    if not mnemonic.startswith("v"):
        return line
    try:
        word = encode(mnemonic, match["rest"])
    except BadRequest as wrong:
        raise BadRequest(f"line {number}: {line.strip()}: {wrong}") from None
    label = match["label"].strip()
    return f"{label or '   '} .word 0x{word:08x} # {mnemonic} {match['rest'].strip()}"


def encode(mnemonic: str, operands: str) -> int:
    """Return the encoding of one instruction; ``mnemonic`` without prefix, ``operands`` as written."""
    given = [part.strip() for part in operands.split(",")] if operands.strip() else []
    if memory := _MEMORY.fullmatch(mnemonic):
        return _memory(memory, given)
    if (encoder := _table().get(mnemonic)) is None:
        raise BadRequest(_unknown(mnemonic))
    return encoder(given)


def _unknown(mnemonic: str) -> str:
    if mnemonic in _NEW:
        return f"{mnemonic} is of RVV 1.0; in 0.7.1 write {_NEW[mnemonic]}"
    near = get_close_matches(mnemonic, _table(), 2)
    return f"no instruction {mnemonic} in RVV 0.7.1" + (f"; did you mean {' or '.join(near)}?" if near else "")


def _register(names: Mapping[str, int], text: str, kind: str) -> int:
    if text not in names:
        raise BadRequest(f"{text or 'nothing'} where {kind} register belongs")
    return names[text]


def _vector(text: str) -> int:
    return _register(V, text, "a vector")


def _scalar(text: str) -> int:
    return _register(X, text, "an integer")


def _float(text: str) -> int:
    return _register(F, text, "a floating-point")


def _immediate(text: str, unsigned: bool) -> int:
    low, high = (0, 31) if unsigned else (-16, 15)
    try:
        value = int(text, 0)
    except ValueError:
        raise BadRequest(f"{text} where a number from {low} to {high} belongs") from None
    if not low <= value <= high:
        raise BadRequest(f"{text} is not between {low} and {high}")
    return value & 31


def _split_mask(given: Operands, count: int, *, may_mask: bool = True) -> tuple[Operands, int]:
    """Take off a trailing ``v0.t``; return the operands and the vm bit."""
    masked = may_mask and bool(given) and given[-1] == "v0.t"
    operands = given[:-1] if masked else given
    if len(operands) != count:
        raise BadRequest(f"{len(operands)} operands instead of {count}")
    return operands, 0 if masked else 1


def _word(funct6: int, vm: int, vs2: int, vs1: int, funct3: int, vd: int) -> int:
    return funct6 << 26 | vm << 25 | vs2 << 20 | vs1 << 15 | funct3 << 12 | vd << 7 | OP_V


def _arithmetic(name: str, form: str, funct6: int, forms: Mapping[str, int]) -> Callable[[Operands], int]:
    backwards = bool(_REVERSED.fullmatch(f"{name}.{form}"))
    unsigned = name in {"vsll", "vsrl", "vsra", "vssrl", "vssra", "vnsrl", "vnsra", "vnclipu", "vnclip", "vrgather"}
    unsigned = unsigned or name in {"vslideup", "vslidedown"}

    def run(given: Operands) -> int:
        (vd, first, second), vm = _split_mask(given, 3, may_mask=form not in ("mm", "vm"))
        vs2, last = (second, first) if backwards else (first, second)
        if form.endswith("x"):
            source = _scalar(last)
        elif form.endswith("f"):
            source = _float(last)
        elif form.endswith("i"):
            source = _immediate(last, unsigned)
        else:
            source = _vector(last)
        return _word(funct6, vm, _vector(vs2), source, forms[form], _vector(vd))

    return run


def _unary(funct6: int, vs1: int, funct3: int) -> Callable[[Operands], int]:
    def run(given: Operands) -> int:
        (vd, vs2), vm = _split_mask(given, 2)
        return _word(funct6, vm, _vector(vs2), vs1, funct3, _vector(vd))

    return run


def _vtype(fields: Operands) -> int:
    sews, lmuls = {f"e{8 << i}": i for i in range(4)}, {f"m{1 << i}": i for i in range(4)}
    vtype = 0
    for field in fields:
        if field in sews:
            vtype |= sews[field] << 2
        elif field in lmuls:
            vtype |= lmuls[field]
        elif field in ("ta", "tu", "ma", "mu") or field.startswith("mf"):
            raise BadRequest(f"{field} is of RVV 1.0; 0.7.1 has e8 to e64 and m1 to m8")
        elif field != "d1":
            raise BadRequest(f"{field} where e8, e16, e32, e64 or m1, m2, m4, m8 belongs")
    return vtype


def _vsetvli(given: Operands) -> int:
    if len(given) < 3:
        raise BadRequest("write rd, rs1, e32, m1")
    vtype = _vtype(given[2:]) if not given[2].isdigit() else int(given[2])
    return vtype << 20 | _scalar(given[1]) << 15 | 7 << 12 | _scalar(given[0]) << 7 | OP_V


def _vsetvl(given: Operands) -> int:
    (rd, rs1, rs2), _ = _split_mask(given, 3)
    return 0x40 << 25 | _scalar(rs2) << 20 | _scalar(rs1) << 15 | 7 << 12 | _scalar(rd) << 7 | OP_V


def _memory(match: re.Match[str], given: Operands) -> int:
    """vl[s|x][segN]{b,h,w}[u], vle and their stores; indexed stores may be unordered (vsux)."""
    load, how, width = match["kind"] == "l", match["how"], match["width"]
    if (match["unsigned"] or match["ff"]) and not load:
        raise BadRequest("a store has neither u nor ff")
    if how == "ux" and load:
        raise BadRequest("only stores are unordered")
    operands, vm = _split_mask(given, 2 if not how else 3)
    base = re.fullmatch(r"(?:0\s*)?\(\s*(\w+)\s*\)", operands[1])
    if not base:
        raise BadRequest(f"{operands[1]} where (register) belongs; vector addresses have no offset")
    third = 0 if not how else _scalar(operands[2]) if how == "s" else _vector(operands[2])
    if match["ff"]:
        third = 16
    mop = {"": 0, "s": 2, "x": 3, "ux": 7}[how]
    if load and width != "e" and not match["unsigned"]:
        mop |= 4
    fields = int(match["nf"] or 1) - 1
    opcode = LOAD_FP if load else STORE_FP
    return (
        fields << 29 | mop << 26 | vm << 25 | third << 20 | _scalar(base[1]) << 15 | _WIDTHS[width] << 12
        | _vector(operands[0]) << 7 | opcode
    )  # fmt: skip


def _moves() -> dict[str, Callable[[Operands], int]]:
    """Instructions with fewer or other operands than three."""

    def two(funct6: int, funct3: int, source: Callable[[str], int]) -> Callable[[Operands], int]:
        def run(given: Operands) -> int:
            (vd, last), _ = _split_mask(given, 2, may_mask=False)
            return _word(funct6, 1, 0, source(last), funct3, _vector(vd))

        return run

    def out(funct6: int, funct3: int, rd: Callable[[str], int], *, may_mask: bool = False) -> Callable[[Operands], int]:
        def run(given: Operands) -> int:
            (to, vs2), vm = _split_mask(given, 2, may_mask=may_mask)
            return _word(funct6, vm, _vector(vs2), 0, funct3, rd(to))

        return run

    def merge(funct3: int, source: Callable[[str], int]) -> Callable[[Operands], int]:
        def run(given: Operands) -> int:
            if len(given) != 4 or given[3] != "v0":
                raise BadRequest("write vd, vs2, the other operand, v0")
            return _word(0x17, 0, _vector(given[1]), source(given[2]), funct3, _vector(given[0]))

        return run

    def vid(given: Operands) -> int:
        (vd,), vm = _split_mask(given, 1)
        return _word(0x16, vm, 0, 17, OPMVV, _vector(vd))

    def extract(given: Operands) -> int:
        (rd, vs2, rs1), _ = _split_mask(given, 3, may_mask=False)
        return _word(0x0C, 1, _vector(vs2), _scalar(rs1), OPMVV, _scalar(rd))

    def signed(text: str) -> int:
        return _immediate(text, False)

    return {
        "vmv.v.v": two(0x17, OPIVV, _vector), "vmv.v.x": two(0x17, OPIVX, _scalar), "vmv.v.i": two(0x17, OPIVI, signed),
        "vfmv.v.f": two(0x17, OPFVF, _float), "vmv.s.x": two(0x0D, OPMVX, _scalar), "vfmv.s.f": two(0x0D, OPFVF, _float),
        "vfmv.f.s": out(0x0C, OPFVV, _float), "vmv.x.s": out(0x0C, OPMVV, _scalar), "vext.x.v": extract,
        "vmpopc.m": out(0x14, OPMVV, _scalar, may_mask=True), "vmfirst.m": out(0x15, OPMVV, _scalar, may_mask=True),
        "vmerge.vvm": merge(OPIVV, _vector), "vmerge.vxm": merge(OPIVX, _scalar), "vmerge.vim": merge(OPIVI, signed),
        "vfmerge.vfm": merge(OPFVF, _float), "vid.v": vid, "vsetvli": _vsetvli, "vsetvl": _vsetvl,
    }  # fmt: skip


_FORMS = (
    (_INTEGER, {"vv": OPIVV, "vx": OPIVX, "vi": OPIVI, "vs": OPIVV}),
    (_MULTIPLY, {"vv": OPMVV, "vx": OPMVX, "vs": OPMVV, "mm": OPMVV, "vm": OPMVV}),
    (_FLOAT, {"vv": OPFVV, "vf": OPFVF, "vs": OPFVV}),
)
_WIDE_FIRST = {"vwaddu": 0x34, "vwadd": 0x35, "vwsubu": 0x36, "vwsub": 0x37, "vfwadd": 0x34, "vfwsub": 0x36}
_encoders: dict[str, Callable[[Operands], int]] = {}


def _table() -> Mapping[str, Callable[[Operands], int]]:
    """By mnemonic, what encodes it; built once."""
    if not _encoders:
        for rows, funct3 in _FORMS:
            for name, (funct6, forms) in rows.items():
                for form in forms.split():
                    _encoders[f"{name}.{form}"] = _arithmetic(name, form, funct6, funct3)
                    if name in _WIDE_FIRST:
                        wide = _arithmetic(name, form, _WIDE_FIRST[name], funct3)
                        _encoders[f"{name}.w{form[1]}"] = wide
        _encoders.update({name: _unary(*fields) for name, fields in _UNARY.items()})
        _encoders.update(_moves())
    return _encoders
