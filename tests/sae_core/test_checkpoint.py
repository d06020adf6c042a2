"""Dictionaries of every kind come back bit for bit, in SAELens' layout where it has their architecture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from sae_core import atomic
from sae_core.architectures.normalised import NormalisedDictionary
from sae_core.architectures.ruled import Rule, RuledDictionary
from sae_core.architectures.transcoder import TranscoderDictionary
from sae_core.build import FAMILIES, build_dictionary
from sae_core.checkpoint import is_own, load_dictionary, read_metadata, save_dictionary
from sae_core.config import DictionaryConfig, DictionaryKind
from sae_core.dictionary import Dictionary
from sae_core.errors import DictionaryFormatError, DictionaryWriteError
from tests.drawing import examples

X = torch.rand(200, 6, generator=torch.Generator().manual_seed(0)) ** 3 * 9 + 1
FURTHER: dict[str, dict[str, Any]] = {
    "relu": {"l1_weight": 0.7},
    "topk": {"k": 3},
    "batchtopk": {"k": 3},
    "abstopk": {"k": 3},
    "matryoshka": {"k": 3, "prefixes": (2, 5, 10)},
    "mlp": {"hidden": (7, 5)},
    "identity": {"n_features": 6},
    "pca": {"n_features": 4},
    "ica": {"n_features": 4},
}
ARCHITECTURES = {
    "relu": "standard",
    "topk": "topk",
    "abstopk": "abstopk",
    "jumprelu": "jumprelu",
    "gated": "gated",
    "batchtopk": "batchtopk",
    "matryoshka": "matryoshka_batchtopk",
}
CONFIGS = {
    kind: DictionaryConfig(kind=kind, **{"n_features": 10, **FURTHER.get(kind, {})})  # type: ignore[arg-type]
    for kind in FAMILIES
}
CONFIGS |= {
    f"mlp_{output}": DictionaryConfig(kind="mlp", n_features=10, hidden=(7,), output=output, k=2)  # type: ignore[arg-type]
    for output in ("topk", "jumprelu")
}


def _build(name: str) -> Dictionary:
    dictionary = build_dictionary(CONFIGS[name], d_in=6, seed=0, sample=X)
    _shake(dictionary)
    return dictionary.eval()


@torch.no_grad()
def _shake(dictionary: Dictionary) -> None:
    """Values as training leaves them: nothing is zero or one but the directions' norms."""
    draw = torch.Generator().manual_seed(2)
    for name, tensor in dictionary.state_dict().items():
        part = name.rpartition(".")[2]
        if tensor.is_floating_point() and part not in ("W_dec", "unit", "input_scale"):
            tensor.add_(0.1 * torch.rand(tensor.shape, generator=draw) + 0.01)
        if part == "threshold":
            tensor.abs_()


def _imported() -> dict[str, Dictionary]:
    config = DictionaryConfig(kind="topk", n_features=10, k=2)
    found: dict[str, Dictionary] = {
        rule: RuledDictionary(config, d_in=6, rule=rule, has_skip=rule == "groupmax") for rule in get_args(Rule)
    }
    found["transcoder"] = TranscoderDictionary(config, d_in=6, d_out=4, rule="relu", has_skip=True)
    for dictionary in found.values():
        _shake(dictionary)
        dictionary.directions.copy_(torch.nn.functional.normalize(torch.randn(dictionary.directions.shape), dim=1))
    found["normalised"] = NormalisedDictionary(_build("jumprelu"), method="layer_norm")
    found["twice"] = NormalisedDictionary(found["normalised"], method="constant_norm_rescale")
    return found


def _same(loaded: Dictionary, wanted: Dictionary, folder: Path) -> None:
    assert type(loaded) is type(wanted) and loaded.config == wanted.config
    state = wanted.state_dict()
    assert set(loaded.state_dict()) == set(state)
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, state[name]) and tensor.dtype == state[name].dtype, name
    assert torch.equal(loaded.encode_dense(X), wanted.encode_dense(X))
    assert not any(parameter.requires_grad for parameter in loaded.parameters()) and not loaded.training
    save_dictionary(loaded, folder / "b", metadata=_plain(folder / "a"))
    for name in ("cfg.json", "sae_weights.safetensors"):
        assert (folder / "a" / name).read_bytes() == (folder / "b" / name).read_bytes()


def _plain(folder: Path) -> dict[str, Any]:
    return {key: value for key, value in read_metadata(folder).items() if key != "sae_core"}


