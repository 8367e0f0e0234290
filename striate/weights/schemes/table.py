"""Every scheme of names and layouts, written out. A new one is a function in a file beside this and a row here."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from striate.models.table import MODELS
from striate.weights.foreign import Origin


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way of writing down the weights of some networks.

    Fields:
        origins: the formats in which it is met.
        summary: whose it is, for people.
        convert: ``module:function``. The function takes a `Foreign` and our network (on the meta device) and returns
            tensors by our names; an array that it has no place for keeps its own name, so that nothing is lost
            silently. It raises no errors of its own: what does not fit is found by whoever compares.
        models: the networks it is for; the one that is meant by the one that is asked for. They differ where the
            same weights mean another network: Keras' MobileNetV2 pads as SAME, so "mobilenet_v2" is
            "mobilenet_v2_same" there. Who asks for the longer name gets it, whatever the file's origin.
    """

    origins: tuple[Origin, ...]
    summary: str
    convert: str
    models: Mapping[str, str]


def _same(*models: str) -> Mapping[str, str]:
    return MappingProxyType({model: model for model in models})


_TORCH: tuple[Origin, ...] = ("torch", "safetensors")
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

SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        "torchvision_googlenet": Scheme(
            origins=_TORCH,
            summary="torchvision's GoogLeNet; its published weights want pictures of mean 0.5 and deviation 0.5",
            convert="striate.weights.schemes.own:convert",
            models=MappingProxyType({"googlenet": "googlenet_bn", "googlenet_bn": "googlenet_bn"}),
        ),
        "own": Scheme(
            origins=_TORCH,
            summary="our own names; torchvision's and timm's ResNets and akamaster's for CIFAR have the same",
            convert="striate.weights.schemes.own:convert",
            models=_same(*(name for name in MODELS if name not in _NOT_BY_OWN_NAMES)),
        ),
        "torchvision": Scheme(
            origins=_TORCH,
            summary="torchvision's numbered layers, of any version; timm's VGG",
            convert="striate.weights.schemes.torchvision:convert",
            models=MappingProxyType(
                {
                    "alexnet": "alexnet_single",
                    **_same("alexnet_single", *_VGG, *_VGG_BN, *_SQUEEZENET, "mobilenet_v2", "mobilenet_v2_same"),
                }
            ),
        ),
        "timm_efficientnet": Scheme(
            origins=_TORCH,
            summary="timm's tf_efficientnet_lite",
            convert="striate.weights.schemes.timm:efficientnet",
            models=_same(*_LITE),
        ),
        "timm_mobilenet": Scheme(
            origins=_TORCH,
            summary="timm's MobileNets",
            convert="striate.weights.schemes.timm:mobilenet",
            models=MappingProxyType(
                {
                    "mobilenet_v1": "mobilenet_v1_symmetric",
                    **_same("mobilenet_v1_symmetric", "mobilenet_v2", "mobilenet_v2_same"),
                }
            ),
        ),
        "timm_legacy_seresnet": Scheme(
            origins=_TORCH,
            summary="timm's legacy_seresnet, or Cadene's se_resnet",
            convert="striate.weights.schemes.timm:legacy_seresnet",
            models=_same("se_resnet18", "se_resnet34", *_SE_BOTTLENECK),
        ),
        "timm_legacy_xception": Scheme(
            origins=_TORCH,
            summary="timm's legacy_xception, or Cadene's xception",
            convert="striate.weights.schemes.timm:legacy_xception",
            models=_same("xception"),
        ),
        "transformers": Scheme(
            origins=_TORCH,
            summary="Hugging Face transformers' ResNet",
            convert="striate.weights.schemes.transformers:convert",
            models=_same(*_RESNET, *_RESNET_2015),
        ),
        "lukemelas": Scheme(
            origins=_TORCH,
            summary="lukemelas' EfficientNet-PyTorch and its Lite form",
            convert="striate.weights.schemes.lukemelas:convert",
            models=_same(*_LITE),
        ),
        "caffe": Scheme(
            origins=("caffe",),
            summary="Caffe's LeNet, AlexNet or VGG",
            convert="striate.weights.schemes.caffe:as_named",
            models=_same("lenet_caffe", "alexnet", *_VGG),
        ),
        "caffe_googlenet": Scheme(
            origins=("caffe",),
            summary="Caffe's GoogLeNet",
            convert="striate.weights.schemes.caffe:googlenet",
            models=_same("googlenet"),
        ),
        "caffe_resnet": Scheme(
            origins=("caffe",),
            summary="the authors' ResNet in Caffe",
            convert="striate.weights.schemes.caffe:resnet",
            models=MappingProxyType(
                {
                    **_same(*_RESNET_2015),
                    "resnet50": "resnet50_2015",
                    "resnet101": "resnet101_2015",
                    "resnet152": "resnet152_2015",
                }
            ),
        ),
        "caffe_se_resnet": Scheme(
            origins=("caffe",),
            summary="the authors' SE-ResNet in Caffe",
            convert="striate.weights.schemes.caffe:se_resnet",
            models=_same(*_SE_BOTTLENECK),
        ),
        "caffe_squeezenet": Scheme(
            origins=("caffe",),
            summary="the authors' SqueezeNet in Caffe",
            convert="striate.weights.schemes.caffe:squeezenet",
            models=_same(*_SQUEEZENET),
        ),
        "caffe_mobilenet": Scheme(
            origins=("caffe",),
            summary="MobileNet-Caffe",
            convert="striate.weights.schemes.caffe:mobilenet",
            models=MappingProxyType(
                {"mobilenet_v1": "mobilenet_v1_symmetric", "mobilenet_v1_symmetric": "mobilenet_v1_symmetric"}
            ),
        ),
        "darknet": Scheme(
            origins=("darknet",),
            summary="darknet's layers in their order",
            convert="striate.weights.schemes.darknet:convert",
            models=_same(*_VGG, *_VGG_BN),
        ),
        "keras_vgg": Scheme(
            origins=("keras",),
            summary="Keras' VGG",
            convert="striate.weights.schemes.keras:vgg",
            models=_same("vgg16", "vgg19"),
        ),
        "keras_resnet": Scheme(
            origins=("keras",),
            summary="Keras' ResNet (its stride stands in the 1x1)",
            convert="striate.weights.schemes.keras:resnet",
            models={
                **_same("resnet50_2015", "resnet101_2015", "resnet152_2015"),
                "resnet50": "resnet50_2015",
                "resnet101": "resnet101_2015",
                "resnet152": "resnet152_2015",
            },
        ),
        "keras_xception": Scheme(
            origins=("keras",),
            summary="Keras' Xception",
            convert="striate.weights.schemes.keras:xception",
            models=_same("xception"),
        ),
        "keras_mobilenet": Scheme(
            origins=("keras",),
            summary="Keras' MobileNet",
            convert="striate.weights.schemes.keras:mobilenet",
            models=_same("mobilenet_v1", "mobilenet_v1_075", "mobilenet_v1_050", "mobilenet_v1_025"),
        ),
        "keras_mobilenet_v2": Scheme(
            origins=("keras",),
            summary="Keras' MobileNetV2 (its paddings are SAME)",
            convert="striate.weights.schemes.keras:mobilenet_v2",
            models={**_same("mobilenet_v2_same"), "mobilenet_v2": "mobilenet_v2_same"},
        ),
        "keras_squeezenet": Scheme(
            origins=("keras",),
            summary="SqueezeNet in Keras' layout",
            convert="striate.weights.schemes.keras:squeezenet",
            models=_same("squeezenet1_0", "squeezenet1_1"),
        ),
        "keras_sequence": Scheme(
            origins=("keras",),
            summary="a plain sequence of Keras' layers",
            convert="striate.weights.schemes.keras:sequence",
            models=_same("lenet5", "lenet_caffe", "fashion_cnn"),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Naming:
    """How a library calls the layers of some networks of ours, which answer there as they do here.

    ``names`` is ``module:function``: our network to the names of its layers there, by ours. ``epsilon`` is that of
    their batch norms where ours is another.
    """

    models: tuple[str, ...]
    names: str
    epsilon: float | None = None


_SAME_NAMES = "striate.weights.schemes.renaming:same_names"
_STAGED_NAMES = "striate.weights.schemes.timm:staged_names"
_NUMBERED_NAMES = "striate.weights.schemes.torchvision:numbered_names"

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
            Naming(("se_resnet18", "se_resnet34", *_SE_BOTTLENECK), "striate.weights.schemes.timm:cadene_names"),
        ),
        "transformers": (Naming((*_RESNET, *_RESNET_2015), "striate.weights.schemes.transformers:names"),),
        "lukemelas": (Naming(_LITE, "striate.weights.schemes.lukemelas:names"),),
    }
)
"""Our networks by the names of PyTorch's libraries, which is `SCHEMES` the other way round."""
