"""Whole detectors out of darknet's files: a ``.cfg`` says the layers, the anchors and how pictures are prepared.

Rules and defaults are those of darknet's `parser.c`. What a section says that would change the answers and is not
computed here is refused; what is for training alone is passed over.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from striate.base.errors import ModelError, WeightsError
from striate.base.nearest import did_you_mean
from striate.models.darknet import BOX, Darknet, LayerError
from striate.models.darknet_rows import (
    Activation,
    Convolution,
    Detections,
    Dropout,
    MaxPool,
    Route,
    Row,
    Shortcut,
    Upsample,
)
from striate.models.meta import build_on_meta
from striate.pictures.preprocess import Preprocess, ResizeRule
from striate.weights.foreign import Foreign
from striate.weights.readers.darknet_config import Section, Window, convolution_window, pool_window
from striate.weights.schemes.renaming import shared_tensor
from striate.weights.schemes.table import Described

if TYPE_CHECKING:
    from torch import Tensor

    from striate.models.network import Network

IOU_THRESHOLD = 0.45
SCORE_THRESHOLD = 0.25
"""With which darknet answers when it is not told otherwise."""

_NORMALISED = {"bias": "bn{}.bias", "gamma": "bn{}.weight", "mean": "bn{}.running_mean", "variance": "bn{}.running_var"}
_PLAIN = {"bias": "conv{}.bias"}

_MOST = 1 << 16  # pixels of a side
_FARTHEST = 16  # cells

# Of darknet's fork alone, which stretches pictures where the first darknet keeps their aspect.
_FORK = ("scale_x_y", "iou_loss", "iou_thresh", "iou_normalizer", "cls_normalizer", "nms_kind", "beta_nms")


def described(foreign: Foreign) -> Described:
    """The detector that a darknet file's configuration describes.

    Raises:
        WeightsError: it describes none, or one that is not computed here; says which section and in which line.
    """
    net, sections = (_section(foreign.facts["net"]), [_section(each) for each in foreign.facts["layers"]])
    try:
        return _described(net, sections)
    except WeightsError as error:
        raise WeightsError(f"{foreign.path}: its configuration {foreign.facts['config']}: {error}") from None


def convert(foreign: Foreign, network: "Network") -> dict[str, "Tensor"]:
    """``conv8/weight`` to ``conv8.weight``; with batch normalization ``conv8/bias`` to ``bn8.bias`` and so on."""
    tensors: dict[str, Tensor] = {}
    for layer, arrays in foreign.layers().items():
        number, names = layer.removeprefix("conv"), _NORMALISED if "gamma" in arrays else _PLAIN
        for leaf, array in arrays.items():
            tensors[names.get(leaf, f"conv{{}}.{leaf}").format(number)] = shared_tensor(array)
    return tensors


def _section(said: Mapping[str, Any]) -> Section:
    return Section(said["section"], said["line"], said["options"])


def _described(net: Section, sections: Sequence[Section]) -> Described:
    scales = [number for number, section in enumerate(sections) if section.name == "yolo"]
    if not scales:
        raise WeightsError(
            "has no [yolo] section, so it describes no detector that is known here; of another network say with "
            "--model which it is"
        )
    classes = _classes(sections, scales)
    rows = tuple(_row(sections, number, classes) for number in range(len(sections)))
    channels = net.whole("channels", 0, least=1, most=10_000)
    arguments = {"rows": [asdict(row) for row in rows]}
    try:
        network = build_on_meta("darknet", classes=classes, in_channels=channels, arguments=arguments)
    except LayerError as error:
        raise WeightsError(f"{sections[error.number]}: {error.reason}") from None
    except ModelError as error:
        raise WeightsError(str(error)) from None
    assert isinstance(network, Darknet)
    found = [sections[number] for number, _ in network.scales]
    form = {
        "name": "yolov3",
        "anchors": [_anchors(section) for section in found],
        "strides": [stride for _, stride in network.scales],
        "scale_xy": [_reach(section) for section in found],
    }
    resize, doubts = _resize(net, found)
    return Described(
        classes=classes,
        arguments=arguments,
        preprocess=_preprocess(net, channels, network.smallest[0], resize),
        task_arguments={"form": form, "iou_threshold": IOU_THRESHOLD, "score_threshold": SCORE_THRESHOLD},
        doubts=doubts,
    )


def _preprocess(net: Section, channels: int, stride: int, resize: ResizeRule) -> Preprocess:
    size = net.whole("height", 0), net.whole("width", 0)
    if size[0] % stride or size[1] % stride:
        raise WeightsError(
            f"{net} has width={size[1]} and height={size[0]}; its coarsest map takes multiples of {stride}"
        )
    kind: Any = {1: "grey", 3: "rgb"}.get(channels, channels)
    return Preprocess(channels=kind, mean=(0.0,), scale=(1.0,), size=size, resize=resize, fill=128)


def _resize(net: Section, scales: Sequence[Section]) -> tuple[ResizeRule, Mapping[str, str]]:
    """How pictures come to the network's size, and what makes that doubtful."""
    rules: tuple[ResizeRule, ResizeRule] = ("stretch", "letterbox")
    if "letter_box" in net.options:
        return rules[net.whole("letter_box", 0) != 0], {}
    fork = any(option in section.options for section in scales for option in _FORK)
    taken, other = rules if fork else rules[::-1]
    whose = "darknet's fork does, whose options it has" if fork else "the first darknet does"
    doubt = (
        "whether pictures are stretched or letterboxed, a .cfg without letter_box does not say; this network's are "
        f"{taken}ed, as {whose} (--resize {other} for the other)"
    )
    return taken, {"resize": doubt}


