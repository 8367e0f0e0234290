"""The lists of classes that published weights share, by name."""

from typing import Literal, get_args

from striate.data.records import Classes
from striate.weights.imagenet import imagenet_classes

ClassList = Literal["imagenet", "cifar10", "digits", "coco", "voc", "none"]

# In the order of Krizhevsky's batches.meta
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# In the order of COCO's category ids, which leave out 11 of 91
_COCO = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    *("microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear"),
    *("hair drier", "toothbrush"),
)
# In the order of the alphabet, as Everingham and others list them
_VOC = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def class_list(name: ClassList) -> Classes:
    """The classes of a list, in the order in which weights answer; those of networks that make pictures are none.

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
        case "coco":
            return Classes(_COCO)
        case "voc":
            return Classes(_VOC)
        case "none":
            return Classes(())


def lists_of(count: int) -> list[ClassList]:
    """The lists of so many classes.

    Example:
        >>> lists_of(80)
        ['coco']
    """
    return [name for name in get_args(ClassList) if len(class_list(name)) == count]
