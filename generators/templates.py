"""
Prompt templates: Markdown files with named holes (``{{name}}``), and the texts that fill them.

Facts of the machine come from `Target`, those of the operator from its spec and its file's docstring, the rules from
generators/CONTRACT.md; none of them is typed into a template.
"""

import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BadRequest
from harness.kernel import digest
from harness.operator import OperatorSpec
from harness.target import Target

HERE = Path(__file__).parent
GIVEN = ("factors", "machine", "parameters", "example", "sketch", "declaration", "script", "feedback", "history")
"""Holes that are filled with what differs between machines, with an example, and with what became of earlier answers."""
PREPARE = "opw_prepare"
"""Named in what concerns constant operands only."""
CUT = "\0"
HOLE = re.compile(r"\{\{(\w+)\}\}")
HEADER = HERE.parent / "harness" / "native" / "opw.h"
AUDIENCE = re.compile(r"<!-- for: ([\w, ]+) -->\n")


def render(name: str, holes: Mapping[str, str]) -> str:
    """Fill a template in one pass, so that no filling is read as a template; every hole must be filled."""
    text = (HERE / "prompts" / f"{name}.md").read_text(encoding="utf-8")
    wanted = set(HOLE.findall(text))
    if wanted != holes.keys():
        raise BadRequest(f"the template {name}.md has the holes {sorted(wanted)}, and was given {sorted(holes)}")
    return HOLE.sub(lambda hole: holes[hole.group(1)].strip(), text)


def fixed(name: str, holes: Mapping[str, str]) -> str:
    """Return a rendered template with the `GIVEN` fillings cut out: what has to be the same for an answer to answer it."""
    return render(name, {hole: CUT if hole in GIVEN else filling for hole, filling in holes.items()})


def answers(text: str, wanted: str) -> bool:
    """Return whether a prompt is the one `fixed` returned, whatever was given in the holes."""
    pieces, at = wanted.split(CUT), 0
    if not text.startswith(pieces[0]) or not text.endswith(pieces[-1]):
        return False
    for piece in pieces:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True


def fingerprint(name: str) -> str:
    """Return a digest of a template and everything fixed that fills it: hints, contract, header."""
    parts = [HERE / "prompts" / f"{name}.md", HERE / "CONTRACT.md", HERE / "CONTRACT_GPU.md", HEADER, *sorted((HERE / "hints").glob("*.md"))]
    return digest([path.read_text(encoding="utf-8") for path in parts])


def hints(audience: str) -> str:
    """Return the hints for ``sketch`` or ``kernel``: those files whose first line says so, or says nothing."""
    chosen = []
    for path in sorted((HERE / "hints").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        found = AUDIENCE.match(text)
        if found is None or audience in [word.strip() for word in found.group(1).split(",")]:
            chosen.append(AUDIENCE.sub("", text, count=1).strip())
    return "\n\n".join(chosen)


def contract(spec: OperatorSpec, *questions: int) -> str:
    """Return sections of the contract, one heading level lower than they stand there, without what the spec has no use for."""
    text = (HERE / "CONTRACT.md").read_text(encoding="utf-8")
    if not _has_constants(spec):
        text = "\n".join(line for line in text.split("\n") if PREPARE not in line)
    parts = re.split(r"^## ", text, flags=re.MULTILINE)
    return "\n\n".join(f"### {part.strip()}" for n in questions for part in parts if part.startswith(f"Question {n}:"))


def header(spec: OperatorSpec) -> str:
    """Return opw.h, without what the spec has no use for."""
    text = HEADER.read_text(encoding="utf-8")
    return text if _has_constants(spec) else "\n\n".join(part for part in text.split("\n\n") if PREPARE not in part)


def _has_constants(spec: OperatorSpec) -> bool:
    return any(operand.constant for operand in spec.operands())


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What answers call the parts of a spec by: a C file's names, unless given others."""

    dims: str = "Integers, `args->dim`"
    dim: str = "`OPW_DIM_{upper}` ({lower})"
    scalars: str = "Scalars, `args->scalar`"
    operands: str = "Operands, `args->operand`"


IN_C = Words()


def operator(spec: OperatorSpec, words: Words = IN_C) -> str:
    """Describe a spec: what it computes, sizes, scalars and operands."""
    module, kind = sys.modules[type(spec).__module__], type(spec)
    lines = [inspect.getdoc(module) or "", "", inspect.getdoc(kind) or "", ""]
    lines.append(f"This case: `{spec.slug}`, {spec.dtype.value}, {spec.flops} floating-point operations.")
    lines.append("")
    lines.append(f"{words.dims} (the operator must serve other values too):")
    lines += [f"- {words.dim.format(upper=name.upper(), lower=name)} = {value}" for name, value in spec.dims().items()]
    scalars = ", ".join(f"{value:g}" for value in spec.scalars())
    if scalars:
        lines += ["", f"{words.scalars}: {scalars} ({_first_line(kind.scalars)})"]
    lines += ["", f"{words.operands} (strides in elements):"]
    for index, operand in enumerate(spec.operands()):
        shape = " x ".join(map(str, operand.shape))
        strides = ", ".join(map(str, operand.strides))
        lines.append(f"- {index}: `{operand.name}`, {operand.mode}, {operand.dtype.value}, {shape}, strides {strides}")
    return "\n".join(lines)


def factors(target: Target) -> str:
    """Describe a machine by the paper's four factors; the names in backticks are those formulas see."""
    known = target.factors
    lines = [f"- Instruction set: {target.isa}; features: {', '.join(target.features)}"]
    lines.append(
        f"- Vector registers: `vector_registers` = {known['vector_registers']} of `vector_bits` = {known['vector_bits']}"
    )
    lines.append(f"- Scalar registers: {target.scalar_registers.value}")
    lines.append(f"- Vector multiply-adds that can begin in a cycle: {target.fma_per_cycle.value:g}")
    for cache in target.caches:
        shared = f", shared by {cache.shared_by} cores" if cache.shared_by > 1 else ""
        ways = f"{cache.ways} ways, lines of {cache.line_bytes} bytes"
        lines.append(f"- Level-{cache.level} data cache: `l{cache.level}_bytes` = {cache.bytes}, {ways}{shared}")
    lines.append(f"- Cores: `cores` = {known['cores']}, of which one is used")
    if target.streaming_processors:
        lines.append(f"- Streaming processors: {target.streaming_processors.value}")
    return "\n".join(lines)


def machine(target: Target) -> str:
    """Name a machine in one line, as somebody would who asks without hints."""
    bits, count = target.vector_bits.value, target.vector_registers.value
    return f"{target.isa} with {', '.join(target.features)}; {count} vector registers of {bits} bits; one core"


def _first_line(function: object) -> str:
    return (inspect.getdoc(function) or "").split("\n")[0].rstrip(".").lower()
