"""
Look at generated text before anything is built from it, and refuse what a kernel has no business to say.

A screen is the first of three lines. It gives an author a sentence to act on; the sandbox holds the toolchain if the
screen is fooled; the runner's own seccomp filter holds the kernel. So a system call encoded as ``.byte 0x0f, 0x05``
passes here (encodings must pass: no assembler takes RVV 0.7.1) and is stopped there, and symbols that the checks below
do not see as undefined are refused by the linker (``-z defs``).
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from harness.record import Verdict
from harness.screen_c import Refused, screen_c, split_words

__all__ = ["screen_assembly", "screen_c"]

TEXT_LIMIT = 2 << 20
PADDING_LIMIT = 1 << 20

_DATA = split_words(
    ".byte .2byte .4byte .8byte .short .hword .half .word .long .int .quad .octa .dword .xword .insn .inst"
)
_PADDING = (".zero", ".skip", ".space", ".fill")
_ALIGNMENT = {".p2align": 16, ".align": 64, ".balign": 65536}
_ASSIGNMENT = (".set", ".equ", ".equiv")
_ALLOWED = {
    *_DATA, *_PADDING, *_ALIGNMENT, *_ASSIGNMENT, ".section", ".type",
    *split_words(".text .rodata .globl .global .local .hidden .protected .internal .size .file .ident .loc"),
    *split_words(".float .single .double .ascii .asciz .string .intel_syntax .att_syntax .code64"),
    *split_words(".option .attribute .arch .arch_extension .cpu .variant_pcs .variant_cc .ltorg .pool .addrsig"),
    *split_words(".cfi_startproc .cfi_endproc .cfi_def_cfa .cfi_def_cfa_offset .cfi_def_cfa_register .cfi_offset"),
    *split_words(".cfi_adjust_cfa_offset .cfi_restore .cfi_remember_state .cfi_restore_state .cfi_sections"),
}  # fmt: skip
_WRITE_IT_OUT = "print the text itself"
_NO_STATE = "a kernel keeps no state; use its operands and the workspace"
_REMEDIES = {
    **dict.fromkeys((".include", ".incbin"), _WRITE_IT_OUT),
    **dict.fromkeys(
        split_words(".macro .endm .endmacro .altmacro .noaltmacro .rept .rep .irp .irpc .endr .if .else .endif"),
        "let the kernel script expand it and " + _WRITE_IT_OUT,
    ),
    **dict.fromkeys(split_words(".data .bss .tdata .tbss .comm .lcomm .tcomm .lcommon .zerofill"), _NO_STATE),
    **dict.fromkeys(
        split_words(".init_array .fini_array .preinit_array .ctors .dtors"), "nothing may run at load time"
    ),
    **dict.fromkeys(split_words(".weak .weakref .symver .import .extern"), "define every symbol in the text"),
    **dict.fromkeys(split_words(".pushsection .popsection .previous .subsection"), "use .section or .text"),
}

_KERNEL_ENTRY = (
    "syscall sysenter sysexit sysexitl sysexitq sysret sysretl sysretq int int1 int3 into icebp iret iretl iretq iretd"
    " lcall ljmp hlt vmcall vmmcall svc hvc smc brk ecall ebreak scall sbreak mret sret wfi"
)
_FORBIDDEN = {
    **dict.fromkeys(_KERNEL_ENTRY.split(), "a kernel only computes and never enters the operating system"),
    **dict.fromkeys(split_words("rdtsc rdtscp rdpmc rdcycle rdtime rdinstret"), "a kernel reads no clock"),
    **dict.fromkeys(split_words("wrfsbase wrgsbase wrpkru swapgs"), "the thread's own registers are not the kernel's"),
}
_PREFIXES = set(
    split_words("rep repe repz repne repnz lock notrack bnd data16 data32 addr32 xacquire xrelease cs ds es fs gs ss")
)
_CALLS = set(split_words("call callq b bl cbz cbnz tbz tbnz adr tail la lla"))
_RISCV_BRANCHES = set(split_words("beq bne blt bge bltu bgeu bgt ble bgtu bleu beqz bnez blez bgez bltz bgtz"))
_REGISTER_JUMPS = {"jr", "jalr"}
_NOT_SYMBOLS = re.compile(
    r"%?(?:r(?:[abcd]x|[sd]i|[sb]p|ip|\d+)|[xw]\d+|[sta]\d+|ra|sp|gp|tp|fp|zero"
    r"|[wdq]?word|byte|ptr|short|near|offset|\.)",
    re.IGNORECASE,
)

_SYMBOL = re.compile(r"(?<![\w.$])[A-Za-z_.$][\w.$]*")
_RIP_RELATIVE = re.compile(r"[\w.$]*\[[^\]]*\brip\b[^\]]*\]|[\w.$+-]+\(%rip\)", re.IGNORECASE)
_STATEMENT = re.compile(r"\s*(?:\{\s*\w+\s*\}\s*)*([\w.$@?]*)\s*(.*)", re.DOTALL)
_SECTION = re.compile(
    r"(?P<name>[\w.-]+)(?:\s*,\s*\"(?P<flags>\d+)\"(?:\s*,\s*[@%]progbits(?:\s*,\s*\d+)?)?)?\s*", re.ASCII
)
_SECTION_FLAGS = (
    (re.compile(r"\.text(\.[\w.]+)?"), "ax"),
    (re.compile(r"\.s?rodata(\.[\w.]+)?"), "aMS"),
    (re.compile(r"\.note\.(GNU-stack|gnu\.property)"), "a"),
)
_HASHED = re.compile(
    r"#(?:[ \t]*(?:include|include_next|import|embed)[ \t]*[\"<]"
    r"|(?:define|undef|if|ifdef|ifndef|elif|else|endif|pragma|error|line)\b)"
)
_PREPROCESSOR = re.compile(r"^[ \t]*" + _HASHED.pattern, re.MULTILINE)
_ODD = re.compile(r"[^\n\t\x20-\x7e]|[\\'`\"]|/\*|\*/")
_EVEN = bytes(byte for byte in range(128) if not _ODD.match(chr(byte)))


def _lexer(comment: str) -> re.Pattern[str]:
    """Return the pattern of strings and comments; ``#`` opens a comment anywhere or only where a line begins."""
    hash_comment = r"#[^\n]*" if comment == "#" else r"^[ \t]*#[^\n]*"
    return re.compile(rf'"(?:\\[^\n]|[^"\\\n])*"|/\*.*?\*/|//[^\n]*|{hash_comment}', re.DOTALL | re.MULTILINE)


