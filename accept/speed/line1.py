"""Training of networks with depthwise windows against torch and Keras, alternated in one run."""

from collections.abc import Iterator

from accept import Check
from bench import training
from bench.section import Settings

NETWORKS = ("efficientnet_lite0", "mobilenet_v2", "xception")


def checks() -> Iterator[Check]:
    yield from training.run(Settings(networks=NETWORKS)).checks
