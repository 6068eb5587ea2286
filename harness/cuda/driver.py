"""
The CUDA driver API through ctypes: what a plan needs and no more; no wheel, only the driver's own library.

Used inside the device process (`harness.cuda.device`) alone. Every call's status is checked; an error names the call.
"""

import ctypes
from collections.abc import Sequence
from functools import lru_cache

from harness.errors import TargetUnavailable

U64, I32, SIZE, PTR = ctypes.c_uint64, ctypes.c_int, ctypes.c_size_t, ctypes.c_void_p
ATTRIBUTES = {
    "threads_per_block": 1,
    "clock_khz": 13,
    "sms": 16,
    "l2_bytes": 38,
    "threads_per_sm": 39,
    "capability_major": 75,
    "capability_minor": 76,
    "shared_per_sm_bytes": 81,
    "registers_per_sm": 82,
    "shared_per_block_bytes": 97,
}
"""CUdevice_attribute by the name the harness uses (cuda.h)."""
MAP_TYPES = {"int8": 0, "fp8": 0, "int32": 3, "fp16": 6, "fp32": 7, "bf16": 9, "tf32": 11}
SWIZZLES = {0: 0, 32: 1, 64: 2, 128: 3}
L2_256B, NO_INTERLEAVE, ZERO_FILL = 3, 0, 0
DYNAMIC_SHARED, NON_PORTABLE_CLUSTER = 8, 14
EARLY = 6
"""CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION."""


class CudaError(Exception):
    """A driver call that failed; ``sticky`` ones leave the process useless."""

    def __init__(self, call: str, status: int) -> None:
        self.call, self.status = call, status
        super().__init__(f"{call}: {error_name(status)}")


@lru_cache
def library() -> ctypes.CDLL:
    """Load the driver; raise `TargetUnavailable` where there is none."""
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise TargetUnavailable("no NVIDIA driver is installed (libcuda.so.1); run on a machine with a GPU") from None


def error_name(status: int) -> str:
    """Return what the driver calls an error."""
    text = ctypes.c_char_p()
    library().cuGetErrorName(status, ctypes.byref(text))
    return text.value.decode() if text.value else f"error {status}"


def check(call: str, *args: object) -> None:
    """Make a driver call, whole numbers in 64 bits (ctypes takes them for C's int); raise `CudaError` unless it succeeds."""
    status = getattr(library(), call)(*(ctypes.c_int64(arg) if isinstance(arg, int) else arg for arg in args))
    if status:
        raise CudaError(call, status)


