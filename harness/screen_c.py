"""
The screen for C text: sketches and vanilla single-file answers; see `harness.screen` for what a screen is worth.

The text goes through the compiler's own first phases (spliced lines, comments, strings), so that what is looked at is
what would be compiled; whatever could make the two differ (trigraphs, digraphs, escaped names) is refused. What macros paste
together or make static is seen only once the preprocessor has done so: `expansion` is what it made of the text.
"""

import re
from collections.abc import Collection

from harness.record import Outcome, Verdict


def split_words(text: str) -> list[str]:
    """Return the words of a list that reads better unquoted."""
    return text.split()


PASTE = "##"
TEXT_LIMIT = 1 << 20
SKETCH_HEADERS = frozenset(
    split_words(
        "stddef.h stdint.h stdbool.h limits.h float.h immintrin.h arm_neon.h riscv_vector.h riscv_th_vector.h opw.h opw_names.h"
    )
)

_DIRECTIVES = set(split_words("include define undef if ifdef ifndef elif elifdef elifndef else endif pragma error"))
_PRAGMAS = re.compile(
    r"\s*(?:once|(?:GCC\s+)?unroll\b.*|omp\s+simd\b.*|(?:GCC|clang)\s+diagnostic\b.*|clang\s+(?:loop|fp)\b.*"
    r"|GCC\s+(?:ivdep|push_options|pop_options|(?:target|optimize)\b.*)|STDC\s+FP_CONTRACT\s+\w+)\s*"
)
_OTHER_CHARACTERS = re.compile(r"\?\?[=/'()!<>-]|\r(?!\n)")
_LEXER = re.compile(
    r'"(?:\\[^\n]|[^"\\\n])*"|' r"'(?:\\[^\n]|[^'\\\n])*'" r"|/\*.*?\*/|//[^\n]*|/\*",
    re.DOTALL,
)
_HIDING = re.compile(r"[^\n\t\x20-\x7e]|[\\\"'`]|%:|<:|\b(?:u8|[uUL])?R(?= 0\d+s )")

_NO_ASSEMBLY = "instructions belong to the kernel script, not to the sketch"
_NO_LOADING = "nothing may run or change at load time"
_NO_STATE = "keep state in the workspace"
_NO_SYSTEM = "a sketch computes and never enters the operating system"
_WORDS = {
    **dict.fromkeys(split_words("asm __asm __asm__"), _NO_ASSEMBLY),
    **dict.fromkeys(
        split_words(
            "constructor __constructor__ destructor __destructor__ init_priority __init_priority__ ifunc __ifunc__ alias"
            " __alias__ weak __weak__ weakref __weakref__ section __section__ init_seg"
        ),
        _NO_LOADING,
    ),
    **dict.fromkeys(split_words("_Thread_local __thread thread_local"), _NO_STATE),
    **dict.fromkeys(
        split_words("__has_include __has_include_next __has_embed __INCLUDE_LEVEL__ _Pragma __pragma"),
        "the text is built from itself alone",
    ),
    **dict.fromkeys(
        split_words(
            "system popen execv execve execvp execvpe execl execlp fexecve posix_spawn fork vfork dlopen dlmopen dlsym"
            " syscall ptrace mprotect pthread_create process_vm_readv environ"
        ),
        _NO_SYSTEM,
    ),
    **dict.fromkeys(
        split_words(
            "__rdtsc _rdtsc __rdtscp _rdpmc __rdpmc __builtin_ia32_rdtsc __builtin_ia32_rdtscp __builtin_ia32_rdpmc"
            " __builtin_readcyclecounter clock_gettime gettimeofday timespec_get"
        ),
        "a sketch reads no clock",
    ),
}
_CALLS = (
    "open|openat|creat|fopen|freopen|read|write|pread|pwrite|mmap|munmap|mremap|socket|connect|bind|kill|raise|signal"
    "|sigaction|setjmp|longjmp|getenv|setenv|putenv|clock|time|clone|unshare|mount|exit|_exit|_Exit|abort|atexit"
)
_FORBIDDEN_WORD = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b")
_FORBIDDEN_CALL = re.compile(rf"(?<![\w.>])({_CALLS})\s*\(")
_STATIC_IN_MACRO = re.compile(r"\s*#\s*define\b.*\bstatic\b")
_GUARD = re.compile(r"^[ \t]*#[ \t]*(?:if|elif|ifdef|ifndef)\b.*", re.MULTILINE)
_IS_IT_THERE = re.compile(r"\b__has_include[ \t]*\([ \t]*<([\w.]+)>[ \t]*\)|\b(?:defined|ifdef|ifndef)[ \t(]+__has_include\b")
_ATTRIBUTE = re.compile(r"\b__attribute(?:__)?\b|\b_Alignas\b|\balignas\b|\b__declspec\b")
_TYPE_ONLY = re.compile(r"(?:typedef|_Static_assert|static_assert)\b.*|(?:struct|union|enum)(?: \w+)?(?: \{)? ;|;?")
_TOKEN = re.compile(r"\w+|\S")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class Refused(Exception):
    """What a screen found; an exception only within a screen."""

    def __init__(self, line: int, thing: str, remedy: str):
        super().__init__(f"line {line}: {thing} is not allowed here; {remedy}")

    @property
    def verdict(self) -> Verdict:
        """Return the finding as the SCREENED verdict of the candidate."""
        return Verdict(outcome=Outcome.SCREENED, reason=str(self))