_LEXERS = {comment: _lexer(comment) for comment in ("#", "//")}


def _may_leave(mnemonic: str) -> bool:
    """Return whether an instruction may go on elsewhere, or name an address."""
    return mnemonic in _CALLS or mnemonic in _RISCV_BRANCHES or mnemonic.startswith(("j", "b.", "loop", "xbegin"))


@lru_cache(maxsize=1 << 16)
def _is_plain_line(line: str) -> bool:
    """
    Return whether every statement of a line is plain.

    Nearly every line of a kernel is, and its neighbours in the search print the same lines again, so they are remembered.
    """
    return all(map(_is_plain, line.split(";")))


def _is_plain(statement: str) -> bool:
    """Return whether a statement is an instruction that names no symbol and may stand anywhere, or nothing at all."""
    word, rest = _STATEMENT.fullmatch(statement).groups()
    low = word.lower()
    named = rest.startswith((":", "=")) or '"' in rest or "@" in rest or "rip" in rest.lower()
    if not word or word.startswith(".") or named:
        return not (word or rest)
    return not (low in _PREFIXES or low.startswith("rex") or low in _FORBIDDEN or _may_leave(low))


def _odd_thing(text: str) -> str:
    """Return the first thing that hides from the lexer, or nothing: bytes rule it out faster than the expression that names it."""
    if text.encode(errors="backslashreplace").translate(None, _EVEN) or "/*" in text or "*/" in text:
        return _ODD.search(text).group()
    return ""


