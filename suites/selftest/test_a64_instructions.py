"""
Every row of the AArch64 decode tables does what unicorn (QEMU's translator) does.

Each row's pattern is filled with random fields and executed on random state: integers, reals, subnormals, NaN and
infinities, in every rounding mode. Registers, flags, FPSR and memory must agree. Needs the optional group `emulators`.
"""

import ctypes
import struct
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from harness.toolchain import EMULATORS, NATIVE

unicorn = pytest.importorskip("unicorn", reason="unicorn is missing; run: pip install -e '.[emulators]'")
arm64 = pytest.importorskip("unicorn.arm64_const")

A64 = EMULATORS / "neon"
CODE, DATA, MEMORY_BYTES, WINDOW = 0x10000, 0x80000, 0x100000, 0x4000
ROUNDING_MODES = [mode << 22 for mode in range(4)]
WORDS, STATES = 2, 3
STATUS = 1 << 27 | 0x1F
"""QC, IXC, UFC, OFC, DZC, IOC of FPSR; IDC needs flush-to-zero."""


class State(ctypes.Structure):
    _fields_ = [
        ("x", ctypes.c_uint64 * 31),
        ("sp", ctypes.c_uint64),
        ("v", ctypes.c_uint64 * 64),
        ("pc", ctypes.c_uint64),
        ("nzcv", ctypes.c_uint32),
        ("fpcr", ctypes.c_uint32),
        ("fpsr", ctypes.c_uint32),
        ("failed", ctypes.c_uint32),
    ]


class Row(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("pattern", ctypes.c_char_p), ("operands", ctypes.c_char_p)]


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    """The interpreter as a library that runs one instruction."""
    output = tmp_path_factory.mktemp("rig") / "rig.so"
    sources = [path for path in sorted(A64.glob("*.c")) if path.name != "a64_machine.c"]
    flags = ["-shared", "-fPIC", "-O1", "-std=gnu11", "-Wno-pass-failed"]
    folders = [f"-I{folder}" for folder in (A64, EMULATORS, NATIVE)]
    command = [sys.executable, "-m", "ziglang", "cc", *flags, *folders]
    subprocess.run([*command, Path(__file__).with_name("a64_rig.c"), *sources, "-o", output], check=True, timeout=300)
    library = ctypes.CDLL(str(output))
    library.rig_memory.restype = ctypes.c_void_p
    library.rig_row.restype = ctypes.POINTER(Row)
    library.rig_mnemonic.restype = ctypes.c_char_p
    return library


class Oracle:
    """Unicorn with the rig's memory layout."""

    X = tuple(getattr(arm64, f"UC_ARM64_REG_X{k}") for k in range(31))
    V = tuple(getattr(arm64, f"UC_ARM64_REG_V{k}") for k in range(32))
    OTHERS = (arm64.UC_ARM64_REG_SP, arm64.UC_ARM64_REG_NZCV, arm64.UC_ARM64_REG_FPCR, arm64.UC_ARM64_REG_FPSR)

    def __init__(self):
        self.machine = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        self.machine.ctl_set_cpu_model(arm64.UC_CPU_ARM64_MAX)
        self.machine.mem_map(0, MEMORY_BYTES)
        self.machine.reg_write(arm64.UC_ARM64_REG_CPACR_EL1, 3 << 20)

    def step(self, word: int, state: State, memory: bytes):
        """Return (x, sp, v, nzcv, fpsr, memory), or None for a word that is not an instruction."""
        machine = self.machine
        machine.mem_write(CODE, struct.pack("<I", word))
        machine.ctl_remove_cache(CODE, CODE + 4)
        machine.mem_write(DATA - WINDOW, memory)
        vectors = [state.v[2 * k] | state.v[2 * k + 1] << 64 for k in range(32)]
        others = [state.sp, state.nzcv << 28, state.fpcr, state.fpsr]
        for numbers, values in ((self.X, state.x), (self.V, vectors), (self.OTHERS, others)):
            for number, value in zip(numbers, values, strict=True):
                machine.reg_write(number, value)
        try:
            machine.emu_start(CODE, CODE + 4, count=1)
        except unicorn.UcError:
            return None
        x = [machine.reg_read(number) for number in self.X]
        v = [machine.reg_read(number) for number in self.V]
        sp, nzcv, _, fpsr = (machine.reg_read(number) for number in self.OTHERS)
        return x, sp, v, nzcv >> 28, fpsr, bytes(machine.mem_read(DATA - WINDOW, 2 * WINDOW))


def random_word(rng: Random, pattern: str, is_memory: bool) -> int:
    """Fill a pattern's fields; an access gets a base register that is no other operand, a pair two registers."""
    digits = pattern.replace(" ", "")
    while True:  # LDSMAX, LDSMIN of less than 64 bits are left out: unicorn 2.1 compares them unsigned
        word = int("".join(d if d in "01" else rng.choice("01") for d in digits), 2)
        fields = [word >> at & 31 for at in (0, 10, 16)]
        if word & 0x3F20EC00 == 0x38204000 and word >> 30 < 3:
            continue
        if not is_memory or (word >> 5 & 31 not in fields and fields[0] != fields[1]):
            return word


