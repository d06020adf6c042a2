"""Damaged, mistaken and malicious files: one line each, with the path and what to do; nothing in them runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sae_core.checkpoint import load_dictionary
from sae_core.errors import DictionaryFormatError
from sae_core.foreign.reading import read_foreign

FIXTURES = Path(__file__).parent / "fixtures"


def _copy(case: str, folder: Path) -> Path:
    shutil.copytree(FIXTURES / case, folder / "d", ignore=shutil.ignore_patterns("expected*"))
    return folder / "d"


def _fails(path: Path, message: str) -> None:
    with pytest.raises(DictionaryFormatError, match=message) as caught:
        load_dictionary(path)
    line = str(caught.value)
    assert str(path.parent) in line and "\n" not in line and len(line) < 600


def _tensors(name: str) -> Callable[[Callable[[dict], Any]], Callable[[Path], None]]:
    def of(change: Callable[[dict], Any]) -> Callable[[Path], None]:
        def apply(folder: Path) -> None:
            path = folder / name
            if name.endswith(".pt"):
                tensors = torch.load(path, weights_only=True)
                change(tensors)
                torch.save(tensors, path)
                return
            tensors = load_file(path)
            change(tensors)
            save_file({key: value.contiguous() for key, value in tensors.items()}, path)

        return apply

    return of


def _config(name: str = "cfg.json", **keys: object) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        cfg = json.loads((folder / name).read_text())
        cfg.update(keys)
        (folder / name).write_text(json.dumps({key: value for key, value in cfg.items() if value is not None}))

    return apply


def _trainer(**keys: object) -> Callable[[Path], None]:
    return _config("config.json", trainer=keys)


def _write(name: str, content: bytes | None, *, keep: int | None = None) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        whole = (folder / name).read_bytes() if content is None else content
        (folder / name).write_bytes(whole[:keep])

    return apply


def _delete(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


SAELENS = _tensors("sae_weights.safetensors")
SPARSIFY = _tensors("sae.safetensors")
TORCH = _tensors("ae.pt")
CASES: list[tuple[str, Callable[[Path], None], str]] = [
    ("saelens/standard", SAELENS(lambda t: t.pop("W_enc")), r"tensor W_enc is missing \(found: W_dec, b_dec, b_enc\)"),
    ("saelens/standard", SAELENS(lambda t: t.update(W_dec=t["W_dec"].T)), "W_dec has shape .*it looks transposed"),
    ("saelens/standard", SAELENS(lambda t: t["b_dec"].mul_(float("nan"))), "b_dec holds values that are not finite"),
    ("saelens/standard", SAELENS(lambda t: t.update(b_enc=t["b_enc"][:-1])), "b_enc has shape .*do not belong"),
    ("saelens/standard", SAELENS(lambda t: t.update(gain=t["b_enc"] + 1)), "gain does not belong to a SAELens"),
    ("saelens/standard", _config(d_in=7), r"shape \(16, 8\), cfg.json asks for \(16, 7\)"),
    ("saelens/standard", _config(d_in="8"), "d_in = '8', must be a whole number"),
    ("saelens/standard", _config(d_sae=None), "d_sae missing"),
    ("saelens/standard", _config(architecture="gatd"), "architecture = 'gatd', must be .*did you mean 'gated'"),
    ("saelens/standard", _config(architecture="temporal"), "architecture = 'temporal', must be one of"),
    ("saelens/standard", _config(architecture="topk", k=17), "k = 17, must be at most the number of features, 16"),
    ("saelens/standard", _config(architecture="topk"), "k missing"),
    ("saelens/standard", _config(architecture="jumprelu"), "tensor threshold is missing"),
    ("saelens/standard", _config(normalize_activations="l2"), "normalize_activations = 'l2'"),
    ("saelens/standard", _config(reshape_activations="other"), "reshape_activations = 'other'"),
    ("saelens/standard", _config(apply_b_dec_to_input="yes"), "apply_b_dec_to_input = 'yes', must be true or false"),
    ("saelens/standard", _config(metadata=3), "metadata = 3, must be an object"),
    ("saelens/standard", _config(metadata={"sae_core": 3}), "sae_core = 3, must be an object"),
    ("saelens/standard", _config(metadata={"sae_core": {}}), "does not describe a dictionary .'config'."),
    ("saelens/standard", _write("cfg.json", b'{"d_in": 8,'), "cfg.json: not valid JSON"),
    ("saelens/standard", _write("cfg.json", b"[1]"), "cfg.json: holds no object"),
    ("saelens/standard", _write("cfg.json", b"\xff\xfe\x00"), "cfg.json: not valid JSON"),
    ("saelens/standard", _write("cfg.json", b"[" * 100_000), "cfg.json: not valid JSON"),
    ("saelens/standard", _write("sae_weights.safetensors", None, keep=300), "not a whole safetensors file"),
    ("saelens/standard", _write("sae_weights.safetensors", b""), "not a whole safetensors file"),
    ("saelens/standard", _delete("sae_weights.safetensors"), "safetensors: missing"),
    ("saelens/standard", _config(rescale_acts_by_decoder_nrm=True), "did you mean 'rescale_acts_by_decoder_norm'"),
    ("saelens/topk", _config(signed=True), r"cfg.json: signed = 'True' is not understood.*may change the codes"),
    ("saelens/old_topk", _config(activation_fn="tanh-relu"), "activation_fn = 'tanh-relu', must be one of relu, topk"),
    ("saelens/old_topk", _config(activation_fn_kwargs={"k": 3, "postact_fn": "id"}), "postact_fn = 'id' is not"),
    ("saelens/old_topk", _config(post_activation="abs"), "post_activation = 'abs' is not understood"),
    ("saelens/standard", SAELENS(lambda t: t.update(b_dec=t["b_dec"] * 1j)), "b_dec is complex; save plain tensors"),
    ("saelens/matryoshka", _config(matryoshka_widths=[8, 4, 16]), "matryoshka_widths = .*growing whole numbers"),
    ("saelens/matryoshka", _config(matryoshka_widths=[4, 8]), "of which the last is 16"),
    ("saelens/matching_pursuit", _config(max_iterations=0), "max_iterations = 0"),
    ("saelens/scaled_standard", _write("activation_scaler.json", b'{"scaling_factor": 0}'), "scaling_factor = 0"),
    ("saelens/whitened_standard_uncentred", _delete("activation_whitening.safetensors"), "fold_activation_whitening"),
    ("saelens/transcoder", _config(d_out=7), r"W_dec has shape \(16, 6\), cfg.json asks for \(16, 7\)"),
    ("saelens/transcoder", _config(normalize_activations="covariance_whitening"), "cannot be folded into a transcoder"),
    ("sparsify/topk", SPARSIFY(lambda t: t.pop("W_dec")), "tensor W_dec is missing"),
    ("sparsify/topk", _config(k=99), "k = 99, must be at most"),
    ("sparsify/topk", _config(activation="relu"), "activation = 'relu', must be one of topk, groupmax"),
    ("sparsify/topk", _config(expansion_factor=None), "expansion_factor missing"),
    ("sparsify/topk", _config(gram_lookup=True), "gram_lookup = 'True' is not understood"),
    ("sparsify/topk", _config(signed="yes"), "signed = 'yes', must be true or false"),
    ("sparsify/groupmax", _config(signed=True), "signed = True with activation = 'groupmax'"),
    ("sparsify/groupmax", _config(k=3), "k = 3, must be a divisor of the number of features, 20"),
    ("sparsify/topk", _config(skip_connection=True), "tensor W_skip is missing"),
    ("sparsify/skip", _config(skip_connection=False), "W_skip does not belong"),
    ("dictionary_learning/topk", TORCH(lambda t: t.pop("b_dec")), "tensor b_dec is missing"),
    ("dictionary_learning/topk", TORCH(lambda t: t.update(k=torch.tensor(0))), "k = 0, must be at least 1"),
    ("dictionary_learning/topk", _delete("config.json"), "AutoEncoderTopK or BatchTopKSAE; put the training's config"),
    ("dictionary_learning/topk", _trainer(dict_class="Crosscoder"), "dict_class = 'Crosscoder' cannot be read"),
    ("dictionary_learning/topk", _write("config.json", b"{"), "config.json: not valid JSON"),
    ("dictionary_learning/topk", _write("ae.pt", None, keep=1500), "ae.pt: (not a whole torch file|holds more than)"),
    ("dictionary_learning/topk", _write("ae.pt", b"nothing of the kind"), "ae.pt"),
    ("dictionary_learning/topk", _write("ae.pt", b""), "ae.pt"),
    ("dictionary_learning/topk", TORCH(lambda t: t.update(rule="abs")), "entry rule does not belong to a dictionary_l"),
    (
        "dictionary_learning/autoencoder",
        TORCH(lambda t: t.update({"encoder.weight": t["encoder.weight"].to_sparse()})),
        "encoder.weight is sparse; save plain tensors",
    ),
    (
        "dictionary_learning/autoencoder",
        TORCH(lambda t: t.update({name: torch.ones(1).expand(10**6, 10**6) for name in t if "weight" in name})),
        "encoder.weight is one of 1,000,000,000,000 values of which the file holds 4 bytes",
    ),
    (
        "dictionary_learning/topk",
        TORCH(lambda t: t.update({"decoder.weight": t["decoder.weight"].T})),
        "decoder.weight has shape .*it looks transposed",
    ),
    (
        "dictionary_learning/matryoshka",
        TORCH(lambda t: t.update(group_sizes=torch.tensor([4, 4, 4]))),
        r"group_sizes = \[4, 4, 4\], must be positive and sum to 16",
    ),
]


@pytest.mark.parametrize(("case", "damage", "message"), CASES)
def test_a_bad_file_is_one_line(case: str, damage: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    folder = _copy(case, tmp_path)
    load_dictionary(folder)
    damage(folder)
    _fails(folder, message)


class Dangerous:
    """Unpickled by a careless loader, it creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("name", ["ae.pt", "autoencoder.pt", "params.npz"])
