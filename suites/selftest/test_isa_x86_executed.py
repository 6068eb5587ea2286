"""
The semantics of x86-64 lines are what this processor does.

Every mnemonic of the tables runs in every operand form that the assembler accepts, between loading and storing the
whole register file. What a line does not claim to write must stay; what it does not claim to read must not matter.
Then whole blocks run before and after legal moves.
"""

import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from itertools import compress, product
from pathlib import Path
from random import Random

import numpy as np
import pytest
import ziglang

from harness.isa import Instruction, load_isa
from harness.isa.x86_mnemonics import EFFECTS, PREFETCHES, expand
from harness.order import apply, dependency, find_blocks, legal_moves

X86 = load_isa("x86")
ZIG = Path(ziglang.__file__).parent / "zig"
RUNS_HERE = sys.platform == "linux" and platform.machine() == "x86_64"
CPUINFO = Path("/proc/cpuinfo").read_text().split("flags", 1)[-1].splitlines()[0].split() if RUNS_HERE else []

pytestmark = pytest.mark.skipif(not RUNS_HERE, reason="x86-64 code runs on x86-64 Linux only; run this test there")

# The register file as the rig loads and stores it, in bytes; `MEMORY` bytes follow, r8 points 64 bytes into them.
GENERAL = ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16))]
SLICES = {f"v{n}": slice(64 * n, 64 * n + 64) for n in range(32)}
SLICES |= {f"k{n}": slice(2048 + 8 * n, 2056 + 8 * n) for n in range(8)}
SLICES |= {name: slice(2112 + 8 * n, 2120 + 8 * n) for n, name in enumerate(GENERAL) if name != "rsp"}
SLICES |= {"flags": slice(2240, 2248)}
STATE, MEMORY, BASE = 2248, 256, 64
STATUS_FLAGS = 0x8D5

CHILD = """
import ctypes, signal, sys
import numpy as np
folder = sys.argv[1]
rig = ctypes.CDLL(f"{folder}/rig.so")
ctypes.CDLL(None).signal(int(signal.SIGILL), rig.illegal)
states = np.load(f"{folder}/states.npy", mmap_mode="r+")
progress = np.load(f"{folder}/progress.npy", mmap_mode="r+")
block = np.zeros(8192, np.uint8)
start = -block.ctypes.data % 64
memory, one, two = block[start : start + 256], block[start + 1024 : start + 3272], block[start + 4096 : start + 6344]
address, r8 = np.uint64(memory.ctypes.data), slice(2112 + 64, 2120 + 64)
pointers = [ctypes.c_void_p(array.ctypes.data) for array in (one, two)]
for sample in range(len(states)):
    progress[0] = sample
    function = ctypes.cast(getattr(rig, f"s{sample}"), ctypes.c_void_p)
    for state in states[sample]:
        one[:], memory[:] = state[:2248], state[2248:]
        one[r8].view(np.uint64)[0] += address
        two[:] = one
        progress[1 + sample] = rig.enter(*pointers, function)
        two[r8].view(np.uint64)[0] -= address
        state[:2248], state[2248:] = two, memory
"""


