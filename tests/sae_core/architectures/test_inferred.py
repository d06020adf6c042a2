"""Inferred codes over a trained decoder: never worse than its encoder's, saved whole, measured like any dictionary."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch

from sae_core.architectures.inferred import InferredDictionary, own_l1_weight
from sae_core.architectures.normalised import NormalisedDictionary
from sae_core.build import build_dictionary
from sae_core.checkpoint import load_dictionary, save_dictionary
from sae_core.config import DictionaryConfig, InferenceMethod, TrainingConfig
from sae_core.errors import WidthMismatchError
from sae_core.inference import problem
from sae_core.inference.methods import infer
from sae_core.inference.optimality import kkt_residual, lasso_objective
from sae_core.quality import measure_quality
from sae_core.trainable import TrainableDictionary
from sae_core.training.objective import objective

X = 2 + 3 * torch.randn(60, 12, generator=torch.Generator().manual_seed(0))
NO_FEATURE = torch.zeros(0, dtype=torch.int64)


def _relu(*, normalise_inputs: bool = True) -> TrainableDictionary:
    config = DictionaryConfig(kind="relu", n_features=30, l1_weight=0.3)
    dictionary = build_dictionary(config, d_in=12, seed=0, sample=X, normalise_inputs=normalise_inputs)
    assert isinstance(dictionary, TrainableDictionary)
    return dictionary


@pytest.mark.parametrize("method", get_args(InferenceMethod))
def test_codes_are_those_of_the_method_over_the_decoder(method: InferenceMethod) -> None:
    relu = _relu()
    inferred = InferredDictionary.over(relu, method=method, k=4, l1_weight=0.5, n_inference_steps=30)
    assert inferred.config.kind == "inferred" and not inferred.is_signed
    assert torch.equal(inferred.directions, relu.directions) and torch.equal(inferred.offset, relu.offset)
    assert inferred.encoder is None
    wanted = infer(X - relu.b_dec.detach(), relu.W_dec.detach(), method=method, n_active=4, l1_weight=0.5, n_steps=30)
    torch.testing.assert_close(inferred.encode_dense(X), wanted.to_dense(30))
    torch.testing.assert_close(inferred(X), wanted.to_dense(30) @ relu.directions.detach() + relu.offset.detach())
    assert 0 < measure_quality(inferred, [X]).l0 <= 30


@pytest.mark.parametrize("normalise_inputs", [True, False])
def test_own_l1_weight_makes_the_optimum_that_of_the_training_loss(normalise_inputs: bool) -> None:
    relu = _relu(normalise_inputs=normalise_inputs)
    inferred = InferredDictionary.over(relu, method="fista", n_inference_steps=5000)
    weight = own_l1_weight(relu)
    assert inferred.config.l1_weight == weight
    codes = inferred.encode_dense(X)
    directions, offset = relu.directions.detach(), relu.offset.detach()
    assert float(kkt_residual(X - offset, directions, codes, l1_weight=weight).max()) < 1e-3
    # Two codes differ in the training loss as they do in the lasso's objective, but for its constant factor.
    config = TrainingConfig(normalise_inputs=normalise_inputs)
    _, loss = objective(relu, X, config=config, penalty_share=1.0, dead=NO_FEATURE)
    scale = float(relu.input_scale)
    factor = 2 * scale**2 / 12
    encoded = relu.encode_dense(X).detach()
    lasso = lasso_objective(X - offset, directions, encoded, l1_weight=weight).mean()
    torch.testing.assert_close(loss.detach(), lasso * factor, rtol=1e-4, atol=0)
    assert float(lasso_objective(X - offset, directions, codes, l1_weight=weight).mean()) < float(lasso)


def test_a_warm_start_begins_at_the_encoders_codes() -> None:
    relu = _relu()
    inferred = InferredDictionary.over(relu, method="ista", l1_weight=0.5, n_inference_steps=1, is_warm_started=True)
    assert inferred.encoder is relu
    with torch.no_grad():
        start = relu.encode_dense(X)
        wanted = infer(X - relu.b_dec, relu.W_dec, method="ista", l1_weight=0.5, n_steps=1, warm_start=start)
    torch.testing.assert_close(inferred.encode_dense(X), wanted.to_dense(30))


def test_chunks_and_empty_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    inferred = InferredDictionary.over(_relu(), method="fista", is_warm_started=True)
    whole = inferred.encode_dense(X)
    monkeypatch.setitem(problem.VALUES_PER_CHUNK, "cpu", 30 * 32)
    torch.testing.assert_close(inferred.encode_dense(X), whole, atol=1e-5, rtol=0)
    assert inferred.encode_dense(X[:0]).shape == (0, 30)


@pytest.mark.parametrize("is_warm_started", [False, True])
def test_it_comes_back_from_disk_whole(tmp_path: Path, is_warm_started: bool) -> None:
    inferred = InferredDictionary.over(
        _relu(), method="fista", l1_weight=0.7, n_inference_steps=3, is_warm_started=is_warm_started
    )
    loaded = load_dictionary(save_dictionary(inferred, tmp_path / "saved"))
    assert isinstance(loaded, InferredDictionary)
    assert loaded.config == inferred.config
    assert torch.equal(loaded.encode_dense(X), inferred.encode_dense(X))


def test_built_from_a_configuration_it_has_random_directions_about_the_mean() -> None:
    config = DictionaryConfig(kind="inferred", n_features=40, k=5)
    built = build_dictionary(config, d_in=12, seed=3, sample=X)
    torch.testing.assert_close(built.directions.norm(dim=1), torch.ones(40))
    torch.testing.assert_close(built.offset, X.mean(dim=0))
    assert int((built.encode_dense(X) > 0).sum(dim=1).max()) <= 5
    assert torch.equal(built.directions, build_dictionary(config, d_in=12, seed=3).directions)


def test_errors_name_the_field_and_the_fix() -> None:
    relu = _relu()
    with pytest.raises(ValueError, match=r"'omp' starts from nothing; switch it off or use fista"):
        InferredDictionary.over(relu, method="omp", is_warm_started=True)
    warm = DictionaryConfig(kind="inferred", n_features=5, method="fista", is_warm_started=True)
    with pytest.raises(ValueError, match=r"no encoder to start from; use InferredDictionary\.over"):
        build_dictionary(warm, d_in=12, seed=0)
    topk = build_dictionary(DictionaryConfig(kind="topk", n_features=30, k=3), d_in=12, seed=0)
    with pytest.raises(ValueError, match=r"l1_weight must be given: a 'topk' dictionary has no fixed L1 weight"):
        InferredDictionary.over(topk, method="fista")
    neurons = build_dictionary(DictionaryConfig(kind="identity"), d_in=12, seed=0)
    with pytest.raises(ValueError, match="'identity' dictionary was not trained"):
        InferredDictionary.over(neurons, method="fista")
    with pytest.raises(ValueError, match="over a NormalisedDictionary"):
        InferredDictionary.over(NormalisedDictionary(relu, method="layer_norm"))
    with pytest.raises(WidthMismatchError, match=r"5 wide.*width 12"):
        InferredDictionary.over(relu).encode(X[:, :5])


def test_a_steered_weight_is_not_taken_for_the_dictionarys_own() -> None:
    config = DictionaryConfig(kind="relu", n_features=30, l0_target=5.0)
    steered = build_dictionary(config, d_in=12, seed=0, sample=X)
    with pytest.raises(ValueError, match="with l0_target has no fixed L1 weight"):
        InferredDictionary.over(steered, method="fista")
