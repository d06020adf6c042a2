"""Appendix D: the MLP's hidden width at three sizes, and the width that is in dispute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autointerp.studies.oneill2024.options import OneillOptions
from autointerp.studies.oneill2024.provenance import width_rows
from autointerp.studies.oneill2024.synthetic import above, measure_synthetic, read_kept, seed_gap
from autointerp.studies.paper import Finding, Setting
from synthetic_studies.study import select
from synthetic_studies.widths import PUBLISHED, PUBLISHED_RUNS

__all__ = ["measure_widths"]


def measure_widths(setting: Setting[OneillOptions]) -> Finding:
    made = measure_synthetic(setting, "widths")
    claims = []
    for size in made.settings.sizes:
        name = "N={} M={} K={}".format(*size)
        rows = select(made.rows, size=name, variant=PUBLISHED)
        narrow, wide = (end(row["hidden"] for row in rows) for end in (min, max))
        runs = PUBLISHED_RUNS[size]
        claims.append(
            above(
                f"{name}: hidden width {wide} finds more codes than {narrow}",
                f"{np.mean(runs[wide]) - np.mean(runs[narrow]):+.3f}, mean of three runs",
                seed_gap(select(rows, hidden=wide), select(rows, hidden=narrow), "latent_mcc"),
                why="latent MCC; initialisations on one problem, as published",
            )
        )
    places = width_rows()
    stated, implied = (
        next(row["hidden"] for row in places if row["of"] == "section 4.4" and row["how"].startswith(how))
        for how in ("stated", "implied")
    )
    note = (
        "Which hidden width the paper's MLP has depends on the file of its repository (table `widths-provenance`): "
        f"section 4.4's script says {stated}, but the FLOPs in its published results are those of {implied}, which is "
        "what the regimes here use."
    )
    kept = read_kept("widths")
    # of the width in dispute, by replaying the published draws at the paper's length
    replayed = [] if kept is None else kept.study.notes(kept.rows, kept.settings)[1:]
    found = made.finding(claims, notes=[note, *replayed])
    return replace(found, tables={**found.tables, "widths-provenance": places})
