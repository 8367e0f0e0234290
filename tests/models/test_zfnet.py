"""ZFNet against the paper's shapes, counts of a plain torch model, and torch's own functions."""

import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from striate.models.network import parameter_count
from striate.models.zfnet import zfnet


def test_counts_and_shapes_are_as_published() -> None:
    found: dict[str, tuple[int, ...]] = {}
    with torch.device("meta"):
        network = zfnet(classes=1000, in_channels=3)
        for name, module in network.named_children():
            if name.startswith(("conv", "pool", "fc")):
                module.register_forward_hook(lambda _, __, y, name=name: found.__setitem__(name, tuple(y.shape[1:])))
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, 224, 224))
    assert parameter_count(network) == 62_357_608
    assert counter.get_total_flops() == 2 * 1_168_032_896
    assert found == {
        "conv1": (96, 110, 110),
        "pool1": (96, 55, 55),
        "conv2": (256, 26, 26),
        "pool2": (256, 13, 13),
        "conv3": (384, 13, 13),
        "conv4": (384, 13, 13),
        "conv5": (256, 13, 13),
        "pool5": (256, 6, 6),
        "fc6": (4096,),
        "fc7": (4096,),
        "fc8": (1000,),
    }
    layers = [f"conv{i}" for i in range(1, 6)] + ["fc6", "fc7", "fc8"]
    assert list(network.state_dict()) == [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]


def test_computes_what_the_paper_says() -> None:
    """Figure 3: rectified, pooled, then normalized across maps."""
    network = zfnet(classes=7, in_channels=3).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.0, 0.1)
    w = network.state_dict()
    # Bright enough that the response norm divides by something.
    images = 100 * torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        x = F.relu(F.conv2d(images, w["conv1.weight"], w["conv1.bias"], stride=2, padding=1))
        x = F.local_response_norm(F.max_pool2d(x, 3, 2, ceil_mode=True), 5, 1e-4, 0.75, 1.0)
        x = F.relu(F.conv2d(x, w["conv2.weight"], w["conv2.bias"], stride=2))
        x = F.local_response_norm(F.max_pool2d(x, 3, 2, ceil_mode=True), 5, 1e-4, 0.75, 1.0)
        for name in ("conv3", "conv4", "conv5"):
            x = F.relu(F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], padding=1))
        x = F.max_pool2d(x, 3, 2, ceil_mode=True).flatten(1)
        for name in ("fc6", "fc7"):
            x = F.relu(F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"]))
        expected = F.linear(x, w["fc8.weight"], w["fc8.bias"])
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)


def test_dropout_follows_the_hidden_dense_layers() -> None:
    with torch.device("meta"):
        network = zfnet(classes=7, in_channels=3, dropout=0.25)
    last = [*network.blocks["dense"], *network.blocks["head"]]
    assert last == ["flatten", "fc6", "relu", "drop6", "fc7", "relu", "drop7", "fc8"]
    assert (network.drop6.p, network.drop7.p) == (0.25, 0.25)
