"""
Evaluate the arithmetic of sketches and launch plans: ``l1_bytes // (4 * mr)``, ``nr % lanes == 0 and mr >= 4``.

A formula may come from a language model, so it is data, not Python: what is not on the list below is refused before
anything runs, and no formula takes long or makes a large number.
"""

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import CodeType

from harness.errors import BadRequest

LONGEST = 1000
"""Characters of the longest formula read."""

_LARGEST_POWER_BITS = 1024
_NODES = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.IfExp,
    ast.Call,
    ast.Name,
    ast.Load,
    ast.Constant,
)
_OPERATORS = (
    *(ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.USub, ast.UAdd),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.And, ast.Or, ast.Not),
)
_POWER = "-power"
"""The name under which a compiled formula finds `_power`; no formula can spell it."""


def _power(base: float, exponent: float) -> float:
    """Return a power, refused before it grows large or leaves the real numbers."""
    if isinstance(base, int) and isinstance(exponent, int):
        if exponent * base.bit_length() > _LARGEST_POWER_BITS:
            raise OverflowError("a power is too large")
    elif base < 0 and exponent != int(exponent):
        raise ValueError("a root of a negative number")
    return base**exponent


def _round_down(x: float, step: float) -> float:
    """Return the largest multiple of ``step`` that is not above ``x``; an int where ``step`` is one."""
    return int(x // step) * step


def _round_up(x: float, step: float) -> float:
    """Return the smallest multiple of ``step`` that is not below ``x``; an int where ``step`` is one."""
    return -int(-x // step) * step


def _clamp(x: float, low: float, high: float) -> float:
    """Return ``x`` moved into low..high."""
    return min(max(x, low), high)


def _nearest(x: float, *choices: float) -> float:
    """Return the choice with the least distance to ``x``, the smaller of two at the same distance."""
    return min(choices, key=lambda choice: (abs(choice - x), choice))


FUNCTIONS = {
    "min": min,
    "max": max,
    "abs": abs,
    "ceil": math.ceil,
    "floor": math.floor,
    "sqrt": math.sqrt,
    "round_up": _round_up,
    "round_down": _round_down,
    "clamp": _clamp,
    "nearest": _nearest,
}
"""What a formula may call."""

_GLOBALS = {"__builtins__": {}, **FUNCTIONS, _POWER: _power}


def evaluate(formula: str | int | float, names: Mapping[str, float]) -> int | float | bool:
    """
    Return the value of ``formula`` over ``names``; a number stands for itself.

    `BadRequest` names the formula and what is wrong: syntax, a construct that is not arithmetic, a name not in ``names``
    (in whichever branch), a division by zero, a result that is not a finite real number.
    """
    if isinstance(formula, (int, float)):
        return formula
    if not isinstance(formula, str):
        raise _refusal(repr(formula), "it is neither text nor a number")
    code, wanted = _compiled(formula)
    if not wanted <= names.keys():
        unknown = ", ".join(sorted(wanted - names.keys()))
        raise _refusal(formula, f"unknown name {unknown}; known names: {', '.join(sorted(names)) or 'none'}")
    try:
        value = eval(code, _GLOBALS, names)
        if isinstance(value, (int, float)) and math.isfinite(value):
            return value
        raise ValueError(f"the result {value!r} is not a finite number")
    except (ArithmeticError, ValueError, TypeError, RecursionError) as error:
        raise _refusal(formula, str(error)) from None


def conjunction(formulas: Sequence[str], names: Mapping[str, float]) -> Callable[[Mapping[str, float]], bool]:
    """
    Return a predicate over further names: do all formulas hold?

    For the search, which asks a hundred thousand times: the formulas are checked and compiled once, into one.
    """
    if not formulas:
        return lambda _: True
    checked = [_compiled(formula) for formula in formulas]
    wanted = frozenset().union(*(found for _, found in checked)) - names.keys()
    trees = (ast.parse(f"({formula.strip()})", mode="eval").body for formula in formulas)
    tree = ast.Expression(ast.BoolOp(ast.And(), list(trees)) if len(formulas) > 1 else next(trees))
    code = compile(ast.fix_missing_locations(_BoundedPowers().visit(tree)), "<formulas>", "eval")
    known = {**_GLOBALS, **names}

    def holds(values: Mapping[str, float]) -> bool:
        try:
            return bool(eval(code, known, values))
        except (ArithmeticError, ValueError, TypeError, NameError) as error:
            if unknown := ", ".join(sorted(wanted - values.keys())):
                raise _refusal(" and ".join(formulas), f"unknown name {unknown}") from None
            raise _refusal(" and ".join(formulas), str(error)) from None

    return holds


@lru_cache(maxsize=4096)
def _compiled(formula: str) -> tuple[CodeType, frozenset[str]]:
    """Check every part of a formula against the lists above and compile it; return the names it needs as well."""
    if len(formula) > LONGEST:
        raise _refusal(formula, f"it is longer than {LONGEST} characters")
    try:
        tree = ast.parse(formula.strip(), mode="eval")
        wanted = _check(formula, tree)
        tree = ast.fix_missing_locations(_BoundedPowers().visit(tree))
        return compile(tree, "<formula>", "eval"), wanted
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _refusal(formula, f"not arithmetic: {getattr(error, 'msg', None) or error}") from None


def _check(formula: str, tree: ast.AST) -> frozenset[str]:
    """Raise `BadRequest` for a part that does not belong to a formula; return the names of its values."""
    callees = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = set()
    for node in ast.walk(tree):
        if not isinstance(node, _NODES + _OPERATORS):
            raise _refusal(formula, f"{type(node).__name__} is not allowed")
        if isinstance(node, ast.Constant) and type(node.value) not in (int, float, bool):
            raise _refusal(formula, f"{node.value!r} is not a number")
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called not in FUNCTIONS or node.keywords:
                raise _refusal(formula, f"{called}(...) is not a function of formulas; they are {', '.join(FUNCTIONS)}")
        elif isinstance(node, ast.Name) and node not in callees:
            if node.id in FUNCTIONS:
                raise _refusal(formula, f"{node.id} is a function: give it arguments")
            names.add(node.id)
    return frozenset(names)


class _BoundedPowers(ast.NodeTransformer):
    """Turn ``x ** y`` into a call of `_power`."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Pow):
            return node
        return ast.Call(func=ast.Name(id=_POWER, ctx=ast.Load()), args=[node.left, node.right], keywords=[])


def _refusal(formula: str, problem: str) -> BadRequest:
    shown = formula if len(formula) <= 100 else formula[:100] + "..."
    return BadRequest(f"formula {shown!r}: {problem}")