def rig_text(samples: Sequence[str], wide: bool) -> str:
    """
    Return assembly: ``int enter(state, result, sample)``, the samples ``s0``, ``s1``, ... and a handler of SIGILL.

    ``enter`` returns 1 for a sample with an instruction that this processor does not have: the handler puts the
    stack and instruction pointers of the interrupted context (`ucontext_t`, bytes 160 and 168) back to its end.
    """
    vectors = [(f"zmm{n}" if wide else f"ymm{n}", 64 * n) for n in range(32 if wide else 16)]
    masks = [(f"k{n}", SLICES[f"k{n}"].start) for n in range(8)] if wide else []
    general = [(name, SLICES[name].start) for name in GENERAL if name not in ("rsp", "rdi")]
    saved, rdi, flags = ["rbx", "rbp", "r12", "r13", "r14", "r15"], SLICES["rdi"].start, SLICES["flags"].start
    lines = [".intel_syntax noprefix", ".data", "stack: .quad 0", ".text", ".globl enter, illegal"]
    lines += ["illegal:", "mov rax, [rip + stack]", "mov [rdx + 160], rax"]
    lines += ["lea rax, [rip + refused]", "mov [rdx + 168], rax", "ret"]
    lines += ["enter:", *(f"push {name}" for name in saved), "sub rsp, 40", "mov [rip + stack], rsp"]
    lines += ["mov [rsp], rsi", "mov [rsp + 8], rdx"]
    lines += [f"vmovups {name}, [rdi + {at}]" for name, at in vectors] + [f"kmovq {k}, [rdi + {at}]" for k, at in masks]
    lines += [f"push qword ptr [rdi + {flags}]", "popfq"]
    lines += [f"mov {name}, [rdi + {at}]" for name, at in general] + [f"mov rdi, [rdi + {rdi}]"]
    lines += ["call [rsp + 8]", "mov [rsp + 16], rdi", "mov rdi, [rsp]"]
    lines += [f"mov [rdi + {at}], {name}" for name, at in general] + ["mov rax, [rsp + 16]", f"mov [rdi + {rdi}], rax"]
    lines += ["pushfq", f"pop [rdi + {flags}]", f"and qword ptr [rdi + {flags}], {STATUS_FLAGS}"]
    lines += [f"vmovups [rdi + {at}], {name}" for name, at in vectors] + [f"kmovq [rdi + {at}], {k}" for k, at in masks]
    lines += [
        "xor eax, eax",
        "done:",
        "cld",
        "vzeroupper",
        "add rsp, 40",
        *(f"pop {name}" for name in reversed(saved)),
        "ret",
    ]
    lines += ["refused:", "mov eax, 1", "jmp done"]
    for number, sample in enumerate(samples):
        lines += [f".globl s{number}", f"s{number}:", sample, "ret"]
    return "\n".join(lines) + "\n"


def assemble(text: str, output: Path) -> set[int]:
    """Assemble; return the numbers of the lines that were refused, from 1 (LLVM knows all extensions at all times)."""
    source = output.with_suffix(".s")
    source.write_text(text)
    command = [ZIG, "clang", "-cc1as", "-triple", "x86_64-linux-gnu", "-filetype", "obj", source, "-o", output]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return {int(number) for number in re.findall(rf"^{re.escape(str(source))}:(\d+):\d+: error", done.stderr, re.M)}


def accepted(lines: Sequence[str], folder: Path) -> list[str]:
    """Return the lines that the assembler takes."""
    refused = assemble("\n".join([".intel_syntax noprefix", *lines]) + "\n", folder / "forms.o")
    return [line for number, line in enumerate(lines, 2) if number not in refused]


def execute(samples: Sequence[str], states: np.ndarray, folder: Path, wide: bool) -> tuple[np.ndarray, np.ndarray]:
    """
    Run every sample from its states, shape (samples, runs, STATE + MEMORY).

    Returns:
        What each run left, in the same shape, and which samples ran (False: not an instruction of this processor).

    """
    assert not assemble(rig_text(samples, wide), folder / "rig.o")
    subprocess.run([ZIG, "ld.lld", "-shared", folder / "rig.o", "-o", folder / "rig.so"], check=True, timeout=60)
    np.save(folder / "states.npy", states)
    np.save(folder / "progress.npy", np.zeros(1 + len(samples), np.int64))
    done = subprocess.run([sys.executable, "-c", CHILD, folder], capture_output=True, text=True, timeout=120)
    progress = np.load(folder / "progress.npy")
    assert done.returncode == 0, f"{samples[progress[0]]!r}: {done.stderr}"
    results = np.load(folder / "states.npy")
    (folder / "states.npy").unlink()
    return results, progress[1:] == 0


