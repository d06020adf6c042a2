"""What sparsity costs, and dead and duplicate features by width and L1 weight."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from autointerp.board.quality_file import load_quality
from autointerp.seeds import stream
from autointerp.stages.ready_dictionaries import reopen
from autointerp.stages.workbench import Workbench, open_workbench
from autointerp.stats.intervals import mean_interval, two_sample_difference
from autointerp.studies.claim import Claim, gap_of, render_interval, verdict_of
from autointerp.studies.cunningham2023.layers import feature_scores
from autointerp.studies.cunningham2023.options import CunninghamOptions, main_entry, with_entries
from autointerp.studies.paper import Finding, Setting
from autointerp.subject.activations import iter_training_chunks
from sae_core.dictionary import Dictionary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["find_duplicates", "measure_duplicates", "measure_tradeoff"]

SAME_COSINE, SAME_FIRING = 0.9, 0.5
"""Two features are duplicates where their directions' cosine and the Jaccard index of their firings reach these."""
DUPLICATE_TOKENS = 20_000


def measure_tradeoff(setting: Setting[CunninghamOptions]) -> Finding:
    main = main_entry(setting)
    weights = setting.options.l1_weights
    entries = [main.model_copy(update={"name": f"l1-{_named(w)}", "l1_weight": w}) for w in weights]
    run = setting.run("sweep", config=with_entries(setting.config, entries))
    rows, scores = [], []
    for weight, entry in zip(weights, entries, strict=True):
        quality = load_quality(run.layout, entry.name)
        found = feature_scores(run, entry.name)["top and random"]
        mean = mean_interval(found, rng=stream(setting.config.seed, "tradeoff", entry.name), bounds=(-1.0, 1.0))
        scores.append(found)
        loss = None if quality is None else quality.fidelity
        rows.append(
            {
                "l1_weight": weight,
                "l0": quality and quality.l0,
                "fvu": quality and quality.fvu,
                "dead_frac": quality and quality.dead_frac,
                "loss_recovered": loss and loss.recovered_zero_frac,
                "loss_recovered_from_mean": loss and loss.recovered_mean_frac,
                "correlation": mean and round(mean.mean, 4),
                "lo": mean and round(mean.lo, 4),
                "hi": mean and round(mean.hi, 4),
            }
        )
    costs = [row["loss_recovered_from_mean"] for row in rows]
    falls = all(a is not None and b is not None and a > b for a, b in pairwise(costs))
    rng = stream(setting.config.seed, "tradeoff")
    gap = gap_of(two_sample_difference(scores[-1], scores[0], rng=rng, bounds=(-2.0, 2.0)))
    claims = [
        Claim(
            "a larger L1 weight buys sparsity with fidelity",
            "loss rises as L0 falls",
            "; ".join(f"L0 {_shown(row['l0'])}: {_shown(row['loss_recovered_from_mean'])}" for row in rows),
            "holds" if falls else "does not hold",
            "share of the loss recovered against mean ablation, by L1 weight; holds where it falls at every step",
        ),
        Claim(
            "sparser dictionaries are more interpretable",
            "sparser ones score higher, no figure",
            f"largest weight minus smallest: {render_interval(gap)}",
            verdict_of(gap, above=0.0),
            f"L1 weights {weights[-1]:g} and {weights[0]:g}",
        ),
    ]
    return Finding(claims, {"tradeoff": rows}, {"tradeoff": _draw_tradeoff(rows)})


def measure_duplicates(setting: Setting[CunninghamOptions]) -> Finding:
    main, options = main_entry(setting), setting.options
    weights = sorted({options.l1_weights[0], options.l1_weights[-1]})
    entries = [
        main.model_copy(update={"name": f"x{width}-l1-{_named(w)}", "n_features": width, "l1_weight": w})
        for width in options.widths
        for w in weights
    ]
    config = with_entries(setting.config, entries)
    run = setting.run("widths", config=config, last="train")
    bench = open_workbench(config)
    x = _held_out(bench)
    rows = []
    for entry in entries:
        dictionary = reopen(entry, run.layout, device=bench.subject.device)
        quality = load_quality(run.layout, entry.name)
        found = find_duplicates(dictionary, x)
        rows.append(
            {
                "n_features": entry.n_features,
                "l1_weight": entry.l1_weight,
                "l0": quality and quality.l0,
                "dead_frac": round(1 - found["live"] / dictionary.n_features, 4),
                **{name: found[name] for name in ("live", "same_direction", "fire_together", "duplicates")},
                "duplicate_frac": round(found["duplicates"] / max(1, found["live"]), 4),
            }
        )
    by_weight = {w: [row["duplicates"] for row in rows if row["l1_weight"] == w] for w in weights}
    rises = [all(a <= b for a, b in pairwise(n)) and n[-1] > n[0] for n in by_weight.values()]
    claim = Claim(
        "dead and duplicate features grow with the dictionary",
        "named as a problem, no figure",
        "; ".join(
            f"{row['n_features']:,} features, L1 {row['l1_weight']:g}: {row['dead_frac']:.1%} dead, "
            f"{row['duplicates']} duplicates"
            for row in rows
        ),
        "holds" if all(rises) else "undecided" if any(rises) else "does not hold",
        f"duplicate: another feature has cosine {SAME_COSINE} and co-firing (Jaccard) {SAME_FIRING} or more; "
        f"dead: silent on {len(x):,} held-out tokens; holds where duplicates grow with width at each L1 weight",
    )
    return Finding([claim], {"duplicates": rows}, {"duplicates": _draw_duplicates(rows, weights)})


