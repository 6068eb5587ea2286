"""What kernel scripts for x86-64 share: registers, masks and text of AVX-512 and AVX2, fp32 and fp64."""

LINE = 64
ONES = {4: 0x3F800000, 8: 0x3FF0000000000000}


class Machine:
    """One instruction set with one element type; ``vector_bits`` may be narrower than the machine's (``widest``)."""

    def __init__(self, vector_bits: int, size: int = 4, widest: int = 0) -> None:
        widest = widest or vector_bits
        if widest not in (256, 512) or vector_bits not in (128, 256, 512) or size not in (4, 8):
            raise ValueError(f"vector_bits={vector_bits}: x86-64 has 256 (AVX2) and 512 (AVX-512)")
        self.wide = widest == 512
        self.isa = "avx512" if self.wide else "avx2"
        self.size = size
        self.bytes = vector_bits // 8
        self.lanes = self.bytes // size
        self.registers = 32 if self.wide else 16
        self.letter = {128: "x", 256: "y", 512: "z"}[vector_bits]
        self.pointer = f"{self.letter}mmword ptr"
        self.element = "dword ptr" if size == 4 else "qword ptr"
        self.p, self.s = ("ps", "ss") if size == 4 else ("pd", "sd")

    def v(self, index: int) -> str:
        """Name a vector register."""
        return f"{self.letter}mm{index}"

    def zero(self, index: int) -> str:
        """Clear a register, all of it."""
        return f"vpxord xmm{index}, xmm{index}, xmm{index}" if self.wide else f"vxorps xmm{index}, xmm{index}, xmm{index}"

    def load(self, index: int, address: str, mask: int | None = None) -> str:
        """Load; lanes outside the mask become zero."""
        if mask is None:
            return f"vmovu{self.p} {self.v(index)}, {self.pointer} [{address}]"
        if self.wide:
            return f"vmovu{self.p} {self.v(index)}{{k{mask}}}{{z}}, {self.pointer} [{address}]"
        return f"vmaskmov{self.p} {self.v(index)}, {self.v(mask)}, {self.pointer} [{address}]"

    def store(self, index: int, address: str, mask: int | None = None, past: bool = False) -> str:
        """Store; lanes outside the mask are not written. ``past`` goes past the caches: whole vectors, aligned."""
        if mask is None:
            return f"vmov{'nt' if past else 'u'}{self.p} {self.pointer} [{address}], {self.v(index)}"
        if self.wide:
            return f"vmovu{self.p} {self.pointer} [{address}]{{k{mask}}}, {self.v(index)}"
        return f"vmaskmov{self.p} {self.pointer} [{address}], {self.v(mask)}, {self.v(index)}"

    def spread(self, index: int, address: str) -> str:
        """Load one element into every lane."""
        if self.size == 8 and self.letter == "x":
            return f"vmovddup xmm{index}, qword ptr [{address}]"
        return f"vbroadcast{self.s} {self.v(index)}, {self.element} [{address}]"

    def fma(self, total: int, left: int, right: int) -> str:
        """Add a product: total += left * right."""
        return f"vfmadd231{self.p} {self.v(total)}, {self.v(left)}, {self.v(right)}"

    def fma_spread(self, total: int, left: int, address: str) -> str:
        """Add a product with one element in memory; AVX-512 only."""
        return f"vfmadd231{self.p} {self.v(total)}, {self.v(left)}, {self.element} [{address}]{{1to{self.lanes}}}"

    def add(self, index: int, other: int) -> str:
        """Add a register to another."""
        return f"vadd{self.p} {self.v(index)}, {self.v(index)}, {self.v(other)}"

    def mask(self, mask: int, count: str, label: str) -> list[str]:
        """Make a mask of the first ``count`` lanes (a 32-bit register, clobbered; at least 0)."""
        if self.wide:
            return ["mov eax, 65535", f"bzhi eax, eax, {count}", f"kmovw k{mask}, eax"]
        spread = "vpbroadcastd" if self.size == 4 else "vpbroadcastq"
        compare = f"vpcmpgt{'d' if self.size == 4 else 'q'}"
        ready = [f"vmovd xmm{mask}, {count}", f"{spread} {self.v(mask)}, xmm{mask}"]
        return [*ready, f"{compare} {self.v(mask)}, {self.v(mask)}, {self.pointer} [rip + {label}]"]


class Text:
    """Assembly text of one function."""

    def __init__(self, name: str) -> None:
        self.name = name
        head = [".intel_syntax noprefix", ".text", ".p2align 6", f".globl {name}", f".type {name}, @function"]
        self.lines = [*head, f"{name}:"]

    def __call__(self, *instructions: str) -> None:
        """Append instructions."""
        self.lines += [f"    {line}" for line in instructions]

    def label(self, suffix: str) -> None:
        """Define a local label."""
        self.lines.append(f"{self.local(suffix)}:")

    def local(self, suffix: str) -> str:
        """Name a local label."""
        return f".L{self.name}_{suffix}"

    def block(self, name: str, instructions: list[str]) -> None:
        """Mark a straight-line block that the harness may reorder."""
        self.lines.append(f"#@block {name}")
        self(*instructions)
        self.lines.append("#@end")

    def finish(self, machine: Machine) -> str:
        """Close the function; AVX2 masks compare with the lane numbers kept behind it."""
        self.lines.append(f".size {self.name}, .-{self.name}")
        if not machine.wide:
            kind = ".long" if machine.size == 4 else ".quad"
            self.lines += [".section .rodata", ".p2align 5", f"{self.local('lane')}:"]
            self.lines += [f"{kind} {lane}" for lane in range(32 // machine.size)]
        self.lines.append('.section .note.GNU-stack,"",@progbits')
        return "\n".join(self.lines) + "\n"


def kernel(role: str, name: str, signature: str, isa: str, text: str) -> dict:
    """One entry of a kernel set."""
    return {"name": name, "role": role, "signature": signature, "needs": [isa], "text": text}


def balanced(extent: int, most: int) -> list[int]:
    """Split an extent into as few parts of at most ``most`` as there can be, larger ones first, sizes at most 1 apart."""
    parts = -(-extent // most)
    return [extent // parts + (index < extent % parts) for index in range(parts)]
