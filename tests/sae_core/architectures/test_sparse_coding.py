"""A dictionary without an encoder trains in the one loop: codes are the lasso's, the decoder's gradient is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import sparse_encode

from sae_core.architectures.sparse_coding import SparseCodingDictionary
from sae_core.build import build_dictionary
from sae_core.checkpoint import load_dictionary, save_dictionary
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.errors import WidthMismatchError
from sae_core.quality import measure_quality
from sae_core.synthetic import PlantedDictionary, mean_max_cosine
from sae_core.training.loop import train_dictionaries
from sae_core.training.objective import objective

PLANTED = PlantedDictionary.draw(n_features=32, d_in=16, k=2, seed=0, scale=9.0, offset_norm=30.0)
CONFIG = DictionaryConfig(kind="sparse_coding", n_features=40, l1_weight=0.2, n_inference_steps=400)


def _batch(n_rows: int = 30, seed: int = 7) -> torch.Tensor:
    return PLANTED.activations(PLANTED.codes(n_rows, seed=seed))


def _build(*, normalise_inputs: bool = True) -> SparseCodingDictionary:
    dictionary = build_dictionary(CONFIG, d_in=16, seed=0, sample=_batch(200), normalise_inputs=normalise_inputs)
    assert isinstance(dictionary, SparseCodingDictionary)
    return dictionary


def _lasso(dictionary: SparseCodingDictionary, x: torch.Tensor, *, l1_weight: float) -> np.ndarray:
    """Codes by scikit-learn's coordinate descent, in float64."""
    return sparse_encode(
        (x - dictionary.b_dec).detach().double().numpy(),
        dictionary.W_dec.detach().double().numpy(),
        algorithm="lasso_cd",
        alpha=l1_weight,
        positive=True,
        max_iter=10_000,
    )


def test_codes_minimise_the_training_loss_in_either_unit() -> None:
    """Loss per sample: s^2 |e|^2 / d_in + w u sum z, with u = s / sqrt(d_in) where s is fitted, else s = u = 1."""
    x = _batch()
    fitted, plain = _build(), _build(normalise_inputs=False)
    scale = float(fitted.input_scale)
    assert float(fitted.code_l1) == pytest.approx(0.2 * 4 / (2 * scale), rel=1e-5)
    assert float(plain.code_l1) == pytest.approx(0.2 * 16 / 2)
    for dictionary in (fitted, plain):
        codes = dictionary.encode_dense(x)
        np.testing.assert_allclose(codes, _lasso(dictionary, x, l1_weight=float(dictionary.code_l1)), atol=2e-2)
        training = TrainingConfig()
        _, loss = objective(dictionary, x, config=training, penalty_share=1.0, dead=torch.zeros(0, dtype=torch.int64))
        other = CONFIG.l1_weight * dictionary.l1_unit * codes.sum(dim=1).mean()
        error = (dictionary.decode_dense(codes) - x).square().mean() * float(dictionary.input_scale) ** 2
        assert float(loss.detach()) == pytest.approx(float((error + other).detach()), rel=1e-5)
        worse = codes * 1.05
        error = (dictionary.decode_dense(worse) - x).square().mean() * float(dictionary.input_scale) ** 2
        assert float((error + 1.05 * other).detach()) > float(loss.detach())


def test_pass_gives_the_decoder_its_exact_gradient_and_agrees_with_inference() -> None:
    dictionary, x = _build(), _batch()
    passed = dictionary.training_pass(x)
    codes = dictionary.encode_dense(x)
    torch.testing.assert_close(passed.reconstruction, dictionary(x))
    torch.testing.assert_close(dictionary.encode(x).to_dense(40), codes)
    assert torch.equal(passed.fired, (codes > 0).any(dim=0))
    assert float(passed.n_active) == pytest.approx(float((codes > 0).sum(dim=1).double().mean()))
    (passed.reconstruction - x).square().mean().backward()
    error = (codes @ dictionary.W_dec + dictionary.b_dec - x).detach()
    assert dictionary.W_dec.grad is not None and dictionary.b_dec.grad is not None
    torch.testing.assert_close(dictionary.W_dec.grad, 2 / x.numel() * codes.T @ error)
    torch.testing.assert_close(dictionary.b_dec.grad, 2 / x.numel() * error.sum(dim=0))


def test_planted_directions_are_found_in_the_training_loop() -> None:
    config = DictionaryConfig(kind="sparse_coding", n_features=48, l1_weight=0.1, n_inference_steps=20)
    training = TrainingConfig(
        n_tokens=120 * 256, batch_tokens=256, learning_rate=1e-2, resample_every_steps=20, dead_after_tokens=2_000
    )
    batches = PLANTED.iter_batches(120, batch_tokens=256, seed=1)
    trained = train_dictionaries({"sc": (config, training)}, batches, device="cpu")["sc"]
    quality = measure_quality(trained.dictionary, PLANTED.iter_batches(2, batch_tokens=1000, seed=77))
    assert mean_max_cosine(trained.dictionary.directions, PLANTED.directions) > 0.98
    assert quality.fvu < 0.08 and 1 <= quality.l0 < 4 and quality.dead_frac < 0.1
    torch.testing.assert_close(trained.dictionary.directions.norm(dim=1), torch.ones(48))


def test_revived_direction_points_at_its_input_and_fires_there() -> None:
    dictionary, x = _build(), _batch()
    features = torch.tensor([3, 17])
    is_dead = torch.zeros(40, dtype=torch.bool).index_fill(0, features, True)
    dictionary.revive(features, x=x, rows=torch.tensor([0, 1]), norm_frac=0.2, is_dead=is_dead)
    wanted = torch.nn.functional.normalize(x[:2] - dictionary.b_dec, dim=1)
    torch.testing.assert_close(dictionary.directions[features], wanted.detach())
    assert bool((dictionary.encode_dense(x[:2])[:, features].diagonal() > 0).all())


def test_units_scale_codes_and_saving_keeps_the_l1_weight(tmp_path) -> None:
    dictionary, x = _build(), _batch()
    codes = dictionary.encode_dense(x)
    save_dictionary(dictionary, tmp_path)
    torch.testing.assert_close(load_dictionary(tmp_path).encode_dense(x), codes, rtol=0, atol=0)
    dictionary.scale_units(8.0)
    torch.testing.assert_close(dictionary.encode_dense(8 * x), 8 * codes, rtol=1e-4, atol=1e-3)


def test_other_width_is_an_error_and_no_rows_have_no_codes() -> None:
    dictionary = _build()
    for call in (dictionary.encode, dictionary.encode_dense, dictionary.training_pass):
        with pytest.raises(WidthMismatchError, match=r"9 wide.*width 16"):
            call(torch.zeros(4, 9))
    assert dictionary.encode(torch.zeros(0, 16)).values.shape[0] == 0
