"""What is exported computes, by the other tool's formulas and by our own readers, what it computed here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import load_file

from sae_core.architectures.matching_pursuit import MatchingPursuitDictionary
from sae_core.architectures.normalised import Normalisation, NormalisedDictionary
from sae_core.architectures.ruled import RuledDictionary
from sae_core.architectures.transcoder import TranscoderDictionary
from sae_core.build import FAMILIES, build_dictionary
from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary
from sae_core.errors import DictionaryExportError
from sae_core.foreign.reading import detect_format, read_foreign
from sae_core.foreign.writing import export_dictionary

D, N = 8, 16
X = torch.randn(60, D, generator=torch.Generator().manual_seed(0)) * 2 + 0.5
FURTHER: dict[str, dict[str, Any]] = {
    "matryoshka": {"prefixes": (4, N)},
    "identity": {"n_features": D},
    "pca": {"n_features": 4},
    "ica": {"n_features": 4},
    "mlp": {"hidden": (8,)},
}
pytestmark = pytest.mark.filterwarnings("ignore:FastICA did not converge")
SAELENS = {"relu", "topk", "abstopk", "jumprelu", "gated", "batchtopk", "matryoshka", "prolu"}


@torch.no_grad()
def _build(kind: str) -> Dictionary:
    config = DictionaryConfig(kind=kind, **{"n_features": N, "k": 3, **FURTHER.get(kind, {})})  # type: ignore[arg-type]
    dictionary = build_dictionary(config, d_in=D, seed=0, sample=X.exp().sqrt())
    return _shaken(dictionary)


@torch.no_grad()
def _shaken(dictionary: Dictionary) -> Dictionary:
    draw = torch.Generator().manual_seed(1)
    for name, tensor in dictionary.state_dict().items():
        if name in ("W_dec", "inner.W_dec"):
            tensor.copy_(torch.nn.functional.normalize(torch.randn(tensor.shape, generator=draw), dim=1))
        elif tensor.is_floating_point() and name not in ("input_scale", "unit"):
            tensor.copy_(torch.randn(tensor.shape, generator=draw) * 0.5)
        if name in ("threshold", "code_scale", "atom_norm"):
            tensor.abs_().add_(0.1)
    return dictionary.eval().requires_grad_(False)


def _comes_back(dictionary: Dictionary, folder: Path, *, format: str) -> dict[str, Any]:
    export_dictionary(dictionary, folder, format=format, metadata={"model_name": "small"})
    assert detect_format(folder) == format
    found = read_foreign(folder).dictionary
    code = dictionary.encode_dense(X)
    assert int((code != 0).sum()) > 0
    torch.testing.assert_close(found.encode_dense(X), code, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found(X), dictionary(X), rtol=1e-5, atol=1e-5)
    return json.loads((folder / "cfg.json").read_text())


@pytest.mark.parametrize("kind", sorted(SAELENS))
def test_kinds_survive_saelens_format(kind: str, tmp_path: Path) -> None:
    cfg = _comes_back(_build(kind), tmp_path, format="saelens")
    assert cfg["metadata"]["model_name"] == "small" and "sae_core" not in cfg["metadata"]
    if kind in ("batchtopk", "matryoshka", "prolu"):
        assert cfg["architecture"] == "jumprelu"


@pytest.mark.parametrize("method", get_args(Normalisation))
def test_normalisation_of_the_input_is_a_key_of_the_configuration(method: Normalisation, tmp_path: Path) -> None:
    dictionary = _shaken(NormalisedDictionary(_build("topk"), method=method))
    assert _comes_back(dictionary, tmp_path, format="saelens")["normalize_activations"] == method


@pytest.mark.parametrize("rule", ["topk", "abstopk"])
def test_a_scale_of_the_codes_goes_back_into_the_decoder(rule, tmp_path: Path) -> None:
    dictionary = _shaken(RuledDictionary(DictionaryConfig(kind="topk", n_features=N, k=3), d_in=D, rule=rule))
    _comes_back(dictionary, tmp_path, format="saelens")
    norms = load_file(tmp_path / "sae_weights.safetensors")["W_dec"].norm(dim=1)
    torch.testing.assert_close(norms, dictionary.code_scale)


@pytest.mark.parametrize("has_skip", [False, True])
@pytest.mark.parametrize("rule", ["relu", "jumprelu"])
def test_transcoders_survive_saelens_format(rule, has_skip: bool, tmp_path: Path) -> None:
    config = DictionaryConfig(kind=rule, n_features=N)
    dictionary = _shaken(TranscoderDictionary(config, d_in=D, d_out=5, rule=rule, has_skip=has_skip))
    cfg = _comes_back(dictionary, tmp_path, format="saelens")
    assert cfg["architecture"] == "jumprelu_" * (rule == "jumprelu") + "skip_" * has_skip + "transcoder"


def test_matching_pursuit_survives_saelens_format(tmp_path: Path) -> None:
    config = DictionaryConfig(kind="inferred", method="matching_pursuit", n_features=N)
    dictionary = MatchingPursuitDictionary(config, d_in=D, n_steps=4, residual_threshold=0.2)
    cfg = _comes_back(_shaken(dictionary), tmp_path, format="saelens")
    assert (cfg["max_iterations"], cfg["residual_threshold"]) == (4, 0.2)


def test_topk_survives_sparsify_format(tmp_path: Path) -> None:
    cfg = _comes_back(_build("topk"), tmp_path, format="sparsify")
    assert (cfg["num_latents"], cfg["k"], cfg["transcode"], cfg["d_in"]) == (N, 3, False, D)


@pytest.mark.parametrize("family", [RuledDictionary, TranscoderDictionary])
@pytest.mark.parametrize("rule", ["topk", "groupmax"])
def test_ruled_dictionaries_survive_sparsify_format(rule, family, tmp_path: Path) -> None:
    config = DictionaryConfig(kind="topk", n_features=N, k=4)
    dictionary = _shaken(family(config, d_in=D, rule=rule, has_skip=True))
    cfg = _comes_back(dictionary, tmp_path, format="sparsify")
    assert (cfg["activation"], cfg["skip_connection"]) == (rule, True)


@pytest.mark.parametrize("kind", sorted(set(FAMILIES) - SAELENS))
def test_what_saelens_cannot_hold_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DictionaryExportError, match=f"no architecture for a {kind} dictionary; it can hold relu, topk"):
        export_dictionary(_build(kind), tmp_path / "d", format="saelens")
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("kind", sorted(set(FAMILIES) - {"topk"}))
def test_what_sparsify_cannot_hold_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DictionaryExportError, match=f"cannot hold a {kind} dictionary; it can hold topk"):
        export_dictionary(_build(kind), tmp_path, format="sparsify")


def test_a_threshold_never_learned_and_an_unknown_format_are_refused(tmp_path: Path) -> None:
    fresh = build_dictionary(DictionaryConfig(kind="batchtopk", n_features=N, k=3), d_in=D, seed=0)
    with pytest.raises(DictionaryExportError, match="threshold was never learned"):
        export_dictionary(fresh, tmp_path, format="saelens")
    with pytest.raises(DictionaryExportError, match=r"format = 'spars': must be one of .*did you mean 'sparsify'"):
        export_dictionary(_build("topk"), tmp_path, format="spars")
    wide = TranscoderDictionary(DictionaryConfig(kind="topk", n_features=N, k=3), d_in=D, d_out=5, rule="topk")
    with pytest.raises(DictionaryExportError, match="input and output have one width"):
        export_dictionary(wide, tmp_path, format="sparsify")
