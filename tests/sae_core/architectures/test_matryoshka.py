"""Matryoshka: the codes of BatchTopK, and a reconstruction from every prefix of features."""

from __future__ import annotations

import pytest
import torch

from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.synthetic import PlantedDictionary
from sae_core.training.loop import train_dictionaries
from tests.sae_core.dense_reference import CONFIGS, batch, build


def test_partial_reconstructions_are_those_of_the_prefixes() -> None:
    dictionary, x = build(CONFIGS["matryoshka"]), batch()
    passed, code = dictionary.training_pass(x), dictionary.encode_dense(x)
    assert len(passed.partial_reconstructions) == 2
    for size, partial in zip((3, 10), passed.partial_reconstructions, strict=True):
        torch.testing.assert_close(partial, code[:, :size] @ dictionary.W_dec[:size] + dictionary.b_dec)
    torch.testing.assert_close(passed.reconstruction, code @ dictionary.W_dec + dictionary.b_dec)


def test_one_prefix_is_batchtopk() -> None:
    nested = build(DictionaryConfig(kind="matryoshka", n_features=40, k=4, prefixes=(40,)))
    flat = build(DictionaryConfig(kind="batchtopk", n_features=40, k=4))
    flat.load_state_dict(nested.state_dict())
    found, wanted = nested.training_pass(batch()), flat.training_pass(batch())
    assert found.partial_reconstructions == ()
    torch.testing.assert_close(found.reconstruction, wanted.reconstruction)
    assert found.n_active == wanted.n_active and torch.equal(found.fired, wanted.fired)


def test_a_row_without_codes_is_the_offset_in_every_prefix() -> None:
    dictionary, x = build(CONFIGS["matryoshka"]), batch()
    with torch.no_grad():
        x[5] = dictionary.b_dec
        dictionary.b_enc.clamp_max_(-0.01)
    passed = dictionary.training_pass(x)
    for reconstruction in (*passed.partial_reconstructions, passed.reconstruction):
        torch.testing.assert_close(reconstruction[5], dictionary.b_dec)


def test_first_features_reconstruct_better_alone_than_without_nesting() -> None:
    planted = PlantedDictionary.draw(n_features=32, d_in=16, k=2, seed=0, scale=9.0)
    training = TrainingConfig(n_tokens=100 * 256, learning_rate=2e-2, resample_every_steps=40, dead_after_tokens=4000)
    configs = {
        "matryoshka": DictionaryConfig(kind="matryoshka", n_features=48, k=2, prefixes=(8, 24, 48)),
        "batchtopk": DictionaryConfig(kind="batchtopk", n_features=48, k=2),
    }
    batches = planted.iter_batches(100, batch_tokens=256, seed=1)
    trained = train_dictionaries({name: (c, training) for name, c in configs.items()}, batches, device="cpu")
    x = next(iter(planted.iter_batches(1, batch_tokens=2000, seed=5)))

    def error(name: str) -> float:
        dictionary = trained[name].dictionary
        code = dictionary.encode_dense(x)
        code[:, 8:] = 0
        return float((dictionary.decode_dense(code) - x).square().mean())

    assert error("matryoshka") < 0.85 * error("batchtopk")


@pytest.mark.parametrize("n_rows", [1, 2])
def test_small_batches(n_rows: int) -> None:
    dictionary, x = build(CONFIGS["matryoshka"]), batch(n_rows)
    passed = dictionary.training_pass(x)
    torch.testing.assert_close(passed.reconstruction, dictionary(x))
