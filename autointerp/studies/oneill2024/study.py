"""The study of O'Neill, Gumran and Klindt 2024, Compute Optimal Inference and Provable Amortisation Gap in Sparse
Autoencoders (arXiv 2411.13117)."""

from __future__ import annotations

from autointerp.studies.oneill2024.decoders import measure_decoders
from autointerp.studies.oneill2024.encoders import measure_known_codes, measure_known_dictionary, measure_unknown
from autointerp.studies.oneill2024.figure7 import measure_figure7
from autointerp.studies.oneill2024.options import OneillOptions
from autointerp.studies.oneill2024.regimes import measure_regimes
from autointerp.studies.oneill2024.theorem import measure_theorem
from autointerp.studies.oneill2024.topk import measure_topk
from autointerp.studies.oneill2024.training import measure_training
from autointerp.studies.oneill2024.widths import measure_widths
from autointerp.studies.paper import PaperStudy, Part

__all__ = ["STUDY"]

ABOUT = """
O'Neill, Gumran and Klindt 2024 proved that an encoder of one linear-nonlinear layer cannot find sparse codes as well as
an optimiser can, measured the gap on synthetic sources, and compared an SAE with an MLP encoder on GPT-2 small by
automated interpretability. Synthetic parts are studies of `autointerp synth` at sizes of their own; those on a language
model are smaller than the paper's by orders of magnitude, with another judge.
"""

STUDY = PaperStudy(
    name="oneill2024",
    title="O'Neill et al. 2024: Compute Optimal Inference and Provable Amortisation Gap",
    about=ABOUT,
    options=OneillOptions,
    parts=(
        Part("theorem", "The theorem as numbers", measure_theorem, reads_subject=False),
        Part("known-codes", "Known codes (section 4.1)", measure_known_codes, reads_subject=False),
        Part("known-dictionary", "Known dictionary (section 4.2)", measure_known_dictionary, reads_subject=False),
        Part("unknown", "Codes and dictionary unknown (section 4.3)", measure_unknown, reads_subject=False),
        Part("regimes", "Sources, measurements and sparsity (section 4.4)", measure_regimes, reads_subject=False),
        Part("figure7", "Interpretability of SAE and MLP encoder (section 5, figure 7)", measure_figure7),
        Part("training", "Dead features and fidelity at equal tokens (section 5)", measure_training),
        Part(
            "decoders",
            "Decoders by size, with and without unit norms (appendix C)",
            measure_decoders,
            reads_subject=False,
        ),
        Part("widths", "The MLP's hidden width (appendix D)", measure_widths, reads_subject=False),
        Part("topk", "Sparse coding under a top-k (appendix F.2)", measure_topk, reads_subject=False),
    ),
    presets={
        "quick": ("oneill2024_smollm2", "oneill2024_embedded", "oneill2024_synthetic"),
        "full": ("oneill2024_smollm2_full", "oneill2024_synthetic_full"),
    },
)
