"""
x86-64 in Intel syntax (``.intel_syntax noprefix``): scalar code, SSE, AVX2, AVX-512 and AMX, as far as kernels use them.

Resources: ``v0``..``v31`` (xmm, ymm, zmm), ``k0``..``k7``, ``t0``..``t7`` (tiles), the 64-bit names of the general
registers, ``flags``. VEX and EVEX instructions clear the upper bits of what they write, so they write all of it;
legacy SSE and 8- and 16-bit writes leave the rest, so they read their destination as well.
A mnemonic or operand that is not understood makes the line ``unknown``: nothing may pass it.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from harness.isa import Address, Instruction, Memory
from harness.isa.lines import instruction_text, split_operands
from harness.isa.x86_mnemonics import CALLS, CANCELLING, CONTROL, EFFECTS, Effect, Form

_COMMENT = re.compile(r"/\*.*?\*/|#.*|//.*")
_DECORATION = re.compile(r"k[1-7]|z|1to\d+")
_NUMBER = re.compile(r"0x[0-9a-f]+|0b[01]+|0|[1-9]\d*")
_PART_OF_ADDRESS = re.compile(r"\b(?:e[a-d]x|e[sd]i|e[bs]p|r\d+d|[xyz]mm\d+)\b")
"""A 32-bit register wraps and a vector register is many addresses: neither can be compared."""
_IMMEDIATE = re.compile(r"(?:0x[0-9a-f]+|0b[01]+|\d+|[-+*/~()<>|&^\s])+")
_MEMORY = re.compile(r"(?:(\w+)\s+ptr\s*)?\[([^][]*)\]")
_RIP_RELATIVE = re.compile(r"\s*rip\s*[-+]\s*[\w.$]+(?:\s*[-+]\s*\w+)?\s*")
_PTR_BYTES = {"byte": 1, "word": 2, "dword": 4, "qword": 8, "mmword": 8, "xmmword": 16, "ymmword": 32, "zmmword": 64}


def _registers() -> dict[str, tuple[str, int]]:
    """Map every register name to its resource and its width in bits."""
    table = {f"{kind}mm{n}": (f"v{n}", bits) for kind, bits in (("x", 128), ("y", 256), ("z", 512)) for n in range(32)}
    table |= {f"k{n}": (f"k{n}", 64) for n in range(8)} | {f"tmm{n}": (f"t{n}", 8192) for n in range(8)}
    for n in range(8, 16):
        table |= {f"r{n}{suffix}": (f"r{n}", bits) for suffix, bits in (("", 64), ("d", 32), ("w", 16), ("b", 8))}
    for letter in "abcd":
        names = {f"r{letter}x": 64, f"e{letter}x": 32, f"{letter}x": 16, f"{letter}h": 8, f"{letter}l": 8}
        table |= {name: (f"r{letter}x", bits) for name, bits in names.items()}
    for name in ("si", "di", "bp", "sp"):
        table |= {f"r{name}": (f"r{name}", 64), f"e{name}": (f"r{name}", 32), name: (f"r{name}", 16)}
        table[f"{name}l"] = (f"r{name}", 8)
    return table


_REGISTERS = _registers()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operand:
    """One operand: a register if ``resource`` is set, else memory if ``is_memory``, else an immediate."""

    text: str
    resource: str = ""
    bits: int = 0
    is_memory: bool = False
    address: Address | None = None
    reads: frozenset[str] = frozenset()
    """The registers that form the address, and the mask."""
    mask: str = ""
    zeroing: bool = False

    @property
    def keeps_old_bits(self) -> bool:
        """Return whether writing this register leaves part of what it held."""
        if self.mask and not self.zeroing and not self.resource.startswith("k"):
            return True
        return self.bits < 32


class X86:
    """The ISA module's face; see `harness.isa.Isa`."""

    name = "x86"

    def within(self, text: str) -> "X86":
        """Return itself: a line says all."""
        return self

    @staticmethod
    @lru_cache(maxsize=65536)
    def parse(line: str) -> Instruction | None:
        """Read one line of Intel-syntax assembly."""
        text = instruction_text(line, _COMMENT)
        if not text:
            return None
        lowered = re.sub(r"^\{(?:vex|vex2|vex3|evex)\} ", "", text.lower())
        mnemonic, _, rest = lowered.partition(" ")
        if mnemonic in CONTROL:
            raise ValueError(f"the branch `{mnemonic}`")
        if mnemonic in CALLS:
            raise ValueError(f"the call or return `{mnemonic}`")
        operands = [_operand(part) for part in split_operands(rest)]
        effect = _effect(mnemonic, operands)
        if effect is None or None in operands or sum(operand.is_memory for operand in operands) > 1:
            return Instruction(text=text, mnemonic=mnemonic, unknown=True)
        return _instruction(text, mnemonic, effect, operands)


ISA = X86()


def _effect(mnemonic: str, operands: list[_Operand]) -> Effect | None:
    """Return the effect of a mnemonic with these operands, or None if it is not known."""
    effect = EFFECTS.get(mnemonic)
    if mnemonic == "imul" and len(operands) == 1:
        return EFFECTS["mul"]
    if mnemonic == "imul" and len(operands) == 3:
        return replace(EFFECTS["imul"], leading="w")
    if effect is None and operands and "blendv" not in mnemonic:  # legacy SSE; its blendv reads xmm0 unasked
        effect = EFFECTS.get(f"v{mnemonic}")
        if effect and effect.leading == "w" and not (operands[0] and operands[0].is_memory):
            effect = replace(effect, leading="u")
    return effect


