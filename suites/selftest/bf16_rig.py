"""`vdpbf16ps` for machines that have none: AVX-512F instructions with the same bits, and what Intel's manual says it computes."""

import re

import numpy as np

FLUSHING = 0x9FC0
"""MXCSR: denormals are zeros and results are flushed, to nearest even, nothing traps. The instruction does so whatever MXCSR says."""

_PAIRS = re.compile(r"\s*vdpbf16ps zmm(\d+), zmm(\d+), zmm(\d+)")


def without_pairs(lines: list[str]) -> list[str]:
    """
    Return assembly in which every `vdpbf16ps` is two FMAs: the high halves of each lane first, then the low ones.

    Two registers that it does not name are kept in the red zone meanwhile, so this is for functions that use no stack.
    """
    return [other for line in lines for other in _as_fmas(line)]


def _as_fmas(line: str) -> list[str]:
    found = _PAIRS.match(line)
    if not found:
        return [line]
    total, a, b = map(int, found.groups())
    left, right = [index for index in range(5) if index not in (total, a, b)][:2]
    kept = [f"zmmword ptr [rsp - 64], zmm{left}", f"zmmword ptr [rsp - 128], zmm{right}"]
    high = [line for to, of in ((left, a), (right, b)) for line in (f"vpsrld zmm{to}, zmm{of}, 16", f"vpslld zmm{to}, zmm{to}, 16")]
    low = [f"vpslld zmm{to}, zmm{of}, 16" for to, of in ((left, a), (right, b))]
    fma = f"vfmadd231ps zmm{total}, zmm{left}, zmm{right}"
    back = [f"vmovups {register}, {place}" for place, register in (one.rsplit(", ", 1) for one in kept)]
    return [*(f"vmovups {one}" for one in kept), *high, fma, *low, fma, *back]


def flushing(name: str, lines: list[str]) -> list[str]:
    """Return a function whose body runs with denormals flushed: the label called ``name`` calls what it stood before."""
    call = ["sub rsp, 24", "stmxcsr [rsp]", f"mov dword ptr [rsp + 4], {FLUSHING}", "ldmxcsr [rsp + 4]", f"call .L{name}_body"]
    at = lines.index(f"{name}:") + 1
    return [*lines[:at], *call, "ldmxcsr [rsp]", "add rsp, 24", "ret", f".L{name}_body:", *lines[at:]]


def dot_of_pairs(totals: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """
    Return fp32 totals plus the products of pairs of bf16 (given as fp32, on the last axis), the second of a pair first.

    Intel's Software Developer's Manual, volume 2, VDPBF16PS: each product is added by an FMA that rounds to nearest even,
    denormals count as zeros and become zeros.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        for at in (1, 0):
            product = _flushed(a[..., at]).astype(np.float64) * _flushed(b[..., at])
            totals = _flushed(_sum(_flushed(totals).astype(np.float64), product))
    return totals


def _flushed(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), x), x)


def _sum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return x + y rounded once to fp32: in fp64 to odd where it is not exact, which a second rounding cannot tell from exact."""
    total = x + y
    back = total - x
    error = (x - (total - back)) + (y - back)
    even = total.view(np.int64) & 1 == 0
    return np.where(np.isfinite(total) & (error != 0) & even, np.nextafter(total, np.copysign(np.inf, error)), total).astype(np.float32)
