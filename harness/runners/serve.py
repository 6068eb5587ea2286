"""
The process of a hosted peer (`python -m harness.runners.serve`): the guarded worker's commands, answered from Python.

A peer's module has ``serve(problem) -> Service``. Commands come on standard input, replies go to standard output, one
line each: ``open SLOT {problem}``, ``call SLOT MS``, ``time SLOT MS SAMPLES SAMPLE_NS BUDGET_NS WARM``, ``close SLOT``.
"""

import ctypes
import json
import mmap
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, TextIO

import numpy as np

from harness.operator import OperatorSpec
from harness.operators import spec_from_json

PR_SET_PDEATHSIG = 1
CPU, WALL = time.CLOCK_PROCESS_CPUTIME_ID, time.CLOCK_MONOTONIC


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What a peer is asked to compute, again and again, on the same memory."""

    spec: OperatorSpec
    threads: int
    operands: Mapping[str, np.ndarray]
    """Views of the arena, in the dtypes they are stored in; only the output may be written."""
    settings: str


class Service(Protocol):
    """A peer, ready."""

    describe: str
    """``version=... core=...``; values have no spaces."""

    def run(self) -> None:
        """Compute once; this is what is timed."""

    def finish(self) -> None:
        """Put what `run` computed into the output operand, where it is not there already; not timed."""


def map_operands(spec: OperatorSpec, path: str, offsets: list[int]) -> dict[str, np.ndarray]:
    """Map an arena and return the operands' views."""
    fd = os.open(path, os.O_RDWR)
    try:
        memory = mmap.mmap(fd, 0)
    finally:
        os.close(fd)
    views = {}
    for operand, offset in zip(spec.operands(), offsets, strict=True):
        flat = np.frombuffer(memory, operand.dtype.numpy, operand.elements, offset)
        views[operand.name] = operand.view(flat)
    return views


def open_service(told: Mapping[str, Any]) -> Service:
    """Make a peer ready for a problem."""
    spec = spec_from_json(told["spec"])
    operands = map_operands(spec, told["arena"], told["offsets"])
    problem = Problem(spec=spec, threads=told["threads"], operands=operands, settings=told["settings"])
    return import_module(told["module"]).serve(problem)


def take_samples(service: Service, samples: int, sample_ns: int, budget_ns: int, warm: int) -> dict[str, Any]:
    """Time calls as the guarded worker does (harness/native/child.c): samples of several calls until the budget is used."""
    begin_cpu, run = time.clock_gettime_ns(CPU), service.run
    call_ns = sample_ns
    for _ in range(max(warm, 1)):
        start = time.clock_gettime_ns(WALL)
        run()
        call_ns = time.clock_gettime_ns(WALL) - start
    calls, rows = max(1, -(-sample_ns // max(call_ns, 1))), []
    begin = time.clock_gettime_ns(WALL)
    while len(rows) < samples:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        wall, cpu = time.clock_gettime_ns(WALL), time.clock_gettime_ns(CPU)
        for _ in range(calls):
            run()
        cpu, wall = time.clock_gettime_ns(CPU) - cpu, time.clock_gettime_ns(WALL) - wall
        rows.append([cpu, wall, resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - before])
        if time.clock_gettime_ns(WALL) - begin >= budget_ns:
            break
    taken = time.clock_gettime_ns(CPU) - begin_cpu
    service.finish()
    return {"status": "ok", "calls": calls, "samples": rows, "outside_cpu_ns": taken}


def obey(line: str, services: dict[int, Service]) -> dict[str, Any]:
    """Carry out one command and return the reply."""
    verb, slot, rest = [*line.split(" ", 2), ""][:3]
    try:
        if verb == "open":
            services[int(slot)] = open_service(json.loads(rest))
            return {"status": "ok", "describe": services[int(slot)].describe}
        if verb == "close":
            services.pop(int(slot), None)
            return {"status": "ok"}
        service, numbers = services[int(slot)], [int(word) for word in rest.split()]
        if verb == "time":
            return take_samples(service, *numbers[1:])
        service.run()
        service.finish()
        return {"status": "ok", "returned": 0}
    except Exception as error:  # whatever a framework raises is the peer's verdict
        where = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return {"status": "load", "where": where}


def main() -> None:
    """Answer commands until the pipe closes; what a framework prints goes to standard error."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    replies: TextIO = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    services: dict[int, Service] = {}
    for line in sys.stdin:
        print(json.dumps(obey(line.strip(), services)), file=replies, flush=True)


if __name__ == "__main__":
    main()
