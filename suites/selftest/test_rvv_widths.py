"""Vector floating-point instructions whose results are of another width or kind, against a numpy model of each."""

from collections.abc import Callable

import numpy as np
import pytest

from harness.target import Target, load_target
from suites.selftest.vector_probe import VD, VS1, VS2, WIDTHS, Setting, drawn, register, run_probe

SETTINGS = [Setting(16, 1, 7), Setting(16, 1, 8, True), Setting(16, 2, 13), Setting(16, 4, 30, True), Setting(16, 1, 0)]
SETTINGS += [Setting(32, 1, 4), Setting(32, 2, 6, True), Setting(32, 4, 15)]
Rule = tuple[str, str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]]
"""Kinds of vs2 and of vd, and the results of vs2, vs1 (or the scalar) and the old vd."""


def kinds(sew: int) -> dict[str, np.dtype]:
    """f, i, u: float, signed and unsigned integer of an element; F, I, U: of twice the width."""
    return {letter: np.dtype(f"{letter.lower()}{(sew << letter.isupper()) // 8}") for letter in "fiuFIU"}


def integer(kind: np.dtype, rounding: Callable) -> Callable:
    """Conversions to integers saturate; NaN becomes the largest."""
    limits = np.iinfo(kind)

    def convert(a: np.ndarray, _b: np.ndarray, _d: np.ndarray) -> np.ndarray:
        whole = np.clip(rounding(a.astype(np.longdouble)), limits.min, limits.max)
        return np.where(np.isnan(a), np.longdouble(limits.max), whole).astype(kind)

    return convert


def odd(kind: np.dtype) -> Callable:
    """Towards zero; what is not exact gets an odd last bit."""

    def convert(a: np.ndarray, _b: np.ndarray, _d: np.ndarray) -> np.ndarray:
        near = a.astype(kind)
        cut = np.where(np.abs(near) > np.abs(a), np.nextafter(near, kind.type(0)), near)
        bits = cut.view(f"u{kind.itemsize}")
        return np.where((cut == a) | np.isnan(a), bits, bits | 1).astype(bits.dtype).view(kind)

    return convert


def classes(a: np.ndarray) -> np.ndarray:
    """One bit of ten: -inf, -normal, -subnormal, -0, +0, +subnormal, +normal, +inf, signalling NaN, quiet NaN."""
    info, bits = np.finfo(a.dtype), a.view(f"u{a.dtype.itemsize}")
    size = np.select([np.isinf(a), np.abs(a) >= info.tiny, a != 0], [3, 2, 1], 0)
    number = np.where(np.signbit(a), 3 - size, 4 + size)
    return (1 << np.where(np.isnan(a), 8 + (bits >> (info.nmant - 1) & 1), number)).astype(bits.dtype)


def rules(sew: int) -> dict[str, Rule]:
    kind = kinds(sew)
    f, wide = kind["f"], kind["F"]

    def fused(sign_of_product: int, sign_of_sum: int) -> Callable:
        def run(a: np.ndarray, b: np.ndarray, d: np.ndarray) -> np.ndarray:
            a, b, d = (x.astype(np.longdouble) for x in (a, b, d))
            return (sign_of_product * b * a + sign_of_sum * d).astype(wide)

        return run

    def to(name: str) -> Callable:
        return lambda a, b, d: a.astype(np.longdouble).astype(kind[name])  # integers to halves by way of fp32 round twice

    def select(a: np.ndarray, b: np.ndarray, d: np.ndarray) -> np.ndarray:
        return np.broadcast_to(b, a.shape)

    return {
        "vfwadd": ("f", "F", lambda a, b, d: a.astype(wide) + b.astype(wide)),
        "vfwsub": ("f", "F", lambda a, b, d: a.astype(wide) - b.astype(wide)),
        "vfwadd.w": ("F", "F", lambda a, b, d: a + b.astype(wide)),
        "vfwsub.w": ("F", "F", lambda a, b, d: a - b.astype(wide)),
        "vfwmul": ("f", "F", lambda a, b, d: a.astype(wide) * b.astype(wide)),
        "vfwmacc": ("f", "F", fused(1, 1)), "vfwnmacc": ("f", "F", fused(-1, -1)),
        "vfwmsac": ("f", "F", fused(1, -1)), "vfwnmsac": ("f", "F", fused(-1, 1)),
        "vfwcvt.f.f": ("f", "F", to("F")), "vfwcvt.f.x": ("i", "F", to("F")), "vfwcvt.f.xu": ("u", "F", to("F")),
        "vfwcvt.x.f": ("f", "I", integer(kind["I"], np.rint)), "vfwcvt.xu.f": ("f", "U", integer(kind["U"], np.rint)),
        "vfwcvt.rtz.x.f": ("f", "I", integer(kind["I"], np.trunc)),
        "vfwcvt.rtz.xu.f": ("f", "U", integer(kind["U"], np.trunc)),
        "vfncvt.f.f": ("F", "f", to("f")), "vfncvt.rod.f.f": ("F", "f", odd(f)),
        "vfncvt.f.x": ("I", "f", to("f")), "vfncvt.f.xu": ("U", "f", to("f")),
        "vfncvt.x.f": ("F", "i", integer(kind["i"], np.rint)), "vfncvt.xu.f": ("F", "u", integer(kind["u"], np.rint)),
        "vfncvt.rtz.x.f": ("F", "i", integer(kind["i"], np.trunc)),
        "vfncvt.rtz.xu.f": ("F", "u", integer(kind["u"], np.trunc)),
        "vfcvt.x.f": ("f", "i", integer(kind["i"], np.rint)), "vfcvt.xu.f": ("f", "u", integer(kind["u"], np.rint)),
        "vfcvt.f.x": ("i", "f", to("f")), "vfcvt.f.xu": ("u", "f", to("f")),
        "vfcvt.rtz.x.f": ("f", "i", integer(kind["i"], np.trunc)),
        "vfcvt.rtz.xu.f": ("f", "u", integer(kind["u"], np.trunc)),
        "vfclass": ("f", "u", lambda a, b, d: classes(a)),
        "vfslide1up": ("f", "f", lambda a, b, d: np.concatenate([b, a])[: a.size]),
        "vfslide1down": ("f", "f", lambda a, b, d: np.concatenate([a, b])[1:]),
        "vfmerge": ("f", "f", select), "vfmv.v": ("f", "f", select), "vfmv.s": ("f", "f", select),
        "vmfeq": ("f", "mask", lambda a, b, d: a == b), "vmfne": ("f", "mask", lambda a, b, d: a != b),
        "vmfle": ("f", "mask", lambda a, b, d: a <= b), "vmflt": ("f", "mask", lambda a, b, d: a < b),
        "vmfgt": ("f", "mask", lambda a, b, d: a > b), "vmfge": ("f", "mask", lambda a, b, d: a >= b),
    }  # fmt: skip


