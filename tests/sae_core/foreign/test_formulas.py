"""Files of tools and releases that are not at hand: built by their layouts, compared with their formulas."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sae_core.checkpoint import load_dictionary
from sae_core.foreign.reading import detect_format, read_foreign

FIXTURES = Path(__file__).parent / "fixtures"
D, N, ROWS, K = 8, 24, 30, 5
DRAW = np.random.default_rng(0)
X = DRAW.normal(0.4, 1.5, (ROWS, D))


def _gemma(folder: Path) -> dict[str, np.ndarray]:
    arrays = {
        "W_enc": DRAW.normal(size=(D, N)),
        "W_dec": DRAW.normal(size=(N, D)),
        "b_enc": DRAW.normal(size=N),
        "b_dec": DRAW.normal(size=D),
        "threshold": np.abs(DRAW.normal(size=N)),
    }
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    folder.mkdir(parents=True)
    np.savez(folder / "params.npz", **arrays)
    return arrays


def test_gemma_scope_is_jumprelu_without_subtraction(tmp_path: Path) -> None:
    folder = tmp_path / "gemma-scope-2b-pt-res" / "layer_12" / "width_16k" / "average_l0_71"
    p = {name: array.astype(np.float64) for name, array in _gemma(folder).items()}
    pre = X @ p["W_enc"] + p["b_enc"]
    code = np.where(pre > p["threshold"], np.maximum(pre, 0), 0)
    wanted = code @ p["W_dec"] + p["b_dec"]
    for place in (folder, folder / "params.npz"):
        assert detect_format(place) == "gemma_scope"
        dictionary = load_dictionary(place)
        x = torch.from_numpy(X).float()
        norms = np.linalg.norm(p["W_dec"], axis=1)
        np.testing.assert_allclose(dictionary.encode_dense(x), code * norms, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(dictionary(x), wanted, rtol=1e-5, atol=2e-5)
    metadata = read_foreign(folder).metadata
    assert metadata == {
        "layer": 12,
        "average_l0": 71,
        "width": "16k",
        "release": "gemma-scope-2b-pt-res",
        "model_name": "google/gemma-2-2b",
        "hook_name": "blocks.12.hook_resid_post",
    }
    other = tmp_path / "gemma-scope-2b-pt-transcoders" / "layer_3" / "width_16k" / "average_l0_9"
    _gemma(other)
    assert read_foreign(other).dictionary.is_transcoder


def test_signed_sparsify_keeps_the_largest_of_either_sign(tmp_path: Path) -> None:
    """`signed` of older releases: no ReLU before the choice, which is by absolute value."""
    shutil.copytree(FIXTURES / "sparsify" / "topk", tmp_path / "layers.3")
    cfg = json.loads((tmp_path / "layers.3" / "cfg.json").read_text())
    (tmp_path / "layers.3" / "cfg.json").write_text(json.dumps(cfg | {"signed": True}))
    t = {name: tensor.numpy() for name, tensor in load_file(tmp_path / "layers.3" / "sae.safetensors").items()}
    x = DRAW.normal(size=(40, cfg["d_in"])).astype(np.float32)
    pre = (x - t["b_dec"]) @ t["encoder.weight"].T + t["encoder.bias"]
    code = np.zeros_like(pre)
    for row, values in enumerate(pre):
        top = np.argsort(-np.abs(values))[: cfg["k"]]
        code[row, top] = values[top]
    assert (code < 0).any()
    found = read_foreign(tmp_path / "layers.3")
    assert (found.architecture, found.dictionary.is_signed) == ("signed topk autoencoder", True)
    norms = np.linalg.norm(t["W_dec"], axis=1)
    rows = torch.from_numpy(x)
    np.testing.assert_allclose(found.dictionary.encode_dense(rows), code * norms, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.dictionary(rows), code @ t["W_dec"] + t["b_dec"], rtol=1e-4, atol=1e-4)


def test_sparsify_metadata_come_from_the_run_above(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model": "gpt2", "ctx_len": 64, "dataset": "d", "lr": 1.0}))
    for folder in (tmp_path / "layers.3", tmp_path / "layers.3" / "seed1"):
        shutil.copytree(FIXTURES / "sparsify" / "topk", folder)
    wanted = {"hook_name": "layers.3", "model_name": "gpt2", "context_size": 64, "dataset_path": "d"}
    for folder in (tmp_path / "layers.3", tmp_path / "layers.3" / "seed1"):
        assert read_foreign(folder).metadata == wanted


def test_an_old_saelens_file_says_where_it_comes_from(tmp_path: Path) -> None:
    shutil.copytree(FIXTURES / "saelens" / "old_topk", tmp_path / "d")
    path = tmp_path / "d" / "cfg.json"
    cfg = json.loads(path.read_text())
    cfg["hook_point"] = cfg.pop("hook_name")
    path.write_text(json.dumps(cfg | {"hook_point_layer": 1, "prepend_bos": True, "l1_coefficient": 2.0, "lr": 1e-3}))
    assert read_foreign(tmp_path / "d").metadata == {
        "model_name": "small",
        "hook_name": "blocks.1.hook_resid_post",
        "layer": 1,
        "context_size": 32,
        "prepend_bos": True,
    }


def _openai(path: Path, *, activation: str, after: str = "ReLU", is_tied: bool = False) -> dict[str, np.ndarray]:
    state: dict[str, object] = {
        "pre_bias": torch.from_numpy(DRAW.normal(size=D)).float(),
        "encoder.weight": torch.from_numpy(DRAW.normal(size=(N, D))).float(),
        "latent_bias": torch.from_numpy(DRAW.normal(size=N)).float(),
        "decoder.weight": torch.from_numpy(DRAW.normal(size=(D, N))).float(),
        "stats_last_nonzero": torch.zeros(N, dtype=torch.int64),
        "activation": activation,
        "activation_state_dict": {"k": K, "postact_fn": after} if activation == "TopK" else {},
    }
    if is_tied:
        del state["decoder.weight"]
        state["decoder.linear.weight"] = state["encoder.weight"]
    torch.save(state, path)
    arrays = {name: value.double().numpy() for name, value in state.items() if isinstance(value, torch.Tensor)}
    return {"decoder.weight": arrays["encoder.weight"].T, **arrays}


@pytest.mark.parametrize("after", ["ReLU", "Identity"])
def test_openai_topk_implies_layer_norm_in_and_out(after: str, tmp_path: Path) -> None:
    path = tmp_path / "7.pt"
    p = _openai(path, activation="TopK", after=after)
    mean = X.mean(axis=1, keepdims=True)
    deviation = X.std(axis=1, ddof=1, keepdims=True)
    z = (X - mean) / (deviation + 1e-5)
    pre = (z - p["pre_bias"]) @ p["encoder.weight"].T + p["latent_bias"]
    if after == "Identity":
        pre -= 6.0  # so that some of the k largest are negative
        weights = torch.load(path, weights_only=True)
        weights["latent_bias"] -= 6.0
        torch.save(weights, path)
    code = np.zeros_like(pre)
    for row, values in enumerate(pre):
        top = np.argsort(-values)[:K]
        code[row, top] = np.maximum(values[top], 0) if after == "ReLU" else values[top]
    wanted = (code @ p["decoder.weight"].T + p["pre_bias"]) * deviation + mean
    assert detect_format(path) == "openai"
    assert (code[code != 0] < 0).any() == (after == "Identity")
    dictionary = load_dictionary(path)
    x = torch.from_numpy(X).float()
    norms = np.linalg.norm(p["decoder.weight"], axis=0)
    np.testing.assert_allclose(dictionary.encode_dense(x), code * norms, rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(dictionary(x), wanted, rtol=1e-4, atol=1e-4)
    assert dictionary.is_signed == (after == "Identity")


@pytest.mark.parametrize("is_tied", [False, True])
def test_openai_relu_reads_activations_as_they_are(is_tied: bool, tmp_path: Path) -> None:
    path = tmp_path / "autoencoder.pt"
    p = _openai(path, activation="ReLU", is_tied=is_tied)
    code = np.maximum((X - p["pre_bias"]) @ p["encoder.weight"].T + p["latent_bias"], 0)
    wanted = code @ p["decoder.weight"].T + p["pre_bias"]
    np.testing.assert_allclose(load_dictionary(path)(torch.from_numpy(X).float()), wanted, rtol=1e-4, atol=1e-4)
