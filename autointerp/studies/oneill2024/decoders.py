"""Appendix C: decoders with too few, enough and too many features, with and without unit norms."""

from __future__ import annotations

from autointerp.studies.claim import Claim, render_interval, verdict_of
from autointerp.studies.oneill2024.options import OneillOptions
from autointerp.studies.oneill2024.synthetic import above, measure_synthetic, seed_interval
from autointerp.studies.paper import Finding, Setting
from synthetic_studies.decoder_weights import FREE_MLP, FREE_SAE, MLP, N_TRUE, OURS, SAE
from synthetic_studies.study import Row, select

__all__ = ["measure_decoders"]

PRINTED = {
    FREE_SAE: "6 of 20 near 0 in their notebook's printed decoder",
    FREE_MLP: "4 of 20 near 0 in their notebook's printed decoder",
}


def measure_decoders(setting: Setting[OneillOptions]) -> Finding:
    made = measure_synthetic(setting, "decoder-weights")
    summaries = [row for row in made.rows if "n_recovered" in row]
    most = max(made.settings.n_features_values)

    def values(method: str, n_features: int, column: str) -> list[float]:
        rows: list[Row] = select(summaries, method=method, n_features=n_features)
        return [row[column] for row in rows]

    claims = [
        above(
            f"with free norms needless features vanish: {method.partition(',')[0]}, {most} for {N_TRUE} sources",
            theirs,
            seed_interval(values(method, most, "n_vanished")),
            bound=0.5,
            why="norm below 1% of the largest; theirs in superposition_and_other_animals.ipynb (02b21090), where rows, "
            "not features, are normalised",
        )
        for method, theirs in PRINTED.items()
    ]
    for method in (SAE, MLP, OURS):
        found = seed_interval(values(method, N_TRUE, "n_recovered"))
        claims.append(
            Claim(
                f"with as many features as sources the decoder is the truth: {method}",
                "drawn as D D^T, no figure",
                f"{render_interval(found, '.1f')} of {N_TRUE} sources",
                verdict_of(found, above=N_TRUE - 0.5),
                f"cosine above 0.95; M={made.settings.d_in}; holds where the interval lies above {N_TRUE - 0.5}",
            )
        )
    note = (
        "Twins with unit norms, features of the same direction where there are more than sources: "
        + ", ".join(
            f"{method} {render_interval(seed_interval(values(method, most, 'n_twins')), '.1f')}"
            for method in (SAE, MLP, OURS)
        )
        + "."
    )
    return made.finding(claims, notes=[note])
