"""
Operands on the device: buffers between canaries or unmapped addresses, and sets of them to rotate over while timing.

Part of the device process (`harness.cuda.device`); ``device`` is its `Device`, which copies, fills and sums.
"""

import mmap
import os
from collections.abc import Mapping
from math import ceil
from typing import TYPE_CHECKING, Any

from harness.cuda import driver
from harness.cuda.driver import Guarded

if TYPE_CHECKING:
    from harness.cuda.device import Device

MARGIN = 1024
"""Bytes of canary on either side of a buffer that has no guard there."""
CANARY = 0xC5
ROTATE_BYTES = 256 << 20
"""Timed calls walk over buffer sets of at least this much together: five times the L2 of an H100."""
MOST_SETS = 64


class Buffer:
    """One device buffer with canaries around, or between unmapped addresses."""

    def __init__(self, device: "Device", size: int, placement: str) -> None:
        self._device, self.bytes = device, size
        self._guard = Guarded(size + MARGIN, device.number) if placement in ("start", "end") else None
        room = self._guard.bytes if self._guard else size + 2 * MARGIN
        self._room, self._base = room, self._guard.pointer if self._guard else driver.allocate(room)
        before = {"start": 0, "end": (room - size) // 16 * 16, "aligned": MARGIN}[placement]
        self.pointer, self._before = self._base + before, before
        device.fill_bytes(self._base, room, CANARY)

    def trespass(self) -> str:
        """Return where a canary was overwritten, or an empty string."""
        after = self._before + self.bytes
        for start, size, sign in ((max(0, self._before - MARGIN), min(MARGIN, self._before), -1), (after, min(MARGIN, self._room - after), 1)):
            if size:
                seen = self._device.download(self._base + start, size)
                wrong = [i for i, byte in enumerate(seen) if byte != CANARY]
                if wrong:
                    return f"{wrong[0]} bytes past its end" if sign > 0 else f"{size - wrong[-1]} bytes before its start"
        return ""

    def close(self) -> None:
        """Free the memory."""
        if self._guard:
            self._guard.close()
        else:
            driver.free(self._base)


class Problem:
    """The operands of one arena on the device: set 0 for checked calls, more for timing."""

    def __init__(self, device: "Device", request: Mapping[str, Any]) -> None:
        self._device, self.operands, self.sessions = device, request["operands"], 0
        self._fill, self._map = request.get("fill"), None
        self._rotate_bytes = request.get("rotate_bytes", ROTATE_BYTES)
        if request.get("arena"):
            handle = os.open(request["arena"], os.O_RDWR)
            self._map = mmap.mmap(handle, 0)
            os.close(handle)
        self.sets = [self._buffers(request["placement"])]
        self._generation, self._sums = -1, {}
        if self._fill:
            for index, operand in enumerate(self.operands):
                self._device.fill(self.sets[0][operand["name"]], operand, self._fill["seed"] + index, self._fill["sparse"])
            self._sums = self._checksums()

    def _buffers(self, placement: str) -> dict[str, Buffer]:
        return {operand["name"]: Buffer(self._device, operand["bytes"], placement) for operand in self.operands}

    def pointers(self, number: int) -> dict[str, int]:
        """Return where the operands of a set lie."""
        return {name: buffer.pointer for name, buffer in self.sets[number].items()}

    def prepare(self, generation: int) -> None:
        """Upload what changed; outputs always, with the poison their owner put there."""
        if self._map is None:
            for operand in self.operands:
                if operand["mode"] != "in":
                    self._device.fill_bytes(self.sets[0][operand["name"]].pointer, operand["bytes"], 0xFF)
            return
        fresh = generation != self._generation
        for operand in self.operands:
            if operand["mode"] != "in" or fresh:
                start = operand["offset"]
                self._device.upload(self.sets[0][operand["name"]].pointer, self._map, start, operand["bytes"])
        if fresh:
            self._generation, self._sums = generation, self._checksums()
            self._forget_sets()

    def _checksums(self) -> dict[str, int]:
        inputs = [operand["name"] for operand in self.operands if operand["mode"] == "in"]
        return {name: self._device.checksum(self.sets[0][name]) for name in inputs}

    def collect(self) -> None:
        """Bring outputs back into the arena."""
        for operand in self.operands:
            if operand["mode"] != "in" and self._map is not None and operand["bytes"]:
                data = self._device.download(self.sets[0][operand["name"]].pointer, operand["bytes"])
                self._map[operand["offset"] : operand["offset"] + operand["bytes"]] = data

    def harm(self) -> str:
        """Return what a call did to memory that is not its own, or an empty string."""
        for name, buffer in self.sets[0].items():
            if where := buffer.trespass():
                return f"{name}, {where}"
        changed = [name for name, total in self._checksums().items() if total != self._sums[name]]
        return f"the input {changed[0]}" if changed else ""

    def rotation(self) -> int:
        """Make buffer sets for timing, each a copy of the first; return how many there are."""
        total = sum(operand["bytes"] for operand in self.operands)
        wanted = max(1, min(MOST_SETS, ceil(self._rotate_bytes / max(total, 1))))
        while len(self.sets) < wanted:
            made = self._buffers("aligned")
            for name, buffer in made.items():
                self._device.copy(buffer.pointer, self.sets[0][name].pointer, buffer.bytes)
            self.sets.append(made)
        return len(self.sets)

    def _forget_sets(self) -> None:
        for made in self.sets[1:]:
            for buffer in made.values():
                buffer.close()
        del self.sets[1:]

    def close(self) -> None:
        """Free everything."""
        self._forget_sets()
        for buffer in self.sets[0].values():
            buffer.close()
