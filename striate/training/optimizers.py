"""Optimizers over the parameters that learn."""

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from striate.recipe import Recipe


def optimizer_for(network: nn.Module, recipe: Recipe) -> Optimizer:
    """The recipe's optimizer over the parameters that require a gradient.

    Kernels and matrices have weight decay; biases and norms (vectors) have none, as is usual since Goyal et al. 2017,
    section 5.3. The step runs fused over all parameters.
    """
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    # The rate is set before each step by the schedule.
    if recipe.optimizer == "sgd":
        return SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True)
    return AdamW(groups, lr=0.0, betas=(recipe.momentum, 0.999), fused=True)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip(network: nn.Module, most: float) -> None:
    """Scale all gradients so that their joint norm is at most ``most``."""
    learning = [parameter for parameter in network.parameters() if parameter.grad is not None]
    torch.nn.utils.clip_grad_norm_(learning, most, foreach=True)
