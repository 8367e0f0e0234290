"""EfficientNet-Lite0's ImageNet weights on 120 photographs, in folders by wnid and by name; against a slow path.

The slow path is Pillow and arithmetic written out here; of Striate it has only the network.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accept import Check, at_least
from accept.commands import striate
from accept.samples import SAMPLES, link, rows

MODEL = "efficientnet_lite0"


def checks() -> Iterator[Check]:
    samples = rows("labels.csv")
    with tempfile.TemporaryDirectory(prefix="striate-imagenet-") as name:
        by_wnid, by_name = Path(name) / "wnids", Path(name) / "names"
        twice = {row for row, count in Counter(row["name"] for row in rows("classes.csv")).items() if count > 1}
        for row in samples:
            link(row, by_wnid / row["wnid"])
            # Two names belong to two classes each: there the folder must be called by the wnid.
            link(row, by_name / (row["wnid"] if row["name"] in twice else row["name"]))

        for arranged in (by_wnid, by_name):
            answer = striate("evaluate", MODEL, arranged)
            first, five = (round(answer[key] * answer["images"]) for key in ("top1", "top5"))
            yield Check(f"4.{arranged.name}.images", "120", str(answer["images"]), answer["images"] == 120)
            yield at_least(f"4.{arranged.name}.top1", first, 98, "of 120")
            yield at_least(f"4.{arranged.name}.top5", five, 113, "of 120")

        answers = _predicted(by_wnid)
        right = sum(answers[row["file"]][0] == row["wnid"] for row in samples)
        among = sum(row["wnid"] in answers[row["file"]] for row in samples)
        yield at_least("4.predict.top1", right, 98, "of 120")
        yield at_least("4.predict.top5", among, 113, "of 120")

    slow = _slow_answers([row["file"] for row in samples])
    same = sum(answers[row["file"]][0] == slow[row["file"]] for row in samples)
    yield at_least("4.same-as-slow-path", same, 118, "of 120")


def _predicted(folder: Path) -> dict[str, list[str]]:
    """File name to the wnids of the first five answers, best first."""
    answer: dict[str, Any] = striate("predict", MODEL, folder, "--top", "5")
    return {Path(row["image"]).name: [one["id"] for one in row["classes"]] for row in answer["predictions"]}


def _slow_answers(files: list[str]) -> dict[str, str]:
    """File name to the wnid of the first answer; 7/8 of the shorter side, bicubic, (x - 127) / 128."""
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    import striate as library

    wnids = [row["wnid"] for row in sorted(rows("classes.csv"), key=lambda row: int(row["class_index"]))]
    network = library.create(MODEL, weights="pretrained").eval()
    answers = {}
    for file in files:
        with Image.open(SAMPLES / file) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGB")
        side = min(picture.size) * 7 // 8
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        window = picture.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
        numbers = (np.asarray(window, dtype=np.float32) - 127.0) / 128.0
        with torch.inference_mode():
            logits = network(torch.from_numpy(numbers).permute(2, 0, 1)[None])
        answers[file] = wnids[int(logits.argmax())]
    return answers
