"""
Arena: the operands of one problem in shared memory, each in pages of its own with a place for its guards.

The child maps every operand between two unmapped guards, inputs from a read-only descriptor.
Whatever pads an operand's pages, and the gaps its leading dimension leaves, carry a canary that must survive.
"""

import itertools
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from harness.errors import BadRequest
from harness.operator import Operand, OperatorSpec

PAGE = mmap.PAGESIZE
CANARY = 0xC5
MEMORY_SHARE = 0.25
"""Of the machine's memory; verification holds the operands again as numbers, as float64 and as expected values."""
_SERIALS = itertools.count()


class Placement(StrEnum):
    """Where an operand lies in its pages."""

    END = "end"
    """Flush with the upper guard: an over-run faults."""
    START = "start"
    """Flush with the lower guard: an under-run faults."""
    ALIGNED = "aligned"
    """64-byte aligned with room around, as an allocator would place it: for timing."""


@dataclass(frozen=True, slots=True)
class Region:
    """Byte offsets of one operand within the arena."""

    operand: Operand
    map_offset: int
    map_bytes: int
    data_offset: int


class Arena:
    """Operands of `spec` in a memory file; use as a context manager."""

    def __init__(self, spec: OperatorSpec, placement: Placement, shift: int = 0) -> None:
        """
        Raise `BadRequest` for operands too large for this machine.

        `shift` moves ALIGNED operands by that many cache lines, differently for each operand.
        """
        self.spec, self.placement = spec, placement
        self.serial, self.generation = next(_SERIALS), 0
        self.regions: list[Region] = []
        offset = 0
        for index, operand in enumerate(spec.operands()):
            region = _place(operand, offset, placement, 64 * shift * (2 * index + 1))
            self.regions.append(region)
            offset += region.map_bytes
        self.bytes = max(offset, PAGE)
        _require_memory(spec, self.bytes)
        self.fd = os.memfd_create("opwright", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, self.bytes)
        self.map = mmap.mmap(self.fd, self.bytes)
        self._snapshots: dict[str, np.ndarray] = {}

    def __enter__(self) -> "Arena":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the memory; numpy views handed out before keep their pages until they die."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @property
    def path(self) -> str:
        """Return a path under which the worker can open the arena."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def flat(self, region: Region) -> np.ndarray:
        """Return an operand's buffer, gaps included."""
        return np.frombuffer(self.map, region.operand.dtype.numpy, region.operand.elements, region.data_offset)

    def view(self, name: str) -> np.ndarray:
        """Return the strided view of an operand; writable."""
        region = next(region for region in self.regions if region.operand.name == name)
        return region.operand.view(self.flat(region))

    def values(self, name: str) -> np.ndarray:
        """Return a copy of what an operand holds, as numbers numpy computes with."""
        region = next(region for region in self.regions if region.operand.name == name)
        return region.operand.dtype.decode(region.operand.view(self.flat(region))).copy()

    def fill(self, values: Mapping[str, np.ndarray]) -> None:
        """Write the operands (numbers, rounded to their dtype), canaries around and between, poison into pure outputs."""
        self.generation += 1
        for region in self.regions:
            span = np.frombuffer(self.map, np.uint8, region.map_bytes, region.map_offset)
            span[:] = CANARY
            view = region.operand.view(self.flat(region))
            if region.operand.mode != "out":
                view[...] = region.operand.dtype.encode(values[region.operand.name])
            self._snapshots[region.operand.name] = span.copy() if region.map_bytes <= 1 << 22 else span[:0]
        self.poison()

    def poison(self) -> None:
        """Fill the pure outputs with what marks elements never written."""
        for region in self.regions:
            if region.operand.mode == "out":
                region.operand.view(self.flat(region))[...] = region.operand.dtype.poison

    def trespass(self) -> str:
        """Return where a canary was overwritten, or an empty string; big arenas are left to the guard pages."""
        for region in self.regions:
            before = self._snapshots[region.operand.name]
            if region.operand.mode == "in" or not before.size:
                continue
            after = np.frombuffer(self.map, np.uint8, region.map_bytes, region.map_offset).copy()
            start = region.data_offset - region.map_offset
            mine = region.operand.view(after[start : start + region.operand.bytes].view(region.operand.dtype.numpy))
            was = region.operand.view(before[start : start + region.operand.bytes].view(region.operand.dtype.numpy))
            mine[...] = was
            changed = np.flatnonzero(after != before)
            if changed.size:
                return f"{region.operand.name} at byte {int(changed[0]) - start} of {region.operand.bytes}"
        return ""


def _require_memory(spec: OperatorSpec, wanted_bytes: int) -> None:
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * PAGE
    if wanted_bytes > MEMORY_SHARE * memory_bytes:
        raise BadRequest(
            f"{spec.slug}: its operands take {wanted_bytes / 1e9:.4g} GB and verification as much again several times, but this "
            f"machine has {memory_bytes / 1e9:.4g} GB of memory; ask for a smaller shape"
        )


def _place(operand: Operand, offset: int, placement: Placement, shift: int) -> Region:
    extra = PAGE * (1 + shift // PAGE) + 64 if placement is Placement.ALIGNED else 0
    room = max(PAGE, -(-(operand.bytes + extra) // PAGE) * PAGE)
    inside = {Placement.START: 0, Placement.END: room - operand.bytes, Placement.ALIGNED: shift}[placement]
    return Region(operand=operand, map_offset=offset, map_bytes=room, data_offset=offset + inside)
