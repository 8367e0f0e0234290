"""What oneDNN takes beside tensors, by rule and by torch's own account of a call."""

from contextlib import contextmanager

import pytest
import torch
from torch.nn import functional as F

from striate.tracing.workspaces import FULL, filled, workspaces


@contextmanager
def without_onednn():
    """Within this block torch computes convolutions itself. (torch's own switch warns of other devices.)"""
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(True)


LITTLE = 130_000
"""Bytes that a call takes beside what is known of it: a few thousand, a hundred where windows step."""
WINDOWS = [  # pictures, channels, side, outputs, window, stride, groups
    (4, 64, 14, 64, 3, 1, 1),
    (4, 64, 14, 256, 1, 1, 1),
    (4, 128, 7, 256, 3, 2, 1),
    (2, 20, 14, 50, 3, 1, 1),
    (4, 6, 14, 16, 5, 1, 1),
    (4, 96, 14, 96, 3, 1, 96),
    (2, 256, 7, 256, 3, 1, 1),
]
FORWARD, BACKWARD = torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default


def taken(compute):
    """The pieces that a call asks torch for, in their order, and how much is there at most beside what it gives."""
    results = compute(), compute()
    del results
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        results = compute()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    now = most = 0
    for change in changes:
        now += change
        most = max(most, now)
    assert results is not None
    return [change for change in changes if change > 0], most - now


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("pictures", "channels", "side", "outputs", "window", "stride", "groups"), WINDOWS)
def test_pieces_are_those_that_torch_is_asked_for(
    dtype, pictures, channels, side, outputs, window, stride, groups
) -> None:
    x = torch.randn(pictures, channels, side, side).to(dtype, memory_format=torch.channels_last)
    weight = torch.randn(outputs, channels // groups, window, window).to(dtype, memory_format=torch.channels_last)
    steps = [stride] * 2, [window // 2] * 2, [1, 1], False, [0, 0], groups
    y = F.conv2d(x, weight, None, stride, window // 2, 1, groups)
    gradient = torch.randn_like(y)
    masks = [True, False, False], [False, True, False], [True, True, False]
    backward = [("convolution_backward", BACKWARD, (gradient, x, weight, None, *steps, mask)) for mask in masks]
    calls = [("convolution", FORWARD, (x, weight, None, *steps)), *backward]
    for name, call, args in calls:
        with torch.no_grad():
            pieces, beside = taken(lambda call=call, args=args: call(*args))
        told = workspaces(name, args)
        if dtype == torch.float32:
            assert abs(sum(told) - beside) <= LITTLE
        assert all(piece in pieces for piece in told)


def test_who_takes_nothing() -> None:
    x = torch.zeros(2, 32, 8, 8).contiguous(memory_format=torch.channels_last)
    weight = torch.zeros(32, 32, 3, 3)
    steps = [1, 1], [1, 1], [1, 1], False, [0, 0], 1
    assert workspaces("convolution", (x, weight, None, *steps)) == (weight.numel() * 4,)
    assert workspaces("mm", (x, weight)) == ()
    assert workspaces("convolution", (x.contiguous(), weight, None, *steps)) == ()
    assert workspaces("convolution", (x.double(), weight.double(), None, *steps)) == ()
    assert workspaces("convolution", (x.to("meta"), weight.to("meta"), None, *steps)) == ()
    with without_onednn():
        assert workspaces("convolution", (x, weight, None, *steps)) == ()
    single = x[:1, :, :4, :4].contiguous(memory_format=torch.channels_last)
    assert workspaces("convolution", (single, weight, None, *steps)) == ()  # which torch computes itself


def test_channels_are_filled_up() -> None:
    assert [filled(channels) for channels in (1, 15, 16, 17, 64)] == [16, 16, 16, 32, 64] and FULL == 16