def random_states(rng: np.random.Generator, *shape: int, wide: bool) -> np.ndarray:
    """Draw whole machine states: random bits, but v15 holds small indices and r8 the offset of the memory."""
    states = rng.integers(0, 256, (*shape, STATE + MEMORY), dtype=np.uint8)
    put(states, "flags", rng.integers(0, 1 << 16, (*shape, 1), dtype=np.uint64) & np.uint64(STATUS_FLAGS))
    put(states, "v15", rng.integers(0, 64, (*shape, 8), dtype=np.uint64))
    put(states, "r8", np.full((*shape, 1), BASE, np.uint64))
    if not wide:  # the rig moves 256 bits, and VEX clears what is above
        states[..., : 64 * 32].reshape(*shape, 32, 2, 32)[..., 1, :] = 0
    return states


def put(states: np.ndarray, resource: str, values: np.ndarray) -> None:
    """Set one register of every state."""
    states[..., SLICES[resource]] = values.view(np.uint8)


def operand_forms(mnemonic: str) -> list[str]:
    """Return operand lists that may or may not be legal for a mnemonic; the assembler decides."""
    if mnemonic in expand(PREFETCHES):
        return ["[r8 + 64]"]
    if "gather" in mnemonic:
        pairs = list(product("xyz", repeat=2))
        return [f"{d}mm1{{k1}}, [r8 + {i}mm15]" for d, i in pairs] + [
            f"{d}mm1, [r8 + {i}mm15], {d}mm2" for d, i in pairs
        ]
    if "scatter" in mnemonic:
        return [f"[r8 + {i}mm15]{{k1}}, {d}mm1" for d, i in product("xyz", repeat=2)]
    if mnemonic.startswith(("tile", "tdp")):
        return ["tmm0", "tmm0, [r8 + r9]", "[r8 + r9], tmm0", "tmm0, tmm1, tmm2"]
    if mnemonic == "lea":
        return [*SCALAR_FORMS, "rax, [rcx + 4*r9 - 8]", "eax, [rcx + 4*r9 - 8]"]
    return VECTOR_FORMS if mnemonic[0] in "vk" else SCALAR_FORMS


def _vector_forms() -> list[str]:
    forms = ["", "eax, xmm2", "rax, xmm2", "xmm1, eax", "xmm1, rcx", "xmm1, xmm2, ecx", "xmm1, xmm2, rcx", "eax, ymm2"]
    forms += ["k2, eax", "eax, k2", "rax, k2", "k2, k3", "k2, k3, k4", "k2, k3, k3", "k2, k3, 3", "k2, [r8 + 64]"]
    forms += ["[r8 + 64], k2", "eax, xmm2, 3", "xmm1, xmm2, ecx, 3", "xmm1, xmm2, rcx, 3", "xmm1, xmm2, [r8 + 64], 3"]
    forms += [f"{a}mm1, {b}mm2{rest}" for a, b in product("xyz", repeat=2) if a != b for rest in ("", ", 3")]
    forms += [f"{a}mm1, {a}mm2, {b}mm3{rest}" for a, b in ("yx", "zx", "zy") for rest in ("", ", 1")]
    forms += [f"zmm1, {size} ptr [r8 + 64]" for size in ("dword", "qword", "xmmword", "ymmword", "zmmword")]
    for a in ("xmm", "ymm", "zmm"):
        forms += [f"{a}1, {a}2{rest}" for rest in ("", ", 3", f", {a}3", f", {a}3, 3", f", {a}3, {a}4", f", {a}2")]
        forms += [f"{a}1, [r8 + 64]", f"{a}1, [r8 + 64], 3", f"{a}1, {a}2, [r8 + 64]", f"{a}1, {a}2, [r8 + 64], {a}4"]
        forms += [f"[r8 + 64], {a}2{rest}" for rest in ("", ", 3", f", {a}3")]
        forms += [f"{a}1, k2", f"k2, {a}2", f"k2, {a}2, {a}3", f"k2, {a}2, {a}3, 3"]
    for mask in ("{k1}", "{k1}{z}"):
        forms += [f"zmm1{mask}, zmm2{rest}" for rest in ("", ", 3", ", zmm3", ", zmm3, 3", ", zmm2", ", zmm3, 255")]
        forms += [f"zmm1{mask}, [r8 + 64]", f"zmm1{mask}, zmm2, [r8 + 64]", f"xmm1{mask}, xmm2, [r8 + 64]"]
        forms += [f"ymm1{mask}, zmm2", f"zmm1{mask}, ymm2"]
    forms += [
        "[r8 + 64]{k1}, zmm2",
        "[r8 + 64]{k1}, xmm2",
        "[r8 + 64]{k1}, zmm2, 3",
        "k2{k1}, zmm2, zmm3",
        "k2{k1}, zmm2, zmm3, 3",
    ]
    forms += [
        f"zmm1, zmm2, {rest}" for rest in ("dword ptr [r8 + 64]{1to16}", "qword ptr [r8 + 64]{1to8}", "zmm3, {rn-sae}")
    ]
    forms += ["zmm1, zmm2, zmm3, 255", "zmm1, zmm2, [r8 + 64], 255", "k2, zmm2, [r8 + 64], 3", "k2, xmm2, [r8 + 64]"]
    return [*forms, "zmm17, zmm18, zmm19", "zmm17, [r8 + 64]", "xmm1, xmm2, zmmword ptr [r8 + 64]{1to16}"]


