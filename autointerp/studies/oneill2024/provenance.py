"""What the paper's public repository says about the MLP's hidden width, and what its FLOPs imply.

Repository `charlieoneill11/sparse-inference`; commits are given by their first eight digits.
"""

from __future__ import annotations

from typing import NamedTuple

from sae_core.published_flops import published_mlp_training_flops, published_sae_training_flops
from synthetic_studies.study import Row

__all__ = ["Implied", "implied_hidden", "width_rows"]

N_ROWS = 1024
SCALING_FLOPS = {
    "experiments/results/scaling_laws_K_3.json, scaling_laws_K_9.json (e9f1cb6d)": (294_092_800_000, 89_292_800_000),
    "experiments/results/scaling_laws_K_15.json (e9f1cb6d)": (147_046_400_000, 44_646_400_000),
}
"""Training FLOPs of the MLP and of the SAE at N = 16, M = 8."""

STATED = (
    ("section 4.1", "experiments/paper.ipynb (4ace0b7b)", "32, 256, 1024"),
    ("section 4.2", "experiments/known_D.py (02b21090)", "32, 256"),
    ("section 4.3", "experiments/unknown_Z_D.py (f8df2c32)", "32, 256"),
    ("section 4.4", "experiments/scaling_laws.py (02b21090)", "256"),
    ("L1 sweep", "experiments/pareto_curves.py (4ace0b7b)", "32"),
    ("biases", "experiments/bias.py (b7bf9ccf)", "64"),
    ("appendix C", "experiments/superposition_and_other_animals.ipynb (4ace0b7b)", "256"),
    ("appendix D", "experiments/mlps.py (b7bf9ccf), 100,000 steps at 3e-4", "8 to 256 (M=8), 16 to 512 (M=16)"),
    ("appendix D", "experiments/results/mlp_hidden_width_experiment.json (e9f1cb6d)", "16 to 512"),
    ("section 5", "wild/main_mlp.py (41b4c287), --hidden_dim; its loss has no L1 term", "1024 by default"),
)


class Implied(NamedTuple):
    """Steps and hidden width that a pair of FLOPs counts is of."""

    n_steps: float
    hidden: float


def implied_hidden(mlp_flops: int, sae_flops: int, *, n_features: int, d_in: int, n_rows: int = N_ROWS) -> Implied:
    """From training FLOPs of an MLP and of an SAE trained for as many steps, by the paper's count (appendix G)."""
    sizes = {"n_rows": n_rows, "d_in": d_in, "n_features": n_features, "n_steps": 1}
    n_steps = sae_flops / published_sae_training_flops(**sizes)
    none, one = (published_mlp_training_flops(d_hidden=hidden, **sizes) for hidden in (0, 1))
    return Implied(n_steps, (mlp_flops / n_steps - none) / (one - none))


def width_rows() -> list[Row]:
    """A row per place that says or implies a hidden width."""
    rows: list[Row] = [{"of": part, "file": file, "hidden": hidden, "how": "stated"} for part, file, hidden in STATED]
    for file, (mlp, sae) in SCALING_FLOPS.items():
        found = implied_hidden(mlp, sae, n_features=16, d_in=8)
        how = f"implied by its FLOPs over {found.n_steps:,.0f} steps"
        rows.append({"of": "section 4.4", "file": file, "hidden": f"{found.hidden:g}", "how": how})
    return rows
