"""Causal localisation: how few features carry a behaviour.

Features of a prompt take the values they have in its counterfactual, the most effective first, and the distance that
is left to the counterfactual's output is measured against their number (Cunningham et al. 2023, section 4; theirs are
found by ACDC, these by attribution at each state reached, exact patching deciding among the best).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autointerp.interventions.attribution import attribute, measure_one_by_one
from autointerp.interventions.changes import FeatureValues
from autointerp.interventions.effects import divergence
from autointerp.interventions.reading import ReadPrompts
from sae_core.dictionary import Dictionary

__all__ = ["Patching", "PatchingCurve", "measure_curve", "order_features"]


class Patching:
    """Prompts at a site and what is patched into them: their counterfactuals' codes, where `at` is on."""

    def __init__(
        self,
        clean: ReadPrompts,
        counterfactual: ReadPrompts,
        dictionary: Dictionary,
        *,
        at: Bool[Tensor, "prompt pos"],
    ) -> None:
        self.clean, self.dictionary, self.at = clean, dictionary, at
        self.target = counterfactual.outputs()
        every = torch.arange(dictionary.n_features)
        own, self.codes = (FeatureValues(dictionary, read.x, every).own for read in (clean, counterfactual))
        self.change: Float[Tensor, "prompt pos n_features"] = (self.codes - own) * at[..., None].to(own.device)

    def shift(self, features: Int[Tensor, " chosen"]) -> Float[Tensor, "prompt pos d_in"]:
        flat = self.change[..., features].flatten(0, 1)
        added = self.dictionary.difference(self.clean.x.flatten(0, 1), features, flat)
        return added.view_as(self.clean.x).detach()

    def distance(
        self, logits: Float[Tensor, "rows vocab"], rows: Int[Tensor, " rows"] | None = None
    ) -> Float[Tensor, " rows"]:
        """KL divergence (nats) of the output from the counterfactual's."""
        return divergence(self.target if rows is None else self.target[rows], logits)


@dataclass(frozen=True)
class PatchingCurve:
    """`distance[i]` holds each prompt's distance with the first `ks[i]` features patched, ks[0] being 0; `magnitude`
    the norm of what was added, over all positions.
    """

    ks: tuple[int, ...]
    distance: Float[Tensor, "k prompt"]
    magnitude: Float[Tensor, "k prompt"]

    @property
    def area(self) -> Float[Tensor, " prompt"]:
        """Under the distance as a share of the unpatched one, over log2(k + 1), each prompt's: 0 where the first
        feature does it all, 1 where none does anything."""
        share = self.distance / self.distance[0].clamp_min(1e-9)
        place = (torch.tensor(self.ks, dtype=share.dtype) + 1).log2()
        width = place.diff()[:, None]
        return (width * (share[1:] + share[:-1]) / 2).sum(dim=0) / (place[-1] - place[0])


def order_features(patching: Patching, ks: Sequence[int], *, n_exact: int = 8) -> Int[Tensor, " chosen"]:
    """The first ks[-1] features in the order in which they bring the prompts' outputs nearest to the counterfactuals'.

    From each of `ks` to the next, all features are attributed at the state reached; of the best `n_exact`, the order is
    that of patching each by itself.
    """
    chosen = torch.zeros(0, dtype=torch.int64)
    for k in ks:
        base = patching.shift(chosen)
        gain = attribute(
            patching.clean, patching.dictionary, patching.distance, change=patching.change, base=base, at=patching.at
        ).mean(dim=0)
        gain[chosen] = torch.inf
        gain[(patching.change == 0).all(dim=0).all(dim=0)] = torch.inf
        ranked = gain.argsort(stable=True)[: int((gain < torch.inf).sum())]
        if n_exact > 1 and len(ranked):
            best = ranked[:n_exact]
            exact = measure_one_by_one(
                patching.clean,
                patching.dictionary,
                patching.distance,
                features=best,
                values=patching.codes[..., best],
                base=base,
                at=patching.at,
            ).mean(dim=0)
            ranked = torch.cat([best[exact.argsort(stable=True)], ranked[n_exact:]])
        chosen = torch.cat([chosen, ranked[: max(0, k - len(chosen))].cpu()])
    return chosen


@torch.no_grad()
def measure_curve(patching: Patching, order: Int[Tensor, " chosen"], ks: Sequence[int]) -> PatchingCurve:
    """The distances with the first features of `order` patched, for each of `ks` and none."""
    numbers = (0, *ks)
    shifts = torch.stack([patching.shift(order[:k]) for k in numbers])
    logits = patching.clean.outputs_of_each(shifts, at=patching.at)
    return PatchingCurve(
        ks=numbers,
        distance=torch.stack([patching.distance(each) for each in logits]).cpu(),
        magnitude=shifts.flatten(2).norm(dim=-1).cpu(),
    )
