"""Editing one concept: its feature is ablated, beside directions of other dictionaries with the same norm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from autointerp.interventions.effects import divergence
from autointerp.interventions.reading import ReadPrompts
from autointerp.seeds import stream
from autointerp.stats.intervals import mean_interval, paired_difference
from autointerp.studies.claim import Claim, gap_of, render_interval, verdict_of, verdict_of_all
from autointerp.studies.cunningham2023.cases import Case, remove
from autointerp.studies.cunningham2023.concepts import CONCEPTS
from autointerp.studies.cunningham2023.options import CunninghamOptions, main_entry, rivals
from autointerp.studies.paper import Finding, Setting
from sae_core.dictionary import Dictionary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["measure_editing"]

ANY = (-1e9, 1e9)
"""Bounds of what has none."""


class Edit(NamedTuple):
    """Divergences of the next token's distribution after tokens of a concept and after others, one per place, and the
    factor by which the ablation is multiplied."""

    success: list[float]
    side: list[float]
    scale: float


def measure_editing(setting: Setting[CunninghamOptions]) -> Finding:
    main, case = main_entry(setting).name, Case.open(setting)
    claims, rows = [], []
    for concept in CONCEPTS:
        found = case.find(concept)
        reads = [case.read(each) for each in case.places(concept, setting.options.n_contexts, seed=setting.config.seed)]
        norm = float(remove(reads[0], case.dictionaries[main], found[main].feature).flatten(1).norm(dim=1).mean())
        edits = {name: _edit(case.dictionaries[name], found[name].feature, reads, norm) for name in found}
        for name, (success, side, scale) in edits.items():
            means = [
                mean_interval(values, rng=stream(setting.config.seed, "editing", concept, name, what), bounds=ANY)
                for what, values in (("success", success), ("side", side))
            ]
            rows.append(
                {
                    "concept": concept,
                    "dictionary": name,
                    "feature": found[name].feature,
                    "scale": round(scale, 4),
                    "success": render_interval(means[0], ".4f"),
                    "side_effect": render_interval(means[1], ".4f"),
                    "success_mean": round(sum(success) / len(success), 5),
                    "side_mean": round(sum(side) / len(side), 5),
                }
            )
        claims += [_edit_claim(setting, concept, main, name, edits) for name in rivals(setting.config) if name in edits]
    note = (
        "Each feature is ablated at the last token of the prompt. Success: the divergence (KL, nats) of the next "
        "token's distribution after tokens of the concept; side effect: the same after other tokens. The ablation of "
        "each other direction is multiplied by one factor, so that its mean norm after tokens of the concept is that "
        "of the SAE's feature."
    )
    return Finding(claims, {"editing": rows}, {"editing": _draw_editing(rows)}, [note])


@torch.no_grad()
def _edit(dictionary: Dictionary, feature: int, reads: Sequence[ReadPrompts], norm: float) -> Edit:
    """The ablation that has the mean norm `norm` after tokens of the concept."""
    own = float(remove(reads[0], dictionary, feature).flatten(1).norm(dim=1).mean())
    scale = norm / own if own > 0 else 0.0
    found = []
    for read in reads:
        edited = read.outputs(remove(read, dictionary, feature, scale=scale))
        found.append(divergence(read.outputs(), edited).cpu().tolist())
    return Edit(found[0], found[1], scale)


def _edit_claim(
    setting: Setting[CunninghamOptions],
    concept: str,
    main: str,
    other: str,
    edits: Mapping[str, Edit],
) -> Claim:
    gaps = []
    for what in ("success", "side"):
        rng = stream(setting.config.seed, "editing", concept, other, what)
        first, second = (getattr(edits[name], what) for name in (main, other))
        gaps.append(gap_of(paired_difference(first, second, rng=rng, bounds=ANY)))
    return Claim(
        f"{concept}: ablating the SAE's feature changes more of what it should, and less of the rest, than {other}",
        "less edit for the same effect (their figure 3, right)",
        f"success {render_interval(gaps[0], '.4f')} nats more, side effect {render_interval(gaps[1], '.4f')} nats more",
        verdict_of_all([verdict_of(gaps[0], above=0.0), verdict_of(gaps[1], below=0.0)]),
        "both edits of the same mean norm after tokens of the concept",
    )


def _draw_editing(rows: list[dict[str, Any]]) -> Figure:
    from synthetic_studies.figure_style import COLOURS, MARKERS, new_figure

    figure, axes = new_figure(1, len(CONCEPTS))
    for panel, concept in zip(axes[0], CONCEPTS, strict=True):
        for series, row in enumerate(row for row in rows if row["concept"] == concept):
            look = {"color": COLOURS[series % len(COLOURS)], "marker": MARKERS[series % len(MARKERS)]}
            panel.plot([row["side_mean"]], [row["success_mean"]], linestyle="", label=row["dictionary"], **look)
        panel.set(title=concept, xlabel="side effect, KL in nats", ylabel="success, KL in nats")
        panel.locator_params(axis="x", nbins=4)
    axes[0, 0].legend(fontsize=7)
    return figure
