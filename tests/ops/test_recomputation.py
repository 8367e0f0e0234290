"""Outputs that are computed again: they are really freed, gradients are the same, and no change goes unnoticed."""

import contextlib
import io
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.checkpoint import checkpoint

from striate.layers import BatchNormAct2d, Conv2d, MaxPool2d
from striate.ops import conv2d, convolution, pooling
from striate.ops.native import products
from striate.ops.recomputation import Promise, keeping_promises, promised, promises
from tests.ops.native.levels import computing_with, needs_kernels

CHANNELS = 32

# What reads the output of a norm: each keeps its input for backward.
READERS: dict[str, Callable[[], nn.Module]] = {
    "3x3": lambda: Conv2d(CHANNELS, 8, 3, padding="same"),
    "1x1": lambda: Conv2d(CHANNELS, 24, 1, padding="valid", bias=False),
    "depthwise": lambda: Conv2d(CHANNELS, CHANNELS, 5, stride=2, padding="same", groups=CHANNELS),
    "unequal padding": lambda: Conv2d(CHANNELS, 8, 4, stride=2, padding="same"),
    "largest": lambda: MaxPool2d(3, stride=2, padding="same"),
    "largest, symmetric": lambda: MaxPool2d(2, padding="valid"),
}
COPIES = {"unequal padding", "largest"}  # they pad into a copy, and it is the copy that is kept


def picture(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(2, CHANNELS, 9, 7).to(dtype).contiguous(memory_format=torch.channels_last)


def precision(dtype: torch.dtype) -> contextlib.AbstractContextManager:
    return torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16)


# Memory


@needs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("reader", [name for name in READERS if name not in COPIES])
def test_a_norms_output_is_freed_as_soon_as_it_has_been_read(reader: str, dtype: torch.dtype) -> None:
    norm, layer = BatchNormAct2d(CHANNELS, act="relu"), READERS[reader]()
    x = picture(dtype).requires_grad_()
    with precision(dtype):
        y = norm(x)
        assert promised(y) is not None
        storage = StorageWeakRef(y.untyped_storage())
        z = layer(y)
        assert not storage.expired()
        del y
        assert storage.expired()
    z.float().square().sum().backward()
    assert x.grad.isfinite().all()


@needs_kernels
def test_along_a_chain_of_residual_blocks_only_what_norms_read_is_kept() -> None:
    """Three outputs die although each is the residual of the next; what they were computed of lives."""
    blocks = [(Conv2d(CHANNELS, CHANNELS, 3, padding="same"), BatchNormAct2d(CHANNELS, act="relu")) for _ in range(3)]
    shortcut, dead = BatchNormAct2d(CHANNELS, act="relu")(picture()), []
    kept = []
    for convolve, norm in blocks:
        read = convolve(shortcut)
        kept.append(StorageWeakRef(read.untyped_storage()))
        dead.append(StorageWeakRef(shortcut.untyped_storage()))
        shortcut = norm(read, shortcut)
        del read
    assert [storage.expired() for storage in dead] == [True] * 3
    assert [storage.expired() for storage in kept] == [False] * 3
    shortcut.sum().backward()
    assert all(convolve.weight.grad.abs().sum() > 0 for convolve, _ in blocks)


@needs_kernels
def test_what_was_computed_again_dies_with_the_graph() -> None:
    x = picture().requires_grad_()
    y = BatchNormAct2d(CHANNELS, act="relu")(x)
    promise = promised(y)
    z = READERS["3x3"]()(y)
    z.sum().backward()
    again = StorageWeakRef(promise.tensor().untyped_storage())
    del y, z, promise
    assert again.expired()


# Gradients


def network(*readers: str) -> nn.ModuleList:
    """A convolution, a block with a shortcut, and all readers of what comes out of it."""
    return nn.ModuleList(
        [
            Conv2d(CHANNELS, CHANNELS, 3, padding="same", bias=False),
            BatchNormAct2d(CHANNELS, act="relu6"),
            Conv2d(CHANNELS, CHANNELS, 1, padding="valid", bias=False),
            BatchNormAct2d(CHANNELS),
            *(READERS[name]() for name in readers),
        ]
    )


def answer(layers: nn.ModuleList, x: Tensor) -> Tensor:
    first, norm, mix, last, *readers = layers
    shortcut = norm(first(x))
    joined = last(mix(shortcut), shortcut)
    return sum(reader(joined).float().square().mean() for reader in readers)


def gradients(readers: tuple[str, ...], dtype: torch.dtype, by: str = "auto") -> list[Tensor]:
    torch.manual_seed(0)
    layers, x = network(*readers), picture().requires_grad_()
    with computing_with(by), precision(dtype):
        answer(layers, x).backward()
    return [x.grad, *(parameter.grad for parameter in layers.parameters())]


