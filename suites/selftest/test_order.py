"""Moves keep what a block computes: on a toy instruction set with an interpreter that knows nothing of dependencies."""

import re
import time
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import BadRequest, IllegalMove
from harness.isa import Address, Instruction, Memory, load_isa
from harness.kernel import Move
from harness.order import (
    Dependency,
    apply,
    dependency,
    dependency_graph,
    explain,
    find_blocks,
    legal_moves,
    neighbour_moves,
    reorder,
    spread_moves,
)

X86 = load_isa("x86")


class Toy:
    """
    An instruction set of six lines.

    ``a = b ^ c``, ``a += b``, ``a = [b + 4 : 8]`` (8 bytes), ``[b + 4 : 8] = a``, ``prefetch [b + 4 : 8]``, ``chaos``.
    """

    name = "toy"

    def within(self, text: str) -> "Toy":
        return self

    def parse(self, line):
        """Read one line."""
        text = line.partition("#")[0].strip()
        if not text:
            return None
        if text.endswith(":"):
            raise ValueError("a label")
        if text == "chaos":
            return Instruction(text=text, mnemonic="chaos", unknown=True)
        address, memory, reads = None, Memory.NONE, set(re.findall(r"\b[a-e]\b", text))
        if found := re.search(r"\[([a-e]) \+ (-?\d+) : (\d+)\]", text):
            address = Address(terms=((found[1], 1),), displacement=int(found[2]), bytes=int(found[3]))
            memory = Memory.PREFETCH if "prefetch" in text else Memory.STORE if text[0] == "[" else Memory.LOAD
        writes = {text[0]} if memory in (Memory.NONE, Memory.LOAD) else set()
        if writes and "+=" not in text:
            reads = set(re.findall(r"\b[a-e]\b", text.partition("=")[2]))
        return Instruction(
            text=text, mnemonic="op", reads=frozenset(reads), writes=frozenset(writes), memory=memory, address=address
        )


TOY = Toy()


def interpret(lines, seed):
    """Execute toy lines from a random state; addresses fall into 40 bytes, so that different registers often meet."""
    random = Random(seed)
    registers = {name: random.getrandbits(32) for name in "abcde"}
    memory = {at: random.getrandbits(8) for at in range(-64, 128)}
    for line in lines:
        words = line.replace("[", " ").replace("]", " ").split()
        match words:
            case [a, "=", b, "^", c]:
                registers[a] = (registers[b] * 3 ^ registers[c] * 5) % 2**32
            case [a, "+=", b]:
                registers[a] = (registers[a] * 7 + registers[b]) % 2**32
            case [a, "=", b, "+", at, ":", size]:
                start = registers[b] % 40 + int(at)
                registers[a] = sum(memory[start + i] << 4 * i for i in range(int(size)))
            case [b, "+", at, ":", size, "=", a]:
                start = registers[b] % 40 + int(at)
                memory |= {start + i: (registers[a] >> i) % 256 for i in range(int(size))}
            case ["chaos"]:
                values = list(registers.values())
                registers = dict(zip(registers, values[1:] + values[:1], strict=True))
                memory = {at: value ^ 1 for at, value in memory.items()}
            case ["prefetch", *_]:
                pass
            case _:
                raise AssertionError(line)
    return registers, memory


def marked(*lines, name="b"):
    """Return an assembly text with one block."""
    return "\n".join([f"#@block {name}", *lines, "#@end", ""])


def block_of(*lines, isa=TOY):
    """Return these lines as a block."""
    return find_blocks(marked(*lines), isa)["b"]


NAMES = st.sampled_from("abcde")
PLACES = st.builds("[{} + {} : {}]".format, NAMES, st.sampled_from([-8, -4, 0, 1, 4, 7, 8]), st.sampled_from([4, 8]))
LINES = st.one_of(
    st.builds("{} = {} ^ {}".format, NAMES, NAMES, NAMES),
    st.builds("{} += {}".format, NAMES, NAMES),
    st.builds("{} = {}".format, NAMES, PLACES),
    st.builds("{} = {}".format, NAMES, PLACES),
    st.builds("{} = {}".format, PLACES, NAMES),
    st.builds("{} = {}".format, PLACES, NAMES),
    st.builds("prefetch {}".format, PLACES),
    st.just("chaos"),
)
BLOCKS = st.lists(LINES, min_size=2, max_size=10)


