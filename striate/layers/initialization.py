"""How weights begin."""

import math

from torch import Tensor, nn


def he_fan_out_(weight: Tensor, groups: int = 1) -> Tensor:
    """Fill ``[out, in / groups, h, w]`` from a normal of variance ``2 / (h * w * out / groups)``, in place.

    He and others, "Delving deep into rectifiers", 2015, section 2.2, the backward case: it keeps the size of the
    gradients. torch's own function forgets the groups, which makes depthwise windows begin far too small.
    """
    fan_out = weight.shape[0] // groups * weight.shape[2] * weight.shape[3]
    return nn.init.normal_(weight, 0.0, math.sqrt(2 / fan_out))
