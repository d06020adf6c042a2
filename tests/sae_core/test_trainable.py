"""What all trainable dictionaries share: codes at inference, decoder norms per feature, units, revival, errors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sae_core import encoder
from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.encoder import EncoderDictionary
from sae_core.errors import WidthMismatchError
from sae_core.sparse import selection
from sae_core.training.objective import objective
from tests.sae_core.dense_reference import CONFIGS, LAYERED, N_FEATURES, batch, build, dense_code, gradients

SIGNED = {"abstopk"}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("densest", [-1.0, 1.0])
def test_training_pass_and_inference_agree(name: str, densest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "DENSEST_SPARSE_FRACTION", densest)
    monkeypatch.setattr(encoder, "ROWS_PER_ENCODED_BLOCK", 7)
    dictionary, x = build(CONFIGS[name]), batch()
    passed = dictionary.training_pass(x)
    dense = dictionary.encode_dense(x)
    torch.testing.assert_close(dense, dense_code(dictionary, x))
    assert bool((dense < 0).any()) == (name in SIGNED)
    torch.testing.assert_close(passed.reconstruction, dictionary(x))
    torch.testing.assert_close(passed.reconstruction, dictionary.decode_dense(dense))
    torch.testing.assert_close(dictionary.encode(x).to_dense(N_FEATURES), dense)
    assert torch.equal(passed.fired, (dense != 0).any(dim=0))
    assert passed.n_active.item() == pytest.approx((dense != 0).sum(dim=1).float().mean().item())
    assert passed.code_sum.item() == pytest.approx(dense.abs().sum(dim=1).mean().item(), rel=1e-5)
    torch.testing.assert_close(dictionary.encode_features(x, torch.tensor([5, 2])), dense[:, [5, 2]])


@pytest.mark.parametrize("name", ["relu", "jumprelu", "prolu", "gated", "batchtopk", "mlp"])
def test_chosen_features_are_encoded_without_the_others(name: str) -> None:
    dictionary, x = build(CONFIGS[name]).eval(), batch()
    if name == "batchtopk":
        dictionary.get_buffer("threshold").fill_(3.0)
    chosen = torch.tensor([5, 2])
    wanted = dictionary.encode_features(x, chosen)
    assert wanted.any()
    with torch.no_grad():
        for parameter in dictionary.feature_parameters:
            kept = parameter[chosen].clone()
            parameter.fill_(float("nan"))
            parameter[chosen] = kept
    torch.testing.assert_close(dictionary.encode_features(x, chosen), wanted)


@pytest.mark.parametrize("name", CONFIGS)
def test_an_empty_batch_has_empty_codes(name: str) -> None:
    dictionary = build(CONFIGS[name]).eval()
    assert dictionary.encode_dense(torch.zeros(0, 12)).shape == (0, N_FEATURES)
    code = dictionary.encode(torch.zeros(0, 12))
    assert code.values.shape[0] == code.indices.shape[0] == 0


@pytest.mark.parametrize("name", CONFIGS)
def test_scaling_activations_biases_and_thresholds_scales_codes(name: str) -> None:
    """The homogeneity that lets biases and thresholds live in the activations' units."""
    dictionary, x = build(CONFIGS[name]).eval(), batch()
    if hasattr(dictionary, "threshold"):
        dictionary.get_buffer("threshold").fill_(2.5)
    code = dictionary.encode_dense(x)
    assert code.any()
    dictionary.scale_units(8.0)
    torch.testing.assert_close(dictionary.encode_dense(8.0 * x), 8.0 * code)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_loss_is_in_normalised_units(name: str) -> None:
    config, x = TrainingConfig(), batch()
    dead = torch.tensor([1, 2])
    plain, scaled = build(CONFIGS[name]), build(CONFIGS[name])
    scaled.scale_units(8.0)
    scaled.input_scale.div_(8.0)
    wanted = objective(plain, x, config=config, penalty_share=1.0, dead=dead)[1]
    found = objective(scaled, 8.0 * x, config=config, penalty_share=1.0, dead=dead)[1]
    assert found.item() == pytest.approx(wanted.item(), rel=1e-4)


def test_fitting_the_scale_keeps_thresholds_in_normalised_units() -> None:
    dictionary = build_dictionary(CONFIGS["jumprelu"], d_in=12, seed=0, sample=batch(200))
    assert isinstance(dictionary, EncoderDictionary)
    in_activation_units = dictionary.get_parameter("log_threshold").exp()
    torch.testing.assert_close(in_activation_units * dictionary.input_scale, torch.full((N_FEATURES,), 0.4))


