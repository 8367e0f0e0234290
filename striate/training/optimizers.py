"""Optimizers over the parameters that learn."""

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from striate.models.network import Network
from striate.recipe import Recipe


def optimizer_for(network: Network, recipe: Recipe, body_rate: float = 1.0) -> Optimizer:
    """The recipe's optimizer over the parameters that require a gradient.

    Kernels and matrices have weight decay; biases and norms (vectors) have none, as is usual since Goyal et al. 2017,
    section 5.3. All blocks but the last learn at ``body_rate`` times the rate that is set. The step runs fused over all
    parameters.
    """
    head = {id(p) for path in [*network.blocks.values()][-1] for p in network.get_submodule(path).parameters()}
    kinds: dict[tuple[float, bool], list[Tensor]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            rate = 1.0 if id(parameter) in head else body_rate
            kinds.setdefault((rate, parameter.ndim > 1), []).append(parameter)
    groups = [
        {"params": params, "weight_decay": recipe.weight_decay if kernels else 0.0, "rate": rate}
        for (rate, kernels), params in sorted(kinds.items(), reverse=True)
    ]
    # The rate is set before each step by the schedule.
    if recipe.optimizer == "sgd":
        return SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True)
    return AdamW(groups, lr=0.0, betas=(recipe.momentum, 0.999), fused=True)


def take_step(optimizer: Optimizer) -> None:
    """Let the optimizer take its step; weights, gradients and state keep their shapes and memory formats.

    The fused step of torch copies channels-last gradients (a third of its time), only to go through them in the order
    of memory after all. So it is shown what it wants to see: the same memory, as tensors in that order.
    """
    turned: list[Tensor] = []
    try:
        for parameter in [parameter for group in optimizer.param_groups for parameter in group["params"]]:
            if _lies_otherwise(parameter):
                _turn(optimizer, parameter, (0, 2, 3, 1))
                turned.append(parameter)
        optimizer.step()
    finally:
        for parameter in turned:
            _turn(optimizer, parameter, (0, 3, 1, 2))


def _lies_otherwise(parameter: Tensor) -> bool:
    """Whether a parameter that will be stepped is channels-last, which is not its axes' order."""
    channels_last = parameter.dim() == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    return parameter.grad is not None and channels_last and not parameter.is_contiguous()


def _turn(optimizer: Optimizer, parameter: Tensor, axes: tuple[int, ...]) -> None:
    """Put the axes of a parameter, of its gradient and of what the optimizer keeps for it into another order.

    The fused step does not look whether they lie alike. What it keeps does, from its first step on.
    """
    shape, gradient, kept = parameter.shape, parameter.grad, optimizer.state[parameter]
    if gradient is not None and gradient.stride() != parameter.stride():
        gradient = torch.empty_like(parameter, requires_grad=False).copy_(gradient)
    parameter.grad = None
    parameter.data = parameter.data.permute(axes)
    parameter.grad = None if gradient is None else gradient.permute(axes)
    for name, value in kept.items():
        if isinstance(value, Tensor) and value.shape == shape:
            kept[name] = value.permute(axes)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of all parameter groups, each with its own factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate"]


def clip(network: nn.Module, most: float) -> None:
    """Scale all gradients so that their joint norm is at most ``most``."""
    learning = [parameter for parameter in network.parameters() if parameter.grad is not None]
    torch.nn.utils.clip_grad_norm_(learning, most, foreach=True)
