"""PCA and ICA beside trained dictionaries are fitted to the sample, whatever the size of a batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from autointerp.config.loading import parse_config
from autointerp.progress import SilentProgress
from autointerp.runs.layout import RunLayout
from autointerp.stages import train
from sae_core.checkpoint import load_dictionary
from sae_core.dictionary import Dictionary
from tests.stages.planted_subject import save_planted, save_words

N_SOURCES, N_VOCAB, CONTEXT = 16, 4000, 32
DRAW = torch.Generator().manual_seed(0)


def _sources(n: int) -> torch.Tensor:
    """Sparse and skewed, [n N_SOURCES]."""
    return -torch.rand(n, N_SOURCES, generator=DRAW).log() * (torch.rand(n, N_SOURCES, generator=DRAW) < 0.3)


MIXING = torch.randn(N_SOURCES, N_SOURCES, generator=DRAW)
OF_TOKENS = _sources(N_VOCAB)


def _fit(root: Path, *, batch_tokens: int, dictionary_tokens: int) -> dict[str, Dictionary]:
    """PCA and ICA, fitted beside an SAE."""
    model = save_planted(root / "model", tokens=OF_TOKENS @ MIXING, positions=torch.zeros(CONTEXT, N_SOURCES))
    corpus = save_words(root / "words.jsonl", n_vocab=N_VOCAB, n_documents=250, n_words=100)
    tree = {
        "name": "components",
        "device": "cpu",
        "subject": {"model": str(model), "site": "resid_pre", "context_tokens": CONTEXT},
        "corpus": {"path": str(corpus), "dictionary_tokens": dictionary_tokens, "evidence_tokens": 1000},
        "train": {"batch_tokens": batch_tokens, "buffer_tokens": 1024},
        "dictionaries": [
            {"name": "sae", "kind": "relu", "n_features": 20},
            {"name": "pca", "kind": "pca", "match_density": "sae"},
            {"name": "ica", "kind": "ica", "match_density": "sae"},
        ],
    }
    layout = RunLayout(root / "run")
    train.run(parse_config(tree), layout, SilentProgress())
    return {name: load_dictionary(layout.dictionary(name)) for name in ("pca", "ica")}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dictionary]:
    return _fit(tmp_path_factory.mktemp("components"), batch_tokens=256, dictionary_tokens=10_000)


def test_planted_sources_are_found_again_in_held_out_activations(fitted: dict[str, Dictionary]) -> None:
    cosines = fitted["ica"].directions @ normalize(MIXING, dim=1).T
    assert float(cosines.max(dim=0).values.min()) > 0.99
    sources = _sources(4000)
    codes = fitted["ica"].encode_dense(sources @ MIXING)
    correlations = torch.corrcoef(torch.cat([codes, sources], dim=1).T)[:N_SOURCES, N_SOURCES:]
    assert float(correlations.max(dim=0).values.min()) > 0.98


def test_components_are_uncorrelated_in_held_out_activations(fitted: dict[str, Dictionary]) -> None:
    x = _sources(4000) @ MIXING
    for dictionary in fitted.values():
        correlations = torch.corrcoef(dictionary.encode_dense(x).T) - torch.eye(N_SOURCES)
        assert float(correlations.abs().max()) < 0.1


def test_a_site_as_wide_as_a_batch_has_all_its_components(tmp_path: Path) -> None:
    for dictionary in _fit(tmp_path, batch_tokens=N_SOURCES, dictionary_tokens=640).values():
        assert dictionary.n_features == N_SOURCES
