"""The textbook's Fashion-MNIST network in Keras 3 on TensorFlow, timed by `model.fit`.

    python -m bench.peers.keras_fashion_cnn DATA.npz textbook|bfloat16 EPOCHS

"textbook" is what a reader of the chapter types: arrays in memory, `compile` and `fit` as they come. "bfloat16" is its
best reasonable form: mixed precision over a cached, shuffled, prefetched tf.data pipeline. (XLA was
half as fast as the textbook's form on a processor without AMX, and is left out.)
"""

import json
import os
import sys
import time

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

BATCH = 128


def network() -> keras.Model:
    def convolution(filters: int, window: int = 3) -> keras.Layer:
        return keras.layers.Conv2D(filters, window, padding="same", activation="relu", kernel_initializer="he_normal")

    def dense(units: int) -> keras.Layer:
        return keras.layers.Dense(units, activation="relu", kernel_initializer="he_normal")

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *(convolution(64, 7), keras.layers.MaxPool2D()),
            *(convolution(128), convolution(128), keras.layers.MaxPool2D()),
            *(convolution(256), convolution(256), keras.layers.MaxPool2D()),
            keras.layers.Flatten(),
            *(dense(128), keras.layers.Dropout(0.5)),
            *(dense(64), keras.layers.Dropout(0.5)),
            # Float32 also in mixed precision, as Keras' guide asks.
            keras.layers.Dense(10, activation="softmax", dtype="float32"),
        ]
    )


class Clock(keras.callbacks.Callback):  # type: ignore[misc] # keras has no types here
    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.epochs.append(time.perf_counter() - self.started)


def main(path: str, form: str, epochs: int) -> None:
    with np.load(path, allow_pickle=False) as arrays:
        pictures = arrays["x_train"].astype(np.float32)[..., None] / 255.0
        labels = arrays["y_train"].astype(np.int64)
    if form == "bfloat16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    keras.utils.set_random_seed(0)
    model = network()
    assert model.count_params() == 1_413_834
    model.compile(
        loss="sparse_categorical_crossentropy",
        optimizer=keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
        metrics=["accuracy"],
        jit_compile=False if form == "bfloat16" else "auto",
    )
    clock = Clock()
    if form == "bfloat16":
        batches = tf.data.Dataset.from_tensor_slices((pictures, labels)).cache().shuffle(len(pictures))
        model.fit(batches.batch(BATCH).prefetch(tf.data.AUTOTUNE), epochs=epochs, callbacks=[clock], verbose=0)
    else:
        model.fit(pictures, labels, batch_size=BATCH, epochs=epochs, callbacks=[clock], verbose=0)
    print(json.dumps({"images_per_second": len(pictures) / clock.epochs[-1], "epochs": clock.epochs}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
