"""Runs in .venv-oracle: TensorFlow's answers to many windows at once, arrays by file.

    python tensorflow_windows.py

takes lines of JSON, ``[WHAT, "FOLDER"]``, and says ``done`` after each. Layouts are TensorFlow's.

``"cases"``: reads cases.json (a list of objects) and numbers.npy (from which every case takes its input and its
weights, in that order, from the front), and writes answers.npy (all answers one after another, in float64) and
shapes.json (the shape of each, or the text of TensorFlow's refusal).

``"windows"``: reads windows.json (the stride of each, and whether it is depthwise), x0.npy and w0.npy and so on, and
writes y0.npy and so on, with SAME.
"""

import json
import math
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf


class Numbers:
    """The shared numbers, handed out from the front."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.taken = values, 0

    def take(self, *shape: int) -> np.ndarray:
        start, self.taken = self.taken, self.taken + math.prod(shape)
        return self.values[start : self.taken].reshape(shape)


def answer(case: dict, values: np.ndarray) -> np.ndarray:
    numbers = Numbers(values)
    size, window, stride, dilation = (tuple(case[name]) for name in ("size", "window", "stride", "dilation"))
    padding, axes, channels, outs = case["padding"].upper(), len(size), case["channels"], case["outs"]
    spans = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    if case["op"] != "transposed" and padding == "VALID" and any(n < k for n, k in zip(size, spans, strict=True)):
        # TensorFlow makes an empty tensor of it, refuses it, or dies of a division by zero, by operation and device.
        raise ValueError("the window is larger than its input")
    x = numbers.take(case["count"], *size, channels)
    all_strides = (1, *stride, 1)
    match case["op"]:
        case "conv":
            w = numbers.take(*window, channels, outs)
            if axes == 3 and max(dilation) > 1:
                return tf.nn.convolution(x, w, padding=padding, dilations=dilation).numpy()
            if axes == 3:
                return tf.nn.conv3d(x, w, all_strides, padding).numpy()
            if axes == 1:
                return tf.nn.conv1d(x, w, stride[0], padding, dilations=dilation[0]).numpy()
            return tf.nn.conv2d(x, w, stride, padding, dilations=dilation).numpy()
        case "depthwise":
            w = numbers.take(*window, channels, case["multiplier"])
            return tf.nn.depthwise_conv2d(x, w, all_strides, padding, dilations=dilation).numpy()
        case "separable":
            w = numbers.take(*window, channels, case["multiplier"])
            mix = numbers.take(1, 1, channels * case["multiplier"], outs)
            return tf.nn.separable_conv2d(x, w, mix, all_strides, padding, dilations=dilation).numpy()
        case "transposed":
            w = numbers.take(*window, outs, channels)
            made = (case["count"], *case["made"], outs)
            function = tf.nn.conv2d_transpose if axes == 2 else tf.nn.conv3d_transpose
            return function(x, w, made, all_strides, padding).numpy()
        case "max" | "average":
            return pooled(case["op"], x, window, stride, dilation, padding)
    raise KeyError(case["op"])


def pooled(kind: str, x: np.ndarray, window, stride, dilation, padding: str) -> np.ndarray:
    if x.ndim == 5:
        # TensorFlow pools three dimensions in float32 only: in float64 over the last two, then over the first.
        count, depth, height, width, channels = x.shape
        y = pooled(kind, x.reshape(-1, height, width, channels), window[1:], stride[1:], dilation[1:], padding)
        y = y.reshape(count, depth, -1, channels)
        y = pooled(kind, y, (window[0], 1), (stride[0], 1), (dilation[0], 1), padding)
        return y.reshape(count, y.shape[1], -1, *pool_shape(x, window, stride, dilation, padding), channels)
    if max(dilation) == 1:  # the function below refuses strides beyond the window, these do not
        x = tf.constant(x)  # an array would be made float32
        return (tf.nn.max_pool2d if kind == "max" else tf.nn.avg_pool2d)(x, window, stride, padding).numpy()
    name = "MAX" if kind == "max" else "AVG"
    return tf.nn.pool(x, window, name, strides=stride, padding=padding, dilations=dilation).numpy()


def pool_shape(x: np.ndarray, window, stride, dilation, padding: str) -> tuple[int]:
    """The width of the output, to fold it out of height and width again."""
    size, k, s, d = x.shape[3], window[2], stride[2], dilation[2]
    return (math.ceil(size / s) if padding == "SAME" else math.ceil((size - d * (k - 1)) / s),)


def windows(folder: Path) -> None:
    for number, (stride, alone) in enumerate(json.loads((folder / "windows.json").read_text())):
        x, w = np.load(folder / f"x{number}.npy"), np.load(folder / f"w{number}.npy")
        window = tf.nn.depthwise_conv2d if alone else tf.nn.conv2d
        np.save(folder / f"y{number}.npy", window(x, w, [1, stride, stride, 1], "SAME").numpy())


def cases(folder: Path) -> None:
    values = np.load(folder / "numbers.npy")
    answers, shapes = [], []
    for case in json.loads((folder / "cases.json").read_text()):
        try:
            found = answer(case, values)
        except (tf.errors.InvalidArgumentError, ValueError) as error:
            shapes.append(str(error)[:200])
            continue
        shapes.append(list(found.shape))
        answers.append(found.astype(np.float64).ravel())
    np.save(folder / "answers.npy", np.concatenate(answers))
    (folder / "shapes.json").write_text(json.dumps(shapes))


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what libraries print must not get between the answers
        for line in sys.stdin:
            what, folder = json.loads(line)
            {"cases": cases, "windows": windows}[what](Path(folder))
            print("done", file=answers, flush=True)
