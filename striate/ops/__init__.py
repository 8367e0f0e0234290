"""Functions on tensors and on plain integers: windows, paddings, convolutions.

The truth about windows is `shapes` (no torch); `convolution` computes by it, `depthwise` knows what is slow.
Offers conv2d, same_padding, padding_amounts, output_size, reach.
"""

from striate.ops.convolution import conv2d
from striate.ops.shapes import output_size, padding_amounts, reach, same_padding

__all__ = ["conv2d", "same_padding", "padding_amounts", "output_size", "reach"]
