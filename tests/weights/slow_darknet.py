"""What darknet computes, slowly: loops over a ``.cfg`` and its numbers by the definitions, for tests to compare with.

Written from darknet's own description of its layers; shares no line with the package.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ACTIVATIONS = {
    "linear": lambda x: x,
    "leaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.minimum(np.maximum(x, 0), 6),
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "mish": lambda x: x * np.tanh(np.log(1 + np.exp(x))),
    "swish": lambda x: x / (1 + np.exp(-x)),
}


@dataclass
class Found:
    """One box of one anchor of one cell: centre and size as parts of the picture, objectness, classes."""

    x: float
    y: float
    w: float
    h: float
    objectness: float
    classes: list[float]


def sections(text: str) -> list[tuple[str, dict[str, str]]]:
    found: list[tuple[str, dict[str, str]]] = []
    for line in text.splitlines():
        words = line.split("#")[0].replace(" ", "")
        if words.startswith("["):
            found.append((words[1:-1], {}))
        elif words:
            key, value = words.split("=")
            found[-1][1][key] = value
    return found


def answers(text: str, numbers: Array, picture: Array) -> list[tuple[Array, list[Found]]]:
    """For each ``[yolo]`` of the text the raw map before it ``[C, H, W]``, and the boxes, cell by cell, row by row."""
    (_, net), *layers = sections(text)
    stream = iter(numbers.tolist())
    maps: list[Array] = []
    found = []
    x = picture
    for index, (name, options) in enumerate(layers):
        whole = {key: int(value) for key, value in options.items() if value.lstrip("-").isdigit()}
        if name == "convolutional":
            x = convolution(x, whole, stream)
        elif name == "maxpool":
            x = max_pool(x, whole["size"], whole["stride"])
        elif name == "upsample":
            x = np.array([[[row[j // whole["stride"]] for j in range(len(row) * whole["stride"])]
                           for row in plane for _ in range(whole["stride"])] for plane in x])  # fmt: skip
        elif name == "shortcut":
            x = x + maps[whole["from"] + index if whole["from"] < 0 else whole["from"]]
        elif name == "route":
            others = [int(word) for word in options["layers"].split(",")]
            parts = [maps[other + index if other < 0 else other] for other in others]
            groups, part = whole.get("groups", 1), whole.get("group_id", 0)
            cut = [each[len(each) // groups * part : len(each) // groups * (part + 1)] for each in parts]
            x = np.array([plane for each in cut for plane in each])
        elif name == "yolo":
            found.append((x, boxes(x, options, int(net["width"]), int(net["height"]))))
        else:
            assert name == "dropout"
        if name in ("convolutional", "shortcut"):
            x = ACTIVATIONS[options["activation"]](x)
        maps.append(x)
    assert next(stream, None) is None, "numbers are left over"
    return found


def convolution(x: Array, options: dict[str, int], stream) -> Array:
    filters, size, stride, groups = (options.get(key, 1) for key in ("filters", "size", "stride", "groups"))
    padding = size // 2 if options.get("pad") else 0
    channels, height, width = x.shape
    beta = [next(stream) for _ in range(filters)]
    if options.get("batch_normalize"):
        gamma, mean, variance = ([next(stream) for _ in range(filters)] for _ in range(3))
    each = channels // groups
    kernel = np.array([next(stream) for _ in range(filters * each * size * size)]).reshape(filters, each, size, size)
    down, across = (height + 2 * padding - size) // stride + 1, (width + 2 * padding - size) // stride + 1
    y = np.zeros((filters, down, across))
    for f in range(filters):
        first = f // (filters // groups) * each
        for i in range(down):
            for j in range(across):
                total = 0.0
                for c in range(each):
                    for a in range(size):
                        for b in range(size):
                            row, column = i * stride + a - padding, j * stride + b - padding
                            if 0 <= row < height and 0 <= column < width:
                                total += x[first + c, row, column] * kernel[f, c, a, b]
                if options.get("batch_normalize"):
                    total = (total - mean[f]) / math.sqrt(variance[f] + 1e-5) * gamma[f]
                y[f, i, j] = total + beta[f]
    return y


def max_pool(x: Array, size: int, stride: int) -> Array:
    """Darknet pads by ``size - 1`` places, of which half, rounded down, come before."""
    channels, height, width = x.shape
    down, across = (height - 1) // stride + 1, (width - 1) // stride + 1
    before = (size - 1) // 2
    y = np.full((channels, down, across), -np.inf)
    for i in range(down):
        for j in range(across):
            for a in range(size):
                for b in range(size):
                    row, column = i * stride + a - before, j * stride + b - before
                    if 0 <= row < height and 0 <= column < width:
                        y[:, i, j] = np.maximum(y[:, i, j], x[:, row, column])
    return y


def boxes(x: Array, options: dict[str, str], width: int, height: int) -> list[Found]:
    classes, mask = int(options["classes"]), [int(word) for word in options["mask"].split(",")]
    sides = [float(word) for word in options["anchors"].split(",")]
    alpha = float(options.get("scale_x_y", 1))
    sigmoid = ACTIVATIONS["logistic"]
    found = []
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            for number, anchor in enumerate(mask):
                own = x[number * (5 + classes) : (number + 1) * (5 + classes), i, j]
                dx, dy = (sigmoid(own[at]) * alpha - (alpha - 1) / 2 for at in (0, 1))
                found.append(
                    Found(
                        x=(j + dx) / x.shape[2],
                        y=(i + dy) / x.shape[1],
                        w=math.exp(own[2]) * sides[2 * anchor] / width,
                        h=math.exp(own[3]) * sides[2 * anchor + 1] / height,
                        objectness=float(sigmoid(own[4])),
                        classes=sigmoid(own[5:]).tolist(),
                    )
                )
    return found
