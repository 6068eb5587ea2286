"""
Compile and check the kernels for a GPU without one: `python -m benchmarks.gpu.check h100`.

For every sketch that serves a handful of cases, its start points are compiled and held against the target's own limits:
registers, spills, shared memory, blocks a multiprocessor; the disassembly is linted. Nothing runs: each line says so.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import finish
from generators.generator import Expert
from harness.cuda.banks import issue
from harness.cuda.build import CudaBuilder, CudaObject, occupancy
from harness.cuda.compiler import Compiled, CudaCompiler
from harness.cuda.sass import disassemble, lint
from harness.dtype import DType
from harness.errors import HarnessError
from harness.kernel import Candidate
from harness.operator import OperatorSpec
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec
from harness.record import Verdict
from harness.sandbox import Sandbox
from harness.store import Store, default_store
from harness.target import Target, load_target

CASES = (
    GemmSpec(m=4096, n=4096, k=4096, dtype=DType.F16, trans_b=True),
    GemmSpec(m=16, n=4096, k=4096, dtype=DType.BF16, trans_b=True),
    GemmSpec(m=4096, n=4096, k=4096),
    Conv2dSpec(n=32, c=64, h=56, w=56, f=64, r=3, s=3, padding=1, layout="nhwc", dtype=DType.F16),
    Conv2dSpec(n=32, c=96, h=112, w=112, f=96, r=3, s=3, stride=2, padding=1, groups=96, layout="nhwc", dtype=DType.F16),
    GemmSpec(m=4096, n=4096, k=4096, dtype=DType.F8, trans_b=True),
    Conv2dSpec(n=32, c=3, h=224, w=224, f=64, r=7, s=7, stride=2, padding=3, layout="nhwc", dtype=DType.F16),
    Conv2dSpec(n=1, c=64, h=256, w=256, f=2, r=1, s=1, layout="nhwc", dtype=DType.F16),
)
MULTIPLY = {"gemm": "HGMMA", "conv": "HGMMA", "split_k": "HGMMA", "conv_split": "HGMMA", "gemm_int8": "IGMMA", "gemm_fp8": "QGMMA", "halo": "HGMMA", "ffma": "FFMA", "mma": "HMMA", "skinny": "HMMA", "first": "HMMA", "narrow": "HMMA", "stem": "HGMMA", "simt": "FFMA"}
"""What a role must multiply with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One compiled kernel: what it takes, and what is wrong with it."""

    sketch: str
    role: str
    compiled: Compiled
    blocks_per_sm: int
    wrong: tuple[str, ...]
    share: float
    """What the main loop can reach of the CUDA cores' fp32 peak (`harness.cuda.banks`); 0 where others multiply."""


def start_items(target: Target, spec: OperatorSpec, store: Store, most: int) -> Iterator[tuple[Candidate, CudaObject | Verdict]]:
    """Build up to ``most`` start points of every sketch that serves a case; nothing where none does."""
    author = Expert()
    try:
        sketches = author.sketches(target, spec)
    except HarnessError:  # no kernels for this case on this GPU
        return
    for sketch in sketches:
        builder = CudaBuilder(target, sketch, author.kernel_script(target, sketch), store, Sandbox(), spec, trusted=True)
        points = [Candidate.of(sketch.name, {**sketch.start, **point}) for point in author.start_points(target, spec, sketch)][:most]
        yield from zip(points, builder.build(points), strict=True)


def check(gpu: str, store: Store, cases: tuple[OperatorSpec, ...] = CASES, most: int = 99) -> Iterator[Checked | Verdict]:
    """Compile up to ``most`` start points of each sketch; yield every kernel once, or a verdict that there is none."""
    target, seen = load_target(gpu), set()
    for spec in cases:
        for candidate, item in start_items(target, spec, store, most):
            resolved = item if isinstance(item, Verdict) else item.resolve(spec)
            compiled = resolved if isinstance(resolved, Verdict) else item.compiled(spec, resolved.roles)
            if isinstance(compiled, Verdict):
                yield compiled
                continue
            for launch in resolved.launches:
                found = compiled[launch.kernel]
                if found.path not in seen:
                    seen.add(found.path)
                    blocks = occupancy(launch.block, launch.shared_bytes, found, target.factors)
                    listed, wanted = disassemble(Path(found.path)), MULTIPLY.get(launch.kernel, "")
                    wrong = tuple(lint(listed, wanted))
                    share = issue(listed.main_loop(wanted)).share if wanted == "FFMA" else 0.0
                    yield Checked(sketch=candidate.sketch, role=launch.kernel, compiled=found, blocks_per_sm=blocks, wrong=wrong, share=share)


def main() -> int:
    """Print a line a kernel; 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.check", description=__doc__.splitlines()[1])
    parser.add_argument("gpu", nargs="?", default="h100", help="a target (h100)")
    gpu, bad = parser.parse_args().gpu, 0
    with Store.open(default_store()) as store:
        print(f"{CudaCompiler(store, load_target(gpu).toolchain['arch']).name}: compiled, not run")
        for found in check(gpu, store):
            if isinstance(found, Verdict):
                print(found)
                bad += 1
                continue
            one = found.compiled
            bad += bool(found.wrong or not found.blocks_per_sm)
            print(
                f"{one.name:88} {one.registers:3} registers {one.spill_bytes:3} spilled {found.blocks_per_sm:2} blocks/SM"
                f" {f'at most {found.share:.3f} of the fp32 peak; ' if found.share else ''}{'; '.join(found.wrong) or 'ok'}"
            )
    return int(bad > 0)


if __name__ == "__main__":
    finish(main)
