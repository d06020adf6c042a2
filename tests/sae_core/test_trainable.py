"""What all trainable dictionaries share: exact gradients, decoder norms per feature, units, revival."""

from __future__ import annotations

import pytest
import torch

from sae_core.architectures import relu
from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig
from sae_core.errors import WidthMismatchError
from sae_core.trainable import TrainableDictionary
from tests.sae_core.dense_reference import dense_pass, gradients, relative_error

CONFIGS = {
    "relu": DictionaryConfig(kind="relu", n_features=40),
    "topk": DictionaryConfig(kind="topk", n_features=40, k=4),
    "mlp": DictionaryConfig(kind="mlp", n_features=40, hidden=(20, 16)),
}


def _build(kind: str, d_in: int = 12) -> TrainableDictionary:
    draw = torch.Generator().manual_seed(3)
    sample = 4 * torch.randn(200, d_in, generator=draw) + 2
    dictionary = build_dictionary(CONFIGS[kind], d_in=d_in, seed=0, sample=sample)
    assert isinstance(dictionary, TrainableDictionary)
    with torch.no_grad():
        for parameter in dictionary.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    return dictionary


def _batch(n_rows: int = 30, d_in: int = 12) -> torch.Tensor:
    return 4 * torch.randn(n_rows, d_in, generator=torch.Generator().manual_seed(7)) + 2


@pytest.mark.parametrize("kind", ["relu", "topk", "mlp"])
@pytest.mark.parametrize("densest", [0.0, 1.0])
def test_training_pass_equals_dense_autograd_in_float64(
    kind: str, densest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relu, "DENSEST_SPARSE_FRACTION", densest)  # 0: dense products; 1: sparse gradients
    fast, x = _build(kind), _batch()
    exact = _build(kind).double()
    passed = fast.training_pass(x)
    found = gradients(fast, (passed.reconstruction - x).square().mean() + 0.01 * passed.code_sum)
    reconstruction, code_sum = dense_pass(exact, x.double())
    wanted = gradients(exact, (reconstruction - x.double()).square().mean() + 0.01 * code_sum)
    assert relative_error(passed.reconstruction.double(), reconstruction) < 1e-5
    for name in wanted:
        assert wanted[name].norm() > 0, name
        assert relative_error(found[name].double(), wanted[name]) < 1e-5, name


@pytest.mark.parametrize("kind", ["relu", "topk", "mlp"])
def test_training_pass_and_inference_agree(kind: str) -> None:
    dictionary, x = _build(kind), _batch()
    passed = dictionary.training_pass(x)
    dense = dictionary.encode_dense(x)
    torch.testing.assert_close(passed.reconstruction, dictionary(x))
    torch.testing.assert_close(passed.reconstruction, dictionary.decode_dense(dense))
    torch.testing.assert_close(dictionary.encode(x).to_dense(40), dense)
    assert torch.equal(passed.fired, (dense > 0).any(dim=0))
    assert float(passed.n_active) == pytest.approx(float((dense > 0).sum(dim=1).float().mean()))
    torch.testing.assert_close(dictionary.encode_features(x, torch.tensor([5, 2])), dense[:, [5, 2]])


def test_normalisation_is_per_feature_not_per_coordinate() -> None:
    dictionary = _build("relu")
    dictionary.normalise_decoder()
    torch.testing.assert_close(dictionary.directions.norm(dim=1), torch.ones(40))
    assert (dictionary.directions.norm(dim=0) - 1).abs().min() > 0.1


def test_gradient_left_over_is_orthogonal_to_each_direction() -> None:
    dictionary, x = _build("relu"), _batch()
    dictionary.normalise_decoder()
    (dictionary.training_pass(x).reconstruction - x).square().mean().backward()
    gradient = dictionary.W_dec.grad
    dictionary.requires_grad_(False)
    assert gradient is not None
    before = gradient.clone()
    dictionary.remove_parallel_gradient()
    along = (gradient * dictionary.W_dec).sum(dim=1)
    assert float(along.abs().max()) < 1e-6 < float((before * dictionary.W_dec).sum(dim=1).abs().max())
    torch.testing.assert_close(before - gradient, (before * dictionary.W_dec).sum(1, keepdim=True) * dictionary.W_dec)


@pytest.mark.parametrize("kind", ["relu", "mlp"])
def test_published_norm_goes_over_the_other_axis_and_folds_without_changing_the_output(kind: str) -> None:
    config = DictionaryConfig(kind=kind, n_features=40, hidden=(8,), published_decoder_norm=True)  # pyright: ignore
    dictionary = build_dictionary(config, d_in=12, seed=0, sample=_batch(100))
    assert isinstance(dictionary, TrainableDictionary)
    dictionary.normalise_decoder()
    torch.testing.assert_close(dictionary.W_dec.norm(dim=0), torch.ones(12))
    before = dictionary(_batch())
    dictionary.finish()
    torch.testing.assert_close(dictionary.directions.norm(dim=1), torch.ones(40))
    torch.testing.assert_close(dictionary(_batch()), before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["relu", "topk", "mlp"])
def test_scaling_activations_and_biases_scales_codes(kind: str) -> None:
    """The homogeneity that lets biases live in the activations' units."""
    dictionary, x = _build(kind), _batch()
    code = dictionary.encode_dense(x)
    with torch.no_grad():
        for bias in dictionary.bias_parameters:
            bias.mul_(8.0)
    torch.testing.assert_close(dictionary.encode_dense(8.0 * x), 8.0 * code)


@pytest.mark.parametrize("kind", ["relu", "topk", "mlp"])
def test_revived_feature_fires_at_its_input(kind: str) -> None:
    dictionary, x = _build(kind), _batch()
    features = torch.tensor([3, 17])
    with torch.no_grad():
        dictionary.b_enc[features] = -1e6
        dictionary.W_enc[features] *= 100.0  # dead rows do not count in the mean norm
    is_dead = torch.zeros(dictionary.n_features, dtype=torch.bool).index_fill(0, features, True)
    live_norm = dictionary.W_enc.norm(dim=1)[~is_dead].mean()
    dictionary.revive(features, x=x, rows=torch.tensor([0, 1]), norm_frac=0.2, is_dead=is_dead)
    pre = dictionary.hidden(x[:2]) @ dictionary.W_enc[features].T + dictionary.b_enc[features]
    assert bool((pre.diagonal() > 0).all())
    torch.testing.assert_close(dictionary.directions[features].norm(dim=1), torch.ones(2))
    torch.testing.assert_close(dictionary.W_enc[features].norm(dim=1), (0.2 * live_norm).expand(2))
    if kind != "mlp":
        assert dictionary.b_enc[features].tolist() == [0.0, 0.0]
    else:
        fires = dictionary.encode_features(x, features) > 0
        assert fires.any(dim=0).all() and not fires.all(dim=0).any()


@pytest.mark.parametrize("kind", ["relu", "topk", "mlp"])
def test_other_width_is_an_error_with_both_widths(kind: str) -> None:
    dictionary = _build(kind)
    for call in (dictionary.encode, dictionary.encode_dense, dictionary.training_pass):
        with pytest.raises(WidthMismatchError, match=r"9 wide.*width 12"):
            call(torch.zeros(4, 9))
