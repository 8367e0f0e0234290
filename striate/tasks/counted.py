"""Numbers of which each picture has one, as meters keep them."""

from collections.abc import Mapping

import torch
from torch import Tensor


class Counted:
    """Collects numbers by name, a part of the pictures after the other; ``kinds`` are their types.

    Example:
        >>> counted = Counted({"loss": torch.float64})
        >>> counted.add({"loss": torch.tensor([0.5], dtype=torch.float64)})
        >>> counted.state()
        {'loss': tensor([0.5000], dtype=torch.float64)}
    """

    def __init__(self, kinds: Mapping[str, torch.dtype]) -> None:
        self._kinds = kinds
        self._parts: dict[str, list[Tensor]] = {name: [] for name in kinds}

    def add(self, numbers: Mapping[str, Tensor]) -> None:
        """Those of further pictures, ``[N]`` each; another's `state`, too."""
        for name, parts in self._parts.items():
            parts.append(numbers[name])

    def state(self) -> dict[str, Tensor]:
        """All that was added, ``[N]`` each."""
        return {
            name: torch.cat(parts) if parts else torch.zeros(0, dtype=self._kinds[name])
            for name, parts in self._parts.items()
        }
