"""What a step of any module takes, before a byte of it is allocated: shapes, work, memory over its course, fields.

Modules run on fake tensors, and torch's dispatcher is watched: `trace` gives a frozen `Trace`, off which all is read.
The room knows no model, no layer and no task; operations are known by tables of rules.
Offers trace, made, Trace and its parts, locality and Locality, OPTIMIZERS, summed, summed_by_path, and Spans, the
algebra of fields.
"""

from striate.tracing.counting import Counted
from striate.tracing.fields import AxisField, Field
from striate.tracing.locality import Locality
from striate.tracing.rows import summed_by_path
from striate.tracing.spans import Spans
from striate.tracing.trace import KINDS, Kind, Mode, Operation, Peak, Phase, Row, Storage, Trace, Value, rows_by_path
from striate.tracing.tracing import OPTIMIZERS, locality, made, summed, trace

__all__ = [
    "trace",
    "made",
    "Trace",
    "Operation",
    "Counted",
    "Value",
    "Storage",
    "Row",
    "Peak",
    "Kind",
    "KINDS",
    "Mode",
    "Phase",
    "Field",
    "AxisField",
    "Spans",
    "Locality",
    "locality",
    "OPTIMIZERS",
    "summed",
    "rows_by_path",
    "summed_by_path",
]