@settings(max_examples=300)
@given(lines=BLOCKS, choices=st.lists(st.integers(0, 10**6), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_legal_moves_change_no_result(lines, choices, seed):
    """Any sequence of legal moves, applied at once to the text, leaves registers and memory as they were."""
    block, moves = block_of(*lines), []
    for choice in choices:
        current = reorder(block, moves)
        if legal := legal_moves(current):
            moves.append(legal[choice % len(legal)])
    moved = apply(marked(*lines), moves, TOY).splitlines()[1:-1]

    assert sorted(lines) == sorted(moved)
    assert interpret(lines, seed) == interpret(moved, seed)


@settings(max_examples=150)
@given(lines=BLOCKS)
def test_legal_moves_are_those_that_explain_allows(lines):
    """Enumeration, explanation and application agree on every pair of positions."""
    block, everywhere = block_of(*lines), range(len(lines))
    pairs = [Move("b", i, j) for i in everywhere for j in everywhere if i != j]
    allowed = [move for move in pairs if explain(block, move) is None]
    refused = []
    for move in pairs:
        try:
            reorder(block, [move])
        except IllegalMove as reason:
            refused.append((move, str(reason)))

    assert allowed == legal_moves(block)
    assert [(move, explain(block, move)) for move in pairs if move not in allowed] == refused


@settings(max_examples=150)
@given(lines=BLOCKS, choice=st.integers(0, 10**6))
def test_dependencies_survive_moves(lines, choice):
    """The graph of a moved block is the moved graph, so a sequence of moves may be checked against the first one."""
    block = block_of(*lines)
    order = list(range(len(lines)))
    if legal := legal_moves(block):
        move = legal[choice % len(legal)]
        order.insert(move.to, order.pop(move.source))
        block = reorder(block, [move])
    before = dependency_graph(block_of(*lines).instructions).conflicts
    after = dependency_graph(block.instructions).conflicts
    pairs = [(i, j) for i in range(len(lines)) for j in range(len(lines))]

    assert [before[order[i]] >> order[j] & 1 for i, j in pairs] == [after[i] >> j & 1 for i, j in pairs]


@settings(max_examples=150)
@given(lines=BLOCKS, seed=st.integers(0, 99))
def test_generated_moves_are_legal(lines, seed):
    """What the generators of moves propose can be applied, and is the same for the same seed."""
    block = block_of(*lines)
    proposed = neighbour_moves(block, Random(seed))

    assert not [reason for move in proposed if (reason := explain(block, move))]
    assert proposed == neighbour_moves(block, Random(seed))
    assert len(proposed) == len(set(proposed))
    assert all(
        interpret(lines, 1) == interpret([i.text for i in reorder(block, spread_moves(block, kind)).instructions], 1)
        for kind in Memory
    )


@pytest.mark.parametrize(
    ("first", "second", "kind", "resource"),
    [
        ("a = b ^ c", "d = a ^ b", "RAW", "a"),
        ("d = a ^ b", "a = b ^ c", "WAR", "a"),
        ("a = b ^ c", "a = d ^ e", "WAW", "a"),
        ("[a + 0 : 8] = b", "c = [a + 4 : 4]", "RAW", "memory that may be the same"),
        ("c = [a + 4 : 4]", "[a + 0 : 8] = b", "WAR", "memory that may be the same"),
        ("[a + 0 : 8] = b", "[a + 4 : 8] = c", "WAW", "memory that may be the same"),
        ("[a + 0 : 8] = b", "c = [a + 7 : 4]", "RAW", "memory that may be the same"),
        ("[a + 7 : 4] = b", "[a + 0 : 8] = c", "WAW", "memory that may be the same"),
        ("[a + 0 : 8] = b", "c = [d + 64 : 4]", "RAW", "memory that may be the same"),
        ("b += c", "prefetch [b + 0 : 4]", "RAW", "b"),
        ("chaos", "prefetch [b + 0 : 4]", "barrier", "chaos"),
        ("a = b ^ c", "chaos", "barrier", "chaos"),
    ],
)
def test_each_kind_of_dependency(first, second, kind, resource):
    """Two lines that must keep their order say why."""
    found = dependency(block_of(first, second), 0, 1)

    assert (kind, resource) == (found.kind, found.resource)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a = b ^ c", "d = b ^ c"),
        ("a = [b + 0 : 8]", "c = [b + 4 : 8]"),
        ("[a + 0 : 8] = b", "c = [a + 8 : 8]"),
        ("[a + 0 : 8] = b", "[a + -8 : 8] = c"),
        ("[a + 0 : 8] = b", "prefetch [a + 0 : 8]"),
    ],
)
def test_independent_lines_may_change_places(first, second):
    """Loads pass loads, disjoint accesses through one base pass each other, a prefetch passes a store."""
    assert [Move("b", 0, 1), Move("b", 1, 0)] == legal_moves(block_of(first, second))


