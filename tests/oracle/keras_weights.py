"""Runs in .venv-oracle: Keras' own models with drawn weights, written in its formats, and what they answer.

    python keras_weights.py

takes lines of JSON, ``[JOB, "FOLDER"]``, and says ``done`` after each. Writes images.npy ``[2, H, W, C]``, logits.npy
``[2, classes]`` and, of a model made here, the ``forms`` that the job asks for: weights.h5 (as Keras 1 and 2 wrote
them), model.h5, model.keras or numbered.weights.h5. The job names a ``network`` (of keras.applications, or one below),
its ``options`` and ``size``; or a ``file`` to load instead. Every number of every layer is drawn, running statistics
and biases too.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import keras
import numpy as np
from keras import layers
from keras.src.legacy.saving import legacy_h5_format


def drawn_images(shape: tuple[int, ...]) -> np.ndarray:
    """One picture of noise, one of large soft spots."""
    rng = np.random.default_rng(6)
    height, width, channels = shape
    spots = rng.normal(size=(height // 16 + 1, width // 16 + 1, channels)).repeat(16, axis=0).repeat(16, axis=1)
    return np.stack([rng.normal(size=shape), 2 * spots[:height, :width]]).astype(np.float32)


def drawn_weights(model: keras.Model, images: np.ndarray) -> None:
    """Draw every number. The running statistics are near those of the images, or deep networks would drown in them."""
    rng = np.random.default_rng(5)
    for variable in model.variables:
        shape, name = variable.shape, variable.path.rsplit("/", 1)[-1]
        if name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, shape))
        elif "kernel" in name:
            inputs = np.prod(shape[:2]) if shape[-1] == 1 else np.prod(shape[:-1])  # a depthwise one reads one map
            variable.assign(rng.normal(0.0, np.sqrt(2 / inputs), shape))
        elif name in ("bias", "beta", "moving_mean"):
            variable.assign(rng.normal(0.0, 0.2, shape))
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, layers.BatchNormalization)]
    before = [(norm.momentum, norm.trainable) for norm in norms]
    for norm in norms:
        norm.momentum, norm.trainable = 0.0, True
    model(images, training=True)
    for norm, (norm.momentum, norm.trainable) in zip(norms, before, strict=True):
        variance, shape = norm.moving_variance.numpy(), norm.moving_mean.shape
        norm.moving_mean.assign_add(rng.normal(0.0, 0.2, shape) * np.sqrt(variance))
        norm.moving_variance.assign(variance * rng.uniform(0.5, 1.5, shape))


def squeezenet1_1(size: list[int], classes: int) -> keras.Model:
    def fire(x, number: int, squeezed: int, expanded: int):
        name = f"fire{number}"
        x = layers.Conv2D(squeezed, 1, activation="relu", name=f"{name}_squeeze1x1")(x)
        small = layers.Conv2D(expanded, 1, activation="relu", name=f"{name}_expand1x1")(x)
        large = layers.Conv2D(expanded, 3, activation="relu", padding="same", name=f"{name}_expand3x3")(x)
        return layers.Concatenate()([small, large])

    images = keras.Input((*size, 3))
    x = layers.Conv2D(64, 3, strides=2, activation="relu", name="conv1")(images)
    for number in range(2, 10):
        if number in (2, 4, 6):
            x = layers.MaxPooling2D(3, strides=2)(x)
        width = number // 2 * 16
        x = fire(x, number, width, width * 4)
    x = layers.Conv2D(classes, 1, activation="relu", name="conv10")(x)
    return keras.Model(images, layers.GlobalAveragePooling2D()(x))


def fashion_cnn(size: list[int], classes: int) -> keras.Model:
    def convolution(channels: int, window: int = 3):
        return layers.Conv2D(channels, window, padding="same", activation="relu")

    return keras.Sequential(
        [
            *(keras.Input((*size, 1)), convolution(64, 7), layers.MaxPool2D()),
            *(convolution(128), convolution(128), layers.MaxPool2D()),
            *(convolution(256), convolution(256), layers.MaxPool2D(), layers.Flatten()),
            *(layers.Dense(128, "relu"), layers.Dropout(0.5), layers.Dense(64, "relu"), layers.Dropout(0.5)),
            layers.Dense(classes),
        ]
    )


def lenet5(size: list[int], classes: int) -> keras.Model:
    return keras.Sequential(
        [
            *(keras.Input((*size, 1)), layers.Conv2D(6, 5, activation="tanh"), layers.AveragePooling2D(2)),
            *(layers.Conv2D(16, 5, activation="tanh"), layers.AveragePooling2D(2), layers.Flatten()),
            *(layers.Dense(120, "tanh"), layers.Dense(84, "tanh"), layers.Dense(classes)),
        ]
    )


def transferred(size: list[int], classes: int) -> keras.Model:
    """Xception under a head of its own, as a model in the model, its last layers alone being trained."""
    keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3), layers.BatchNormalization(), layers.Dense(2)])
    base = keras.applications.Xception(weights=None, include_top=False, input_shape=(*size, 3))
    for layer in base.layers[:-20]:
        layer.trainable = False
    images = keras.Input((*size, 3))
    x = layers.GlobalAveragePooling2D()(base(images))
    return keras.Model(images, layers.Dense(classes)(layers.Dropout(0.5)(x)))


HERE = {network.__name__: network for network in (squeezenet1_1, fashion_cnn, lenet5, transferred)}


def made(job: dict) -> keras.Model:
    name, size, classes = job["network"], job["size"], job["classes"]
    if name in HERE:
        return HERE[name](size, classes)
    build = getattr(keras.applications, name)
    return build(
        weights=None, classes=classes, input_shape=(*size, 3), classifier_activation=None, **job.get("options", {})
    )


def save(model: keras.Model, path: Path) -> None:
    match path.name:
        case "weights.h5":
            with h5py.File(path, "w") as file:
                legacy_h5_format.save_weights_to_hdf5_group(file, model)
        case "model.h5" | "model.keras":
            model.save(path)
        case "numbered.weights.h5":
            model.save_weights(path)
        case _:
            raise KeyError(path.name)


def main(job: dict, folder: Path) -> None:
    keras.utils.clear_session()  # layers are numbered from the first again, as in a program of their own
    if "file" in job and "network" not in job:
        model = keras.models.load_model(job["file"], compile=False)
        model.layers[-1].activation = keras.activations.linear
    else:
        model = made(job)
        if "file" in job:
            model.load_weights(job["file"])
        else:
            drawn_weights(model, drawn_images(model.input_shape[1:]))
            for layer in model.layers:
                if "epsilon" in job and isinstance(layer, layers.BatchNormalization):
                    layer.epsilon = job["epsilon"]
            for form in job["forms"]:
                save(model, folder / form)
    images = drawn_images(model.input_shape[1:])
    np.save(folder / "images.npy", images)
    np.save(folder / "logits.npy", np.asarray(model(images, training=False)))


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what libraries print must not get between the answers
        for line in sys.stdin:
            job, folder = json.loads(line)
            main(job, Path(folder))
            print("done", file=answers, flush=True)