@pytest.mark.parametrize("writer", ["torch", "pickle", "numpy"])
def test_code_in_a_file_is_not_run(name: str, writer: str, tmp_path: Path) -> None:
    target, path = tmp_path / "it_ran", tmp_path / name
    content = {"encoder.weight": torch.zeros(4, 2), "latent_bias": Dangerous(target)}
    if writer == "torch":
        torch.save(content, path)
    elif writer == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        with path.open("wb") as file:
            np.savez(file, W_enc=np.array([Dangerous(target)], dtype=object))
    _fails(path, "none of it was run|npz file of plain arrays")
    assert not target.exists()
    if writer == "pickle":  # the file is what it seems: a careless loader does run it
        pickle.loads(path.read_bytes())
        assert target.exists()


def test_an_unknown_format_or_place_is_one_line(tmp_path: Path) -> None:
    _fails(tmp_path / "nowhere", "nowhere")
    (tmp_path / "empty").mkdir()
    _fails(tmp_path / "empty", "holds no dictionary")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "linear.pt")
    _fails(tmp_path / "linear.pt", "not a dictionary of a known format .it holds weight.")
    torch.save([torch.zeros(3)], tmp_path / "list.pt")
    _fails(tmp_path / "list.pt", "holds a list, not a state dict")
    np.savez(tmp_path / "other.npz", W=np.zeros((2, 2)))
    _fails(tmp_path / "other.npz", "tensor W_enc is missing")
    with pytest.raises(DictionaryFormatError, match=r"format = 'saelen': must be auto, .*did you mean 'saelens'"):
        read_foreign(FIXTURES / "saelens/standard", format="saelen")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "Sigmoid"}, "activation = 'Sigmoid' cannot be read"),
        ({"activation_state_dict": {"k": 99}}, "k = 99, must be a whole number from 1 to 6"),
        ({"activation_state_dict": {}}, "k = None"),
        ({"activation_state_dict": {"k": 2, "postact_fn": "Tanh"}}, "postact_fn = 'Tanh' cannot be read"),
        ({"activation_state_dict": {"k": 2, "signed": True}}, "signed = 'True' is not understood"),
        ({"rule": "abs"}, "entry rule does not belong to an OpenAI dictionary"),
        ({"pre_bias": torch.zeros(5)}, "pre_bias has shape"),
        ({"more": torch.zeros(5)}, "more does not belong to an OpenAI dictionary"),
    ],
)
def test_openai_files_that_cannot_be_read(change: dict, message: str, tmp_path: Path) -> None:
    weights = {"encoder.weight": torch.ones(6, 4), "decoder.weight": torch.ones(4, 6)}
    biases = {"pre_bias": torch.zeros(4), "latent_bias": torch.zeros(6)}
    topk = {"activation": "TopK", "activation_state_dict": {"k": 2, "postact_fn": "ReLU"}}
    path = tmp_path / "3.pt"
    torch.save({**weights, **biases, **topk}, path)
    load_dictionary(path)
    torch.save({**weights, **biases, **topk, **change}, path)
    _fails(path, message)


