"""Formulas compute what Python would, and nothing that is not arithmetic runs."""

import math
import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BadRequest
from harness.formula import FUNCTIONS, conjunction, evaluate
from harness.target import TARGETS, Target

NAMES = {"l1_bytes": 49152, "mr": 14, "nr": 32, "k": 511, "lanes": 16, "zero": 0}


@pytest.mark.parametrize(
    ("expected", "formula"),
    [
        (27, "l1_bytes // (4 * (mr + nr)) // 9 - 2"),
        (526.0, "l1_bytes * 0.6 // (4 * mr)"),
        (512, "round_up(k, 8)"),
        (504, "round_down(k, 8)"),
        (512, "round_up(k + 0.5, 8)"),
        (0, "round_up(zero, 8)"),
        (4, "clamp(mr, 1, 4)"),
        (32, "clamp(mr, 32, 64)"),
        (16, "nearest(mr, 8, 16, 32)"),
        (8, "nearest(12, 16, 8)"),
        (4, "ceil(sqrt(mr))"),
        (3, "floor(sqrt(mr))"),
        (14, "min(mr, nr) if mr < nr else max(mr, nr)"),
        (1024, "2 ** 10"),
        (0.5, "2 ** -1"),
        (True, "mr * (nr // lanes) + nr // lanes + 1 <= 32"),
        (True, "not zero or nr * k * 4 <= 1"),
        (True, "1 < mr < nr"),
        (-3, "-7 // 2 + +1"),
    ],
)
def test_value(expected, formula):
    """Arithmetic, comparisons, conditions and the functions of formulas."""
    value = evaluate(formula, NAMES)

    assert expected == value
    assert type(expected) is type(value)


@pytest.mark.parametrize("number", [0, 7, 2.5])
def test_a_number_is_a_formula(number):
    """TOML writes `start = 4` as a number."""
    assert number == evaluate(number, {})


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('true')",
        "__builtins__",
        "().__class__.__bases__",
        "mr.real",
        "mr(3)",
        "(min)(1, 2).real",
        "eval('1')",
        "[x for x in (1, 2)]",
        "lambda: 1",
        "x := 3",
        "'a' * 9",
        "b'a'",
        "None",
        "...",
        "f'{mr}'",
        "1j",
        "[1, 2]",
        "min(*mr)",
        "min(1, 2, key=abs)",
        "min",
        "min + 1",
        "1 << 9",
        "~1",
        "mr @ nr",
        "1 in 2",
        "1 is 1",
        "mr; nr",
        "mr = 1",
        "import os",
        "",
        "  ",
        "mr +",
        "(" * 300 + "1" + ")" * 300,
        "-" * 900 + "1",
        "1" + " + 1" * 2000,
        "9 ** 9 ** 9",
        "2 ** (2 ** 30)",
        "(2 ** 500) ** 500",
        "2.0 ** 5000",
        "(-1) ** 0.5",
        "0 ** -1",
        "1 / zero",
        "1 // 0.0",
        "mr % 0",
        "sqrt(-1)",
        "1e308 * 10",
        "1e999",
        "1e999 - 1e999",
        "ceil(1e999)",
        "2 ** 1000 * 2 ** 1000",
        "nearest(4)",
        "max()",
        "round_up(3, 0)",
        "sqrt(1, 2)",
        "\0",
        "mr\nnr",
    ],
)
def test_refused(formula):
    """What is not bounded arithmetic ends in one sentence that shows the formula, quickly."""
    with pytest.raises(BadRequest, match=r"^formula ['\"]") as refusal:
        evaluate(formula, NAMES)

    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("formula", ["mr + typo", "mr if mr else typo", "1 or typo", "max(1, typo)"])
def test_unknown_name(formula):
    """A misspelt name is an error in whichever branch it stands, and the known ones are listed."""
    with pytest.raises(BadRequest, match=r"unknown name typo; known names: .*mr, nr"):
        evaluate(formula, NAMES)


