"""The theorem as numbers: what one linear-nonlinear layer misses, computed and trained."""

from __future__ import annotations

from autointerp.studies.claim import Claim, render_interval, verdict_of
from autointerp.studies.oneill2024.options import OneillOptions
from autointerp.studies.oneill2024.synthetic import above, measure_synthetic, seed_gap, seed_interval
from autointerp.studies.paper import Finding, Setting
from synthetic_studies.amortisation_gap import LASSO, LAYER, OMP
from synthetic_studies.study import select

__all__ = ["measure_theorem"]

NUMERICAL_ZERO = 1e-6
SMALL = 0.02


def measure_theorem(setting: Setting[OneillOptions]) -> Finding:
    made = measure_synthetic(setting, "amortisation-gap")
    d_in = made.settings.d_in
    wide = [n for n in made.settings.n_features_values if n > d_in]
    exact = {(row["k"], row["method"]): row["missed"] for row in made.rows if row.get("case") is not None}
    layer = {n: select(made.rows, n_features=n, method=LAYER) for n in made.settings.n_features_values}
    claims = [
        Claim(
            "no linear-nonlinear encoder finds all codes of K = 2 of three sources in the plane",
            "proved",
            f"the best misses {exact[2, LAYER]:.4f} of a code's square, OMP {exact[2, OMP]:.4f}, "
            f"an MLP of four hidden units {exact[2, 'MLP of four hidden units']:.4f}",
            "holds" if exact[2, LAYER] > NUMERICAL_ZERO > exact[2, OMP] else "does not hold",
            "computed by quadrature",
        ),
        Claim(
            "the theorem needs K >= 2: with K = 1 the same sources have no gap",
            "its condition",
            f"the best misses {exact[1, LAYER]:.4f}",
            "holds" if exact[1, LAYER] < NUMERICAL_ZERO else "does not hold",
            "computed by quadrature",
        ),
    ]
    for n in wide:
        for name, method in (("the lasso's optimum", LASSO), ("OMP", OMP)):
            gap = seed_gap(layer[n], select(made.rows, n_features=n, method=method), "missed")
            claims.append(
                above(
                    f"N={n}, M={d_in}: the best linear-nonlinear encoder misses more than {name}",
                    "more than 0",
                    gap,
                    why="share of the codes' squares, the encoder trained on the true codes",
                )
            )
    if len(wide) > 1:
        growth = seed_gap(layer[wide[-1]], layer[wide[0]], "missed")
        claims.append(
            above(f"the gap grows with N / M, from {wide[0] / d_in:g} to {wide[-1] / d_in:g}", "-", growth, why="ours")
        )
    mixed = [row["interference"] - row["floor"] for n in wide for row in layer[n]]
    claims.append(
        Claim(
            "a linear layer mixes at least 1 - M/N of other sources into a pre-activation (rank)",
            "its proof's rank argument",
            f"least excess over the bound {min(mixed):.3f}, n {len(mixed)}",
            "holds" if min(mixed) >= -NUMERICAL_ZERO else "does not hold",
            "Eckart and Young; true of every matrix, so this checks the measurement",
        )
    )
    square = seed_interval([row["missed"] for row in layer[d_in]]) if d_in in layer else None
    if square is not None:
        claims.append(
            Claim(
                f"with N = M the layer can be exact: it misses less than {SMALL:.0%}",
                "its condition M < N",
                render_interval(square, ".3f"),
                verdict_of(square, below=SMALL),
                "what is left is training",
            )
        )
    return made.finding(claims)