@needs_kernels
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_bit_for_bit_those_of_kept_outputs(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same kernels, with and without computing anything again; readers of one output share what was computed."""
    readers = tuple(READERS)
    promising = gradients(readers, dtype)
    for room in (convolution, pooling, products):
        monkeypatch.setattr(room, "keeping_promises", lambda tensor: contextlib.nullcontext())
    monkeypatch.setattr(products, "promised", lambda tensor: None)
    for ours, wanted in zip(promising, gradients(readers, dtype), strict=True):
        assert torch.equal(ours, wanted)


@needs_kernels
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-4), (torch.bfloat16, 0.05)])
def test_gradients_are_those_of_torch_alone(dtype: torch.dtype, allowed: float) -> None:
    for ours, theirs in zip(*(gradients(tuple(READERS), dtype, by) for by in ("auto", "off")), strict=True):
        assert (ours - theirs).norm() <= allowed * theirs.norm() + 1e-6


@needs_kernels
@pytest.mark.parametrize("reentrant", [False, True])
def test_within_torchs_own_checkpointing(reentrant: bool) -> None:
    found = []
    for through in (lambda run, x: run(x), lambda run, x: checkpoint(run, x, use_reentrant=reentrant)):
        torch.manual_seed(0)
        layers, x = network("3x3", "largest"), picture().requires_grad_()
        with computing_with("auto"):
            through(lambda x, layers=layers: answer(layers, x), x).backward()
        found.append([x.grad, *(parameter.grad for parameter in layers.parameters())])
    for ours, wanted in zip(*found, strict=True):
        torch.testing.assert_close(ours, wanted)


@needs_kernels
def test_gradients_of_gradients_through_what_was_computed_again() -> None:
    found = []
    for by in ("auto", "off"):
        torch.manual_seed(0)
        layers, x = network("3x3", "depthwise", "1x1"), picture().requires_grad_()
        leaves = [x, *layers.parameters()]
        with computing_with(by):
            inner = torch.autograd.grad(answer(layers, x), leaves, create_graph=True)
            outer = torch.autograd.grad(sum(g.square().sum() for g in inner), leaves, allow_unused=True)
        found.append([g for g in (*inner, *outer) if g is not None])
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).norm() <= 1e-3 * theirs.norm() + 1e-6


# Tensors that change between forward and backward. Torch refuses what it cannot answer, and so must we; where backward
# has all it needs, gradients are those of the tensors as they were.


class Scene:
    """A norm with a residual, read by a convolution: all tensors that could be changed, and who asks for a gradient."""

    def __init__(
        self, reader: str, *, training: bool, dtype: torch.dtype = torch.float32, promised_residual: bool = False
    ) -> None:
        torch.manual_seed(0)
        self.norm, self.reader = BatchNormAct2d(CHANNELS, act="relu").train(training), READERS[reader]()
        self.leaf = picture(dtype).requires_grad_()
        self.other = picture(dtype).requires_grad_()
        with precision(dtype):
            self.x, self.residual = self.leaf * 1, self.other * 1
            if promised_residual:
                self.residual = BatchNormAct2d(CHANNELS, act="relu6")(self.residual)
            self.y = self.norm(self.x, self.residual)
            self.z = self.reader(self.y)

    def tensors(self) -> dict[str, Tensor]:
        return {
            "x": self.x,
            "residual": self.residual,
            "output": self.y,
            "weight of the reader": getattr(self.reader, "weight", None),
            "weight of the norm": self.norm.weight,
            "bias of the norm": self.norm.bias,
            "running mean": self.norm.running_mean,
            "running variance": self.norm.running_var,
        }

    def gradients(self, asked: str) -> list[Tensor]:
        leaves = {
            "all": [self.leaf, self.other, *self.norm.parameters(), *self.reader.parameters()],
            "reader": list(self.reader.parameters()),
            "norm": list(self.norm.parameters()),
        }[asked]
        return list(torch.autograd.grad(self.z.float().square().sum(), leaves))


CHANGES: dict[str, Callable[[Tensor], object]] = {
    "scaled": lambda tensor: tensor.mul_(3),
    "through a view": lambda tensor: (
        tensor.view(-1)[:1].add_(100) if tensor.dim() == 1 else tensor[:, :, :, 0].add_(100)
    ),
    "detached": lambda tensor: tensor.detach().zero_(),
}


def refused(error: RuntimeError) -> bool:
    return "changed in place" in str(error) or "by an inplace operation" in str(error)


@needs_kernels
@pytest.mark.parametrize("asked", ["all", "reader", "norm"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("promised_residual", [False, True])
@pytest.mark.parametrize(
    "changed",
    [
        "x",
        "residual",
        "output",
        "weight of the reader",
        "weight of the norm",
        "bias of the norm",
        "running mean",
        "running variance",
    ],
)
def test_a_change_between_forward_and_backward_is_noticed_or_does_not_matter(
    changed: str, training: bool, asked: str, promised_residual: bool
) -> None:
    how = {"training": training, "promised_residual": promised_residual}
    with computing_with("auto"):
        wanted = Scene("3x3", **how).gradients(asked)
        for change in CHANGES.values():
            scene = Scene("3x3", **how)
            with torch.no_grad():
                change(scene.tensors()[changed])
            try:
                found = scene.gradients(asked)
            except RuntimeError as error:
                if not refused(error):
                    raise
                continue
            for ours, exact in zip(found, wanted, strict=True):
                assert torch.equal(ours, exact)


@needs_kernels
@pytest.mark.parametrize(
    ("changed", "reader"),
    [*product(["x", "output"], READERS), *product(["weight of the reader"], list(READERS)[:4])],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_reader_is_silently_wrong(changed: str, dtype: torch.dtype, reader: str) -> None:
    asked = "all" if changed == "weight of the reader" or reader.startswith("largest") else "reader"
    with computing_with("auto"):
        every = [gradients_after(change, changed, dtype, reader, asked) for change in (None, *CHANGES.values())]
    wanted, *found = every
    for gradients in found:
        for ours, exact in zip(gradients or wanted, wanted, strict=True):
            assert torch.equal(ours, exact)


def gradients_after(
    change: Callable[[Tensor], object] | None, changed: str, dtype: torch.dtype, reader: str, asked: str
) -> list[Tensor] | None:
    """Gradients after a change; None if backward refuses."""
    scene = Scene(reader, training=True, dtype=dtype)
    if change is not None:
        with torch.no_grad():
            change(scene.tensors()[changed])
    try:
        return scene.gradients(asked)
    except RuntimeError as error:
        if change is None or not refused(error):
            raise
        return None


@needs_kernels
@pytest.mark.parametrize("change", list(CHANGES))
def test_an_output_that_was_changed_is_read_as_it_is(change: str) -> None:
    """Whoever changes an output before the next layer reads it, ends the promise."""
    found = []
    for by in ("auto", "off"):
        torch.manual_seed(0)
        x, layer = picture().requires_grad_(), READERS["3x3"]()
        with computing_with(by):
            y = BatchNormAct2d(CHANNELS, act="relu")(x)
            with torch.no_grad():
                CHANGES[change](y)
            assert promised(y) is None
            found.append(torch.autograd.grad(layer(y).square().sum(), list(layer.parameters())))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@needs_kernels
def test_a_step_of_the_optimizer_before_backward_is_noticed() -> None:
    """The usual mistake with two losses: the second backward would use weights that its forward never saw."""
    layers = network("3x3")
    optimizer = torch.optim.SGD(layers.parameters(), lr=0.1)
    first, second = answer(layers, picture()), answer(layers, picture())
    first.backward()
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"changed in place|by an inplace"):
        second.backward()


# The promise itself


def test_a_promise_is_kept_once_for_all_who_ask() -> None:
    asked = []
    tensor = promises(torch.ones(3), Promise(lambda: asked.append(torch.is_grad_enabled()) or torch.full((3,), 2.0)))
    promise = promised(tensor)
    assert promise.tensor() is promise.tensor()
    assert asked == [False]
    assert promise.tensor().tolist() == [2.0, 2.0, 2.0]


def test_nobody_promises_a_plain_tensor() -> None:
    tensor = torch.ones(3)
    assert promised(tensor) is None
    assert isinstance(keeping_promises(tensor), contextlib.nullcontext)


def test_a_change_in_place_ends_a_promise() -> None:
    tensor = promises(torch.ones(3), Promise(lambda: torch.ones(3)))
    assert promised(tensor) is not None
    tensor[:1].add_(1)
    assert promised(tensor) is None


def test_a_view_is_not_promised() -> None:
    tensor = promises(torch.ones(3), Promise(lambda: torch.ones(3)))
    assert promised(tensor[:2]) is None and promised(tensor.view(3)) is None


def test_only_the_promised_tensor_is_replaced() -> None:
    """What has another shape, type, or place is kept as it is."""
    computed = []
    x = promises(torch.ones(2, 3), Promise(lambda: computed.append(1) or torch.full((2, 3), 5.0)))
    weight = torch.ones(2, 3, requires_grad=True)
    with keeping_promises(x):
        y = (x * weight).sum() + (x[:1] * weight[:1]).sum() + (x.t() * weight.t()).sum()
    y.backward()
    assert computed == [1]
    assert weight.grad.tolist() == [[5.0 + 1 + 1] * 3, [5.0 + 1] * 3]


@needs_kernels
def test_an_output_can_be_written_to_a_file() -> None:
    y = BatchNormAct2d(CHANNELS, act="relu")(picture())
    torch.save(y, file := io.BytesIO())
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=True), y)


@needs_kernels
def test_a_reader_without_autograd_is_not_disturbed() -> None:
    y = BatchNormAct2d(CHANNELS, act="relu")(picture())
    with torch.no_grad():
        z = conv2d(y, torch.randn(4, CHANNELS, 3, 3), padding="same")
    assert z.grad_fn is None
