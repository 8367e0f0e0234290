"""Every network by name, written out. A new one is a file beside this and a row here.

A name is a row's, or that of a head (`striate.models.heads`), a stroke and a row's: ``head/backbone``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from striate.base.errors import ModelError
from striate.base.nearest import did_you_mean
from striate.models.heads import HEADS
from striate.pictures.preprocess import PREPROCESSING, Preprocess


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network: where its builder is (``module:function``), and what is known of it without building it.

    ``parameters`` and ``multiply_adds`` (of one picture; one for each use of a weight by convolutions and dense
    layers) count it as published, for the channels and size of ``preprocess`` and for ``classes``, without auxiliary
    heads; they are None of a head on a backbone (`counts` counts them). ``preprocess`` is for training from scratch;
    pretrained weights bring their own. ``task`` is what it is made for, ``form`` what its outputs mean to a task that
    knows several forms, with ``form_arguments`` where they are not that form's own. No head stands on what is
    ``whole``. The builder takes ``classes`` and ``in_channels`` by keyword; where there is a ``backbone`` it makes the
    head alone, see `striate.models.heads.Head`.
    """

    build: str
    summary: str
    parameters: int | None
    multiply_adds: int | None
    preprocess: Preprocess
    classes: int = 1000
    task: str = "classify"
    backbone: str | None = None
    whole: bool = False
    form: str | None = None
    form_arguments: Mapping[str, Any] = field(default_factory=dict)


def _at(preprocess: Preprocess, side: int) -> Preprocess:
    return replace(preprocess, size=(side, side))


_IMAGENET = PREPROCESSING["imagenet"]
_TF = PREPROCESSING["tf"]
_LITE = PREPROCESSING["lite"]
_CIFAR = replace(_at(_IMAGENET, 32), resize="stretch")
_FASHION = Preprocess(channels="grey", mean=(0.2860,), scale=(0.3530,), size=(28, 28), resize="stretch")
_DIGITS = Preprocess(channels="grey", mean=(0.1307,), scale=(0.3081,), size=(32, 32), resize="stretch", border=2)
_DARKNET = Preprocess(mean=(0.0,), scale=(1.0,), size=(256, 256), crop_fraction=1.0)
_YOLO = replace(_at(_DARKNET, 416), resize="letterbox", fill=128)
_TINY_FORM = {
    "anchors": (((10, 14), (23, 27), (37, 58)), ((81, 82), (135, 169), (344, 319))),
    "strides": (16, 32),
    "scale_xy": (1, 1),
}
# The paper's paper is -0.1 and its ink 1.175, which makes the mean of a digit about 0 and its variance about 1.
_INK = replace(_DIGITS, mean=(0.1 / 1.275,), scale=(1 / 1.275,))
_CELLS = Preprocess(channels="grey", mean=(0.5,), scale=(0.25,), size=(388, 388), resize="stretch")
_BYTES_256 = replace(_DIGITS, unit=256.0, mean=(0.0,), scale=(1.0,), size=(28, 28), border=0)

# Networks that make pictures larger turn colours to luma themselves.
_ENLARGED = Preprocess(mean=(0.0,), scale=(1.0,), size=(96, 96), resize="none", interpolation="bicubic")


