"""A network that only answers, in less time than it takes as written, up to the rounding of float32.

A network is traced to a list of layers (`layer_list`), norms go into convolutions (`packed`), and the list runs from
one plan for each size of pictures (`folding`), or in one call where our own kernels know all layers (`chaining`).
Offers FoldedNetwork, and FoldingError, which says why a network cannot be answered so and runs as written.
"""

from striate.answering.folding import FoldedNetwork
from striate.answering.layer_list import FoldingError

__all__ = ["FoldedNetwork", "FoldingError"]
