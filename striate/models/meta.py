"""Networks with shapes and without numbers, for who asks what would fit or what it would cost."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from striate.models.building import NO_ARGUMENTS, build
from striate.models.network import Network


class _NothingToFill(TorchFunctionMode):
    """What fills tensors leaves them alone: for a normal distribution torch would load its compiler, 0.6 seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__ and func.__name__.endswith("_"):
            return given["tensor"] if "tensor" in given else args[0]
        return func(*args, **given)


def build_on_meta(
    name: str, *, classes: int, in_channels: int | None = None, arguments: Mapping[str, Any] = NO_ARGUMENTS
) -> Network:
    """The network that `build` gives, on torch's device "meta".

    Raises:
        ModelError: as `build`.

    Example:
        >>> build_on_meta("lenet5", classes=10).get_parameter("c1.weight").is_meta
        True
    """
    with torch.device("meta"), _NothingToFill():
        return build(name, classes=classes, in_channels=in_channels, arguments=arguments)
