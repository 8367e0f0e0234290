import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from striate.models.lenet_caffe import lenet_caffe
from striate.models.network import parameter_count

SHAPES = {
    "conv1.weight": (20, 1, 5, 5),
    "conv1.bias": (20,),
    "conv2.weight": (50, 20, 5, 5),
    "conv2.bias": (50,),
    "ip1.weight": (500, 800),
    "ip1.bias": (500,),
    "ip2.weight": (10, 500),
    "ip2.bias": (10,),
}


def test_counts_are_the_prototxts() -> None:
    with torch.device("meta"):
        network = lenet_caffe(classes=10, in_channels=1)
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 1, 28, 28))
    assert parameter_count(network) == 431_080
    assert counter.get_total_flops() == 2 * 2_293_000
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == SHAPES


def test_computes_what_the_prototxt_says() -> None:
    """Layer by layer in torch's own functions: no activation between the convolutions, maps read channel by channel."""
    network = lenet_caffe(classes=10, in_channels=1).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.1)
    w = network.state_dict()
    images = torch.randn(3, 1, 28, 28)
    x = F.max_pool2d(F.conv2d(images, w["conv1.weight"], w["conv1.bias"]), 2)
    x = F.max_pool2d(F.conv2d(x, w["conv2.weight"], w["conv2.bias"]), 2)
    assert x.shape == (3, 50, 4, 4)
    x = torch.stack([x[:, c, i, j] for c in range(50) for i in range(4) for j in range(4)], dim=1)
    x = F.relu(x @ w["ip1.weight"].T + w["ip1.bias"])
    expected = x @ w["ip2.weight"].T + w["ip2.bias"]
    with torch.no_grad():
        torch.testing.assert_close(network(images), expected, rtol=1e-5, atol=1e-5)


def test_weights_begin_with_variance_one_over_fan_in() -> None:
    network = lenet_caffe(classes=10, in_channels=1)
    for layer, fan_in in ((network.conv1, 25), (network.conv2, 500), (network.ip1, 800), (network.ip2, 500)):
        assert layer.weight.abs().max() <= (3 / fan_in) ** 0.5
        assert abs(layer.weight.var().item() * fan_in - 1) < 0.2
        assert layer.bias is not None and not layer.bias.any()


def test_learns() -> None:
    network = lenet_caffe(classes=4, in_channels=1)
    images, targets = torch.randn(16, 1, 28, 28), torch.arange(16) % 4
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    for _ in range(20):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images), targets)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
