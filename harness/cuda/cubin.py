"""
What a cubin says of the arguments its kernels take; it is an ELF file, whose ``.nv.info.KERNEL`` sections list them.

PTX, which the driver compiles for whatever GPU is there, says it in the head of each ``.entry``.

The driver reads as many arguments as the kernel has, whatever a launch gives it: one too few is read from beyond the
list. A plan that comes from a language model is therefore held against the kernel before it is ever launched.
"""

import re
import struct
from functools import lru_cache
from pathlib import Path

from harness.errors import ToolchainError

PTX_BEGINS = b"//"
"""Both compilers begin PTX with a comment that names them."""
SIZED, PARAMETER = 4, 0x17
"""The format of an entry that has a length, and the kind of entry that describes a parameter (CUDA binary utilities)."""
INFO = ".nv.info."
PTX_PARAMETER = re.compile(r"\.param\s+(?:\.align\s+\d+\s+)?\.[a-z](\d+)\s+(?:\.ptr\S*\s+(?:\.\w+\s+)*(?:\d+\s+)?)?[\w$]+(?:\[(\d+)\])?")
"""A parameter of an entry (PTX ISA, parameter state space): its bits, and how many elements an array has."""


@lru_cache(maxsize=512)
def parameter_bytes(cubin: Path, kernel: str) -> tuple[int, ...] | None:
    """Return the size of each parameter of a kernel, in order; None where the file (an artefact) holds no kernel of that name."""
    data = cubin.read_bytes()
    try:
        if data.startswith(PTX_BEGINS):
            return _of_ptx(data.decode(), kernel)
        sections = _sections(data)
        if f".text.{kernel}" not in sections:
            return None
        return _parameters(sections.get(f"{INFO}{kernel}", b""))
    except (struct.error, IndexError, ValueError) as wrong:
        raise ToolchainError(f"{cubin.name} is no cubin that can be read ({wrong}); remove it from the store and compile again") from None


def _sections(data: bytes) -> dict[str, bytes]:
    """Return the sections of a 64-bit ELF file by name."""
    if data[:4] != b"\x7fELF":
        raise ValueError("no ELF file")
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count, names_at = struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQ", data, table + number * size) for number in range(count)]
    names = headers[names_at][4]

    def name(offset: int) -> str:
        start = names + offset
        return data[start : data.index(b"\0", start)].decode()

    return {name(header[0]): data[header[4] : header[4] + header[5]] for header in headers}


def _parameters(info: bytes) -> tuple[int, ...]:
    """Read the entries (format, attribute, two bytes of value or length): a parameter's give its number, place and size."""
    found, at = {}, 0
    while at < len(info):
        form, attribute, length = struct.unpack_from("<BBH", info, at)
        if form == SIZED and attribute == PARAMETER:
            _, number, _, packed = struct.unpack_from("<IHHI", info, at + 4)
            found[number] = packed >> 18
        at += 4 + (length if form == SIZED else 0)
    return tuple(found[number] for number in sorted(found))


def _of_ptx(text: str, kernel: str) -> tuple[int, ...] | None:
    head = re.search(rf"\.entry\s+{re.escape(kernel)}\s*\(([^)]*)\)", text)
    if head is None:
        return None
    return tuple(int(bits) // 8 * int(count or 1) for bits, count in PTX_PARAMETER.findall(head[1]))
