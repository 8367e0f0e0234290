"""Inference against ONNX Runtime and OpenVINO."""

from collections.abc import Iterator

from accept import Check
from bench import inference
from bench.section import Settings


def checks() -> Iterator[Check]:
    yield from inference.run(Settings()).checks
