"""torchvision beside the CPU build of torch, where its compiled operators cannot be loaded.

PyPI's torchvision is made for the torch that PyPI has. One module of it registers the shapes of those operators on
import and fails; data sets, transforms and networks need none of them.
"""

import sys
import types

sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))

import torchvision  # type: ignore[import-not-found] # noqa: E402 - the project's own environment has none

__all__ = ["torchvision"]