@pytest.mark.filterwarnings("ignore:FastICA did not converge")
@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_round_trip_is_bit_exact(name: str, tmp_path: Path) -> None:
    dictionary = _build(name)
    save_dictionary(dictionary, tmp_path / "a", metadata={"hook_name": "blocks.0.mlp.hook_post"})
    _same(load_dictionary(tmp_path / "a"), dictionary, tmp_path)
    assert is_own(tmp_path / "a")
    assert read_metadata(tmp_path / "a")["hook_name"] == "blocks.0.mlp.hook_post"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["cfg.json", "sae_weights.safetensors"]
    cfg = json.loads((tmp_path / "a" / "cfg.json").read_text())
    kind = CONFIGS[name].kind
    assert cfg["architecture"] == ARCHITECTURES.get(kind, f"sae_core.{kind}")
    assert (cfg["d_in"], cfg["d_sae"]) == (6, dictionary.n_features)


@pytest.mark.parametrize("name", sorted(_imported()))
def test_imported_dictionaries_come_back_too(name: str, tmp_path: Path) -> None:
    dictionary = _imported()[name]
    save_dictionary(dictionary, tmp_path / "a")
    _same(load_dictionary(tmp_path / "a"), dictionary, tmp_path)


def test_every_kind_is_tested() -> None:
    assert {config.kind for config in CONFIGS.values()} == set(FAMILIES) <= set(get_args(DictionaryKind))


@settings(deadline=None, max_examples=examples(40))
@given(log=st.floats(-80, 80, width=32), more=st.sampled_from([0.0, 1.0, -float("inf")]))
def test_thresholds_survive_their_exponential(log: float, more: float, tmp_path_factory) -> None:
    """The file holds exp(log_threshold), -inf as 0; closer to log 0 than 1e-8 no float64 could tell them apart."""
    dictionary = _build("jumprelu")
    values = torch.tensor([log if abs(log) > 1e-8 else 0.0, more])
    dictionary.state_dict()["log_threshold"][:2] = values
    folder = save_dictionary(dictionary, tmp_path_factory.mktemp("d"))
    assert torch.equal(load_dictionary(folder).state_dict()["log_threshold"][:2], values)


@pytest.mark.parametrize("kind", sorted(ARCHITECTURES))
def test_file_follows_saelens(kind: str, tmp_path: Path) -> None:
    """The tensors, read by SAELens' formulas, reconstruct the same."""
    dictionary = _build(kind)
    save_dictionary(dictionary, tmp_path)
    cfg = json.loads((tmp_path / "cfg.json").read_text())
    assert (cfg["dtype"], cfg["device"], cfg["apply_b_dec_to_input"]) == ("float32", "cpu", True)
    assert cfg["normalize_activations"] == cfg["reshape_activations"] == "none"
    assert tuple(map(int, cfg["metadata"]["sae_lens_version"].split("."))) >= (6, 0, 0)
    t = load_file(tmp_path / "sae_weights.safetensors")
    product = (X - t["b_dec"]) @ t["W_enc"]
    if kind == "gated":
        assert set(t) == {"W_enc", "W_dec", "b_dec", "b_gate", "b_mag", "r_mag"}
        code = (product + t["b_gate"] > 0) * torch.relu(product * t["r_mag"].exp() + t["b_mag"])
    else:
        pre = product + t["b_enc"]
        code = torch.relu(pre)
    if kind in ("topk", "abstopk"):
        assert (cfg["k"], cfg["rescale_acts_by_decoder_norm"]) == (3, False)
        chosen = (pre.abs() if kind == "abstopk" else pre).topk(3).indices
        code = torch.zeros_like(code).scatter(1, chosen, pre.gather(1, chosen) if kind == "abstopk" else 1.0)
        code = code if kind == "abstopk" else code * torch.relu(pre)
    if kind == "jumprelu":
        assert t["threshold"].shape == (10,)
        code = code * (pre > t["threshold"])
    if kind in ("batchtopk", "matryoshka"):
        assert t["topk_threshold"].shape == () and t["topk_threshold"].dtype == torch.float64
        code = code * (pre > t["topk_threshold"])
        assert cfg.get("matryoshka_widths") == ([2, 5, 10] if kind == "matryoshka" else None)
    torch.testing.assert_close(code @ t["W_dec"] + t["b_dec"], dictionary(X))


