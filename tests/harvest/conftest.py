"""What the tests of the harvest share: one small configuration and one harvest under it."""

from __future__ import annotations

import pytest

from autointerp.config.tree import HarvestConfig
from autointerp.harvest.evidence import harvest
from autointerp.records.evidence import Evidence
from tests.harvest.planted import PlantedCorpus, PlantedSubject, loaded, planted_text


@pytest.fixture(scope="session")
def config() -> HarvestConfig:
    return HarvestConfig(
        n_features="all", window_left=8, window_right=7, n_top=6, n_bins=4, n_per_bin=4, n_random=12, n_near_miss=6
    )


@pytest.fixture(scope="session")
def corpus() -> PlantedCorpus:
    return PlantedCorpus()


@pytest.fixture(scope="session")
def evidence(config: HarvestConfig, corpus: PlantedCorpus) -> dict[int, Evidence]:
    """Evidence by feature; the dictionary is called `planted`."""
    found = harvest(
        PlantedSubject(),
        {"planted": loaded()},
        corpus.open,
        config.model_copy(update={"min_firing": 1}),
        text=planted_text(),
        seed=3,
    )
    return {item.feature: item for item in found["planted"]}
