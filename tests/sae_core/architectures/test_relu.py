"""The tied encoder: one parameter through training, reviving and a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sae_core.architectures.relu import ReluDictionary
from sae_core.build import build_dictionary
from sae_core.checkpoint import load_dictionary, save_dictionary
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.synthetic import PlantedDictionary
from sae_core.training.loop import train_dictionaries

TIED = DictionaryConfig(kind="relu", n_features=32, is_tied=True, l1_weight=0.3)


@pytest.mark.usefixtures("unchecked")
def test_a_tied_dictionary_finds_planted_directions_and_stays_tied(tmp_path: Path) -> None:
    planted = PlantedDictionary.draw(n_features=32, d_in=24, k=2, seed=0, scale=9.0)
    training = TrainingConfig(n_tokens=600 * 256, learning_rate=3e-3, resample_every_steps=50, dead_after_tokens=2560)
    batches = planted.iter_batches(600, batch_tokens=256, seed=1)
    trained = train_dictionaries({"tied": (TIED, training)}, batches, device="cpu")["tied"].dictionary
    cosines = trained.directions @ planted.directions.T
    assert float(cosines.amax(dim=0).mean()) > 0.85
    save_dictionary(trained, tmp_path / "tied")
    again = load_dictionary(tmp_path / "tied")
    for dictionary in (trained, again):
        assert isinstance(dictionary, ReluDictionary)
        assert torch.equal(dictionary.W_enc, dictionary.W_dec)
        torch.testing.assert_close(dictionary.W_dec.norm(dim=1), torch.ones(32))


def test_a_revived_feature_is_tied_and_fires_on_its_input() -> None:
    x = torch.randn(40, 12, generator=torch.Generator().manual_seed(0))
    made = build_dictionary(TIED, d_in=12, seed=0, sample=x)
    assert isinstance(made, ReluDictionary)
    is_dead = torch.zeros(32, dtype=torch.bool)
    is_dead[[3, 9]] = True
    made.revive(torch.tensor([3, 9]), x=x, rows=torch.tensor([5, 6]), norm_frac=0.2, is_dead=is_dead)
    assert made.W_enc is made.W_dec
    torch.testing.assert_close(made.W_dec.norm(dim=1), torch.ones(32))
    codes = made.encode_dense(x).detach()
    assert float(codes[5, 3]) > 0 and float(codes[6, 9]) > 0


@pytest.mark.parametrize("fields", [{"kind": "topk", "k": 4}, {"kind": "relu", "published_decoder_norm": True}])
def test_what_cannot_be_tied_is_refused(fields: dict) -> None:
    with pytest.raises(ValueError, match="is_tied"):
        DictionaryConfig(n_features=8, is_tied=True, **fields)
