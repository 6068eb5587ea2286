"""Macros may paste names together and say static; what comes out is screened like everything else, whatever branch it stands in."""

import pytest

from harness.record import Outcome, Verdict

BODY = """
size_t opw_workspace(const struct opw_args *args, const struct opw_tunables *tunables) {{ return 0; }}
{before}
int opw_run(const struct opw_args *args, const struct opw_tunables *tunables, void *workspace)
{{
    {inside}
    return 0;
}}
"""
NUMBERED = "#define ROW(i) float acc##i = i; s##i += acc##i;"

TRICKS = {
    "asm": ("#define A(x) as##x", 'A(m)("nop");', "asm"),
    "asm of pasted parts": ("#define C(x, y) x##y\n#define B(x, y) C(x, y)", 'B(C(a, s), m)("nop");', "asm"),
    "asm where a header's macro decides": (
        "#ifdef OPW_MAX_DIMS\n#define A(x) as##x\n#else\n#define A(x) (void)#x; (void)x##1\n#endif",
        'A(m)("nop");',
        "asm",
    ),
    "static": ("#define A(x) stat##x", "A(ic) int calls; ++calls;", "calls"),
    "static in a macro": ("#define KEEP static int", "KEEP calls; ++calls;", "calls"),
    "static in a spliced macro": ("#define KEEP \\\n static int", "KEEP calls; ++calls;", "calls"),
    "clock": ("#define A(x) __builtin_ia32_##x()", "(void)A(rdtsc);", "__builtin_ia32_rdtsc"),
    "call": ("int read(int);\n#define A(x) r##x", "return A(ead)(0);", "read"),
    "attribute": ("#define A(x) __attribute__((con##x))\nA(structor) static void f(void) {}", "", "constructor"),
    "pragma": ("#define A(x) _Pra##x", 'A(gma)("clang attribute")', "clang attribute"),
}


def test_numbered_variables_compile(objects):
    """C for register tiles numbers its accumulators."""
    built = objects.c(BODY.format(before=NUMBERED, inside="float s0 = 0, s1 = 0; ROW(0) ROW(1)"), ())

    assert not isinstance(built, Verdict), built


def test_functions_that_a_macro_makes_static_compile(objects):
    built = objects.c(BODY.format(before="#define OWN static __attribute__((noinline))\nOWN int f(void) { return 0; }", inside="f();"), ())

    assert not isinstance(built, Verdict), built


@pytest.mark.parametrize("name", TRICKS)
def test_what_is_forbidden_is_found_where_macros_make_it(name, objects):
    before, inside, thing = TRICKS[name]

    verdict = objects.c(BODY.format(before=before, inside=inside), ())

    assert Outcome.SCREENED is verdict.outcome
    assert thing in verdict.reason


def test_line_of_the_text_is_named(objects):
    text = BODY.format(before="#define A(x) as##x", inside='A(m)("nop");')

    verdict = objects.c(text, ())

    line = 3 + text[: text.index("A(m)")].count("\n")
    assert verdict.reason.startswith(f"line {line}: asm")
