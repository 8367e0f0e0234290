"""Modules over `striate.ops`: what networks are put together from.

Every layer with a window is here, so that a padding means one thing; for what has none (activations,
dropout, small dense layers) networks use torch's own modules. Parameter names are torch's.
Offers convolutions, pools, Linear, LocalResponseNorm, blocks that many papers share, and how weights begin.
"""

from striate.layers.blocks import ConvNormAct, SqueezeExcite
from striate.layers.convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    DepthwiseConv2d,
    SeparableConv2d,
)
from striate.layers.dense import Linear
from striate.layers.initialization import begin_he_, bilinear_weights, he_fan_out_
from striate.layers.normalization import BatchNormAct2d, LocalResponseNorm
from striate.layers.pooling import (
    AveragePool1d,
    AveragePool2d,
    AveragePool3d,
    DepthPool,
    GlobalAveragePool,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from striate.layers.stochastic_depth import StochasticDepth

__all__ = [
    "ConvNormAct",
    "SqueezeExcite",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "DepthwiseConv2d",
    "SeparableConv2d",
    "Linear",
    "begin_he_",
    "bilinear_weights",
    "he_fan_out_",
    "BatchNormAct2d",
    "LocalResponseNorm",
    "AveragePool1d",
    "AveragePool2d",
    "AveragePool3d",
    "DepthPool",
    "GlobalAveragePool",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "StochasticDepth",
]
