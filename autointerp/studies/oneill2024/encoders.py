"""Sections 4.1 to 4.3: encoders that are told the codes, the dictionary, or neither."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp.studies.oneill2024.options import OneillOptions
from autointerp.studies.oneill2024.synthetic import above, measure_synthetic, seed_gap
from autointerp.studies.paper import Finding, Setting
from synthetic_studies.study import Row, select

__all__ = ["measure_known_codes", "measure_known_dictionary", "measure_unknown"]


def measure_known_codes(setting: Setting[OneillOptions]) -> Finding:
    made = measure_synthetic(setting, "known-codes")
    last = select(made.rows, problems="fresh", has_bias=False, step=made.settings.n_steps)
    published = {"MLP h=32": "r 0.901, SAE 0.862", "MLP h=256": "r 0.900, SAE 0.862"}
    claims = [
        above(
            f"told the codes, {method} finds more of them than the SAE",
            theirs,
            seed_gap(select(last, method=method), select(last, method="SAE"), "r"),
            why="difference in latent r",
        )
        for method, theirs in published.items()
        if select(last, method=method)
    ]
    return made.finding(claims)


def measure_known_dictionary(setting: Setting[OneillOptions]) -> Finding:
    made = measure_synthetic(setting, "known-dictionary")
    ito, lasso = "SAE+ITO (log-codes)", "FISTA, codes >= 0"
    published = {"SAE": "0.967 against 0.609", "MLP h=32": "0.967 against 0.780", "MLP h=256": "0.967 against 0.818"}
    last = {method: _last(select(made.rows, method=method, problems="fresh")) for method in (*published, ito, lasso)}
    claims = [
        above(
            f"told the dictionary, optimising codes beats the {method} encoder",
            theirs,
            seed_gap(last[ito], last[method], "latent_mcc"),
            why="difference in latent MCC",
        )
        for method, theirs in published.items()
    ]
    claims.append(
        above(
            "the lasso solved to its optimum (FISTA) beats every encoder",
            "-",
            seed_gap(last[lasso], last["MLP h=256"], "latent_mcc"),
            why="ours; difference in latent MCC from MLP h=256",
        )
    )
    return made.finding(claims)


def measure_unknown(setting: Setting[OneillOptions]) -> Finding:
    made = measure_synthetic(setting, "unknown")
    end = made.settings.n_steps
    fresh = [row for row in select(made.rows, arm="fresh") if row.get("step") in (end, None)]
    sae, mlp, coding, ours = (
        select(fresh, method=method) for method in ("SAE", "MLP h=32", "SC (log-codes)", "SC (ours)")
    )
    pairs = (
        ("sparse coding finds more codes than the SAE", "0.691 against 0.566", coding, sae, "latent_mcc"),
        (
            "sparse coding finds more of the dictionary than the SAE",
            "0.837 against 0.745",
            coding,
            sae,
            "dictionary_mcc",
        ),
        ("MLP h=32 finds more codes than the SAE", "0.623 against 0.566", mlp, sae, "latent_mcc"),
        ("sparse coding finds more codes than MLP h=32", "0.691 against 0.623", coding, mlp, "latent_mcc"),
        ("alternating sparse coding with restarts beats that on log-codes", "-", ours, coding, "latent_mcc"),
    )
    claims = [
        above(
            f"nothing known: {what}",
            theirs,
            seed_gap(first, second, column),
            why=f"{column.replace('_mcc', ' MCC')} on new problems, a direction's gradient along itself taken off; "
            + ("ours" if theirs == "-" else "theirs is one problem, without that"),
        )
        for what, theirs, first, second, column in pairs
    ]
    return made.finding(claims)


def _last(rows: Sequence[Row]) -> list[Row]:
    end = max((row["step"] for row in rows), default=0)
    return [row for row in rows if row["step"] == end]
