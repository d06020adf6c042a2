"""Planted activations are what their codes say."""

from __future__ import annotations

import pytest
import torch

from sae_core.synthetic import PlantedDictionary, mean_max_cosine


def test_codes_are_k_sparse_and_activations_linear() -> None:
    planted = PlantedDictionary.draw(n_features=12, d_in=5, k=3, seed=0, scale=2.0, offset_norm=4.0)
    codes = planted.codes(50, seed=1)
    assert (codes > 0).sum(dim=1).tolist() == [3] * 50 and not (codes < 0).any()
    torch.testing.assert_close(planted.directions.norm(dim=1), torch.ones(12))
    assert float(planted.offset.norm()) == pytest.approx(4.0)
    torch.testing.assert_close(planted.activations(codes), planted.offset + 2 * codes @ planted.directions)
    batches = list(planted.iter_batches(3, batch_tokens=4, seed=1))
    assert len(batches) == 3 and not torch.equal(batches[0], batches[1])


def test_mean_max_cosine_knows_permutations_and_scale() -> None:
    planted = torch.eye(4)
    assert mean_max_cosine(3 * planted[[2, 0, 3, 1]], planted) == pytest.approx(1.0)
    assert mean_max_cosine(planted[:2], planted) == pytest.approx(0.5)
