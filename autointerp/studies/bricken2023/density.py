"""Feature densities by width, the ultralow cluster among them, and the loss that dictionaries recover."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from autointerp.board.quality_file import DENSITY_DECADES, QualityRecord, load_quality
from autointerp.stats.intervals import Interval
from autointerp.studies.bricken2023.options import BrickenOptions, main_entry, widths
from autointerp.studies.claim import Claim, render_interval, verdict_of
from autointerp.studies.paper import Finding, Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["measure_densities", "measure_losses"]

THEIR_LOSS = 0.79
"""Share of the loss recovered by A/1."""


def measure_densities(setting: Setting[BrickenOptions]) -> Finding:
    found = _qualities(setting)
    rows = [
        {"dictionary": name, "n_features": quality.n_features, "log10_density": round(left, 3), "features": count}
        for name, quality in found.items()
        for left, count in zip(_edges(quality), quality.density_histogram, strict=False)
    ]
    with_cluster = {name: each.ultralow for name, each in found.items() if each.ultralow is not None}
    told = "".join(f"; {name}: {c.n_features:,} features below {c.limit:.1g}" for name, c in with_cluster.items())
    dead = ", ".join(f"{name} {quality.dead_frac or 0:.1%}" for name, quality in found.items())
    n_tokens = max(quality.n_tokens or 0 for quality in found.values())
    claim = Claim(
        "densities have two modes, one of ultralow density",
        "292 of 4,096 below 1e-6, 168 dead",
        f"a second mode in {len(with_cluster)} of {len(found)} widths{told}; dead: {dead}",
        "holds" if with_cluster else "does not hold",
        f"densities over {n_tokens:,} tokens: rarer features than one in that many count as dead, theirs over 1e8",
    )
    return Finding([claim], {"density": rows}, {"density": _draw_densities(found)})


def measure_losses(setting: Setting[BrickenOptions]) -> Finding:
    found, main = _qualities(setting), main_entry(setting).name
    rows = []
    for name, quality in found.items():
        loss = quality.fidelity
        rows.append(
            {
                "dictionary": name,
                "n_features": quality.n_features,
                "l0": quality.l0,
                "fvu": quality.fvu,
                "clean": loss and loss.clean,
                "spliced": loss and loss.spliced,
                "zero": loss and loss.zero,
                "recovered": loss and loss.recovered_zero_frac,
                "lo": loss and loss.recovered_zero_interval and loss.recovered_zero_interval[0],
                "hi": loss and loss.recovered_zero_interval and loss.recovered_zero_interval[1],
            }
        )
    own = _recovered(found[main])
    widest = _recovered(list(found.values())[-1])
    narrowest = _recovered(next(iter(found.values())))
    quality = found[main]
    claims = [
        Claim(
            "the main dictionary recovers most of the layer's loss",
            "0.79 (A/1), 0.945 (A/5)",
            f"{main}: {render_interval(own, '.3f')} tokens, L0 {quality.l0 or 0:.0f}",
            verdict_of(own, above=THEIR_LOSS),
            "verdict: above their A/1; the share depends on the L1 weight, so L0 stands beside",
        ),
        Claim(
            "a wider dictionary recovers more",
            "0.79 to 0.945 from 4,096 to 131,072 features (the latter at a lower L1)",
            f"{render_interval(narrowest, '.3f')} to {render_interval(widest, '.3f')} tokens",
            "not measured" if narrowest is None else verdict_of(widest, above=narrowest.hi),
            "narrowest to widest at equal L1; verdict: the interval of the widest lies above that of the narrowest",
        ),
    ]
    figures = {} if widest is None else {"loss": _draw_losses(found)}
    return Finding(claims, {"loss": rows}, figures)


def _qualities(setting: Setting[BrickenOptions]) -> dict[str, QualityRecord]:
    layout = setting.run(last="train").layout
    records = {entry.name: load_quality(layout, entry.name) for entry in widths(setting.config)}
    return {name: record for name, record in records.items() if record is not None}


def _recovered(quality: QualityRecord) -> Interval | None:
    loss = quality.fidelity
    if loss is None or loss.recovered_zero_frac is None or loss.recovered_zero_interval is None:
        return None
    return Interval(loss.recovered_zero_frac, *loss.recovered_zero_interval, n=(quality.n_tokens or 0) // 4)


def _edges(quality: QualityRecord) -> list[float]:
    return np.linspace(*DENSITY_DECADES, len(quality.density_histogram) + 1)[:-1].tolist()


def _draw_densities(found: Mapping[str, QualityRecord]) -> Figure:
    from synthetic_studies.figure_style import COLOURS, new_figure

    figure, axes = new_figure(1, len(found), width=2.6, height=2.6, sharex=True)
    for place, (name, quality) in enumerate(found.items()):
        panel, edges = axes[0, place], _edges(quality)
        panel.bar(edges, quality.density_histogram, width=edges[1] - edges[0], align="edge", color=COLOURS[0])
        if quality.ultralow is not None:
            panel.axvspan(DENSITY_DECADES[0], np.log10(quality.ultralow.limit), color=COLOURS[1], alpha=0.15)
        panel.set(title=f"{name}: {quality.n_features:,}", xlabel="log10 density", ylabel="" if place else "features")
    return figure


def _draw_losses(found: Mapping[str, QualityRecord]) -> Figure:
    from synthetic_studies.figure_style import COLOURS, new_figure

    figure, axes = new_figure()
    points = [(quality.n_features, _recovered(quality)) for quality in found.values()]
    kept = [(n, each) for n, each in points if each is not None]
    axes[0, 0].errorbar(
        [n for n, _ in kept],
        [each.mean for _, each in kept],
        yerr=[[each.mean - each.lo for _, each in kept], [each.hi - each.mean for _, each in kept]],
        color=COLOURS[0],
        marker="o",
    )
    axes[0, 0].axhline(THEIR_LOSS, color=COLOURS[7], linestyle=":", label="A/1 of the paper")
    axes[0, 0].set(xscale="log", xlabel="features", ylabel="loss recovered")
    axes[0, 0].legend()
    return figure