@pytest.mark.parametrize("formula", [None, [1], {"value": 1}])
def test_not_text(formula):
    """A TOML table or list where a formula belongs is a user's error too."""
    with pytest.raises(BadRequest, match="neither text nor a number"):
        evaluate(formula, NAMES)


LEAVES = st.one_of(
    st.integers(0, 1000).map(str),
    st.floats(0, 1000).map(repr),
    st.sampled_from(sorted(NAMES)),
)


def _grow(inner):
    pair = st.tuples(inner, inner)
    operator = st.sampled_from(["+", "-", "*", "/", "//", "%", "<", "<=", "==", "!=", ">", ">=", "and", "or"])
    return st.one_of(
        st.tuples(operator, pair).map(lambda t: f"({t[1][0]} {t[0]} {t[1][1]})"),
        st.tuples(inner, st.integers(0, 5)).map(lambda t: f"({t[0]}) ** {t[1]}"),
        inner.map(lambda text: f"(not {text})"),
        inner.map(lambda text: f"(-{text})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
        st.tuples(st.sampled_from(["min", "max"]), pair).map(lambda t: f"{t[0]}({t[1][0]}, {t[1][1]})"),
        inner.map(lambda text: f"abs({text})"),
    )


@given(st.recursive(LEAVES, _grow, max_leaves=12))
def test_same_as_python(formula):
    """A formula is worth what Python's own evaluation gives, and refused exactly where that fails."""
    try:
        expected = eval(formula, {"__builtins__": {"min": min, "max": max, "abs": abs}}, NAMES)
        if not math.isfinite(expected):
            expected = None
    except ArithmeticError:
        expected = None
    try:
        value = evaluate(formula, NAMES)
    except BadRequest:
        value = None

    assert expected == value


@given(st.text(max_size=60) | st.text(alphabet="0123456789+-*/%()<>=., mrnkotifelsd", max_size=60))
def test_junk_is_refused(text):
    """No text raises anything but `BadRequest`."""
    try:
        value = evaluate(text, NAMES)
    except BadRequest:
        value = 0

    assert math.isfinite(value)


@given(st.integers(-1000, 1000) | st.floats(-1000, 1000), st.integers(1, 64))
def test_rounding(x, step):
    """The two multiples around a number enclose it and are a step apart at most."""
    names = {"x": x, "step": step}
    below, above = evaluate("round_down(x, step)", names), evaluate("round_up(x, step)", names)

    assert below <= x <= above
    assert above - below in (0, step)
    assert isinstance(below, int)
    assert isinstance(above, int)


def test_function_names_are_documented_words():
    """The list of functions is part of the contract given to language models."""
    expected = {"min", "max", "abs", "ceil", "floor", "sqrt", "round_up", "round_down", "clamp", "nearest"}

    assert expected == set(FUNCTIONS)


def test_documented_target_gives_the_documented_names():
    """The example of harness/targets/README.md is a legal target, and formulas see the names its table lists."""
    page = (TARGETS / "README.md").read_text()
    target = Target.from_mapping(tomllib.loads("\n".join(re.findall(r"```toml\n(.*?)```", page, re.DOTALL))))
    table = page.partition("## What formulas see")[2]
    documented = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }

    assert documented == target.factors.keys()
    assert evaluate("l1_bytes // (vector_bits // 32)", target.factors) == 16384


@given(st.integers(0, 9), st.integers(0, 9))
def test_a_conjunction_is_every_formula(x, y):
    formulas = ["x + y <= size", "x < y or y == 0", "2 ** x < 300"]
    holds = conjunction(formulas, {"size": 12})

    assert all(evaluate(formula, {"x": x, "y": y, "size": 12}) for formula in formulas) == holds({"x": x, "y": y})


def test_a_conjunction_names_what_it_lacks():
    holds = conjunction(["x > 0", "depth > x"], {})

    with pytest.raises(BadRequest, match="depth"):
        holds({"x": 1})


def test_a_conjunction_refuses_what_a_formula_refuses():
    with pytest.raises(BadRequest, match="__import__"):
        conjunction(["x > 0", "__import__('os')"], {})
