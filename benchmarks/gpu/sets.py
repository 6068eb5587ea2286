"""What is measured: sets of cases by name, each with the goal it is held against."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from generators.generator import Expert
from harness import layers
from harness.dtype import DType
from harness.kernel import Sketch
from harness.operator import OperatorSpec
from harness.operators.conv2d import Conv2dSpec
from harness.operators.gemm import GemmSpec
from harness.target import Target

PAPER = ((2048,) * 3, (4096,) * 3, (8192,) * 3, (16384,) * 3, (16384, 1280, 8192), (16384, 8192, 1024), (16384, 7168, 8192), (16384, 8192, 3584))
"""m, n, k of the paper's table for GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """Cases that share a goal; ``sketches`` restricts what may serve them."""

    name: str
    goal: str
    specs: tuple[OperatorSpec, ...]
    sketches: tuple[str, ...] = ()


class Restricted(Expert):
    """The expert, offering some of its sketches only."""

    def __init__(self, sketches: tuple[str, ...]) -> None:
        self._only = sketches
        if sketches:
            self.name = f"expert {'+'.join(sketches)}"

    def sketches(self, target: Target, spec: OperatorSpec) -> Sequence[Sketch]:
        """Return the sketches that are allowed."""
        found = super().sketches(target, spec)
        return [sketch for sketch in found if not self._only or sketch.name in self._only]


def gemms(sizes: Sequence[tuple[int, int, int]], dtype: DType) -> tuple[GemmSpec, ...]:
    """Return products with B stored n x k, as weights are, and as tensor cores read it best: what facts were measured on."""
    return tuple(GemmSpec(m=m, n=n, k=k, dtype=dtype, trans_b=True) for m, n, k in sizes)


def convs(network: Sequence[layers.Layer], batch: int, dtype: DType) -> tuple[Conv2dSpec, ...]:
    """Return a network's layers, NHWC, same padding."""
    fields = [
        {"n": batch, "c": c, "h": hw, "w": hw, "f": f, "r": rs, "s": rs, "stride": stride, "padding": rs // 2}
        for c, hw, f, rs, stride in network
    ]
    return tuple(Conv2dSpec(**one, layout="nhwc", dtype=dtype) for one in fields)


def all_sets() -> dict[str, Set]:
    """Return every set by name, in the order they are measured."""
    decode = [(m, n, k) for n, k in ((4096, 4096), (11008, 4096)) for m in (1, 8, 16, 32, 64)]
    sets = [
        Set(name="paper-fp16", goal="1.00 geomean, none under 0.97", specs=gemms(PAPER, DType.F16)),
        Set(name="paper-bf16", goal="1.00 geomean, none under 0.97", specs=gemms(PAPER, DType.BF16)),
        Set(name="decode", goal="1.2 geomean", specs=gemms(decode, DType.F16)),
        Set(name="ragged", goal="1.0", specs=gemms([(128, 4096, 4096), (1000,) * 3, (1536,) * 3], DType.F16)),
        Set(name="odd", goal="3.5", specs=gemms([(8191,) * 3, (4095, 4097, 4099)], DType.F16)),
        Set(name="fp32", goal="1.35, error not above cuBLAS", specs=gemms(PAPER, DType.F32), sketches=("gemm_cuda_tf32x3",)),
        Set(name="int8", goal="none set; sums in int32", specs=gemms(PAPER, DType.I8)),
        Set(name="fp8", goal="none set; e4m3, C in fp16", specs=gemms(PAPER, DType.F8)),
        Set(
            name="fp32-cores",
            goal="1.0",
            specs=gemms([(2048,) * 3, (4096,) * 3], DType.F32),
            sketches=("gemm_cuda_simt", "gemm_cuda_ffma"),
        ),
    ]
    first = [layers.RESNET50[0], layers.VGG16[0], layers.UNET[0]]
    for batch, goal in ((1, "1.3 geomean"), (32, "1.06 geomean"), (128, "1.03 geomean")):
        networks = [*layers.RESNET50[1:], *layers.VGG16[1:], *layers.UNET[1:]]
        specs = tuple(dict.fromkeys(convs(networks, batch, DType.F16)))
        sets.append(Set(name=f"conv-fp16-{batch}", goal=goal, specs=specs))
        sets.append(Set(name=f"conv-first-{batch}", goal="2.0", specs=convs(first, batch, DType.F16)))
    figure = [dict(zip(("n", "c", "h", "f", "r"), layer, strict=True)) for layer in layers.PAPER_GPU]
    for dtype, goal in ((DType.F16, "1.06 geomean"), (DType.F32, "1.5 geomean")):
        specs = tuple(Conv2dSpec(**one, w=one["h"], s=one["r"], padding=one["r"] // 2, layout="nhwc", dtype=dtype) for one in figure)
        sets.append(Set(name=f"conv-paper-{dtype.value}", goal=goal, specs=specs))
    depthwise = tuple(replace(one, groups=one.c) for one in convs(layers.DEPTHWISE, 32, DType.F16))
    sets.append(Set(name="depthwise-32", goal="none set; MobileNet-V2", specs=depthwise))
    sets.append(Set(name="conv-fp32-32", goal="1.5 geomean", specs=convs(layers.RESNET50[1:], 32, DType.F32)))
    return {one.name: one for one in sets}


def chosen_set(text: str) -> Set:
    """Return a set by name, or with ``NAME=WORD+WORD`` those of its cases whose ids have one of the words."""
    name, _, words = text.partition("=")
    if name not in all_sets():
        raise SystemExit(f"there is no set {name!r}; choose from {', '.join(all_sets())}")
    known = all_sets()[name]
    return replace(known, specs=tuple(spec for spec in known.specs if not words or any(word in spec.slug for word in words.split("+"))))
