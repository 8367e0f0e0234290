"""What segmentation trains, and how, when the user says nothing; measured with ``make accept TOPIC=segment``."""

from statistics import median

from striate.base.errors import DecodeError
from striate.data.augmentation import Augmentation
from striate.data.records import Dataset
from striate.models.table import architecture
from striate.pictures.decode import read_header
from striate.recipe import Recipe, Stage
from striate.task_settings import SegmentSettings
from striate.weights.pretrained import comes_along

PIXELS = 1.7e9
"""Pixels of training crops that a default run processes."""
LONGEST = 512
"""Pictures are looked at in their own size, or so many pixels long."""
CROP = 320
"""Sides of training crops, in pixels."""
RATE, SCRATCH_RATE = 4e-3, 2e-3
"""Highest learning rates, from ImageNet's weights and without."""
ASKED = 25
"""Pictures whose size is looked at, spread over all."""


def default_model(data: Dataset) -> str:
    """Skip connections to the finest maps, on the default backbone."""
    return "unet/efficientnet_lite0"


def default_recipe(data: Dataset, model: str, *, scratch: bool = False) -> Recipe:
    """The recipe for this network on these data.

    It learns from crops, and answers whole pictures: in their own size where most have one and it is at most `LONGEST`
    pixels long, else letterboxed into the usual shape, that long. Answers are of the photograph's size in any case.
    """
    scratch = scratch or not comes_along(model)
    size = usual_size(data, architecture(model).preprocess.size)
    crop = (min(CROP, size[0]), min(CROP, size[1]))
    epochs = min(max(round(PIXELS / (0.8 * max(1, len(data.records)) * crop[0] * crop[1])), 10), 200)
    return Recipe(
        task="segment",
        model=model,
        weights="none" if scratch else "pretrained",
        size=size,
        fit="letterbox",
        batch_size=4,
        optimizer="adamw",
        weight_decay=0.05,
        ema_decay=0.99,
        augment=Augmentation(crop=(1.0, 1.0), scale=(0.75, 1.5), crop_size=crop, flip=True, colour=0.3),
        # CamVid's mean IoU after 15 epochs: 0.634, in batches of 8 0.625. Of those, without weights 0.52 (of poles, a
        # hundredth of its pixels, next to nothing is found), at half the rate 0.608, and so without Dice 0.602.
        settings=SegmentSettings(class_weights="balanced", dice_weight=1.0),
        # Nothing is frozen and all learns at one rate: by a third of it, stem and first stage frozen, mean IoU was
        # 0.574 where so it was 0.602; at 8e-3 it was behind from the start.
        stages=(Stage(epochs=epochs, rate=SCRATCH_RATE if scratch else RATE),),
    )


def usual_size(data: Dataset, otherwise: tuple[int, int]) -> tuple[int, int]:
    """Height and width that pictures mostly have, at most `LONGEST`; ``otherwise`` where none can be read."""
    if data.picture_shape is not None:
        sizes = [data.picture_shape]
    else:
        step = max(1, len(data.records) // ASKED)
        sizes = [size for record in data.records[::step] if (size := _size(record.handle))]
    if not sizes:
        return otherwise
    height, width = (median(sides) for sides in zip(*sizes, strict=True))
    least = min(1.0, LONGEST / max(height, width))
    return max(1, round(height * least)), max(1, round(width * least))


def _size(handle: object) -> tuple[int, int] | None:
    try:
        header = read_header(handle)  # type: ignore[arg-type]
    except DecodeError:
        return None  # who reads it will say so
    return header.height, header.width
