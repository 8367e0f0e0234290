"""Networks without numbers."""

import pytest

from striate.models import MODELS, build
from striate.models.meta import build_on_meta


@pytest.mark.parametrize("name", ["lenet5", "lenet5_1998", "squeezenet1_1", "resnet18", "googlenet", "xception"])
def test_has_the_shapes_of_the_network(name: str) -> None:
    assert name in MODELS
    there, drawn = build(name, classes=7).state_dict(), build_on_meta(name, classes=7).state_dict()
    assert all(tensor.is_meta for tensor in drawn.values())
    assert {key: value.shape for key, value in there.items()} == {key: value.shape for key, value in drawn.items()}
