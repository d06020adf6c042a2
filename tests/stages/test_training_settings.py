"""What a run says of a dictionary and its training is what sae_core is given: each of its settings can be reached."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from autointerp.config.dictionary_entry import DictionaryEntry
from autointerp.config.loading import load_config
from autointerp.config.tree import Config
from autointerp.stages.train import _dictionary_config, _inferred, _training_config
from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig, TrainingConfig, kinds_of

OTHER_VALUES: dict[str, Any] = {
    "output": "topk",
    "method": "fista",
    "loss": "normalised_mse",
    "autocast": "bf16",
    "hidden": (24, 16),
    "l0_target": 2.5,
    "l0_weight": 2.5,
    "start_density": 0.25,
    "prefixes": (4, 64),
}
FRACTIONS = {"warmup_frac", "decay_frac", "adam_beta1", "adam_beta2", "l1_warmup_frac", "resample_until_frac"}
OF_THE_RUN = {"n_tokens", "batch_tokens", "seed"}
OF_INFERENCE = {"method", "is_warm_started"}
OF_A_KIND = sorted({each.name for each in fields(DictionaryConfig)} - {"kind", "n_features"} - OF_INFERENCE)


def _other(name: str, default: Any) -> Any:
    """A value that is not the default."""
    if name in OTHER_VALUES:
        return OTHER_VALUES[name]
    if isinstance(default, bool):
        return not default
    return 0.25 if isinstance(default, float) else 3


def _config(**entry: Any) -> Config:
    values = ", ".join(f"{key} = {_toml(value)}" for key, value in entry.items())
    return load_config("demo", [f"dictionaries=[{{name = 'd', n_features = 64, {values}}}]"])


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(list(value)) if isinstance(value, tuple) else repr(value)


@pytest.mark.parametrize("name", OF_A_KIND)
def test_every_setting_of_a_kind_reaches_it(name: str) -> None:
    kind = min(kinds_of(name) - {"inferred"})
    default = next(each.default for each in fields(DictionaryConfig) if each.name == name)
    value = _other(name, default)
    config = _config(kind=kind, **{"k": 8, name: value} if name in {"k_start", "output"} else {name: value})
    found = _dictionary_config(config.dictionaries[0], 16, config)
    plain = _dictionary_config(_config(kind=kind).dictionaries[0], 16, config)
    assert getattr(found, name) == value != default
    assert replace(plain, **{"k": found.k, name: value}) == found


def test_what_is_said_of_inference_reaches_it() -> None:
    said = {"method": "fista", "k": 3, "l1_weight": 0.25, "n_inference_steps": 7, "is_warm_started": True}
    entry = DictionaryEntry.model_validate({"name": "d", "kind": "inferred", "of": "source"} | said)
    source = build_dictionary(DictionaryConfig(kind="relu", n_features=12), d_in=6, seed=0)
    config = _inferred(entry, {"source": source}).config
    assert {name: getattr(config, name) for name in said} == said


@pytest.mark.parametrize("name", sorted({each.name for each in fields(TrainingConfig)} - OF_THE_RUN))
def test_every_setting_of_training_is_said_for_all_or_for_one(name: str) -> None:
    value = _other(name, next(each.default for each in fields(TrainingConfig) if each.name == name))
    own = _config(kind="topk", **{name: value})
    shared = load_config("demo", [f"train.{name}={_toml(value)}"])
    plain = load_config("demo")
    assert getattr(_training_config(own.dictionaries[0], own), name) == value
    assert getattr(_training_config(shared.dictionaries[2], shared), name) == value
    assert getattr(_training_config(plain.dictionaries[2], plain), name) != value
