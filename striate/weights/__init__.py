"""Anybody's weights into our networks: what there is, whose it is, and a check that every tensor found its place.

Importing this room loads no torch; creating a network does.
Offers create, load_state, load_into, as_named, read, PRETRAINED, Pretrained, imagenet_classes. `reading` reads other
people's files, `schemes` says what their names mean, `memory` asks that of weights that are in no file, `pretrained`
says which published files are known, `fetching` where those come from.
"""

from striate.weights.create import create, load_state
from striate.weights.imagenet import imagenet_classes
from striate.weights.memory import as_named, load_into
from striate.weights.pretrained import PRETRAINED, Pretrained
from striate.weights.reading import read

__all__ = [
    "create",
    "load_state",
    "load_into",
    "as_named",
    "read",
    "PRETRAINED",
    "Pretrained",
    "imagenet_classes",
]
