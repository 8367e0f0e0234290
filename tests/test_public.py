"""What the package offers, and that its examples are true."""

import copy
import doctest
import importlib
import inspect
import pickle
import pkgutil
import re
import subprocess
import sys
import typing

import pytest

import striate
from striate.tasks import TASKS

ROOMS = ("data", "layers", "models", "ops", "weights")
VERBS = ("train", "evaluate", "load", "create", "import_weights", "open_data")


def test_everything_offered_is_there():
    assert len(set(striate.__all__)) == len(striate.__all__)
    for name in striate.__all__:
        assert getattr(striate, name) is not None
    assert set(dir(striate)) == {*striate.__all__, *ROOMS}
    namespace = {}
    exec("from striate import *", namespace)  # noqa: S102
    assert set(striate.__all__) <= set(namespace)


def test_what_is_offered_is_documented():
    for name in striate.__all__:
        value = getattr(striate, name)
        if inspect.isclass(value) or callable(value):
            assert len(inspect.getdoc(value) or "") > 20, name


def test_type_checkers_see_what_is_offered():
    source = inspect.getsource(striate)
    imported = {line.split(" as ")[1].strip() for line in source.splitlines() if line.startswith("    from striate")}
    assert imported == {*striate.__all__, *ROOMS} - {"__version__"}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        striate.trian  # noqa: B018


def test_rooms_are_there_and_cost_nothing_before_they_are_used():
    program = (
        "import sys, striate; heavy = {'torch', 'numpy', 'cyclopts'}\n"
        f"assert set({ROOMS}) <= set(dir(striate)) and not heavy & set(sys.modules)\n"
        f"assert all(getattr(striate, room).__name__ == 'striate.' + room for room in {ROOMS})\n"
        "assert striate.layers.Conv2d and striate.ops.conv2d and striate.weights.load_into and striate.data.SOURCES\n"
        "striate.create('lenet5'); assert 'cyclopts' not in sys.modules\n"
        "from striate.models.meta import build_on_meta; build_on_meta('efficientnet_lite0', classes=5)\n"
        "assert 'torch._dynamo' not in sys.modules  # torch's compiler, which takes as long to load as all else\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", VERBS)
def test_verbs_are_their_functions_to_whoever_looks(name):
    verb = getattr(striate, name)
    module = {"train": "striate.cli.watched"}.get(name, striate._OFFERS[name])
    function = getattr(importlib.import_module(module), name)
    assert inspect.signature(verb) == inspect.signature(function) and verb.__name__ == name
    assert inspect.getdoc(verb) == inspect.getdoc(function)
    assert pickle.loads(pickle.dumps(verb)) is verb and copy.deepcopy(verb) is verb  # noqa: S301
    assert repr(verb).startswith(f"<function striate.{name}(")
    if name not in ("create", "open_data"):  # whose types load torch and numpy
        assert "return" in typing.get_type_hints(verb)


def test_train_has_the_arguments_of_training_and_one_more():
    from striate.training import run

    shown = dict(inspect.signature(striate.train).parameters)
    assert shown.pop("progress").default is True
    assert list(shown.values()) == list(inspect.signature(run.train).parameters.values())
    lines = inspect.getdoc(striate.train).splitlines()
    for line in inspect.getdoc(run.train).splitlines():
        assert line in lines or line.startswith("    on_event:")
    said = [line.split(":")[0].strip() for line in lines if re.match(r"    \w+: ", line)]
    assert said == [*inspect.signature(striate.train).parameters, "StriateError", "TrainingError", "RunStopped"]


class Thing:
    """Nothing that can be a path."""


