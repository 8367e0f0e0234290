"""Write what the runtimes are to answer: `python -m bench.export STEM MODEL BATCH [SIDE CLASSES]`.

`STEM.pt2` is the network as `torch.export` writes it, `STEM.npy` the batch: float32, normalised.
"""

import sys

import numpy as np
import torch

from bench.training import SIZE
from striate.benchmarking.workloads import CLASSES, random_pictures, settled


def main(stem: str, model: str, batch_size: int, side: int = SIZE[0], classes: int = CLASSES) -> None:
    network, preprocess = settled(model, (side, side), classes)
    images = preprocess.normalise(random_pictures(batch_size, preprocess)).contiguous()
    torch.export.save(torch.export.export(network, (images,)), f"{stem}.pt2")
    np.save(f"{stem}.npy", images.numpy())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