def _scalar_forms() -> list[str]:
    registers = [("rax", "rcx", "r10"), ("eax", "ecx", "r10d"), ("ax", "cx", "r10w"), ("al", "ch", "r10b")]
    forms = ["", "qword ptr [r8 + 64]", "dword ptr [r8 + 64]", "byte ptr [r8 + 64]", "rax, 0x123456789abc"]
    for a, b, c in registers:
        forms += [
            a,
            b,
            f"{a}, {b}",
            f"{a}, {a}",
            f"{a}, 5",
            f"{a}, cl",
            f"{a}, [r8 + 64]",
            f"[r8 + 64], {a}",
            f"{a}, {b}, {c}",
        ]
        forms += [f"{a}, {b}, 5", f"{a}, {b}, cl", f"{a}, [r8 + 64], 5", f"{a}, [r8 + 64], {c}", f"{a}, {b}, [r8 + 64]"]
    forms += [
        f"{a}, {b}"
        for a in ("rax", "eax", "ax")
        for b in ("ecx", "cx", "cl", "word ptr [r8 + 64]", "byte ptr [r8 + 64]")
    ]
    return [*forms, "dword ptr [r8 + 64], 5", "qword ptr [r8 + 64], 1", "dword ptr [r8 + 64], cl"]


VECTOR_FORMS, SCALAR_FORMS = _vector_forms(), _scalar_forms()
FEATURES = {
    "avx512bw": ".*",
    "avx512_fp16": r".*[ps]h|vcvt.*(ph|sh).*|vmovw",
    "avx512_bf16": "vcvtne.*|vdpbf16ps",
    "avx512_vnni": "vpdp.*",
    "avx512vbmi": "vperm(i2|t2)?b|vpmultishiftqb",
    "avx512_vbmi2": "vp(compress|expand)[bw]|vpsh[lr]dv?[wdq]",
    "avx512ifma": "vpmadd52.*",
    "avx512_bitalg": "vpopcnt[bw]",
    "avx512_vpopcntdq": "vpopcnt[dq]",
}
"""What a processor without a feature (as /proc/cpuinfo calls it) need not have run."""
LEGACY_SSE = [name[1:] for name in EFFECTS if re.fullmatch(r"v(?!p?gather|p?scatter|p?maskmov|blendv|pblendv).*", name)]
LEGACY_FORMS = [
    "xmm1, xmm2",
    "xmm1, xmm1",
    "xmm1, [r8 + 64]",
    "[r8 + 64], xmm1",
    "xmm1, xmm2, 3",
    "eax, xmm2, 3",
    "xmm1, ecx, 3",
    "eax, xmm2",
    "xmm1, rcx",
]


