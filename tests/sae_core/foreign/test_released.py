"""Made-up files in the layouts of today's releases: codes and outputs follow the formula of the release's own tool."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sae_core.checkpoint import load_dictionary, save_dictionary
from sae_core.description import kind_of
from sae_core.errors import DictionaryFormatError
from sae_core.foreign.reading import detect_format, read_foreign

D, N, ROWS, LAYERS = 6, 10, 64, 4


class Made(NamedTuple):
    """A file with the (features, output) of its tool, each feature in the tool's own unit, and its decoder [n, d]."""

    path: Path
    formula: Callable[[Tensor], tuple[Tensor, Tensor]]
    decoder: Tensor


def _draw() -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(5)
    return {
        "W_enc": torch.randn(N, D, generator=draw),
        "W_dec": torch.randn(N, D, generator=draw),
        "b_enc": torch.randn(N, generator=draw) * 0.3,
        "b_dec": torch.randn(D, generator=draw),
        "threshold": torch.rand(N, generator=draw) + 0.2,
        "W_skip": torch.randn(D, D, generator=draw),
        "many": torch.randn(N, LAYERS, D, generator=draw),
    }


def _inputs() -> Tensor:
    return torch.randn(ROWS, D, generator=torch.Generator().manual_seed(7))


def _save(path: Path, **tensors: Tensor) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def _json(path: Path, **values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def _gemma_scope_2(root: Path, *, kind: str, has_skip: bool = False) -> Made:
    t = _draw()
    folder = root / "models--google--gemma-scope-2-1b-pt/snapshots/abc" / f"{kind}/layer_3_width_16k_l0_small"
    tensors = {"w_enc": t["W_enc"].T, "w_dec": t["W_dec"], **{key: t[key] for key in ("b_enc", "b_dec", "threshold")}}
    if has_skip:
        tensors["affine_skip_connection"] = t["W_skip"]

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        pre = x @ tensors["w_enc"] + t["b_enc"]
        code = (pre > t["threshold"]) * torch.relu(pre)
        out = code @ t["W_dec"] + t["b_dec"]
        return code, out + x @ t["W_skip"] if has_skip else out

    return Made(_save(folder / "params.safetensors", **tensors), formula, t["W_dec"])


def _gemma_scope_2_sae(root: Path) -> Made:
    return _gemma_scope_2(root, kind="resid_post_all")


def _gemma_scope_2_transcoder(root: Path) -> Made:
    return _gemma_scope_2(root, kind="transcoder")


def _gemma_scope_2_skip(root: Path) -> Made:
    return _gemma_scope_2(root, kind="transcoder_all", has_skip=True)


def _gemma_scope_2_clt(root: Path) -> Made:
    t = _draw()
    folder = root / "gemma-scope-2-270m-pt/clt/width_16k_l0_small"
    path = _save(
        folder / "params_layer_1.safetensors",
        w_enc=t["W_enc"].T,
        w_dec=t["many"],
        **{key: t[key] for key in ("b_enc", "b_dec", "threshold")},
    )
    written = t["many"][:, 1:].sum(dim=1)  # layers before its own are no part of it

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        pre = x @ t["W_enc"].T + t["b_enc"]
        code = (pre > t["threshold"]) * torch.relu(pre)
        return code, code @ written + t["b_dec"]

    return Made(path, formula, written)


def _qwen_scope(root: Path) -> Made:
    t = _draw()
    path = root / "SAE-Res-Qwen3-1.7B-Base-W32K-L0_3" / "layer12.sae.pt"
    path.parent.mkdir(parents=True)
    torch.save({"W_enc": t["W_enc"], "W_dec": t["W_dec"].T, "b_enc": t["b_enc"], "b_dec": t["b_dec"]}, path)

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        pre = x @ t["W_enc"].T + t["b_enc"]
        best = pre.topk(3, dim=1)
        code = torch.zeros_like(pre).scatter(1, best.indices, torch.relu(best.values))
        return code, code @ t["W_dec"] + t["b_dec"]

    return Made(path, formula, t["W_dec"])


def _goodfire(root: Path) -> Made:
    t = _draw()
    path = root / "Llama-3.1-8B-Instruct-SAE-l19.pth"
    encoder, decoder = torch.nn.Linear(D, N), torch.nn.Linear(N, D)
    with torch.no_grad():
        for linear, weight, bias in ((encoder, t["W_enc"], t["b_enc"]), (decoder, t["W_dec"].T, t["b_dec"])):
            linear.weight.copy_(weight)
            linear.bias.copy_(bias)
    state = torch.nn.ModuleDict({"encoder_linear": encoder, "decoder_linear": decoder}).state_dict()
    torch.save(dict(state), path)

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        code = torch.relu(encoder(x)).detach()
        return code, decoder(code).detach()

    return Made(path, formula, t["W_dec"])


def _llama_scope(root: Path, *, name: str = "Llama3_1-8B-Base-L15R-8x", written: float = 1.7, **keys: Any) -> Made:
    """A later layout where `keys` lack jump_relu_threshold."""
    t = _draw()
    folder, read = root / name, 1.7
    stated = {
        "hook_point_in": "blocks.15.hook_resid_post",
        "hook_point_out": "blocks.15.hook_resid_post",
        "d_model": D,
        "d_sae": N,
        "expansion_factor": 8,
        "act_fn": "jumprelu",
        "norm_activation": "dataset-wise",
        "sparsity_include_decoder_norm": True,
        "apply_decoder_bias_to_pre_encoder": False,
        "use_decoder_bias": True,
    } | keys
    tensors = {"encoder.weight": t["W_enc"], "encoder.bias": t["b_enc"], "decoder.weight": t["W_dec"].T}
    tensors["decoder.bias"] = t["b_dec"]
    is_first = "jump_relu_threshold" in keys
    if is_first:
        _json(folder / "hyperparams.json", **stated, dataset_average_activation_norm={"in": read, "out": written})
        _save(folder / "checkpoints/final.safetensors", **tensors)
    else:
        del stated["d_sae"]
        _json(folder / "config.json", **stated | {"d_model": D, "d_sae": N})
        norm = {f"dataset_average_activation_norm.{stated['hook_point_in']}": torch.tensor(read)}
        tensors |= {"log_jumprelu_threshold": t["threshold"].log(), **norm}
        _save(folder / "sae_weights.safetensors", **tensors)
    s_in, s_out = math.sqrt(D) / read, math.sqrt(D) / written

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = (x * s_in) @ t["W_enc"].T + t["b_enc"]
        score = hidden * (t["W_dec"].norm(dim=1) if stated["sparsity_include_decoder_norm"] else 1.0)
        # the one threshold is in the units of unscaled activations, those per feature are not
        unscaled = s_out if stated["sparsity_include_decoder_norm"] else s_in
        limit = keys["jump_relu_threshold"] * unscaled if is_first else t["threshold"]
        code = hidden * (score > limit)
        return code, (code @ t["W_dec"] + t["b_dec"]) / s_out

    return Made(folder, formula, t["W_dec"] / s_out)


def _llama_scope_sae(root: Path) -> Made:
    return _llama_scope(root, jump_relu_threshold=0.4)


def _llama_scope_unscored_norm(root: Path) -> Made:
    return _llama_scope(root, jump_relu_threshold=0.4, sparsity_include_decoder_norm=False)


def _llama_scope_transcoder(root: Path) -> Made:
    hooks = {"hook_point_in": "blocks.15.ln2.hook_normalized", "hook_point_out": "blocks.15.hook_mlp_out"}
    return _llama_scope(root, name="Llama3_1-8B-Base-L15TC-8x", written=0.6, jump_relu_threshold=0.4, **hooks)


def _llama_scope_later(root: Path) -> Made:
    return _llama_scope(root, name="L15R")


def _circuit_tracer(root: Path, rule: str, *, has_skip: bool = False) -> Made:
    t = _draw()
    tensors = {key: t[key] for key in ("W_enc", "W_dec", "b_enc", "b_dec")}
    if has_skip:
        tensors["W_skip"] = t["W_skip"]
    if rule == "jump_relu":
        tensors["activation_function.threshold"] = t["threshold"]
    if rule == "topk":
        tensors["k"] = torch.tensor(3)
    path = _save(root / "set/layer_2.safetensors", **tensors)
    (path.parent / "config.yaml").write_text(
        "model_kind: transcoder_set\nmodel_name: some/model\nfeature_input_hook: mlp.hook_in\n"
        "feature_output_hook: hook_mlp_out\n"
    )

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        pre = x @ t["W_enc"].T + t["b_enc"]
        if rule == "topk":
            code = pre * torch.zeros_like(pre).scatter(1, pre.topk(3, dim=1).indices, 1.0)
        else:
            code = torch.relu(pre) if rule == "relu" else pre * (pre > t["threshold"])
        out = code @ t["W_dec"] + t["b_dec"]
        return code, out + x @ t["W_skip"].T if has_skip else out

    return Made(path, formula, t["W_dec"])


def _circuit_tracer_relu(root: Path) -> Made:
    return _circuit_tracer(root, "relu")


def _circuit_tracer_topk(root: Path) -> Made:
    return _circuit_tracer(root, "topk")


def _circuit_tracer_skip(root: Path) -> Made:
    return _circuit_tracer(root, "jump_relu", has_skip=True)


def _circuit_tracer_clt(root: Path) -> Made:
    t = _draw()
    _save(root / "clt/W_dec_2.safetensors", W_dec_2=t["many"])
    path = _save(
        root / "clt/W_enc_2.safetensors",
        W_enc_2=t["W_enc"],
        b_enc_2=t["b_enc"],
        b_dec_2=t["b_dec"],
        threshold_2=t["threshold"],
    )
    written = t["many"].sum(dim=1)

    def formula(x: Tensor) -> tuple[Tensor, Tensor]:
        pre = x @ t["W_enc"].T + t["b_enc"]
        code = pre * (pre > t["threshold"])
        return code, code @ written + t["b_dec"]

    return Made(path, formula, written)


def _known(model: str | None, hook: str, written: str | None = None, **keys: Any) -> dict[str, Any]:
    facts = {"model_name": model, "hook_name": hook, "hook_name_out": written, **keys}
    return {key: value for key, value in facts.items() if value is not None}


GEMMA, LLAMA = "google/gemma-3-1b-pt", "meta-llama/Llama-3.1-8B"
# format, kind, what is known of it
CASES: dict[Callable[[Path], Made], tuple[str, str, dict[str, Any]]] = {
    _gemma_scope_2_sae: ("gemma_scope_2", "jumprelu", _known(GEMMA, "blocks.3.hook_resid_post", layer=3)),
    _gemma_scope_2_transcoder: (
        "gemma_scope_2",
        "jumprelu transcoder",
        _known(GEMMA, "blocks.3.mlp.hook_in", "blocks.3.hook_mlp_out", layer=3),
    ),
    _gemma_scope_2_skip: (
        "gemma_scope_2",
        "jumprelu transcoder",
        _known(GEMMA, "blocks.3.mlp.hook_in", "blocks.3.hook_mlp_out", layer=3),
    ),
    _gemma_scope_2_clt: (
        "gemma_scope_2",
        "jumprelu cross-layer transcoder",
        _known("google/gemma-3-270m", "blocks.1.mlp.hook_in", "blocks.1.hook_mlp_out", layer=1),
    ),
    _qwen_scope: (
        "qwen_scope",
        "topk with scaled codes",
        _known("Qwen/Qwen3-1.7B-Base", "blocks.12.hook_resid_post", layer=12),
    ),
    _goodfire: (
        "goodfire",
        "relu",
        _known("meta-llama/Llama-3.1-8B-Instruct", "blocks.19.hook_resid_post", layer=19),
    ),
    _llama_scope_sae: ("llama_scope", "jumprelu", _known(LLAMA, "blocks.15.hook_resid_post")),
    _llama_scope_unscored_norm: ("llama_scope", "jumprelu", _known(LLAMA, "blocks.15.hook_resid_post")),
    _llama_scope_transcoder: (
        "llama_scope",
        "jumprelu transcoder",
        _known(LLAMA, "blocks.15.ln2.hook_normalized", "blocks.15.hook_mlp_out"),
    ),
    _llama_scope_later: ("llama_scope", "jumprelu", _known(None, "blocks.15.hook_resid_post")),
    _circuit_tracer_relu: (
        "circuit_tracer",
        "relu transcoder",
        _known("some/model", "blocks.2.mlp.hook_in", "blocks.2.hook_mlp_out", layer=2),
    ),
    _circuit_tracer_topk: (
        "circuit_tracer",
        "signed_topk transcoder",
        _known("some/model", "blocks.2.mlp.hook_in", "blocks.2.hook_mlp_out", layer=2),
    ),
    _circuit_tracer_skip: (
        "circuit_tracer",
        "jumprelu transcoder",
        _known("some/model", "blocks.2.mlp.hook_in", "blocks.2.hook_mlp_out", layer=2),
    ),
    _circuit_tracer_clt: ("circuit_tracer", "jumprelu cross-layer transcoder", {"layer": 2}),
}


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__[1:])
def test_a_file_is_read_as_its_tool_reads_it(make: Callable[[Path], Made], tmp_path: Path) -> None:
    made, x = make(tmp_path), _inputs()
    format, kind, known = CASES[make]
    features, output = made.formula(x)
    assert 0 < int((features != 0).sum()) < features.numel()
    assert detect_format(made.path) == format
    found = read_foreign(made.path)
    assert (found.format, kind_of(found.dictionary), found.metadata, found.notes) == (format, kind, known, ())
    dictionary = found.dictionary
    # along unit directions a code counts what the feature adds
    norms = made.decoder.norm(dim=1)
    torch.testing.assert_close(dictionary.encode_dense(x), features * norms, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(dictionary(x), output, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(dictionary.directions, made.decoder / norms[:, None], rtol=1e-5, atol=1e-6)
    again = load_dictionary(save_dictionary(dictionary, tmp_path / "own"))
    assert torch.equal(again(x), dictionary(x))
    assert (again.is_transcoder, again.is_cross_layer) == ("transcoder" in kind, "cross-layer" in kind)


def _fails(path: Path, message: str) -> None:
    with pytest.raises(DictionaryFormatError, match=message) as caught:
        read_foreign(path)
    assert "\n" not in str(caught.value)


def test_a_folder_of_many_layers_names_one_of_them(tmp_path: Path) -> None:
    for make, name in (
        (_circuit_tracer_relu, "layer_2.safetensors"),
        (_circuit_tracer_clt, "W_enc_2.safetensors"),
        (_gemma_scope_2_clt, "params_layer_1.safetensors"),
        (_qwen_scope, "layer12.sae.pt"),
    ):
        folder = make(tmp_path / make.__name__).path.parent
        _fails(folder, rf"holds \d dictionar\w+; give one of them, as in .*{name}")


def test_what_a_file_does_not_tell_is_refused(tmp_path: Path) -> None:
    plain = _qwen_scope(tmp_path).path.rename(tmp_path / "layer12.sae.pt")
    _fails(plain, "by the name of a Qwen Scope repository alone")
    crossing = _gemma_scope_2_clt(tmp_path).path
    _fails(crossing.rename(crossing.parent.parent / "params.safetensors"), "call it params_layer_L")
    scope = _llama_scope_later(tmp_path).path
    settings = json.loads((scope / "config.json").read_text())
    for key, value, message in (
        ("norm_activation", "token-wise", "norm_activation = 'token-wise'"),
        ("act_fn", "batchtopk", "act_fn = 'batchtopk' cannot be read"),
        ("use_glu_encoder", True, "use_glu_encoder"),
        ("hook_point_in", "elsewhere", "dataset_average_activation_norm"),
    ):
        _json(scope / "config.json", **settings | {key: value})
        _fails(scope, message)
    alone = _circuit_tracer_clt(tmp_path).path
    alone.with_name("W_dec_2.safetensors").unlink()
    _fails(alone, "W_dec_2.safetensors: missing")
    mistaken = _circuit_tracer_relu(tmp_path).path
    (mistaken.parent / "config.yaml").write_text("activation: softmax\n")
    _fails(mistaken, "config.yaml: activation = 'softmax'")
    (mistaken.parent / "config.yaml").write_text("- a list\n")
    _fails(mistaken, "holds no mapping")


def test_what_is_read_otherwise_than_written_is_noted(tmp_path: Path) -> None:
    t = _draw()
    tensors = {"w_enc": t["W_enc"].T, "w_dec": t["W_dec"], **{key: t[key] for key in ("b_enc", "b_dec", "threshold")}}
    assert "taken for an autoencoder" in read_foreign(_save(tmp_path / "params.safetensors", **tensors)).notes[0]
    tensors = {key: t[key] for key in ("W_enc", "W_dec", "b_enc", "b_dec")}
    path = _save(tmp_path / "layer_0.safetensors", **tensors, **{"activation_function.threshold": -t["threshold"]})
    assert "below 0" in read_foreign(path).notes[0]
