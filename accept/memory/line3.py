"""A trace on fake tensors takes the memory of a real step, to the byte: what lives after forward, and all of a step."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from accept import Check
from accept.memory.networks import NAMES, network
from tests.ops.storages import born_in, faked, kept


def checks() -> Iterator[Check]:
    for name in NAMES:
        built, images = network(name)
        mode = FakeTensorMode()
        fake, fake_images = faked(mode, built), mode.from_tensor(images)
        for by_blocks in (False, True):
            with mode:
                traced = kept(fake, fake_images, by_blocks=by_blocks)
            real = kept(built, images, by_blocks=by_blocks)
            yield Check(f"3.{name}{', blocks' * by_blocks}", f"{real:,} bytes", f"{traced:,} bytes", traced == real)
        with mode:
            traced_step = _born(fake, fake_images)
        real_step = _born(built, images)
        same = "the same" if traced_step == real_step else "OTHERS"
        wanted = f"{len(real_step)} storages, {sum(real_step):,} bytes"
        got = f"{same}: {len(traced_step)} storages, {sum(traced_step):,} bytes"
        yield Check(f"3.{name}, a step", wanted, got, traced_step == real_step)


def _born(network: nn.Module, images: Tensor) -> list[int]:
    """Bytes of all storages that a step makes, in order, what kernels need besides among them."""

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            y = network(images)
        y.float().square().sum().backward()

    return born_in(network, images, step)[0].sizes