def _names(dictionary: EncoderDictionary, parameters: list[torch.nn.Parameter]) -> set[str]:
    return {name for name, known in dictionary.named_parameters() if any(known is each for each in parameters)}


def test_biases_are_the_parameters_in_activation_units() -> None:
    gated, layered = build(CONFIGS["gated"]), build(CONFIGS["mlp_jumprelu"])
    assert _names(gated, gated.bias_parameters) == {"b_dec", "b_gate", "b_mag"}
    assert _names(layered, layered.bias_parameters) == {"b_dec", "b_enc", "layers.0.b_hidden"}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_with_a_row_per_feature_is_listed(name: str) -> None:
    dictionary = build(CONFIGS[name])
    rows = {key for key, parameter in dictionary.named_parameters() if parameter.shape[0] == N_FEATURES}
    assert _names(dictionary, dictionary.feature_parameters) == rows


def test_normalisation_is_per_feature_not_per_coordinate() -> None:
    dictionary = build(CONFIGS["relu"])
    dictionary.normalise_decoder()
    torch.testing.assert_close(dictionary.directions.norm(dim=1), torch.ones(N_FEATURES))
    assert (dictionary.directions.norm(dim=0) - 1).abs().min() > 0.1


def test_gradient_left_over_is_orthogonal_to_each_direction() -> None:
    dictionary, x = build(CONFIGS["relu"]), batch()
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
    dictionary = build_dictionary(config, d_in=12, seed=0, sample=batch(100))
    assert isinstance(dictionary, EncoderDictionary)
    dictionary.normalise_decoder()
    torch.testing.assert_close(dictionary.W_dec.norm(dim=0), torch.ones(12))
    before = dictionary(batch())
    dictionary.finish()
    torch.testing.assert_close(dictionary.directions.norm(dim=1), torch.ones(40))
    torch.testing.assert_close(dictionary(batch()), before, rtol=1e-4, atol=1e-4)


def _kill(dictionary: EncoderDictionary, features: Tensor) -> Tensor:
    """Silence features for good, with rows that would spoil a mean; returns the mask."""
    with torch.no_grad():
        for parameter in dictionary.feature_parameters:
            if parameter.ndim == 1:
                parameter[features] = -1e6
        dictionary.W_enc[features] *= 100.0
        if hasattr(dictionary, "log_threshold"):
            dictionary.get_parameter("log_threshold")[features] = 20.0
    return torch.zeros(dictionary.n_features, dtype=torch.bool).index_fill(0, features, True)


@pytest.mark.parametrize("name", CONFIGS)
def test_revived_feature_is_positive_at_its_input_and_starts_anew(name: str) -> None:
    dictionary, x = build(CONFIGS[name]), batch()
    features = torch.tensor([3, 17])
    is_dead = _kill(dictionary, features)
    live_norm = dictionary.W_enc.norm(dim=1)[~is_dead].mean()
    dictionary.revive(features, x=x, rows=torch.tensor([0, 1]), norm_frac=0.2, is_dead=is_dead)
    torch.testing.assert_close(dictionary.directions[features].norm(dim=1), torch.ones(2))
    # a tied encoder is the direction
    norm = torch.tensor(1.0) if dictionary.config.is_tied else 0.2 * live_norm
    torch.testing.assert_close(dictionary.W_enc[features].norm(dim=1), norm.expand(2))
    inputs = torch.nn.functional.normalize(x[:2] - dictionary.b_dec, dim=1)
    torch.testing.assert_close(dictionary.directions[features], inputs)
    bias = dictionary.get_parameter("b_gate" if name == "gated" else "b_enc")[features]
    pre = dictionary.hidden(x[:2]) @ dictionary.W_enc[features].T + bias
    assert bool((pre.diagonal() > 0).all())
    if name not in LAYERED:
        assert bias.tolist() == [0.0, 0.0]
    if not dictionary.config.is_topk:
        assert bool((dictionary.encode_features(x[:2], features).diagonal() > 0).all())
        assert not (dictionary.encode_features(x, features) > 0).all(dim=0).any()
    if name == "gated":
        assert dictionary.get_parameter("b_mag")[features].tolist() == [0.0, 0.0]
        assert dictionary.get_parameter("r_mag")[features].tolist() == [0.0, 0.0]
    if name == "jumprelu":
        theta = dictionary.get_parameter("log_threshold")[features].exp() * dictionary.input_scale
        wanted = torch.minimum(torch.tensor(0.4), pre.diagonal() / 2 * dictionary.input_scale)
        torch.testing.assert_close(theta, wanted)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("densest", [-1.0, 1.0])
