"""On a CUDA device: the harvest collects the same evidence, and the subject's activations are those of the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.config.tree import HarvestConfig, SubjectConfig
from autointerp.harvest.evidence import harvest
from autointerp.harvest.firing import FiringRules, find_firings
from autointerp.harvest.passes import LoadedDictionary
from autointerp.records.evidence import Evidence
from autointerp.subject.model import load_subject
from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig
from tests.harvest.planted import (
    N_FEATURES,
    POINT,
    PlantedCorpus,
    PlantedDictionary,
    PlantedSubject,
    planted_text,
)
from tests.integration.world import save_corpus, save_subject

DEVICE = "cuda"

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


class SubjectThere(PlantedSubject):
    """The planted subject with its activations on the device."""

    def activations(self, tokens: Tensor, points: list[SitePoint]) -> dict[SitePoint, Tensor]:
        return {point: x.to(DEVICE) for point, x in super().activations(tokens, points).items()}

    def logit_effects(self, point: SitePoint, directions: Tensor) -> Tensor:
        return super().logit_effects(point, directions.cpu()).to(DEVICE)


class DictionaryThere(PlantedDictionary):
    """The planted dictionary with its directions on the device."""

    @property
    def directions(self) -> Tensor:
        return torch.eye(N_FEATURES, device=DEVICE)


def test_the_evidence_is_that_of_the_cpu(config: HarvestConfig, evidence: dict[int, Evidence]) -> None:
    there = LoadedDictionary(DictionaryThere(), POINT, FiringRules.above_zero(N_FEATURES))
    found = harvest(
        SubjectThere(),
        {"planted": there},
        PlantedCorpus().open,
        config.model_copy(update={"min_firing": 1}),
        text=planted_text(),
        seed=3,
    )["planted"]
    assert [item.feature for item in found] == list(evidence)
    for item in found:
        assert item.windows == evidence[item.feature].windows


@pytest.mark.parametrize("kind", ["topk", "random"])
def test_firings_are_those_of_the_cpu(kind: str) -> None:
    sample = torch.randn(500, 16, generator=torch.Generator().manual_seed(0))
    config = DictionaryConfig(kind=kind, n_features=40, k=3)
    rules = (
        FiringRules.above_zero(40)
        if kind == "topk"
        else FiringRules.quantile(torch.full((40,), 0.7), target_density=0.2)
    )
    here = build_dictionary(config, d_in=16, seed=0, sample=sample).eval().requires_grad_(False)
    wanted = find_firings(here, rules, sample)
    found = find_firings(here.to(DEVICE), rules, sample.to(DEVICE))
    # a value within rounding of its threshold may fall on either side
    pairs = [set(zip(each.feature.tolist(), each.row.tolist(), strict=True)) for each in (found, wanted)]
    assert len(pairs[0] ^ pairs[1]) <= 0.005 * len(pairs[1])
    assert found.value.mean() == pytest.approx(wanted.value.mean(), rel=1e-3)


def test_a_subjects_activations_are_those_of_the_cpu(tmp_path: Path) -> None:
    corpus = save_corpus(tmp_path / "corpus.jsonl", n_documents=40)
    config = SubjectConfig(model=str(save_subject(tmp_path / "model", corpus)), layer=1, context_tokens=32)
    tokens = torch.randint(1, 300, (4, 32), generator=torch.Generator().manual_seed(0))
    points = [SitePoint("mlp_post", 1), SitePoint("resid_post", 0)]
    here = load_subject(config, device="cpu").activations(tokens, points)
    there = load_subject(config, device=DEVICE).activations(tokens, points)
    for point in points:
        assert there[point].device.type == DEVICE
        torch.testing.assert_close(there[point].cpu(), here[point], rtol=1e-3, atol=1e-3)
