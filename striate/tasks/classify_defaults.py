"""What classification trains, and how, when the user says nothing.

The figures stand here because somebody measured them; change one, and measure again (`make accept`).
"""

import dataclasses
from collections.abc import Callable, Mapping

from striate.data.augmentation import Augmentation
from striate.data.records import Dataset
from striate.models.table import architecture
from striate.recipe import BODY, Recipe, Stage
from striate.task_settings import ClassifySettings
from striate.weights.pretrained import comes_along

TRANSFER_IMAGES = 5_800
"""Training pictures that a default transfer run processes: minutes on two cores, and more epochs gain little."""
MANY_IMAGES = 400
"""Pictures from which a default transfer run takes batches of 32 instead of 16, for which processors are faster.

The rates are then twice as high (Goyal et al. 2017, section 2.1). Of 1,200 held-out pictures (flowers, five folds, two
seeds) small batches answered 1,097 and large ones 1,096. With fewer pictures too few steps would be left.
"""
EARLY = ("stem", "stage1", "stage2")
"""Blocks that a default transfer run leaves as they are, in EfficientNet-Lite0: those with maps of a quarter of the
picture's sides and larger.

Edges and colours serve any picture (Yosinski et al. 2014), and on maps so large they cost a fifth of the time to learn.
Right were, with these blocks frozen and without: of 1,200 held-out flowers (five folds, two seeds) 1,104 and 1,088; of
1,000 pictures each, after training on 600 (mean of two seeds), CIFAR-10 0.838 and 0.751, Fashion-MNIST 0.834 and 0.772;
after training on 150, 0.774 and 0.725, 0.787 and 0.742.
"""


def default_model(data: Dataset) -> str:
    """The pretrained network for photographs; a small one for what fits 32 pixels, which has no use for 224."""
    shape = data.picture_shape
    if shape is None or max(shape) > 32:
        return "efficientnet_lite0"
    return "fashion_cnn" if len(data.records) >= 10_000 else "lenet5"


def default_recipe(data: Dataset, model: str, *, scratch: bool = False) -> Recipe:
    """The recipe for this network on these data; with ``scratch``, for weights that nobody trained before."""
    images = len(data.records)
    if model in RECIPES:
        recipe = RECIPES[model](images)
    elif comes_along(model) and not scratch:
        # For other bands the first convolution's weights were spread alike over all, which is but a beginning.
        recipe = _transfer(images, frozen=EARLY if data.channels in (1, 3) else ())
    else:
        recipe = _from_scratch(images)
    preprocess = architecture(model).preprocess
    return dataclasses.replace(recipe, model=model, size=preprocess.size, fit=preprocess.resize)


def _transfer(images: int, frozen: tuple[str, ...]) -> Recipe:
    epochs = min(max(round(TRANSFER_IMAGES / max(1, 0.8 * images)), 4), 40)
    head, scale = max(1, round(epochs / 6)), 2 if images >= MANY_IMAGES else 1
    return Recipe(
        weights="pretrained",
        batch_size=16 * scale,
        weight_decay=1e-4,
        ema_decay=0.99,
        augment=Augmentation(crop=(0.4, 1.0), flip=True, colour=0.2),
        settings=ClassifySettings(label_smoothing=0.1),
        stages=(
            # Features of 1,280 numbers after ReLU6 are long vectors: a head on them diverges at the usual 0.1.
            Stage(epochs=head, rate=0.015 * scale, freeze=(BODY,)),
            Stage(epochs=epochs - head, rate=0.01 * scale, freeze=frozen),
        ),
    )


def _from_scratch(images: int) -> Recipe:
    epochs = min(max(round(100_000 / max(1, images)), 10), 90)
    return Recipe(
        batch_size=32,
        weight_decay=5e-4,
        ema_decay=0.999,
        augment=Augmentation(crop=(0.25, 1.0), flip=True, colour=0.2),
        settings=ClassifySettings(label_smoothing=0.1),
        stages=(Stage(epochs=epochs, rate=0.05),),
    )


def _gentle(images: int) -> Recipe:
    # At the usual rate networks without batch norm stand still, or saturate for good; VGG's dense layers have none.
    recipe = _from_scratch(images)
    stages = tuple(dataclasses.replace(stage, rate=0.01) for stage in recipe.stages)
    return dataclasses.replace(recipe, clip_norm=1.0, stages=stages)


def _lenet5(images: int) -> Recipe:
    return Recipe(
        batch_size=32 if images < 10_000 else 128,
        weight_decay=1e-4,
        ema_decay=0.99,
        augment=Augmentation(crop=(1.0, 1.0), flip=False, rotation=8.0, shift=2),
        stages=(Stage(epochs=30 if images < 10_000 else 12, rate=0.05),),
    )


def _lenet5_1998(images: int) -> Recipe:
    # Of 6,000 validation digits, after 5 epochs without augmentation, its own loss answered 0.990, cross-entropy 0.982.
    few = images < 10_000
    return Recipe(
        batch_size=32 if few else 128,
        weight_decay=5e-4,
        ema_decay=0.99,
        clip_norm=10.0,  # the gradients of distances are steep at first
        split=(0.8, 0.1, 0.1) if few else (0.9, 0.05, 0.05),
        augment=Augmentation(crop=(1.0, 1.0), flip=False, rotation=8.0, shift=2),
        settings=ClassifySettings(loss="map"),
        stages=(Stage(epochs=30 if few else 20, rate=0.01),),
    )


def _fashion_cnn(images: int) -> Recipe:
    return Recipe(
        batch_size=128,
        weight_decay=5e-4,
        ema_decay=0.999,
        split=(0.9, 0.05, 0.05),
        augment=Augmentation(crop=(1.0, 1.0), flip=True),
        settings=ClassifySettings(label_smoothing=0.05),
        stages=(Stage(epochs=20, rate=0.08, warmup=0.3),),
    )


RECIPES: Mapping[str, Callable[[int], Recipe]] = {
    "lenet5_1998": _lenet5_1998,
    "lenet5": _lenet5,
    "fashion_cnn": _fashion_cnn,
    **dict.fromkeys(("lenet_caffe", "alexnet", "alexnet_single", "zfnet", "googlenet"), _gentle),
    **dict.fromkeys(("vgg11", "vgg13", "vgg16", "vgg19", "squeezenet1_0", "squeezenet1_1"), _gentle),
    **dict.fromkeys(("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"), _gentle),
}
"""Networks with a recipe of their own; the others transfer where weights come with Striate, else start from scratch."""
