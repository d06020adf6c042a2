"""Hooks of a pass: a site's activations replaced, added to, or carried from one site to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor

from autointerp.config.sites import SITES, SitePoint

__all__ = ["Change", "Hook", "Replace", "adds", "carries", "splices"]

Hook = tuple[SitePoint, Callable[[Tensor, Any], Any]]
"""A site and what is called with its activations; what it returns, if not None, takes their place."""

Replace = Callable[[Float[Tensor, "n d_in"]], Float[Tensor, "n d_in"]]
Change = Callable[[Float[Tensor, "rows pos d_in"], slice], Float[Tensor, "rows pos d_in"]]
"""What is added to a site's activations `x`, those of the batch's rows `rows`."""


def splices(mask: Tensor, point: SitePoint, replace: Replace) -> list[Hook]:
    """The rows of `mask` [batch, pos] replaced."""
    return _edits(point, lambda x: _put(x, mask, replace))


def carries(mask: Tensor, read: SitePoint, point: SitePoint, replace: Replace) -> list[Hook]:
    """The rows of `mask` at `point` replaced by `replace` of what stands at `read`, which a pass meets before it."""
    seen: list[Tensor] = []

    def keep(x: Tensor, hook: Any) -> None:
        seen.append(x.flatten(2)[mask.to(x.device)].float().to(mask.device))

    return [(read, keep), *splices(mask, point, lambda _: replace(seen.pop()))]


def adds(point: SitePoint, change: Change, rows: slice) -> list[Hook]:
    """`change` added to the activations of the batch's `rows`."""
    return _edits(point, lambda x: _add(x, change, rows))


def _edits(point: SitePoint, edit: Callable[[Tensor], Tensor]) -> list[Hook]:
    """`edit(x)` in the place of a site's activations, and its difference past the site where the row says so."""
    skip = SITES[point.site].skip
    if skip is None:
        return [(point, lambda x, hook: edit(x))]
    change: list[Tensor] = []

    def edit_and_keep(x: Tensor, hook: Any) -> Tensor:
        edited = edit(x)
        change.append(edited - x)
        return edited

    return [(point, edit_and_keep), (SitePoint(skip, point.layer), lambda x, hook: x + change.pop())]


def _put(x: Tensor, mask: Tensor, replace: Replace) -> Tensor:
    flat, there = x.flatten(2).clone(), mask.to(x.device)
    # what replaces it is made on the device of the mask, the layer may lie on another
    flat[there] = replace(flat[there].float().to(mask.device)).to(flat)
    return flat.view_as(x)


def _add(x: Tensor, change: Change, rows: slice) -> Tensor:
    flat = x.flatten(2).float()
    return (flat + change(flat, rows).to(flat.device)).to(x.dtype).view_as(x)
