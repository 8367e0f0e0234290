"""Which parameters decay, and by how much gradients are cut."""

import dataclasses

import pytest
import torch

from striate.training.optimizers import clip, optimizer_for, set_rate, take_step


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


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
@pytest.mark.parametrize("gradients", [torch.contiguous_format, torch.channels_last])
def test_a_step_is_the_same_in_all_memory_formats_and_copies_no_kernel(workshop, two_stages, kind, gradients):
    networks = [workshop(two_stages).network() for _ in range(2)]
    networks[1].to(memory_format=torch.channels_last)
    networks[1].load_state_dict(networks[0].state_dict())
    optimizers = [optimizer_for(network, dataclasses.replace(two_stages, optimizer=kind)) for network in networks]
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        for pair in zip(*(network.parameters() for network in networks), strict=True):
            drawn = torch.randn(pair[0].shape, generator=generator)
            pair[0].grad = drawn.clone()
            pair[1].grad = drawn.clone(memory_format=gradients if drawn.dim() == 4 else torch.preserve_format)
        for optimizer in optimizers:
            set_rate(optimizer, 0.1)
        optimizers[0].step()
        with torch.profiler.profile() as seen:
            take_step(optimizers[1])
    for pair in zip(*(network.parameters() for network in networks), strict=True):
        torch.testing.assert_close(*(parameter.detach() for parameter in pair), rtol=0, atol=0)
        kept = [optimizer.state[parameter] for optimizer, parameter in zip(optimizers, pair, strict=True)]
        for name, value in kept[0].items():
            torch.testing.assert_close(value, kept[1][name], rtol=0, atol=0)
    weight = networks[1].conv2.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    assert all(each.stride() == weight.stride() for each in (weight.grad, *kept_of(optimizers[1], weight)))
    copied = sum(event.count for event in seen.key_averages() if event.key == "aten::clone")
    assert copied == 0 or gradients is torch.contiguous_format


def kept_of(optimizer, parameter):
    """What the optimizer keeps of the parameter's own shape."""
    return [each for each in optimizer.state[parameter].values() if each.shape == parameter.shape]


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


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_the_body_learns_at_its_own_rate(workshop, two_stages, kind):
    network = workshop(two_stages).network()
    recipe = dataclasses.replace(two_stages, optimizer=kind, momentum=0.0, weight_decay=0.0)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = optimizer_for(network, recipe, body_rate=0.25)
    set_rate(optimizer, 0.01)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    take_step(optimizer)
    for name, parameter in network.named_parameters():
        rate = 0.01 if name.startswith("dense.") else 0.0025
        torch.testing.assert_close(parameter.detach(), before[name] - rate, rtol=1e-5, atol=1e-6)
