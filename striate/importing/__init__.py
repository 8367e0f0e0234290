"""Anybody's file of weights into a model file of ours: read, placed, tried on pictures, written.

`weights` has the whole road, `classes` what the outputs are called, `constants` how pictures are prepared for them, and
`trial` which way of preparing is right. Offers import_weights and Imported.
"""

from striate.importing.weights import Imported, import_weights

__all__ = ["import_weights", "Imported"]