def screen_c(
    text: str, *, headers: Collection[str] = SKETCH_HEADERS, expanded_too: bool = False
) -> Verdict | None:
    """
    Return why C text must not be built (SCREENED: the line, the thing, the remedy), or None.

    Refused are includes other than ``headers`` (a condition may ask whether one of those is there), inline assembly,
    attributes that act at load time, writable variables that outlive a call (best effort: the declaration must say
    ``const``), and names of the operating system.
    ``expanded_too``: the caller screens the `expansion` of what `hides` something as well, so macros may paste names
    together and say ``static``.
    """
    try:
        if len(text) > TEXT_LIMIT:
            raise Refused(1, f"a text of {len(text)} characters", f"stay below {TEXT_LIMIT}")
        if found := _OTHER_CHARACTERS.search(text):
            line = text.count("\n", 0, found.start()) + 1
            raise Refused(
                line, f"the trigraph or carriage return {found.group()!r}", "write the character, end lines by \\n"
            )
        bare, strings = _bare(text)
        _check_words(_without_guards(bare, headers))
        if not expanded_too and (hidden := _hidden_by_macros(bare)):
            raise hidden
        code = [_check_directive(line, number, strings, headers) for number, line in enumerate(bare.split("\n"), 1)]
        _check_variables("\n".join(code))
    except Refused as refused:
        return refused.verdict
    return None


def hides(text: str) -> bool:
    """Return whether only the `expansion` of a text that passed the screen tells what it says."""
    return _hidden_by_macros(_bare(text)[0]) is not None


def _hidden_by_macros(bare: str) -> Refused | None:
    """Return what macros may hide: names that they paste together, and variables that they make static."""
    for number, line in enumerate(bare.split("\n"), 1):
        if PASTE in line:
            return Refused(number, repr(PASTE), "nobody looks at what it pastes together here")
        if _STATIC_IN_MACRO.match(line) and not re.search(r"\b(?:inline|const)\b", line):
            return Refused(number, "static in a macro", "declare it where it is used, as const or inline")
    return None


def expansion(preprocessed: str, file: str) -> str:
    """Return what ``clang -E`` made of ``file`` itself, without its headers; lines keep their numbers."""
    lines: dict[int, str] = {}
    number, ours = 0, False
    for line in preprocessed.splitlines():
        if marker := re.match(r'# (\d+) "(.*?)"', line):
            number, ours = int(marker[1]), marker[2] == file
            continue
        if ours:
            lines[number] = f"{lines.get(number, '')} {line}"
        number += 1
    return "\n".join(lines.get(number, "") for number in range(1, max(lines, default=0) + 1))


def _bare(text: str) -> tuple[str, list[str]]:
    """Return the text with lines spliced, comments gone and strings replaced by their numbers; lines keep theirs."""
    spliced, owed = [], 0
    for line in text.replace("\r\n", "\n").split("\n"):
        if re.search(r"\\[ \t]*$", line):
            spliced.append(line.rstrip(" \t")[:-1])
            owed += 1
        else:
            spliced.append(line + "\n" * (owed + 1))
            owed = 0
    strings: list[str] = []

    def take_out(match: re.Match[str]) -> str:
        found = match.group()
        if found[0] not in "\"'":
            return found if found == "/*" else " " + "\n" * found.count("\n")
        strings.append(found[1:-1])
        return f" 0{len(strings) - 1}s " if found[0] == '"' else " 0 "

    bare = _LEXER.sub(take_out, "".join(spliced))
    for number, line in enumerate(bare.split("\n"), 1):
        if "/*" in line:
            raise Refused(number, "a comment that never ends", "close it")
        if odd := _HIDING.search(line):
            raise Refused(number, repr(odd.group()), "write plain ASCII C: no escaped names, no raw strings")
    return bare, strings


def _without_guards(bare: str, headers: Collection[str]) -> str:
    """Blank where a condition asks if a header is there that may be included: ``#if __has_include(<arm_neon.h>)``."""

    def blank(asked: re.Match[str]) -> str:
        return asked.group() if asked[1] and asked[1] not in headers else " "

    return _GUARD.sub(lambda line: _IS_IT_THERE.sub(blank, line.group()), bare)


