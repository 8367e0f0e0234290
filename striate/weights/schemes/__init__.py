"""Whose names and layouts there are: for each way of writing weights down, how its arrays become our tensors.

One file a family of schemes; the table SCHEMES names them all.
Offers SCHEMES, Scheme, place, Placed, answered_classes, describing_model.
"""

from striate.weights.schemes.placing import Placed, answered_classes, describing_model, place
from striate.weights.schemes.table import SCHEMES, Scheme

__all__ = ["SCHEMES", "Scheme", "Placed", "answered_classes", "describing_model", "place"]
