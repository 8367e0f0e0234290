"""The learning rate as a pure function of the position in a stage."""

import math

from striate.recipe import Stage


def rate_at(stage: Stage, step: int, steps: int, floor: float) -> float:
    """The rate of step ``step`` (from 0) of the stage's ``steps``: a linear rise, then half a cosine to the floor.

    Warm-up after Goyal et al. 2017, section 2.2; cosine after Loshchilov and Hutter 2017, equation 5.
    ``floor`` is the part of the stage's highest rate that is left at its end, 0..1.

    Example:
        >>> stage = Stage(epochs=1, rate=0.1, warmup=0.2)
        >>> [round(rate_at(stage, step, 10, 0.0), 3) for step in (0, 1, 2, 6, 9)]
        [0.05, 0.1, 0.1, 0.05, 0.004]
    """
    rise = math.ceil(stage.warmup * steps)
    if step < rise:
        return stage.rate * (step + 1) / rise
    progress = (step - rise) / max(1, steps - rise)
    return stage.rate * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))
