"""
Check, tune and time native GEMM sketches where there is only ``cc``, numpy and perhaps torch.

`python -m benchmarks.elsewhere "bf16 GEMM 1024x1024x1024" "int8 GEMM 512x512x512" --seconds 15` takes each sentence's
sketches, verifies their start points (exactly and for rounding, on the sentence's own size and on fringes around it), climbs
for some seconds, verifies the winner and times it in turn with torch on one processor. For checked-in text only: nothing
is sandboxed, and memory is guarded by borders instead of pages.
"""

import argparse
import ctypes
import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.elsewhere.objects import BORDER, Built, Compiler, buffers_of
from generators.generator import Expert
from harness.dtype import DType
from harness.errors import HarnessError
from harness.kernel import Candidate, Sketch
from harness.operator import OperatorSpec
from harness.prompt import parse_prompt
from harness.search import search_factory
from harness.search.space import SketchSpace, join
from harness.stats import median, paired_ratio
from harness.target import Target
from harness.verify import REJECT_ABOVE, exact_operands, output_name, real_operands, special_operands

ROUNDS = 25
SLICE_S = 0.01
EXTENSIONS = ("avx2", "fma", "bmi2", "avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16")
TILES = ("amx_tile", "amx_bf16", "amx_int8")
CPUS = Path("/sys/devices/system/cpu/cpu0/cache")


