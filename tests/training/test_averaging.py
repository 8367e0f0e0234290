"""Averaged weights against a loop in NumPy."""

import numpy as np
import pytest
import torch

from striate.training.averaging import AveragedWeights


@pytest.mark.parametrize("decay", [0.2, 0.9, 0.999])
def test_the_average_equals_a_slow_loop(workshop, two_stages, decay):
    network = workshop(two_stages).network()
    average = AveragedWeights(network, decay)
    expected = {name: parameter.detach().double().numpy() for name, parameter in network.named_parameters()}
    rng = np.random.default_rng(0)
    for update in range(60):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.tensor(rng.normal(size=parameter.shape), dtype=torch.float32))
            for buffer in network.buffers():
                buffer.add_(1)
        average.update()
        ramp = min(decay, (1 + update) / (10 + update))  # 0.1, 2/11, 3/12, ...: first steps are not dragged along
        for name, parameter in network.named_parameters():
            expected[name] = ramp * expected[name] + (1 - ramp) * parameter.detach().double().numpy()
    assert average.updates == 60
    for name, parameter in average.network.named_parameters():
        np.testing.assert_allclose(parameter.numpy(), expected[name], rtol=1e-4, atol=1e-5)
    buffers = dict(network.named_buffers())
    assert len(buffers) == 6
    for name, buffer in average.network.named_buffers():
        assert torch.equal(buffer, buffers[name])
        assert buffer.data_ptr() != buffers[name].data_ptr()


def test_weights_that_stand_still_are_kept_to_the_bit(workshop, two_stages):
    network = workshop(two_stages).network()
    average = AveragedWeights(network, 0.97)
    for _ in range(50):
        average.update()
    for own, other in zip(average.network.parameters(), network.parameters(), strict=True):
        assert torch.equal(own, other)


def test_the_average_neither_learns_nor_counts_statistics(workshop, two_stages):
    network = workshop(two_stages).network()
    average = AveragedWeights(network.train(), 0.9)
    assert not average.network.training and network.training
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
