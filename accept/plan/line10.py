"""Large photographs in tiles: the whole's answer, memory that does not grow, and what is computed twice.

Networks have weights at random and norms that differ from channel to channel, so that all classes are answered. With
``STRIATE_ACCEPT_PART`` pictures have that part of the sides, so that a slow machine is done in minutes: then only
networks that look less far have several tiles.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

from accept import Check, at_least, at_most, noted
from accept.commands import REPOSITORY

PART = float(os.environ.get("STRIATE_ACCEPT_PART", "1"))
BUDGET = 2_000_000_000
# Network, arguments of its builder, and the longest side of a tile: none but what gives several at 2,000x3,000.
ALIKE = {
    "unet": ("unet/efficientnet_lite0", {}, 1536),
    "fcn8s": ("fcn8s/vgg16", {}, 1024),
    "deeplabv3": ("deeplabv3/efficientnet_lite0", {"image_pooling": False}, 1600),
    "detector": ("tood/efficientnet_lite0", {}, 1600),
}
PROGRAM = """
import json, resource, sys, time
import numpy as np
import torch
from PIL import Image
from striate import modelfile
from striate import recipe as recipes
from striate.data.records import Classes
from striate.inference import Picture
from striate.models import build
from striate.models.table import architecture
from striate.predictor import Predictor
from striate.tasks import task_named
from tests.lively_norms import enliven

what, name, arguments, height, width, budget, longest = json.loads(sys.argv[1])
network = build(name, classes=5, seed=0, arguments=arguments).eval()
enliven(network)
random = torch.Generator().manual_seed(0)
for module in network.modules():
    if type(module).__name__ == "Conv2d" and not module.weight.any():
        torch.nn.init.normal_(module.weight, std=0.01, generator=random)
row, classes = architecture(name), Classes(tuple("abcde"))
recipe = recipes.changed(recipes.Recipe(), {"task": row.task, "model": name})
task = task_named(row.task, classes).fitted(recipe, ())
further = {"classes": 5, "in_channels": network.in_channels, **arguments}
described = modelfile.Description(name, further, row.task, classes, row.preprocess, task_arguments=dict(task.arguments))
predictor = Predictor(network, described, device="cpu")
coarse = np.random.default_rng(0).integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
weights = sum(each.numel() * each.element_size() for each in network.state_dict().values())
before = most() - weights
pixels = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
cut = []
begin = time.monotonic()
if what == "memory":
    list(predictor.stream([pixels], budget=budget, tile=longest, on_tiles=lambda _, tiles: cut.append(tiles)))
    print(json.dumps({"peak": most() - before, "seconds": time.monotonic() - begin, **cut[0].to_dict()}))
    raise SystemExit


class Raw:
    '''Raw outputs of the cores, put together: of maps as they are, of a detector's places by their maps.'''

    def __init__(self, size):
        self.maps = None
        self.size = size

    def add(self, tile, outputs):
        parts = self.split(outputs, tile.shows)
        if self.maps is None:
            strides = [(tile.shows[2] - tile.shows[0]) // part.shape[0] for part in parts]
            sizes = [[side // s for side in self.size] for s in strides]
            self.maps = [(s, part.new_empty(*size, part.shape[2])) for s, size, part in zip(strides, sizes, parts)]
        for (s, whole), part in zip(self.maps, parts):
            top, left = tile.shows[0] // s, tile.shows[1] // s
            first, begin, last, end = (side // s for side in tile.core)
            whole[first:last, begin:end] = part[first - top : last - top, begin - left : end - left]

    def split(self, outputs, shows):
        if outputs.dim() == 4:
            return [outputs[0].permute(1, 2, 0)]
        height, width, found, start = shows[2] - shows[0], shows[3] - shows[1], [], 0
        for stride, many in task.form.maps:
            shape = height // stride, width // stride
            count = shape[0] * shape[1] * many
            found.append(outputs[0, start : start + count].reshape(*shape, -1))
            start += count
        return found


def raw(longest):
    found = []

    def gathered(parts, geometry, on_seam):
        raw = Raw(geometry.output_size)
        for tile, outputs in parts:
            raw.add(tile, outputs)
        return [whole for _, whole in raw.maps]

    class Asked:
        def __getattr__(self, key):
            return gathered if key == "gathered" else getattr(task, key)

    predictor.task = Asked()
    return list(predictor.stream([pixels], budget=1 << 40, tile=longest, on_tiles=lambda _, t: cut.append(t)))[0][1]


tiled, whole = raw(longest), raw(None)
off = max(float((one - other).abs().max() / (other.max() - other.min())) for one, other in zip(tiled, whole))
same = min(float((one.argmax(2) == other.argmax(2)).double().mean()) for one, other in zip(tiled, whole))
print(json.dumps({"off": off, "same": same, "seconds": time.monotonic() - begin, **cut[0].to_dict()}))
"""


def checks() -> Iterator[Check]:
    height, width = (round(side * PART) for side in (2000, 3000))
    for word, (name, arguments, longest) in ALIKE.items():
        found = _run("alike", name, arguments, height, width, 1 << 40, longest)
        cut = f"{found['count']:.0f} tiles of {found['height']}x{found['width']}, {found['again']:.0%} computed again"
        yield at_most(f"10.{word} off", found["off"], 1e-4, f"of the range; {height}x{width}, {cut}")
        yield at_least(f"10.{word} alike", found["same"], 0.9999)
    height, width = (round(side * PART) for side in (8000, 12000))
    found = _run("memory", "unet/efficientnet_lite0", {}, height, width, BUDGET, None)
    yield at_most("10.memory GB", found["peak"] / 1e9, BUDGET / 1e9, f"{height}x{width}, {found['seconds']:.0f} s")
    yield noted("10.twice", f"{found['count']} tiles of {found['height']}x{found['width']}, {found['again']:.0%} again")


def _run(*asked: object) -> dict[str, float]:
    command = [sys.executable, "-c", PROGRAM, json.dumps(asked)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
