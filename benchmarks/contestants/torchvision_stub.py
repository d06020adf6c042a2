"""Lets peers import a torchvision whose compiled part does not fit the torch installed.

That happens where an index offers torch for CPUs and torchvision only for CUDA. Peers import torchvision on the way to
what is measured here, and call nothing of it.
"""

from __future__ import annotations

import torch

__all__ = ["make_torchvision_importable"]


def make_torchvision_importable() -> None:
    """Declare the operator whose absence stops `import torchvision`, if it is absent."""
    try:
        import torchvision  # noqa: F401
    except ImportError:
        return
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)


_KEPT: list[torch.library.Library] = []
"""Declarations end with their library."""
