"""Which blocks to compute again so that a batch fits: those with the fewest multiply-adds."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from striate.models.network import Network
from striate.planning.asked import Asked
from striate.planning.remedies import works
from striate.planning.subjects import Subject
from striate.tracing import Trace

FEW = 12
"""Of more blocks not all sets are looked at, but those of the blocks that keep most."""
MARGINS = (1.1, 1.0, 0.9)
"""What a set takes is estimated; so near to the room sets are traced, the cheapest of each, before all are taken."""


def blocks_for(asked: Asked, room: int) -> tuple[str, ...] | None:
    """The cheapest set of blocks with which the batch fits, () where it fits anyway; None: it fits with none.

    By one trace of the step as it is, which says what each block keeps and when, so that no block is traced by itself;
    the chosen set is confirmed by a trace of its own.

    Raises:
        ModelError: the network cannot be traced.
    """
    demand, step = asked.traced()
    if demand.bytes_of(asked.batch) <= room:
        return ()
    subject = asked.subject
    if not isinstance(subject.module, Network) or not subject.module.computes_by_blocks:
        return None
    beside = demand.step.bytes_of(asked.batch) - step.peak().bytes
    kept = _kept_by_block(subject, step)
    course = np.array(step.course, dtype=np.int64) + beside
    work = works(subject)
    sets = [
        (sum(work[name] for name in names), len(names), names, int((course - sum(kept[name] for name in names)).max()))
        for count in range(1, len(kept) + 1)
        for names in combinations(kept, count)
    ]
    sets.sort(key=lambda each: each[:2])
    tried = []
    for margin in MARGINS:
        names = next((names for *_, names, takes in sets if takes <= margin * room and names not in tried), None)
        if names:
            tried.append(names)
    tried += [names for names in [tuple(kept)] if names not in tried]
    return next((names for names in tried if asked.computed_again(names).bytes <= room), None)


def _kept_by_block(subject: Subject, step: Trace) -> dict[str, NDArray[np.int64]]:
    """What each block need not keep, while each operation runs: nothing while backward is in the block itself."""
    owner = {f"{subject.prefix}{path}": name for name, paths in subject.blocks.items() for path in paths}
    found: dict[str, NDArray[np.int64]] = {}
    for storage in step.storages:
        name = _block(owner, storage.path)
        if name is not None and storage.kind == "saved for backward":
            course = found.setdefault(name, np.zeros(len(step.operations), dtype=np.int64))
            course[storage.birth : storage.death] += storage.bytes
    for index, operation in enumerate(step.operations):
        name = _block(owner, operation.path)
        if operation.phase == "backward" and name in found:
            found[name][index] = 0
    most = sorted(found, key=lambda name: -int(found[name].max()))[:FEW]
    return {name: found[name] for name in subject.blocks if name in most}


def _block(owner: dict[str, str], path: str) -> str | None:
    """The block that a module is in."""
    while path and path not in owner:
        path = path.rpartition(".")[0]
    return owner.get(path)
