"""Training of ResNets and VGG against torch and Keras, with loading too; and SAME against symmetric windows."""

from collections.abc import Iterator

from accept import Check
from bench import end_to_end, training, windows
from bench.section import Settings

NETWORKS = ("resnet50", "vgg16")


def checks() -> Iterator[Check]:
    yield from training.run(Settings(networks=NETWORKS)).checks
    yield from end_to_end.run(Settings()).checks
    yield from windows.run(Settings()).checks