# Sections as rows


def _row(sections: Sequence[Section], number: int, classes: int) -> Row:
    section = sections[number]
    if section.name not in _KINDS:
        known = ", ".join(f"[{name}]" for name in _KINDS)
        raise WeightsError(f"{section}: layers of this kind are not computed here in a detector; known are {known}")
    kind = _KINDS[section.name]
    for option, unset in kind.changes.items():
        if section.numbers(option) not in ([], [unset]):
            raise WeightsError(f"{section} has {option}={section.options[option][:40]}, which is not computed here")
    try:
        row = kind.row(section, number)
    except ValueError as error:
        raise WeightsError(f"{section}: {error}") from None
    after = sections[number + 1] if number + 1 < len(sections) else None
    if after is None or after.name != "yolo" or not isinstance(row, Convolution):
        return row
    wanted = len(_anchors(after)) * (BOX + classes)
    if row.filters != wanted:
        raise WeightsError(
            f"{section} has filters={row.filters}; the {after} behind it wants {wanted}, {BOX} and {classes} classes "
            f"for each of {len(_anchors(after))} anchors"
        )
    return replace(row, filters=None)


def _convolution(section: Section, number: int) -> Convolution:
    window = convolution_window(section)
    return Convolution(
        filters=section.whole("filters", 1, least=1),
        size=window.size,
        stride=_stride(window),
        padding=window.padding // 2,
        groups=section.whole("groups", 1, least=1),
        norm=bool(section.whole("batch_normalize", 0)),
        activation=_activation(section, "logistic"),
    )


def _max_pool(section: Section, number: int) -> MaxPool:
    window = pool_window(section)
    return MaxPool(size=window.size, stride=_stride(window), padding=window.padding)


def _stride(window: Window) -> int:
    if window.across != window.down:
        raise ValueError(f"strides of {window.across} across and {window.down} down are not computed here")
    return window.across


def _upsample(section: Section, number: int) -> Upsample:
    return Upsample(factor=section.whole("stride", 2, least=1))


def _shortcut(section: Section, number: int) -> Shortcut:
    return Shortcut(layers=section.layers("from", number), activation=_activation(section, "linear"))


def _route(section: Section, number: int) -> Route:
    groups, part = section.whole("groups", 1, least=1), section.whole("group_id", 0, least=0)
    return Route(layers=section.layers("layers", number), groups=groups, part=part)


def _dropout(section: Section, number: int) -> Dropout:
    return Dropout(probability=(section.numbers("probability") or [0.5])[0])


def _detections(section: Section, number: int) -> Detections:
    return Detections(anchors=len(_anchors(section)))


def _activation(section: Section, default: Activation) -> Activation:
    name: Any = section.options.get("activation", default)
    known = get_args(Activation)
    if name not in known:
        raise ValueError(
            f"activation={name[:40]} is not computed here.{did_you_mean(name, known)} Known: {', '.join(known)}"
        )
    activation: Activation = name
    return activation


def _classes(sections: Sequence[Section], scales: Sequence[int]) -> int:
    counts = {number: sections[number].whole("classes", 20, least=1) for number in scales}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{sections[number]} {count}" for number, count in counts.items())
        raise WeightsError(f"its scales have different numbers of classes: {said}")
    return counts[scales[0]]


def _anchors(section: Section) -> list[tuple[float, float]]:
    """Width and height of each anchor that the scale's ``mask`` takes; of all without one."""
    numbers = section.numbers("anchors")
    pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
    mask = section.wholes("mask") or range(section.whole("num", 1, least=1))
    if not all(0 <= index < len(pairs) and all(0 < side <= _MOST for side in pairs[index]) for index in mask):
        raise WeightsError(
            f"{section} takes the anchors {list(mask)[:9]} of {len(pairs)}; they are counted from 0, and each is a "
            f"width and a height of up to {_MOST} pixels"
        )
    return [pairs[index] for index in mask]


def _reach(section: Section) -> float:
    reach = (section.numbers("scale_x_y") or [1.0])[0]
    if not 0 < reach <= _FARTHEST:
        raise WeightsError(f"{section} has scale_x_y={reach:g}; it is above 0, and up to {_FARTHEST}")
    return reach


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a section becomes a row; ``changes`` has options that change the answers, by the value that does not."""

    row: Callable[[Section, int], Row]
    changes: Mapping[str, float] = field(default_factory=dict)


_CONVOLUTION = _Kind(
    _convolution,
    {
        **dict.fromkeys(("antialiasing", "binary", "xnor", "stretch", "stretch_sway", "sway", "rotate", "deform"), 0),
        "dilation": 1,
    },
)
_MAX_POOL = _Kind(_max_pool, {"antialiasing": 0, "maxpool_depth": 0})

_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        **dict.fromkeys(("convolutional", "conv"), _CONVOLUTION),
        **dict.fromkeys(("maxpool", "max"), _MAX_POOL),
        "upsample": _Kind(_upsample, {"scale": 1}),
        "shortcut": _Kind(_shortcut, {"alpha": 1, "beta": 1}),
        "route": _Kind(_route),
        "dropout": _Kind(_dropout),
        "yolo": _Kind(_detections, {"new_coords": 0}),
    }
)
