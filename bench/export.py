"""Write what the runtimes are to answer: `python -m bench.export MODEL BATCH FOLDER`.

`FOLDER/MODEL-BATCH.pt2` is the network as `torch.export` writes it, `.npy` the batch: float32, normalised.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from bench.training import SIZE
from striate.benchmarking.workloads import random_pictures, settled


def main(model: str, batch_size: int, folder: Path) -> None:
    network, preprocess = settled(model, SIZE)
    images = preprocess.normalise(random_pictures(batch_size, preprocess)).contiguous()
    torch.export.save(torch.export.export(network, (images,)), folder / f"{model}-{batch_size}.pt2")
    np.save(folder / f"{model}-{batch_size}.npy", images.numpy())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
