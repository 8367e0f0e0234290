"""Other people's PyTorch networks and ours: from a file of theirs, with their names, ours answers as they do."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from striate.models import build
from striate.weights.foreign import Foreign
from striate.weights.readers import safetensors_file, torch_file
from striate.weights.schemes import Placed, place
from tests.oracle.conftest import Oracle

PROGRAM = Path(__file__).with_name("torch_weights.py")


@dataclass(frozen=True)
class Case:
    """Their network, the name of ours that is asked for, what that should mean, and the pictures' size.

    ``pool`` is set where the other network's max pool has another padding than ours of the same parameters.
    """

    library: str
    theirs: str
    asked: str
    meant: str
    scheme: str
    size: int
    slow: bool = False


CASES = (
    Case("torchvision", "alexnet", "alexnet", "alexnet_single", "torchvision", 224, slow=True),
    Case("torchvision", "vgg11", "vgg11", "vgg11", "torchvision", 224, slow=True),
    Case("torchvision", "vgg16_bn", "vgg16_bn", "vgg16_bn", "torchvision", 224, slow=True),
    Case("torchvision", "googlenet", "googlenet", "googlenet_bn", "torchvision_googlenet", 96),
    Case("torchvision", "resnet18", "resnet18", "resnet18", "own", 64),
    Case("torchvision", "resnet50", "resnet50", "resnet50", "own", 64, slow=True),
    Case("torchvision", "squeezenet1_0", "squeezenet1_0", "squeezenet1_0", "torchvision", 96),
    Case("torchvision", "squeezenet1_1", "squeezenet1_1", "squeezenet1_1", "torchvision", 96),
    Case("torchvision", "mobilenet_v2", "mobilenet_v2", "mobilenet_v2", "torchvision", 64),
    Case("tonylins", "mobilenet_v2", "mobilenet_v2", "mobilenet_v2", "torchvision", 64),
    Case("timm", "tf_efficientnet_lite0", "efficientnet_lite0", "efficientnet_lite0", "timm_efficientnet", 64),
    Case("timm", "tf_efficientnet_lite4", "efficientnet_lite4", "efficientnet_lite4", "timm_efficientnet", 64),
    Case("timm", "legacy_seresnet18", "se_resnet18", "se_resnet18", "timm_legacy_seresnet", 64),
    Case("timm", "legacy_seresnet50", "se_resnet50", "se_resnet50", "timm_legacy_seresnet", 64, slow=True),
    # At this size symmetric paddings and SAME ones agree.
    Case("timm", "legacy_xception", "xception", "xception", "timm_legacy_xception", 71, slow=True),
    Case("timm", "mobilenetv1_100", "mobilenet_v1", "mobilenet_v1_symmetric", "timm_mobilenet", 64),
    Case("timm", "mobilenetv2_100", "mobilenet_v2", "mobilenet_v2", "timm_mobilenet", 64),
    Case("timm", "vgg16", "vgg16", "vgg16", "torchvision", 224, slow=True),
    Case("transformers", "resnet-50", "resnet50", "resnet50", "transformers", 64, slow=True),
)


def written(oracle: Callable[[Path], Oracle], case: Case, file: Path) -> Foreign:
    oracle(PROGRAM).ask(case.library, case.theirs, case.size, file)
    reader = safetensors_file if file.suffix == ".safetensors" else torch_file
    contents = reader.read(file)
    file.unlink()  # half a gigabyte for some, and pytest keeps folders
    origin = "safetensors" if file.suffix == ".safetensors" else "torch"
    return Foreign(
        path=file, origin=origin, container=contents.container, arrays=contents.arrays, sha256="", facts=contents.facts
    )


def answers(placed: Placed, images: torch.Tensor) -> torch.Tensor:
    with torch.device("meta"):
        network = build(placed.model, classes=placed.classes, in_channels=placed.in_channels)
    missing, unexpected = network.load_state_dict(placed.tensors, strict=False, assign=True)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    with torch.no_grad():
        return network.eval()(images)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=f"{case.library}-{case.theirs}", marks=[pytest.mark.slow] * case.slow) for case in CASES],
)
def test_logits_equal_the_original(case: Case, oracle: Callable[[Path], Oracle], tmp_path: Path) -> None:
    ending = "safetensors" if case.library in ("timm", "transformers") else "pth"
    foreign = written(oracle, case, tmp_path / f"weights.{ending}")
    placed = place(foreign, case.asked, classes=1000)
    assert (placed.model, placed.scheme, placed.fresh) == (case.meant, case.scheme, ())
    images, wanted = (torch.from_numpy(np.load(tmp_path / f"{name}.npy")) for name in ("images", "logits"))
    spread = (wanted.max() - wanted.min()).item()
    assert (wanted[0] - wanted[1]).abs().max().item() > 0.01 * spread  # the pictures are told apart
    assert (answers(placed, images) - wanted).abs().max().item() <= 1e-4 * spread


@pytest.mark.oracle
def test_a_network_of_other_strides_is_not_taken_for_ours(oracle: Callable[[Path], Oracle], tmp_path: Path) -> None:
    """timm's seresnet50 has every name and shape that our se_resnet50 has, and strides elsewhere."""
    case = Case("timm", "seresnet50", "se_resnet50", "", "", 64)
    foreign = written(oracle, case, tmp_path / "weights.safetensors")
    with pytest.raises(Exception, match="unexpected"):
        place(foreign, "se_resnet50", classes=1000)
