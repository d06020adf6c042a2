"""Attention sinks in the harvest: no text for any dictionary, though the sink is of one's site only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.config.tree import HarvestConfig
from autointerp.harvest.evidence import LoadedDictionary, harvest
from autointerp.harvest.firing import FiringRules
from autointerp.records.evidence import Evidence
from sae_core.architectures.fixed import IdentityDictionary
from sae_core.config import DictionaryConfig
from tests.harvest.planted import NEURONS, WIDE, PlantedCorpus, PlantedSubject, loaded, planted_text

LONGEST = 10.0
"""WIDE fires above it on some of its tokens, nothing else comes near it."""


class Subject(PlantedSubject):
    """No direction at either site moves one logit more than another."""

    def logit_effects(self, point: SitePoint, directions: Tensor) -> Tensor:
        return torch.zeros(len(directions), self.vocab_size)


def _evidence(corpus: PlantedCorpus, config: HarvestConfig, longest: float) -> dict[str, list[Evidence]]:
    neurons = IdentityDictionary(DictionaryConfig(kind="identity"), d_in=4)
    dictionaries = {
        "planted": replace(loaded(), longest=longest),
        "neurons": LoadedDictionary(neurons, NEURONS, FiringRules.above_zero(4)),
    }
    text = planted_text()
    return harvest(Subject(), dictionaries, corpus.open, config.model_copy(update={"min_firing": 1}), text=text, seed=3)


def test_a_sink_of_one_site_is_no_text_for_any(config: HarvestConfig, corpus: PlantedCorpus) -> None:
    truth = corpus.truth()
    sinks = {place for place, (_, x) in truth.items() if np.linalg.norm(x) > LONGEST}
    assert 20 < len(sinks) < 0.01 * len(truth)
    found = _evidence(corpus, config, LONGEST)
    for evidence in (*found["planted"], *found["neurons"]):
        assert evidence.n_tokens == len(truth) - len(sinks)
        for window in evidence.windows:
            assert not {(window.document, window.offset + i) for i in range(len(window.activations))} & sinks
    (wide,) = (evidence for evidence in found["planted"] if evidence.feature == WIDE)
    assert wide.max_activation <= LONGEST
    assert wide.n_firing == sum(x[WIDE] > 0 for place, (_, x) in truth.items() if place not in sinks)
