"""Off the CPU a training step never waits for the device: it asks for no value, and no shape depends on one.

Checked without a GPU: tensors on torch's `meta` device have shapes but no values, so that whoever asks for one raises.
What torch has no `meta` version of (fused Adam, foreach norms, autocast) is replaced by its plain counterpart; on CUDA
none of these waits. tests/sae_core/test_cuda.py checks the same on a device, by torch's own debug mode.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch

from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.encoder import EncoderDictionary
from sae_core.training.trainer import DEAD_LIST_EVERY_STEPS, DictionaryTrainer

N_ROWS, D_IN, N_FEATURES = 64, 16, 128
KINDS: dict[str, dict[str, Any]] = {
    "relu": {"kind": "relu"},
    "relu, steered": {"kind": "relu", "l0_target": 4.0},
    "topk": {"kind": "topk", "k": 4},
    "batchtopk": {"kind": "batchtopk", "k": 4},
    "abstopk": {"kind": "abstopk", "k": 4},
    "jumprelu": {"kind": "jumprelu"},
    "jumprelu, steered": {"kind": "jumprelu", "l0_target": 4.0},
    "gated": {"kind": "gated", "l0_target": 4.0},
    "prolu": {"kind": "prolu", "l0_target": 4.0},
    "matryoshka": {"kind": "matryoshka", "k": 4, "prefixes": (8, 32, N_FEATURES)},
    "mlp": {"kind": "mlp", "hidden": (16,), "l0_target": 4.0},
    "mlp, topk": {"kind": "mlp", "hidden": (16, 24), "output": "topk", "k": 4},
    "mlp, jumprelu": {"kind": "mlp", "hidden": (16,), "output": "jumprelu"},
}
"""Every trained kind with an encoder. Not `sparse_coding`: its step size is an eigenvalue, whose routine waits."""


@pytest.fixture
def plain_counterparts(monkeypatch: pytest.MonkeyPatch) -> None:
    adam, norm, clip = torch.optim.Adam, torch.nn.utils.get_total_norm, torch.nn.utils.clip_grads_with_norm_
    slow = {"foreach": False}
    monkeypatch.setattr(torch.optim, "Adam", lambda groups, **k: adam(groups, **{**k, **slow, "fused": False}))
    monkeypatch.setattr(torch.nn.utils, "get_total_norm", lambda tensors, **_: norm(tensors, **slow))
    monkeypatch.setattr(torch.nn.utils, "clip_grads_with_norm_", lambda p, m, n, **_: clip(p, m, n, **slow))
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)


def trainer_without_values(fields: dict[str, Any], loss: str) -> DictionaryTrainer:
    config = DictionaryConfig(n_features=N_FEATURES, **fields)
    dictionary = build_dictionary(config, d_in=D_IN, seed=0, sample=torch.randn(N_ROWS, D_IN))
    assert isinstance(dictionary, EncoderDictionary)
    training = TrainingConfig(n_tokens=10_000, batch_tokens=N_ROWS, loss=loss, resample_every_steps=0)  # pyright: ignore
    scale = dictionary.input_scale
    dictionary.to("meta").input_scale = scale  # read once at the start, as on a GPU
    trainer = DictionaryTrainer("it", dictionary.train(), training)
    dictionary.input_scale = scale.to("meta")
    trainer.dead = torch.arange(5, device="meta")
    return trainer


@pytest.mark.usefixtures("plain_counterparts")
@pytest.mark.parametrize("loss", ["mse", "normalised_mse"])
@pytest.mark.parametrize("fields", KINDS.values(), ids=KINDS)
def test_a_step_asks_for_no_value(fields: dict[str, Any], loss: str) -> None:
    trainer = trainer_without_values(fields, loss)
    x = torch.empty(N_ROWS, D_IN, device="meta")
    for _ in range(DEAD_LIST_EVERY_STEPS - 1):
        trainer.step(x, is_recorded=False)
    assert trainer.n_steps == DEAD_LIST_EVERY_STEPS - 1
    assert {p.device.type for p in trainer.dictionary.parameters()} == {"meta"}


@pytest.mark.usefixtures("plain_counterparts")
def test_the_check_notices_a_wait() -> None:
    trainer = trainer_without_values(KINDS["topk"], "mse")
    with pytest.raises(RuntimeError, match="meta"):
        trainer.step(torch.empty(N_ROWS, D_IN, device="meta"), is_recorded=True)