def test_a_foreign_file_is_brought_to_unit_directions(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(5)
    shapes = {"W_enc": (6, 10), "W_dec": (10, 6), "b_enc": (10,), "b_dec": (6,)}
    t = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    save_file(t, tmp_path / "sae_weights.safetensors")
    (tmp_path / "cfg.json").write_text(json.dumps({"architecture": "standard", "d_in": 6, "d_sae": 10}))
    assert not is_own(tmp_path)
    loaded = load_dictionary(tmp_path)
    torch.testing.assert_close(loaded.directions.norm(dim=1), torch.ones(10))
    code = torch.relu((X - t["b_dec"]) @ t["W_enc"] + t["b_enc"])
    torch.testing.assert_close(loaded(X), code @ t["W_dec"] + t["b_dec"], rtol=1e-4, atol=1e-4)


def test_missing_truncated_and_garbled_files(tmp_path: Path) -> None:
    with pytest.raises(DictionaryFormatError, match=r"cfg\.json: cannot be read .*give the directory"):
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
    with pytest.raises(DictionaryFormatError, match=message) as caught:
        load_dictionary(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cfg: cfg["metadata"]["sae_core"]["config"].update(kind="nonsense"), "does not describe a dictionary"),
        (lambda cfg: cfg["metadata"]["sae_core"]["config"].update(colour="red"), "unknown field colour"),
        (lambda cfg: cfg["metadata"]["sae_core"].pop("config"), "does not describe a dictionary"),
        (lambda cfg: cfg["metadata"]["sae_core"].update(state=None), r"state.input_scale = None does not fit"),
        (lambda cfg: cfg["metadata"]["sae_core"].update(family="none"), "does not describe a dictionary"),
        (lambda cfg: cfg.update(d_sae=11), "d_sae = 11, but metadata.sae_core has 10"),
        (lambda cfg: cfg.update(d_in=-1), "d_in = -1"),
        (lambda cfg: cfg.update(architecture="gated"), "architecture = 'gated' is not the one described"),
    ],
)
def test_descriptions_that_cannot_be_right(change, message: str, tmp_path: Path) -> None:
    save_dictionary(_build("topk"), tmp_path)
    cfg = json.loads((tmp_path / "cfg.json").read_text())
    change(cfg)
    (tmp_path / "cfg.json").write_text(json.dumps(cfg))
    with pytest.raises(DictionaryFormatError, match=message) as caught:
        load_dictionary(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_flipped_bit_of_the_weights_is_noticed(tmp_path: Path) -> None:
    save_dictionary(_build("mlp"), tmp_path)
    path = tmp_path / "sae_weights.safetensors"
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises(DictionaryFormatError):
            load_dictionary(tmp_path)
    path.write_bytes(whole)
    load_dictionary(tmp_path)


def _rewrite(folder: Path, change) -> None:
    cfg = json.loads((folder / "cfg.json").read_text())
    change(cfg)
    (folder / "cfg.json").write_text(json.dumps(cfg))


def test_a_changed_description_is_noticed_and_one_without_hash_still_opens(tmp_path: Path) -> None:
    dictionary = _build("topk")
    save_dictionary(dictionary, tmp_path, metadata={"model_name": "gpt2"})
    _rewrite(tmp_path, lambda cfg: cfg["metadata"].update(model_name="what a user writes there is his own"))
    load_dictionary(tmp_path)
    _rewrite(tmp_path, lambda cfg: cfg["metadata"]["sae_core"]["config"].update(k=4))
    with pytest.raises(DictionaryFormatError, match="changed or damaged since it was saved"):
        load_dictionary(tmp_path)
    _rewrite(tmp_path, lambda cfg: cfg["metadata"]["sae_core"].pop("sha256"))
    with pytest.raises(DictionaryFormatError, match=r"k = 3, but metadata.sae_core describes 4"):
        load_dictionary(tmp_path)
    _rewrite(tmp_path, lambda cfg: cfg["metadata"]["sae_core"]["config"].update(k=3))
    assert torch.equal(load_dictionary(tmp_path).encode_dense(X), dictionary.encode_dense(X))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("relu", lambda cfg: (cfg.update(d_in=10**6, d_sae=10**6), _config(cfg).update(n_features=10**6))),
        ("relu", lambda cfg: (cfg.update(d_sae=10**12), _config(cfg).update(n_features=10**12))),
        ("mlp", lambda cfg: _config(cfg).update(hidden=[10**6, 10**6])),
        ("pca", lambda cfg: cfg.update(d_in=10**12)),
        ("transcoder", lambda cfg: _own(cfg)["options"].update(d_out=10**12)),
        ("transcoder", lambda cfg: (cfg.update(d_in=10**6), _own(cfg)["options"].update(d_out=10**6))),
        ("normalised", lambda cfg: _own(cfg)["inner"]["config"].update(n_features=10**12)),
    ],
)
@pytest.mark.filterwarnings("ignore:FastICA did not converge")
def test_stated_sizes_are_held_against_the_weights(kind: str, change, tmp_path: Path) -> None:
    save_dictionary(_build(kind) if kind in CONFIGS else _imported()[kind], tmp_path)
    _rewrite(tmp_path, change)
    with pytest.raises(DictionaryFormatError, match=r"sizes it states need [\d,]+ weights, the file beside it holds"):
        load_dictionary(tmp_path)


def _own(cfg: dict[str, Any]) -> dict[str, Any]:
    return cfg["metadata"]["sae_core"]


def _config(cfg: dict[str, Any]) -> dict[str, Any]:
    return _own(cfg)["config"]


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