MODELS: Mapping[str, Architecture] = MappingProxyType(
    {
        "lenet5_1998": Architecture(
            build="striate.models.lenet5_1998:lenet5_1998",
            summary="LeNet-5 as in 1998: trainable subsampling, partial connections, distances to drawn digits",
            parameters=60_000,
            multiply_adds=325_680,
            preprocess=_INK,
            classes=10,
        ),
        "lenet5": Architecture(
            build="striate.models.lenet5:lenet5",
            summary="LeNet-5, modern form: tanh, mean pools, for digits of 28x28 in 32x32",
            parameters=61_706,
            multiply_adds=416_520,
            preprocess=_DIGITS,
            classes=10,
        ),
        "lenet_caffe": Architecture(
            build="striate.models.lenet_caffe:lenet_caffe",
            summary="Caffe's LeNet for digits: 20 and 50 maps, max pools, 28x28 grey",
            parameters=431_080,
            multiply_adds=2_293_000,
            preprocess=_BYTES_256,
            classes=10,
        ),
        "fashion_cnn": Architecture(
            build="striate.models.fashion_cnn:fashion_cnn",
            summary="the textbook's network for Fashion-MNIST, 28x28 grey",
            parameters=1_413_834,
            multiply_adds=89_466_496,
            preprocess=_FASHION,
            classes=10,
        ),
        "alexnet": Architecture(
            build="striate.models.alexnet:alexnet",
            summary="AlexNet on two groups, with response norms, 227x227",
            parameters=60_965_224,
            multiply_adds=724_406_816,
            preprocess=_at(_IMAGENET, 227),
        ),
        "alexnet_single": Architecture(
            build="striate.models.alexnet:alexnet_single",
            summary="AlexNet of one tower, without norms: the form that common weights have",
            parameters=61_100_840,
            multiply_adds=714_188_480,
            preprocess=_IMAGENET,
        ),
        "zfnet": Architecture(
            build="striate.models.zfnet:zfnet",
            summary="AlexNet with a finer first window",
            parameters=62_357_608,
            multiply_adds=1_168_032_896,
            preprocess=_IMAGENET,
        ),
        "vgg11": Architecture(
            build="striate.models.vgg:vgg11",
            summary="VGG of 11 layers",
            parameters=132_863_336,
            multiply_adds=7_609_090_048,
            preprocess=_IMAGENET,
        ),
        "vgg13": Architecture(
            build="striate.models.vgg:vgg13",
            summary="VGG of 13 layers",
            parameters=133_047_848,
            multiply_adds=11_308_466_176,
            preprocess=_IMAGENET,
        ),
        "vgg16": Architecture(
            build="striate.models.vgg:vgg16",
            summary="VGG of 16 layers",
            parameters=138_357_544,
            multiply_adds=15_470_264_320,
            preprocess=_IMAGENET,
        ),
        "vgg19": Architecture(
            build="striate.models.vgg:vgg19",
            summary="VGG of 19 layers",
            parameters=143_667_240,
            multiply_adds=19_632_062_464,
            preprocess=_IMAGENET,
        ),
        "vgg11_bn": Architecture(
            build="striate.models.vgg:vgg11_bn",
            summary="VGG of 11 layers, with batch norm",
            parameters=132_868_840,
            multiply_adds=7_609_090_048,
            preprocess=_IMAGENET,
        ),
        "vgg13_bn": Architecture(
            build="striate.models.vgg:vgg13_bn",
            summary="VGG of 13 layers, with batch norm",
            parameters=133_053_736,
            multiply_adds=11_308_466_176,
            preprocess=_IMAGENET,
        ),
        "vgg16_bn": Architecture(
            build="striate.models.vgg:vgg16_bn",
            summary="VGG of 16 layers, with batch norm",
            parameters=138_365_992,
            multiply_adds=15_470_264_320,
            preprocess=_IMAGENET,
        ),
        "vgg19_bn": Architecture(
            build="striate.models.vgg:vgg19_bn",
            summary="VGG of 19 layers, with batch norm",
            parameters=143_678_248,
            multiply_adds=19_632_062_464,
            preprocess=_IMAGENET,
        ),
        "googlenet": Architecture(
            build="striate.models.googlenet:googlenet",
            summary="GoogLeNet as published: 5x5 windows, response norms, two auxiliary heads",
            parameters=6_998_552,
            multiply_adds=1_582_671_872,
            preprocess=_IMAGENET,
        ),
        "googlenet_bn": Architecture(
            build="striate.models.googlenet:googlenet_bn",
            summary="GoogLeNet with batch norm, in the form that common weights have",
            parameters=6_624_904,
            multiply_adds=1_498_376_192,
            preprocess=_IMAGENET,
        ),
        "resnet18": Architecture(
            build="striate.models.resnet:resnet18",
            summary="residual network of 18 layers",
            parameters=11_689_512,
            multiply_adds=1_814_073_344,
            preprocess=_IMAGENET,
        ),
        "resnet34": Architecture(
            build="striate.models.resnet:resnet34",
            summary="residual network of 34 layers",
            parameters=21_797_672,
            multiply_adds=3_663_761_408,
            preprocess=_IMAGENET,
        ),
        "resnet50": Architecture(
            build="striate.models.resnet:resnet50",
            summary="residual network of 50 layers, stride in the 3x3 windows",
            parameters=25_557_032,
            multiply_adds=4_089_184_256,
            preprocess=_IMAGENET,
        ),
        "resnet101": Architecture(
            build="striate.models.resnet:resnet101",
            summary="residual network of 101 layers, stride in the 3x3 windows",
            parameters=44_549_160,
            multiply_adds=7_801_405_440,
            preprocess=_IMAGENET,
        ),
        "resnet152": Architecture(
            build="striate.models.resnet:resnet152",
            summary="residual network of 152 layers, stride in the 3x3 windows",
            parameters=60_192_808,
            multiply_adds=11_513_626_624,
            preprocess=_IMAGENET,
        ),
        "resnet50_2015": Architecture(
            build="striate.models.resnet:resnet50_2015",
            summary="residual network of 50 layers as published, stride in the 1x1",
            parameters=25_557_032,
            multiply_adds=3_857_973_248,
            preprocess=_IMAGENET,
        ),
        "resnet101_2015": Architecture(
            build="striate.models.resnet:resnet101_2015",
            summary="residual network of 101 layers as published, stride in the 1x1",
            parameters=44_549_160,
            multiply_adds=7_570_194_432,
            preprocess=_IMAGENET,
        ),
        "resnet152_2015": Architecture(
            build="striate.models.resnet:resnet152_2015",
            summary="residual network of 152 layers as published, stride in the 1x1",
            parameters=60_192_808,
            multiply_adds=11_282_415_616,
            preprocess=_IMAGENET,
        ),
        "resnet20": Architecture(
            build="striate.models.resnet_cifar:resnet20",
            summary="residual network of 20 layers for CIFAR-10's 32x32",
            parameters=269_722,
            multiply_adds=40_551_040,
            preprocess=_CIFAR,
            classes=10,
        ),
        "resnet32": Architecture(
            build="striate.models.resnet_cifar:resnet32",
            summary="residual network of 32 layers for CIFAR-10's 32x32",
            parameters=464_154,
            multiply_adds=68_862_592,
            preprocess=_CIFAR,
            classes=10,
        ),
        "resnet44": Architecture(
            build="striate.models.resnet_cifar:resnet44",
            summary="residual network of 44 layers for CIFAR-10's 32x32",
            parameters=658_586,
            multiply_adds=97_174_144,
            preprocess=_CIFAR,
            classes=10,
        ),
        "resnet56": Architecture(
            build="striate.models.resnet_cifar:resnet56",
            summary="residual network of 56 layers for CIFAR-10's 32x32",
            parameters=853_018,
            multiply_adds=125_485_696,
            preprocess=_CIFAR,
            classes=10,
        ),
        "resnet110": Architecture(
            build="striate.models.resnet_cifar:resnet110",
            summary="residual network of 110 layers for CIFAR-10's 32x32",
            parameters=1_727_962,
            multiply_adds=252_887_680,
            preprocess=_CIFAR,
            classes=10,
        ),
        "xception": Architecture(
            build="striate.models.xception:xception",
            summary="separable convolutions throughout, 299x299",
            parameters=22_855_952,
            multiply_adds=8_357_403_496,
            preprocess=_at(_TF, 299),
        ),
        "se_resnet18": Architecture(
            build="striate.models.se_resnet:se_resnet18",
            summary="residual network of 18 layers with squeeze-and-excitation",
            parameters=11_778_592,
            multiply_adds=1_814_160_384,
            preprocess=_IMAGENET,
        ),
        "se_resnet34": Architecture(
            build="striate.models.se_resnet:se_resnet34",
            summary="residual network of 34 layers with squeeze-and-excitation",
            parameters=21_958_868,
            multiply_adds=3_663_918_592,
            preprocess=_IMAGENET,
        ),
        "se_resnet50": Architecture(
            build="striate.models.se_resnet:se_resnet50",
            summary="residual network of 50 layers with squeeze-and-excitation",
            parameters=28_088_024,
            multiply_adds=3_860_488_192,
            preprocess=_IMAGENET,
        ),
        "se_resnet101": Architecture(
            build="striate.models.se_resnet:se_resnet101",
            summary="residual network of 101 layers with squeeze-and-excitation",
            parameters=49_326_872,
            multiply_adds=7_574_937_600,
            preprocess=_IMAGENET,
        ),
        "se_resnet152": Architecture(
            build="striate.models.se_resnet:se_resnet152",
            summary="residual network of 152 layers with squeeze-and-excitation",
            parameters=66_821_848,
            multiply_adds=11_288_993_792,
            preprocess=_IMAGENET,
        ),
        "se_inception": Architecture(
            build="striate.models.se_inception:se_inception",
            summary="GoogLeNet with batch norm and squeeze-and-excitation",
            parameters=7_105_007,
            multiply_adds=1_498_850_464,
            preprocess=_IMAGENET,
        ),
        "squeezenet1_0": Architecture(
            build="striate.models.squeezenet:squeezenet1_0",
            summary="fire modules: AlexNet's answers from 1.2 million parameters",
            parameters=1_248_424,
            multiply_adds=818_924_576,
            preprocess=_IMAGENET,
        ),
        "squeezenet1_1": Architecture(
            build="striate.models.squeezenet:squeezenet1_1",
            summary="fire modules, 2.4 times cheaper than 1.0",
            parameters=1_235_496,
            multiply_adds=349_151_936,
            preprocess=_IMAGENET,
        ),
        "mobilenet_v1": Architecture(
            build="striate.models.mobilenet_v1:mobilenet_v1",
            summary="depthwise separable convolutions, SAME paddings as in TensorFlow's weights",
            parameters=4_231_976,
            multiply_adds=568_740_352,
            preprocess=_TF,
        ),
        "mobilenet_v1_symmetric": Architecture(
            build="striate.models.mobilenet_v1:mobilenet_v1_symmetric",
            summary="the same, symmetric paddings as in Caffe's and PyTorch's weights",
            parameters=4_231_976,
            multiply_adds=568_740_352,
            preprocess=_IMAGENET,
        ),
        "mobilenet_v1_075": Architecture(
            build="striate.models.mobilenet_v1:mobilenet_v1_075",
            summary="depthwise separable convolutions, width 0.75",
            parameters=2_585_560,
            multiply_adds=325_400_448,
            preprocess=_TF,
        ),
        "mobilenet_v1_050": Architecture(
            build="striate.models.mobilenet_v1:mobilenet_v1_050",
            summary="depthwise separable convolutions, width 0.50",
            parameters=1_331_592,
            multiply_adds=149_497_088,
            preprocess=_TF,
        ),
        "mobilenet_v1_025": Architecture(
            build="striate.models.mobilenet_v1:mobilenet_v1_025",
            summary="depthwise separable convolutions, width 0.25",
            parameters=470_072,
            multiply_adds=41_030_272,
            preprocess=_TF,
        ),
        "mobilenet_v2": Architecture(
            build="striate.models.mobilenet_v2:mobilenet_v2",
            summary="inverted bottlenecks, symmetric paddings as in PyTorch's weights",
            parameters=3_504_872,
            multiply_adds=300_774_272,
            preprocess=_IMAGENET,
        ),
        "mobilenet_v2_same": Architecture(
            build="striate.models.mobilenet_v2:mobilenet_v2_same",
            summary="inverted bottlenecks, SAME paddings as in TensorFlow's weights",
            parameters=3_504_872,
            multiply_adds=300_774_272,
            preprocess=_TF,
        ),
        "efficientnet_lite0": Architecture(
            build="striate.models.efficientnet_lite:efficientnet_lite0",
            summary="inverted bottlenecks with depthwise windows, made for small processors",
            parameters=4_652_008,
            multiply_adds=385_187_552,
            preprocess=_LITE,
        ),
        "efficientnet_lite1": Architecture(
            build="striate.models.efficientnet_lite:efficientnet_lite1",
            summary="EfficientNet-Lite, scaled up for 240x240",
            parameters=5_416_680,
            multiply_adds=600_185_232,
            preprocess=_at(_LITE, 240),
        ),
        "efficientnet_lite2": Architecture(
            build="striate.models.efficientnet_lite:efficientnet_lite2",
            summary="EfficientNet-Lite, scaled up for 260x260",
            parameters=6_092_072,
            multiply_adds=859_736_272,
            preprocess=_at(_LITE, 260),
        ),
        "efficientnet_lite3": Architecture(
            build="striate.models.efficientnet_lite:efficientnet_lite3",
            summary="EfficientNet-Lite, scaled up for 280x280",
            parameters=8_197_096,
            multiply_adds=1_383_321_872,
            preprocess=_at(_LITE, 280),
        ),
        "efficientnet_lite4": Architecture(
            build="striate.models.efficientnet_lite:efficientnet_lite4",
            summary="EfficientNet-Lite, scaled up for 300x300",
            parameters=13_006_568,
            multiply_adds=2_553_034_336,
            preprocess=_at(_LITE, 300),
        ),
        "darknet53": Architecture(
            build="striate.models.darknet53:darknet53",
            summary="residual units of 1x1 and 3x3 windows, which YOLOv3 stands on",
            parameters=41_609_928,
            multiply_adds=9_285_115_904,
            preprocess=_DARKNET,
        ),
        "yolov3": Architecture(
            build="striate.models.yolov3:yolov3",
            summary="YOLOv3 as published: detection with anchors on three scales of Darknet-53",
            parameters=61_949_149,
            multiply_adds=32_932_037_632,
            preprocess=_YOLO,
            classes=80,
            task="detect",
            whole=True,
            form="yolov3",
        ),
        "yolov3_tiny": Architecture(
            build="striate.models.yolov3:yolov3_tiny",
            summary="YOLOv3-tiny as published: detection with anchors on two scales",
            parameters=8_852_366,
            multiply_adds=2_782_480_896,
            preprocess=_YOLO,
            classes=80,
            task="detect",
            whole=True,
            form="yolov3",
            form_arguments=_TINY_FORM,
        ),
        "darknet": Architecture(
            build="striate.models.darknet:darknet",
            summary="the layers of a darknet .cfg, as striate import reads it; by itself YOLOv3-tiny's",
            parameters=8_852_366,
            multiply_adds=2_782_480_896,
            preprocess=_YOLO,
            classes=80,
            task="detect",
            whole=True,
            form="yolov3",
            form_arguments=_TINY_FORM,
        ),
        "unet": Architecture(
            build="striate.models.unet:unet",
            summary="U-Net as published: a class for each pixel, from windows that pad nothing",
            parameters=31_030_658,
            multiply_adds=150_428_424_448,
            preprocess=_CELLS,
            classes=2,
            task="segment",
            whole=True,
        ),
        "espcn": Architecture(
            build="striate.models.espcn:espcn",
            summary="super-resolution: three windows on the small picture, whose maps become pixels (ESPCN)",
            parameters=21_284,
            multiply_adds=229_126_144,
            preprocess=_ENLARGED,
            classes=0,
            task="upscale",
            whole=True,
        ),
        "fsrcnn": Architecture(
            build="striate.models.fsrcnn:fsrcnn",
            summary="super-resolution: windows on twelve maps, and a transposed convolution at the end (FSRCNN)",
            parameters=12_809,
            multiply_adds=156_348_416,
            preprocess=_ENLARGED,
            classes=0,
            task="upscale",
            whole=True,
        ),
        "vdsr": Architecture(
            build="striate.models.vdsr:vdsr",
            summary="super-resolution: twenty windows on the enlarged picture say what it lacks (VDSR)",
            parameters=664_704,
            multiply_adds=24_503_648_256,
            preprocess=_ENLARGED,
            classes=0,
            task="upscale",
            whole=True,
        ),
    }
)


