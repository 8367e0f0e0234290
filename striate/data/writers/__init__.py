"""Writers: data sets of boxes in other formats, one file a format, and the table of them.

To add a format, write a module with ``place(picture) -> str``, the path of a picture below the folder, and
``write(folder, pictures, classes) -> notices``, which writes everything but the pictures and says what of the data the
format cannot hold, and give it a row in `WRITERS`. Offers WRITERS and `convert`.
"""

from collections.abc import Mapping

from striate.data.writers.converting import convert as convert

WRITERS: Mapping[str, str] = {
    "coco": "striate.data.writers.coco",
    "voc": "striate.data.writers.pascal_voc",
    "yolo": "striate.data.writers.yolo",
}
"""Format to its module."""
