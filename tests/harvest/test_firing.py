"""Firing rules of a whole dictionary, on disk and applied."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save

from autointerp.errors import ArtefactError
from autointerp.harvest.firing import FiringRules, find_firings
from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig


def test_rules_come_back_from_disk(tmp_path) -> None:
    rules = FiringRules.quantile(torch.tensor([0.5, -1.0]), target_density=0.1, sign=torch.tensor([1.0, -1.0]))
    rules.save(tmp_path / "folder")
    again = FiringRules.load(tmp_path / "folder")
    assert [again.rule(i) for i in range(2)] == [rules.rule(i) for i in range(2)]
    assert again.rule(1).sign == -1
    assert again.rule(1).target_density == pytest.approx(0.1)
    FiringRules.above_zero(3).save(tmp_path)
    assert FiringRules.load(tmp_path).rule(2).target_density is None


def test_absent_or_truncated_rules_are_an_artefact_error(tmp_path) -> None:
    with pytest.raises(ArtefactError, match="does not exist"):
        FiringRules.load(tmp_path)
    FiringRules.above_zero(3).save(tmp_path)
    file = next(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(ArtefactError, match="damaged"):
        FiringRules.load(tmp_path)


def test_a_flipped_bit_of_the_rules_is_noticed_and_rules_without_hash_open(tmp_path) -> None:
    rules = FiringRules.quantile(torch.tensor([0.5, -1.0]), target_density=0.1)
    rules.save(tmp_path)
    path = next(tmp_path.iterdir())
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    for place in range(start, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ArtefactError, match="changed or damaged since it was written"):
            FiringRules.load(tmp_path)
    path.write_bytes(save({"threshold": rules.threshold, "sign": rules.sign}, metadata={"kind": "quantile"}))
    assert FiringRules.load(tmp_path).rule(0).threshold == 0.5


def test_dense_firings_follow_sign_and_threshold() -> None:
    dictionary = build_dictionary(DictionaryConfig(kind="identity"), d_in=3, seed=0)
    x = torch.tensor([[2.0, -3.0, -0.5], [0.5, 3.0, -2.0]])
    rules = FiringRules.quantile(
        torch.tensor([1.0, 1.0, -1.0]), target_density=0.5, sign=torch.tensor([1.0, -1.0, 1.0])
    )
    firings = find_firings(dictionary, rules, x)
    assert list(zip(firings.feature.tolist(), firings.row.tolist(), firings.value.tolist(), strict=True)) == [
        (0, 0, 2.0),
        (1, 0, 3.0),
        # the threshold is below zero, so the activation counts from there: above zero where it fires
        (2, 0, 0.5),
    ]


@pytest.mark.parametrize("kind", ["topk", "relu", "jumprelu", "mlp", "random"])
def test_asking_for_some_features_gives_their_share_of_all(kind, monkeypatch) -> None:
    config = DictionaryConfig(kind=kind, n_features=24, k=5, hidden=(12,))
    x = torch.randn(50, 8, generator=torch.Generator().manual_seed(1))
    dictionary = build_dictionary(config, d_in=8, seed=0, sample=x)
    rules = (
        FiringRules.above_zero(24)
        if kind != "random"
        else FiringRules.quantile(torch.full((24,), 0.7), target_density=0.2)
    )
    features = torch.tensor([2, 3, 11, 20])
    every = find_firings(dictionary, rules, x)
    if dictionary.is_featurewise:
        monkeypatch.setattr(type(dictionary), "encode", None)  # no other feature is computed
    some = find_firings(dictionary, rules, x, features=features)
    assert len(some.row) > 0
    wanted = np.isin(every.feature, features.numpy())
    assert (features.numpy()[some.feature] == every.feature[wanted]).all()
    assert (some.row == every.row[wanted]).all()
    np.testing.assert_allclose(some.value, every.value[wanted], rtol=1e-5, atol=1e-6)
    keys = every.feature * 50 + every.row
    assert (np.diff(keys) > 0).all()
    assert (every.value > 0).all()
