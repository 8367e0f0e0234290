"""Epochs of Striate's loader: `python -m bench.striate_loading decode|cache FOLDER BATCH WORKERS`."""

import sys

from striate.benchmarking.worker import Workload, serve


def build(form: str, folder: str, batch_size: int, workers: int) -> Workload:
    import torch

    from striate.data import Augmentation, open_data
    from striate.data.cache import PictureCache
    from striate.data.loading import Loader
    from striate.models.table import MODELS

    torch.set_num_threads(1)  # the cores are the workers'
    data = open_data(folder)
    loader = Loader(
        data.records,
        MODELS["efficientnet_lite0"].preprocess,
        batch_size=batch_size,
        augmentation=Augmentation(crop=(0.08, 1.0), flip=True),  # what torchvision's RandomResizedCrop does by default
        shuffle=True,
        workers=workers,
        cache=PictureCache(1 << 40 if form == "cache" else 0),
    )
    epochs = iter(range(1_000_000))

    def epoch() -> None:
        seen = sum(len(batch.images) for batch in loader.epoch(next(epochs)))
        assert seen == len(data.records)

    return Workload(epoch, len(data.records), {"pictures": len(data.records)})


if __name__ == "__main__":
    serve(lambda: build(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