def test_a_redefined_base_is_another_address():
    """Disjoint displacements prove nothing once the base register has changed between the two accesses."""
    moved, same = (block_of("[a + 0 : 4] = b", line, "d = [a + 8 : 4]") for line in ("a += c", "e += c"))

    assert dependency(same, 0, 2) is None
    assert dependency(moved, 0, 2) == Dependency(kind="RAW", resource="memory that may be the same")


def test_an_illegal_move_names_both_lines_and_the_dependency():
    """The message is one a person or an LLM can act on, in both directions."""
    text = marked("vbroadcastss zmm30, dword ptr [rax]", "vfmadd231ps zmm0, zmm1, zmm30", name="compute")
    block = find_blocks(text, X86)["compute"]
    up = "compute:1>0: `vfmadd231ps zmm0, zmm1, zmm30` may not pass `vbroadcastss zmm30, dword ptr [rax]`: reads v30 after it is written (RAW)"
    down = "compute:0>1: `vbroadcastss zmm30, dword ptr [rax]` may not pass `vfmadd231ps zmm0, zmm1, zmm30`: writes v30 before it is read (RAW)"

    assert (up, down) == (explain(block, Move("compute", 1, 0)), explain(block, Move("compute", 0, 1)))
    with pytest.raises(IllegalMove, match=re.escape(up)):
        apply(text, [Move("compute", 1, 0)], X86)


def test_moves_apply_in_sequence_and_leave_the_rest_alone():
    """A later move sees the order that the earlier one left; comments travel; text around a block stays byte for byte."""
    text = ".text\nf:\n#@block one\n# first\n  a += b\n\n  c += d  # second\n  e += b\n# tail\n#@end\nret\n\t//@block two\nchaos\na += b\n//@end"
    moved = apply(text, [Move("one", 2, 0), Move("one", 2, 1)], TOY)

    assert (
        text.replace(
            "# first\n  a += b\n\n  c += d  # second\n  e += b\n", "  e += b\n\n  c += d  # second\n# first\n  a += b\n"
        )
        == moved
    )
    assert text == apply(text, [], TOY)


