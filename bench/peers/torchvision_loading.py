"""Epochs of torchvision's ImageFolder behind torch's DataLoader, as its own examples write them.

python -m bench.peers.torchvision_loading FOLDER BATCH WORKERS
"""

import sys
from typing import Any

from striate.benchmarking.worker import Workload, serve

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def folder_of(path: str) -> Any:
    """The pictures with the augmentation of torchvision's reference training: random windows and flips."""
    from bench.peers.without_operators import torchvision

    transforms = torchvision.transforms
    steps = [
        transforms.RandomResizedCrop(224),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, DEVIATION),
    ]
    return torchvision.datasets.ImageFolder(path, transforms.Compose(steps))


def build(folder: str, batch_size: int, workers: int) -> Workload:
    import torch

    torch.set_num_threads(1)
    pictures = folder_of(folder)
    loader = torch.utils.data.DataLoader(
        pictures, batch_size, shuffle=True, num_workers=workers, persistent_workers=True
    )

    def epoch() -> None:
        seen = sum(len(images) for images, _ in loader)
        assert seen == len(pictures)

    return Workload(epoch, len(pictures))


if __name__ == "__main__":
    serve(lambda: build(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