def least(x: np.generic, y: np.generic) -> np.generic:
    if np.isnan(x) or np.isnan(y):
        return y if np.isnan(x) else x
    return x if x < y or (x == y and np.signbit(x)) else y


REDUCTIONS = {"vfredosum": lambda x, y: x + y, "vfredmin": least, "vfredmax": lambda x, y: -least(-x, -y)}
MOVES = ("vfmv.v", "vfmv.s", "vfmerge", "vfslide1up", "vfslide1down")
"""Whose NaNs stay as they are."""


def expected(instruction: str, setting: Setting, given: np.ndarray) -> np.ndarray:
    """The bytes of the destination group and what lies behind it."""
    name, form = instruction.rsplit(".", 1)
    name += ".w" if form in ("wv", "wf") else ""
    f, vl = kinds(setting.sew)["f"], setting.vl
    mask = np.unpackbits(given[: given.size // 26], bitorder="little")[:vl].astype(bool)
    on = mask if setting.masked and not name.startswith("vfmv") else np.ones(vl, bool)
    if name in REDUCTIONS:
        return reduced(name, given, f, vl, on)
    source, result_kind, rule = rules(setting.sew)[name]
    b = register(given, VS1, f)[:vl]
    if form in ("vf", "wf", "f", "vfm"):
        b = given[-given.size // 26 :].view(f)[:1]
    kind = np.dtype("u1") if result_kind == "mask" else kinds(setting.sew)[result_kind]
    old = register(given, VD, kind).copy()
    new = rule(register(given, VS2, kinds(setting.sew)[source])[:vl], b, old[:vl])
    if result_kind == "mask":
        bits = np.unpackbits(old, bitorder="little")
        bits[:vl] = np.where(on, new, bits[:vl])
        return np.packbits(bits, bitorder="little")
    if kind.kind == "f" and name not in MOVES:
        new = np.where(np.isnan(new), kind.type(np.nan), new)
    if name == "vfmerge":
        new, on = np.where(mask, new, register(given, VS2, f)[:vl]), np.ones(vl, bool)
    count = min(vl, 1) if name == "vfmv.s" else vl
    old[:count] = np.where(on, new, old[:vl])[:count]
    return old.view(np.uint8)


def reduced(name: str, given: np.ndarray, f: np.dtype, vl: int, on: np.ndarray) -> np.ndarray:
    """One element in order of all that are on, beginning with the first of vs1."""
    result, total = register(given, VD, f).copy(), register(given, VS1, f)[0]
    for value in register(given, VS2, f)[:vl][on]:
        total = REDUCTIONS[name](total, value)
        total = f.type(np.nan) if np.isnan(total) else total
    result[: min(vl, 1)] = total
    return result.view(np.uint8)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("name", ["c908", "k1"])
def test_against_numpy(name, setting, bench):
    target: Target = load_target(name)
    given = drawn(target, setting.sew, 3)
    got = run_probe(bench, target, WIDTHS, setting, given)
    with np.errstate(all="ignore"):
        wanted = [expected(instruction, setting, given) for instruction in WIDTHS]

    assert [] == [i for i, g, w in zip(WIDTHS, got, wanted, strict=True) if not np.array_equal(g, w)]
