"""Pascal VOC's masks: ``SegmentationClass/*.png`` with palettes, beside ``JPEGImages`` (Everingham et al. 2010).

``ImageSets/Segmentation`` lists train, val and test. Without a file that names the classes (CVAT writes
``labelmap.txt``) they are Pascal VOC's own, if the palette is; 255, the border of objects, is nobody's.
"""

from pathlib import Path

from striate.base.errors import DataError
from striate.data.mask_facts import MaskFacts, mask_facts
from striate.data.names import composed, counted, listed, printable
from striate.data.records import Dataset
from striate.data.settings import DataSettings
from striate.data.sources.boxes import Annotated
from striate.data.sources.folder_tree import any_picture, glimpsed
from striate.data.sources.mask_dataset import masks_dataset
from striate.data.sources.mask_pairs import Pairs
from striate.data.sources.masks import table_in
from striate.data.sources.pascal_voc import CLASS_MASKS, OBJECT_MASKS, of_lists
from striate.data.sources.picture_index import PictureIndex

NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def recognises(path: Path) -> bool:
    """Whether the folder, or one of those in the two levels below it, has a ``SegmentationClass`` with pictures."""
    found = (folder for _, _, folders in glimpsed(path) for folder in folders)
    return any(folder.name == CLASS_MASKS and any_picture(folder) for folder in found)


def read(path: Path, settings: DataSettings, workers: int, *, skip_unreadable: bool = False) -> Dataset:
    """Read the pictures that have masks, or those that ``ImageSets/Segmentation`` lists.

    ``skip_unreadable`` is as in `masks_dataset`.

    Raises:
        DataError: no masks, a list of what is not there, and what `masks_dataset` refuses.
    """
    index = PictureIndex(path, aside=(CLASS_MASKS, OBJECT_MASKS))
    masks: dict[str, Path] = {}
    for each in index.tree.all_pictures():
        if each.parent.name == CLASS_MASKS and (other := masks.setdefault(composed(each.stem), each)) is not each:
            raise DataError(
                f"{printable(path)}: two masks of one name, {index.where(other)} and {index.where(each)}; give the "
                "folder of one of them, or rename one and its picture"
            )
    if not path.is_dir() or not masks:
        raise DataError(f"{printable(path)} holds no {CLASS_MASKS} with masks; expected it beside JPEGImages")
    known = [(composed(each.stem), Annotated(each, index.where(each), None)) for each in index.pictures]
    notices: list[str] = []
    chosen = of_lists(index, known, "Segmentation", notices)
    if len(chosen) == len(known) and not any(each.split for each in chosen):
        if left := [each.where for stem, each in known if stem not in masks]:
            notices.append(f"passed over {counted(len(left), 'picture')} without masks: {listed(left)}")
        chosen = [each for stem, each in known if stem in masks]
    pairs = Pairs()
    for picture in chosen:
        assert picture.path is not None
        if mask := masks.pop(composed(picture.path.stem), None):
            pairs.pairs.append((picture.path, mask))
            pairs.splits.append(picture.split or index.split_of(picture.path))
        else:
            pairs.without_mask.append(picture.path)
    stems = {stem for stem, _ in known}
    pairs.without_picture += [mask for stem, mask in masks.items() if stem not in stems]
    table, more = table_in(index.tree)
    nameless = NAMES if table is None and pairs.pairs and _is_vocs(pairs.pairs[0][1], index.root, workers) else ()
    return masks_dataset(
        index.root,
        "voc",
        pairs,
        table,
        settings,
        workers,
        nameless=nameless,
        notices=[*notices, *more],
        skip_unreadable=skip_unreadable,
    )


def _is_vocs(mask: Path, root: Path, workers: int) -> bool:
    """Whether the colours of a mask's places are those of Pascal VOC's palette."""
    (facts,) = mask_facts([mask], root=root, workers=workers)
    return (
        isinstance(facts, MaskFacts)
        and facts.kind == "palette"
        and all(colour == _colour(place) for place, colour in facts.colours.items())
    )


def _colour(place: int) -> int:
    """The colour of a place in Pascal VOC's palette: its bits go by turns to red, green and blue, from the top down."""
    colour = 0
    for bit in range(8):
        band = bit % 3
        if place >> bit & 1:
            colour |= 1 << (16 - 8 * band + 7 - bit // 3)
    return colour
