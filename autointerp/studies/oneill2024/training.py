"""What the two encoders cost in features and fidelity at equal tokens: dead features, sparsity, reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from autointerp.board.quality_file import QualityRecord, load_quality
from autointerp.config.dictionary_name import entry_of
from autointerp.studies.claim import Claim, render_interval, verdict_of
from autointerp.studies.oneill2024.options import OneillOptions, encoder_pair
from autointerp.studies.oneill2024.synthetic import seed_gap
from autointerp.studies.paper import Finding, Setting
from synthetic_studies.study import Row, select

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["measure_training"]


def measure_training(setting: Setting[OneillOptions]) -> Finding:
    sae, mlp = encoder_pair(setting)
    run = setting.run()
    rows: list[Row] = []
    for entry in run.config.every_dictionary:
        quality = load_quality(run.layout, entry.name)
        if entry_of(entry.name) in (sae, mlp) and quality is not None:
            seed = len(select(rows, entry=entry_of(entry.name)))
            rows.append({"entry": entry_of(entry.name), "dictionary": entry.name, "seed": seed, **_figures(quality)})
    tokens = f"{run.config.corpus.dictionary_tokens:,} tokens for both"
    by_entry = [select(rows, entry=name) for name in (mlp, sae)]
    dead, error = (seed_gap(by_entry[0], by_entry[1], column) for column in ("dead_frac", "fvu"))
    claims = [
        Claim(
            "the MLP encoder has no more dead features than the SAE",
            "both resampled, no figure at hand",
            f"{_told(by_entry, 'n_dead', ',.0f')}; share, MLP less SAE: {render_interval(dead, '+.3f')}",
            verdict_of(dead, below=0.0),
            f"{tokens}; counted on held-out activations, interval over trainings by t",
        ),
        Claim(
            "the MLP encoder reconstructs at least as well at the same sparsity",
            "no figure at hand",
            f"FVU {_told(by_entry, 'fvu', '.3f')}; MLP less SAE: {render_interval(error, '+.3f')}",
            verdict_of(error, below=0.0),
            f"{tokens}; L0 {_told(by_entry, 'l0', '.1f')}",
        ),
    ]
    return Finding(claims, {"training": rows}, {"training": _draw(rows, (sae, mlp))})


def _figures(quality: QualityRecord) -> Row:
    loss = quality.fidelity
    dead = quality.dead_frac
    return {
        "n_features": quality.n_features,
        "n_dead": None if dead is None else round(dead * quality.n_features),
        "dead_frac": dead,
        "ultralow": 0 if quality.ultralow is None else quality.ultralow.n_features,
        "l0": quality.l0,
        "fvu": quality.fvu,
        "loss_recovered": loss and loss.recovered_zero_frac,
        "loss_recovered_from_mean": loss and loss.recovered_mean_frac,
    }


def _told(by_entry: Sequence[Sequence[Row]], column: str, form: str) -> str:
    """`MLP 12, 14; SAE 3, 5`, a number for each training."""
    sides = (", ".join(f"{row[column]:{form}}" for row in rows) for rows in by_entry)
    return "; ".join(f"{name} {side}" for name, side in zip(("MLP", "SAE"), sides, strict=True))


def _draw(rows: Sequence[Row], names: Sequence[str]) -> Figure:
    from synthetic_studies.figure_style import COLOURS, MARKERS, new_figure

    columns = {"dead_frac": "dead features, share", "l0": "L0", "fvu": "FVU", "loss_recovered": "loss recovered"}
    figure, axes = new_figure(1, len(columns), width=2.4, height=2.6)
    for panel, (column, label) in zip(axes[0], columns.items(), strict=True):
        for place, name in enumerate(names):
            values = [row[column] for row in select(rows, entry=name) if row[column] is not None]
            panel.plot([place] * len(values), values, MARKERS[place], color=COLOURS[place])
        panel.set_xticks(range(len(names)), list(names))
        panel.set(title=label, xlim=(-0.5, len(names) - 0.5))
    return figure
