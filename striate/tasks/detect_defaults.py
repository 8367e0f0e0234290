"""What detection trains, and how, when the user says nothing; measured with ``make accept TOPIC=detect``."""

from striate.data.augmentation import Augmentation
from striate.data.records import Dataset
from striate.models.table import architecture
from striate.recipe import Recipe, Stage
from striate.task_settings import DetectSettings
from striate.tasks.classify_defaults import EARLY
from striate.weights.pretrained import comes_along

IMAGES = 6_400
"""Training pictures that a default run processes."""


def default_model(data: Dataset) -> str:
    """The head without anchors on the default backbone."""
    return "tood/efficientnet_lite0"


def default_recipe(data: Dataset, model: str, *, scratch: bool = False) -> Recipe:
    """The recipe for this network on these data."""
    images = max(1, len(data.records))
    epochs = min(max(round(IMAGES / (0.8 * images)), 12), 100)
    scratch = scratch or not comes_along(model)
    return Recipe(
        task="detect",
        model=model,
        weights="none" if scratch else "pretrained",
        size=architecture(model).preprocess.size,
        fit="letterbox",
        batch_size=8,
        optimizer="adamw",
        weight_decay=0.05,
        augment=Augmentation(
            crop=(1.0, 1.0), scale=(0.6, 1.4), flip=True, colour=0.3, mosaic=0.5, multi_scale=(0.8, 1.2)
        ),
        settings=DetectSettings(),
        stages=(Stage(epochs=epochs, rate=1e-3, body_rate=1.0 if scratch else 0.3, freeze=() if scratch else EARLY),),
    )
