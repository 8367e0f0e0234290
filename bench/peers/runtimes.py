"""Answers of an ONNX file by a runtime.

python -m bench.peers.runtimes onnxruntime|openvino STEM float32|bfloat16
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from striate.base.hardware import cores
from striate.benchmarking.worker import Workload, serve

ANSWERS = 8


def onnxruntime(path: Path, precision: str) -> tuple[Callable[[Any], Any], str]:
    import onnxruntime as runtime  # type: ignore[import-not-found] # the peers' environment has it

    assert precision == "float32"
    options = runtime.SessionOptions()
    options.intra_op_num_threads = cores()
    # Its threads spin while a session runs, for speed; they must not while others are measured.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0], runtime.__version__


def openvino(path: Path, precision: str) -> tuple[Callable[[Any], Any], str]:
    import openvino as runtime  # type: ignore[import-not-found] # the peers' environment has it

    hints = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": cores(),
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
    }
    model = runtime.Core().compile_model(str(path), "CPU", hints)
    return lambda images: model(images)[0], runtime.__version__


RUNTIMES = {"onnxruntime": onnxruntime, "openvino": openvino}


def told(outputs: Any) -> list[float]:
    """The first logits of the first picture, to be compared; of one with logits everywhere, those of its middle."""
    logits = outputs[0]
    if logits.ndim == 3:
        logits = logits[:, logits.shape[1] // 2, logits.shape[2] // 2]
    return [float(each) for each in logits[:ANSWERS]]


def build(runtime: str, stem: str, precision: str) -> Workload:
    import numpy as np

    images = np.load(f"{stem}.npy", allow_pickle=False)
    answer, version = RUNTIMES[runtime](Path(f"{stem}.onnx"), precision)
    about = {"precision": precision, "answers": told(answer(images)), "versions": {runtime: version}}
    return Workload(lambda: answer(images), len(images), about)


if __name__ == "__main__":
    serve(lambda: build(sys.argv[1], sys.argv[2], sys.argv[3]))
