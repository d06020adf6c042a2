"""What training minimises, and its gradient on every parameter, equal plain dense autograd for every kind."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.sparse import selection
from sae_core.training.objective import objective
from tests.drawing import examples
from tests.sae_core.dense_reference import (
    CONFIGS,
    batch,
    build,
    dense_objective,
    gradients,
    relative_error,
    take_device_paths,
)

NONE_DEAD = torch.zeros(0, dtype=torch.int64)


def _compare(fast, exact, x, *, config, dead, tolerance, penalty_share=0.5) -> None:
    """The fast objective of one dictionary against the dense one of another with equal weights, in float64."""
    passed, loss = objective(fast, x, config=config, penalty_share=penalty_share, dead=dead)
    assert passed.reconstruction.dtype == loss.dtype == x.dtype
    wanted_loss = dense_objective(exact, x.double(), config=config, penalty_share=penalty_share, dead=dead)
    assert loss.item() == pytest.approx(wanted_loss.item(), rel=tolerance)
    found, wanted = gradients(fast, loss), gradients(exact, wanted_loss)
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert relative_error(found[name].double(), wanted[name]) < tolerance, name


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("path", ["dense", "sparse", "device"])
def test_float32_gradients_equal_dense_float64_ones(name: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if path == "device":
        take_device_paths(monkeypatch)
    monkeypatch.setattr(selection, "DENSEST_SPARSE_FRACTION", -1.0 if path == "dense" else 1.0)
    fast, exact = build(CONFIGS[name]), build(CONFIGS[name]).double()
    dead = torch.tensor([4, 9, 33])
    _compare(fast, exact, batch(), config=TrainingConfig(), dead=dead, tolerance=1e-5)
    loss = objective(fast, batch(), config=TrainingConfig(), penalty_share=0.5, dead=NONE_DEAD)[1]
    for parameter, gradient in gradients(fast, loss).items():
        assert gradient.norm() > 0, parameter


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=examples(25), deadline=None)
@given(data=st.data())
def test_gradients_equal_dense_ones_over_shapes(name: str, data: st.DataObject) -> None:
    n_rows, d_in = data.draw(st.integers(1, 40), "n_rows"), data.draw(st.integers(1, 7), "d_in")
    n_features = data.draw(st.integers(3, 19), "n_features")
    config = _resized(CONFIGS[name], n_features, data)
    training = TrainingConfig(loss=data.draw(st.sampled_from(["mse", "normalised_mse"])))
    seed = data.draw(st.integers(0, 10_000), "seed")
    fast, exact = (build(config, d_in=d_in, seed=seed).double() for _ in range(2))
    is_empty = torch.rand(n_features, generator=torch.Generator().manual_seed(seed)) < data.draw(st.floats(0, 1))
    for dictionary in (fast, exact):
        with torch.no_grad():
            for parameter in ("b_enc", "b_gate"):
                if hasattr(dictionary, parameter):
                    dictionary.get_parameter(parameter)[is_empty] = -1e3
    x = batch(n_rows, d_in, seed=seed).double()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "DENSEST_SPARSE_FRACTION", data.draw(st.sampled_from([-1.0, 1.0]), "densest"))
        patch.setattr(selection, "ROWS_PER_CHUNK", data.draw(st.integers(1, 41), "chunk"))
        if data.draw(st.booleans(), "as on a device"):
            take_device_paths(patch)
        dead = is_empty.nonzero()[:, 0]
        _compare(fast, exact, x, config=training, dead=dead, tolerance=1e-7)


def _resized(config: DictionaryConfig, n_features: int, data: st.DataObject) -> DictionaryConfig:
    prefixes = (1, 2, n_features) if config.kind == "matryoshka" else ()
    return dataclasses.replace(
        config,
        n_features=n_features,
        prefixes=prefixes,
        k=data.draw(st.integers(1, n_features), "k"),
        auxk=data.draw(st.none() | st.integers(1, 5), "auxk"),
        l0_target=data.draw(st.none() | st.floats(0.5, 5), "l0_target"),
        hidden=tuple(data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3), "hidden")),
    )


@pytest.mark.parametrize("name", ["topk", "batchtopk", "abstopk", "matryoshka", "mlp_topk"])
def test_auxk_trains_the_encoder_rows_and_directions_of_dead_features_and_nothing_else(name: str) -> None:
    dictionary, x, dead = build(CONFIGS[name]), batch(), torch.tensor([4, 9, 33])
    loss = dictionary.auxiliary_loss(x, dictionary(x), dead)
    assert loss is not None
    for parameter, gradient in gradients(dictionary, loss).items():
        touched = gradient.view(len(gradient), -1).abs().sum(dim=1).nonzero()[:, 0].tolist()
        assert touched == ([4, 9, 33] if parameter in {"W_enc", "b_enc", "W_dec"} else []), parameter
    assert dictionary.auxiliary_loss(x, dictionary(x), NONE_DEAD) is None


def test_the_controller_hears_of_l0_only_at_full_penalty() -> None:
    dictionary = build(dataclasses.replace(CONFIGS["relu"], l0_target=1.0))
    objective(dictionary, batch(), config=TrainingConfig(), penalty_share=0.99, dead=NONE_DEAD)
    assert dictionary.get_buffer("l1_factor").item() == 1
    objective(dictionary, batch(), config=TrainingConfig(), penalty_share=1.0, dead=NONE_DEAD)
    assert dictionary.get_buffer("l1_factor").item() > 1
