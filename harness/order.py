"""
Instruction order: marked blocks of assembly, what depends on what in them, and the moves that change no result.

This is the paper's second kind of tuning action (section 3.3, "reordering memory access or computation independent
within a single instruction block"). A kernel script marks straight-line code between ``#@block NAME`` and ``#@end``
(``//@block`` and ``//@end`` where ``#`` starts no comment), one instruction a line. A name occurs once in a text, so
that a `Move` means one thing: an unrolled or fringe copy gets a name of its own. Comment lines travel with the
instruction below them.

A dependency is a property of two instructions, whatever stands between them: one writes a resource that the other
reads or writes, or both touch memory that may overlap and one of them writes it. A move is legal if the instruction
depends on none that it passes. Legal moves therefore keep every dependency, and a sequence of them can be checked
against the graph of the block it started from.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from harness.errors import BadRequest, IllegalMove
from harness.isa import Instruction, Isa, Memory
from harness.kernel import Move

_MARK = re.compile(r"^[ \t]*(?:#|//)@(\w*)[ \t]*(.*?)[ \t]*(?:\n|\Z)", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_][\w.-]*")

_MOVED_UP = {
    "RAW": "reads {} after it is written",
    "WAR": "writes {} after it is read",
    "WAW": "writes {} after it is written",
}
_MOVED_DOWN = {
    "RAW": "writes {} before it is read",
    "WAR": "reads {} before it is written",
    "WAW": "writes {} before it is written again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One marked block: its instructions, and where they stand in the text."""

    name: str
    line: int
    """Line number of the mark, from 1."""
    start: int
    """Offset of the first character below the mark."""
    instructions: tuple[Instruction, ...]
    chunks: tuple[str, ...]
    """For every instruction its source lines, with the comment lines above it."""
    tail: str
    """What follows the last instruction: comments and blank lines."""

    @property
    def body(self) -> str:
        """Return the text between the marks."""
        return "".join(self.chunks) + self.tail

    def __len__(self) -> int:
        return len(self.instructions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The dependencies of a block; bit ``j`` of ``conflicts[i]`` says that ``i`` and ``j`` may not change places."""

    conflicts: tuple[int, ...]
    places: tuple[tuple | None, ...]
    """For every instruction its address with the version of each register in it; equal keys mean equal values."""

    def window(self, order: Sequence[int], position: int) -> tuple[int, int]:
        """Return the first and last position that the instruction at ``position`` of ``order`` may take."""
        conflicts = self.conflicts[order[position]]
        first = last = position
        while first > 0 and not conflicts >> order[first - 1] & 1:
            first -= 1
        while last + 1 < len(order) and not conflicts >> order[last + 1] & 1:
            last += 1
        return first, last


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """Why two instructions keep their order: ``RAW``, ``WAR``, ``WAW`` on a resource, or a ``barrier``."""

    kind: str
    resource: str


def find_blocks(text: str, isa: Isa) -> dict[str, Block]:
    """
    Return the marked blocks of an assembly text by name, in the order of the text.

    Raises:
        BadRequest: A mark is misspelt, unpaired or doubled, or a block holds something other than straight-line code;
            the message names the line.

    """
    return {block.name: block for block in _parse(text, isa)}


@lru_cache(maxsize=256)
def _parse(text: str, isa: Isa) -> tuple[Block, ...]:
    blocks: dict[str, Block] = {}
    name, line, start, isa = "", 0, 0, isa.within(text)
    for mark in _MARK.finditer(text):
        here = text.count("\n", 0, mark.start()) + 1
        word, rest = mark.groups()
        if word not in ("block", "end"):
            raise BadRequest(f"line {here}: the mark `{mark[0].strip()}` is neither `@block NAME` nor `@end`")
        if word == "block":
            if name:
                raise BadRequest(f"line {here}: block {name} of line {line} is still open; close it with `#@end` first")
            if not _NAME.fullmatch(rest):
                raise BadRequest(f"line {here}: `{mark[0].strip()}` needs a name of letters, digits, `_`, `.` and `-`")
            if rest in blocks:
                raise BadRequest(
                    f"line {here}: block {rest} is marked twice (first in line {blocks[rest].line}); give each its own name"
                )
            name, line, start = rest, here, mark.end()
        elif not name:
            raise BadRequest(f"line {here}: `{mark[0].strip()}` closes no block; put `#@block NAME` above it")
        else:
            blocks[name] = _read(text[start : mark.start()], name=name, line=line, start=start, isa=isa)
            name = ""
    if name:
        raise BadRequest(f"line {line}: block {name} is never closed; put `#@end` below it")
    return tuple(blocks.values())


def _read(body: str, *, name: str, line: int, start: int, isa: Isa) -> Block:
    instructions, chunks, pending = [], [], ""
    for number, source in enumerate(re.findall(r".*\n", body), line + 1):
        pending += source
        try:
            instruction = isa.parse(source.strip())
        except ValueError as reason:
            raise BadRequest(
                f"line {number}: `{source.strip()}` in block {name} is {reason}; "
                "a marked block holds straight-line code, one instruction a line"
            ) from None
        if instruction:
            instructions.append(instruction)
            chunks.append(pending)
            pending = ""
    return Block(
        name=name, line=line, start=start, instructions=tuple(instructions), chunks=tuple(chunks), tail=pending
    )


@lru_cache(maxsize=1024)
def dependency_graph(instructions: tuple[Instruction, ...]) -> Graph:
    """Return the dependencies of a straight-line sequence."""
    readers: dict[str, int] = defaultdict(int)
    writers: dict[str, int] = defaultdict(int)
    everything, barriers = (1 << len(instructions)) - 1, 0
    places = _places(instructions)
    for i, instruction in enumerate(instructions):
        for resource in instruction.reads:
            readers[resource] |= 1 << i
        for resource in instruction.writes:
            writers[resource] |= 1 << i
        barriers |= instruction.unknown << i
    conflicts = []
    for i, instruction in enumerate(instructions):
        mask = everything if instruction.unknown else barriers
        for resource in instruction.reads:
            mask |= writers[resource]
        for resource in instruction.writes:
            mask |= writers[resource] | readers[resource]
        conflicts.append(mask & ~(1 << i))
    accesses = [
        i for i, instruction in enumerate(instructions) if instruction.memory.reads or instruction.memory.writes
    ]
    for store in (i for i in accesses if instructions[i].memory.writes):
        for other in accesses:
            if other != store and not _disjoint(places[store], places[other]):
                conflicts[store] |= 1 << other
                conflicts[other] |= 1 << store
    return Graph(conflicts=tuple(conflicts), places=places)


def _places(instructions: tuple[Instruction, ...]) -> tuple[tuple | None, ...]:
    """Give addresses a key that is equal only if their registers hold the same values: number the writes."""
    version: dict[str, int] = defaultdict(int)
    places: list[tuple | None] = []
    for instruction in instructions:
        address = instruction.address
        if address is None:
            places.append(None)
        else:
            key = tuple((register, version[register], scale) for register, scale in address.terms)
            places.append((key, address.displacement, address.displacement + address.bytes))
        for resource in instruction.writes:
            version[resource] += 1
    return tuple(places)


def _disjoint(one: tuple | None, other: tuple | None) -> bool:
    return one is not None and other is not None and one[0] == other[0] and (one[2] <= other[1] or other[2] <= one[1])


def dependency(block: Block, first: int, second: int) -> Dependency | None:
    """Return why the instruction at ``second`` must stay below the one at ``first``, or None if it need not."""
    graph = dependency_graph(block.instructions)
    above, below = block.instructions[first], block.instructions[second]
    if not graph.conflicts[first] >> second & 1:
        return None
    if above.unknown or below.unknown:
        return Dependency(kind="barrier", resource=(above if above.unknown else below).text)
    for kind, shared in (
        ("RAW", above.writes & below.reads),
        ("WAR", above.reads & below.writes),
        ("WAW", above.writes & below.writes),
    ):
        if shared:
            return Dependency(kind=kind, resource=min(shared))
    kind = "WAR" if not above.memory.writes else "RAW" if below.memory.reads else "WAW"
    return Dependency(kind=kind, resource="memory that may be the same")


def legal_moves(block: Block) -> list[Move]:
    """Return every move that changes the order and not the result, by source and then by destination."""
    graph, order = dependency_graph(block.instructions), range(len(block))
    windows = (graph.window(order, source) for source in order)
    return [
        Move(block.name, source, to)
        for source, (first, last) in enumerate(windows)
        for to in range(first, last + 1)
        if to != source
    ]


def explain(block: Block, move: Move) -> str | None:
    """Return in one sentence why a move is illegal, or None if it is legal."""
    if move.block != block.name:
        return f"{move}: this is block {block.name}"
    if not (0 <= move.source < len(block) and 0 <= move.to < len(block)):
        return f"{move}: block {block.name} has {len(block)} instructions, numbered from 0"
    up = move.to < move.source
    passed = range(move.source - 1, move.to - 1, -1) if up else range(move.source + 1, move.to + 1)
    conflicts = dependency_graph(block.instructions).conflicts[move.source]
    for other in passed:
        if not conflicts >> other & 1:
            continue
        found = dependency(block, min(move.source, other), max(move.source, other))
        pair = f"{move}: `{block.instructions[move.source].text}` may not pass `{block.instructions[other].text}`"
        if found.kind == "barrier":
            return f"{pair}: the reads and writes of `{found.resource}` are not known"
        return f"{pair}: {(_MOVED_UP if up else _MOVED_DOWN)[found.kind].format(found.resource)} ({found.kind})"
    return None


def reorder(block: Block, moves: Iterable[Move]) -> Block:
    """Apply moves to one block, each to the order that the moves before it left; raise `IllegalMove` with a reason."""
    graph, order = dependency_graph(block.instructions), list(range(len(block)))
    for move in moves:
        inside = move.block == block.name and 0 <= move.source < len(order) and 0 <= move.to < len(order)
        first, last = graph.window(order, move.source) if inside else (0, -1)
        if not first <= move.to <= last:
            raise IllegalMove(explain(_permuted(block, order), move))
        order.insert(move.to, order.pop(move.source))
    return _permuted(block, order)


def _permuted(block: Block, order: Sequence[int]) -> Block:
    return Block(
        name=block.name,
        line=block.line,
        start=block.start,
        instructions=tuple(block.instructions[i] for i in order),
        chunks=tuple(block.chunks[i] for i in order),
        tail=block.tail,
    )


def apply(text: str, moves: Iterable[Move], isa: Isa) -> str:
    """
    Return the text with moves applied in sequence; each refers to the order that the ones before it left.

    Raises:
        IllegalMove: A move would change a result, or names a block or position that the text does not have.
        BadRequest: The text's blocks cannot be read (see `find_blocks`).

    """
    blocks = find_blocks(text, isa)
    by_block: dict[str, list[Move]] = {}
    for move in moves:
        if move.block not in blocks:
            raise IllegalMove(f"{move}: the text has no block {move.block}; it has {', '.join(blocks) or 'none'}")
        by_block.setdefault(move.block, []).append(move)
    pieces, done = [], 0
    for block in blocks.values():
        if block.name in by_block:
            pieces += [text[done : block.start], reorder(block, by_block[block.name]).body]
            done = block.start + len(block.body)
    return "".join(pieces) + text[done:]


def neighbour_moves(block: Block, rng: Random) -> list[Move]:
    """
    Return the single moves most likely to matter, shuffled, so that a search may take as many as it wants.

    Four families take turns: a load as early as legal, a load or store as late as legal, an adjacent pair swapped,
    a prefetch at its share of the block. Swaps are by far the most, hence the turns. The same ``rng`` state gives
    the same list.
    """
    graph, order = dependency_graph(block.instructions), range(len(block))
    windows = [graph.window(order, i) for i in order]
    kinds = [instruction.memory for instruction in block.instructions]
    families = [
        [(i, windows[i][0]) for i in order if kinds[i] is Memory.LOAD],
        [(i, windows[i][1]) for i in order if kinds[i] in (Memory.LOAD, Memory.STORE)],
        [(i, i + 1) for i in order if windows[i][1] > i],
        [(i, _clip(to, windows[i])) for i, to in _even_positions(block, Memory.PREFETCH)],
    ]
    for family in families:
        rng.shuffle(family)
    turns = [family[turn] for turn in range(max(map(len, families))) for family in families if turn < len(family)]
    unique = {
        (min(source, to), max(source, to)) if abs(source - to) == 1 else (source, to): None for source, to in turns
    }
    return [Move(block.name, source, to) for source, to in unique if source != to]


def spread_moves(block: Block, memory: Memory) -> list[Move]:
    """
    Return a sequence of moves that spaces the loads (or stores, or prefetches) of a block evenly, as far as is legal.

    This is the pipelining primitive as one action: memory accesses between computation instead of before it.
    """
    graph, order, moves = dependency_graph(block.instructions), list(range(len(block))), []
    targets = _even_positions(block, memory)
    downward = [(i, to) for i, to in reversed(targets) if to > i]  # the last first, so that none shifts one in place
    for i, to in downward + [(i, to) for i, to in targets if to < i]:
        source = order.index(i)
        to = _clip(to, graph.window(order, source))
        if to != source:
            order.insert(to, order.pop(source))
            moves.append(Move(block.name, source, to))
    return moves


def _even_positions(block: Block, memory: Memory) -> list[tuple[int, int]]:
    chosen = [i for i, instruction in enumerate(block.instructions) if instruction.memory is memory]
    return [(i, (2 * turn + 1) * len(block) // (2 * len(chosen))) for turn, i in enumerate(chosen)]


def _clip(position: int, window: tuple[int, int]) -> int:
    return max(window[0], min(position, window[1]))
