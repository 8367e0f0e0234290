"""What super-resolution trains, and how, when the user says nothing; measured with ``make accept TOPIC=upscale``."""

from collections.abc import Mapping

from striate.data.augmentation import Augmentation
from striate.data.records import Dataset
from striate.models.table import architecture
from striate.recipe import Recipe, Stage
from striate.task_settings import UpscaleSettings

IMAGES: Mapping[str, int] = {"vdsr": 4_000}
"""Windows of training pictures that a default run processes; of the networks that see the small picture more."""
OTHERS = 16_000
SIDE = 144
"""Of a window, a multiple of each factor. Of smaller ones an epoch would learn less than it takes to validate."""
RATES: Mapping[str, float] = {"vdsr": 3e-4}


def default_model(data: Dataset) -> str:
    """The one that learns most in minutes on a processor."""
    return "espcn"


def default_recipe(data: Dataset, model: str, *, scratch: bool = False) -> Recipe:
    """The recipe for this network on these data."""
    epochs = min(max(round(IMAGES.get(model, OTHERS) / max(1, 0.8 * len(data.records))), 10), 200)
    return Recipe(
        task="upscale",
        model=model,
        size=(SIDE, SIDE),
        fit=architecture(model).preprocess.resize,
        batch_size=8,
        optimizer="adamw",
        weight_decay=0.0,
        clip_norm=1.0,
        ema_decay=0.99,
        # A network that says the luma itself would say it in eight bits, a step of 255 for white.
        precision="float32",
        augment=Augmentation(crop=(1.0, 1.0), aspect=(1.0, 1.0), scale=(0.6, 1.0), flip=True),
        settings=UpscaleSettings(),
        stages=(Stage(epochs=epochs, rate=RATES.get(model, 1e-3), warmup=0.05),),
    )