def test_autocast_hands_on_float32(name: str, densest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "DENSEST_SPARSE_FRACTION", densest)
    dictionary, x = build(CONFIGS[name]), batch()
    exact = dictionary.training_pass(x).reconstruction
    with torch.autocast("cpu", torch.bfloat16):
        passed = dictionary.training_pass(x)
        auxiliary = dictionary.auxiliary_loss(x, passed.reconstruction, torch.tensor([1, 2]))
        code = dictionary.encode(x)
    reconstructions = (passed.reconstruction, *passed.partial_reconstructions, *passed.side_reconstructions)
    for tensor in (*reconstructions, passed.code_sum, passed.n_active, passed.penalty, code.values):
        assert tensor.dtype == torch.float32
    loss = sum((each - x).square().mean() for each in reconstructions) + passed.penalty
    loss = loss if auxiliary is None else loss + auxiliary
    assert all(gradient.dtype == torch.float32 for gradient in gradients(dictionary, loss).values())
    # Rounding to 8 bits also lets near ties among the kept codes fall the other way.
    assert ((passed.reconstruction - exact).norm() / exact.norm()).item() < 0.15


def test_gradient_of_the_offset_is_exact_under_autocast() -> None:
    """It rides on the biases' gradient, whose product with the encoder is not taken in the lower precision."""
    dictionary, x = build(CONFIGS["relu"]), batch()
    with torch.autocast("cpu", torch.bfloat16):
        hidden, carrier = dictionary.read(x)
    (gradient,) = torch.autograd.grad(carrier.sum(), dictionary.b_dec)
    torch.testing.assert_close(gradient, -dictionary.W_enc.detach().sum(dim=0))
    torch.testing.assert_close(hidden, x - dictionary.b_dec.detach())


def test_l1_is_relative_to_the_mean_norm_only_where_it_was_fitted() -> None:
    fitted = build(CONFIGS["relu"])
    assert float(fitted.l1_unit) == pytest.approx(float(fitted.input_scale) / math.sqrt(12))
    plain = build_dictionary(CONFIGS["relu"], d_in=12, seed=0, sample=batch(), normalise_inputs=False)
    assert isinstance(plain, EncoderDictionary)
    assert float(plain.l1_unit) == 1.0


@pytest.mark.parametrize("name", CONFIGS)
def test_other_width_is_an_error_with_both_widths(name: str) -> None:
    dictionary = build(CONFIGS[name])
    for call in (dictionary.encode, dictionary.encode_dense, dictionary.training_pass):
        with pytest.raises(WidthMismatchError, match=r"9 wide.*width 12"):
            call(torch.zeros(4, 9))
    with pytest.raises(WidthMismatchError, match=r"9 wide.*width 12"):
        dictionary.encode_features(torch.zeros(4, 9), torch.tensor([0]))


STARTED = {
    "relu": DictionaryConfig(kind="relu", n_features=N_FEATURES, start_density=0.1),
    "prolu": DictionaryConfig(kind="prolu", n_features=N_FEATURES, start_density=0.1),
    "gated": DictionaryConfig(kind="gated", n_features=N_FEATURES, start_density=0.1),
    "jumprelu": DictionaryConfig(kind="jumprelu", n_features=N_FEATURES, start_density=0.1),
    "mlp": DictionaryConfig(kind="mlp", n_features=N_FEATURES, hidden=(20,), start_density=0.1, centre_hidden=True),
    "mlp_jumprelu": DictionaryConfig(
        kind="mlp", n_features=N_FEATURES, hidden=(20,), output="jumprelu", start_density=0.1
    ),
}


@pytest.mark.parametrize("name", STARTED)
def test_fresh_features_fire_on_the_stated_share_of_the_sample(name: str) -> None:
    sample = 5 * batch(200)
    dictionary = build_dictionary(STARTED[name], d_in=12, seed=0, sample=sample)
    assert (dictionary.encode_dense(sample) != 0).sum(dim=0).tolist() == [20] * N_FEATURES


@pytest.mark.parametrize("name", STARTED)
def test_revived_features_fire_at_their_input_and_about_as_often_as_fresh_ones(name: str) -> None:
    dictionary, x = build(STARTED[name]), batch(200)
    features = torch.tensor([3, 17])
    dictionary.revive(features, x=x, rows=torch.tensor([0, 1]), norm_frac=0.2, is_dead=_kill(dictionary, features))
    codes = dictionary.encode_features(x, features)
    assert bool((codes[:2].diagonal() > 0).all())
    # a row short of the share itself lowers the level to its own half
    assert bool(((codes > 0).sum(dim=0) >= 20).all()) and bool(((codes > 0).sum(dim=0) < 80).all())
