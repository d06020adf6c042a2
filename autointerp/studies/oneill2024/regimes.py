"""Section 4.4: sources, measurements and sparsity, for K = 3 and K = 9."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autointerp.studies.claim import Claim
from autointerp.studies.oneill2024.options import OneillOptions
from autointerp.studies.oneill2024.synthetic import Synthetic, above, find_kept, run_synthetic, seed_gap
from autointerp.studies.paper import Finding, Setting
from synthetic_studies.regimes import PUBLISHED
from synthetic_studies.study import Row, select

__all__ = ["measure_regimes"]

CODING, OURS = "SC (log-codes)", "SC (ours)"


def measure_regimes(setting: Setting[OneillOptions]) -> Finding:
    """The kept grid, and the recipe's, where that has another K; one figure for each K."""
    kept = find_kept(setting, "regimes")
    grids = [run_synthetic(setting, "regimes")] if kept is None else [kept, run_synthetic(setting, "regimes")]
    found = [(made, made.finding(_claims(made))) for made in grids]
    return Finding(
        [claim for _, each in found for claim in each.claims],
        {
            f"{name}-k{k}": [row for row in rows if row.get("k", k) == k]
            for made, each in found
            for name, rows in each.tables.items()
            for k in made.settings.k_values
        },
        {
            f"regimes-k{k}": made.study.figure(made.rows, replace(made.settings, k_values=(k,)))
            for made in grids
            for k in made.settings.k_values
        },
        [note for _, each in found for note in each.notes],
    )


def _claims(made: Synthetic) -> list[Claim]:
    cells = [(n, m) for n in made.settings.n_features_values for m in made.settings.d_in_values if n > m]
    claims = []
    for k in made.settings.k_values:

        def rows(method: str, k: int = k) -> list[Row]:
            found = select(made.rows, method=method, k=k)
            return [row for row in found if (row["n_features"], row["d_in"]) in cells]

        for first, second in ((CODING, "SAE"), ("MLP h=32", "SAE"), (CODING, "MLP h=32")):
            claims.append(
                above(
                    f"K={k}: {first} finds more codes than {second} where sources outnumber measurements",
                    f"{_published(k, first, cells) - _published(k, second, cells):+.3f}",
                    seed_gap(rows(first), rows(second), "latent_mcc"),
                    why=f"latent MCC, mean over {len(cells)} sizes with N > M",
                )
            )
        claims.append(
            above(
                f"K={k}: alternating sparse coding with restarts beats that on log-codes",
                "-",
                seed_gap(rows(OURS), rows(CODING), "latent_mcc"),
                why="ours, the same sizes",
            )
        )
    return claims


def _published(k: int, method: str, cells: list[tuple[int, int]]) -> float:
    """Mean latent MCC of the published values over the cells; not-a-number where there are none."""
    values = [PUBLISHED.get(k, {}).get(method, {}).get(m, {}).get(n) for n, m in cells]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
