"""What localization trains, and how, when the user says nothing; measured with ``make accept TOPIC=detect ONLY=4``."""

from striate.data.augmentation import Augmentation
from striate.data.records import Dataset
from striate.models.table import architecture
from striate.recipe import Recipe, Stage
from striate.task_settings import LocalizeSettings
from striate.tasks.classify_defaults import EARLY
from striate.weights.pretrained import comes_along

IMAGES = 4_800
"""Training pictures that a default run processes."""


def default_model(data: Dataset) -> str:
    """One box from the default backbone."""
    return "box/efficientnet_lite0"


def default_recipe(data: Dataset, model: str, *, scratch: bool = False) -> Recipe:
    """The recipe for this network on these data."""
    transfers = comes_along(model) and not scratch
    epochs = min(max(round(IMAGES / max(1, 0.8 * len(data.records))), 10), 60)
    return Recipe(
        task="localize",
        model=model,
        weights="pretrained" if transfers else "none",
        size=architecture(model).preprocess.size,
        fit="letterbox",
        batch_size=16,
        optimizer="adamw",
        weight_decay=0.05,
        augment=Augmentation(crop=(0.5, 1.0), flip=True, colour=0.3),
        settings=LocalizeSettings(),
        stages=(Stage(epochs=epochs, rate=1e-3, freeze=EARLY if transfers else ()),),
    )