def screen_assembly(text: str, *, comment: str = "#") -> Verdict | None:
    """
    Return why assembly text must not be built (SCREENED: the line, the thing, the remedy), or None.

    Directives and sections pass by allow-list, branch targets must be defined in the text, and nothing may hide from
    this lexer: no macros, continuations, quoted symbols or control characters. ``comment`` is what opens a comment
    within a line: ``#`` on x86 and RISC-V, ``//`` on AArch64, where ``#`` marks an immediate.
    """
    try:
        if len(text) > TEXT_LIMIT:
            raise Refused(1, f"a text of {len(text)} characters", f"stay below {TEXT_LIMIT}; unroll less")
        if _HASHED.search(text) and (hidden := _PREPROCESSOR.search(text)):  # the first is the faster: it begins with a literal
            line = text.count("\n", 0, hidden.start()) + 1
            raise Refused(line, hidden.group().strip(), "there is no preprocessor; " + _WRITE_IT_OUT)
        if "\r" in (text := text.replace("\r\n", "\n")):  # to the assembler it ends a line, comments too
            raise Refused(text.count("\n", 0, text.index("\r")) + 1, "a carriage return", "end lines by \\n")
        _AssemblyScreen(comment).check(text)
    except Refused as refused:
        return refused.verdict
    return None


