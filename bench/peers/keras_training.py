"""Training steps of a network of `keras.applications`, as `model.fit` does them, on pictures in memory.

python -m bench.peers.keras_training ResNet50 16 float32|mixed_bfloat16      (KERAS_BACKEND says on what)
"""

import os
import sys

from striate.base.hardware import cores
from striate.benchmarking.worker import Workload, serve

CLASSES, SIDE = 1000, 224


def build(name: str, batch_size: int, policy: str) -> Workload:
    if os.environ["KERAS_BACKEND"] == "tensorflow":
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(cores())
    import keras
    import numpy as np

    keras.mixed_precision.set_global_policy(policy)
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, classes=CLASSES, input_shape=(SIDE, SIDE, 3))
    model.compile(
        optimizer=keras.optimizers.SGD(1e-4, momentum=0.9, weight_decay=1e-4),
        loss="sparse_categorical_crossentropy",
    )
    drawn = np.random.default_rng(0)
    pictures = drawn.standard_normal((batch_size, SIDE, SIDE, 3), dtype=np.float32)
    labels = drawn.integers(0, CLASSES, batch_size)
    precision = "bfloat16" if policy == "mixed_bfloat16" else "float32"
    about = {"precision": precision, "versions": {"keras": keras.__version__, "backend": keras.backend.backend()}}
    return Workload(lambda: model.train_on_batch(pictures, labels), batch_size, about)


if __name__ == "__main__":
    serve(lambda: build(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
