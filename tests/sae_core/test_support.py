"""Support scores equal sets compared one sample at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_core.mcc import latent_mcc, match_features
from sae_core.support import measure_codes, support_recovery


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_scores_equal_sets_compared_by_hand(n_planted: int, n_found: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    planted = torch.randn(12, n_planted, generator=draw) * (torch.rand(12, n_planted, generator=draw) < 0.4)
    found = torch.randn(12, n_found, generator=draw) * (torch.rand(12, n_found, generator=draw) < 0.6)
    matching = match_features(torch.rand(n_planted, n_found, generator=draw).double().numpy())
    scores = support_recovery(planted, found, matching, threshold=0.2)
    partner = dict(zip(matching.found.tolist(), matching.planted.tolist(), strict=True))
    n_right = n_said = n_true = n_exact = 0
    for truth, said in zip(planted, found, strict=True):
        true_set = {i for i in range(n_planted) if truth[i] != 0}
        said_set = {partner.get(j, f"unmatched {j}") for j in range(n_found) if abs(float(said[j])) > 0.2}
        n_right += len(true_set & said_set)
        n_said += len(said_set)
        n_true += len(true_set)
        n_exact += true_set == said_set
    assert scores.precision == pytest.approx(n_right / n_said if n_said else 1.0)
    assert scores.recall == pytest.approx(n_right / n_true if n_true else 1.0)
    assert scores.exact_frac == pytest.approx(n_exact / 12)
    if scores.precision + scores.recall > 0:
        harmonic = 2 / (1 / max(scores.precision, 1e-300) + 1 / max(scores.recall, 1e-300))
        assert scores.f1 == pytest.approx(harmonic)
    else:
        assert scores.f1 == 0.0


def test_the_truth_in_another_order_is_perfect() -> None:
    planted = torch.tensor([[1.0, 0, 2], [0, 3, 0], [4, 0, 0], [0, 1, 1]])
    found = 2 * planted[:, [2, 0, 1]]
    assert support_recovery(planted, found, latent_mcc(planted, found)) == (1.0, 1.0, 1.0, 1.0)


def test_codes_cost_what_numpy_says() -> None:
    draw = torch.Generator().manual_seed(0)
    codes = torch.randn(9, 4, generator=draw) * (torch.rand(9, 4, generator=draw) < 0.5)
    directions, x = torch.randn(4, 3, generator=draw), torch.randn(9, 3, generator=draw)
    cost = measure_codes(x, codes, directions)
    assert cost.mse == pytest.approx(float(((codes.numpy() @ directions.numpy() - x.numpy()) ** 2).mean()), rel=1e-5)
    assert cost.l0 == pytest.approx((codes.numpy() != 0).sum() / 9)
    assert cost.l1 == pytest.approx(abs(codes.numpy()).sum() / 9, rel=1e-6)