@pytest.fixture(scope="module", params=["avx2", "avx512"])
def wide(request) -> bool:
    """Whether to check what needs AVX-512 state, or the rest."""
    if {"avx2": "avx2", "avx512": "avx512bw"}[request.param] not in CPUINFO:
        pytest.skip(f"this processor has no {request.param}; run on one that has it to check these instructions")
    return request.param == "avx512"


@pytest.fixture(scope="module")
def forms(tmp_path_factory) -> list[str]:
    """Every form of every known mnemonic that the assembler takes."""
    lines = [f"{mnemonic} {form}" for mnemonic in EFFECTS for form in operand_forms(mnemonic)]
    lines += [f"{mnemonic} {form}" for mnemonic in LEGACY_SSE for form in LEGACY_FORMS]
    return accepted(lines, tmp_path_factory.mktemp("forms"))


@pytest.fixture(scope="module")
def samples(forms, wide) -> list[str]:
    """Select the forms that can run without further permission, with or without AVX-512 registers."""
    return [line for line in forms if wide == bool(re.search(r"zmm|\bk\d|{", line)) and "tmm" not in line]


def claims(instruction: Instruction) -> tuple[np.ndarray, np.ndarray]:
    """Return which bytes of a state an instruction is said to depend on, and which it is said to change."""
    depends, changes = np.zeros((2, STATE + MEMORY), bool)
    for resource in instruction.reads:
        depends[SLICES[resource]] = True
    for resource in instruction.writes:
        changes[SLICES[resource]] = True
    if instruction.memory.reads or instruction.memory.writes:
        address, place = instruction.address, slice(STATE, STATE + MEMORY)
        if address and address.terms == (("r8", 1),):
            first = STATE + BASE + address.displacement
            place = slice(first, first + address.bytes)
        depends[place] = True  # a store too: under a mask it leaves bytes as they were
        changes[place] = instruction.memory.writes
    return depends, changes


def owners(differs: np.ndarray) -> str:
    """Name the resources that hold these bytes."""
    found = [name for name, place in SLICES.items() if differs[place].any()]
    return " ".join(found + ["memory"] * bool(differs[STATE:].any()))


def test_lines_touch_what_they_claim_and_nothing_else(samples, wide, tmp_path):
    """Unclaimed writes leave a mark, unclaimed reads let the perturbed runs differ: neither happens in any form."""
    rng = np.random.default_rng(1)
    states = random_states(rng, len(samples), 3, wide=wide)
    said = [claims(X86.parse(line)) for line in samples]
    for state, (depends, _) in zip(states, said, strict=True):
        state[1:, depends] = state[0, depends]
    results, ran = execute(samples, states, tmp_path, wide)
    wrong = []
    for line, before, after, (_, changes) in compress(zip(samples, states, results, said, strict=True), ran):
        if (left := (before != after).any(0) & ~changes).any():
            wrong.append(f"{line}: changes {owners(left)}")
        if (varies := (after != after[0]).any(0) & changes).any():
            wrong.append(f"{line}: {owners(varies)} depends on more than it reads")
    excused = "|".join(pattern for feature, pattern in FEATURES.items() if feature not in CPUINFO)
    idle = {line.split()[0] for line in samples} - {line.split()[0] for line in compress(samples, ran)}

    assert not wrong, "\n".join(wrong)
    assert not [mnemonic for mnemonic in sorted(idle) if not re.fullmatch(excused, mnemonic)]


def test_every_mnemonic_exists(forms):
    """Each name in the tables is one that the assembler knows in some form, so each is checked where it can run."""
    assert set(EFFECTS) == {line.split()[0] for line in forms} & set(EFFECTS)


