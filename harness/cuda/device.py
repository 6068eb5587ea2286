"""
The device process: one GPU context, several sessions, requests as JSON lines on stdin, replies on stdout.

`python -m harness.cuda.device HELPERS.cubin`. A sticky CUDA error ends the process after its reply: its owner starts a
fresh one. A hang is the owner's to notice. Nothing here decides what is right; it runs, guards, times and reports.
"""

import ctypes
import json
import mmap
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib import import_module
from math import ceil
from statistics import median
from typing import Any

from harness.cuda import driver
from harness.cuda.driver import U64, CudaError, Event, Graph, Module
from harness.cuda.operands import Buffer, Problem

IDLE = 3.0
"""Burst: after a replay the device idles this many times as long, so that the power limit does not bind."""
DTYPES = {"fp32": 0, "fp16": 1, "bf16": 2, "int8": 3, "int32": 4, "fp8": 5}


class Planned:
    """A resolved launch plan over one problem."""

    def __init__(self, device: "Device", request: Mapping[str, Any]) -> None:
        self._device, self._plan = device, request["plan"]
        self.describe = ""
        self._modules = {role: device.module(path, name) for role, (name, path) in request["modules"].items()}
        for launch in self._plan["launches"]:
            self._modules[launch["kernel"]].allow(launch["shared_bytes"], launch["cluster"])
        self._workspaces = {name: Buffer(device, size, "aligned") for name, size in self._plan["workspaces"].items()}
        self._args: dict[tuple[int, ...], list[list[Any]]] = {}
        """By where operands lie: a graph visits a set of buffers many times, and maps take longer to encode than to launch."""
        self.workspace_bytes = sum(self._plan["workspaces"].values())

    def poison(self) -> None:
        """Fill the workspaces with NaN."""
        for buffer in self._workspaces.values():
            self._device.fill_bytes(buffer.pointer, buffer.bytes, 0xFF)

    def harm(self) -> str:
        """Return which workspace was overrun, or an empty string."""
        found = ((name, buffer.trespass()) for name, buffer in self._workspaces.items())
        return next((f"workspace {name}, {where}" for name, where in found if where), "")

    def launch(self, operands: Mapping[str, int]) -> None:
        """Launch the plan's kernels in order."""
        where = tuple(operands.values())
        if where not in self._args:
            self._args[where] = self._arguments(operands)
        for launch, args in zip(self._plan["launches"], self._args[where], strict=True):
            module = self._modules[launch["kernel"]]
            try:
                module.launch(launch["grid"], launch["block"], launch["shared_bytes"], self._device.stream, args, launch["early"])
            except CudaError as error:
                shape = f"grid {launch['grid']}, block {launch['block']}, {launch['shared_bytes']} bytes shared"
                raise CudaError(f"{module.kernel} ({shape}): {error.call}", error.status) from None

    def _arguments(self, operands: Mapping[str, int]) -> list[list[Any]]:
        """Return every launch's arguments as ctypes values, tensor maps encoded."""
        places = dict(operands) | {f"workspace:{name}": buffer.pointer for name, buffer in self._workspaces.items()}
        maps = {
            name: driver.encode_map(entry, places[entry["buffer"]] + entry["offset"])
            for name, entry in self._plan["maps"].items()
        }
        return [[_argument(kind, value, places, maps) for kind, value in launch["args"]] for launch in self._plan["launches"]]

    def close(self) -> None:
        """Free the workspaces."""
        for buffer in self._workspaces.values():
            buffer.close()


def _argument(kind: str, value: Any, places: Mapping[str, int], maps: Mapping[str, Any]) -> Any:
    if kind == "map":
        return maps[value]
    if kind in ("operand", "workspace"):
        return U64(places[value if kind == "operand" else f"workspace:{value}"])
    return {"int": ctypes.c_int, "long": ctypes.c_longlong, "float": ctypes.c_float}[kind](value)


