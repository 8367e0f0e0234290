"""Equal logits with the originals holding the same random weights: Keras, torchvision, timm, transformers."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass


def checks() -> Iterator[Check]:
    yield all_pass("3.keras", "tests/oracle/test_keras_weights.py")
    yield all_pass("3.torch", "tests/oracle/test_torch_weights.py")
