"""Configurations refuse what cannot work, naming the field and the value."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sae_core.config import TRAINED_KINDS, DictionaryConfig, TrainingConfig


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"kind": "relu"}, "n_features"),
        ({"kind": "relu", "n_features": 0}, "n_features"),
        ({"kind": "identity", "n_features": -1}, "n_features"),
        ({"kind": "topk", "n_features": 4, "k": 5}, "k"),
        ({"kind": "topk", "n_features": 4, "k": 0}, "k"),
        ({"kind": "relu", "n_features": 4, "l1_weight": -1.0}, "l1_weight"),
        ({"kind": "mlp", "n_features": 4, "hidden": (0,)}, "hidden"),
        ({"kind": "mlp", "n_features": 4, "output": "topk"}, "k"),
        ({"kind": "batchtopk", "n_features": 4, "k": 5}, "k"),
        ({"kind": "topk", "n_features": 4, "k": 2, "k_start": 5}, "k_start"),
        ({"kind": "topk", "n_features": 4, "k": 2, "k_start": 0}, "k_start"),
        ({"kind": "topk", "n_features": 4, "k": 2, "k_warmup_frac": 1.1}, "k_warmup_frac"),
        ({"kind": "relu", "n_features": 4, "l0_target": 0.0}, "l0_target"),
        ({"kind": "jumprelu", "n_features": 4, "l0_weight": -1.0}, "l0_weight"),
        ({"kind": "jumprelu", "n_features": 4, "threshold_init": 0.0}, "threshold_init"),
        ({"kind": "jumprelu", "n_features": 4, "bandwidth": 0.0}, "bandwidth"),
        ({"kind": "matryoshka", "n_features": 40, "prefixes": (10, 20)}, "prefixes"),
        ({"kind": "matryoshka", "n_features": 40, "prefixes": (10, 10, 40)}, "prefixes"),
        ({"kind": "matryoshka", "n_features": 40, "prefixes": (0, 40)}, "prefixes"),
        ({"kind": "inferred", "n_features": 4, "n_inference_steps": 0}, "n_inference_steps"),
        ({"kind": "topk", "n_features": 64, "published_decoder_norm": True}, "published_decoder_norm"),
        (
            {"kind": "mlp", "n_features": 64, "output": "topk", "published_decoder_norm": True},
            "published_decoder_norm",
        ),
    ],
)
def test_bad_dictionary_field_is_named(fields: dict, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} = "):
        DictionaryConfig(**fields)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"n_tokens": 0}, "n_tokens"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"warmup_frac": 1.5}, "warmup_frac"),
        ({"warmup_frac": 0.6, "decay_frac": 0.6}, r"warmup_frac \+ decay_frac"),
        ({"adam_beta2": 1.0}, "adam_beta2"),
    ],
)
def test_bad_training_field_is_named(fields: dict, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} = "):
        TrainingConfig(**fields)


def test_unknown_kind_and_loss_list_what_is_known() -> None:
    # Set from behind: the shape checker of the test run would refuse the wrong literal before we can.
    config, training = DictionaryConfig(kind="relu", n_features=4), TrainingConfig()
    object.__setattr__(config, "kind", "dense")
    with pytest.raises(ValueError, match=r"^kind = 'dense': .*'topk'"):
        config.__post_init__()
    object.__setattr__(training, "loss", "l2")
    with pytest.raises(ValueError, match=r"^loss = 'l2': .*'normalised_mse'"):
        training.__post_init__()


def test_fixed_kinds_are_not_trained_and_some_need_no_feature_count() -> None:
    for kind in ("identity", "pca", "ica"):
        assert not DictionaryConfig(kind=kind).is_trained
    for kind in ("inferred", "random"):
        assert not DictionaryConfig(kind=kind, n_features=8).is_trained
    for kind in TRAINED_KINDS - {"matryoshka"}:
        assert DictionaryConfig(kind=kind, n_features=64).is_trained  # pyright: ignore


def test_topk_kinds_are_those_with_a_k() -> None:
    assert DictionaryConfig(kind="batchtopk", n_features=64).is_topk
    assert DictionaryConfig(kind="mlp", output="topk", n_features=64).is_topk
    assert not DictionaryConfig(kind="mlp", output="relu", n_features=8, k=32).is_topk


def test_a_steered_penalty_starts_where_it_ends_and_a_given_start_stands() -> None:
    for kind in ("relu", "gated", "prolu", "mlp"):
        assert DictionaryConfig(kind=kind, n_features=64, l0_target=16.0).start_density == 0.25  # pyright: ignore
    assert DictionaryConfig(kind="relu", n_features=64, l0_target=16.0, start_density=0.1).start_density == 0.1
    assert DictionaryConfig(kind="relu", n_features=64, l0_target=63.0).start_density == 0.5
    for without in (
        DictionaryConfig(kind="relu", n_features=64),
        DictionaryConfig(kind="jumprelu", n_features=64, l0_target=16.0),
        DictionaryConfig(kind="mlp", output="jumprelu", n_features=64, l0_target=16.0),
    ):
        assert without.start_density is None


def test_configuration_loads_no_torch() -> None:
    torch_free = "sae_core.config, sae_core.training.history, sae_core.training.schedule"
    code = f"import sys, {torch_free}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
