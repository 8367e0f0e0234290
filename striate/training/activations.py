"""What of a network's blocks training keeps for backward: everything, or what goes in."""

from striate.base.errors import ModelError, RecipeError
from striate.models.checkpointing import CheckpointedView, refuse_unknown_blocks
from striate.models.network import Network, TrainingView
from striate.recipe import Recipe


def refuse_blocks(recipe: Recipe, network: Network) -> None:
    """See that the network can compute again what the recipe's ``checkpoint_blocks`` name.

    Raises:
        RecipeError: it has no such block, or does not run block by block.
    """
    try:
        refuse_unknown_blocks(network, recipe.checkpoint_blocks)
    except ModelError as error:
        raise RecipeError(f"checkpoint_blocks for {recipe.model}: {error}; leave it out to keep everything") from None


def training_view(network: Network, recipe: Recipe) -> TrainingView:
    """What the loop calls: the network, of whose blocks those of ``checkpoint_blocks`` are computed again."""
    return CheckpointedView(network, recipe.checkpoint_blocks) if recipe.checkpoint_blocks else TrainingView(network)
