"""YOLO's text: ``images``, ``labels`` (with splits, a folder for each in both) and ``data.yaml``.

Numbers are parts of the picture's sides to twelve decimals, so that whole pixels come back as such.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from striate.data.names import counted
from striate.data.records import Classes
from striate.data.writers.converting import Picture
from striate.data.writers.numbers import word

_DECIMALS = 12


def place(picture: Picture) -> str:
    """``images/NAME``, or in a folder there that is called as the split."""
    return f"images/{picture.split}/{picture.name}" if picture.split else f"images/{picture.name}"


def write(folder: Path, pictures: Sequence[Picture], classes: Classes) -> list[str]:
    """A text a picture. Crowds are left out, as is usual; what was difficult is not told; outlines are lost."""
    for picture in pictures:
        text = folder / "labels" / (picture.split or "") / f"{picture.stem}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("".join(_lines(picture)), encoding="utf-8", newline="")
    splits = [split for split in ("train", "val", "test") if any(picture.split == split for picture in pictures)]
    names = [f"  {number}: {_quoted(name)}\n" for number, name in enumerate(classes.names)]
    # Others' training asks for both, and takes what is not absolute from where the file lies if there is no `path`.
    parts = {split: f"images/{split}" if splits else "images" for split in dict.fromkeys(("train", "val", *splits))}
    missing = [split for split in ("train", "val") if splits and split not in splits]
    parts |= dict.fromkeys(missing, f"images/{splits[0]}" if splits else "images")
    text_ = "".join([*[f"{split}: {place}\n" for split, place in parts.items()], "names:\n", *names])
    (folder / "data.yaml").write_text(text_, encoding="utf-8", newline="")
    notices = []
    if missing or not splits:
        notices.append(
            "data.yaml names the same pictures for training and for validation, since the data have no such split and "
            "other programs want both"
        )
    if crowds := sum(int(picture.boxes.crowd.sum()) for picture in pictures):
        notices.append(f"{counted(crowds, 'crowd')} left out, since YOLO's text knows no crowds")
    if hard := sum(int(picture.boxes.difficult.sum()) for picture in pictures):
        notices.append(
            f"{counted(hard, 'difficult object')} written like others, since YOLO's text has no mark for them"
        )
    if any(picture.boxes.outlines for picture in pictures):
        notices.append("outlines not written, only the boxes around them")
    return notices


def _quoted(name: str) -> str:
    """The name between quotation marks as YAML has it, where what is no sign to be seen must be told by its number."""
    return "".join(
        each if each.isprintable() else f"\\U{ord(each):08x}" for each in json.dumps(name, ensure_ascii=False)
    )


def _lines(picture: Picture) -> list[str]:
    lines = []
    boxes = picture.boxes
    for (left, top, right, bottom), index, crowd in zip(boxes.xyxy.tolist(), boxes.classes, boxes.crowd, strict=True):
        if not crowd:
            centre = ((left + right) / 2 / picture.width, (top + bottom) / 2 / picture.height)
            sides = ((right - left) / picture.width, (bottom - top) / picture.height)
            lines.append(f"{index} {' '.join(word(each, _DECIMALS) for each in (*centre, *sides))}\n")
    return lines