@torch.no_grad()
def find_duplicates(dictionary: Dictionary, x: Tensor) -> dict[str, int]:
    """Over activations [n, d_in]: features that fire at all, and of them those with another one that points the same
    way, fires together with it, and both.
    """
    fired = []
    for rows in x.split(1024):
        code = dictionary.encode_dense(rows)
        fired.append(sparse.csr_array((code > 0).cpu().numpy().astype(np.float32)))
    firing = sparse.csc_array(sparse.vstack(fired))
    n_firing = np.asarray(firing.sum(axis=0)).ravel()
    live = np.flatnonzero(n_firing)
    if not len(live):
        return {"live": 0, "same_direction": 0, "fire_together": 0, "duplicates": 0}
    directions = torch.nn.functional.normalize(dictionary.directions.detach().cpu()[live], dim=1).numpy()
    cosine = directions @ directions.T
    chosen = firing[:, live]
    both = (chosen.T @ chosen).toarray()
    jaccard = both / (n_firing[live][:, None] + n_firing[live][None] - both)
    np.fill_diagonal(cosine, -1.0)
    np.fill_diagonal(jaccard, -1.0)
    points, fires = cosine >= SAME_COSINE, jaccard >= SAME_FIRING
    counts = {"same_direction": points, "fire_together": fires, "duplicates": points & fires}
    return {"live": len(live)} | {name: int(mask.any(axis=1).sum()) for name, mask in counts.items()}


def _held_out(bench: Workbench) -> Tensor:
    (point,) = {bench.point(entry) for entry in bench.config.every_dictionary}
    batches = bench.evidence_batches("score", max_tokens=min(DUPLICATE_TOKENS, bench.tokens_per_role))
    return torch.cat(list(iter_training_chunks(bench.subject, batches, point)))


def _shown(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.3g}"


def _named(weight: float) -> str:
    return f"{weight:g}".replace(".", "_")


def _draw_tradeoff(rows: Sequence[dict[str, Any]]) -> Figure:
    from synthetic_studies.figure_style import COLOURS, new_figure

    figure, axes = new_figure(1, 2)
    kept = [row for row in rows if row["l0"]]
    x = [row["l0"] for row in kept]
    for series, name in enumerate(("loss_recovered", "loss_recovered_from_mean")):
        label = "against zero" if series == 0 else "against the mean"
        axes[0, 0].plot(x, [row[name] for row in kept], color=COLOURS[series], marker="o", label=label)
    axes[0, 0].set(xscale="log", xlabel="L0", ylabel="loss recovered")
    axes[0, 0].legend()
    judged = [row for row in kept if row["correlation"] is not None]
    axes[0, 1].errorbar(
        [row["l0"] for row in judged],
        [row["correlation"] for row in judged],
        yerr=[[r["correlation"] - r["lo"] for r in judged], [r["hi"] - r["correlation"] for r in judged]],
        color=COLOURS[2],
        marker="o",
    )
    axes[0, 1].set(xscale="log", xlabel="L0", ylabel="mean correlation")
    return figure


def _draw_duplicates(rows: Sequence[dict[str, Any]], weights: Sequence[float]) -> Figure:
    from synthetic_studies.figure_style import COLOURS, MARKERS, new_figure

    figure, axes = new_figure(1, 2)
    for panel, name in zip(axes[0], ("dead_frac", "duplicate_frac"), strict=True):
        for series, weight in enumerate(weights):
            mine = [row for row in rows if row["l1_weight"] == weight]
            panel.plot(
                [row["n_features"] for row in mine],
                [row[name] for row in mine],
                color=COLOURS[series],
                marker=MARKERS[series],
                label=f"L1 {weight:g}",
            )
        panel.set(xscale="log", xlabel="features", ylabel=name.replace("_frac", " features, share"))
    axes[0, 0].legend()
    return figure
