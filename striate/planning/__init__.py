"""What a step would take, said before a byte of it is allocated, and what would fit: traces turned into advice.

A network by its name, a model file, a recipe, somebody's module or what makes one: all become a `Subject`, and one
trace of it a `Plan`. Offers plan, Plan and its parts; advise, Advice and Remedy; Subject and subject_of; and Cutter,
which cuts pictures into tiles that fit.
"""

from striate.planning.advice import Advice, advise
from striate.planning.plan import Layer, Memory, Plan
from striate.planning.planning import plan
from striate.planning.remedies import Remedy
from striate.planning.subjects import Subject, subject_of
from striate.planning.tiling import Cutter

__all__ = ["plan", "Plan", "Layer", "Memory", "advise", "Advice", "Remedy", "Subject", "subject_of", "Cutter"]
