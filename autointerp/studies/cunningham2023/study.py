"""The study of Cunningham et al. 2023, Sparse Autoencoders Find Highly Interpretable Features (arXiv 2309.08600)."""

from __future__ import annotations

from autointerp.studies.cunningham2023.cases import measure_cases
from autointerp.studies.cunningham2023.editing import measure_editing
from autointerp.studies.cunningham2023.layers import measure_layers
from autointerp.studies.cunningham2023.localisation import measure_localisation
from autointerp.studies.cunningham2023.options import CunninghamOptions
from autointerp.studies.cunningham2023.sparsity import measure_duplicates, measure_tradeoff
from autointerp.studies.paper import PaperStudy, Part

__all__ = ["STUDY"]

ABOUT = """
Cunningham et al. 2023 trained sparse autoencoders on the residual streams of Pythia-70M and 410M and claimed that their
features are more interpretable than other directions, that fewer of them carry a behaviour than principal components,
and that editing one changes what it seems to mean. Here subjects, text and dictionaries are smaller by orders of
magnitude. An intervention changes the activation by the difference of reconstructions: what the SAE leaves out stays.
"""

STUDY = PaperStudy(
    name="cunningham2023",
    title="Cunningham et al. 2023: Sparse Autoencoders Find Highly Interpretable Features",
    about=ABOUT,
    options=CunninghamOptions,
    parts=(
        Part("layers", "Interpretability by depth and method", measure_layers),
        Part("localisation", "Causal localisation", measure_localisation),
        Part("cases", "Case studies: apostrophe and closing parenthesis", measure_cases),
        Part("editing", "Editing one concept", measure_editing),
        Part("tradeoff", "Sparsity against fidelity and interpretability", measure_tradeoff),
        Part("duplicates", "Dead and duplicate features", measure_duplicates),
    ),
    presets={
        "quick": ("cunningham2023_embedded", "cunningham2023_smollm2_task"),
        "full": ("cunningham2023_smollm2", "cunningham2023_smollm2_task_full"),
    },
)
