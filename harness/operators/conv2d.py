"""
Conv2d: ``Y[n, f, y, x] = sum over c, r, s of X[n, c, y*stride + r*dilation - padding, ...] * W[f, c, r, s]``.

Cross-correlation with zero padding, as deep-learning frameworks define it; ``f`` counts filters, the paper's K.
Optional: groups (depthwise: one channel each), a bias and a ReLU after the sum, weights that are known ahead of time.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, ClassVar

import numpy as np

from harness import layers
from harness.dtype import DType
from harness.errors import BadRequest
from harness.operator import Operand, Operator
from harness.operators import (
    fields_from_json,
    fields_to_json,
    log_uniform,
    require_float,
    require_size,
    rounding_of_sums,
    working_precision,
)
from harness.prompt import Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv2dSpec:
    """
    One 2-D convolution of one size: images of c x h x w, filters of c x r x s.

    Layout ``nchw`` stores X as n, c, h, w and W as f, c, r, s; ``nhwc`` X as n, h, w, c and W as f, r, s, c.
    Y has the layout of X. n, c and f may be 0; a kernel larger than the padded image is refused.
    With groups, W has c/groups channels, and a filter sees those of its own group only.
    ``prepacked`` says that W is constant: `opw_prepare` may rearrange it once, before anything is timed.
    """

    operator: ClassVar[str] = "conv2d"

    n: int
    c: int
    h: int
    w: int
    f: int
    r: int
    s: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    bias: bool = False
    relu: bool = False
    prepacked: bool = False
    layout: str = "nchw"
    dtype: DType = DType.F32

    def __post_init__(self) -> None:
        require_float("conv2d", self.dtype)
        for name in ("n", "c", "h", "w", "f", "padding"):
            require_size("conv2d", name, getattr(self, name))
        for name in ("r", "s", "stride", "dilation", "groups"):
            require_size("conv2d", name, getattr(self, name), least=1)
        for name in ("bias", "relu", "prepacked"):
            object.__setattr__(self, name, bool(getattr(self, name)))
        for name in ("c", "f"):
            if getattr(self, name) % self.groups:
                raise BadRequest(f"conv2d: {name} is {getattr(self, name)}, which {self.groups} groups do not divide")
        if self.layout not in ("nchw", "nhwc"):
            raise BadRequest(f"conv2d: layout is {self.layout!r}; choose nchw or nhwc")
        for image, kernel, axis in ((self.h, self.r, "h"), (self.w, self.s, "w")):
            room, span = image + 2 * self.padding, self.dilation * (kernel - 1) + 1
            if room < span:
                raise BadRequest(f"conv2d: the kernel spans {span} but {axis} with its padding has {room} elements")

    @property
    def oh(self) -> int:
        """Return the height of the output."""
        return _output_extent(self.h, self.r, self)

    @property
    def ow(self) -> int:
        """Return the width of the output."""
        return _output_extent(self.w, self.s, self)

    @property
    def slug(self) -> str:
        """Return the id; letters and numbers are separated, so that ``-k k1`` or ``-k c910`` never selects it."""
        parts = [f"n-{self.n}", f"c-{self.c}", f"{self.h}x{self.w}", f"f-{self.f}", f"{self.r}x{self.s}"]
        parts += [f"s-{self.stride}", f"p-{self.padding}"]
        if self.dilation != 1:
            parts.append(f"d-{self.dilation}")
        if self.groups != 1:
            parts.append(f"g-{self.groups}")
        parts += [name for name in ("bias", "relu", "prepacked") if getattr(self, name)]
        return f"{self.dtype.blas}conv-{'_'.join(parts)}-{self.layout}"

    @property
    def flops(self) -> int:
        """Return the operations of the direct algorithm, products with padding included; bias and ReLU are not."""
        return 2 * self.n * self.f * self.oh * self.ow * self.depth

    @property
    def least_flops(self) -> int:
        """Return those of products with pixels of the image."""
        products = len(_taps(self.h, self.r, self)) * len(_taps(self.w, self.s, self))
        return 2 * self.n * self.f * self.c // self.groups * products

    @property
    def depth(self) -> int:
        """Return how many products one output sums."""
        return self.c // self.groups * self.r * self.s

    @property
    def least_bytes(self) -> int:
        """Return the bytes of W, bias and Y, and of the elements of X that some output needs, once each."""
        elements = self.f * (self.n * self.oh * self.ow + int(self.bias))
        if self.flops:
            image = len({*_taps(self.h, self.r, self)}) * len({*_taps(self.w, self.s, self)})
            elements += self.n * self.c * image + self.f * self.depth
        return elements * self.dtype.bytes

    def operands(self) -> tuple[Operand, ...]:
        """Return X, W and Y, tight, in the spec's layout, then the bias if there is one."""
        channels = self.c // self.groups
        if self.layout == "nchw":
            shapes = {"X": (self.n, self.c, self.h, self.w), "W": (self.f, channels, self.r, self.s)}
            shapes["Y"] = (self.n, self.f, self.oh, self.ow)
        else:
            shapes = {"X": (self.n, self.h, self.w, self.c), "W": (self.f, self.r, self.s, channels)}
            shapes["Y"] = (self.n, self.oh, self.ow, self.f)
        if self.bias:
            shapes["B"] = (self.f,)
        return tuple(
            Operand(
                name=name,
                mode="out" if name == "Y" else "in",
                shape=shape,
                strides=tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape))),
                dtype=self.dtype,
                constant=self.prepacked and name == "W",
            )
            for name, shape in shapes.items()
        )

    def dims(self) -> dict[str, int]:
        """Return the sizes, those of the output too, and what is so or not as 0 or 1."""
        sizes = {"n": self.n, "c": self.c, "h": self.h, "w": self.w, "f": self.f, "r": self.r, "s": self.s}
        steps = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        flags = {name: int(getattr(self, name)) for name in ("bias", "relu", "prepacked")}
        layout = {"oh": self.oh, "ow": self.ow, "nhwc": int(self.layout == "nhwc")}
        return sizes | steps | layout | {"groups": self.groups} | flags

    def scalars(self) -> tuple[float, ...]:
        """Return nothing: a convolution here has no scalars."""
        return ()

    def reference(self, operands: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the wanted Y in the dtype of the X given, rounded to the spec's own where X comes in that."""
        kind = operands["X"].dtype
        wide = working_precision(operands["X"], operands["W"])
        given = {name: operands[name].astype(wide, copy=False) for name in self._read()}
        result = self._correlate(given["X"], given["W"])
        if self.bias:
            result += given["B"] if self.layout == "nhwc" else given["B"][:, None, None]
        if self.relu:
            np.maximum(result, 0, out=result)
        own = kind == self.dtype.decode(np.empty(0, self.dtype.numpy)).dtype
        return self.dtype.round(result) if own else result.astype(kind, copy=False)

    def rounding_scale(self, operands: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return one expected rounding error of each element of Y; never 0. Magnitudes are summed in single precision."""
        given = {name: operands[name].astype(np.float64, copy=False) for name in self._read()}
        sizes = {name: np.abs(operands[name]).astype(np.float32, copy=False) for name in ("X", "W")}
        magnitude = self._correlate(sizes["X"], sizes["W"]).astype(np.float64)
        if self.bias:
            magnitude += np.abs(given["B"] if self.layout == "nhwc" else given["B"][:, None, None])
        return rounding_of_sums(self.dtype, self.depth, magnitude, lambda: self.reference(given))

    def _read(self) -> tuple[str, ...]:
        return ("X", "W", "B") if self.bias else ("X", "W")

    def _correlate(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Sum one matrix product a group for each of the r x s taps, on a padded copy of the images."""
        if self.layout == "nhwc":
            x, w = np.moveaxis(x, 3, 1), np.moveaxis(w, 3, 1)
        border, groups, pixels = (self.padding, self.padding), self.groups, self.oh * self.ow
        padded = np.pad(x, ((0, 0), (0, 0), border, border))
        filters = w.reshape(groups, self.f // groups, self.c // groups, self.r, self.s)
        taps = np.ascontiguousarray(np.moveaxis(filters, (3, 4), (0, 1)))  # BLAS takes no matrix with gaps between elements
        result = np.zeros((self.n, groups, self.f // groups, pixels), x.dtype)
        for i in range(self.r):
            for j in range(self.s):
                rows = slice(i * self.dilation, i * self.dilation + (self.oh - 1) * self.stride + 1, self.stride)
                columns = slice(j * self.dilation, j * self.dilation + (self.ow - 1) * self.stride + 1, self.stride)
                seen = padded[:, :, rows, columns].reshape(self.n, groups, self.c // groups, pixels)
                result += taps[i, j] @ seen
        result = result.reshape(self.n, self.f, self.oh, self.ow)
        return np.moveaxis(result, 1, 3) if self.layout == "nhwc" else result

    def neighbours(self, tunables: Mapping[str, int]) -> Iterator["Conv2dSpec"]:
        """
        Yield some 30 small specs whose GEMM (filters, pixels, taps) surrounds mr, nr and kc, in the tuned layout.

        With ``nchw`` filters are the rows (mr, mc) and pixels the columns (nr, nc), with ``nhwc`` the other way round.
        Of a spec with groups, filters and depth are counted a group; a depthwise one stays depthwise.
        """
        mr, nr, kc = (max(tunables.get(name, 4), 1) for name in ("mr", "nr", "kc"))
        plain = replace(self, n=1, stride=1, padding=0, dilation=1, groups=1)
        filters_block, pixels_block = (mr, nr) if self.layout == "nchw" else (nr, mr)
        filters = [max(size, 1) for size in (1, filters_block - 1, filters_block, filters_block + 1)]
        pixels = [max(size, 1) for size in (1, pixels_block - 1, pixels_block, pixels_block + 1)]
        depths = [max(size, 1) for size in (1, kc - 1, kc, kc + 1)]
        pointwise = replace(plain, h=1, r=1, s=1)
        square = [(i, j, (i + j) % 4) for i in range(4) for j in range(4)]
        specs = [replace(pointwise, f=filters[i], w=pixels[j], c=depths[d]) for i, j, d in square]
        odd = replace(plain, c=kc // 9 + 1, h=5, w=7, f=filters_block + 1, r=3, s=3)
        specs += [replace(odd, padding=padding, stride=stride) for padding in (0, 1) for stride in (1, 2)]
        specs += [
            replace(odd, n=2, h=9, w=pixels_block + 3, padding=1),
            replace(odd, n=2, c=3, h=11, w=13, r=7, s=7, stride=2, padding=3),
            replace(odd, h=1, w=1, padding=1),
            replace(odd, c=2, r=1, s=1, stride=2, padding=2),
            replace(odd, c=3, w=2 * pixels_block + 1, r=1, s=3, padding=1),
            replace(odd, h=8, w=9, padding=2, dilation=2),
            replace(self, n=1, c=3, h=self.r * self.dilation + 2, w=self.s * self.dilation + 3, f=filters_block + 1, groups=1),
            # an operator with an epilogue must do without; one that was asked for none has promised none
            replace(odd, bias=self.relu and not self.bias, relu=self.bias and not self.relu),
            replace(odd, n=0),
            replace(odd, f=0),
            replace(odd, c=0, padding=1),
        ]
        filters_outer, pixels_outer = ("mc", "nc") if self.layout == "nchw" else ("nc", "mc")
        if filters_outer in tunables:
            specs.append(replace(odd, c=1, f=tunables[filters_outer] + 1, padding=1))
        if pixels_outer in tunables:
            specs.append(replace(odd, c=1, h=1, w=tunables[pixels_outer] + 1, padding=1))
        yield from dict.fromkeys(self._grouped(spec) for spec in specs)

    def _grouped(self, spec: "Conv2dSpec") -> "Conv2dSpec":
        """Return a neighbour without groups as one with groups like ours: depthwise, or two of them."""
        if self.groups == 1:
            return spec
        if self.groups == self.c == self.f:
            channels = min(max(spec.f, spec.c), 200) if spec.c and spec.f else 0
            return replace(spec, c=channels, f=channels, groups=max(channels, 1))
        return replace(spec, c=2 * spec.c, f=2 * spec.f, groups=2)

    def repeating(self) -> tuple[dict[str, int], ...]:
        """
        Return the images; where two of them are too many, with rows of each, where those are few, with filters.

        Images are alike to the last miss; fewer rows bring channels nearer to each other in memory.
        """
        filters = () if self.groups > 1 else ({"n": 1, "f": 96},)
        return ({"n": 1}, {"n": 1, "h": 8 * self.stride}, *filters)

    def resized(self, dims: Mapping[str, int]) -> "Conv2dSpec":
        """Return the convolution of fewer images, rows or filters."""
        return replace(self, **dims)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON; `OPERATOR.from_json` inverts it."""
        return fields_to_json(self)


def _output_extent(image: int, kernel: int, spec: Conv2dSpec) -> int:
    return (image + 2 * spec.padding - spec.dilation * (kernel - 1) - 1) // spec.stride + 1


def _taps(image: int, kernel: int, spec: Conv2dSpec) -> list[int]:
    """Return the rows (or columns) of an image that outputs read, each as often as one does."""
    outputs = range(_output_extent(image, kernel, spec))
    taps = (o * spec.stride + k * spec.dilation - spec.padding for o in outputs for k in range(kernel))
    return [tap for tap in taps if 0 <= tap < image]


def _parse(rest: str, dtype: DType) -> Conv2dSpec:
    """
    Read ``3x3 64->128 at 56x56`` and options: batch, stride, pad (or same/valid padding), dilation, groups or
    depthwise, bias, relu, prepacked, layout.

    Channels may be ``64 input channels, 128 filters`` and the sizes ``n=1 c=64 h=56 w=56 k=128 r=3 s=3``, too.
    Batch is 1 and stride 1 unless given; without a word on padding, odd square kernels keep the image's size
    ("same" padding at stride 1), and others have to say theirs.
    """
    words = Words(rest)
    depthwise = words.take("depthwise", "depth wise") is not None
    padding = _take_padding(words)
    sizes = _take_options(words)
    layout = words.take("nchw", "nhwc") or "nchw"
    c, f = words.take_pair("->", "to") or _take_channels(words, depthwise)
    image = words.take_group("at", "over", "image", "images", "input", "inputs", "on")
    image = image or words.take_group_before("image", "images", "input", "inputs", "pixels")
    image = image or _take_named(words, "h", "w")
    kernel = [1, 1] if words.take("pointwise", "point wise") else _take_named(words, "r", "s")
    kernels = [*([kernel] if kernel else []), *words.take_groups()]
    words.finish("2d", "grouped", "weights", "channels", "image", "images", "input", "inputs", "filter", "filters", "pixels")
    if image is None and [len(group) for group in kernels] == [2, 2] and kernels[0] != kernels[1]:
        *kernels, image = sorted(kernels)
    wanted = {
        "the channels, as in 64->128": c is not None and f is not None,
        "the image, as in at 56x56": image is not None and len(image) == 2,
        "one kernel size, as in 3x3": [len(group) for group in kernels] == [2],
    }
    if not all(wanted.values()):
        raise BadRequest(f"missing: {' and '.join(text for text, found in wanted.items() if not found)}")
    (h, w), (r, s) = image, kernels[0]
    if depthwise:
        if sizes.get("groups", c) != c:
            raise BadRequest(f"depthwise means one channel a group, but it says {sizes['groups']} groups of {c} channels")
        sizes["groups"] = max(c, 1)
    if padding is None:
        padding = _same_padding(r, s, sizes.get("dilation", 1))
    return Conv2dSpec(**sizes, padding=padding, c=c, f=f, h=h, w=w, r=r, s=s, layout=layout, dtype=dtype)


def _take_options(words: Words) -> dict[str, int | bool]:
    """Read batch, stride, dilation, groups and what is done after the sum; return the fields that the sentence gives, and n."""
    groups = words.take_size("groups")
    found = {
        "n": words.take_size("batch", "n"),
        "stride": words.take_square("stride", "strides"),
        "dilation": words.take_square("dilation", "dilated"),
        "groups": words.take_count("groups") if groups is None else groups,
    }
    flags = {name: True for name in ("bias", "relu", "prepacked") if words.take(name) is not None}
    return {"n": 1} | flags | {name: value for name, value in found.items() if value is not None}


def _take_channels(words: Words, depthwise: bool) -> tuple[int | None, int | None]:
    """Read ``64 input channels, 128 filters`` or ``c=64 k=128``; a depthwise convolution has as many of both."""
    named = words.take_size("c"), words.take_size("f", "k")
    filters = words.take_count("output channels", "out channels", "filters", "output filters")
    channels = words.take_count("input channels", "in channels", "channels")
    c, f = (one if one is not None else other for one, other in zip(named, (channels, filters), strict=True))
    return c, (c if depthwise and f is None else f)


def _take_named(words: Words, *names: str) -> list[int] | None:
    """Read ``h=56 w=28``, all the names or none."""
    found = [words.take_size(name) for name in names]
    if None in found and any(size is not None for size in found):
        raise BadRequest(f"give {' and '.join(names)}, or both as 3x3")
    return None if None in found else found


def _take_padding(words: Words) -> int | None:
    """Read ``pad 1``, ``same padding`` or ``valid padding``; return None for same, which is also what no word means."""
    number = words.take_square("padding", "pad")
    same = words.take("same padding", "padding same", "same")
    valid = words.take("valid padding", "padding valid", "no padding", "valid")
    if sum(given is not None for given in (number, same, valid)) > 1:
        raise BadRequest("the padding is given more than once")
    return 0 if valid else number


def _same_padding(r: int, s: int, dilation: int) -> int:
    if r != s or r % 2 == 0:
        raise BadRequest(f"a {r}x{s} kernel has no same padding on all sides; say the padding, as in pad 1")
    return dilation * (r - 1) // 2


_DRAWN_FLOPS = 2**31


def _draw(rng: Random) -> Conv2dSpec:
    """Draw a layer: channels and filters, an image, a kernel; now and then groups, a stride, dilation, an epilogue."""
    r = rng.choice((1, 3, 3, 5, 7))
    dilation = rng.choice((1, 1, 1, 2))
    h, w = log_uniform(rng, 7, 64), log_uniform(rng, 7, 64)
    c, f = log_uniform(rng, 1, 256), log_uniform(rng, 1, 256)
    groups = rng.choice((1, 1, 1, 2, c))
    padding = rng.choice((0, dilation * (r - 1) // 2))
    if min(h, w) + 2 * padding <= dilation * (r - 1):
        return _draw(rng)
    c, f = (c, c) if groups == c else (c * groups, f * groups)
    chosen = {name: rng.random() < 0.5 for name in ("bias", "relu", "prepacked")}
    chosen |= {"stride": rng.choice((1, 1, 2)), "dilation": dilation, "groups": groups, "padding": padding}
    chosen["layout"] = rng.choice(("nchw", "nhwc"))
    spec = Conv2dSpec(n=rng.choice((1, 1, 3)), c=c, h=h, w=w, f=f, r=r, s=r, **chosen)
    return spec if spec.flops <= _DRAWN_FLOPS else _draw(rng)


OPERATOR = Operator(
    name="conv2d",
    words=("conv2d", "conv", "sconv", "dconv", "hconv", "bf16conv", "convolution", "2d convolution"),
    from_json=lambda data: fields_from_json(Conv2dSpec, data),
    parse=_parse,
    example="fp32 conv 3x3 64->64 at 56x56, batch 32, on host",
    shape_sets=layers.sets(Conv2dSpec),
    draw=_draw,
)
