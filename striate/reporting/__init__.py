"""What others have found out, as pictures: files of PNG or SVG, light enough to be printed.

They are drawn by matplotlib, which the extra "report" brings and nothing loads before something is drawn.
Offers memory_picture, field_picture, and checked_path for who wants to know first whether a picture can be written.
"""

from striate.reporting.field import field_picture
from striate.reporting.figures import checked_path
from striate.reporting.memory import memory_picture

__all__ = ["memory_picture", "field_picture", "checked_path"]
