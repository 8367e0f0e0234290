"""Every head by name, written out: what stands before the stroke in names such as ``head/efficientnet_lite0``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Head:
    """One head (with its neck): where its builder is (``module:function``), and what is known of it without building.

    The builder takes the `FeatureInfo` of the maps that the head reads, finest first, and ``classes`` by keyword, and
    makes the module that takes these maps as a list and gives one tensor. Further arguments are keywords, too. If it is
    ``sized``, a map without channels and of the pictures' size, ``[N, 0, H, W]``, stands before them in the list.
    ``task`` names what it is for and ``classes`` is its usual number. ``strides`` are those of the maps that it reads,
    in pixels (None: all that the backbone has), behind an ``output_stride`` of its backbone where windows are spread
    instead of making coarser maps. ``size`` is that of its usual pictures (None: the backbone's),
    ``backbone_arguments`` are further ones of the backbone's builder, ``usual`` is a backbone that has all of this, and
    ``form`` is what its outputs mean, where its task knows several forms, with ``form_arguments`` where they are not
    that form's own.
    """

    build: str
    summary: str
    task: str
    classes: int
    strides: tuple[int, ...] | None = None
    sized: bool = False
    output_stride: int | None = None
    size: tuple[int, int] | None = None
    backbone_arguments: Mapping[str, Any] = field(default_factory=dict)
    usual: str = "efficientnet_lite0"
    form: str | None = None
    form_arguments: Mapping[str, Any] = field(default_factory=dict)


STRIDES = (8, 16, 32)
"""Of the maps that detectors read, in pixels."""


def _fcn(strides: tuple[int, ...], *, same: bool = False) -> Head:
    form = (
        "with SAME paddings, which needs no crops"
        if same
        else "as published: scores of a VGG whose dense layers slide, enlarged"
    )
    return Head(
        build=f"striate.models.fcn:{'fcn_same' if same else 'fcn'}",
        summary=f"FCN-{strides[0]}s {form}",
        task="segment",
        classes=21,
        strides=strides,
        sized=True,
        size=(500, 500),
        backbone_arguments={"dense_layers": "same" if same else "padded"},
        usual="vgg16",
    )


HEADS: Mapping[str, Head] = {
    "box": Head(
        build="striate.models.one_box:one_box",
        summary="one box and one class, averaged over the cells of the last map",
        task="localize",
        classes=20,
    ),
    "tood": Head(
        build="striate.models.task_aligned:task_aligned",
        summary="detection without anchors, learnt by task-aligned assignment (TOOD)",
        task="detect",
        classes=80,
        strides=STRIDES,
        size=(320, 320),
        form="task_aligned",
    ),
    "yolov3": Head(
        build="striate.models.yolov3:yolov3_head",
        summary="detection with anchors on three scales (YOLOv3)",
        task="detect",
        classes=80,
        strides=STRIDES,
        size=(320, 320),
        form="yolov3",
    ),
    "yolo_grid": Head(
        build="striate.models.yolov3:yolo_grid",
        summary="detection on one grid, five anchors and the classes once a cell",
        task="detect",
        classes=20,
        strides=(32,),
        size=(320, 320),
        form="yolo_grid",
    ),
    "deeplabv3": Head(
        build="striate.models.deeplabv3:deeplabv3",
        summary="a class for each pixel, by atrous windows on a map of 16 pixels a place (DeepLabv3)",
        task="segment",
        classes=21,
        strides=(16,),
        sized=True,
        output_stride=16,
    ),
    "deeplabv3_os8": Head(
        build="striate.models.deeplabv3:deeplabv3",
        summary="DeepLabv3 on a map of 8 pixels a place",
        task="segment",
        classes=21,
        strides=(8,),
        sized=True,
        output_stride=8,
    ),
    "fcn32s": _fcn((32,)),
    "fcn32s_same": _fcn((32,), same=True),
    "fcn16s": _fcn((16, 32)),
    "fcn16s_same": _fcn((16, 32), same=True),
    "fcn8s": _fcn(STRIDES),
    "fcn8s_same": _fcn(STRIDES, same=True),
    "unet": Head(
        build="striate.models.unet_head:unet_head",
        summary="a class for each pixel, from all maps of the backbone, coarsest to finest (U-Net)",
        task="segment",
        classes=21,
        sized=True,
    ),
}
