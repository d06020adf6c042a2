"""Appendix F.2: sparse coding under a top-k, cut or optimised."""

from __future__ import annotations

from autointerp.studies.claim import Claim, render_interval, verdict_of
from autointerp.studies.oneill2024.options import OneillOptions
from autointerp.studies.oneill2024.synthetic import above, measure_synthetic, seed_gap
from autointerp.studies.paper import Finding, Setting
from synthetic_studies.study import select
from synthetic_studies.topk_coding import CUT, OPTIMISED, OURS_OPTIMISED, PURSUED

__all__ = ["measure_topk"]

TRUE_K = 3


def measure_topk(setting: Setting[OneillOptions]) -> Finding:
    made = measure_synthetic(setting, "topk-coding")
    at_truth = {
        name: select(made.rows, method=name, k=TRUE_K) for name in dict.fromkeys(r["method"] for r in made.rows)
    }
    worse = seed_gap(at_truth[OPTIMISED], at_truth[CUT], "latent_mcc")
    claims = [
        Claim(
            "codes optimised under a top-k are worse than codes cut to k",
            "0.339 against 0.790 at k = 3",
            f"optimised less cut: {render_interval(worse, '.3f')}",
            verdict_of(worse, below=0.0),
            "latent MCC at k = 3; ours passes the gradient to the codes left out (straight-through), theirs does not",
        ),
        above(
            "sparse coding cut to k finds more codes than a TopK SAE",
            "0.790 against 0.637 at k = 3",
            seed_gap(at_truth[CUT], at_truth["TopK SAE"], "latent_mcc"),
            why="latent MCC at k = 3",
        ),
        above(
            "optimised top-k finds more codes than OMP with k on the same dictionary",
            "-",
            seed_gap(at_truth[OPTIMISED], at_truth[PURSUED], "latent_mcc"),
            why="ours, at k = 3",
        ),
        above(
            "on a dictionary of our sparse coding it finds more than on one of log-codes",
            "-",
            seed_gap(at_truth[OURS_OPTIMISED], at_truth[OPTIMISED], "latent_mcc"),
            why="ours, at k = 3",
        ),
    ]
    return made.finding(claims)