class _AssemblyScreen:
    """One pass over one text."""

    def __init__(self, comment: str):
        self._lexer = _LEXERS[comment]
        self._strings: list[str] = []
        self._defined: set[str] = set()
        self._used: dict[str, int] = {}
        """Symbols that must be defined, and the first line that needs them."""
        self._padding = 0

    def check(self, text: str) -> None:
        """Raise `Refused` at the first thing that is not allowed."""
        bare = self._lexer.sub(self._take_out, text)
        # Whole numbers in quotes stand for the strings that were taken out; any other quote is an open one.
        if odd := _odd_thing(re.sub(r'"\d+"', "", bare) if self._strings else bare):
            self._refuse_odd(bare, odd)
        for number, line in enumerate(bare.split("\n"), 1):
            if not _is_plain_line(line):
                for statement in line.split(";"):
                    self._statement(statement, number)
        for symbol, number in self._used.items():
            if symbol not in self._defined:
                raise Refused(number, f"the undefined symbol {symbol}", "a kernel calls and reads only what it defines")

    def _take_out(self, match: re.Match[str]) -> str:
        """Replace a string by its number and a comment by the newlines in it."""
        found = match.group()
        if not found.startswith('"'):
            return " " + "\n" * found.count("\n")
        self._strings.append(found[1:-1])
        return f'"{len(self._strings) - 1}"'

    def _refuse_odd(self, bare: str, thing: str) -> None:
        number = next(n for n, line in enumerate(bare.split("\n"), 1) if thing in re.sub(r'"\d+"', "", line))
        raise Refused(number, f"the character {thing!r}", "close comments and strings, continue no lines, use ASCII")

    def _statement(self, statement: str, number: int) -> None:
        word, rest = _STATEMENT.fullmatch(statement).groups()
        while rest.startswith(":") and word:
            self._define(word, number)
            word, rest = _STATEMENT.fullmatch(rest[1:]).groups()
        while (low := word.lower()) in _PREFIXES or low.startswith("rex"):
            word, rest = _STATEMENT.fullmatch(rest).groups()
        if not word and rest:
            raise Refused(number, f"{rest[:40]!r} at the start of a statement", "begin with a mnemonic or a directive")
        if rest.startswith("="):
            self._define(word, number)
            self._use(rest, number)
        elif word.startswith("."):
            self._directive(low, rest, number)
        elif word:
            self._instruction(low, rest, number)

    def _define(self, symbol: str, number: int) -> None:
        if symbol in (".", "_init", "_fini"):
            raise Refused(number, f"a definition of {symbol}", "nothing may run at load time or move the location")
        self._defined.add(symbol)

    def _use(self, expression: str, number: int) -> None:
        if "@" in expression or '"' in expression:
            raise Refused(number, f"the operand {expression.strip()}", "use plain symbols that the text defines")
        for symbol in _SYMBOL.findall(expression):
            if not _NOT_SYMBOLS.fullmatch(symbol):
                self._used.setdefault(symbol, number)

    def _instruction(self, mnemonic: str, operands: str, number: int) -> None:
        if mnemonic in _FORBIDDEN:
            raise Refused(number, f"the instruction {mnemonic}", _FORBIDDEN[mnemonic])
        if '"' in operands or "@" in operands:
            raise Refused(number, f"the operand {operands.strip()}", "use plain symbols that the text defines")
        if _may_leave(mnemonic):
            target = operands.rsplit(",", 1)[-1]
            if mnemonic not in _REGISTER_JUMPS and "[" not in target and "*" not in target:
                self._use(target, number)
        if "rip" in operands or "RIP" in operands:
            for address in _RIP_RELATIVE.findall(operands):
                self._use(address, number)

    def _directive(self, name: str, rest: str, number: int) -> None:
        if name not in _ALLOWED:
            remedy = _REMEDIES.get(name, "use labels, instructions, .text, .rodata and plain data")
            raise Refused(number, f"the directive {name}", remedy)
        if name == ".section":
            self._section(rest, number)
        elif name == ".type" and not re.search(r"[,@%\s](function|object|notype)\s*$", rest):
            raise Refused(number, f".type {rest.strip()}", "a symbol is a @function or an @object")
        elif name in _ALIGNMENT:
            self._plain(rest.split(",")[0], _ALIGNMENT[name], number)
        elif name in _PADDING:
            self._pad(name, rest.split(","), number)
        elif name in _ASSIGNMENT:
            symbol, _, expression = rest.partition(",")
            self._define(symbol.strip(), number)
            self._use(expression, number)
        elif name in _DATA and name not in (".insn", ".inst"):
            self._use(rest, number)

    def _section(self, rest: str, number: int) -> None:
        match = _SECTION.fullmatch(self._unquoted_name(rest))
        if match:
            flags = self._strings[int(match["flags"])] if match["flags"] else ""
            for name, allowed in _SECTION_FLAGS:
                if name.fullmatch(match["name"]) and set(flags) <= set(allowed):
                    return
        shown = re.sub(r'"(\d+)"', lambda index: f'"{self._strings[int(index[1])]}"', rest.strip())
        raise Refused(number, f".section {shown}", f"code goes to .text, constants to .rodata; {_NO_STATE}")

    def _unquoted_name(self, rest: str) -> str:
        """Return the operands of ``.section`` with a quoted name laid bare."""
        match = re.match(r'"(\d+)"', rest)
        return self._strings[int(match[1])] + rest[match.end() :] if match else rest

    def _pad(self, name: str, operands: Sequence[str], number: int) -> None:
        unit = 1
        if name == ".fill" and len(operands) > 1:
            unit = self._plain(operands[1], 8, number)
        self._padding += unit * self._plain(operands[0], PADDING_LIMIT, number)
        if self._padding > PADDING_LIMIT:
            raise Refused(number, f"more than {PADDING_LIMIT} bytes of padding", "leave it out")

    @staticmethod
    def _plain(operand: str, most: int, number: int) -> int:
        """Return the value of a decimal or hexadecimal number, refuse anything else."""
        text = operand.strip().lower()
        if re.fullmatch(r"0x[0-9a-f]{1,6}|\d{1,7}", text) and (value := int(text, 16 if "x" in text else 10)) <= most:
            return value
        raise Refused(number, f"the count {operand.strip()}", f"write a plain number up to {most}")
