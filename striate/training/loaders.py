"""The batches that a run learns from and is measured on."""

from striate.data.cache import PictureCache
from striate.data.loading import Loader
from striate.data.records import Dataset, Split
from striate.models.network import Network
from striate.pictures.preprocess import Preprocess
from striate.recipe import Recipe
from striate.training.multi_scale import size_of
from striate.training.stages import mosaic_epochs


def loader_for(
    data: Dataset,
    name: Split,
    recipe: Recipe,
    preprocess: Preprocess,
    network: Network,
    *,
    workers: int = 0,
    ahead: bool = False,
    cache: PictureCache | None = None,
) -> Loader:
    """The pictures of one part of a split: shuffled and augmented those for training, as they are the others."""
    training = name == "train"
    return Loader(
        data.of_split(name),
        preprocess,
        batch_size=recipe.batch,
        seed=recipe.seed,
        augmentation=recipe.augment if training else None,
        shuffle=training,
        workers=workers,
        ahead=ahead,
        cache=cache,
        size_of=size_of(recipe, network, preprocess) if training else None,
        mosaic_epochs=mosaic_epochs(recipe),
    )
