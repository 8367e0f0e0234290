"""One picture to another size: the filters, and who computes them.

All filters but nearest widen as they shrink, which is called antialiasing. Bilinear and bicubic of three bands are
computed by torch, in a sixth of the time that Pillow takes where the processor has AVX2, all else by Pillow. Both weigh
rows and columns one after the other in fixed point and round to bytes in between, so each is about as far from the
exact sums as the other. torch's bytes are the same with and without vector instructions.
"""

from typing import Literal

import numpy as np
from PIL import Image

from striate.pictures.channels import Pixels, with_pillow

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

_TORCHS = frozenset({"bilinear", "bicubic"})


def resample(pixels: Pixels, height: int, width: int, interpolation: Interpolation) -> Pixels:
    """Resize uint8 ``[h, w, C]`` of any C to ``[height, width, C]``; the result may be read-only.

    Example:
        >>> resample(np.full((4, 6, 3), 7, np.uint8), 2, 2, "bicubic")[:, :, 0]
        array([[7, 7],
               [7, 7]], dtype=uint8)
    """
    if pixels.shape[2] == 3 and interpolation in _TORCHS:
        return _by_torch(pixels, height, width, interpolation)
    return with_pillow(pixels, lambda image: image.resize((width, height), Image.Resampling[interpolation.upper()]))


def _by_torch(pixels: Pixels, height: int, width: int, interpolation: Interpolation) -> Pixels:
    import torch  # only here: who reads a recipe need not wait for torch

    # A copy by numpy: torch would copy a window itself, with a team of threads for each thread that asks. The axis of
    # the batch comes first: added after the others were permuted, it hides that the channels are last in memory.
    image = torch.from_numpy(np.array(pixels, order="C")).unsqueeze(0).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(image, (height, width), mode=interpolation, antialias=True)
    result: Pixels = resized.permute(0, 2, 3, 1).squeeze(0).numpy()
    return result
