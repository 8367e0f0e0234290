"""From pictures to predictions and figures: what validation, evaluation, predictor and explanations share.

In float32 always, so that a model file answers alike wherever it is loaded. On a CPU the network is folded first
(`striate.answering`), which changes its outputs by the rounding of float32.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor, nn

from striate.answering import FoldedNetwork, FoldingError
from striate.base.errors import DataError, ModelError, ModelFileError
from striate.base.turns import turns
from striate.data.names import printable
from striate.data.records import Batch
from striate.modelfile import Description
from striate.models.network import Network
from striate.models.table import architecture
from striate.ops.own_state import fit_threads
from striate.pictures.decode import Decoded, decode, from_memory, path_of
from striate.pictures.exact_tiles import ExactTiles, Seams, Tile
from striate.pictures.geometry import Geometry
from striate.pictures.preprocess import Preprocess
from striate.pictures.remarks import Remark
from striate.tasks import task_named
from striate.tasks.task import Gathered, Meter, Task

Picture: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | NDArray[Any] | Image
"""A file's path or its bytes, an array (``[H, W]`` or ``[H, W, C]``; uint8, uint16 or floats in 0..1; colours as RGB),
or a PIL image.
"""


def device_named(name: str) -> torch.device:
    """The device to compute on; "auto" takes CUDA, else Apple's MPS, else the CPU.

    Whatever the device, torch then uses a thread for each core that this process may use, or as many as the
    environment's ``OMP_NUM_THREADS`` says, if that is fewer; if somebody has told torch to use fewer, it still does.

    Raises:
        ModelError: there is no such device here.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(each for each in ("cuda", "mps", "cpu") if available[each])
    kind, colon, number = name.partition(":")
    numbered = kind == "cuda" and number.isdecimal() and int(number) < torch.cuda.device_count()
    if not available.get(kind, False) or (colon and not numbered):
        there = ", ".join(each for each, here in available.items() if here)
        raise ModelError(f"device {name!r} is not available here; there is {there} (and auto, which chooses)")
    fit_threads()
    return torch.device(name)


@contextmanager
def evaluating(modules: Sequence[nn.Module]) -> Iterator[None]:
    """All modules of a network in evaluation mode, and afterwards each as it was.

    Who answers picture by picture looks for the modules once: that takes as long as a small layer.
    """
    # Most are as they should be, and setting an attribute of a module takes longer than asking for it.
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def answering(
    network: nn.Module, device: torch.device, on_notice: Callable[[str], None] | None = None
) -> Callable[[Tensor], Tensor]:
    """What computes the network's outputs fastest on the device, for float32 images ``[N, C, H, W]``.

    The network is on the device and in evaluation mode, now and when it is computed. Weights that change afterwards
    need not be seen. A network of ours that cannot be folded runs as written, and ``on_notice`` is told why.
    """
    floats = all(
        tensor.dtype == torch.float32 for tensor in network.state_dict().values() if tensor.is_floating_point()
    )
    if isinstance(network, Network) and device.type == "cpu" and floats:
        try:
            return FoldedNetwork(network)
        except FoldingError as reason:
            if on_notice is not None:
                on_notice(str(reason))
    return network


def outputs(
    network: nn.Module, task: Task, preprocess: Preprocess, batches: Iterable[Batch], device: torch.device
) -> Iterator[tuple[Batch, Tensor]]:
    """Each batch of labelled pictures with the network's raw outputs, float32, on the device.

    On the CPU each is computed in a turn, where several processes want the same cores.
    """
    with evaluating(tuple(network.modules())):
        answer = answering(network, device)
        found = turns(torch.get_num_threads()) if device.type == "cpu" else None
        turn = found.taken if found else nullcontext
        for batch in batches:
            # Not around the yield: whoever consumes must not find gradients switched off.
            with torch.inference_mode(), turn():
                images = preprocess.normalise(task.inputs(batch.images.to(device, non_blocking=True)))
                result = answer(images).float()
            yield batch, result


