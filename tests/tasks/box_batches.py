"""Batches of empty pictures with targets, as a loader gives them."""

import torch

from striate.data.records import ArrayHandle, Batch, Record
from striate.pictures.geometry import Geometry

SIZE = (64, 96)


def batch(*targets, geometries=None):
    """A black picture of `SIZE` for each target; by default the network sees each as it is."""
    images = torch.zeros(len(targets), 3, *SIZE, dtype=torch.uint8)
    pictures = images.permute(0, 2, 3, 1).numpy()
    records = [Record(ArrayHandle(pictures, at), target, b"", f"picture {at}") for at, target in enumerate(targets)]
    geometries = geometries or [Geometry(*SIZE)] * len(targets)
    moved = tuple(target.moved(geometry) for target, geometry in zip(targets, geometries, strict=True))
    return Batch(images, moved, tuple(geometries), records)
