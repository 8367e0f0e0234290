"""Networks that Keras wrote: those of keras.applications, SqueezeNet by its usual names, and plain sequences.

Each family is a list of rows, their layer beside our module, in the order in which Keras' model has its layers. Layers
are found by name. What is then left over on both sides is matched kind by kind in order, if there are as many: so
weights find their places whose file calls every layer by its class and number (``conv2d_3``), and heads of any name.

Where Keras' convolutions have biases that ours leave to the batch norm behind them, the running mean takes them over;
an epsilon of its batch norms that is not ours goes into the running variance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from striate.weights import layouts
from striate.weights.foreign import Foreign
from striate.weights.readers.keras_config import class_of, number_of, without_number
from striate.weights.schemes.renaming import units_in_order

if TYPE_CHECKING:
    from striate.models.network import Network

Kind = Literal["convolution", "depthwise", "separable", "norm", "dense"]
DEFAULT_EPSILON = 1e-3  # of Keras' BatchNormalization
RESNET_EPSILON = 1.001e-5


@dataclass(frozen=True, slots=True)
class Row:
    """One layer.

    Fields:
        theirs: Keras' name; empty where it is made up anew in every program.
        ours: the path of our module; of a separable convolution, of the module around both.
        kind: what it is.
        norm: of a convolution, the path of our batch norm behind it, if there is one.
        epsilon: of a batch norm, theirs where the file does not say.
        channels: of a dense layer that reads a flattened map, the map's.
    """

    theirs: str
    ours: str
    kind: Kind
    norm: str = ""
    epsilon: float = DEFAULT_EPSILON
    channels: int = 0


def vgg(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """VGG16 and VGG19."""
    names = [name for name, _ in network.named_children() if name.startswith("conv")]
    rows = [Row(f"block{name[4]}_conv{name[6:]}", name, "convolution") for name in names]
    dense = [Row("fc1", "fc6", "dense", channels=512), Row("fc2", "fc7", "dense"), Row("predictions", "fc8", "dense")]
    return _converted(foreign, network, [*rows, *dense])


def resnet(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """ResNet50, ResNet101 and ResNet152, by today's names (``conv2_block1_1_conv``) and the first (``res2a_branch2a``).

    The first ResNet50 had Keras' default epsilon.
    """
    first = "bn_conv1/gamma" in foreign.arrays or "bn_conv1/moving_mean" in foreign.arrays
    epsilon = DEFAULT_EPSILON if first else RESNET_EPSILON
    stem = ("conv1", "bn_conv1") if first else ("conv1_conv", "conv1_bn")
    rows = list(_with_norm("convolution", *stem, "conv1", "bn1"))
    for stage in range(1, 5):
        for unit, module in network.get_submodule(f"layer{stage}").named_children():
            place, number = f"layer{stage}.{unit}", int(unit)
            shortcut = getattr(module, "downsample", None) is not None
            parts = [("1", "conv1", "bn1"), ("2", "conv2", "bn2"), ("3", "conv3", "bn3")]
            if shortcut:  # stands before the third, and has its shape
                parts.insert(2, ("0", "downsample.0", "downsample.1"))
            for part, convolution, norm in parts:
                if first:
                    branch = "1" if part == "0" else f"2{'abc'[int(part) - 1]}"
                    name = f"{stage + 1}{chr(ord('a') + number)}_branch{branch}"
                    theirs = (f"res{name}", f"bn{name}")
                else:
                    name = f"conv{stage + 1}_block{number + 1}_{part}"
                    theirs = (f"{name}_conv", f"{name}_bn")
                rows += _with_norm("convolution", *theirs, f"{place}.{convolution}", f"{place}.{norm}")
    rows = [replace(row, epsilon=epsilon) for row in rows]
    return _converted(foreign, network, [*rows, Row("fc1000" if first else "predictions", "fc", "dense")])


def xception(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """Xception. Its shortcuts have no names of their own, there are four of them."""
    rows = [
        *_with_norm("convolution", "block1_conv1", "block1_conv1_bn", "conv1", "bn1"),
        *_with_norm("convolution", "block1_conv2", "block1_conv2_bn", "conv2", "bn2"),
    ]
    for number in range(1, 13):
        block = network.get_submodule(f"block{number}")
        steps = list(block.get_submodule("rep").named_children())
        places = [int(name) for name, step in steps if hasattr(step, "pointwise")]
        for position, place in enumerate(places, start=1):
            theirs, ours = f"block{number + 1}_sepconv{position}", f"block{number}.rep"
            rows += _with_norm("separable", theirs, f"{theirs}_bn", f"{ours}.{place}", f"{ours}.{place + 1}")
        if getattr(block, "skip", None) is not None:
            rows += _with_norm("convolution", "", "", f"block{number}.skip", f"block{number}.skipbn")
    rows += _with_norm("separable", "block14_sepconv1", "block14_sepconv1_bn", "conv3", "bn3")
    rows += _with_norm("separable", "block14_sepconv2", "block14_sepconv2_bn", "conv4", "bn4")
    return _converted(foreign, network, [*rows, Row("predictions", "fc", "dense")])


def mobilenet(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """MobileNet of any width. Its own head is a 1x1 convolution, one that was put on later a dense layer."""
    rows = list(_with_norm("convolution", "conv1", "conv1_bn", "conv_stem", "bn1"))
    for number, place in enumerate(units_in_order(network), start=1):
        depthwise, pointwise = f"conv_dw_{number}", f"conv_pw_{number}"
        rows += _with_norm("depthwise", depthwise, f"{depthwise}_bn", f"{place}.conv_dw", f"{place}.bn1")
        rows += _with_norm("convolution", pointwise, f"{pointwise}_bn", f"{place}.conv_pw", f"{place}.bn2")
    dense = any(name.endswith("/kernel") and array.ndim == 2 for name, array in foreign.arrays.items())
    return _converted(foreign, network, [*rows, Row("conv_preds", "classifier", "dense" if dense else "convolution")])


def mobilenet_v2(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """MobileNetV2, alone or as a model within a model, under whatever head."""
    rows = list(_with_norm("convolution", "Conv1", "bn_Conv1", "conv_stem", "bn1"))
    for number, place in enumerate(units_in_order(network)):
        theirs = f"block_{number}" if number else "expanded_conv"
        parts = [("expand", "conv_pw"), ("depthwise", "conv_dw"), ("project", "conv_pwl" if number else "conv_pw")]
        for position, (part, ours) in enumerate(parts if number else parts[1:], start=1):
            kind: Kind = "depthwise" if part == "depthwise" else "convolution"
            layer = f"{theirs}_{part}"
            rows += _with_norm(kind, layer, f"{layer}_BN", f"{place}.{ours}", f"{place}.bn{position}")
    rows += _with_norm("convolution", "Conv_1", "Conv_1_bn", "conv_head", "bn2")
    return _converted(foreign, network, [*rows, Row("predictions", "classifier", "dense")])


def squeezenet(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """SqueezeNet by the paper's names: ``fire2/squeeze1x1``."""
    rows = [Row("conv1", "conv1", "convolution")]
    for fire in range(2, 10):
        for theirs, ours in (("squeeze1x1", "squeeze"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3")):
            rows.append(Row(f"fire{fire}/{theirs}", f"fire{fire}.{ours}", "convolution"))
    return _converted(foreign, network, [*rows, Row("conv10", "conv10", "convolution")])


def sequence(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """A network that is a plain sequence of convolutions and dense layers, by their order alone.

    Where the file has fewer convolutions, our last read a whole map, as dense layers may just as well: LeNet-5's C5.
    """
    convolutions = sum(1 for name, array in foreign.arrays.items() if name.endswith("/kernel") and array.ndim == 4)
    rows: list[Row] = []
    channels = 0
    for path, module in network.named_children():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, Tensor):
            continue
        is_dense = weight.dim() == 2 or len(rows) >= convolutions
        rows.append(Row("", path, "dense" if is_dense else "convolution", channels=channels if is_dense else 0))
        channels = 0 if is_dense else weight.shape[0]
    return _converted(foreign, network, rows)


def _with_norm(kind: Kind, theirs: str, their_norm: str, ours: str, our_norm: str) -> tuple[Row, Row]:
    return Row(theirs, ours, kind, norm=our_norm), Row(their_norm, our_norm, "norm")


# Which layer of theirs is which of ours

Layers = dict[str, dict[str, np.ndarray]]


def _converted(foreign: Foreign, network: "Network", rows: Sequence[Row]) -> dict[str, Tensor]:
    layers = foreign.layers()
    facts = foreign.facts.get("layers", {})
    places = [(row, name) for row, name in _matched(rows, layers, facts) if name in layers]
    filling = _Filling(network, layers)
    for row, name in places:
        if row.kind != "norm":
            filling.put_kernel(row, name)
    for row, name in places:
        if row.kind == "norm":
            filling.put_norm(row, name, facts.get(name, {}).get("epsilon", row.epsilon))
    left = {
        f"{layer}/{variable}".lstrip("/"): layouts.as_tensor(array)
        for layer, variables in layers.items()
        for variable, array in variables.items()
    }
    return {**filling.tensors, **left}


def _matched(rows: Sequence[Row], layers: Layers, facts: dict[str, dict[str, object]]) -> Iterator[tuple[Row, str]]:
    """Each row with the name of its layer: by name, then kind by kind in order where the numbers agree."""
    named = {row.theirs for row in rows if row.theirs in layers}
    yield from ((row, row.theirs) for row in rows if row.theirs in named)
    open_rows = [row for row in rows if row.theirs not in named]
    spare: dict[str, list[str]] = {}
    for name, variables in layers.items():
        if name not in named:
            kind = str(facts.get(name, {}).get("class", "")) or class_of(name)
            spare.setdefault(_kind(variables, kind), []).append(name)
    for kind in ("convolution", "depthwise", "separable", "norm", "dense"):
        waiting, found = [row for row in open_rows if row.kind == kind], spare.get(kind, [])
        if len(waiting) == len(found):
            yield from zip(waiting, _in_order(found), strict=True)


def _kind(variables: dict[str, np.ndarray], their_class: str) -> str:
    if "moving_variance" in variables:
        return "norm"
    if "pointwise_kernel" in variables:
        return "separable"
    if "depthwise_kernel" in variables or their_class == "DepthwiseConv2D":
        return "depthwise"
    if "kernel" not in variables:
        return ""
    return "dense" if variables["kernel"].ndim == 2 else "convolution"


def _in_order(names: list[str]) -> list[str]:
    """Names that count (``conv2d``, ``conv2d_1``) by their numbers, since files may list trained layers first."""
    return sorted(names, key=number_of) if len({without_number(name) for name in names}) == 1 else names


# Their arrays as our tensors


class _Filling:
    """Tensors by our names, taken out of ``layers``; what does not have the dimensions it should have stays there."""

    def __init__(self, network: "Network", layers: Layers) -> None:
        self.network, self.layers = network, layers
        self.tensors: dict[str, Tensor] = {}
        self._before: dict[str, str] = {}  # the layer of theirs whose bias is for the batch norm of this path

    def put_kernel(self, row: Row, name: str) -> None:
        """A convolution's or dense layer's kernels and bias."""
        module = self.network.get_submodule(row.ours)
        if row.kind == "separable":
            if (kernel := self._take(name, "depthwise_kernel", 4)) is not None:
                self.tensors[f"{row.ours}.conv1.weight"] = layouts.depthwise_kernel(kernel)
            if (kernel := self._take(name, "pointwise_kernel", 4)) is not None:
                self.tensors[f"{row.ours}.pointwise.weight"] = layouts.convolution_kernel(kernel)
        elif row.kind == "depthwise":
            variable = "depthwise_kernel" if "depthwise_kernel" in self.layers[name] else "kernel"
            if (kernel := self._take(name, variable, 4)) is not None:
                self.tensors[f"{row.ours}.weight"] = layouts.depthwise_kernel(kernel)
        elif (kernel := self._take(name, "kernel", 2, 4)) is not None:
            wanted = self.network.get_parameter(f"{row.ours}.weight").shape
            self.tensors[f"{row.ours}.weight"] = _kernel(kernel, wanted, row.channels)
        if getattr(module, "bias", None) is None:
            self._before[row.norm] = name
        elif (bias := self._take(name, "bias", 1)) is not None:
            self.tensors[f"{row.ours}.bias"] = bias

    def put_norm(self, row: Row, name: str, epsilon: object) -> None:
        """A batch norm's four tensors, with our epsilon, and with the bias of the convolution before it."""
        shapes = {array.shape for array in self.layers[name].values()}
        if not {"moving_mean", "moving_variance"} <= set(self.layers[name]) or len(shapes) > 1:
            return
        mean, variance = self._take(name, "moving_mean", 1), self._take(name, "moving_variance", 1)
        if mean is None or variance is None:
            return
        gamma, beta = self._take(name, "gamma", 1), self._take(name, "beta", 1)
        gamma = torch.ones_like(mean) if gamma is None else gamma
        ours = self.network.get_submodule(row.ours).eps
        theirs = float(epsilon) if isinstance(epsilon, int | float) else row.epsilon
        gamma, variance = layouts.move_epsilon(gamma, variance, theirs=theirs, ours=float(ours))  # type: ignore[arg-type]
        before = self.layers[self._before[row.ours]] if row.ours in self._before else {}
        if "bias" in before and before["bias"].shape == tuple(mean.shape):
            mean = layouts.fold_bias(mean, layouts.as_tensor(before.pop("bias")))
        self.tensors[f"{row.ours}.weight"] = gamma
        self.tensors[f"{row.ours}.bias"] = torch.zeros_like(mean) if beta is None else beta
        self.tensors[f"{row.ours}.running_mean"] = mean
        self.tensors[f"{row.ours}.running_var"] = variance

    def _take(self, layer: str, variable: str, *dimensions: int) -> Tensor | None:
        array = self.layers[layer].get(variable)
        if array is None or array.ndim not in dimensions:
            return None
        del self.layers[layer][variable]
        return layouts.as_tensor(array).float()


def _kernel(kernel: Tensor, wanted: torch.Size, channels: int) -> Tensor:
    """A convolution's or dense layer's kernel in our layout; ``channels`` are those of the flattened map it reads."""
    if len(wanted) == 4 and kernel.dim() == 4:
        return layouts.convolution_kernel(kernel)
    if kernel.dim() == 2 and channels:
        kernel = layouts.dense_kernel_behind_map(kernel, channels)
    else:
        kernel = layouts.dense_kernel(kernel)
    return kernel.reshape(wanted) if kernel.numel() == wanted.numel() and len(wanted) == 4 else kernel
