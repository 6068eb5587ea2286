"""What Linux tells of processors, where the instruction set itself cannot be asked: caches and identification."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.target import Target

PROCESSORS = Path("/sys/devices/system/cpu")
CPUINFO = Path("/proc/cpuinfo")
ASSUMED = (
    {"level": 1, "bytes": 32 << 10, "ways": 4, "line_bytes": 64, "shared_by": 1},
    {"level": 2, "bytes": 512 << 10, "ways": 8, "line_bytes": 64, "shared_by": 1},
)
_UNITS = {"K": 1 << 10, "M": 1 << 20, "": 1}


def caches(processor: int) -> list[dict[str, Any]]:
    """Return the data caches of a processor as a target file has them; none where firmware says nothing of them."""
    found = [_cache(index) for index in sorted(PROCESSORS.glob(f"cpu{processor}/cache/index[0-9]"))]
    return [cache for cache in found if cache]


def caches_or(processor: int, known: Target | None, **told: int) -> list[dict[str, Any]]:
    """
    Return the caches that /sys shows of a processor, else those of its core's target file, else assumed ones.

    ``told`` is what the machine itself says of its caches, as ``line_bytes``.
    """
    if found := caches(processor):
        return found
    if known:
        return [{**asdict(cache), "source": f"harness/targets/{known.name}.toml: {cache.source}"} for cache in known.caches]
    return [{**cache, **told, "source": "assumed: /sys shows no caches"} for cache in ASSUMED]


def _cache(index: Path) -> dict[str, Any] | None:
    """Read one level, or return None for one of instructions, beyond the third or of unknown size."""
    level, kind, size = _number(index / "level"), _text(index / "type"), re.fullmatch(r"(\d+)([KM]?)", _text(index / "size"))
    line_bytes, sets = _number(index / "coherency_line_size"), _number(index / "number_of_sets")
    if level not in (1, 2, 3) or kind == "Instruction" or not size or not line_bytes:
        return None
    total = int(size[1]) * _UNITS[size[2]]
    ways = _number(index / "ways_of_associativity") or (total // (sets * line_bytes) if sets else 0)
    source = f"/sys/devices/system/cpu: {index.name}" + ("" if ways else "; 8 ways assumed")
    shared_by = len(members(_text(index / "shared_cpu_list"))) or 1
    return {"level": level, "bytes": total, "ways": ways or 8, "line_bytes": line_bytes, "shared_by": shared_by, "source": source}


def identification(processor: int) -> int | None:
    """Return MIDR_EL1 of an Arm processor; None where the kernel does not show it."""
    text = _text(PROCESSORS / f"cpu{processor}/regs/identification/midr_el1")
    return int(text, 16) if text else None


def microarchitecture(processor: int) -> str:
    """Return what Linux calls a RISC-V processor, as ``spacemit,x60``; nothing where it does not say."""
    blocks = (dict(re.findall(r"^(\w+)\s*: *(.*)$", block, re.MULTILINE)) for block in _text(CPUINFO).split("\n\n"))
    return next((block.get("uarch", "") for block in blocks if block.get("processor") == str(processor)), "")


def members(text: str) -> list[int]:
    """Read a list of processors, as ``0-3,8``."""
    spans = [part.split("-") for part in text.split(",") if part]
    return [processor for first, *last in spans for processor in range(int(first), int((last or [first])[0]) + 1)]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdecimal() else 0
