"""MLP encoders of any depth read the same hidden vectors under every output rule."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sae_core.architectures.jumprelu import JumpReluDictionary
from sae_core.architectures.mlp import MlpDictionary
from sae_core.architectures.relu import ReluDictionary
from sae_core.architectures.topk import TopKDictionary
from sae_core.build import build_dictionary
from sae_core.checkpoint import load_dictionary, save_dictionary
from sae_core.config import DictionaryConfig
from tests.sae_core.dense_reference import batch, dense_code


@pytest.mark.parametrize("hidden", [(5,), (7, 3, 9)])
@pytest.mark.parametrize(
    ("output", "family"), [("relu", ReluDictionary), ("topk", TopKDictionary), ("jumprelu", JumpReluDictionary)]
)
def test_every_output_rule_reads_the_hidden_layers(hidden: tuple[int, ...], output: str, family: type) -> None:
    config = DictionaryConfig(kind="mlp", n_features=30, k=3, hidden=hidden, output=output)  # pyright: ignore
    dictionary = build_dictionary(config, d_in=12, seed=0, sample=batch(100))
    assert isinstance(dictionary, MlpDictionary) and isinstance(dictionary, family)
    assert [layer.get_parameter("b_hidden").numel() for layer in dictionary.layers] == list(hidden)
    assert dictionary.W_enc.shape == (30, hidden[-1])
    x = batch()
    code = dictionary.encode_dense(x)
    torch.testing.assert_close(code, dense_code(dictionary, x))
    assert code.any()
    if output == "topk":
        assert (code > 0).sum(dim=1).max() == 3


def test_a_fresh_encoder_finds_about_half_of_the_inputs_on_each_side_of_zero() -> None:
    config = DictionaryConfig(kind="mlp", n_features=200, hidden=(64,))
    dictionary = build_dictionary(config, d_in=12, seed=0, sample=batch(500))
    fires = (dictionary.encode_dense(batch(500)) > 0).float().mean(dim=0)
    assert 0.3 < fires.mean() < 0.7
    assert ((fires > 0.02) & (fires < 0.98)).float().mean() > 0.95


CENTRED = DictionaryConfig(kind="mlp", n_features=30, hidden=(9,), centre_hidden=True)


def test_the_mean_of_the_hidden_vectors_is_followed_without_a_change_of_codes() -> None:
    dictionary = build_dictionary(CENTRED, d_in=12, seed=0, sample=batch(100))
    assert isinstance(dictionary, MlpDictionary)
    torch.testing.assert_close(dictionary.hidden(batch(100)).mean(dim=0), torch.zeros(9), atol=1e-5, rtol=0)
    x = batch(50) + 3  # hidden vectors of another mean
    before, distance = dictionary.encode_dense(x), dictionary.hidden(x).mean(dim=0)
    for _ in range(3):
        torch.testing.assert_close(dictionary.training_pass(x).reconstruction, dictionary.decode_dense(before))
    torch.testing.assert_close(dictionary.hidden(x).mean(dim=0), 0.95**3 * distance)
    torch.testing.assert_close(dictionary.encode_dense(x), before, rtol=1e-4, atol=1e-4)
    stands = dictionary.hidden_mean.clone()
    dictionary.eval().training_pass(x)
    assert torch.equal(dictionary.hidden_mean, stands)


def test_centred_hidden_vectors_scale_with_the_activations_and_are_saved(tmp_path: Path) -> None:
    dictionary = build_dictionary(CENTRED, d_in=12, seed=0, sample=batch(100)).eval()
    assert isinstance(dictionary, MlpDictionary)
    x = batch()
    code = dictionary.encode_dense(x)
    saved = load_dictionary(save_dictionary(dictionary, tmp_path / "it", metadata={}))
    assert torch.equal(saved.encode_dense(x), code)
    dictionary.scale_units(8.0)
    torch.testing.assert_close(dictionary.encode_dense(8.0 * x), 8.0 * code)
