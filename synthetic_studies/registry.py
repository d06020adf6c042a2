"""The studies by name, loaded when opened."""

from __future__ import annotations

import difflib
from importlib import import_module

from autointerp.errors import ConfigError
from synthetic_studies.study import Study

__all__ = ["STUDIES", "open_study"]

STUDIES: dict[str, str] = {
    "known-codes": "an encoder learns given codes: how well can one amortise?",
    "known-dictionary": "the decoder is the truth: SAE, MLPs and inference-time optimisation",
    "unknown": "codes and dictionary both unknown: quality over steps and over FLOPs",
    "amortisation-gap": "how much one linear-nonlinear layer misses as N / M grows, with computed small cases",
    "regimes": "sources x measurements grid against the compressed-sensing line",
    "pareto": "sparsity against error and recovery over an L1 sweep",
    "widths": "the MLP encoder's hidden width",
    "bias": "with and without biases in encoder and decoder",
    "topk-coding": "top-k sparse coding and TopK encoders over k",
    "decoder-weights": "what decoders look like with too few, enough and too many features",
    "lars": "scikit-learn's DictionaryLearning and LassoLars beside our sparse coding",
    "modern": "TopK, BatchTopK, JumpReLU, Gated, ProLU, MLP+TopK and every inference method on their decoders",
    "phase": "exact support recovery by OMP over the number of measurements",
}
"""Name -> question, in the order of `all`."""


def open_study(name: str) -> Study:
    """Load one study. Raises ConfigError for an unknown name, with the nearest one."""
    if name not in STUDIES:
        near = difflib.get_close_matches(name, STUDIES, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ConfigError(f"unknown study '{name}'; {hint}the studies are {', '.join(STUDIES)}")
    return import_module(f"synthetic_studies.{name.replace('-', '_')}").STUDY
