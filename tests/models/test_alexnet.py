"""AlexNet in both forms, against the published prototxt's figures and torch's own functions."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from striate.models.alexnet import AlexNet, alexnet, alexnet_single
from striate.models.network import parameter_count


def shapes(network: AlexNet) -> dict[str, tuple[int, ...]]:
    """The output of each convolution, pool and dense layer for one picture."""
    found: dict[str, tuple[int, ...]] = {}
    for name, module in network.named_children():
        if name.startswith(("conv", "pool", "fc")):
            module.register_forward_hook(lambda _, __, y, name=name: found.__setitem__(name, tuple(y.shape[1:])))
    assert network.size is not None
    network(torch.zeros(1, 3, *network.size, device="meta"))
    return found


def multiply_adds(network: AlexNet) -> float:
    assert network.size is not None
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, *network.size, device="meta"))
    return counter.get_total_flops() / 2


def test_two_groups_count_as_published() -> None:
    with torch.device("meta"):
        network = alexnet(classes=1000, in_channels=3)
    assert parameter_count(network) == 60_965_224
    assert multiply_adds(network) == 724_406_816
    assert shapes(network) == {
        "conv1": (96, 55, 55),
        "pool1": (96, 27, 27),
        "conv2": (256, 27, 27),
        "pool2": (256, 13, 13),
        "conv3": (384, 13, 13),
        "conv4": (384, 13, 13),
        "conv5": (256, 13, 13),
        "pool5": (256, 6, 6),
        "fc6": (4096,),
        "fc7": (4096,),
        "fc8": (1000,),
    }


def test_one_tower_counts_as_published() -> None:
    with torch.device("meta"):
        network = alexnet_single(classes=1000, in_channels=3)
    assert parameter_count(network) == 61_100_840
    assert multiply_adds(network) == 714_188_480
    assert shapes(network) == {
        "conv1": (64, 55, 55),
        "pool1": (64, 27, 27),
        "conv2": (192, 27, 27),
        "pool2": (192, 13, 13),
        "conv3": (384, 13, 13),
        "conv4": (256, 13, 13),
        "conv5": (256, 13, 13),
        "pool5": (256, 6, 6),
        "fc6": (4096,),
        "fc7": (4096,),
        "fc8": (1000,),
    }


def test_names() -> None:
    layers = [f"{name}.{kind}" for name in ("conv", "fc") for kind in ("weight", "bias")]
    numbers = {"conv": range(1, 6), "fc": range(6, 9)}
    expected = {f"{n.split('.')[0]}{i}.{n.split('.')[1]}" for n in layers for i in numbers[n.split(".")[0]]}
    for builder in (alexnet, alexnet_single):
        with torch.device("meta"):
            network = builder(classes=1000, in_channels=3)
        assert set(network.state_dict()) == expected


def with_biases(network: AlexNet) -> dict[str, Tensor]:
    """Fresh biases are zero, which would hide that one is forgotten."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.0, 0.1)
    return network.state_dict()


def dense(x: Tensor, w: dict[str, Tensor]) -> Tensor:
    for name in ("fc6", "fc7"):
        x = F.relu(F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"]))
    return F.linear(x, w["fc8.weight"], w["fc8.bias"])


def test_two_groups_compute_what_the_prototxt_says() -> None:
    network = alexnet(classes=7, in_channels=3).eval()
    w = with_biases(network)
    # Bright enough that the response norm divides by something.
    images = 100 * torch.randn(1, 3, 227, 227)
    with torch.no_grad():
        x = F.relu(F.conv2d(images, w["conv1.weight"], w["conv1.bias"], stride=4))
        x = F.max_pool2d(F.local_response_norm(x, 5, 1e-4, 0.75, 1.0), 3, 2)
        x = F.relu(F.conv2d(x, w["conv2.weight"], w["conv2.bias"], padding=2, groups=2))
        x = F.max_pool2d(F.local_response_norm(x, 5, 1e-4, 0.75, 1.0), 3, 2)
        x = F.relu(F.conv2d(x, w["conv3.weight"], w["conv3.bias"], padding=1))
        x = F.relu(F.conv2d(x, w["conv4.weight"], w["conv4.bias"], padding=1, groups=2))
        x = F.relu(F.conv2d(x, w["conv5.weight"], w["conv5.bias"], padding=1, groups=2))
        expected = dense(F.max_pool2d(x, 3, 2).flatten(1), w)
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)


def test_one_tower_computes_what_the_common_weights_were_trained_with() -> None:
    network = alexnet_single(classes=7, in_channels=3).eval()
    w = with_biases(network)
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        x = F.max_pool2d(F.relu(F.conv2d(images, w["conv1.weight"], w["conv1.bias"], stride=4, padding=2)), 3, 2)
        x = F.max_pool2d(F.relu(F.conv2d(x, w["conv2.weight"], w["conv2.bias"], padding=2)), 3, 2)
        for name in ("conv3", "conv4", "conv5"):
            x = F.relu(F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], padding=1))
        expected = dense(F.max_pool2d(x, 3, 2).flatten(1), w)
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)


def test_dropout_stands_where_the_sources_have_it() -> None:
    with torch.device("meta"):
        two, one = alexnet(classes=7, in_channels=3), alexnet_single(classes=7, in_channels=3, dropout=0.25)
    last = {"two": [*two.blocks["dense"], *two.blocks["head"]], "one": [*one.blocks["dense"], *one.blocks["head"]]}
    assert last["two"] == ["flatten", "fc6", "relu", "drop6", "fc7", "relu", "drop7", "fc8"]
    assert last["one"] == ["flatten", "drop6", "fc6", "relu", "drop7", "fc7", "relu", "fc8"]
    assert [drop.p for net in (two, one) for drop in (net.drop6, net.drop7)] == [0.5, 0.5, 0.25, 0.25]


def test_weights_begin_so_that_all_classes_are_alike() -> None:
    network = alexnet(classes=5, in_channels=3).eval()
    with torch.no_grad():
        logits = network(torch.randn(2, 3, 227, 227))
    assert 0.005 < logits.std().item() < 0.5
    for module in network.modules():
        if isinstance(module, nn.Linear):
            assert abs(module.weight.std().item() - 0.01) < 1e-3
    # He's backward case counts the outputs that a weight reaches: those of its own group.
    assert abs(network.conv2.weight.var().item() * 128 * 25 / 2 - 1) < 0.05