SAME_FAMILY = 0.75
"""How alike two names of networks are, 0 to 1, of which one may be meant for the other: most end in "net" and a number,
so that any two are like each other by difflib's own choice."""


def architecture(name: str) -> Architecture:
    """The row of a network, or of a head on a backbone what can be said of it.

    Raises:
        ModelError: no network has this name.
    """
    if name in HEADS and name not in MODELS:
        raise ModelError(f"{name} is a head, which stands on a backbone: {name}/efficientnet_lite0, say")
    head, stroke, backbone = name.rpartition("/")
    if stroke and head not in HEADS:
        raise ModelError(
            f"no model is called {name!r}: before the stroke stands a head, and none is called {head!r}."
            f"{did_you_mean(head, HEADS)} There are {', '.join(HEADS) or 'none yet'}"
        )
    if backbone not in MODELS:
        meant = _meant(backbone)
        inside = f": none of these backbones is called {backbone!r}" if stroke else ""
        raise ModelError(
            f"no model is called {name!r}{inside}.{meant} striate models lists the {len(MODELS)} there are"
        )
    row = MODELS[backbone]
    if not stroke:
        return row
    if row.whole:
        raise ModelError(f"no model is called {name!r}: {backbone} is whole; a head stands on a classifier's maps")
    top = HEADS[head]
    return Architecture(
        build=top.build,
        summary=f"{top.summary}, on {backbone}",
        parameters=None,
        multiply_adds=None,
        preprocess=row.preprocess if top.size is None else replace(row.preprocess, size=top.size),
        classes=top.classes,
        task=top.task,
        backbone=backbone,
        form=top.form,
        form_arguments=top.form_arguments,
    )


def _meant(name: str) -> str:
    """Did you mean: the nearest name; where a head has it, too, the head on the usual backbone first."""
    meant = did_you_mean(name, MODELS, like=SAME_FAMILY)
    head = next((head for head in HEADS if head in MODELS and meant == f" Did you mean {head!r}?"), None)
    if head is None:
        return meant
    return f" Did you mean '{head}/efficientnet_lite0', the head on that backbone, or {head!r}, as published?"


def is_model(name: str) -> bool:
    """Whether a network, or a head on a backbone, has this name."""
    head, stroke, backbone = name.rpartition("/")
    return backbone in MODELS and (not stroke or (head in HEADS and not MODELS[backbone].whole))


def counts(name: str) -> tuple[int, int]:
    """Parameters and multiply-adds of a network: as published, or counted, which loads torch."""
    row = architecture(name)
    if row.parameters is not None and row.multiply_adds is not None:
        return row.parameters, row.multiply_adds
    from striate.models.layer_table import layer_table

    table = layer_table(name)
    return table.parameters, table.multiply_adds