@pytest.mark.parametrize(
    ("moves", "message"),
    [
        ([Move("c", 0, 1)], "c:0>1: the text has no block c; it has b"),
        ([Move("b", 0, 2)], "b:0>2: block b has 2 instructions, numbered from 0"),
        ([Move("b", -1, 0)], "b:-1>0: block b has 2 instructions, numbered from 0"),
        ([Move("b", 0, 1), Move("b", 0, 5)], "b:0>5: block b has 2 instructions, numbered from 0"),
    ],
)
def test_moves_that_point_nowhere(moves, message):
    """A block or position that does not exist is an illegal move, not an accident of indexing."""
    with pytest.raises(IllegalMove, match=re.escape(message)):
        apply(marked("a += b", "c += d"), moves, TOY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#@block b\na += b\n", "line 1: block b is never closed; put `#@end` below it"),
        ("a += b\n#@end\n", "line 2: `#@end` closes no block; put `#@block NAME` above it"),
        ("#@block b\n#@block c\n#@end\n", "line 2: block b of line 1 is still open; close it with `#@end` first"),
        (marked("a += b") * 2, "line 4: block b is marked twice (first in line 1); give each its own name"),
        ("#@block\n#@end\n", "line 1: `#@block` needs a name of letters, digits, `_`, `.` and `-`"),
        ("#@block a:b\n#@end\n", "line 1: `#@block a:b` needs a name of letters, digits, `_`, `.` and `-`"),
        ("#@blok b\n", "line 1: the mark `#@blok b` is neither `@block NAME` nor `@end`"),
        (
            marked("a += b", "loop:"),
            "line 3: `loop:` in block b is a label; a marked block holds straight-line code, one instruction a line",
        ),
    ],
)
def test_marks_that_cannot_be_read(text, message):
    """Each mistake in marking is named with its line."""
    with pytest.raises(BadRequest) as caught:
        find_blocks(text, TOY)

    assert message == str(caught.value)


def test_a_branch_in_a_block_is_refused():
    """Straight-line code only: the ISA module's reason reaches the message."""
    with pytest.raises(BadRequest, match=r"line 3: `jne \.L1` in block b is the branch `jne`; a marked block"):
        block_of("dec rcx", "jne .L1", isa=X86)


def test_an_unknown_isa_lists_those_there_are():
    """A missing module is one sentence."""
    with pytest.raises(BadRequest, match=r"add harness/isa/z80\.py or use .*x86"):
        load_isa("z80")


def micro_kernel(steps, shift=0):
    """Return a 6x64 fp32 step, unrolled: 4 loads, 6 broadcasts and 24 multiply-adds, every fourth with a prefetch."""
    lines = []
    for step in range(steps):
        lines += [f"vmovups zmm{24 + j}, [rsi + {shift + step * 256 + j * 64}]" for j in range(4)]
        for i in range(6):
            lines += [f"vbroadcastss zmm{28 + i % 4}, dword ptr [rdi + {shift + step * 24 + i * 4}]"]
            lines += [f"vfmadd231ps zmm{4 * i + j}, zmm{24 + j}, zmm{28 + i % 4}" for j in range(4)]
        lines += [f"prefetcht0 [rsi + {1024 + step * 256}]"]
    return lines


def test_loads_are_hoisted_and_prefetches_spread():
    """The generators find what an expert would do to a block that loads just in time and prefetches at the end."""
    lines = ["prefetcht0 [rsi + 1024]", "prefetcht0 [rsi + 1088]", *micro_kernel(1)[:-1]]
    block = block_of(*lines, isa=X86)
    spread = reorder(block, spread_moves(block, Memory.PREFETCH))
    positions = [i for i, instruction in enumerate(spread.instructions) if instruction.memory is Memory.PREFETCH]
    hoist = Move("b", lines.index("vbroadcastss zmm29, dword ptr [rdi + 4]"), 0)

    assert [len(lines) // 4, 3 * len(lines) // 4] == positions
    assert hoist in neighbour_moves(block, Random(0))


def test_order_is_fast_enough_to_tune_with():
    """A 200-instruction block is parsed and enumerated within 20 ms, and a handful of moves applies within 2 ms."""
    enumerating, applying = [], []
    for repeat in range(7):
        text = "\n".join(["mov rax, rcx"] * 300) + "\n" + marked(*micro_kernel(6, shift=4096 * repeat)[:200])
        start = time.process_time()
        moves = legal_moves(find_blocks(text, X86)["b"])
        enumerating.append(time.process_time() - start)
        down = [move for move in moves if move.to > move.source][:1] * 3
        start = time.process_time()
        apply(text, [sign for move in down for sign in (move, Move("b", move.to, move.source))], X86)
        applying.append(time.process_time() - start)

    assert len(moves) > 500
    assert min(enumerating) < 0.020
    assert min(applying) < 0.002
