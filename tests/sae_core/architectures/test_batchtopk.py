"""BatchTopK: k on average in training, one learned threshold afterwards."""

from __future__ import annotations

import pytest
import torch

from sae_core.architectures.batchtopk import NOT_LEARNED, THRESHOLD_RATE, BatchTopKDictionary
from tests.sae_core.dense_reference import CONFIGS, batch, build


def _build() -> BatchTopKDictionary:
    dictionary = build(CONFIGS["batchtopk"])
    assert isinstance(dictionary, BatchTopKDictionary)
    return dictionary


def _smallest(dictionary: BatchTopKDictionary, x: torch.Tensor) -> float:
    code = dictionary.encode_dense(x)
    return code[code > 0].min().item()


def test_codes_are_the_largest_of_the_batch_and_k_on_average() -> None:
    dictionary, x = _build(), batch()
    pre = (x - dictionary.b_dec) @ dictionary.W_enc.T + dictionary.b_enc
    code = dictionary.encode_dense(x)
    limit = pre.view(-1).topk(4 * 30).values.min()
    torch.testing.assert_close(code, torch.where(pre >= limit, pre, 0.0))
    n_active = (code > 0).sum(dim=1)
    assert n_active.float().mean() == 4 and len(n_active.unique()) > 1
    assert dictionary.training_pass(x).n_active == 4


def test_threshold_is_the_running_mean_of_the_smallest_selected_value() -> None:
    dictionary = _build()
    assert dictionary.threshold.item() == NOT_LEARNED
    batches = [batch(seed=seed) for seed in range(4)]
    wanted = _smallest(dictionary, batches[0])
    for x in batches:
        wanted += THRESHOLD_RATE * (_smallest(dictionary, x) - wanted)
        dictionary.training_pass(x)
        assert dictionary.threshold.item() == pytest.approx(wanted, rel=1e-5)


def test_evaluation_leaves_the_threshold_alone_and_applies_it_row_by_row() -> None:
    dictionary, x = _build(), batch()
    dictionary.training_pass(x)
    learned = dictionary.threshold.item()
    dictionary.eval()
    dictionary.training_pass(batch(seed=1))
    assert dictionary.threshold.item() == learned
    pre = (x - dictionary.b_dec) @ dictionary.W_enc.T + dictionary.b_enc
    wanted = torch.where(pre > learned, pre, 0.0)
    torch.testing.assert_close(dictionary.encode_dense(x), wanted)
    torch.testing.assert_close(dictionary.encode_dense(x[3:4]), wanted[3:4])
    torch.testing.assert_close(dictionary.encode(x[3:4]).to_dense(40), wanted[3:4])
    torch.testing.assert_close(dictionary.encode_features(x, torch.tensor([6, 1])), wanted[:, [6, 1]])


def test_without_a_learned_threshold_evaluation_falls_back_to_the_rule_of_training() -> None:
    dictionary, x = _build(), batch()
    in_training = dictionary.encode_dense(x)
    dictionary.eval()
    torch.testing.assert_close(dictionary.encode_dense(x), in_training)
    torch.testing.assert_close(dictionary.encode(x).to_dense(40), in_training)
    dictionary.scale_units(2.0)
    assert dictionary.threshold.item() == NOT_LEARNED


def test_a_batch_without_positive_pre_activations_teaches_nothing() -> None:
    dictionary = _build()
    dictionary.training_pass(batch())
    learned = dictionary.threshold.item()
    with torch.no_grad():
        dictionary.b_enc.fill_(-1e4)
    passed = dictionary.training_pass(batch())
    assert dictionary.threshold.item() == learned
    assert passed.n_active == 0 and not passed.fired.any()
    torch.testing.assert_close(passed.reconstruction, dictionary.b_dec.expand(30, 12))


def test_the_threshold_is_saved_with_the_weights() -> None:
    dictionary = _build()
    dictionary.training_pass(batch())
    other = _build()
    other.load_state_dict(dictionary.state_dict())
    assert other.threshold.item() == dictionary.threshold.item() > 0
