"""What is read out of a line of x86-64 assembly; test_isa_x86_executed.py holds the processor against it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.isa import Memory, load_isa

X86 = load_isa("x86")
WORDS = [
    "add",
    "vpternlogd",
    "vmovups",
    "vgatherdps",
    "imul",
    "mulx",
    "lea",
    "zmm1",
    "{k1}",
    "{z}",
    "{1to16}",
    "ptr",
    "[",
]
WORDS += ["]", "rdi", "+", "-", "*", "4", "08", "0x", ",", ":", ";", "#", "/*", "dword", "rip", "al", ".", " "]


@pytest.mark.parametrize(
    ("line", "reads", "writes", "memory", "address"),
    [
        ("vfmadd231ps zmm0, zmm1, dword ptr [rdi + 4]{1to16}", "v0 v1 rdi", "v0", "load", ("rdi", 4, 4)),
        ("vbroadcastss zmm30, dword ptr [rax]", "rax", "v30", "load", ("rax", 0, 4)),
        ("vbroadcastss zmm30, [rax - 0x10]  # the next column of B", "rax", "v30", "load", ("rax", -16, 64)),
        ("vmovups zmmword ptr [rdx]{k1}, zmm3", "rdx k1 v3", "", "store", ("rdx", 0, 64)),
        ("vmovups zmm3{k1}{z}, zmmword ptr [rdx]", "rdx k1", "v3", "load", ("rdx", 0, 64)),
        ("vmovups zmm3 {k1}, [rdx + 4*16]", "rdx k1 v3", "v3", "load", ("rdx", 64, 64)),
        ("VMOVAPS YMM3, YMM20", "v20", "v3", "none", None),
        ("vxorps ymm3, ymm4, ymm4", "", "v3", "none", None),
        ("vpxord zmm3{k1}, zmm4, zmm4", "k1 v3", "v3", "none", None),
        ("vsubps ymm3, ymm4, ymm4", "v4", "v3", "none", None),
        ("xorps xmm3, xmm3", "v3", "v3", "none", None),
        ("xor eax, eax", "", "rax flags", "none", None),
        ("vmaskmovps [rdi], ymm1, ymm2", "rdi v1 v2", "", "store", ("rdi", 0, 32)),
        ("vgatherdps ymm0, [rax + ymm1*4], ymm2", "v0 v1 v2 rax", "v0 v2", "load", None),
        ("vcvtpd2ps ymm0, [rdi]", "rdi", "v0", "load", ("rdi", 0, 64)),
        ("prefetcht0 [rsi+512]", "rsi", "", "prefetch", ("rsi", 512, 64)),
        ("add rdi, 64", "rdi", "rdi flags", "none", None),
        ("add qword ptr [rdi], rax", "rdi rax", "flags", "update", ("rdi", 0, 8)),
        ("lea rdi, [rdi + rsi*4 + 64]", "rdi rsi", "rdi", "none", None),
        ("mov al, 1", "rax", "rax", "none", None),
        ("mov eax, 1", "", "rax", "none", None),
        ("mov rax, [edi]", "rdi", "rax", "load", None),
        ("vmovss xmm1, dword ptr [rip + .Lone]", "", "v1", "load", None),
        ("imul rdi, rsi, 5", "flags rsi", "rdi flags", "none", None),
        ("shl rax, cl", "rax rcx flags", "rax flags", "none", None),
        ("vaddps zmm0, zmm1, zmm2, {rn-sae}", "v1 v2", "v0", "none", None),
        ("tdpbf16ps tmm0, tmm1, tmm2", "t0 t1 t2", "t0", "none", None),
        ("tileloadd tmm1, [rdi + rsi*1]", "rdi rsi", "t1", "load", None),
        ("vzeroupper", " ".join(f"v{n}" for n in range(16)), " ".join(f"v{n}" for n in range(16)), "none", None),
    ],
)
def test_parse(line, reads, writes, memory, address):
    """A line's claims are exact where that matters to a kernel, not merely safe."""
    parsed = X86.parse(line)
    place = parsed.address and (parsed.address.terms[0][0], parsed.address.displacement, parsed.address.bytes)

    assert (set(reads.split()), set(writes.split())) == (parsed.reads, parsed.writes)
    assert (Memory(memory), address, False) == (parsed.memory, place, parsed.unknown)


@pytest.mark.parametrize(
    "line",
    [
        "cpuid",
        "lock add [rdi], rax",
        "rep movsb",
        "movl %eax, %ebx",
        "mov rax, table",
        "mov rax, fs:[rdi]",
        "vmovups zmm0, [rdi + OFFSET]",
        "vmovups zmm0, [rdi + stripe]",
        "vmovups zmm0, [rdi + table.rip]",
        "vmovups zmm0, tbyte ptr [rdi]",
        "paddd mm0, mm1",
        "movsd",
        "push rax",
        "vldmxcsr [rdi]",
        "blendvps xmm1, xmm2",
        "vaddps zmm0, zmm1 /* not closed",
        "vaddps zmm0{k1}{x}, zmm1, zmm2",
        "KERNEL_STEP zmm0",
        "acc = 5",
    ],
)
def test_what_is_not_understood_is_a_barrier(line):
    """A line outside the subset is kept, and flagged so that nothing passes it."""
    assert X86.parse(line).unknown


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (".Lloop:", "a label"),
        ("1: dec rcx", "a label"),
        (".p2align 4", "the directive `.p2align`"),
        ("jne .Lloop", "the branch `jne`"),
        ("call memcpy", "the call or return `call`"),
        ("ret", "the call or return `ret`"),
        ("add rax, 1; add rbx, 1", "more than one instruction"),
    ],
)
def test_control_flow_is_refused(line, reason):
    """Whatever ends straight-line code is named."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        X86.parse(line)


def test_blank_lines_and_comments_are_no_instructions():
    """They travel with the instruction below them, so they must not be counted."""
    assert not any(X86.parse(line) for line in ("", "  # load A", "// load A", "/* load A */"))


@given(words=st.lists(st.sampled_from(WORDS), max_size=12), glue=st.sampled_from(["", " "]))
def test_any_line_is_read_or_refused(words, glue):
    """Text that no assembler would take never ends in anything but an instruction, nothing or the named refusal."""
    try:
        parsed = X86.parse(glue.join(words))
    except ValueError as reason:
        assert re.match("a label|the directive|more than one", str(reason))
    else:
        assert parsed is None or parsed.mnemonic
