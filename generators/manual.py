"""
Read hardware factors from a manual without a model: Markdown, text or PDF, line by line, every value with its line.

The reader also checks a model's answers: a value counts only if the line it names states it. Manuals are untrusted
text: whatever they say is at worst a wrong number, and two different numbers are a contradiction that is said.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BadRequest

LONGEST = 400
"""Characters of a line that are read; manuals have none so long but tables gone wrong."""
UNITS = {
    "kib": 2**10, "kb": 2**10, "kbyte": 2**10, "kbytes": 2**10, "mib": 2**20, "mb": 2**20, "mbyte": 2**20, "mbytes": 2**20,
    "ghz": 1e9, "mhz": 1e6,
}  # fmt: skip
QUANTITY = re.compile(r"(\d+(?:[.,]\d+)*)\s*-?\s*([A-Za-z]+)?")
WORDS = {"one": 1, "two": 2, "four": 4, "eight": 8, "twelve": 12, "sixteen": 16, "thirty-two": 32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One value wanted of a manual."""

    name: str
    meaning: str
    """With its unit."""
    low: float
    high: float
    pattern: re.Pattern[str]
    """What a line says around the value; the group ``v`` is the value with its unit."""
    query: str
    """Words to look for in long manuals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A value and the line that states it."""

    value: float
    line: int
    quote: str


def _factor(name: str, meaning: str, low: float, high: float, pattern: str, query: str) -> Factor:
    compiled = re.compile(
        pattern.replace("NUMBER", r"(?P<v>\d[\d.,]*(?:[ -]?(?:[KMG]i?B|[kKM]bytes?|[GM]Hz))?)"), re.IGNORECASE
    )
    return Factor(name=name, meaning=meaning, low=low, high=high, pattern=compiled, query=query)


_CLAUSE = r"(?:(?![.;] ).)*?"
"""Words up to the end of a clause: what follows says something else."""
_CORES = (
    rf"(?:^|[.;] )(?!{_CLAUSE}\b(?:L\d|level|cache|shared|private)\b{_CLAUSE}\bcores?\b)"
    rf"{_CLAUSE}(?<![\d.])\b(?P<v>\d+|one|two|four|eight|twelve|sixteen)[- ](?:\w*-[\w-]+ (?=cores))?cores?\b"
)
"""A clause that counts cores; in one that speaks of a cache it is how many share that. ("Eight in-order cores")"""
_BYTES = r"(?P<v>\d[\d.]*[ -]?(?:KiB|KB|Kbytes?|MiB|MB|Mbytes?))"
FACTORS = (
    _factor("vector_bits", "width of a vector register, bits", 64, 4096, r"vector registers?\b.*?\b(?P<v>\d+)[- ]bits?\b", "vector register width bits VLEN"),
    _factor("vector_registers", "number of vector registers", 8, 512, r"\b(?P<v>\d+)\b[^.;]{0,30}?\bvector registers\b", "number of vector registers"),
    _factor("scalar_registers", "number of general-purpose registers", 8, 256, r"\b(?P<v>\d+)\b[^.;]{0,30}?\b(?:general[- ]purpose|scalar|integer) registers\b", "general purpose integer registers"),
    _factor("fma_per_cycle", "vector multiply-adds that can begin in a cycle", 0.125, 16, r"\b(?P<v>\d+|one|two|four)\b[^.;]{0,40}?\b(?:fused multiply-adds?|FMAs?)\b[^.;]{0,30}?\b(?:cycle|clock)", "fused multiply-add per cycle throughput"),
    _factor("cores", "number of cores", 1, 1024, _CORES, "number of cores"),
    _factor("clock_hz", "clock frequency, Hz", 1e7, 1e10, r"(?P<v>\d[\d.]*\s?[GM]Hz)", "clock frequency GHz MHz"),
    *(
        factor
        for level, low, high in ((1, 2**12, 2**20), (2, 2**15, 2**26), (3, 2**18, 2**31))
        for factor in (
            _factor(f"l{level}_bytes", f"size of the level-{level} data cache as one core sees it, bytes", low, high, rf"\b(?:L{level}|level[- ]{level})\b(?!.*instruction cache){_CLAUSE}{_BYTES}", f"L{level} level-{level} data cache size KB MB"),
            _factor(f"l{level}_ways", f"ways of the level-{level} data cache", 1, 64, rf"\b(?:L{level}|level[- ]{level})\b(?!.*instruction cache){_CLAUSE}\b(?P<v>\d+|two|four|eight|twelve|sixteen)[- ]ways?\b", f"L{level} level-{level} cache associativity ways"),
        )
    ),
    _factor("line_bytes", "bytes of a cache line", 16, 256, r"cache[- ]lines?\b[^.;]*?\b(?P<v>\d+)[- ]bytes?\b|\b(?P<w>\d+)[- ]bytes?\b[^.;]*?cache[- ]lines?\b", "cache line size bytes"),
)  # fmt: skip


def read_manual(path: Path) -> list[str]:
    """Return a manual's lines; raise `BadRequest` for one that cannot be read."""
    try:
        text = _pdf(path) if path.suffix.lower() == ".pdf" else path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadRequest(f"the manual {path} cannot be read ({error.strerror}); check --manual") from None
    lines = [
        " ".join("".join(c if c.isprintable() else " " for c in line).split())[:LONGEST] for line in text.split("\n")
    ]
    if not any(lines):
        raise BadRequest(f"the manual {path} holds no text (a scanned PDF?); give Markdown, text or a PDF with text")
    return lines


def _pdf(path: Path) -> str:
    try:
        import pypdf
    except ImportError:
        raise BadRequest(f"reading {path.name} needs the package pypdf; run pip install -e '.[llm]'") from None
    try:
        return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
    except OSError:
        raise
    except Exception as error:  # pypdf raises whatever a damaged file makes it stumble over
        raise BadRequest(f"the manual {path.name} is not a PDF that can be read ({type(error).__name__})") from None


def read_offline(lines: Sequence[str]) -> dict[str, list[Found]]:
    """Return every plausible statement of every factor, in line order; more than one value is a contradiction."""
    found: dict[str, list[Found]] = {}
    for number, line in enumerate(lines, 1):
        for factor in FACTORS:
            match = factor.pattern.search(line)
            if match is None:
                continue
            value = quantity(next(filter(None, match.groups())))
            if value is not None and factor.low <= value <= factor.high:
                found.setdefault(factor.name, []).append(Found(value=value, line=number, quote=line))
    return found


def quantity(text: str) -> float | None:
    """Return a number with its unit in bytes, Hz or as it stands; None where there is none."""
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    match = QUANTITY.search(text)
    if match is None:
        return None
    digits = match.group(1)
    digits = digits.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+", digits) else digits.replace(",", ".")
    try:
        return float(digits) * UNITS.get((match.group(2) or "").lower(), 1)
    except ValueError:
        return None


def quantities(text: str) -> set[float]:
    """Return every number that a text states, with and without its unit applied."""
    values = {quantity(match.group(0)) for match in QUANTITY.finditer(text)}
    values |= {quantity(match.group(1)) for match in QUANTITY.finditer(text)}
    return {v for v in values if v is not None} | {
        n for word, n in WORDS.items() if re.search(rf"\b{word}\b", text, re.I)
    }


def contradictions(found: Iterable[Found]) -> list[Found]:
    """Return one statement of each different value."""
    by_value: dict[float, Found] = {}
    for one in found:
        by_value.setdefault(one.value, one)
    return list(by_value.values())
