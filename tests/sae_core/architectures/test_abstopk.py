"""AbsTopK keeps the strongest pre-activations with their signs, and finds features that are present or opposed."""

from __future__ import annotations

import torch
import torch.nn.functional as functional

from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.dictionary import SparseCode
from sae_core.training.loop import train_dictionaries
from tests.sae_core.dense_reference import CONFIGS, batch, build


def test_codes_are_the_strongest_pre_activations_with_their_signs() -> None:
    dictionary, x = build(CONFIGS["abstopk"]), batch()
    pre = (x - dictionary.b_dec) @ dictionary.W_enc.T + dictionary.b_enc
    code = dictionary.encode_dense(x)
    assert (code != 0).sum(dim=1).tolist() == [4] * 30
    assert (code < 0).any() and (code > 0).any()
    torch.testing.assert_close(code, torch.where(pre.abs() >= pre.abs().topk(4, dim=1).values[:, -1:], pre, 0.0))
    assert dictionary.is_signed


def test_signed_codes_survive_the_sparse_form() -> None:
    dictionary, x = build(CONFIGS["abstopk"]), batch()
    dense = dictionary.encode_dense(x)
    torch.testing.assert_close(SparseCode.from_dense(dense).to_dense(40), dense)
    torch.testing.assert_close(dictionary.decode(dictionary.encode(x)), dense @ dictionary.W_dec + dictionary.b_dec)


def test_a_feature_that_is_only_opposed_counts_as_fired() -> None:
    dictionary, x = build(CONFIGS["abstopk"]), batch()
    with torch.no_grad():
        dictionary.b_enc[7] = -1e3
    passed = dictionary.training_pass(x)
    assert (dictionary.encode_dense(x)[:, 7] < 0).all()
    assert passed.fired[7] and passed.n_active == 4


def test_auxk_keeps_the_strongest_dead_features_with_their_signs() -> None:
    dictionary, x, dead = build(DictionaryConfig(kind="abstopk", n_features=40, k=4, auxk=1)), batch(), [4, 9, 33]
    reconstruction = dictionary(x)
    residual = x - reconstruction
    pre = (x - dictionary.b_dec) @ dictionary.W_enc[dead].T + dictionary.b_enc[dead]
    code = torch.where(pre.abs() >= pre.abs().amax(dim=1, keepdim=True), pre, 0.0)
    assert (code < 0).any()
    error = (residual - code @ dictionary.W_dec[dead]).square().sum()
    wanted = error / (residual - residual.mean(0)).square().sum() / 32
    found = dictionary.auxiliary_loss(x, reconstruction, torch.tensor(dead))
    assert found is not None
    torch.testing.assert_close(found, wanted)


def test_features_planted_with_both_signs_are_found_up_to_sign() -> None:
    draw = torch.Generator().manual_seed(0)
    planted = functional.normalize(torch.randn(16, 16, generator=draw), dim=1)
    batches = []
    for _ in range(120):
        active = torch.rand(256, 16, generator=draw).topk(2, dim=1).indices
        values = torch.randn(256, 2, generator=draw)
        batches.append(torch.zeros(256, 16).scatter(1, active, values) @ planted)
    config = DictionaryConfig(kind="abstopk", n_features=24, k=2)
    training = TrainingConfig(n_tokens=120 * 256, learning_rate=2e-2, resample_every_steps=30, dead_after_tokens=2560)
    trained = train_dictionaries({"abstopk": (config, training)}, batches, device="cpu")["abstopk"].dictionary
    cosines = (planted @ trained.directions.T).abs().max(dim=1).values
    assert cosines.mean() > 0.95
    assert (trained.encode_dense(batches[0]) != 0).sum(dim=1).tolist() == [2] * 256


def test_a_fresh_one_is_built_from_the_sample() -> None:
    dictionary = build_dictionary(CONFIGS["abstopk"], d_in=12, seed=0, sample=batch(50))
    assert torch.isfinite(dictionary(batch())).all()