def random_lane(rng: Random, width: int) -> int:
    """Draw an interesting lane of 16, 32 or 64 bits."""
    code = {16: "<e", 32: "<f", 64: "<d"}[width]
    special = [0.0, -0.0, 1.0, -1.5, 3.0, float("inf"), float("-inf"), float("nan")]
    kind = rng.random()
    if kind < 0.55:
        return int.from_bytes(struct.pack(code, rng.choice([rng.uniform(-100, 100), rng.randrange(-50, 50)])), "little")
    if kind < 0.75:
        return int.from_bytes(struct.pack(code, rng.choice(special)), "little")
    return rng.getrandbits(width) if kind < 0.95 else rng.choice([0, 1, (1 << width) - 1, 1 << width - 1])


def random_state(rng: Random, word: int, is_memory: bool) -> State:
    state = State(fpcr=rng.choice(ROUNDING_MODES), nzcv=rng.randrange(16), sp=DATA + 16 * rng.randrange(8))
    width = rng.choice([16, 32, 32, 64])
    for k in range(31):
        state.x[k] = rng.choice([rng.getrandbits(64), rng.getrandbits(32), rng.randrange(256), 1 << 63 | rng.getrandbits(8)])
    for k in range(64):
        state.v[k] = sum(random_lane(rng, width) << at for at in range(0, 64, width))
    if is_memory:
        if word >> 16 & 31 != 31:
            state.x[word >> 16 & 31] = rng.randrange(64)
        if word >> 5 & 31 != 31:
            state.x[word >> 5 & 31] = DATA + 16 * rng.randrange(16)
    return state


def difference(rig, oracle: Oracle, rng: Random, word: int, is_memory: bool) -> str | None:
    """Run one word on both; say what differs, or return "" (None: unicorn knows no such instruction)."""
    state = random_state(rng, word, is_memory)
    memory = rng.randbytes(2 * WINDOW) if is_memory else bytes(2 * WINDOW)
    wanted = oracle.step(word, state, memory)
    if wanted is None:
        return None
    place = rig.rig_memory() + DATA - WINDOW
    ctypes.memmove(place, memory, len(memory))
    before = [state.v[2 * k] | state.v[2 * k + 1] << 64 for k in range(32)]
    fpcr = state.fpcr
    rig.rig_step(ctypes.byref(state), word)
    if state.failed:
        return "refused"
    x, sp, v, nzcv, fpsr, contents = wanted
    got = [state.v[2 * k] | state.v[2 * k + 1] << 64 for k in range(32)]
    n, m, a = (before[word >> at & 31] for at in (5, 16, 10))
    wrong = [f"x{k} is {state.x[k]:x}, not {x[k]:x}" for k in range(31) if state.x[k] != x[k]]
    wrong += [f"v{k} is {got[k]:032x}, not {v[k]:032x} (was {before[k]:032x})" for k in range(32) if got[k] != v[k]]
    pairs = {"sp": (state.sp, sp), "nzcv": (state.nzcv, nzcv), "fpsr": (state.fpsr & STATUS, fpsr & STATUS)}
    wrong += [f"{name} is {found:x}, not {expected:x}" for name, (found, expected) in pairs.items() if found != expected]
    wrong += ["memory differs"] if ctypes.string_at(place, 2 * WINDOW) != contents else []
    return "; ".join(wrong) and f"fpcr {fpcr:x}: {'; '.join(wrong)} (n {n:032x} m {m:032x} a {a:032x})"


def rows(rig) -> list[tuple[str, str, bool]]:
    """Return (name, pattern, whether it accesses memory)."""
    found, k = [], 0
    while row := rig.rig_row(k):
        name, pattern = row.contents.name.decode(), row.contents.pattern.decode()
        word = int("".join(d if d in "01" else "0" for d in pattern.replace(" ", "")), 2)
        found.append((name, pattern, word >> 27 & 1 == 1 and word >> 25 & 1 == 0))
        k += 1
    return found


def test_rows_agree_with_unicorn(rig):
    rng, oracle, wrong, tried = Random(3), Oracle(), [], 0
    for name, pattern, is_memory in rows(rig):
        known = 0
        for _ in range(8 * WORDS):
            word = random_word(rng, pattern, is_memory)
            if rig.rig_mnemonic(word) != name.encode():
                continue
            for _ in range(STATES):
                said = difference(rig, oracle, rng, word, is_memory)
                if said is None:
                    break
                tried += 1
                known += 1
                if said:
                    wrong.append(f"{name} {word:08x}: {said}")
            if known >= WORDS * STATES:
                break

    assert not wrong, f"{len(wrong)} of {tried} differ: " + " | ".join(wrong[:20])
    assert tried > 3500
