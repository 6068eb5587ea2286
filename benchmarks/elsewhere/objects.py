"""Sketches and kernels built by the system's compiler and called in this process: for text that is checked in, only."""

import ctypes
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from generators.generator import Expert
from harness.build import names_header
from harness.errors import HarnessError
from harness.kernel import Candidate, Sketch, TunableKind
from harness.operator import OperatorSpec
from harness.target import Target

NATIVE = Path(__file__).resolve().parents[2] / "harness" / "native"
FLAGS = ["-O3", "-march=native", "-std=gnu11", "-ffreestanding", "-fno-tree-loop-distribute-patterns", "-fPIC", "-shared"]
BORDER = 64
"""Elements before and after every operand that must come back as they were."""
REPEAT = """
#include "opw.h"
#include <time.h>
typedef int entry(const struct opw_args *, const struct opw_tunables *, void *);
void one_thread(int64_t count, void (*body)(void *, int64_t), void *context)
{
    for (int64_t i = 0; i < count; i++)
        body(context, i);
}
int64_t repeat(entry *run, struct opw_args *args, const struct opw_tunables *tunables, void *workspace, int64_t times)
{
    struct timespec begin, end;
    args->parallel_for = one_thread;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    for (int64_t i = 0; i < times; i++)
        if (run(args, tunables, workspace))
            return -1;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    return (end.tv_sec - begin.tv_sec) * 1000000000L + end.tv_nsec - begin.tv_nsec;
}
"""


class Args(ctypes.Structure):
    """``struct opw_args``."""

    _fields_ = (
        ("operand", ctypes.c_void_p * 8),
        ("dim", ctypes.c_int64 * 24),
        ("scalar", ctypes.c_double * 4),
        ("threads", ctypes.c_int64),
        ("parallel_for", ctypes.c_void_p),
    )


class Tunables(ctypes.Structure):
    """``struct opw_tunables``."""

    _fields_ = (("value", ctypes.c_int64 * 32), ("kernel", ctypes.c_void_p * 16))


class Compiler:
    """Builds in a directory with ``cc``; the same text is built once."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._built: dict[str, ctypes.CDLL] = {}
        (place / "opw.h").write_text((NATIVE / "opw.h").read_text())
        self.repeat = self.library(REPEAT, ".c").repeat
        self.repeat.restype, self.repeat.argtypes = ctypes.c_int64, [ctypes.c_void_p] * 4 + [ctypes.c_int64]

    def library(self, text: str, suffix: str, names: str = "") -> ctypes.CDLL:
        """Return the loaded shared object of one file of C or assembly."""
        key = names + text
        if key not in self._built:
            path = self._place / f"text{len(self._built)}{suffix}"
            path.write_text(text)
            (self._place / "opw_names.h").write_text(names)
            command = ["cc", *FLAGS, f"-I{self._place}", str(path), "-o", str(path.with_suffix(".so"))]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise HarnessError(f"cc refuses {path.name}: {done.stderr.strip()[:600]}")
            self._built[key] = ctypes.CDLL(str(path.with_suffix(".so")))
        return self._built[key]


class Built:
    """One candidate, ready to be called."""

    def __init__(self, compiler: Compiler, target: Target, sketch: Sketch, candidate: Candidate) -> None:
        values = dict(candidate.values)
        kernels = _kernels(target, sketch, values)
        settings = {tunable.name: values[tunable.name] for tunable in sketch.of_kind(TunableKind.SKETCH)}
        self._main = compiler.library(sketch.source, ".c", names_header(sketch.dims, sketch, settings))
        self._repeat, self._tunables = compiler.repeat, Tunables()
        for index, tunable in enumerate(sketch.tunables):
            self._tunables.value[index] = values[tunable.name]
        for index, role in enumerate(sketch.roles):
            if role in kernels:
                loaded = compiler.library(kernels[role]["text"], ".s")
                self._tunables.kernel[index] = ctypes.cast(getattr(loaded, kernels[role]["name"]), ctypes.c_void_p).value
        self._main.opw_workspace.restype = ctypes.c_size_t

    def on(self, spec: OperatorSpec, buffers: Mapping[str, np.ndarray]) -> Callable[[int], float]:
        """Return a function that computes some times and says how many seconds one took, by the process's CPU time."""
        args = Args(threads=1)
        for index, operand in enumerate(spec.operands()):
            args.operand[index] = buffers[operand.name].ctypes.data + BORDER * operand.dtype.bytes
        for index, value in enumerate(spec.dims().values()):
            args.dim[index] = value
        for index, value in enumerate(spec.scalars()):
            args.scalar[index] = value
        room = self._main.opw_workspace(ctypes.byref(args), ctypes.byref(self._tunables))
        workspace = np.full(room + 128, 255, np.uint8)
        aligned = (workspace.ctypes.data + 63) & ~63
        held = (dict(buffers), workspace)  # memory that C has the addresses of

        def call(times: int, held: object = held) -> float:
            where = ctypes.c_void_p(aligned)
            taken = self._repeat(self._main.opw_run, ctypes.byref(args), ctypes.byref(self._tunables), where, times)
            if taken < 0:
                raise HarnessError("opw_run failed")
            return taken / times / 1e9

        return call


def buffers_of(spec: OperatorSpec, operands: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Lay operands out as the spec says, every element around and between them poisoned."""
    found = {}
    for operand in spec.operands():
        flat = np.full(operand.elements + 2 * BORDER, operand.dtype.poison, operand.dtype.numpy)
        if operand.name in operands:
            operand.view(flat[BORDER:])[...] = operand.dtype.encode(operands[operand.name])
        found[operand.name] = flat
    return found


def _kernels(target: Target, sketch: Sketch, values: Mapping[str, int]) -> dict[str, dict]:
    chosen = {tunable.name: values[tunable.name] for tunable in sketch.of_kind(TunableKind.KERNEL)}
    wanted = {"vector_bits": target.vector_bits.value, "features": list(target.features), **sketch.parameters, **chosen}
    wanted["roles"] = list(sketch.roles_of(values))
    script = Expert().kernel_script(target, sketch)
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, input=json.dumps([wanted]), capture_output=True, text=True, check=True)
    return {one["role"]: one for one in json.loads(done.stdout)[0]}
