"""Configurations refuse what cannot work, naming the field and the value."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sae_core.config import DictionaryConfig, TrainingConfig


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"kind": "relu"}, "n_features"),
        ({"kind": "relu", "n_features": 0}, "n_features"),
        ({"kind": "identity", "n_features": -1}, "n_features"),
        ({"kind": "topk", "n_features": 4, "k": 5}, "k"),
        ({"kind": "topk", "n_features": 4, "k": 0}, "k"),
        ({"kind": "relu", "n_features": 4, "l1_weight": -1.0}, "l1_weight"),
        ({"kind": "mlp", "n_features": 4, "hidden": ()}, "hidden"),
        ({"kind": "mlp", "n_features": 4, "hidden": (0,)}, "hidden"),
        ({"kind": "topk", "n_features": 64, "published_decoder_norm": True}, "published_decoder_norm"),
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


def test_identity_needs_no_feature_count_and_is_not_trained() -> None:
    assert not DictionaryConfig(kind="identity").is_trained
    assert DictionaryConfig(kind="relu", n_features=8).is_trained


def test_configuration_loads_no_torch() -> None:
    code = "import sys, sae_core.config, sae_core.history, sae_core.schedule; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