def _check_words(bare: str) -> None:
    for pattern in (_FORBIDDEN_WORD, _FORBIDDEN_CALL):
        if found := pattern.search(bare):
            word = found.group().rstrip("( \t\n")
            remedy = _WORDS.get(word, _NO_SYSTEM)
            raise Refused(
                bare.count("\n", 0, found.start()) + 1, word, f"{remedy} (rename it if it is a name of yours)"
            )


def _check_directive(line: str, number: int, strings: list[str], headers: Collection[str]) -> str:
    """Refuse preprocessor lines outside the allow-list; return what of the line is code."""
    match = re.match(r"\s*#\s*(\w*)(.*)", line)
    if match is None:
        return line
    name, rest = match.groups()
    if name and name not in _DIRECTIVES:
        raise Refused(number, f"#{name}", "the text is built from itself alone")
    if name == "include":
        quoted = re.fullmatch(r"\s*0(\d+)s\s*", rest)
        wanted = strings[int(quoted[1])] if quoted else rest.strip().removeprefix("<").removesuffix(">")
        if wanted not in headers:
            raise Refused(number, f"#include of {wanted}", f"include only {', '.join(sorted(headers))}")
    if name == "pragma" and not _PRAGMAS.fullmatch(rest):
        raise Refused(number, f"#pragma{rest.rstrip()}", "use unroll, simd, clang loop, GCC target or STDC FP_CONTRACT only")
    return ""


def _check_variables(code: str) -> None:
    """Refuse declarations of writable variables that outlive a call, at file scope and after ``static``."""
    tokens = [(found.group(), found.start()) for found in _TOKEN.finditer(_without_attributes(code))]
    words = [word for word, _ in tokens]
    at = 0
    while at < len(words):
        end, body = _declaration(words, at)
        for first in (at, *_statics(words, *body)):
            last = end if first == at else _declaration(words, first)[0]
            if name := _writable(words[first:last]):
                line = code.count("\n", 0, tokens[first][1]) + 1
                raise Refused(line, f"the writable variable {name}", f"make it const, or {_NO_STATE}")
        at = end


def _without_attributes(code: str) -> str:
    """Blank ``__attribute__((...))`` and its kin, which look like functions."""
    while found := _ATTRIBUTE.search(code):
        end = found.end()
        depth = 0
        for end in range(found.end(), len(code)):
            depth += (code[end] == "(") - (code[end] == ")")
            if depth <= 0 and not code[end].isspace():
                break
        blank = re.sub(r"[^\n]", " ", code[found.start() : end + 1])
        code = code[: found.start()] + blank + code[end + 1 :]
    return code


def _skip(words: list[str], at: int) -> int:
    """Return the index behind the bracket that closes the one at ``at``."""
    opening, depth = words[at], 0
    for here in range(at, len(words)):
        depth += (words[here] == opening) - (words[here] == _CLOSING[opening])
        if depth == 0:
            return here + 1
    return len(words)


def _declaration(words: list[str], at: int) -> tuple[int, tuple[int, int]]:
    """Return the index behind the declaration at ``at``, and the range of a function's body (else empty)."""
    here, initialised = at, False
    while here < len(words):
        word = words[here]
        if word == ";":
            return here + 1, (0, 0)
        initialised |= word == "="
        if word == "{" and not initialised and words[here - 1] == ")":
            end = _skip(words, here)
            return end, (here, end)
        here = _skip(words, here) if word in _CLOSING else here + 1
    return len(words), (0, 0)


def _statics(words: list[str], first: int, last: int) -> list[int]:
    """Return where ``static`` declarations begin in a function's body; ``[static 4]`` is none."""
    return [at for at in range(first, last) if words[at] == "static" and words[at - 1] != "["]


def _writable(declaration: list[str]) -> str | None:
    """Return the name that a declaration makes a writable variable of, or None."""
    flat, function_pointer = _flatten(declaration)
    initialised = "=" in flat
    flat = flat[: flat.index("=")] if initialised else flat
    if not initialised and ("extern" in flat or _TYPE_ONLY.fullmatch(" ".join(flat))):
        return None
    if function_pointer:
        return None if "const" in function_pointer else function_pointer[-1]
    if "(" in flat:
        return None  # a function
    last_star = len(flat) - 1 - flat[::-1].index("*") if "*" in flat else 0
    names = [word for word in flat if re.fullmatch(r"[A-Za-z_]\w*", word)]
    return names[-1] if names and "const" not in flat[last_star:] else None


def _flatten(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the words with brackets emptied to their opening one, and the names in the first ``(*...)``."""
    flat: list[str] = []
    function_pointer: list[str] = []
    at = 0
    while at < len(words):
        flat.append(words[at])
        end = _skip(words, at) if words[at] in _CLOSING else at + 1
        if words[at : at + 2] == ["(", "*"] and not function_pointer:
            function_pointer = [word for word in words[at + 1 : end - 1] if word.isidentifier()]
        at = end
    return flat, function_pointer
