"""Pascal VOC's masks: lists of ImageSets, palettes, and folders that have boxes as well."""

import pytest
from PIL import Image

from striate.base.errors import DataError
from striate.data import open_data
from striate.data.settings import DataSettings
from striate.data.sources.pascal_masks import NAMES
from tests.data.sources.annotated import picture, voc, voc_object
from tests.data.sources.masked import drawn, mask, rows

# The beginning of the palette that the VOC development kit has.
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128, 128, 0, 128, 0, 128, 128, 128, 128, 128]
PALETTE += [64, 0, 0, 192, 0, 0, 64, 128, 0, 192, 128, 0, 64, 0, 128, 192, 0, 128, 64, 128, 128, 192, 128, 128]
PALETTE += [0, 64, 0, 128, 64, 0, 0, 192, 0, 128, 192, 0, 0, 64, 128]
PALETTE += [0] * (3 * 255 - len(PALETTE)) + [224, 224, 192]


def vocs(folder, *names, palette=PALETTE):
    for number, name in enumerate(names):
        picture(folder / "JPEGImages" / f"{name}.jpg", seed=number)
        mask(folder / "SegmentationClass" / f"{name}.png", rows(0, 15, 20, 255), palette=palette)
        mask(folder / "SegmentationObject" / f"{name}.png", rows(0, 1, 2, 255), palette=palette)
    return folder


def listed(folder, **names):
    for name, words in names.items():
        path = folder / "ImageSets" / "Segmentation" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(words.split()))


def test_classes_are_vocs_and_lists_are_splits(tmp_path):
    vocs(tmp_path, "a", "b", "c")
    picture(tmp_path / "JPEGImages" / "d.jpg", seed=9)
    listed(tmp_path, train="a b", val="c", trainval="a b c")
    data = open_data(tmp_path)
    assert (data.format, data.task, data.classes.names) == ("voc", "segment", NAMES)
    assert [(record.name, record.split) for record in data.records] == [
        ("JPEGImages/a.jpg", "train"),
        ("JPEGImages/b.jpg", "train"),
        ("JPEGImages/c.jpg", "val"),
    ]
    assert data.records[0].target.indices()[0, ::5].tolist() == [0, 15, 20, 255]
    assert "passed over 1 picture that no list names: JPEGImages/d.jpg" in data.notices


def test_masks_are_those_that_were_drawn(tmp_path):
    """Objects with the border around them that is nobody's, two of one class beside each other."""
    hand = {
        "a": drawn("........ .888.000 .888.... .888.88. .....88. 000..88."),
        "b": drawn("00000000 0...0000 0.5..... 0.5.999. 0...999. 00......"),
    }
    for name, values in hand.items():
        picture(tmp_path / "JPEGImages" / f"{name}.jpg", 8, 6, seed=ord(name))
        mask(tmp_path / "SegmentationClass" / f"{name}.png", values, palette=PALETTE)
    records = open_data(tmp_path).records
    assert {record.name: record.target.indices().tolist() for record in records} == {
        f"JPEGImages/{name}.jpg": values.tolist() for name, values in hand.items()
    }


def test_without_lists_all_that_have_masks_are_taken(tmp_path):
    vocs(tmp_path / "VOCdevkit" / "VOC2012", "a", "b")
    picture(tmp_path / "VOCdevkit" / "VOC2012" / "JPEGImages" / "d.jpg", seed=9)
    data = open_data(tmp_path)
    assert len(data.records) == 2 and any("passed over 1 picture without masks" in each for each in data.notices)


def test_accents_may_be_written_otherwise_in_the_names_of_masks(tmp_path):
    vocs(tmp_path, "\xe9", "b")
    masks = tmp_path / "SegmentationClass"
    (masks / "\xe9.png").rename(masks / "e\u0301.png")
    assert len(open_data(tmp_path).records) == 2


def test_masks_of_one_name_are_no_ones(tmp_path):
    for folder in ("one", "two"):
        vocs(tmp_path / folder, "a")
    with pytest.raises(
        DataError, match=r"two masks of one name, one/SegmentationClass/a\.png and two/Segm.*; give the"
    ):
        open_data(tmp_path, task="segment", settings=DataSettings(unlabelled="skip"))
    assert len(open_data(tmp_path / "one").records) == 1


def test_another_palette_is_another_set_of_classes(tmp_path):
    vocs(tmp_path, "a", palette=[*PALETTE[:45], 1, 2, 3, *PALETTE[48:]])
    with pytest.raises(DataError, match="masks have the values 0, 15, 20, which are no class indices"):
        open_data(tmp_path)
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\nman:1,2,3::\ntv:0,64,128::\nvoid:224,224,192::\n")
    data = open_data(tmp_path)
    assert data.classes.names == ("background", "man", "tv")
    assert data.records[0].target.indices()[0, ::5].tolist() == [0, 1, 2, 255]


def test_boxes_and_masks_of_one_folder_are_for_two_tasks(tmp_path):
    vocs(tmp_path, "a")
    file = voc(tmp_path, "a", voc_object("cat", 1, 1, 5, 5))
    file.write_text(file.read_text().replace("a.png", "a.jpg"))
    assert [open_data(tmp_path, task=task).task for task in (None, "detect", "segment")] == [
        *("detect", "detect", "segment")
    ]


def test_what_lists_say_and_is_not_there_is_refused(tmp_path):
    vocs(tmp_path, "a", "b")
    (tmp_path / "SegmentationClass" / "b.png").unlink()
    listed(tmp_path, train="a b")
    with pytest.raises(DataError, match=r"1 picture has no mask: JPEGImages/b\.jpg"):
        open_data(tmp_path)
    assert len(open_data(tmp_path, settings=DataSettings(unlabelled="skip")).records) == 1
    listed(tmp_path, train="a x")
    with pytest.raises(DataError, match=r"ImageSets/Segmentation/train\.txt:2: there is no picture and no annotation"):
        open_data(tmp_path)
    Image.new("L", (2, 2)).save(tmp_path / "SegmentationClass" / "z.png")
    listed(tmp_path, train="a")
    with pytest.raises(DataError, match=r"1 mask has no picture: SegmentationClass/z\.png"):
        open_data(tmp_path)
