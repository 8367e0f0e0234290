"""Runs in .venv-oracle: other people's PyTorch networks with drawn numbers, their weight files and their answers.

    python torch_weights.py

takes lines of JSON, ``["LIBRARY", "NAME", SIZE, "FILE"]``, and says ``done`` after each: it builds the network, draws
its weights and its running statistics, and writes them to FILE (by its ending with torch.save or as safetensors), and
beside it images.npy ``[2, 3, SIZE, SIZE]`` and logits.npy ``[2, 1000]``.
"""

import json
import os
import sys
import types
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn


class OldUnit(nn.Module):
    """MobileNetV2's unit as in tonylins' code and torchvision of 2018: one flat sequence of layers."""

    def __init__(self, ins: int, outs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = ins * expansion
        layers: list[nn.Module] = []
        if expansion > 1:
            layers += [nn.Conv2d(ins, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()]
        layers += [nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()]
        self.conv = nn.Sequential(*layers, nn.Conv2d(wide, outs, 1, bias=False), nn.BatchNorm2d(outs))
        self.shortcut = stride == 1 and ins == outs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class OldMobileNetV2(nn.Module):
    """MobileNetV2 with the older names, ``conv`` and ``classifier`` at its end."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [first(3, 32, 3, 2)]
        ins = 32
        for expansion, outs, units, stride in (
            *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
            *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
        ):
            for unit in range(units):
                layers.append(OldUnit(ins, outs, stride if unit == 0 else 1, expansion))
                ins = outs
        self.features = nn.Sequential(*layers)
        self.conv = first(ins, 1280, 1, 1)
        self.classifier = nn.Linear(1280, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.conv(self.features(x)).mean((2, 3)))


def first(ins: int, outs: int, window: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(ins, outs, window, stride, window // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outs), nn.ReLU6())


def network(library: str, name: str) -> nn.Module:
    # torchvision on PyPI is built for the torch that PyPI has; beside the CPU build of the same version its compiled
    # operators cannot be loaded. This module of it registers their shapes and fails for that; no network here needs
    # them. timm and transformers import torchvision too.
    sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
    match library:
        case "torchvision":
            import torchvision

            # Its own initialisation of GoogLeNet takes a minute, and all numbers are drawn anew.
            options = {"init_weights": False} if name == "googlenet" else {}
            return torchvision.models.get_model(name, **options)
        case "timm":
            import timm

            return timm.create_model(name)
        case "transformers":
            from transformers import ResNetConfig, ResNetForImageClassification

            return ResNetForImageClassification(ResNetConfig(num_labels=1000))
        case "tonylins":
            return OldMobileNetV2()
    raise KeyError(library)


def draw(module: nn.Module) -> None:
    """Numbers of which each matters: no statistic is 0 or 1, some variances are near the norms' epsilon."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            torch.exp(torch.empty_like(part.running_var).uniform_(-9, 0), out=part.running_var)
            part.running_mean.normal_(0, 0.3)
            factor = torch.empty_like(part.weight).uniform_(0.5, 1.5)
            part.weight.copy_(factor * (part.running_var + part.eps).sqrt())
            part.bias.normal_(0, 0.3)
            part.num_batches_tracked.fill_(7)
        elif isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                part.bias.normal_(0, 0.1)


def main(library: str, name: str, size: int, file: Path) -> None:
    torch.manual_seed(14)
    torch.set_num_threads(2)
    with torch.no_grad():
        module = network(library, name).eval()
        draw(module)
        images = torch.randn(2, 3, size, size)
        images[1] = 1 - 3 * images[1]  # another light and contrast, or noise looks all alike to deep networks
        logits = module(images)
        logits = logits if isinstance(logits, torch.Tensor) else logits.logits
    state = module.state_dict()
    if file.suffix == ".safetensors":
        save_file(state, file)
    else:
        torch.save(state, file)
    np.save(file.with_name("images.npy"), images.numpy())
    np.save(file.with_name("logits.npy"), logits.numpy())


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what libraries print must not get between the answers
        for line in sys.stdin:
            library, name, size, file = json.loads(line)
            main(library, name, size, Path(file))
            print("done", file=answers, flush=True)
