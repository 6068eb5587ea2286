"""
Layers of well-known networks, as the shape sets of convolutions.

ResNet-50: He et al. 2015, table 1 (stride in the 3x3 layer, as torchvision has it). VGG-16: Simonyan and Zisserman 2014,
configuration D. U-Net: Ronneberger et al. 2015 with same padding on a 256x256 image, as common code has it.
MobileNet-V2: Sandler et al. 2018, table 2. ResNeXt-50 32x4d: Xie et al. 2016.
Networks are inference layers of one image in NHWC with prepacked weights, bias and ReLU, unless a set says otherwise.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

Layer = tuple[int, int, int, int, int]
"""Channels, height and width of the image, filters, height and width of the kernel, stride: c, hw, f, rs, stride."""

RESNET50: tuple[Layer, ...] = (
    (3, 224, 64, 7, 2),
    (64, 56, 64, 1, 1),
    (64, 56, 64, 3, 1),
    (64, 56, 256, 1, 1),
    (256, 56, 64, 1, 1),
    (256, 56, 128, 1, 1),
    (128, 56, 128, 3, 2),
    (128, 28, 512, 1, 1),
    (256, 56, 512, 1, 2),
    (512, 28, 128, 1, 1),
    (128, 28, 128, 3, 1),
    (512, 28, 256, 1, 1),
    (256, 28, 256, 3, 2),
    (256, 14, 1024, 1, 1),
    (512, 28, 1024, 1, 2),
    (1024, 14, 256, 1, 1),
    (256, 14, 256, 3, 1),
    (1024, 14, 512, 1, 1),
    (512, 14, 512, 3, 2),
    (512, 7, 2048, 1, 1),
    (1024, 14, 2048, 1, 2),
    (2048, 7, 512, 1, 1),
    (512, 7, 512, 3, 1),
)
VGG16: tuple[Layer, ...] = (
    (3, 224, 64, 3, 1),
    (64, 224, 64, 3, 1),
    (64, 112, 128, 3, 1),
    (128, 112, 128, 3, 1),
    (128, 56, 256, 3, 1),
    (256, 56, 256, 3, 1),
    (256, 28, 512, 3, 1),
    (512, 28, 512, 3, 1),
    (512, 14, 512, 3, 1),
)
UNET: tuple[Layer, ...] = (
    (3, 256, 64, 3, 1),
    (64, 256, 64, 3, 1),
    (64, 128, 128, 3, 1),
    (128, 128, 128, 3, 1),
    (128, 64, 256, 3, 1),
    (256, 64, 256, 3, 1),
    (256, 32, 512, 3, 1),
    (512, 32, 512, 3, 1),
    (512, 16, 1024, 3, 1),
    (1024, 16, 1024, 3, 1),
    (1024, 32, 512, 3, 1),
    (512, 64, 256, 3, 1),
    (256, 128, 128, 3, 1),
    (128, 256, 64, 3, 1),
    (64, 256, 2, 1, 1),
)
DEPTHWISE: tuple[Layer, ...] = (
    (32, 112, 32, 3, 1),
    (96, 112, 96, 3, 2),
    (144, 56, 144, 3, 1),
    (192, 28, 192, 3, 1),
    (384, 14, 384, 3, 1),
    (960, 7, 960, 3, 1),
)
# QiMeng-TensorOp (arXiv 2505.06302), figure of the convolutions on the project page: n, c, hw, f, rs; CPUs, then GPUs.
# It states no stride or padding: 7x7 is taken as ResNet's first layer, the others keep the image's size.
PAPER = (
    (64, 3, 224, 64, 7),
    (64, 64, 56, 64, 1),
    (64, 64, 56, 64, 3),
    (64, 1024, 14, 256, 1),
    (64, 128, 56, 128, 3),
    (32, 64, 112, 128, 3),
    (32, 512, 14, 512, 3),
)
PAPER_GPU = (
    (64, 64, 56, 64, 3),
    (64, 128, 56, 128, 3),
    (32, 64, 112, 128, 3),
    (32, 512, 14, 512, 3),
    (8, 256, 102, 256, 3),
    (8, 128, 140, 128, 3),
    (8, 128, 198, 128, 3),
)


def sets(spec: Callable[..., Any]) -> dict[str, Sequence[Any]]:
    """Return the shape sets of a convolution whose specs ``spec`` builds from named fields."""

    def layer(c: int, hw: int, f: int, rs: int, stride: int, **fields: Any) -> Any:
        return spec(**{"n": 1, "c": c, "h": hw, "w": hw, "f": f, "r": rs, "s": rs, "stride": stride, "padding": rs // 2} | fields)

    def network(layers: Sequence[Layer], **fields: Any) -> tuple[Any, ...]:
        inference = {"layout": "nhwc", "prepacked": True, "bias": True, "relu": True}
        return tuple(layer(*one, **inference | fields) for one in layers)

    def batches(layers: Sequence[tuple[int, ...]]) -> tuple[Any, ...]:
        return tuple(layer(*one, stride=2 if one[-1] == 7 else 1, n=n) for n, *one in layers)

    plain = [(3, 224, 64, 7, 2), (64, 56, 64, 1, 1), (64, 56, 64, 3, 1), (128, 28, 128, 3, 1), (256, 14, 256, 3, 1)]
    plain += [(512, 7, 512, 3, 1), (1024, 14, 256, 1, 1), (128, 56, 128, 3, 2)]
    smoke = (layer(128, 28, 128, 3, 1), layer(64, 56, 64, 3, 1, layout="nhwc"))
    odd = spec(n=2, c=37, h=29, w=31, f=53, r=3, s=3, padding=1)
    depthwise = tuple(replace(one, groups=one.c) for one in network(DEPTHWISE))
    grouped = replace(layer(128, 56, 128, 3, 1, layout="nhwc", prepacked=True), groups=32)
    found = {
        "smoke": smoke,
        "paper": batches(PAPER),
        "paper_gpu": batches(PAPER_GPU),
        "resnet50": network(RESNET50),
        "vgg16": network(VGG16),
        "unet": network(UNET),
        "resnet50_n16": network(RESNET50, n=16),
        "resnet50_nchw": network(RESNET50, layout="nchw"),
        "depthwise": (*depthwise, *(replace(one, layout="nchw") for one in depthwise), grouped),
    }
    layouts = [layer(*one, layout=layout) for layout in ("nchw", "nhwc") for one in plain]
    full = [*smoke, *found["paper"], *layouts, odd, *found["resnet50"], *found["vgg16"], *found["unet"], *found["depthwise"]]
    return found | {"full": tuple(dict.fromkeys(full))}
