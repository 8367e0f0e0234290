"""Modules over `striate.ops`: what networks are put together from.

Where torch's own module is exact (batch norm, linear, max pool without padding tricks), networks use that.
Offers Conv2d, GlobalAveragePool, StochasticDepth, he_fan_out_.
"""

from striate.layers.convolution import Conv2d
from striate.layers.initialization import he_fan_out_
from striate.layers.pooling import GlobalAveragePool
from striate.layers.stochastic_depth import StochasticDepth

__all__ = ["Conv2d", "GlobalAveragePool", "StochasticDepth", "he_fan_out_"]
