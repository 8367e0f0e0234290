"""Every head by name, written out: what stands before the stroke in names such as ``head/efficientnet_lite0``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Head:
    """One head (with its neck): where its builder is (``module:function``), and what is known of it without building.

    The builder takes the `FeatureInfo` of the maps that the head reads, finest first, and ``classes`` by keyword, and
    makes the module that takes these maps as a list and gives one tensor. Further arguments are keywords, too.
    ``task`` names what it is for and ``classes`` is its usual number. ``strides`` are those of the maps that it reads,
    in pixels (None: all that the backbone has), ``size`` is that of its usual pictures (None: the backbone's),
    ``backbone_arguments`` are further ones of the backbone's builder, and ``form`` is what its outputs mean, where its
    task knows several forms, with ``form_arguments`` where they are not that form's own.
    """

    build: str
    summary: str
    task: str
    classes: int
    strides: tuple[int, ...] | None = None
    size: tuple[int, int] | None = None
    backbone_arguments: Mapping[str, Any] = field(default_factory=dict)
    form: str | None = None
    form_arguments: Mapping[str, Any] = field(default_factory=dict)


STRIDES = (8, 16, 32)
"""Of the maps that detectors read, in pixels."""

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
}