def open_device() -> int:
    """Initialise the driver and make the primary context of the first device current; return the device."""
    check("cuInit", 0)
    count, device, context = I32(), I32(), PTR()
    check("cuDeviceGetCount", ctypes.byref(count))
    if count.value < 1:
        raise TargetUnavailable("the driver sees no GPU; check nvidia-smi and CUDA_VISIBLE_DEVICES")
    check("cuDeviceGet", ctypes.byref(device), 0)
    check("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    check("cuCtxSetCurrent", context)
    return device.value


def properties(device: int) -> dict[str, object]:
    """Return the device's name, driver and the attributes the harness uses."""
    name, value, total = ctypes.create_string_buffer(128), I32(), SIZE()
    check("cuDeviceGetName", name, 128, device)
    found: dict[str, object] = {"name": name.value.decode()}
    for key, number in ATTRIBUTES.items():
        check("cuDeviceGetAttribute", ctypes.byref(value), number, device)
        found[key] = value.value
    check("cuDriverGetVersion", ctypes.byref(value))
    check("cuDeviceTotalMem_v2", ctypes.byref(total), device)
    return found | {"driver": f"{value.value // 1000}.{value.value % 1000 // 10}", "memory_bytes": total.value}


def allocate(size: int) -> int:
    """Return device memory; the caller frees it."""
    pointer = U64()
    check("cuMemAlloc_v2", ctypes.byref(pointer), SIZE(max(size, 256)))
    return pointer.value


def free(pointer: int) -> None:
    """Free device memory."""
    check("cuMemFree_v2", U64(pointer))


class _Location(ctypes.Structure):
    _fields_ = (("type", I32), ("id", I32))


class _Properties(ctypes.Structure):
    _fields_ = (
        ("type", I32),
        ("handles", I32),
        ("location", _Location),
        ("metadata", PTR),
        ("flags", ctypes.c_ubyte * 8),
    )


class _Access(ctypes.Structure):
    _fields_ = (("location", _Location), ("flags", I32))


class Guarded:
    """Device memory between two unmapped stretches of addresses: an access beyond either end faults."""

    def __init__(self, size: int, device: int) -> None:
        properties = _Properties(type=1, handles=0, location=_Location(1, device))
        grain = SIZE()
        check("cuMemGetAllocationGranularity", ctypes.byref(grain), ctypes.byref(properties), 0)
        self.bytes = -(-max(size, 1) // grain.value) * grain.value
        self._reserved, self._base, self._handle = self.bytes + 2 * grain.value, U64(), U64()
        check("cuMemAddressReserve", ctypes.byref(self._base), SIZE(self._reserved), SIZE(0), U64(0), U64(0))
        check("cuMemCreate", ctypes.byref(self._handle), SIZE(self.bytes), ctypes.byref(properties), U64(0))
        self.pointer = self._base.value + grain.value
        check("cuMemMap", U64(self.pointer), SIZE(self.bytes), SIZE(0), self._handle, U64(0))
        access = _Access(_Location(1, device), 3)
        check("cuMemSetAccess", U64(self.pointer), SIZE(self.bytes), ctypes.byref(access), SIZE(1))

    def close(self) -> None:
        """Unmap and free."""
        check("cuMemUnmap", U64(self.pointer), SIZE(self.bytes))
        check("cuMemRelease", self._handle)
        check("cuMemAddressFree", self._base, SIZE(self._reserved))


def encode_map(entry: dict, pointer: int) -> "ctypes.Array[ctypes.c_ubyte]":
    """Return a tensor map, 64-byte aligned; raise `CudaError` where the driver refuses it."""
    raw = (ctypes.c_ubyte * 192)()
    aligned = -(-ctypes.addressof(raw) // 64) * 64
    rank = len(entry["dims"])
    dims, strides = (U64 * rank)(*entry["dims"]), (U64 * (rank - 1))(*entry["strides"])
    steps = (ctypes.c_uint32 * rank)(*(entry["steps"] or [1] * rank))
    kind, swizzle = MAP_TYPES[entry["element"]], SWIZZLES[entry["swizzle"]]
    if entry["kind"] == "im2col":
        lower, upper = (I32 * (rank - 2))(*entry["lower"]), (I32 * (rank - 2))(*entry["upper"])
        corners = (lower, upper, ctypes.c_uint32(entry["box"][0]), ctypes.c_uint32(entry["box"][1]))
        check(
            "cuTensorMapEncodeIm2col", PTR(aligned), kind, rank, PTR(pointer), dims, strides, *corners, steps,
            NO_INTERLEAVE, swizzle, L2_256B, ZERO_FILL,
        )  # fmt: skip
    else:
        box = (ctypes.c_uint32 * rank)(*entry["box"])
        check(
            "cuTensorMapEncodeTiled", PTR(aligned), kind, rank, PTR(pointer), dims, strides, box, steps,
            NO_INTERLEAVE, swizzle, L2_256B, ZERO_FILL,
        )  # fmt: skip
    return (ctypes.c_ubyte * 128).from_buffer_copy(ctypes.string_at(aligned, 128))


class _Attribute(ctypes.Structure):
    _fields_ = (("id", I32), ("pad", I32), ("value", I32), ("rest", ctypes.c_ubyte * 60))


class _Launch(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint) for name in ("grid_x", "grid_y", "grid_z", "block_x", "block_y", "block_z", "shared_bytes")),
        ("stream", PTR),
        ("attributes", ctypes.POINTER(_Attribute)),
        ("count", ctypes.c_uint),
    )


class Module:
    """A loaded cubin and its one kernel."""

    def __init__(self, path: str, kernel: str) -> None:
        self.kernel, module, self._function = kernel, PTR(), PTR()
        with open(path, "rb") as file:  # noqa: PTH123 (a path from the parent)
            image = file.read()
        check("cuModuleLoadData", ctypes.byref(module), image)
        check("cuModuleGetFunction", ctypes.byref(self._function), module, kernel.encode())

    def allow(self, shared_bytes: int, cluster: int) -> None:
        """Allow the launch its shared memory and cluster."""
        if shared_bytes > 48 << 10:
            check("cuFuncSetAttribute", self._function, DYNAMIC_SHARED, I32(shared_bytes))
        if cluster > 8:
            check("cuFuncSetAttribute", self._function, NON_PORTABLE_CLUSTER, I32(1))

    def launch(
        self, grid: Sequence[int], block: int | Sequence[int], shared_bytes: int, stream: PTR, args: Sequence[object], early: bool = False
    ) -> None:
        """Launch, ``early``: while the kernel before ends; ``args`` are ctypes values. Clusters are part of the kernel."""
        block = [block, 1, 1] if isinstance(block, int) else block
        pointers = (PTR * len(args))(*(ctypes.addressof(arg) for arg in args))
        attribute = _Attribute(id=EARLY, value=1)
        launch = _Launch(*grid, *block, shared_bytes, stream, ctypes.pointer(attribute), int(early))
        check("cuLaunchKernelEx", ctypes.byref(launch), self._function, pointers, None)


def stream() -> PTR:
    """Return a stream of its own."""
    made = PTR()
    check("cuStreamCreate", ctypes.byref(made), 1)
    return made


def synchronize(on: PTR) -> None:
    """Wait for a stream."""
    check("cuStreamSynchronize", on)


class Graph:
    """What was launched while it recorded, as one replayable graph."""

    def __init__(self, on: PTR, record: "object") -> None:
        self._on, graph, self._ready = on, PTR(), PTR()
        check("cuStreamBeginCapture_v2", on, 2)  # relaxed: libraries may allocate while they record
        try:
            record()
        finally:
            check("cuStreamEndCapture", on, ctypes.byref(graph))
        check("cuGraphInstantiateWithFlags", ctypes.byref(self._ready), graph, U64(0))
        check("cuGraphDestroy", graph)

    def replay(self) -> None:
        """Launch the graph."""
        check("cuGraphLaunch", self._ready, self._on)

    def close(self) -> None:
        """Free it."""
        check("cuGraphExecDestroy", self._ready)


class Event:
    """A point in a stream's time."""

    def __init__(self) -> None:
        self._event = PTR()
        check("cuEventCreate", ctypes.byref(self._event), 0)

    def record(self, on: PTR) -> None:
        """Mark now."""
        check("cuEventRecord", self._event, on)

    def seconds_until(self, later: "Event") -> float:
        """Wait for both and return the time between, 0.5 us fine."""
        elapsed = ctypes.c_float()
        check("cuEventSynchronize", later._event)
        check("cuEventElapsedTime", ctypes.byref(elapsed), self._event, later._event)
        return elapsed.value * 1e-3


class Sensors:
    """Clock and power of the first device through NVML; zeros where it is missing."""

    def __init__(self) -> None:
        self._handle = PTR()
        try:
            self._nvml = ctypes.CDLL("libnvidia-ml.so.1")
            good = not self._nvml.nvmlInit_v2() and not self._nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(self._handle))
        except OSError:
            good = False
        self._good = good

    def read(self) -> dict[str, float]:
        """Return ``clock_mhz`` of the multiprocessors and ``power_w`` just now."""
        clock, power = ctypes.c_uint(), ctypes.c_uint()
        if self._good:
            self._nvml.nvmlDeviceGetClockInfo(self._handle, 1, ctypes.byref(clock))
            self._nvml.nvmlDeviceGetPowerUsage(self._handle, ctypes.byref(power))
        return {"clock_mhz": clock.value, "power_w": power.value / 1000}
