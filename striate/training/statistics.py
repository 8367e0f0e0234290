"""Running statistics of batch norms in the first steps of a run from scratch."""

from torch import nn

from striate.models.network import Network


class RunningStatistics:
    """The momenta of a network's batch norms, raised in the first steps so that running statistics begin true.

    Published momenta are made for hundreds of thousands of steps: with TensorFlow's 0.999 (torch's 0.001) a network of
    a short run is still evaluated with the statistics it was built with, mean 0 and variance 1, and answers nonsense
    long after it has learned. In update t the momentum is ``max(published, 9 / (10 + t))``, the rule of
    `AveragedWeights` for the same trouble. Weights that were trained before bring their statistics, and need none of
    this.
    """

    def __init__(self, network: Network) -> None:
        self._published = [
            (module, module.momentum)
            for module in network.modules()
            if isinstance(module, nn.BatchNorm2d) and module.momentum is not None
        ]

    def begin(self, update: int) -> None:
        """Set the momenta for this update, counted from 0."""
        for norm, published in self._published:
            norm.momentum = max(published, 9 / (10 + update))