def opened(picture: Picture, preprocess: Preprocess, *, reduced: bool = True) -> Decoded:
    """The pixels of one picture in a network's channels; ``reduced`` by the decoder if its size allows.

    Raises:
        DecodeError: the file cannot be read.
        DataError: an array is no picture, or it is something else altogether.
    """
    channels, shorter_side = preprocess.channels, preprocess.shorter_side if reduced else None
    if isinstance(picture, str | os.PathLike):
        path = path_of(picture)
        return decode(path, channels, shorter_side, name=printable(path))
    if isinstance(picture, bytes | bytearray | memoryview):
        return decode(bytes(picture), channels, shorter_side, name="the picture's bytes")
    if isinstance(picture, np.ndarray | Image):
        return from_memory(picture, channels, shorter_side)
    raise DataError(f"a picture is a path, a file's bytes, an array or a PIL image, not {type(picture).__name__}")


def prepared(picture: Picture, preprocess: Preprocess) -> tuple[NDArray[np.uint8], Geometry, Remark]:
    """One picture as a network sees it, uint8 ``[H, W, C]``, how it came to that, and what was odd about it.

    Raises:
        DecodeError, DataError: as `opened` does.
    """
    decoded = opened(picture, preprocess)
    geometry = preprocess.geometry(decoded.geometry)
    return geometry.image(decoded.pixels), geometry, decoded.remark


Cut: TypeAlias = Callable[[tuple[int, int], int], ExactTiles]


def answered_in_tiles(
    picture: Picture,
    task: Task,
    preprocess: Preprocess,
    answer: Callable[[Tensor], Tensor],
    cut: Cut,
    seams: Seams,
) -> tuple[Any, Remark]:
    """A photograph's prediction in its own pixels, and what was odd about it; of its tiles one is there at a time.

    Args:
        picture: the photograph.
        task: one whose answers can be `gathered`.
        preprocess: the network's; its size does not count.
        answer: of images uint8 ``[1, C, h, w]`` the raw outputs.
        cut: of height, width and the bytes that are held meanwhile, how the photograph is cut with its borders.
        seams: hears how it was, and of what was answered twice.

    Raises:
        DecodeError, DataError: as `opened` does.
        ModelError: it cannot be cut.
    """
    decoded = opened(picture, preprocess, reduced=False)
    pixels, border = decoded.pixels, preprocess.border
    height, width = pixels.shape[:2]
    tiles = cut((height + 2 * border, width + 2 * border), pixels.nbytes + height * width)
    seams.cut(tiles)
    geometry = preprocess.unresized(height, width, tiles.size)
    shown = (
        (tile, answer(torch.from_numpy(_shown(pixels, tile, border, preprocess.fill)).permute(2, 0, 1)[None]))
        for tile in tiles
    )
    gathered = cast("Gathered", task.gathered)  # who asks has seen to it that there is one
    return gathered(shown, geometry, seams.add), decoded.remark


def _shown(pixels: NDArray[np.uint8], tile: Tile, border: int, fill: int) -> NDArray[np.uint8]:
    """What a tile shows, uint8, of a photograph uint8 ``[H, W, C]`` with a border around it."""
    top, left, bottom, right = tile.shows
    image = np.full((bottom - top, right - left, pixels.shape[2]), fill, np.uint8)
    part = pixels[max(top - border, 0) : max(bottom - border, 0), max(left - border, 0) : max(right - border, 0)]
    down, across = max(border - top, 0), max(border - left, 0)
    image[down : down + part.shape[0], across : across + part.shape[1]] = part
    return image


def task_of(description: Description, source: str | Path = "") -> Task:
    """The task that a model file describes; ``source`` is what errors call the file.

    Raises:
        ModelFileError: there is no such task, it cannot be had so, or the network is made for another.
    """
    said = f"{printable(source)}: " if source else ""
    try:
        task = task_named(description.task, description.classes, description.task_arguments)
    except ModelFileError as error:
        raise ModelFileError(f"{said}{error}") from None
    if (made_for := architecture(description.model).task) != task.network_task:
        raise ModelFileError(
            f"{said}its description does not hold together: {description.model} is made for {made_for}, and the task "
            f"is {task.name}"
        )
    return task


def measure(
    network: nn.Module, task: Task, preprocess: Preprocess, batches: Iterable[Batch], device: torch.device
) -> Meter:
    """A meter that has seen all batches."""
    meter = task.meter()
    for batch, result in outputs(network, task, preprocess, batches, device):
        meter.add(result, batch)
    return meter
