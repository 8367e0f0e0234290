"""Which epoch's weights become the model file, decided as each epoch ends: only the kept epoch's are on the disk."""

import math

from striate.training.learner import Progress


def judge(progress: Progress, value: float, margin: float, loss: float | None) -> bool:
    """Whether the epoch that has just been validated is kept; notes in ``progress`` what the next ones need to know.

    ``value`` is the figure to keep by, of which more is better (minus infinity: there is none), ``margin`` how far
    another may fall short of it without being told from it, ``loss`` that of validation (None: there is none).

    An epoch is kept if its figure cannot be told from the best so far, unless it is worse than the kept one by both
    figure and loss. The best is kept when it comes, therefore, and what is kept cannot be told from it. Without losses
    the latest of them is kept, and with a margin of 0 that of the best figure.
    """
    better = progress.best is None or value > progress.best
    progress.epochs_without_better = 0 if better else progress.epochs_without_better + 1
    if better:
        progress.best, progress.good_enough = value, value - margin
    if loss is None or math.isnan(loss):
        loss = math.inf
    worse = value < progress.kept_value and loss > progress.kept_loss
    kept = value >= progress.good_enough and not worse
    if kept:
        progress.kept_epoch, progress.kept_value, progress.kept_loss = progress.epoch, value, loss
    return kept
