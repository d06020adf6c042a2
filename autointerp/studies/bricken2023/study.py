"""The study of Bricken et al. 2023, Towards Monosemanticity (transformer-circuits.pub)."""

from __future__ import annotations

from autointerp.studies.bricken2023.automata import measure_automata
from autointerp.studies.bricken2023.density import measure_densities, measure_losses
from autointerp.studies.bricken2023.interpretability import measure_interpretability
from autointerp.studies.bricken2023.neurons import measure_neurons
from autointerp.studies.bricken2023.options import BrickenOptions
from autointerp.studies.bricken2023.proxies import measure_proxies
from autointerp.studies.bricken2023.splitting import measure_splitting
from autointerp.studies.bricken2023.steering import measure_steering
from autointerp.studies.bricken2023.universality import measure_universality
from autointerp.studies.paper import PaperStudy, Part

__all__ = ["STUDY"]

ABOUT = """
Bricken et al. 2023 trained sparse autoencoders on the 512 ReLU neurons of a one-layer transformer and claimed that
their features are monosemantic where neurons are not, cause what they seem to mean, come again in another model, split
as the dictionary grows, and chain into automata. Their dictionaries saw 8 billion activations; here text, subject and
dictionaries are smaller by orders of magnitude.
"""

STUDY = PaperStudy(
    name="bricken2023",
    title="Bricken et al. 2023: Towards Monosemanticity",
    about=ABOUT,
    options=BrickenOptions,
    parts=(
        Part("density", "Feature densities by width", measure_densities),
        Part("loss", "Loss recovered", measure_losses),
        Part("proxies", "Features of contexts that a proxy can tell", measure_proxies),
        Part("neurons", "Features and neurons", measure_neurons),
        Part("interpretability", "Interpretability", measure_interpretability),
        Part("universality", "Universality", measure_universality),
        Part("splitting", "Feature splitting", measure_splitting),
        Part("steering", "Pinned features", measure_steering),
        Part("automata", "Automata", measure_automata),
    ),
    presets={"quick": ("bricken2023_embedded",), "full": ("bricken2023_smollm2",)},
)
