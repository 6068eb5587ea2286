"""The screen passes what experts write, and refuses by line, thing and remedy what a kernel has no business to say."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.record import Outcome
from harness.screen import PADDING_LIMIT, TEXT_LIMIT, screen_assembly
from suites.selftest.screen_checks import assert_refused, first_line

X86 = """\
# 2 x 16 micro-tile; see "BLIS", section 4 # and don't mind the quotes, nor .include or /* in comments
.intel_syntax noprefix
.text
.p2align 6
.globl kernel_2x16
.type kernel_2x16, @function
kernel_2x16:
    mov eax, 0xffff
    kmovw k1, eax
    vpxord zmm0, zmm0, zmm0      // cleared
    vmovups zmm3{k1}{z}, zmmword ptr [rip + .Llane]
    lea r11, [rip + table+8]
    cmp rdi, 0; je .Ldone
.p2align 4,,15
.Lloop:
#@block compute
    vfmadd231ps zmm0, zmm1, dword ptr [rsi+rdi*4]{1to16}
    {evex} vaddps zmm2, zmm0, zmm0, {rn-sae}
#@end
    dec rdi ; jnz .Lloop
    rep movsb
    loop 1f
1:  jmp 1b
.Ldone: vzeroupper
    call helper
    jmp qword ptr [rax*8 + table]
    ret
.size kernel_2x16, .-kernel_2x16
helper: .byte 0xc3
.set UNROLL, 4
WIDTH = UNROLL * 4
.section .rodata.cst64,"aM",@progbits,64
.Llane:
.long 0, 1, 2, 3
table: .quad .Ldone - table, .Lloop - table
.float 1.5e3, -0.25, inf
.zero 32
.section .note.GNU-stack,"",@progbits
"""
RISCV = """\
.option arch, +v
.text
.globl ukr
.type ukr,%function
.balign 64
ukr: li t0, 8
  vsetvli t1, t0, e32, m2, ta, ma
  .word 0x0205f007   # vle.v v0,(a1)
  .insn r 0x33, 0, 0, a0, a1, a2
1: flw ft0, 0(a1)
  vfmacc.vf v4, ft0, v2
  bnez a0, 1b
  beq a0, a1, .Lout
  jal ra, .Lout
  jalr ra, 0(t0)
  la a5, constants
