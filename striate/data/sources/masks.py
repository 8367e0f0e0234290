"""Pictures and a mask for each: ``images/`` beside ``masks/``, also in splits, and the ways in `mask_pairs`.

What the values of the masks mean says ``classes.txt`` (`class_table`).
"""

from pathlib import Path

from striate.base.errors import DataError
from striate.data.names import counted, listed, printable
from striate.data.records import Dataset
from striate.data.settings import DataSettings
from striate.data.sources.class_table import FILES, ClassTable, read_table
from striate.data.sources.folder_tree import Folder, walk
from striate.data.sources.layouts import split_names
from striate.data.sources.mask_dataset import masks_dataset
from striate.data.sources.mask_pairs import IDS, TRAIN_IDS, Pairs, looks_like_pairs, pairs_in, proposed_suffix

CITYSCAPES = (
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation"),
    *("terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
)
"""What the values of its masks for training mean, which no file beside them says."""


def recognises(path: Path) -> bool:
    """Whether the folder, or one of those in the levels below it, holds pictures and their masks."""
    return path.is_dir() and looks_like_pairs(path)


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read the pairs below a folder.

    Raises:
        DataError: no masks, a table that is wrong (`read_table`), and what `masks_dataset` refuses.
    """
    if not path.is_dir():
        raise DataError(f"{printable(path)} is a file; data with masks are a folder, with images/ and masks/ in it")
    tree = walk(path)
    table, notices = table_in(tree)
    pairs = pairs_in(tree, suffix := settings.mask_suffix)
    hint = _hint(tree, pairs) if suffix is None and not pairs.pairs else ""
    nameless = CITYSCAPES if suffix and suffix.endswith(TRAIN_IDS) else ()
    return masks_dataset(path, "masks", pairs, table, settings, workers, nameless=nameless, notices=notices, hint=hint)


def _hint(tree: Folder, pairs: Pairs) -> str:
    """What is said where a suffix finds masks that were not found; of Cityscapes, which of its masks mean what."""
    suffix = proposed_suffix(tree, pairs)
    if not suffix or not (found := pairs_in(tree, suffix).pairs):
        return ""
    said = f"--mask-suffix {printable(suffix)} finds {counted(len(found), 'mask')}"
    if suffix.endswith(TRAIN_IDS):
        return f"these are Cityscapes' folders: {said} of the 19 classes that are counted"
    if suffix.endswith(IDS):
        of_classes = f"{suffix.removesuffix(IDS)}{TRAIN_IDS}"
        said = f"these are Cityscapes' folders: {said} of all labels, by number; of the 19 classes that are counted"
        return f"{said} its scripts write others, which --mask-suffix {printable(of_classes)} finds"
    return said


def table_in(tree: Folder) -> tuple[ClassTable | None, list[str]]:
    """The classes, if a file names them, with notices; of one split's folder that file may lie beside it."""
    files = [path for folder in tree.all_folders() for path in folder.others if path.name in FILES]
    root = tree.path.resolve()
    if not files and split_names([root.name]):
        files = [root.parent / name for name in FILES if (root.parent / name).is_file()]
    if not files:
        return None, []
    files.sort(key=lambda path: (FILES.index(path.name), len(path.parts)))
    shown = [printable(path.relative_to(tree.path) if path.is_relative_to(tree.path) else path) for path in files]
    first = read_table(files[0], shown[0])
    for path, where in zip(files[1:], shown[1:], strict=True):
        if path.name == files[0].name and read_table(path, where).meaning != first.meaning:
            raise DataError(f"{where}: names other classes than {first.where}; expected the same in each")
    beside = [where for path, where in zip(files, shown, strict=True) if path.name != files[0].name]
    what = counted(len(beside), "list of classes", "lists of classes")
    return first, [f"passed over {what} beside {first.where}: {listed(beside)}"] * bool(beside)