def _npy(shape: tuple[int, ...], body: bytes = b"") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue() + body


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"W_enc.npy": _npy((10**6, 10**6))}, r"W_enc.npy states float32 of shape \(1000000, 1000000\) and holds 0 b"),
        ({"W_enc.npy": _npy((4, 8), bytes(100))}, "states float32 of shape .* and holds 100 bytes"),
        ({"W_enc.npy": _npy((5000, 5000), bytes(10**8))}, r"bytes that unpack to 100,000,\d+"),
    ],
)
def test_sizes_of_arrays_are_held_against_the_file(members: dict[str, bytes], message: str, tmp_path: Path) -> None:
    path = tmp_path / "params.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    _fails(path, message)


def test_a_torch_file_that_unpacks_to_many_times_its_size_is_refused(tmp_path: Path) -> None:
    torch.save({"encoder.weight": torch.zeros(5000, 5000)}, tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, zipfile.ZipFile(tmp_path / "ae.pt", "w") as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name), compress_type=zipfile.ZIP_DEFLATED)
    _fails(tmp_path / "ae.pt", "bytes that unpack to 100,000")


@pytest.mark.parametrize(
    ("case", "name"),
    [("saelens/standard", "sae_weights.safetensors"), ("dictionary_learning/topk", "ae.pt")],
)
def test_a_pipe_is_not_waited_for(case: str, name: str, tmp_path: Path) -> None:
    folder = _copy(case, tmp_path)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    for place in (folder, folder / name):
        _fails(place, "not a regular file")
