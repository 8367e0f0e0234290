"""GoogLeNet, published and with batch norm: counts and table, the modules' rows, the auxiliary heads."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.layers import LocalResponseNorm
from striate.models.googlenet import (
    AuxiliaryHead,
    GoogLeNet,
    adaptive_spans,
    googlenet,
    googlenet_bn,
    published_spans,
)
from striate.models.layer_table import AUXILIARY
from striate.models.network import TrainingView, parameter_count
from tests.models.light import layer_table, on_meta

# Table 1 of the paper: the modules' output, then 1x1, 3x3 reduce and 3x3, 5x5 reduce and 5x5, pool projection.
TABLE = {
    "inception3a": ((256, 28, 28), (64, 96, 128, 16, 32, 32)),
    "inception3b": ((480, 28, 28), (128, 128, 192, 32, 96, 64)),
    "inception4a": ((512, 14, 14), (192, 96, 208, 16, 48, 64)),
    "inception4b": ((512, 14, 14), (160, 112, 224, 24, 64, 64)),
    "inception4c": ((512, 14, 14), (128, 128, 256, 24, 64, 64)),
    "inception4d": ((528, 14, 14), (112, 144, 288, 32, 64, 64)),
    "inception4e": ((832, 14, 14), (256, 160, 320, 32, 128, 128)),
    "inception5a": ((832, 7, 7), (256, 160, 320, 32, 128, 128)),
    "inception5b": ((1024, 7, 7), (384, 192, 384, 48, 128, 128)),
}
BRANCHES = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")


@pytest.mark.parametrize(
    ("name", "parameters", "with_heads", "statistics", "adds", "heads_adds"),
    [
        ("googlenet", 6_998_552, 13_378_280, 0, 1_582_671_872, 8_372_224),
        ("googlenet_bn", 6_624_904, 13_004_888, 15_072, 1_498_376_192, 8_372_224),
    ],
)
def test_counts(name: str, parameters: int, with_heads: int, statistics: int, adds: int, heads_adds: int) -> None:
    network, found = on_meta(name), layer_table(name)
    assert parameter_count(network) == with_heads
    assert sum(b.numel() for n, b in network.named_buffers() if not n.endswith("tracked")) == statistics
    assert (found.parameters, found.multiply_adds) == (parameters, adds)
    assert sum(row.multiply_adds for row in found.rows if row.block == AUXILIARY) == heads_adds


@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
def test_table(name: str) -> None:
    shapes = {row.path: row.shape for row in layer_table(name).rows}
    before = [shapes[path] for path in ("conv1.conv", "maxpool1", "conv2", "conv3", "maxpool2", "maxpool3", "maxpool4")]
    assert before == [
        *((64, 112, 112), (64, 56, 56), (64, 56, 56), (192, 56, 56)),
        *((192, 28, 28), (480, 14, 14), (832, 7, 7)),
    ]
    assert [shapes[path] for path in TABLE] == [shape for shape, _ in TABLE.values()]
    assert [shapes[path] for path in ("avgpool", "fc", "aux1", "aux2")] == [(1024,), (1000,), (1000,), (1000,)]


@pytest.mark.parametrize(("name", "large"), [("googlenet", 5), ("googlenet_bn", 3)])
def test_the_modules_are_the_tables(name: str, large: int) -> None:
    network = on_meta(name)
    windows = (1, 1, 3, 1, large, 1)
    for path, (_, widths) in TABLE.items():
        weights = [network.get_parameter(f"{path}.{branch}.conv.weight") for branch in BRANCHES]
        assert [(w.shape[0], w.shape[2], w.shape[3]) for w in weights] == [
            (width, window, window) for width, window in zip(widths, windows, strict=True)
        ]


def test_torchvision_names() -> None:
    plain, normed = (set(on_meta(name).state_dict()) for name in ("googlenet", "googlenet_bn"))
    # 57 convolutions, 2 of the auxiliary heads, and 5 dense layers
    assert len(plain) == 59 * 2 + 5 * 2
    assert len(normed) == 59 * 6 + 5 * 2
    assert {"conv1.conv.bias", "inception4e.branch3.1.conv.bias", "aux1.conv.conv.bias"} <= plain
    assert {"conv1.bn.running_mean", "conv2.conv.weight", "conv3.bn.bias", "inception3a.branch1.conv.weight"} <= normed
    assert {"inception5b.branch4.1.bn.running_var", "aux2.conv.bn.weight", "aux2.fc2.bias", "fc.weight"} <= normed
    norms = [module for module in on_meta("googlenet_bn").modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {0.001}


def test_dropouts() -> None:
    for name, rate in (("googlenet", 0.4), ("googlenet_bn", 0.2)):
        dropouts = {path: m.p for path, m in on_meta(name).named_modules() if isinstance(m, nn.Dropout)}
        assert dropouts == {"dropout": rate, "aux1.dropout": 0.7, "aux2.dropout": 0.7}


def test_response_norms_are_those_of_caffes_googlenet() -> None:
    network = googlenet(classes=5, in_channels=3)
    norms = {path: m for path, m in network.named_modules() if isinstance(m, LocalResponseNorm)}
    assert list(norms) == ["norm1", "norm2"]
    x = 30 * torch.randn(1, 64, 3, 3)
    for norm in norms.values():
        torch.testing.assert_close(norm(x), nn.functional.local_response_norm(x, 5, 1e-4, 0.75, 1.0))
    assert network.blocks["stage2"] == ("maxpool1", "norm1", "conv2", "conv3", "norm2")
    assert not any(isinstance(module, LocalResponseNorm) for module in on_meta("googlenet_bn").modules())


# Auxiliary heads


@pytest.mark.parametrize("size", range(1, 40))
def test_published_spans_are_four_equal_windows_over_everything(size: int) -> None:
    spans = [range(span.start, span.stop) for span in published_spans(size)]
    assert len(spans) == 4
    assert {len(span) for span in spans} == {size - 3 * (size // 4)}
    assert {place for span in spans for place in span} == set(range(size))
    if size >= 4:
        places = torch.arange(float(size)).reshape(1, 1, -1)
        means = nn.functional.avg_pool1d(places, size - 3 * (size // 4), size // 4)
        assert [sum(span) / len(span) for span in spans] == pytest.approx(means.flatten().tolist())


def head_by_hand(head: nn.Module, means: Tensor) -> Tensor:
    state = head.state_dict()
    x = nn.functional.conv2d(means, state["conv.conv.weight"], state.get("conv.conv.bias"))
    if "conv.bn.weight" in state:
        mean, variance, weight, bias = (
            state[f"conv.bn.{n}"] for n in ("running_mean", "running_var", "weight", "bias")
        )
        x = nn.functional.batch_norm(x, mean, variance, weight, bias, eps=1e-3)
    x = nn.functional.linear(x.relu().flatten(1), state["fc1.weight"], state["fc1.bias"]).relu()
    return nn.functional.linear(x, state["fc2.weight"], state["fc2.bias"])


def test_the_published_head_takes_means_of_5x5_stride_3() -> None:
    head = AuxiliaryHead(16, 7, published_spans, batch_norm=False).eval()
    x = torch.randn(2, 16, 14, 14)
    means = nn.functional.avg_pool2d(x, 5, 3)
    assert means.shape[2:] == (4, 4)
    with torch.no_grad():
        torch.testing.assert_close(head(x), head_by_hand(head, means))


@pytest.mark.parametrize("size", [(14, 14), (4, 6), (9, 1), (7, 10)])
def test_the_other_head_takes_torchs_adaptive_means(size: tuple[int, int]) -> None:
    head = AuxiliaryHead(16, 7, adaptive_spans, batch_norm=True).eval()
    x = torch.randn(2, 16, *size)
    with torch.no_grad():
        torch.testing.assert_close(head(x), head_by_hand(head, nn.functional.adaptive_avg_pool2d(x, (4, 4))))


@pytest.mark.parametrize("builder", [googlenet, googlenet_bn])
def test_heads_read_4a_and_4d(builder: Callable[..., GoogLeNet]) -> None:
    network = builder(classes=5, in_channels=3).eval()
    assert dict(network.auxiliary) == {"stage4a": "aux1", "stage4d": "aux2"}
    maps: dict[str, Tensor] = {}
    for path in ("inception4a", "inception4d"):
        network.get_submodule(path).register_forward_hook(lambda _, __, y, path=path: maps.update({path: y}))
    images = torch.randn(1, 3, 64, 80)
    with torch.no_grad():
        main, auxiliary = TrainingView(network)(images)
        assert torch.equal(main, network(images))
        for logits, head, path in zip(auxiliary, ("aux1", "aux2"), maps, strict=True):
            assert torch.equal(logits, network.get_submodule(head)(maps[path]))
            assert logits.shape == (1, 5)


# Sizes and first weights


@pytest.mark.parametrize(("builder", "least"), [(googlenet, 31), (googlenet_bn, 15)])
def test_the_smallest_size_is_the_true_one(builder: Callable[..., GoogLeNet], least: int) -> None:
    network = builder(classes=5, in_channels=3).eval()
    assert network.smallest == (least, least)
    network.smallest = (1, 1)
    with torch.no_grad():
        assert [logits.shape for logits in TrainingView(network)(torch.randn(1, 3, least, least))[1]] == [(1, 5)] * 2
    with pytest.raises(ModelError, match="max_pool2d"):
        network(torch.randn(1, 3, least - 1, least + 9))


def test_first_weights_keep_the_size_of_what_they_hand_on() -> None:
    torch.manual_seed(0)
    network = googlenet(classes=5, in_channels=3).eval()
    x, sizes = torch.randn(4, 3, 64, 64), []
    with torch.no_grad():
        for block in network.blocks:
            x = network.run(x, block, block)
            sizes.append(float(x.square().mean().sqrt()))
    assert min(sizes[:-1]) > 0.5 and max(sizes[:-1]) < 6
    assert sizes[-1] < 2


@pytest.mark.slow
@pytest.mark.parametrize(("builder", "heads"), [(googlenet, True), (googlenet, False), (googlenet_bn, True)])
def test_it_begins_to_learn(builder: Callable[..., GoogLeNet], heads: bool) -> None:
    torch.manual_seed(0)
    network = builder(classes=3, in_channels=3)
    targets = torch.arange(12) % 3
    # Stripes of 2, 4 and 8 pixels, shifted, under noise.
    columns = torch.arange(32) + torch.arange(12)[:, None]
    stripes = (columns // (2 ** (targets[:, None] + 1)) % 2).float() * 2 - 1
    images = stripes[:, None, None].expand(12, 3, 32, 32) + 0.5 * torch.randn(12, 3, 32, 32)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-4)
    losses = []
    for _ in range(30):
        main, auxiliary = TrainingView(network)(images)
        loss = nn.functional.cross_entropy(main, targets)
        losses.append(loss.item())
        if heads:
            loss = loss + 0.3 * torch.stack([nn.functional.cross_entropy(a, targets) for a in auxiliary]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert sum(losses[-5:]) / 5 < 0.5 * losses[0]