@pytest.mark.parametrize(
    ("verb", "given", "named", "words"),
    [
        ("train", ["x"], {"seed": 3}, ["no seed", 'changes={"seed": 3}']),
        ("train", ["x"], {"random_state": 3}, ['changes={"seed": 3}']),
        ("train", ["x"], {"optimizer": "sgd"}, ['changes={"optimizer": "sgd"}']),
        ("train", ["x"], {"flip": False}, ['changes={"augment": {"flip": False}}']),
        ("train", ["x"], {"label_smoothing": 0.1}, ['changes={"classify": {"label_smoothing": 0.1}}']),
        ("train", ["x"], {"num_classes": 3}, ["no num_classes", "a folder of pictures for each class"]),
        ("train", ["x"], {"pretrained": True}, ['changes={"weights": "pretrained"}']),
        ("train", ["x"], {"lr": 0.1}, ['changes={"stages": [{"epochs": 10, "rate": 0.01}]}']),
        ("train", ["x"], {"imgsz": 64}, ['changes={"size": [224, 224]}']),
        ("train", ["x"], {"num_workers": 2}, ["write workers=2"]),
        ("train", ["x"], {"verbose": False}, ["write progress=False"]),
        ("train", ["x"], {"epoch": 3}, ["it has data, model", "Did you mean 'epochs'?"]),
        ("train", ["x"], {"model": Thing()}, ["model is of the class Thing", "striate.MODELS"]),
        ("train", ["x"], {"progress": "bar"}, ["progress is 'bar'", "True (a line an epoch)"]),
        ("train", ["x", "lenet5"], {}, ["too many positional arguments", "train(data, *, model=None"]),
        ("train", [], {}, ["missing a required argument: 'data'"]),
        ("train", [Thing()], {}, ["data is of the class Thing", "a folder of pictures for each class", "numpy.savez"]),
        ("open_data", [[1, 2]], {}, ["path is of the class list", "numpy.savez"]),
        ("create", ["lenet5"], {"num_classes": 3}, ["no num_classes: write classes=3"]),
        ("create", ["lenet5"], {"pretrained": True}, ['write weights="pretrained"']),
        ("create", ["lenet5"], {"weights": {}}, ["weights is of the class dict", "striate.weights.load_into"]),
        ("create", ["lenet5"], {"weights": True}, ["weights is True", "'pretrained'"]),
        ("create", ["lenet5"], {"in_chans": 1}, ["write in_channels=1"]),
        ("create", [Thing()], {}, ["name is of the class Thing", "striate.MODELS"]),
        ("load", ["x"], {"map_location": "cpu"}, ['write device="cpu"']),
        ("load", ["x"], {"weights_only": True}, ["nothing is ever unpickled"]),
        ("load", [Thing()], {}, ["model is of the class Thing", "a model file"]),
        ("evaluate", [Thing(), "x"], {}, ["model is of the class Thing", "a model file"]),
        ("evaluate", ["x", Thing()], {}, ["data is of the class Thing"]),
        ("import_weights", [{}, "lenet5", "o.safetensors"], {}, ["file is of the class dict"]),
    ],
)
def test_a_call_that_cannot_be_is_answered_in_one_sentence(verb, given, named, words):
    with pytest.raises(striate.StriateError) as refused:
        getattr(striate, verb)(*given, **named)
    assert isinstance(refused.value, TypeError) and "\n" not in str(refused.value)
    for word in words:
        assert word in str(refused.value)


def test_what_fields_of_the_recipe_are_said_to_be_written_as_is_a_recipe():
    from striate.cli.verbs import ADVICE
    from striate.recipe import Recipe, changed

    written = [found[1] for advice in ADVICE.values() if (found := re.search(r"changes=(\{.*\})", advice))]
    assert len(written) >= 5
    for text in written:
        changed(Recipe(), eval(text))  # noqa: S307


def test_errors_are_one_tree():
    from striate.base import errors

    for _, kind in inspect.getmembers(errors, inspect.isclass):
        assert issubclass(kind, striate.StriateError) or kind.__module__ != errors.__name__


def doorplates():
    """Each room with the names that its docstring offers: those in capitals, with an underscore or in backticks."""
    for module in pkgutil.walk_packages(striate.__path__, "striate."):
        text = importlib.import_module(module.name).__doc__ or "" if module.ispkg else ""
        for sentence in re.findall(r"Offers[: ](.*?)(?:\.\s|\.$|;|\Z)", text, re.DOTALL):
            for plain, quoted in re.findall(r"\b((?:[A-Z]\w*[A-Z_a-z]|[a-z]+_\w+))\b(?!`)|`([\w.]+)`", sentence):
                yield module.name, plain or quoted


def test_what_doorplates_offer_can_be_imported():
    found = list(doorplates())
    assert ("striate.tasks", "Meter") in found and ("striate.training", "Result") in found
    for room, name in found:
        if name == "RGB":  # a word of the language
            continue
        if not hasattr(importlib.import_module(room), name):
            importlib.import_module(name if name.startswith("striate.") else f"{room}.{name}")


MODULES = [module.name for module in pkgutil.walk_packages(striate.__path__, "striate.")]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_examples(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    examples = sum(
        len(test.examples)
        for name in MODULES
        if not name.endswith("__main__")
        for test in finder.find(importlib.import_module(name))
    )
    assert examples > 20


def test_what_train_and_a_predictor_say_of_themselves():
    assert "boxes or masks" in striate.train.__doc__ and "Returns:" in striate.train.__doc__
    answers = striate.Predictor.__call__.__doc__
    assert all(f"{task}: " in answers for task in TASKS) and "uint8 ``[height, width]``" in answers


def test_none_is_taken_where_a_signature_says_so(tmp_path):
    """Darknet's detectors say their network themselves."""
    with pytest.raises(striate.StriateError, match=r"no\.weights: cannot be read") as raised:
        striate.import_weights("no.weights", None, tmp_path / "o.safetensors", classes=2)
    assert not isinstance(raised.value, TypeError)
    with pytest.raises(TypeError, match="file is None"):
        striate.import_weights(None, None, tmp_path / "o.safetensors")
