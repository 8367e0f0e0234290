"""Which parameters decay, and by how much gradients are cut."""

import dataclasses

import pytest
import torch

from striate.training.optimizers import clip, optimizer_for, set_rate


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_vectors_do_not_decay(workshop, two_stages, kind):
    network = workshop(two_stages).network()
    recipe = dataclasses.replace(two_stages, optimizer=kind, weight_decay=0.25)
    names = {parameter: name for name, parameter in network.named_parameters()}
    decays = {
        names[parameter]: group["weight_decay"]
        for group in optimizer_for(network, recipe).param_groups
        for parameter in group["params"]
    }
    kernels = {"conv1.weight", "conv2.weight", "dense.weight"}
    assert decays == {name: 0.25 if name in kernels else 0.0 for name in names.values()}


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_decay_pulls_kernels_to_zero_and_leaves_vectors(workshop, two_stages, kind):
    network = workshop(two_stages).network()
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = optimizer_for(network, dataclasses.replace(two_stages, optimizer=kind, weight_decay=0.25, momentum=0.0))
    set_rate(optimizer, 0.1)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in network.named_parameters():
        factor = 1 - 0.1 * 0.25 if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)


def test_sgd_is_nesterovs(workshop, two_stages):
    """Sutskever et al. 2013, in the form of torch: v = m v + g; w = w - rate (g + m v)."""
    network = workshop(two_stages).network()
    optimizer = optimizer_for(network, dataclasses.replace(two_stages, momentum=0.8, weight_decay=0.0))
    weight = network.dense.bias
    expected, velocity = weight.detach().double().clone(), torch.zeros(3, dtype=torch.float64)
    for step in range(4):
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, 0.5 + step)
        velocity = 0.8 * velocity + (0.5 + step)
        expected -= 0.1 / (step + 1) * ((0.5 + step) + 0.8 * velocity)
        set_rate(optimizer, 0.1 / (step + 1))
        optimizer.step()
    torch.testing.assert_close(weight.detach().double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("most", [0.1, 3.0, 1e6])
def test_clipping_bounds_the_joint_norm_and_keeps_the_direction(workshop, two_stages, most):
    network = workshop(two_stages).network()
    for parameter in list(network.parameters())[2:]:  # some have none, as when they are frozen
        parameter.grad = torch.randn_like(parameter)
    before = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    clip(network, most)
    after = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    assert float(after.norm()) == pytest.approx(min(most, float(before.norm())), rel=1e-4)
    torch.testing.assert_close(after / after.norm(), before / before.norm())
