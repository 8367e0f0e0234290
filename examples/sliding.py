"""Find a tulip in a large picture of flowers, in one pass of a network that has learnt to name single flowers.

striate train flowers
python examples/sliding.py MODEL DATA [FILE.jpg]

MODEL is the run's folder and DATA the folder that it learnt from, which has a class "tulips". Of its test pictures one
tulip and eleven others become one picture of 1536x1152. With convolutions for dense layers the network answers every
part of it: those of 224x224 that begin 32 pixels apart, 30 rows of 42.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageOps

import striate
from striate.data import split
from striate.models import as_convolutional

WANTED = "tulips"
TILE, ROWS, COLUMNS = 384, 3, 4
PLACE = (1, 2)  # the tulip's row and column
SHOWN = (1024, 384)


def pictures(data: str) -> list[Path]:
    """The files of the picture, row by row: nobody was trained with them."""
    dataset = split(striate.open_data(data))
    tested, wanted = dataset.of_split("test"), dataset.classes.names.index(WANTED)
    others = [record.handle for record in tested if record.target.index != wanted]
    files = [others[number * len(others) // (ROWS * COLUMNS)] for number in range(ROWS * COLUMNS)]
    files[PLACE[0] * COLUMNS + PLACE[1]] = next(record.handle for record in tested if record.target.index == wanted)
    return files


def composed(files: list[Path]) -> Image.Image:
    """Pictures cut to squares, side by side."""
    whole = Image.new("RGB", (COLUMNS * TILE, ROWS * TILE))
    for number, path in enumerate(files):
        row, column = divmod(number, COLUMNS)
        whole.paste(ImageOps.fit(Image.open(path).convert("RGB"), (TILE, TILE)), (column * TILE, row * TILE))
    return whole


def seen(predictor: striate.Predictor, picture: Image.Image) -> np.ndarray:
    """How probable a tulip is in each part of the picture, ``[H', W']``, by one forward pass."""
    description = predictor.description
    network = as_convolutional(predictor.network, size=description.preprocess.size)
    images = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        scores = network(description.preprocess.normalise(images))
    return scores.softmax(1)[0, description.classes.names.index(WANTED)].numpy()


def draw(picture: Image.Image, probable: np.ndarray, box: tuple[int, int, int, int], stride: int) -> Image.Image:
    """The picture with a frame, and beside it each place as bright as the part around it is probable."""
    bright = np.kron(probable, np.ones((stride, stride)))
    around = [(whole - part) // 2 for whole, part in zip(picture.size[::-1], bright.shape, strict=True)]
    bright = np.pad(bright, [(sides, sides) for sides in around])[:, :, None]
    framed = picture.copy()
    ImageDraw.Draw(framed).rectangle(box, outline="white", width=12)
    lit = (np.asarray(picture) * (0.15 + 0.85 * bright)).astype(np.uint8)
    return Image.fromarray(np.hstack([framed, lit])).resize(SHOWN)


def main(model: str, data: str, target: str = "docs/pictures/sliding.jpg") -> None:
    predictor, files = striate.load(model, device="cpu"), pictures(data)
    picture, (height, width) = composed(files), predictor.description.preprocess.size
    probable, stride = seen(predictor, picture), predictor.network.feature_info[-1].stride
    top, left = (int(place) * stride for place in divmod(probable.argmax(), probable.shape[1]))
    draw(picture, probable, (left, top, left + width, top + height), stride).save(target, quality=85)
    print("shown:", *(f"{path.parent.name}/{path.name}" for path in files), sep="\n  ")
    print(f"the likeliest of {probable.size} parts, at row {top} and column {left}: a tulip with {probable.max():.0%}")


if __name__ == "__main__":
    main(*sys.argv[1:])
