"""What each task asks of a recipe: one dataclass a task, in which every field has a default."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from striate.base.errors import RecipeError
from striate.base.fields import Later
from striate.base.ranges import Fraction, NotNegative, Share


@dataclass(frozen=True, kw_only=True)
class ClassifySettings:
    """What the task "classify" asks of a recipe.

    Raises:
        RecipeError: ``loss`` "map" with label smoothing.
    """

    loss: Annotated[
        Literal["cross_entropy", "map"],
        Field(
            description='"cross_entropy", or "map": cross-entropy with one more answer, "none of them" (LeCun et al. '
            "1998, equation 9)"
        ),
    ] = "cross_entropy"
    label_smoothing: Annotated[
        Fraction, Field(description="part of the target spread evenly over all classes, 0 to 1 (Szegedy et al. 2016)")
    ] = 0.0
    class_weights: Annotated[
        Literal["none", "balanced"], Field(description='"balanced" weighs each class by the inverse of its count')
    ] = "none"

    def __post_init__(self) -> None:
        # Equation 9 pulls the outputs to the code of one class; a target spread over all would pull to their middle.
        if self.loss == "map" and self.label_smoothing:
            raise RecipeError(
                f'classify: loss is "map" and label_smoothing {self.label_smoothing:g}; "map" takes no smoothed '
                'targets: give label_smoothing 0, or loss "cross_entropy"'
            )


@dataclass(frozen=True, kw_only=True)
class LocalizeSettings:
    """What the task "localize" asks of a recipe."""

    box_loss: Annotated[
        Literal["giou", "square_roots"],
        Field(description='loss of the box: 1 - GIoU, or squared errors of centre and "square_roots" of sides, 0 to 1'),
    ] = "giou"
    loss_weights: Annotated[
        tuple[NotNegative, NotNegative], Field(description="weights of the class's loss and of the box's")
    ] = (1.0, 2.0)

    def __post_init__(self) -> None:
        if not any(self.loss_weights):
            raise RecipeError(
                "localize: loss_weights are both 0, so there is nothing to learn from; give one of them more than 0"
            )


@dataclass(frozen=True, kw_only=True)
class DetectSettings:
    """What the task "detect" asks of a recipe."""

    box_weight: Annotated[NotNegative, Field(description="weight of the boxes' loss, that of the classes being 1")] = (
        2.0
    )
    background_weight: Annotated[
        NotNegative,
        Later(as_before=0.1),
        Field(
            description="of detectors with anchors, weight of the places that show no object, that of others being 1"
        ),
    ] = 0.1
    iou_threshold: Annotated[
        float,
        Field(
            gt=0.0,
            le=1.0,
            description="boxes of a class that overlap by more are one object: an IoU above 0, 1 at most",
        ),
    ] = 0.6
    score_threshold: Annotated[
        Share | None,
        Field(
            description="least probability of an object that an answer names, between 0 and 1; without it, the one of "
            "best F1 in the validation of the epoch that is kept"
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class SegmentSettings:
    """What the task "segment" asks of a recipe.

    Raises:
        RecipeError: all losses have the weight 0.
    """

    cross_entropy_weight: Annotated[NotNegative, Field(description="weight of the cross-entropy of each pixel")] = 1.0
    dice_weight: Annotated[
        NotNegative,
        Field(description="weight of 1 - Dice, the mean over the classes in a batch (Milletari et al. 2016)"),
    ] = 0.0
    focal_weight: Annotated[
        NotNegative,
        Field(description="weight of the focal loss, by which sure pixels count less (Lin et al. 2017)"),
    ] = 0.0
    focal_gamma: Annotated[NotNegative, Field(description="how much less, in the focal loss: its gamma")] = 2.0
    class_weights: Annotated[
        Literal["none", "balanced"],
        Field(
            description='"balanced" weighs the pixels of each class by the median frequency of all classes over its '
            "own, in the training masks (Eigen and Fergus 2015)"
        ),
    ] = "none"

    def __post_init__(self) -> None:
        if not (self.cross_entropy_weight or self.dice_weight or self.focal_weight):
            raise RecipeError(
                "segment: cross_entropy_weight, dice_weight and focal_weight are all 0, so there is nothing to learn "
                "from; give one of them more than 0"
            )


@dataclass(frozen=True, kw_only=True)
class UpscaleSettings:
    """What the task "upscale" asks of a recipe."""

    factor: Annotated[Literal[2, 3, 4], Field(description="how many times as high and wide pictures become")] = 2
    loss: Annotated[
        Literal["l1", "mse"], Field(description='of luma: its distance, "l1", or squared, "mse", as the papers have it')
    ] = "l1"


SETTINGS: Mapping[str, type] = {
    "classify": ClassifySettings,
    "localize": LocalizeSettings,
    "detect": DetectSettings,
    "segment": SegmentSettings,
    "upscale": UpscaleSettings,
}
"""Task name to the dataclass of its settings, in which every field has a default."""
