"""Dictionaries come back bit for bit, in SAELens' layout; damaged and foreign files get one clear line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sae_core import atomic
from sae_core.build import build_dictionary
from sae_core.checkpoint import load_dictionary, read_metadata, save_dictionary
from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary
from sae_core.errors import DictionaryFormatError, DictionaryWriteError

X = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)) * 5 + 1
CONFIGS = {
    "relu": DictionaryConfig(kind="relu", n_features=10, l1_weight=0.7),
    "topk": DictionaryConfig(kind="topk", n_features=10, k=3),
    "mlp": DictionaryConfig(kind="mlp", n_features=10, hidden=(7, 5)),
    "identity": DictionaryConfig(kind="identity"),
    "random": DictionaryConfig(kind="random", n_features=10),
}
ARCHITECTURES = {"relu": "standard", "topk": "topk", "mlp": "mlp_encoder", "random": "random_directions"}


def _build(kind: str) -> Dictionary:
    dictionary = build_dictionary(CONFIGS[kind], d_in=6, seed=0, sample=X)
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in dictionary.named_parameters():
            if name != "W_dec":
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw))
    return dictionary


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_round_trip_is_bit_exact(kind: str, tmp_path: Path) -> None:
    dictionary = _build(kind)
    save_dictionary(dictionary, tmp_path / "a", metadata={"hook_name": "blocks.0.mlp.hook_post"})
    loaded = load_dictionary(tmp_path / "a")
    assert type(loaded) is type(dictionary) and loaded.config == dictionary.config
    wanted = dictionary.state_dict()
    assert set(loaded.state_dict()) == set(wanted)
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, wanted[name]), name
    assert torch.equal(loaded.encode_dense(X), dictionary.encode_dense(X))
    assert read_metadata(tmp_path / "a")["hook_name"] == "blocks.0.mlp.hook_post"
    save_dictionary(loaded, tmp_path / "b", metadata={"hook_name": "blocks.0.mlp.hook_post"})
    for name in ("cfg.json", "sae_weights.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["cfg.json", "sae_weights.safetensors"]


@pytest.mark.parametrize("kind", ["relu", "topk"])
def test_file_follows_saelens(kind: str, tmp_path: Path) -> None:
    """The tensors, read as SAELens reads them, reconstruct the same."""
    dictionary = _build(kind)
    save_dictionary(dictionary, tmp_path)
    cfg = json.loads((tmp_path / "cfg.json").read_text())
    assert cfg["architecture"] == ARCHITECTURES[kind]
    assert (cfg["d_in"], cfg["d_sae"], cfg["dtype"], cfg["device"]) == (6, 10, "float32", "cpu")
    assert cfg["apply_b_dec_to_input"] is True
    assert cfg["normalize_activations"] == cfg["reshape_activations"] == "none"
    assert tuple(map(int, cfg["metadata"]["sae_lens_version"].split("."))) >= (6, 0, 0)
    tensors = load_file(tmp_path / "sae_weights.safetensors")
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {
        "W_enc": (6, 10),
        "W_dec": (10, 6),
        "b_enc": (10,),
        "b_dec": (6,),
    }
    code = torch.relu((X - tensors["b_dec"]) @ tensors["W_enc"] + tensors["b_enc"])
    if kind == "topk":
        assert (cfg["k"], cfg["rescale_acts_by_decoder_norm"]) == (3, False)
        code = code * torch.zeros_like(code).scatter(1, code.topk(3).indices, 1.0)
    torch.testing.assert_close(code @ tensors["W_dec"] + tensors["b_dec"], dictionary(X))


def _foreign(folder: Path, **cfg: object) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(5)
    shapes = {"W_enc": (6, 10), "W_dec": (10, 6), "b_enc": (10,), "b_dec": (6,)}
    tensors = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    save_file(tensors, folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(json.dumps({"architecture": "standard", "d_in": 6, "d_sae": 10, **cfg}))
    return tensors


@pytest.mark.parametrize("is_centred", [True, False])
def test_foreign_relu_is_brought_to_unit_directions(is_centred: bool, tmp_path: Path) -> None:
    t = _foreign(tmp_path, apply_b_dec_to_input=is_centred)
    loaded = load_dictionary(tmp_path)
    torch.testing.assert_close(loaded.directions.norm(dim=1), torch.ones(10))
    code = torch.relu((X - t["b_dec"] * is_centred) @ t["W_enc"] + t["b_enc"])
    torch.testing.assert_close(loaded(X), code @ t["W_dec"] + t["b_dec"], rtol=1e-4, atol=1e-4)


def test_foreign_topk_is_read_only_where_its_selection_can_be_kept(tmp_path: Path) -> None:
    t = _foreign(tmp_path, architecture="topk", k=3, rescale_acts_by_decoder_norm=True)
    norms = t["W_dec"].norm(dim=1)
    pre = torch.relu(((X - t["b_dec"]) @ t["W_enc"] + t["b_enc"]) * norms)
    code = pre * torch.zeros_like(pre).scatter(1, pre.topk(3).indices, 1.0)
    wanted = code @ (t["W_dec"] / norms[:, None]) + t["b_dec"]
    torch.testing.assert_close(load_dictionary(tmp_path)(X), wanted, rtol=1e-4, atol=1e-4)
    _foreign(tmp_path, architecture="topk", k=3)
    with pytest.raises(DictionaryFormatError, match="selects without them"):
        load_dictionary(tmp_path)


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ({"architecture": "gated"}, "architecture = 'gated'.*known ones: standard"),
        ({"architecture": "mlp_encoder"}, "mlp_encoder"),
        ({"architecture": "topk"}, "k = None"),
        ({"architecture": "topk", "k": 11}, "k = 11: must be at most"),
        ({"d_in": 7}, r"shape \(10, 6\), cfg.json asks for \(10, 7\)|shape"),
        ({"d_sae": "ten"}, "d_sae = 'ten'"),
        ({"normalize_activations": "layer_norm"}, "normalize_activations = 'layer_norm'"),
        ({"metadata": 3}, "metadata"),
    ],
)
def test_configurations_that_cannot_be_read(cfg: dict, message: str, tmp_path: Path) -> None:
    _foreign(tmp_path, **cfg)
    with pytest.raises(DictionaryFormatError, match=message) as caught:
        load_dictionary(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_truncated_and_garbled_files(tmp_path: Path) -> None:
    with pytest.raises(DictionaryFormatError, match=r"cfg\.json: cannot be read"):
        load_dictionary(tmp_path / "nowhere")
    save_dictionary(_build("relu"), tmp_path)
    weights = tmp_path / "sae_weights.safetensors"
    content = weights.read_bytes()
    for n_bytes in (0, 5, 40, len(content) - 1):
        weights.write_bytes(content[:n_bytes])
        with pytest.raises(DictionaryFormatError, match="not a whole safetensors file"):
            load_dictionary(tmp_path)
    weights.unlink()
    with pytest.raises(DictionaryFormatError, match=r"safetensors: missing"):
        load_dictionary(tmp_path)
    weights.write_bytes(content)
    (tmp_path / "cfg.json").write_text('{"d_in": 6,')
    with pytest.raises(DictionaryFormatError, match="not valid JSON"):
        load_dictionary(tmp_path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("W_enc", lambda t: None, "W_enc is missing"),
        ("W_dec", lambda t: t.T.contiguous(), "looks transposed"),
        ("b_enc", lambda t: t[:-1], "b_enc has shape"),
        ("b_dec", lambda t: t * float("nan"), "b_dec holds values that are not finite"),
        ("W_dec", lambda t: t * 2, "norm 2, must be 1"),
    ],
)
def test_tensors_that_cannot_be_right(name: str, change, message: str, tmp_path: Path) -> None:
    save_dictionary(_build("relu"), tmp_path)
    path = tmp_path / "sae_weights.safetensors"
    tensors = load_file(path)
    changed = change(tensors.pop(name))
    save_file(tensors if changed is None else {**tensors, name: changed}, path)
    with pytest.raises(DictionaryFormatError, match=message):
        load_dictionary(tmp_path)


def test_a_failed_write_keeps_the_old_files_and_leaves_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_dictionary(_build("relu"), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(DictionaryWriteError, match=r"No space left.*free space"):
        save_dictionary(_build("topk"), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
