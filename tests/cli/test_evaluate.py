"""``striate evaluate`` of a detector."""

import pytest

from striate import modelfile
from striate.base.errors import DataError, RecipeError
from striate.data.records import Classes
from striate.data.settings import DataSettings
from striate.evaluation import evaluate
from striate.models import build
from striate.pictures.preprocess import Preprocess
from tests.data.sources.annotated import coco, instance, picture, voc, voc_object

MENDING = ("--clip", "--drop-degenerate", "--drop-duplicates", "--unlabelled", "skip")


def detector(path, **data):
    """A model file of a network that has learnt nothing, of data that were read so."""
    network = build("tood/resnet18", classes=2, in_channels=3, seed=0)
    description = modelfile.Description(
        "tood/resnet18",
        {"classes": 2, "in_channels": 3},
        "detect",
        Classes(("cat", "dog")),
        Preprocess(size=(32, 64), resize="letterbox"),
        data=DataSettings(**data),
    )
    modelfile.save(path, network.state_dict(), description)
    return path


@pytest.fixture
def faulty(tmp_path):
    """Annotations of three pictures with a fault of each kind that is mended where somebody asks for it."""
    for seed, name in enumerate("abc"):
        picture(tmp_path / "data" / f"{name}.png", seed=seed)
    outside, line = voc_object("cat", 1, 1, 25, 5), voc_object("dog", 5, 2, 4, 9)
    voc(tmp_path / "data", "a", outside, line, voc_object("dog", 1, 1, 6, 6))
    voc(tmp_path / "data", "b", *[voc_object("cat", 3, 3, 9, 9)] * 2)
    return "data"


def test_what_it_says_of_faulty_annotations_it_can_do(striate, tmp_path, faulty):
    detector(tmp_path / "learnt.safetensors", clip=True)
    words = ("evaluate", "learnt.safetensors", faulty)
    striate(*words).refuses("1 picture has no annotations", *(word for word in MENDING[1:] if word.startswith("--")))
    answer = striate(*words, *MENDING, "--json")
    assert answer.code == 0 and answer.json["images"] == 2
    assert all(word in answer.err for word in ("cut at the border", "has no area", "repeats"))
    striate(*words, *MENDING[1:], "--no-clip").refuses(
        "reaches out of its picture", "--clip"
    )  # as the model's were not
    assert striate(*words, *MENDING, "--first-pixel", "0", "--quiet").code == 0


def test_what_the_model_keeps_for_another_format_is_no_hindrance(striate, tmp_path):
    picture(tmp_path / "data" / "a.png")
    coco(tmp_path / "data" / "instances.json", [instance()])
    detector(tmp_path / "learnt.safetensors", first_pixel=0)
    words = ("evaluate", "learnt.safetensors", "data", "--quiet")
    assert striate(*words).code == 0
    striate(*words, "--first-pixel", "0").refuses("--first-pixel is about the pixels of voc data")


def test_from_python_it_reads_data_as_a_recipe_says(tmp_path, faulty):
    model, data = detector(tmp_path / "learnt.safetensors"), tmp_path / faulty
    mended = {"clip": True, "drop_degenerate": True, "drop_duplicates": True, "unlabelled": "background"}
    assert evaluate(model, data, changes=mended).images == 3
    coco(data / "instances.json", [instance()])
    with pytest.raises(DataError, match="more than one format: coco and voc"):
        evaluate(model, data, changes=mended)
    assert evaluate(model, data, changes={**mended, "format": "voc"}).images == 3
    for wrong, said in (
        ({"clop": True}, "Did you mean 'clip'"),
        ({"group": "near"}, "no field 'group'"),
        ({"clip": 3}, "clip"),
    ):
        with pytest.raises(RecipeError, match=said):
            evaluate(model, data, changes=wrong)
