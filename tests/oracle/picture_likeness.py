"""Runs in .venv-oracle: PSNR and SSIM of pairs of pictures by torchmetrics and by scikit-image.

    python picture_likeness.py

takes lines of JSON, ``["FILE"]``, and says ``done`` after each: FILE.npz has planes ``one`` and ``other``, uint8
``[N, H, W]`` each; FILE.json gets for each pair ``{"torchmetrics": [psnr, ssim], "skimage": [psnr, ssim]}``.
"""

import json
import os
import sys
import types
from pathlib import Path

import numpy as np
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

# Where torchvision's compiled operators cannot be loaded this module of it fails, and torchmetrics imports it, too.
sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")


def by_torchmetrics(one: np.ndarray, other: np.ndarray) -> list[float]:
    """The window of 11 with deviation 1.5 and the constants of the paper are its defaults.

    Its mean is over mirrored borders, too; the paper's, like scikit-image's, is where the window lies inside.
    """
    from torchmetrics.functional import image

    found, true = (torch.from_numpy(each.astype(np.float64))[None, None] for each in (one, other))
    psnr = image.peak_signal_noise_ratio(found, true, data_range=255.0)
    _, everywhere = image.structural_similarity_index_measure(found, true, data_range=255.0, return_full_image=True)
    return [float(psnr), float(everywhere[..., 5:-5, 5:-5].mean())]


def by_skimage(one: np.ndarray, other: np.ndarray) -> list[float]:
    """As its documentation says for the figures of Wang et al."""
    ssim = structural_similarity(
        *(one, other), data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return [float(peak_signal_noise_ratio(other, one, data_range=255)), float(ssim)]


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")  # whatever else is printed goes elsewhere
    os.dup2(2, 1)
    for line in sys.stdin:
        file = Path(*json.loads(line))
        with np.load(file.with_suffix(".npz")) as given:
            pairs = list(zip(given["one"], given["other"], strict=True))
        found = [{"torchmetrics": by_torchmetrics(*pair), "skimage": by_skimage(*pair)} for pair in pairs]
        file.with_suffix(".json").write_text(json.dumps(found))
        print("done", file=answers, flush=True)


if __name__ == "__main__":
    main()
