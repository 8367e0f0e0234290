"""The networks of the chapter's worked examples, and modules that somebody else wrote, for `striate plan`."""

from itertools import pairwise

from torch import Tensor, nn

from striate import layers


def one_convolution() -> nn.Module:
    """200 maps of 5x5 windows over pictures of 3 channels."""
    return nn.Sequential(layers.Conv2d(3, 200, 5, padding="same"))


def exercise() -> nn.Module:
    """Three windows of 3x3 and stride 2: 100, 200 and 400 maps."""
    channels = (3, 100, 200, 400)
    pairs = pairwise(channels)
    return nn.Sequential(*(layers.Conv2d(one, other, 3, stride=2, padding="same") for one, other in pairs))


class AsksForNumbers(nn.Module):
    """Whose code depends on values."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.mean().item() > 0 else -x


def raises() -> nn.Module:
    raise OSError("no such weights")


def downloads() -> nn.Module:
    from urllib.request import urlopen

    urlopen("http://example.com/weights.pth")
    return nn.Linear(1, 1)