def main() -> None:
    """Read the sentences and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sentences", nargs="+", metavar="SENTENCE")
    parser.add_argument("--seconds", type=float, default=15.0, help="of tuning, each sentence")
    parser.add_argument("--sketch", action="append", default=[], help="only this sketch (repeatable)")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    permitted = ctypes.CDLL(None).syscall(158, 0x1023, 18) == 0  # arch_prctl: AMX's tiles
    target = this_machine(tiles=permitted)
    print(f"{target.toolchain['brand']}; {' '.join(target.features)}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        compiler = Compiler(Path(place))
        for sentence in options.sentences:
            spec = parse_prompt(sentence).spec
            sketches = [one for one in Expert().sketches(target, spec) if not options.sketch or one.name in options.sketch]
            try:
                print(row(compiler, target, spec, sketches, options.seconds), flush=True)
            except HarnessError as failed:
                print(f"{spec.slug}: {failed}", flush=True)


def this_machine(*, tiles: bool) -> Target:
    """Return this machine as a target, from /proc and /sys; clock and peak are not measured."""
    lines = dict(line.split("\t", 1) for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines() if "\t" in line)
    flags = set(lines["flags"].split())
    features = [name for name in (*EXTENSIONS, *(TILES if tiles else ())) if name in flags]
    wide = {"avx512f", "avx512dq", "avx512bw", "avx512vl"} <= flags
    source = "/proc/cpuinfo"
    caches = [_cache(place) for place in sorted(CPUS.glob("index*")) if (place / "type").read_text().strip() != "Instruction"]
    return Target.from_mapping(
        {
            "name": "host",
            "isa": "x86",
            "runner": "native",
            "caches": caches,
            "instructions": {
                "features": {"value": features, "source": source},
                "fma_per_cycle": {"value": 2, "source": "assumed"},
            },
            "registers": {
                "vector_bits": {"value": 512 if wide else 256, "source": source},
                "vector_count": {"value": 32 if wide else 16, "source": source},
                "scalar_count": {"value": 16, "source": source},
            },
            "cores": {"count": {"value": 1, "source": "one is used"}},
            "clock": {"hz": {"value": 1e9, "source": "not measured"}},
            "toolchain": {"brand": lines.get("model name\t", lines.get("model name", "?")).removeprefix(": ")},
        }
    )


def _cache(place: Path) -> dict:
    def read(name: str) -> str:
        return (place / name).read_text().strip()

    numbers = {"level": int(read("level")), "bytes": int(read("size").removesuffix("K")) * 1024}
    numbers |= {"ways": int(read("ways_of_associativity")), "line_bytes": int(read("coherency_line_size"))}
    return {**numbers, "shared_by": 1, "source": str(place)}


def row(compiler: Compiler, target: Target, spec: OperatorSpec, sketches: list[Sketch], seconds: float) -> str:
    """Check, tune, check and time one computation."""
    by_name = {sketch.name: sketch for sketch in sketches}
    if not by_name:
        raise HarnessError("no sketch serves it on this machine")
    counts = {name: verified(compiler, target, spec, sketch, _start(target, spec, sketch)) for name, sketch in by_name.items()}
    won, costs = tuned(compiler, target, spec, by_name, seconds)
    checked = verified(compiler, target, spec, by_name[won.sketch], won)
    contenders = {"ours": _call(compiler, target, spec, by_name[won.sketch], won)}
    contenders["again"] = _call(compiler, target, spec, by_name[won.sketch], won)
    if peer := torch_call(spec):
        contenders["torch"] = peer
    for name in by_name:
        if name != won.sketch:
            best = min((c for c in costs if c.sketch == name), key=costs.get, default=None)
            if best and costs[best] < math.inf:
                contenders[name] = _call(compiler, target, spec, by_name[name], best)
    taken = rounds(contenders)
    text = f"{spec.slug}: {won.sketch} {dict(won.values)}; verified on {sum(counts.values()) + checked} specs; {len(costs)} evaluations; "
    text += f"{spec.flops / median(taken['ours']) / 1e9:.1f} GOP/s"
    for name in list(taken)[1:]:
        ratio = paired_ratio(taken["ours"], taken[name])
        text += f"; x {name} {ratio.ratio:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
    return text


def _start(target: Target, spec: OperatorSpec, sketch: Sketch) -> Candidate:
    return _space(target, spec, sketch).starts[0]


def _space(target: Target, spec: OperatorSpec, sketch: Sketch) -> SketchSpace:
    guesses = tuple(Expert().start_points(target, spec, sketch))
    return SketchSpace(sketch=sketch.name, tunables=sketch.tunables, legal=sketch.legality(), guesses=guesses)


def _call(compiler: Compiler, target: Target, spec: OperatorSpec, sketch: Sketch, candidate: Candidate) -> Callable[[int], float]:
    buffers = buffers_of(spec, real_operands(spec, np.random.default_rng(3)))
    return Built(compiler, target, sketch, candidate).on(spec, buffers)


def verified(compiler: Compiler, target: Target, spec: OperatorSpec, sketch: Sketch, candidate: Candidate) -> int:
    """Return on how many specs a candidate is right; raise `HarnessError` naming the first where it is not."""
    built, rng, values = Built(compiler, target, sketch, candidate), np.random.default_rng(11), dict(candidate.values)
    values |= {"mr": 16 * values["ta"], "nr": 16 * values["tb"]} if "ta" in values else {}
    specs = [spec, *spec.neighbours(values)]
    with np.errstate(invalid="ignore"):
        for one in specs:
            for draw in (exact_operands, special_operands):
                problem = _wrong(built, one, draw(one, rng), exactly=True)
                if problem:
                    raise HarnessError(f"{sketch.name} {values} is WRONG on {one.slug}: {problem}")
        if problem := _wrong(built, spec, real_operands(spec, rng), exactly=False):
            raise HarnessError(f"{sketch.name} {values} is WRONG on {spec.slug}: {problem}")
    return len(specs)


def _wrong(built: Built, spec: OperatorSpec, operands: dict[str, np.ndarray], *, exactly: bool) -> str:
    buffers = buffers_of(spec, operands)
    before = {name: flat.copy() for name, flat in buffers.items()}
    built.on(spec, buffers)(1)
    name = output_name(spec)
    operand = next(one for one in spec.operands() if one.name == name)
    got = operand.dtype.decode(operand.view(buffers[name][BORDER:]).copy())
    operand.view(before[name][BORDER:])[...] = operand.view(buffers[name][BORDER:])
    touched = [one for one, flat in before.items() if flat.tobytes() != buffers[one].tobytes()]
    if touched:
        return f"wrote beside {touched[0]}, or into an input"
    if not got.size:
        return ""
    if exactly:
        wanted = spec.reference(operands)
        bad = ~((got == wanted) | (np.isnan(got) & np.isnan(wanted)))
    else:
        wide = {key: values.astype(np.float64) for key, values in operands.items()}
        wanted = spec.reference(wide)
        bad = ~(np.abs(got - wanted) / spec.rounding_scale(operands) <= REJECT_ABOVE)
    if not bad.any():
        return ""
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{int(bad.sum())} of {bad.size} elements, first {at}: expected {wanted[at]}, got {got[at]}"


def tuned(
    compiler: Compiler, target: Target, spec: OperatorSpec, sketches: dict[str, Sketch], seconds: float
) -> tuple[Candidate, dict[Candidate, float]]:
    """Climb for some seconds; return the fastest candidate and everything that was timed."""
    search = search_factory()(join([_space(target, spec, sketch) for sketch in sketches.values()]), 0)
    begin, costs = time.monotonic(), {}
    while time.monotonic() - begin < seconds and (candidate := search.ask()):
        try:
            call = _call(compiler, target, spec, sketches[candidate.sketch], candidate)
            once = call(2)
            costs[candidate] = min(call(max(1, int(SLICE_S / once))) for _ in range(2))
        except HarnessError:
            costs[candidate] = math.inf
        search.tell(candidate, costs[candidate])
    return min(costs, key=costs.get), costs


def rounds(contenders: dict[str, Callable[[int], float]]) -> dict[str, list[float]]:
    """Let contenders take turns in slices, in an order drawn anew each round; the seconds of a call."""
    times = {name: max(1, int(SLICE_S / call(2))) for name, call in contenders.items()}
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    rng = np.random.default_rng(0)
    for _ in range(ROUNDS):
        for name in rng.permutation(list(contenders)):
            taken[name].append(contenders[name](times[name]))
    return taken


def torch_call(spec: OperatorSpec) -> Callable[[int], float] | None:
    """Return torch on the same data, where it computes the same; None where it is missing or does not."""
    try:
        import torch
    except ImportError:
        return None
    plain = spec.operator == "gemm" and not any(spec.dims()[name] for name in ("trans_a", "trans_b")) and spec.scalars() == (1.0, 0.0)
    kinds = {DType.BF16: torch.bfloat16, DType.F32: torch.float32, DType.F64: torch.float64, DType.I8: torch.int8}
    if not plain or spec.dtype not in kinds or getattr(spec, "out", None):
        return None
    torch.set_num_threads(1)
    drawn = real_operands(spec, np.random.default_rng(3))
    a, b = (torch.from_numpy(np.ascontiguousarray(drawn[name])).to(kinds[spec.dtype]) for name in ("A", "B"))
    out = torch.empty((spec.m, spec.n), dtype=torch.int32 if spec.dtype is DType.I8 else kinds[spec.dtype])
    product = torch._int_mm if spec.dtype is DType.I8 else torch.mm

    def call(times: int) -> float:
        begin = time.process_time_ns()
        for _ in range(times):
            product(a, b, out=out)
        return (time.process_time_ns() - begin) / times / 1e9

    return call


if __name__ == "__main__":
    main()
