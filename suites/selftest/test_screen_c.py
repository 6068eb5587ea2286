"""The screen passes the C that experts write, and refuses what a sketch has no business to say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.record import Outcome
from harness.screen import screen_c
from suites.selftest.screen_checks import assert_refused, first_line

C = """\
#include "opw.h"
#include "opw_names.h"
#include <stdint.h>
#define LEAST(a, b) \\
    ((a) < (b) ? (a) : (b))
#ifdef __has_include
#if defined(__has_include) && __has_include(<riscv_th_vector.h>)
#include <riscv_th_vector.h>
#endif
#endif
#if defined(__AVX512F__)
#pragma GCC target("avx512f,fma")
#pragma GCC unroll 4
#endif
enum { ROWS = 6, COLUMNS = 16 };
enum order { FIRST, SECOND };
struct plan { int64_t m, n; float *room; };
struct later;
typedef void (*body)(void *, int64_t);
extern int elsewhere(int);
_Static_assert(sizeof(float) == 4, "a float; static int x;");
static const float table[4] = {1, 2, 3, 4}, scale = 2.0f;
static const char *const names[] = {"a;b", "it's // no comment"};
static int (*const choose)(int) = elsewhere;
const struct plan none = {0, 0, 0};
float dot(const float a[static 4], const float *restrict b);
__attribute__((always_inline, aligned(64))) static inline int64_t least(int64_t a, int64_t b) { return LEAST(a, b); }
static float *at(float *c, int64_t i)
{
    static const int step[2] = {1, 2}; /* const */
    struct plan p = {1, 2, 0};
    int open = 3, time = '"', read = p.m; // plain locals
    p.room = c + open + time + read;
    return p.room + step[0] * i;
}
int opw_run(const struct opw_args *args, const struct opw_tunables *t, void *workspace)
{
    _Alignas(64) float local[16] = {0};
    for (int64_t i = 0; i < 4; ++i)
        ((opw_compute *)t->kernel[0])(i, at(local, i), workspace, args->operand[2], 0);
    return 0;
}
"""


def test_expert_c_passes():
    assert screen_c(C) is None


C_TRICKS = {
    "include": ("#include <stdlib.h>", "stdlib.h"),
    "include of a path": ('#include "/etc/passwd"', "/etc/passwd"),
    "include of a relative path": ('#include "../opw.h"', "../opw.h"),
    "include by macro": ("#define F <stdio.h>\n#include F", "F"),
    "spaced include": ("  #  include <stdlib.h>", "stdlib.h"),
    "include behind a comment": ("/**/ # /**/ include <stdlib.h>", "stdlib.h"),
    "spliced include": ("#inc\\\nlude <stdlib.h>", "stdlib.h"),
    "spliced with blanks": ("#inc\\  \nlude <stdlib.h>", "stdlib.h"),
    "digraph include": ("%:include <stdlib.h>", "%:"),
    "carriage return": ("// x\r#include <stdlib.h>", "carriage return"),
    "trigraph include": ("??=include <stdlib.h>", "??="),
    "include_next": ("#include_next <stdint.h>", "include_next"),
    "import": ("#import <stdint.h>", "import"),
    "embed": ('#embed "/etc/passwd"', "embed"),
    "embed in an array": ('const char x[] = {\n#embed "/etc/passwd"\n};', "embed"),
    "has_include": ("#if __has_include(</etc/passwd>)\n#endif", "__has_include"),
    "has_include of a system header": ("#if __has_include(<unistd.h>)\n#endif", "__has_include"),
    "has_include by macro": ("#define there __has_include\n#if there(</etc/passwd>)\n#endif", "__has_include"),
    "has_include in a macro": ("#define there __has_include(<stdint.h>)\n#if there\n#endif", "__has_include"),
    "has_include with a header by macro": ("#define F <stdio.h>\n#if __has_include(F)\n#endif", "__has_include"),
    "has_embed": ('#if __has_embed("x")\n#endif', "__has_embed"),
    "line": ('#line 1 "x"', "line"),
    "pragma": ('#pragma comment(lib, "x")', "pragma"),
    "pragma section": ("#pragma GCC section", "section"),
    "pragma operator": ('_Pragma("x")', "_Pragma"),
    "asm": ('void f(void) { asm("nop"); }', "asm"),
    "__asm__": ('__asm__(".incbin \\"/etc/passwd\\"");', "__asm__"),
    "spliced asm": ('a\\\nsm("nop");', "asm"),
    "asm behind a string": ('const char *const x = "\\""; asm("nop");', "asm"),
    "asm behind a comment": ('/* " */ asm("nop"); /* " */', "asm"),
    "asm behind a character": ("int f(void) { return '\"'; } asm(\"x\"); int g(void) { return '\"'; }", "asm"),
    "asm in a define": ("#define A __asm__", "__asm__"),
    "pasted asm": ("#define A(x) as##x", "##"),
    "escaped asm": ('\\u0061sm("nop");', "\\\\"),
    "raw string": ('const char *const x = R"(" )"; int y;', "R"),
    "open comment": ("/* never\nclosed", "never ends"),
    "open string": ('#error "open', "'\"'"),
    "apostrophe": ("#error don't /* x */", '"\'"'),
    "constructor": ("__attribute__((constructor)) static void f(void) {}", "constructor"),
    "__constructor__": ("static void f(void) __attribute__((__constructor__));", "__constructor__"),
    "C23 constructor": ("[[gnu::constructor]] void f(void) {}", "constructor"),
    "section": ('__attribute__((section(".init_array"))) void *const p = 0;', "section"),
    "alias": ('void f(void) __attribute__((alias("g")));', "alias"),
    "ifunc": ('void f(void) __attribute__((ifunc("g")));', "ifunc"),
    "system": ('int f(void) { extern int system(const char *); return system("ls"); }', "system"),
    "dlopen": ("void *dlopen(const char *, int);", "dlopen"),
    "syscall": ("long f(void) { return syscall(1); }", "syscall"),
    "open": ('int f(void) { return open("x", 0); }', "open"),
    "clock": ("long f(void) { return __builtin_readcyclecounter(); }", "__builtin_readcyclecounter"),
    "rdtsc": ("long f(void) { return __rdtsc(); }", "__rdtsc"),
    "global": ("int calls;", "calls"),
    "initialised global": ("float scale = 2;", "scale"),
    "global array": ("float cache[1024];", "cache"),
    "global struct": ("struct s { int a; } state;", "state"),
    "global of a struct": ("struct s state;", "state"),
    "global of an enum": ("enum { A, B } state = A;", "state"),
    "defined extern": ("extern int x = 3;", "x"),
    "static": ("static int calls;", "calls"),
    "static in a function": ("int f(void)\n{\nstatic int calls; return ++calls; }", "calls"),
    "static in a block": ("int f(void) { if (1) { static float x[4] = {0}; } return 0; }", "x"),
    "static pointer to const": ("static const float *last;", "last"),
    "static function pointer": ("static void (*hook)(int);", "hook"),
    "static function pointer set": ("static void (*hook)(int) = 0;", "hook"),
    "static behind an attribute": ("__attribute__((aligned(64))) static float x[4];", "x"),
    "static behind a pragma": ("#pragma once\nstatic int x;", "x"),
    "const struct member only": ("static struct { const int a; } x;", "x"),
    "static in a macro": ("#define KEEP static int", "static in a macro"),
    "thread local": ("static _Thread_local int x;", "_Thread_local"),
}


@pytest.mark.parametrize("name", C_TRICKS)
def test_c_is_refused(name):
    text, thing = C_TRICKS[name]

    before = "int first(int a, int b) { return a + b; }\n" * 6
    verdict = screen_c(before + text + "\n")

    assert verdict is not None
    assert Outcome.SCREENED is verdict.outcome
    assert thing in verdict.reason
    assert 7 <= first_line(verdict.reason) <= 7 + text.count("\n")


def test_lines_are_counted_across_splices_and_comments():
    text = '#define A \\\n  1 \\\n  + 2\n/* a\nb */ int f(void) { return A; }\nasm("x");\n'

    assert_refused(screen_c(text), "asm", 6)


def test_a_caller_may_allow_more_headers():
    text = "#include <math.h>\n"

    assert_refused(screen_c(text), "math.h", 1)
    assert screen_c(text, headers={"math.h"}) is None


def test_long_c_is_refused():
    assert_refused(screen_c("int f(void);\n" * 90_000), "characters", 1)


@given(st.text(max_size=200))
def test_any_text_gets_an_answer(text):
    verdict = screen_c(text)

    assert verdict is None or Outcome.SCREENED is verdict.outcome


@given(st.lists(st.sampled_from(C.split()), max_size=60))
def test_any_order_of_words_gets_an_answer(words):
    verdict = screen_c(" ".join(words))

    assert verdict is None or Outcome.SCREENED is verdict.outcome
