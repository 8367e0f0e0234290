"""What a user asks of a task's answers that not every task has, and what is said to him then."""

from striate.base.errors import ModelError
from striate.tasks.task import Task


def refuse_top(task: Task, top: int | None) -> None:
    """See that there can be so many most probable parts of an answer; None is all of it.

    Raises:
        ModelError: ``top`` is no whole number from 1, or the task's answers have no parts.
    """
    if top is None:
        return
    if isinstance(top, bool) or not hasattr(top, "__index__") or top < 1:
        raise ModelError(f"top is {top!r}; expected how many of the most probable answers are wanted, or None for all")
    if task.most_probable is None:
        raise ModelError(f"top is {top!r}, but {task.name} gives each picture one answer; leave top out")


def scoring(task: Task, score_threshold: float) -> Task:
    """The task with another least score of what answers name."""
    if task.scoring is None:
        raise ModelError(
            f"score_threshold is {score_threshold!r}, but {task.name} leaves nothing out of its answers by a score; "
            "leave it out"
        )
    if not 0 < score_threshold < 1:
        raise ModelError(f"score_threshold is {score_threshold!r}; expected a number between 0 and 1, such as 0.25")
    return task.scoring(float(score_threshold))


def refuse_budget(task: Task, budget: int, tile: int | None, overlap: float | None) -> None:
    """See that a photograph's answer can be gathered from tiles within a budget of so many bytes.

    Raises:
        ModelError: the budget or ``tile`` is no whole number from 1, the task answers a picture as a whole, or in small
            tiles anyway, or it is said how far tiles overlap.
    """
    if isinstance(budget, bool) or not hasattr(budget, "__index__") or budget < 1:
        raise ModelError(f"budget is {budget!r}; expected how many bytes answering may take, such as 2_000_000_000")
    if task.gathered is None:
        why = "answers a picture as a whole" if task.merged is None else "answers in small tiles anyway"
        raise ModelError(f"budget is {budget:,} bytes, but {task.name} {why}; leave it out")
    if tile is not None and (isinstance(tile, bool) or not hasattr(tile, "__index__") or tile < 1):
        raise ModelError(f"tile is {tile!r}; expected the longest side of a tile in pixels")
    if overlap is not None:
        raise ModelError(
            f"overlap is {overlap!r}, but with a budget tiles overlap as far as the network looks; leave overlap out"
        )
