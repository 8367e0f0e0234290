"""The lists of classes that published weights share, by name."""

from typing import Literal

from striate.data.records import Classes
from striate.weights.imagenet import imagenet_classes

ClassList = Literal["imagenet", "cifar10", "digits"]

# In the order of Krizhevsky's batches.meta
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def class_list(name: ClassList) -> Classes:
    """The classes of a list, in the order in which weights answer.

    Example:
        >>> class_list("cifar10").names[9]
        'truck'
    """
    match name:
        case "imagenet":
            return Classes(*imagenet_classes())
        case "cifar10":
            return Classes(_CIFAR10)
        case "digits":
            return Classes(tuple(str(digit) for digit in range(10)))
