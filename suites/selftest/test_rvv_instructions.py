"""Every vector instruction that kernels use, against a numpy model of it and, where it is installed, against QEMU."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from harness.target import Target, load_target
from suites.selftest.vector_probe import (
    FLOAT,
    FLOATS,
    INTEGER,
    VD,
    VS1,
    VS2,
    WIDTHS,
    Setting,
    drawn,
    probe_text,
    register,
    run_probe,
)

SETTINGS = [Setting(8, 1, 16), Setting(16, 2, 9), Setting(32, 1, 4), Setting(32, 1, 3, True), Setting(32, 2, 7)]
SETTINGS += [Setting(32, 4, 16), Setting(32, 8, 30, True), Setting(64, 1, 1), Setting(64, 4, 5, True), Setting(32, 1, 0)]
SETTINGS += [Setting(16, 1, 8), Setting(16, 1, 5, True), Setting(16, 4, 29), Setting(16, 8, 59, True)]
TARGETS = ("c908", "c910", "k1")


def floats(target: Target, sew: int) -> list[str]:
    """The floating-point instructions that a machine has at a width."""
    return FLOAT if sew in FLOATS and (sew > 16 or "zvfh" in target.features) else []


def model(name: str, a: np.ndarray, b: np.ndarray, d: np.ndarray) -> np.ndarray:
    """What one instruction computes of vs2, vs1 (or the scalar) and vd; independent of the emulator's C."""
    bits = 8 * a.dtype.itemsize
    u = [x.view(f"u{bits // 8}") for x in (a, b, d)] if a.dtype.kind == "i" else None
    wide = [[int(x) for x in values] for values in (a, b, d)] if u else None

    def exact(function) -> np.ndarray:
        return np.array([function(*x) % (1 << bits) for x in zip(*wide, strict=True)], f"u{bits // 8}").view(a.dtype)

    def quotient(x: int, y: int) -> int:
        return -1 if y == 0 else abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)

    def fused(x, y, z) -> np.ndarray:
        return (x.astype(np.longdouble) * y.astype(np.longdouble) + z.astype(np.longdouble)).astype(a.dtype)

    def unsigned(x: int) -> int:
        return x % (1 << bits)

    def least(x, y) -> np.ndarray:
        zero = (x == 0) & (y == 0)
        return np.where(zero, np.where(np.signbit(x), x, y), np.fmin(x, y))

    rules = {
        "vadd": lambda: a + b, "vsub": lambda: a - b, "vrsub": lambda: b - a, "vand": lambda: a & b,
        "vor": lambda: a | b, "vxor": lambda: a ^ b, "vmin": lambda: np.minimum(a, b), "vmax": lambda: np.maximum(a, b),
        "vminu": lambda: np.minimum(u[0], u[1]).view(a.dtype), "vmaxu": lambda: np.maximum(u[0], u[1]).view(a.dtype),
        "vsll": lambda: a << (b & (bits - 1)), "vsra": lambda: a >> (b & (bits - 1)),
        "vsrl": lambda: exact(lambda x, y, _: unsigned(x) >> (y & (bits - 1))),
        "vmul": lambda: exact(lambda x, y, _: x * y), "vmulh": lambda: exact(lambda x, y, _: (x * y) >> bits),
        "vmulhu": lambda: exact(lambda x, y, _: (unsigned(x) * unsigned(y)) >> bits),
        "vmacc": lambda: exact(lambda x, y, z: y * x + z), "vnmsac": lambda: exact(lambda x, y, z: z - y * x),
        "vmadd": lambda: exact(lambda x, y, z: y * z + x), "vdiv": lambda: exact(lambda x, y, _: quotient(x, y)),
        "vdivu": lambda: exact(lambda x, y, _: unsigned(x) // unsigned(y) if y else -1),
        "vrem": lambda: exact(lambda x, y, _: x - y * quotient(x, y) if y else x),
        "vremu": lambda: exact(lambda x, y, _: unsigned(x) % unsigned(y) if y else x),
        "vfadd": lambda: a + b, "vfsub": lambda: a - b, "vfrsub": lambda: b - a, "vfmul": lambda: a * b,
        "vfdiv": lambda: a / b, "vfsqrt": lambda: np.sqrt(a), "vfmin": lambda: least(a, b),
        "vfmax": lambda: -least(-a, -b), "vfsgnjn": lambda: np.copysign(a, -b),
        "vfsgnjx": lambda: np.where(np.signbit(b), -a, a), "vfmacc": lambda: fused(b, a, d),
        "vfnmacc": lambda: fused(-b, a, -d), "vfmsac": lambda: fused(b, a, -d), "vfnmsac": lambda: fused(-b, a, d),
        "vfmadd": lambda: fused(b, d, a),
    }  # fmt: skip
    with np.errstate(all="ignore"):
        return rules[name]()


def expected(target: Target, instruction: str, setting: Setting, given: np.ndarray) -> np.ndarray:
    """The bytes of the destination group and what lies behind it."""
    vlenb, old = target.vector_bits.value // 8, "xtheadvector" in target.features
    kind = np.dtype(f"{'f' if instruction in FLOAT else 'i'}{setting.sew // 8}")
    name, form = instruction.rsplit(".", 1)

    b = register(given, VS1, kind)
    if form == "vf":
        b = np.full_like(b, given[25 * vlenb :].view(kind)[0])
    elif form in ("vx", "vi"):
        b = np.full_like(b, np.array(-12345 if form == "vx" else 5).astype(kind))
    result = register(given, VD, kind).copy()
    new = model(name, register(given, VS2, kind)[: setting.vl], b[: setting.vl], result[: setting.vl])
    if kind.kind == "f" and name not in ("vfsgnjn", "vfsgnjx"):
        new[np.isnan(new)] = np.nan
    step = max(setting.sew // setting.lmul, 1) if old else 1
    mask = np.unpackbits(given[:vlenb], bitorder="little")[: setting.vl * step : step].astype(bool)
    result[: setting.vl] = np.where(mask, new, result[: setting.vl]) if setting.masked else new
    if old and setting.vl:
        result[setting.vl : setting.lmul * vlenb // kind.itemsize] = 0
    return result.view(np.uint8)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("name", TARGETS)
def test_against_numpy(name, setting, bench):
    target = load_target(name)
    wrong = []
    for instructions, seed in ((INTEGER, 0), (floats(target, setting.sew), 1)):
        given = drawn(target, setting.sew, seed)
        got = run_probe(bench, target, instructions, setting, given)
        wanted = [expected(target, instruction, setting, given) for instruction in instructions]
        wrong += [i for i, g, w in zip(instructions, got, wanted, strict=True) if not np.array_equal(g, w)]

    assert [] == wrong


QEMU = shutil.which("qemu-riscv64") or shutil.which("qemu-riscv64-static")
START = """
.globl _start
_start:
  la a0, arguments
  call opw_run
  li a0, 1
  la a1, results
  li a2, {size}
  li a7, 64
  ecall
  li a0, 0
  li a7, 93
  ecall
.data
.balign 16
given: .incbin "{given}"
.balign 16
results: .zero {size}
arguments: .dword given, given, results
"""


@pytest.mark.skipif(QEMU is None, reason="QEMU is not installed; apt install qemu-user")
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_against_qemu(setting, bench, tmp_path):
    target = load_target("k1")
    widths = WIDTHS if setting.sew in (16, 32) and setting.lmul < 8 else []
    instructions = INTEGER + floats(target, setting.sew) + [i for i in widths if ".rtz." not in i]  # on those QEMU 7.2 dies
    given = drawn(target, setting.sew, 2)
    vlenb = target.vector_bits.value // 8
    size = len(instructions) * 8 * vlenb
    (tmp_path / "given").write_bytes(given.tobytes())
    text = probe_text(instructions, replace(setting), False, vlenb)
    (tmp_path / "t.s").write_text(text + START.format(size=size, given=tmp_path / "given"))
    zig = str(bench.toolchain._zig)
    flags = ["--target=riscv64-linux-gnu", "-march=rv64gcv_zfh_zvfh", "-mabi=lp64d"]
    subprocess.run([zig, "clang", *flags, "-c", "t.s", "-o", "t.o"], cwd=tmp_path, check=True)
    subprocess.run([zig, "ld.lld", "-static", "t.o", "-o", "t"], cwd=tmp_path, check=True)
    cpu = f"rv64,v=true,vlen={8 * vlenb},vext_spec=v1.0,Zfh=true"
    done = subprocess.run([QEMU, "-cpu", cpu, str(tmp_path / "t")], capture_output=True, check=True, timeout=30)
    theirs = np.frombuffer(done.stdout, np.uint8).reshape(len(instructions), -1)
    ours = run_probe(bench, target, instructions, setting, given)

    assert [] == [i for i, a, b in zip(instructions, ours, theirs, strict=True) if not np.array_equal(a, b)]