BLOCK_LINES = """
    vpmulld V M, V, V | vpsubd V M, V, P | vfmadd231ps V M, V, V | U V M, P | U P N, V | vmovd dword ptr P, X
    vpxor Y, ymm1, ymm1 | pshufd X, X, 27 | vpbroadcastd V, dword ptr P | prefetcht0 P | add r9, I | add r9, -I
    add S, S | adc S, qword ptr P | add qword ptr P, S | lea S, [S + 2*S] | mov B, 7 | cmovc S, S | setc B
""".replace("\n", "|")
BLOCK_LINES_WIDE = BLOCK_LINES + "| vpcmpgtd K, V, V | kxorw k1, k1, k2"


def random_block(random: Random, wide: bool) -> list[str]:
    """Write a dense little block: few registers, two bases that overlap, partial writes, masks, flags, prefetches."""
    holes = {
        "V": [f"{'zmm' if wide else 'ymm'}{n}" for n in range(5)],
        "X": [f"xmm{n}" for n in range(5)],
        "Y": [f"ymm{n}" for n in range(5)],
        "S": ["rax", "rcx", "rdx"],
        "B": ["al", "ch", "dl"],
        "K": ["k1", "k2"],
        "M": ["", "{k1}", "{k2}{z}"] if wide else [""],
        "N": ["", "{k1}"] if wide else [""],
        "U": ["vmovdqu32" if wide else "vmovdqu"],
        "I": ["16", "32"],
        "P": [f"[{base} + {at}]" for base in ("r8", "r8", "r9") for at in range(0, 97, 16)],
    }
    chosen = random.choices((BLOCK_LINES_WIDE if wide else BLOCK_LINES).split("|"), k=14)
    filled = [re.sub(r"\b[A-Z]\b", lambda hole: random.choice(holes[hole[0]]), line).strip() for line in chosen]
    return ["lea r9, [r8 + 32]", *filter(None, filled)]


def marked(lines: Sequence[str]) -> str:
    """Return lines as an assembly text with one block, ``b``."""
    return "\n".join(["#@block b", *lines, "#@end", ""])


def test_legal_moves_change_no_result(wide, tmp_path):
    """Random blocks leave the same machine state after any legal moves; most swaps of dependent pairs do not."""
    random, texts, broken = Random(7), [], []
    while len(texts) < 300:
        lines = random_block(random, wide)
        text = moved = marked(lines)
        for _ in range(12):
            if moves := legal_moves(find_blocks(moved, X86)["b"]):
                moved = apply(moved, [random.choice(moves)], X86)
        texts += [text, moved]
        block = find_blocks(text, X86)["b"]
        tight = [i for i in range(1, len(block) - 1) if (found := dependency(block, i, i + 1)) and found.kind == "RAW"]
        for i in tight[:1]:
            broken.append((len(texts) - 2, marked([*lines[:i], lines[i + 1], lines[i], *lines[i + 2 :]])))
    rng = np.random.default_rng(2)
    state = random_states(rng, 4, wide=wide)
    for n in range(5):
        put(state, f"v{n}", rng.normal(1, 0.25, (4, 16)).astype(np.float32))
    samples = texts + [text for _, text in broken]
    results, ran = execute(samples, np.repeat(state[None], len(samples), axis=0), tmp_path, wide)
    differs = (results[0 : len(texts) : 2] != results[1 : len(texts) : 2]).any((1, 2))
    noticed = [(results[original] != results[len(texts) + i]).any() for i, (original, _) in enumerate(broken)]

    assert ran.all()
    assert sum(texts[i] != texts[i + 1] for i in range(0, len(texts), 2)) > 140
    assert not [texts[2 * i] + texts[2 * i + 1] for i in np.flatnonzero(differs)]
    assert len(noticed) > 50
    assert np.mean(noticed) > 0.5
