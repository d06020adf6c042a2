"""Lets peers import a torchvision whose compiled part does not fit the torch installed.

That happens where an index offers torch for CPUs and torchvision only for CUDA. Peers import torchvision on the way to
what is measured here, and call nothing of it.
"""

from __future__ import annotations

import re
import sys

import torch

__all__ = ["make_torchvision_importable"]


def make_torchvision_importable() -> None:
    """Declare the operators whose absence stops `import torchvision`, if any are absent."""
    library = torch.library.Library("torchvision", "FRAGMENT")
    _KEPT.append(library)
    while True:
        try:
            import torchvision  # noqa: F401
        except ImportError:
            return
        except RuntimeError as error:
            found = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if found is None:
                raise
            library.define(f"{found[1]}(Tensor x) -> Tensor")
            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
        else:
            return


_KEPT: list[torch.library.Library] = []
"""Declarations end with their library."""
