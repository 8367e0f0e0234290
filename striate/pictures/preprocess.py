"""What a set of weights wants to see: channels, size, resize rule and constants; the same code wherever it is used."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from striate.base.errors import ModelError, ModelFileError
from striate.base.nearest import did_you_mean
from striate.pictures.channels import Channels, channel_count
from striate.pictures.geometry import Crop, Geometry, Pad, Resize, Step
from striate.pictures.resampling import Interpolation

if TYPE_CHECKING:
    from torch import Tensor

ResizeRule = Literal["stretch", "crop", "letterbox", "none"]
_WORDS = {
    "channels": ("grey", "rgb", "bgr", "luma"),
    "resize": get_args(ResizeRule),
    "interpolation": get_args(Interpolation),
}


@dataclass(frozen=True, slots=True)
class Preprocess:
    """From a decoded picture to numbers: ``(x / unit - mean) / scale`` for each channel, at one size.

    Fields:
        channels: what the network gets; "grey", "rgb", "bgr", "luma" or a number of bands.
        unit: what the bytes 0..255 are divided by, more than 0.
        mean, scale: one number a channel, in the order of ``channels``, or a single one for all; scale is not 0.
        size: height and width of the network's input, border included, in pixels.
        resize: "stretch" ignores the aspect, "crop" takes the largest centred window of the target's aspect,
            "letterbox" keeps all of the picture and fills the rest, "none" leaves it in its own pixels, so that `size`
            is that of the windows alone that are learnt from.
        crop_fraction: the part of that window's sides that "crop" keeps, more than 0 and at most 1.
        border: pixels of ``fill`` on each side, inside ``size`` (LeNet-5's 28 in 32 is a border of 2).
        fill: the byte, 0..255, that borders and letterboxes are filled with.
        interpolation: "nearest", "bilinear", "bicubic" or "lanczos", all but the first with antialiasing.

    Raises:
        ModelError: a field is out of range.
    """

    channels: Channels = "rgb"
    unit: float = 255.0
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    scale: tuple[float, ...] = (0.229, 0.224, 0.225)
    size: tuple[int, int] = (224, 224)
    resize: ResizeRule = "crop"
    crop_fraction: float = 0.875
    border: int = 0
    fill: int = 0
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        if problem := _problem(self):
            raise ModelError(f"preprocess: {problem}")

    @property
    def count(self) -> int:
        """Channels of the network's input."""
        return channel_count(self.channels)

    @property
    def shorter_side(self) -> int | None:
        """How many pixels of a photograph's shorter side the decoder must keep, so that nothing has to be enlarged.

        None: all of them.
        """
        if self.resize == "none":
            return None
        longest = max(self._inner)
        return math.ceil(longest / self.crop_fraction - 1e-9) if self.resize == "crop" else longest

    def geometry(self, start: Geometry) -> Geometry:
        """The steps of evaluation after those of ``start``, which is the picture's `Decoded.geometry`."""
        steps = self._fitting(*start.output_size)
        if self.border:
            steps += (Pad(self.border, self.border, self.border, self.border, self.fill),)
        return start.then(*steps)

    def unresized(self, height: int, width: int, size: tuple[int, int]) -> Geometry:
        """A photograph in its own pixels, with its border, filled up at the bottom and at the right to this size."""
        down, across = size[0] - height - self.border, size[1] - width - self.border
        return Geometry(height, width).then(Pad(self.border, down, self.border, across, self.fill))

    def normalise(self, images: "Tensor") -> "Tensor":
        """Bytes to numbers: uint8 ``[N, C, H, W]`` to float32 of the same shape, device and memory format.

        Each number depends on its byte alone, bit for bit, whatever else is in the batch.
        """
        import torch

        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != self.count:
            raise ModelError(f"expected uint8 images [N, {self.count}, H, W], not {images.dtype} {list(images.shape)}")
        count, channels, height, width = images.shape
        in_rows = images.is_contiguous(memory_format=torch.channels_last)
        constants = _constants(self, width if in_rows else 1)
        mean, scale = (torch.from_numpy(each).to(images.device) for each in constants)
        if in_rows:
            # Rows of width x channels numbers: broadcasting over an innermost axis of 3 would be several times slower.
            rows = images.permute(0, 2, 3, 1).reshape(count, height, width * channels).to(torch.float32)
            return rows.sub_(mean).div_(scale).view(count, height, width, channels).permute(0, 3, 1, 2)
        return images.to(torch.float32).sub_(mean.view(1, -1, 1, 1)).div_(scale.view(1, -1, 1, 1))

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON has them (lists for tuples)."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> "Preprocess":
        """The inverse of `as_dict`; every field must be there, for a guess would be a wrong answer later.

        Raises:
            ModelFileError: a key is unknown or missing, or a value is of the wrong type or out of range.
        """
        names = [entry.name for entry in fields(cls)]
        for name in mapping:
            if name not in names:
                raise ModelFileError(
                    f"preprocess has no field {name!r}.{did_you_mean(str(name), names)} It has {', '.join(names)}."
                )
        if missing := [name for name in names if name not in mapping]:
            raise ModelFileError(f"preprocess lacks {', '.join(missing)}")
        try:
            return cls(**{name: _from_json(name, mapping[name]) for name in names})
        except ModelError as error:
            raise ModelFileError(str(error)) from error

    @property
    def _inner(self) -> tuple[int, int]:
        """Height and width without the border."""
        return self.size[0] - 2 * self.border, self.size[1] - 2 * self.border

    def _each(self, values: tuple[float, ...]) -> tuple[float, ...]:
        return values * self.count if len(values) == 1 else values

    def _fitting(self, height: int, width: int) -> tuple[Step, ...]:
        """The steps from decoded pixels to the size without border."""
        if self.resize == "none":
            return ()
        target_height, target_width = self._inner
        resize = Resize(target_height, target_width, self.interpolation)
        if self.resize == "stretch":
            return () if (height, width) == self._inner else (resize,)
        wide = height * target_width <= width * target_height  # wider than the target: its height is the limit
        if self.resize == "letterbox":
            # darknet's integers: the side that limits fits exactly, the other is rounded down
            if wide:
                new_height, new_width = max(1, height * target_width // width), target_width
            else:
                new_height, new_width = target_height, max(1, width * target_height // height)
            down, across = target_height - new_height, target_width - new_width
            pad = Pad(down // 2, down - down // 2, across // 2, across - across // 2, self.fill)
            return (Resize(new_height, new_width, self.interpolation), pad)
        window_height = float(height) if wide else width * target_height / target_width
        window_width = height * target_width / target_height if wide else float(width)
        window_height, window_width = (
            max(1, math.floor(side * self.crop_fraction + 1e-9)) for side in (window_height, window_width)
        )
        # The odd pixel is cut after, as SAME pads it after. EfficientNet-Lite's authors cut it before, which changes
        # the first answer of 2 photographs in 120, with no more of them right than chance would have it.
        top, left = (height - window_height) // 2, (width - window_width) // 2
        return (Crop(top, left, window_height, window_width), resize)


@lru_cache(maxsize=16)
def _constants(preprocess: Preprocess, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and scale of each channel in bytes, for so many pixels beside each other.

    (x - mean * unit) / (unit * scale): exact where the constants are whole numbers and powers of two.
    """
    mean, scale = (
        np.tile(np.array([value * preprocess.unit for value in preprocess._each(values)], np.float32), width)
        for values in (preprocess.mean, preprocess.scale)
    )
    return mean, scale


def _from_json(name: str, value: Any) -> Any:
    return tuple(value) if name in ("mean", "scale", "size") and isinstance(value, list | tuple) else value


def _problem(preprocess: Preprocess) -> str | None:
    """What is wrong with the fields, in words, or None."""
    for name, words in _WORDS.items():
        value = getattr(preprocess, name)
        if value not in words and not (name == "channels" and _whole(value, 1, 10_000)):
            hint = did_you_mean(value, words) if isinstance(value, str) else ""
            bands = " or a number of bands" if name == "channels" else ""
            return f"{name} is {value!r}, expected one of {', '.join(words)}{bands}.{hint}"
    for name, most, expected in (("unit", math.inf, "more than 0"), ("crop_fraction", 1, "more than 0, at most 1")):
        value = getattr(preprocess, name)
        if not (_number(value) and 0 < value <= most):
            return f"{name} is {value!r}, expected a number {expected}"
    for name in ("mean", "scale"):
        values = getattr(preprocess, name)
        numbers = isinstance(values, tuple) and all(map(_number, values))
        if not numbers or len(values) not in (1, preprocess.count):
            return f"{name} is {values!r}, expected {preprocess.count} numbers, one a channel, or a single one for all"
    if 0 in preprocess.scale:
        return f"scale is {preprocess.scale!r}; it divides, so it cannot be 0"
    size: Any = preprocess.size
    if not (isinstance(size, tuple) and len(size) == 2 and all(_whole(side, 1, 1 << 16) for side in size)):
        return f"size is {size!r}, expected height and width in pixels, each 1 to 65536"
    if not _whole(preprocess.border, 0, (min(size) - 1) // 2):
        return f"border is {preprocess.border!r}, expected 0 to {(min(size) - 1) // 2} for the size {size}"
    if not _whole(preprocess.fill, 0, 255):
        return f"fill is {preprocess.fill!r}, expected a byte, 0 to 255"
    return None


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


PREPROCESSING: Mapping[str, Preprocess] = MappingProxyType(
    {
        # torchvision's classification weights; Keras calls the constants "torch"
        "imagenet": Preprocess(),
        # Caffe's VGG and ResNet, as Keras carries them on
        "caffe": Preprocess(channels="bgr", unit=1.0, mean=(103.939, 116.779, 123.68), scale=(1.0,)),
        # Keras' "tf": -1..1
        "tf": Preprocess(unit=127.5, mean=(1.0,), scale=(1.0,)),
        # EfficientNet-Lite's own, from -127/128 to 1
        "lite": Preprocess(unit=1.0, mean=(127.0,), scale=(128.0,), interpolation="bicubic"),
        # the bytes themselves
        "raw": Preprocess(unit=1.0, mean=(0.0,), scale=(1.0,)),
    }
)