class Device:
    """The context, its stream, the helper kernels and every open session."""

    def __init__(self, helpers: str) -> None:
        self.number = driver.open_device()
        self.properties = driver.properties(self.number)
        self.stream, self._helpers = driver.stream(), helpers
        self._modules: dict[tuple[str, str], Module] = {}
        self._problems: dict[str, Problem] = {}
        self._sessions: dict[int, tuple[str, Any]] = {}
        self._graphs: dict[int, tuple[Graph, int]] = {}
        self._events = Event(), Event()
        self._word = driver.allocate(16)

    @cached_property
    def sensors(self) -> driver.Sensors:
        """Return clock and power."""
        return driver.Sensors()

    def module(self, path: str, kernel: str) -> Module:
        """Return a loaded kernel."""
        if (path, kernel) not in self._modules:
            self._modules[path, kernel] = Module(path, kernel)
        return self._modules[path, kernel]

    def scratch(self, size: int) -> Buffer:
        """Return device memory between canaries, for a peer's workspace."""
        return Buffer(self, size, "aligned")

    # Helper kernels and copies

    def _help(self, kernel: str, *args: Any) -> None:
        self.module(self._helpers, kernel).launch((512, 1, 1), 256, 0, self.stream, args)

    def fill_bytes(self, pointer: int, size: int, value: int) -> None:
        """Set bytes."""
        driver.check("cuMemsetD8Async", U64(pointer), ctypes.c_ubyte(value), size, self.stream)

    def fill(self, buffer: Buffer, operand: Mapping[str, Any], seed: int, sparse: int) -> None:
        """Draw an operand: normal reals, or (sparse) mostly zeros and a few of -1 and 1."""
        count, kind = operand["elements"], DTYPES[operand["dtype"]]
        self._help("fill", U64(buffer.pointer), U64(count), ctypes.c_uint(seed), ctypes.c_int(kind), ctypes.c_int(sparse))

    def copy(self, to: int, pointer: int, size: int) -> None:
        """Copy within the device, in the stream's order (the default stream would race with it)."""
        driver.check("cuMemcpyDtoDAsync_v2", U64(to), U64(pointer), ctypes.c_size_t(size), self.stream)

    def checksum(self, buffer: Buffer) -> int:
        """Return a checksum of a buffer."""
        self.fill_bytes(self._word, 16, 0)
        self._help("checksum", U64(buffer.pointer), U64(buffer.bytes), U64(self._word))
        return int.from_bytes(self.download(self._word, 8), "little")

    def differ(self, first: int, second: int, elements: int, size: int) -> tuple[int, int]:
        """Return how many elements differ bit for bit, and the first."""
        self.fill_bytes(self._word, 8, 0)
        self.fill_bytes(self._word + 8, 8, 0xFF)
        self._help("differ", U64(first), U64(second), U64(elements), ctypes.c_int(size), U64(self._word))
        data = self.download(self._word, 16)
        return int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")

    def upload(self, pointer: int, source: mmap.mmap, start: int, size: int) -> None:
        """Copy a stretch of the arena to the device."""
        if size:
            view = (ctypes.c_ubyte * size).from_buffer(source, start)
            driver.check("cuMemcpyHtoDAsync_v2", U64(pointer), view, size, self.stream)
            driver.synchronize(self.stream)
            del view

    def download(self, pointer: int, size: int) -> bytes:
        """Copy from the device once everything launched is done."""
        data = (ctypes.c_ubyte * max(size, 1))()
        driver.check("cuMemcpyDtoHAsync_v2", data, U64(pointer), size, self.stream)
        driver.synchronize(self.stream)
        return bytes(data)[:size]

    # Requests

    def hello(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Say what the device is."""
        return {"properties": self.properties, "sensors": self.sensors.read()}

    def open(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Open a session: a plan or a peer over a problem."""
        key = request["problem"]["key"]
        if key not in self._problems:
            for old in [name for name, problem in self._problems.items() if not problem.sessions]:
                self._problems.pop(old).close()
            self._problems[key] = Problem(self, request["problem"])
        problem = self._problems[key]
        if "peer" in request:
            runner = import_module(request["peer"]["module"]).DevicePeer(self, request["peer"])
        else:
            runner = Planned(self, request)
        problem.sessions += 1
        self._sessions[request["slot"]] = (key, runner)
        return {"describe": runner.describe, "workspace_bytes": runner.workspace_bytes}

    def call(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make one checked call."""
        problem, runner = self._session(request)
        problem.prepare(request["generation"])
        runner.poison()
        runner.launch(problem.pointers(0))
        driver.synchronize(self.stream)
        harm = problem.harm() or runner.harm()
        problem.collect()
        return {"harm": harm}

    def time(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Take samples: replays of a graph of calls over rotating buffers; seconds of one call each."""
        problem, runner = self._session(request)
        slot, burst = request["slot"], request.get("burst", True)
        if slot not in self._graphs:
            self._graphs[slot] = self._captured(problem, runner, request["sample_s"])
        graph, calls = self._graphs[slot]
        for _ in range(request.get("warm", 1)):
            graph.replay()
        driver.synchronize(self.stream)
        samples, begin = [], time.monotonic()
        while len(samples) < request["samples"]:
            seconds = self._replayed(graph)
            samples.append(seconds / calls)
            if time.monotonic() - begin > request["budget_s"]:
                break
            if burst:
                time.sleep(IDLE * seconds)
        sensors = self.sensors.read() if request.get("sensors") else {}
        if request.get("collect"):
            problem.collect()
        return {"samples": samples, "calls": calls, "sensors": sensors, "describe": runner.describe}

    def matches(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Run two sessions on one problem and compare their outputs bit for bit on the device."""
        problem, first = self._session(request)
        second = self._sessions[request["other"]][1]
        operand = next(operand for operand in problem.operands if operand["mode"] != "in")
        problem.prepare(0)
        second.launch(problem.pointers(0))
        kept = Buffer(self, operand["bytes"], "aligned")
        out = problem.sets[0][operand["name"]].pointer
        self.copy(kept.pointer, out, operand["bytes"])
        problem.prepare(0)
        first.poison()
        first.launch(problem.pointers(0))
        driver.synchronize(self.stream)
        size = operand["bytes"] // max(operand["elements"], 1)
        count, where = self.differ(out, kept.pointer, operand["elements"], size)
        kept.close()
        return {"differ": count, "first": where, "harm": problem.harm() or first.harm()}

    def chain(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Make calls that each take the output of the one before as their first operand; return the last output's checksum."""
        problem, runner = self._session(request)
        sets, (first, *_, last) = problem.rotation(), (operand["name"] for operand in problem.operands)
        for made in problem.sets:
            self.fill_bytes(made[last].pointer, made[last].bytes, 0xFF)
        for i in range(request["calls"]):
            before = {first: problem.sets[(i - 1) % sets][last].pointer} if i else {}
            runner.launch(problem.pointers(i % sets) | before)
        return {"sum": self.checksum(problem.sets[(request["calls"] - 1) % sets][last])}

    def fetch(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Write an operand of set 0 to a file."""
        problem, _ = self._session(request)
        buffer = problem.sets[0][request["name"]]
        with open(request["path"], "wb") as file:  # noqa: PTH123 (a path from the parent)
            file.write(self.download(buffer.pointer, buffer.bytes))
        return {}

    def close(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Close a session."""
        key, runner = self._sessions.pop(request["slot"])
        if request["slot"] in self._graphs:
            self._graphs.pop(request["slot"])[0].close()
        runner.close()
        self._problems[key].sessions -= 1
        return {}

    def _session(self, request: Mapping[str, Any]) -> tuple[Problem, Any]:
        key, runner = self._sessions[request["slot"]]
        return self._problems[key], runner

    def _captured(self, problem: Problem, runner: Any, sample_s: float) -> tuple[Graph, int]:
        """Record as many calls as fill a sample; every buffer set is visited before one is visited again."""
        sets = problem.rotation()
        if hasattr(runner, "tune"):
            runner.tune(lambda launch: self._seconds(problem, launch), problem.pointers(0))
        one_s = self._seconds(problem, runner.launch)
        calls = max(1, min(512, ceil(sample_s / one_s)))
        calls = -(-calls // sets) * sets if calls > sets / 2 else calls
        return self._graph(problem, runner.launch, calls), calls

    def _graph(self, problem: Problem, launch: Callable[[Mapping[str, int]], None], calls: int) -> Graph:
        sets = len(problem.sets)
        return Graph(self.stream, lambda: [launch(problem.pointers(i % sets)) for i in range(calls)])

    def _seconds(self, problem: Problem, launch: Callable[[Mapping[str, int]], None]) -> float:
        """Return about how long a call takes: the median of three replays of a short graph."""
        launch(problem.pointers(0))
        graph = self._graph(problem, launch, calls := min(8, 2 * len(problem.sets)))
        self._replayed(graph)
        seconds = median(self._replayed(graph) for _ in range(3)) / calls
        graph.close()
        return max(seconds, 1e-7)

    def _replayed(self, graph: Graph) -> float:
        self._events[0].record(self.stream)
        graph.replay()
        self._events[1].record(self.stream)
        return self._events[0].seconds_until(self._events[1])


def serve(helpers: str) -> None:
    """Answer requests until stdin ends; a CUDA error is an answer, after a sticky one the process ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print where they like
    device: Device | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            device = device or Device(helpers)
            reply = {"status": "ok", **getattr(device, request["op"])(request)}
        except CudaError as error:
            reply = {"status": "cuda", "call": error.call, "code": error.status, "where": driver.error_name(error.status)}
        except Exception as error:
            reply = {"status": "error", "where": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
        if reply["status"] == "cuda" and device and driver.library().cuCtxSynchronize():
            return


if __name__ == "__main__":
    serve(sys.argv[1])
