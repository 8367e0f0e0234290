"""Every scheme of names and layouts, written out. A new one is a function in a file beside this and a row here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import Any

from striate.models.table import MODELS
from striate.pictures.preprocess import Preprocess
from striate.weights.foreign import Origin


@dataclass(frozen=True, slots=True)
class Described:
    """What a file says of its own network: all that a model file must know but what the classes are called.

    ``arguments`` are the builder's, ``task_arguments`` those of the task, as JSON has them. ``doubts`` has a sentence
    for each field of ``preprocess`` that is not said for sure.
    """

    classes: int
    arguments: Mapping[str, Any]
    preprocess: Preprocess
    task_arguments: Mapping[str, Any]
    doubts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way of writing down the weights of some networks.

    Fields:
        origins: the formats in which it is met.
        summary: whose it is, for people.
        convert: ``module:function``, see `function_at`. The function takes a `Foreign` and our network (on the meta
            device) and returns tensors by our names; an array that it has no place for keeps its own name, so that
            nothing is lost silently. It raises no errors of its own: what does not fit is found by whoever compares.
        models: the networks it is for; the one that is meant by the one that is asked for. They differ where the
            same weights mean another network: Keras' MobileNetV2 pads as SAME, so "mobilenet_v2" is
            "mobilenet_v2_same" there. Who asks for the longer name gets it, whatever the file's origin.
        describe: ``module:function`` that gives what a `Foreign` says of its network, where it does.
    """

    origins: tuple[Origin, ...]
    summary: str
    convert: str
    models: Mapping[str, str]
    describe: str | None = None


def function_at(place: str) -> Callable[..., Any]:
    """The function of a ``module:function`` in this room, imported when it is needed."""
    module, _, function = place.partition(":")
    found: Callable[..., Any] = getattr(import_module(f"striate.weights.schemes.{module}"), function)
    return found


def _networks(*same: str, means: Mapping[str, str] = MappingProxyType({})) -> Mapping[str, str]:
    """Networks that are themselves, and those that mean another."""
    return MappingProxyType({**{model: model for model in same}, **means})


_TORCH: tuple[Origin, ...] = ("torch", "safetensors")
_CAFFE: tuple[Origin, ...] = ("caffe",)
_KERAS: tuple[Origin, ...] = ("keras",)
_VGG = ("vgg11", "vgg13", "vgg16", "vgg19")
_VGG_BN = tuple(f"{name}_bn" for name in _VGG)
_SQUEEZENET = ("squeezenet1_0", "squeezenet1_1")
_RESNET = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_RESNET_2015 = ("resnet50_2015", "resnet101_2015", "resnet152_2015")
_SE_BOTTLENECK = ("se_resnet50", "se_resnet101", "se_resnet152")
_LITE = tuple(f"efficientnet_lite{number}" for number in range(5))

# Files by these names are other people's, though every name and shape is ours: timm's seresnet50 and larger ones stride
# elsewhere, and its legacy_xception has another epsilon, for which it has a row of its own.
_NOT_BY_OWN_NAMES = (*_SE_BOTTLENECK, "xception")

_MEANS_2015 = {name.removesuffix("_2015"): name for name in _RESNET_2015}
_MEANS_SYMMETRIC = {"mobilenet_v1": "mobilenet_v1_symmetric"}

SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        "torchvision_googlenet": Scheme(
            _TORCH,
            "torchvision's GoogLeNet; its published weights want pictures of mean 0.5 and deviation 0.5",
            "own:convert",
            _networks("googlenet_bn", means={"googlenet": "googlenet_bn"}),
        ),
        "own": Scheme(
            _TORCH,
            "our own names; torchvision's and timm's ResNets and akamaster's for CIFAR have the same",
            "own:convert",
            _networks(*(name for name in MODELS if name not in _NOT_BY_OWN_NAMES)),
        ),
        "torchvision": Scheme(
            _TORCH,
            "torchvision's numbered layers, of any version; timm's VGG",
            "torchvision:convert",
            _networks(
                *("alexnet_single", *_VGG, *_VGG_BN, *_SQUEEZENET, "mobilenet_v2", "mobilenet_v2_same"),
                means={"alexnet": "alexnet_single"},
            ),
        ),
        "timm_efficientnet": Scheme(_TORCH, "timm's tf_efficientnet_lite", "timm:efficientnet", _networks(*_LITE)),
        "timm_mobilenet": Scheme(
            _TORCH,
            "timm's MobileNets",
            "timm:mobilenet",
            _networks("mobilenet_v1_symmetric", "mobilenet_v2", "mobilenet_v2_same", means=_MEANS_SYMMETRIC),
        ),
        "timm_legacy_seresnet": Scheme(
            _TORCH,
            "timm's legacy_seresnet, or Cadene's se_resnet",
            "timm:legacy_seresnet",
            _networks("se_resnet18", "se_resnet34", *_SE_BOTTLENECK),
        ),
        "timm_legacy_xception": Scheme(
            _TORCH, "timm's legacy_xception, or Cadene's xception", "timm:legacy_xception", _networks("xception")
        ),
        "transformers": Scheme(
            _TORCH,
            "Hugging Face transformers' ResNet",
            "transformers:convert",
            _networks(*_RESNET, *_RESNET_2015),
        ),
        "lukemelas": Scheme(
            _TORCH, "lukemelas' EfficientNet-PyTorch and its Lite form", "lukemelas:convert", _networks(*_LITE)
        ),
        "caffe": Scheme(
            _CAFFE, "Caffe's LeNet, AlexNet or VGG", "caffe:as_named", _networks("lenet_caffe", "alexnet", *_VGG)
        ),
        "caffe_googlenet": Scheme(_CAFFE, "Caffe's GoogLeNet", "caffe:googlenet", _networks("googlenet")),
        "caffe_resnet": Scheme(
            _CAFFE, "the authors' ResNet in Caffe", "caffe:resnet", _networks(*_RESNET_2015, means=_MEANS_2015)
        ),
        "caffe_se_resnet": Scheme(
            _CAFFE, "the authors' SE-ResNet in Caffe", "caffe:se_resnet", _networks(*_SE_BOTTLENECK)
        ),
        "caffe_squeezenet": Scheme(
            _CAFFE, "the authors' SqueezeNet in Caffe", "caffe:squeezenet", _networks(*_SQUEEZENET)
        ),
        "caffe_mobilenet": Scheme(
            _CAFFE, "MobileNet-Caffe", "caffe:mobilenet", _networks("mobilenet_v1_symmetric", means=_MEANS_SYMMETRIC)
        ),
        "darknet": Scheme(
            ("darknet",),
            "darknet's layers in their order",
            "darknet:convert",
            _networks(*_VGG, *_VGG_BN, "yolov3", "yolov3_tiny"),
        ),
        "darknet_detector": Scheme(
            ("darknet",),
            "a detector that its .cfg describes",
            "darknet_detector:convert",
            _networks("darknet"),
            describe="darknet_detector:described",
        ),
        "keras_vgg": Scheme(_KERAS, "Keras' VGG", "keras:vgg", _networks("vgg16", "vgg19")),
        "keras_resnet": Scheme(
            _KERAS,
            "Keras' ResNet (its stride stands in the 1x1)",
            "keras:resnet",
            _networks(*_RESNET_2015, means=_MEANS_2015),
        ),
        "keras_xception": Scheme(_KERAS, "Keras' Xception", "keras:xception", _networks("xception")),
        "keras_mobilenet": Scheme(
            _KERAS,
            "Keras' MobileNet",
            "keras:mobilenet",
            _networks("mobilenet_v1", "mobilenet_v1_075", "mobilenet_v1_050", "mobilenet_v1_025"),
        ),
        "keras_mobilenet_v2": Scheme(
            _KERAS,
            "Keras' MobileNetV2 (its paddings are SAME)",
            "keras:mobilenet_v2",
            _networks("mobilenet_v2_same", means={"mobilenet_v2": "mobilenet_v2_same"}),
        ),
        "keras_squeezenet": Scheme(_KERAS, "SqueezeNet in Keras' layout", "keras:squeezenet", _networks(*_SQUEEZENET)),
        "keras_sequence": Scheme(
            _KERAS,
            "a plain sequence of Keras' layers",
            "keras:sequence",
            _networks("lenet5", "lenet_caffe", "fashion_cnn"),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Naming:
    """How a library calls the layers of some networks of ours, which answer there as they do here.

    ``names`` is ``module:function`` as well: our network to the names of its layers there, by ours. ``epsilon`` is that
    of their batch norms where ours is another.
    """

    models: tuple[str, ...]
    names: str
    epsilon: float | None = None


_SAME_NAMES = "renaming:same_names"
_STAGED_NAMES = "timm:staged_names"
_NUMBERED_NAMES = "torchvision:numbered_names"

NAMINGS: Mapping[str, tuple[Naming, ...]] = MappingProxyType(
    {
        "torchvision": (
            Naming((*_RESNET, "googlenet_bn"), _SAME_NAMES),
            Naming(("alexnet_single", *_VGG, *_VGG_BN, *_SQUEEZENET, "mobilenet_v2"), _NUMBERED_NAMES),
        ),
        "timm": (
            Naming(_RESNET, _SAME_NAMES),
            Naming((*_LITE, "mobilenet_v2"), _STAGED_NAMES),
            Naming(("mobilenet_v1_symmetric",), _STAGED_NAMES, epsilon=1e-5),
            Naming(("xception",), _SAME_NAMES, epsilon=1e-5),
            Naming(("se_resnet18", "se_resnet34", *_SE_BOTTLENECK), "timm:cadene_names"),
        ),
        "transformers": (Naming((*_RESNET, *_RESNET_2015), "transformers:names"),),
        "lukemelas": (Naming(_LITE, "lukemelas:names"),),
    }
)
"""Our networks by the names of PyTorch's libraries, which is `SCHEMES` the other way round."""