def _operand(text: str) -> _Operand | None:
    """Read one operand, or return None if it is none that a kernel should use."""
    decorations = re.findall(r"\{([^}]*)\}", text)
    bare = re.sub(r"\{[^}]*\}", "", text).strip()
    if not bare and len(decorations) == 1 and re.fullmatch(r"(?:r[nduz]-)?sae", decorations[0]):
        return _Operand(text=text)
    if not all(_DECORATION.fullmatch(decoration) for decoration in decorations):
        return None
    mask = next((decoration for decoration in decorations if decoration.startswith("k")), "")
    if bare in _REGISTERS:
        resource, bits = _REGISTERS[bare]
        reads = frozenset({mask} - {""})
        return _Operand(text=bare, resource=resource, bits=bits, reads=reads, mask=mask, zeroing="z" in decorations)
    if found := _MEMORY.fullmatch(bare):
        broadcast = any(decoration.startswith("1to") for decoration in decorations)
        return _memory_operand(bare, found[1], found[2], mask, broadcast)
    return _Operand(text=bare) if _IMMEDIATE.fullmatch(bare) and not decorations else None


def _memory_operand(text: str, size: str | None, inside: str, mask: str, broadcast: bool) -> _Operand | None:
    if size and size not in _PTR_BYTES:
        return None
    if _RIP_RELATIVE.fullmatch(inside):  # of all symbols only these hide no register: rip takes no index
        return _Operand(text=text, is_memory=True, reads=frozenset({mask} - {""}), mask=mask)
    address = _address(inside, _PTR_BYTES[size] if size else 8 if broadcast else 0)
    if address is None:
        return None
    reads = frozenset({name for name, _ in address.terms} | {mask} - {""})
    full_width = not _PART_OF_ADDRESS.search(inside)
    return _Operand(text=text, is_memory=True, address=address if full_width else None, reads=reads, mask=mask)


def _address(inside: str, width: int) -> Address | None:
    """Read ``base + index*scale + displacement``; None if there is more in it (a symbol, a segment)."""
    terms: dict[str, int] = {}
    displacement = 0
    for sign, term in re.findall(r"([+-]*)([^+-]+)", inside.replace(" ", "")):
        factors = term.split("*")
        registers = [_REGISTERS[factor][0] for factor in factors if factor in _REGISTERS]
        numbers = [int(factor, 0) for factor in factors if _NUMBER.fullmatch(factor)]
        if len(registers) + len(numbers) != len(factors) or len(registers) > 1:
            return None
        value = prod(numbers) * (-1 if sign.count("-") % 2 else 1)
        if registers:
            terms[registers[0]] = terms.get(registers[0], 0) + value
        else:
            displacement += value
    return Address(terms=tuple(sorted(terms.items())), displacement=displacement, bytes=width) if terms else None


def _instruction(text: str, mnemonic: str, effect: Effect, operands: list[_Operand]) -> Instruction:
    """Collect what the operands and the mnemonic imply."""
    reads, writes = set(effect.reads), set(effect.writes)
    memory, address = Memory.NONE, None
    sources_matter = not _result_is_known(mnemonic, operands)
    for operand, use in zip(operands, effect.leading.ljust(len(operands), "r"), strict=False):
        reads |= operand.reads
        if operand.is_memory:
            memory, address = _access(effect.form, use), _sized(mnemonic, operand.address, operands)
        elif operand.resource:
            if use in "wu":
                writes.add(operand.resource)
            if operand.keeps_old_bits or (use in "ru" and sources_matter) or (use == "u" and mnemonic not in EFFECTS):
                reads.add(operand.resource)
    if effect.form is Form.GATHER:
        writes |= {operand.mask for operand in operands if operand.mask}
        writes |= {operand.resource for operand in operands[2:]}
    return Instruction(
        text=text,
        mnemonic=mnemonic,
        reads=frozenset(reads),
        writes=frozenset(writes),
        memory=memory,
        address=None if memory is Memory.NONE else address,
    )


def _result_is_known(mnemonic: str, operands: list[_Operand]) -> bool:
    """Return whether the sources cancel: ``vpxord z, a, a``, ``xor eax, eax``, ``vpternlogd a, b, c, 255``."""
    if mnemonic.startswith("vpternlog"):
        return any(operand.text in ("0", "255", "0xff", "0x0") for operand in operands[3:])
    registers = [operand.text for operand in operands[-2:] if operand.resource]
    return mnemonic.removeprefix("v") in CANCELLING and len(registers) == 2 and registers[0] == registers[1]


def _access(form: Form, use: str) -> Memory:
    if form is Form.ADDRESS:
        return Memory.NONE
    if form is Form.PREFETCH:
        return Memory.PREFETCH
    return {"r": Memory.LOAD, "w": Memory.STORE, "u": Memory.UPDATE}[use]


def _sized(mnemonic: str, address: Address | None, operands: list[_Operand]) -> Address | None:
    """Give an operand without a ``ptr`` size an upper bound; an AMX access has a stride, so its extent is unknown."""
    bits = max((operand.bits for operand in operands if operand.resource), default=512)
    if address is None or bits > 512:
        return None
    if address.bytes:
        return address
    narrowing = "cvt" in mnemonic  # `vcvtpd2ps ymm0, [rdi]` reads 64 bytes
    return replace(address, bytes=64 if narrowing else bits // 8 if bits >= 128 else 8)