.Lout: ret
.section .srodata,"a"
constants: .dword 1
"""
AARCH64 = """\
.arch armv8.2-a
.text
.globl ukr
.type ukr,%function
ukr: stp d8,d9,[sp,#-64]!   // spill; and #4 is no comment
  movi v31.4s,#0
  fmla v31.4s, v5.4s, v0.s[3]
  subs x0,x0,#4
  b.ne ukr
  cbz x1, .Lout
  adr x2, .Lout
.Lout: ret
"""


# What passes


def test_expert_assembly_passes():
    assert screen_assembly(X86) is None


def test_expert_assembly_of_other_machines_passes():
    assert screen_assembly(RISCV) is None
    assert screen_assembly(AARCH64, comment="//") is None


@pytest.mark.parametrize("text", ["", "\n", "# only a comment", "/* two\nlines */", ";;;\n;"])
def test_nothing_is_nothing_to_refuse(text):
    assert screen_assembly(text) is None


# Assembly: each trick, what the reason names, and its line

ASSEMBLY = {
    "incbin": ('.incbin "/etc/passwd"', ".incbin"),
    "include": ('.include "x.s"', ".include"),
    "capitals": ('.IncBin "x"', ".incbin"),
    "tab and spaces": ('\t .incbin\t"x"', ".incbin"),
    "no space": ('.incbin"x"', ".incbin"),
    "behind a semicolon": ('nop;nop;.incbin "x"', ".incbin"),
    "behind a label": ('here: .incbin "x"', ".incbin"),
    "behind two labels": ('1: here : .incbin "x"', ".incbin"),
    "behind a comment": ('/* plain */ .incbin "x"', ".incbin"),
    "comment within": ('.inc/**/bin "x"', ".inc"),
    "string within": ('.inc"bin" x', ".inc"),
    "comment that is none": ('.ascii "/*" ; .incbin "x" # */', ".incbin"),
    "comment that hides a comment": ('# /*\n.incbin "x"\n# */', ".incbin"),
    "comment that hides a comment 2": ('// /*\n.incbin "x" // */', ".incbin"),
    "string that hides a quote": ('.ascii "\\"" ; .incbin "x"', ".incbin"),
    "open comment": ("nop /* nop", "'/*'"),
    "closing comment only": ("nop */", "'*/'"),
    "open string": ('.ascii "abc', "'\"'"),
    "apostrophe": (".byte 'a'", '"\'"'),
    "continuation": ('.inc\\\nbin "x"', "'\\\\'"),
    "carriage return": ('nop # \r .incbin "x"', "carriage return"),
    "form feed": ("nop\f.incbin", "'\\x0c'"),
    "null": ("nop\0", "'\\x00'"),
    "not ASCII": ("ｎop", "'ｎ'"),
    "macro": ('.macro m x\n.\\x "f"\n.endm', "'\\\\'"),
    "plain macro": (".macro m\nnop\n.endm", ".macro"),
    "altmacro": (".altmacro", ".altmacro"),
    "repeat": (".rept 1000000000\nnop\n.endr", ".rept"),
    "irp": (".irp x, a, b", ".irp"),
    "condition": (".if 1", ".if"),
    "#include": ('#include "x"', "#include"),
    "# include": ("  # include <x>", "# include"),
    "#define": ("#define inc .incbin", "#define"),
    "data": (".data", ".data"),
    "bss": (".bss", ".bss"),
    "comm": (".comm state, 8", ".comm"),
    "lcomm": (".lcomm state, 8", ".lcomm"),
    "data section": ('.section .data,"aw"', ".section .data"),
    "writable constants": ('.section .rodata,"aw",@progbits', ".section .rodata"),
    "writable code": ('.section .text,"awx",@progbits', ".section .text"),
    "init_array": (".section .init_array", ".init_array"),
    "quoted init_array": ('.section ".init_array","aw"', ".init_array"),
    "init_array by type": ('.section .rodata,"a",@init_array', "init_array"),
    "ctors": ('.section .ctors,"a",@progbits', ".ctors"),
    "push init": (".pushsection .init_array", ".pushsection"),
    "executable stack": ('.section .note.GNU-stack,"x",@progbits', ".note.GNU-stack"),
    "grouped section": ('.section .text.x,"axG",@progbits,x,comdat', ".section .text.x"),
    "init function": (".globl _init\n_init: ret", "_init"),
    "init by assignment": ("_init = 4", "_init"),
    "init by set": (".set _fini, 4", "_fini"),
    "indirect function": (".type f, @gnu_indirect_function", "gnu_indirect_function"),
    "indirect function in capitals": (".type f, STT_GNU_IFUNC", "STT_GNU_IFUNC"),
    "weak import": (".weak system", ".weak"),
    "symver": (".symver f, f@GLIBC_2.2.5", ".symver"),
    "logging": ('.secure_log_unique "x"', ".secure_log_unique"),
    "origin": (".org 100000000", ".org"),
    "moved location": (". = . + 100000000", "definition of ."),
    "large padding": (".zero 100000000", "100000000"),
    "computed padding": (".skip 1<<30", "1<<30"),
    "large units": (".fill 1000000, 8", "padding"),
    "much padding": ("\n".join([f".zero {PADDING_LIMIT // 2}"] * 3), "padding"),
    "large alignment": (".p2align 30", "30"),
    "syscall": ("syscall", "syscall"),
    "SYSCALL": ("\tSysCall", "syscall"),
    "syscall behind a label": ("go:syscall", "syscall"),
    "prefixed syscall": ("rep syscall", "syscall"),
    "rex syscall": ("rex64 syscall", "syscall"),
    "braced syscall": ("{vex} syscall", "syscall"),
    "sysenter": ("sysenter", "sysenter"),
    "int 0x80": ("int 0x80", "int"),
    "int3": ("int3", "int3"),
    "ecall": ("ecall", "ecall"),
    "svc": ("svc #0", "svc"),
    "clock": ("rdtsc", "rdtsc"),
    "thread pointer": ("wrfsbase rax", "wrfsbase"),
    "far call": ("lcall [rax]", "lcall"),
    "call": ("call system", "system"),
    "callq": ("callq malloc", "malloc"),
    "call through the PLT": ("call system@PLT", "system@PLT"),
    "call of a quoted name": ('call "system"', "operand"),
    "tail call": ("jmp exit", "exit"),
    "conditional jump": ("jne exit", "exit"),
    "bl": ("bl system", "system"),
    "jal": ("jal ra, system", "system"),
    "riscv branch": ("bnez a0, system", "system"),
    "la": ("la a0, environ", "environ"),
    "rip relative": ("mov rax, [rip + environ]", "environ"),
    "rip relative, turned": ("mov rax, [environ + rip]", "environ"),
    "rip relative, outside": ("mov rax, environ[rip]", "environ"),
    "rip relative, AT&T": ("movq environ(%rip), %rax", "environ"),
    "got": ("mov rax, [rip + environ@GOTPCREL]", "environ@GOTPCREL"),
    "pointer in data": (".quad system", "system"),
    "pointer by set": (".set f, system", "system"),
    "pointer by assignment": ("f = system", "system"),
    "nameless": ("= 4", "start of a statement"),
    "punctuation": ("*(int)", "start of a statement"),
}


@pytest.mark.parametrize("name", ASSEMBLY)
def test_assembly_is_refused(name):
    text, thing = ASSEMBLY[name]

    before = "ret\n" * 6
    verdict = screen_assembly(before + text + "\n")

    assert verdict is not None
    assert Outcome.SCREENED is verdict.outcome
    assert thing in verdict.reason
    assert 7 <= first_line(verdict.reason) <= 7 + text.count("\n")


def test_a_refusal_names_the_line_the_thing_and_the_remedy():
    verdict = screen_assembly('ret\n/* two\nlines */ nop\n  .incbin "secret"\n')

    assert verdict.reason == "line 4: the directive .incbin is not allowed here; print the text itself"


def test_a_long_text_is_refused():
    assert_refused(screen_assembly("nop\n" * (TEXT_LIMIT // 4 + 1)), "characters", 1)


def test_on_aarch64_a_hash_hides_nothing():
    hidden = "mov x0, #1 ; svc #0"

    assert screen_assembly(hidden) is None
    assert_refused(screen_assembly(hidden, comment="//"), "svc", 1)


SEPARATORS = st.sampled_from(
    [" ", "\t", "\n", ";", " ; ", "\r\n", "/**/", "/* .text */", "# x\n", "// x\n", "l: ", "1:"]
)
PLAIN = st.sampled_from(["ret", "nop", ".text", "vaddps zmm0, zmm1, zmm2 # sum", ".long 7", '.ascii "; # /* //"', ""])


@given(before=st.lists(st.tuples(PLAIN, SEPARATORS), max_size=6), case=st.booleans())
@example(before=[('.ascii "; # /* //"', ";")], case=False)
def test_no_neighbour_hides_a_forbidden_directive(before, case):
    text = "".join(f"{plain}{separator}\n" for plain, separator in before)
    forbidden = ".INCBIN" if case else ".incbin"

    assert screen_assembly(text + "nop\n") is None
    assert ".incbin" in screen_assembly(f'{text}nop; {forbidden} "x"\n').reason


@given(st.text(max_size=200))
def test_any_text_gets_an_answer(text):
    for verdict in (screen_assembly(text), screen_assembly(text, comment="//")):
        assert verdict is None or Outcome.SCREENED is verdict.outcome
