"""The public verbs as a program calls them: a call that cannot be is answered by one sentence."""

import functools
import inspect
import os
import typing
from collections.abc import Callable, Mapping
from typing import Any

from striate.base.errors import StriateError
from striate.base.nearest import did_you_mean

OTHER_WORDS: Mapping[str, str] = {
    "classes": "num_classes n_classes",
    "in_channels": "in_chans",
    "workers": "num_workers",
    "device": "map_location",
    "batch_size": "batch bs",
    "name": "model_name arch",
    "model": "model_name arch",
    "weights": "checkpoint checkpoint_path pretrained",
    "out": "save_dir output_dir project",
    "progress": "verbose",
    "on_event": "callbacks",
    "size": "imgsz img_size image_size",
    "seed": "random_state",
    "stages": "lr learning_rate rate freeze",
    "split": "val_split validation_split test_size",
    "augment": "augmentation",
    "score_threshold": "conf conf_thres confidence box_score_thresh",
    "iou_threshold": "iou iou_thres nms_thresh",
    "patience": "early_stopping",
}
"""Arguments and fields of the recipe, with what other libraries call them."""

ADVICE: Mapping[tuple[str, str], str] = {
    ("train", "classes"): "the data say them, by a folder of pictures for each class",
    ("train", "weights"): 'write changes={"weights": "pretrained"}, or "none" for a start from scratch',
    ("train", "stages"): 'write changes={"stages": [{"epochs": 10, "rate": 0.01}]}, one table for each stage',
    ("train", "size"): 'write changes={"size": [224, 224]}, height and width',
    ("train", "split"): 'write changes={"split": [0.8, 0.1, 0.1]}, the parts for training, validation and test',
    ("train", "augment"): 'write changes={"augment": {"flip": True}}; striate train --help lists what there is',
    ("create", "pretrained"): 'write weights="pretrained"; without it weights are fresh',
    ("create", "features_only"): "every network has its maps, network.features(images)",
    ("load", "weights_only"): "leave it out: nothing is ever unpickled",
    ("load", "classes"): "a model file knows its classes; a network for others is built by striate.create(name)",
}
"""What to do instead of a keyword that no other word stands for."""

DATA = (
    "the path of a folder with a folder of pictures for each class, of pictures with their boxes (COCO, YOLO, Pascal "
    "VOC ...) or masks, of idx files or of an .npz file. Arrays become one by "
    'numpy.savez("data.npz", x=pictures, y=labels), pictures uint8 [N, H, W] or [N, H, W, 3]'
)
MODEL_FILE = "the path of a model file or of a run's folder, or a name such as 'efficientnet_lite0'"
NAME = "a name of striate.MODELS, such as 'resnet18', by which the network is built"
PATHS: Mapping[str, Mapping[str, str]] = {
    "train": {"data": DATA, "model": NAME},
    "evaluate": {"model": MODEL_FILE, "data": DATA},
    "load": {"model": MODEL_FILE},
    "create": {
        "name": NAME,
        "weights": "'pretrained' or the path of a .safetensors file. Tensors in memory are put into the network that "
        "it returns by striate.weights.load_into(network, tensors)",
    },
    "import_weights": {"file": "the path of a file of weights", "model": NAME, "out": "the path of a model file"},
    "open_data": {"path": DATA},
}
"""The arguments that are words or paths and are often given the thing itself, and what is expected."""


class CallError(StriateError, TypeError):
    """A public verb was called with what it does not take; a TypeError, as Python's own refusal is."""


class Verb:
    """A public function whose wrong calls are answered by a sentence of ours; signature and docstring are its own."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.__module__ = "striate"  # by this name it is pickled
        self._function = function

    def __call__(self, *given: Any, **named: Any) -> Any:
        """Call the function, if it can be called so.

        Raises:
            CallError: it takes no such argument, lacks one, or was given a thing where it expects a path or a name.
        """
        verb, signature = self._function.__name__, inspect.signature(self._function)
        for word, value in named.items():
            if word not in signature.parameters:
                raise CallError(f"striate.{verb} takes no {word}: {_instead(verb, word, value, signature)}")
        try:
            arguments = signature.bind(*given, **named).arguments
        except TypeError as error:
            raise CallError(f"striate.{verb}: {error}; it is called as {verb}{_short(signature)}") from None
        for word, expected in PATHS.get(verb, {}).items():
            value, parameter = arguments.get(word, ""), signature.parameters[word]
            legal = value is parameter.default or (value is None and _may_be_none(parameter))
            if not isinstance(value, str | os.PathLike) and not legal:
                raise CallError(f"striate.{verb}: {word} is {_what(value)}; expected {expected}")
        return self._function(*given, **named)

    def __reduce__(self) -> str:
        return self._function.__name__

    def __repr__(self) -> str:
        return f"<function striate.{self._function.__name__}{_short(inspect.signature(self._function))}>"


def _short(signature: inspect.Signature) -> str:
    """The arguments and their defaults, without types."""
    bare = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    return str(inspect.Signature(bare)).replace("mappingproxy({})", "{}")


def _may_be_none(parameter: inspect.Parameter) -> bool:
    return type(None) in typing.get_args(parameter.annotation)


def _what(value: Any) -> str:
    """The value where it is short, else its kind: no message holds a tensor."""
    short = isinstance(value, bool | int | float) or value is None
    return repr(value) if short else f"of the class {type(value).__name__}"


def _instead(verb: str, word: str, value: Any, signature: inspect.Signature) -> str:
    """What to write instead of a keyword that the verb does not take."""
    said = repr(value) if isinstance(value, bool | int | float) else f'"{value}"' if isinstance(value, str) else "..."
    for ours in (word, *(ours for ours, theirs in OTHER_WORDS.items() if word in theirs.split())):
        if advice := ADVICE.get((verb, ours)):
            return advice
        if ours in signature.parameters:
            return f"write {ours}={said}"
        if verb == "train" and (advice := _change(ours, said)):
            return advice
    names = list(signature.parameters)
    return f"it has {', '.join(names)}.{did_you_mean(word, names)}"


def _change(word: str, said: str) -> str | None:
    """How a field of the recipe is given to `train`, if this is one."""
    from striate.base.fields import annotated
    from striate.recipe import SECTIONS, Recipe
    from striate.task_settings import SETTINGS

    for table, kind in (("", Recipe), *SECTIONS.items(), *SETTINGS.items()):
        if word in annotated(kind):
            value = f'{{"{word}": {said}}}'
            whole = f'{{"{table}": {value}}}' if table else value
            return f"it is a field of the recipe, write changes={whole}"
    return None
