"""Dictionaries of SAELens 6.54 and older: `cfg.json` beside `sae_weights.safetensors`.

Input scaling and whitening of a training save are folded into the weights.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sae_core.errors import DictionaryFormatError
from sae_core.foreign.coder import CoderRule, ForeignCoder, Pursuit, to_dictionary
from sae_core.foreign.facts import coder_facts, spread
from sae_core.foreign.files import read_json, read_safetensors
from sae_core.foreign.imported import Imported
from sae_core.foreign.settings import Settings
from sae_core.foreign.tensor_file import TensorFile

__all__ = ["CONFIG_FILE", "WEIGHTS_FILE", "read_saelens"]

CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae_weights.safetensors"
SCALER_FILE = "activation_scaler.json"
WHITENING_FILE = "activation_whitening.safetensors"
SPARSITY_FILE = "sparsity.safetensors"

NEVER_FIRED = -9.99
"""SAELens records log10(frequency + 1e-10)."""

RULES: dict[str, CoderRule] = {
    "standard": "relu",
    "topk": "topk",
    "abstopk": "abstopk",
    "jumprelu": "jumprelu",
    "gated": "gated",
    "batchtopk": "batchtopk",
    "matryoshka_batchtopk": "matryoshka",
    "matching_pursuit": "pursuit",
    "transcoder": "relu",
    "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu",
    "jumprelu_skip_transcoder": "jumprelu",
}
"""Architecture in `cfg.json` -> rule."""

KNOWN_KEYS = (
    "architecture",
    "apply_b_dec_to_input",
    "d_in",
    "d_out",
    "d_sae",
    "device",
    "dtype",
    "k",
    "matryoshka_widths",
    "max_iterations",
    "metadata",
    "normalize_activations",
    "rescale_acts_by_decoder_norm",
    "reshape_activations",
    "residual_threshold",
    "stop_on_duplicate_support",
)
TRAINING_KEYS = (
    "aux_loss_coefficient",
    "b_dec_init_method",
    "decoder_init_norm",
    "jumprelu_bandwidth",
    "jumprelu_init_threshold",
    "jumprelu_sparsity_loss_mode",
    "jumprelu_tanh_scale",
    "l0_coefficient",
    "l0_warm_up_steps",
    "l1_coefficient",
    "l1_warm_up_steps",
    "lp_norm",
    "mse_loss_normalization",
    "noise_scale",
    "pre_act_loss_coefficient",
    "topk_threshold_lr",
    "use_matryoshka_aux_loss",
    "use_sparse_activations",
)
"""Settings of the training, without effect on codes."""

OLD_KEYS = (
    "activation_fn",
    "activation_fn_kwargs",
    "activation_fn_str",
    "activations_path",
    "cached_activations_path",
    "dead_feature_threshold",
    "finetuning_scaling_factor",
    "model_from_pretrained_kwargs",
    "normalize_sae_decoder",
    "scale_sparsity_penalty_by_decoder_norm",
    "use_cached_activations",
)
"""Training settings before version 6."""

RELEVANT = re.compile(
    r"(?i)activation|architecture|scal(e|ing)|norm|threshold|top_?k|signed|rectif|relu|reshape|bias|skip|transcod|apply"
    r"|gate|temperature|^k$"
)
"""Pattern of old keys that may affect the codes."""

ORIGIN_KEYS = (
    "context_size",
    "dataset_path",
    "exclude_special_tokens",
    "hook_head_index",
    "hook_name",
    "layer",
    "model_class_name",
    "model_from_pretrained_kwargs",
    "model_name",
    "neuronpedia_id",
    "prepend_bos",
    "seqpos_slice",
)
"""Origin of an old dictionary; since version 6 under `metadata`."""

NORMALISATIONS = ("none", "expected_average_only_in", "constant_norm_rescale", "layer_norm", "covariance_whitening")


def read_saelens(folder: Path) -> Imported:
    """The dictionary in `folder`. Raises DictionaryFormatError."""
    path = folder / CONFIG_FILE
    settings = _settings(path)
    architecture = settings.choice("architecture", tuple(RULES))
    method = settings.choice("normalize_activations", NORMALISATIONS, default="none")
    reshape = settings.choice("reshape_activations", ("none", "hook_z"), default="none")
    file = TensorFile(folder / WEIGHTS_FILE, read_safetensors(folder / WEIGHTS_FILE), sizes_from=CONFIG_FILE)
    coder = _coder(settings, file, architecture)
    _drop_unit_scaling(file)
    file.finish(f"a SAELens {architecture} dictionary")
    facts = coder_facts(coder) | {"normalize_activations": method} | _firing_facts(folder / SPARSITY_FILE, coder)
    notes = []
    if method in ("layer_norm", "constant_norm_rescale"):
        coder = replace(coder, normalisation=method)
    elif method == "expected_average_only_in":
        coder, note = _unscaled(coder, folder / SCALER_FILE)
        notes.append(note)
    elif method == "covariance_whitening":
        coder = _unwhitened(coder, folder / WHITENING_FILE, architecture)
        notes.append(f"the whitening of {WHITENING_FILE} is folded into the weights")
    if reshape == "hook_z":
        notes.append("made for hook_z: it reads the heads' outputs side by side, [n_heads * d_head] wide")
        facts["reshape_activations"] = reshape
    return Imported(
        dictionary=to_dictionary(coder),
        format="saelens",
        architecture=architecture,
        facts=facts,
        metadata=settings.mapping("metadata"),
        notes=tuple(notes),
    )


def _settings(path: Path) -> Settings:
    """The configuration in version 6's keys. Raises DictionaryFormatError for a key not understood."""
    cfg = read_json(path)
    metadata = cfg.get("metadata")
    if isinstance(metadata, dict) and "sae_lens_version" in metadata:
        settings = Settings(path, cfg)
        settings.only((*KNOWN_KEYS, *TRAINING_KEYS))
        return settings
    Settings(path, cfg).only((*KNOWN_KEYS, *TRAINING_KEYS, *OLD_KEYS), relevant=RELEVANT)
    return Settings(path, _as_version_6(path, cfg))


def _as_version_6(path: Path, cfg: dict[str, Any]) -> dict[str, Any]:
    new = {"architecture": "standard", "apply_b_dec_to_input": True, **cfg}
    old = Settings(path, cfg)
    if any(
        old.choice(key, ("relu", "topk"), default="relu") == "topk" for key in ("activation_fn", "activation_fn_str")
    ):
        options = old.mapping("activation_fn_kwargs")
        Settings(path, options).only(("k",))
        new["architecture"] = "topk"
        new.setdefault("k", options.get("k"))
    old_normalisation = new.get("normalize_activations")
    if old_normalisation is None or isinstance(old_normalisation, bool):
        new["normalize_activations"] = "expected_average_only_in" if old_normalisation else "none"
    hook = new.setdefault("hook_name", new.get("hook_point"))
    new.setdefault("layer", new.get("hook_layer", new.get("hook_point_layer")))
    if isinstance(hook, str):
        new.setdefault("reshape_activations", "hook_z" if "hook_z" in hook else "none")
    if new.get("metadata") is None:
        new["metadata"] = {key: new[key] for key in ORIGIN_KEYS if new.get(key) is not None}
    return new


def _coder(settings: Settings, file: TensorFile, architecture: str) -> ForeignCoder:
    rule = RULES[architecture]
    d_in, n = settings.count("d_in"), settings.count("d_sae")
    is_transcoder = architecture.endswith("transcoder")
    d_out = settings.count("d_out") if is_transcoder else d_in
    coder = ForeignCoder(
        rule=rule,
        W_dec=file.take("W_dec", n, d_out),
        b_dec=file.take("b_dec", d_out),
        is_centred=not is_transcoder and settings.flag("apply_b_dec_to_input", default=True),
        is_transcoder=is_transcoder,
    )
    if rule == "pursuit":
        return replace(coder, pursuit=_pursuit(settings, d_in))
    coder = replace(coder, W_enc=file.take("W_enc", d_in, n).T)
    if rule == "gated":
        biases = {name: file.take(name, n) for name in ("b_gate", "b_mag", "r_mag")}
        return replace(coder, **biases)
    coder = replace(coder, b_enc=file.take("b_enc", n))
    if architecture.endswith("skip_transcoder"):
        coder = replace(coder, W_skip=file.take("W_skip", d_out, d_in))
    if rule == "jumprelu":
        return replace(coder, threshold=file.take_as("threshold", torch.float64, n))
    if rule == "relu":
        return coder
    coder = replace(coder, is_norm_rescaled=settings.flag("rescale_acts_by_decoder_norm", default=False))
    if rule in ("topk", "abstopk"):
        return replace(coder, k=settings.count("k", most=n))
    threshold = file.take_as("topk_threshold", torch.float64)
    k = min(n, max(1, round(settings.number("k"))))
    prefixes = settings.growing("matryoshka_widths", last=n) if rule == "matryoshka" else ()
    return replace(coder, k=k, threshold=threshold, prefixes=prefixes)


def _pursuit(settings: Settings, d_in: int) -> Pursuit:
    n_steps = d_in if settings.get("max_iterations") is None else settings.count("max_iterations")
    return Pursuit(
        n_steps=n_steps,
        residual_threshold=settings.number("residual_threshold", default=1e-2),
        stops_on_repeat=settings.flag("stop_on_duplicate_support", default=True),
    )


def _firing_facts(path: Path, coder: ForeignCoder) -> dict[str, Any]:
    if not path.exists():
        return {}
    file = TensorFile(path, read_safetensors(path), sizes_from=CONFIG_FILE)
    log_densities = file.take_as("sparsity", torch.float64, coder.W_dec.shape[0])
    return {"log10_density": spread(log_densities), "n_never_fired": int((log_densities <= NEVER_FIRED).sum())}


def _drop_unit_scaling(file: TensorFile) -> None:
    factor = file.tensors.get("scaling_factor")
    if factor is not None and bool((factor == 1).all()):
        file.ignore(["scaling_factor"])


def _unscaled(coder: ForeignCoder, path: Path) -> tuple[ForeignCoder, str]:
    if not path.exists():
        note = f"activations are read unscaled, as SAELens does, because there is no {path.name} with their factor"
        return coder, note
    factor = read_json(path).get("scaling_factor")
    if factor is None:
        return coder, f"{path.name} holds no factor: activations are read unscaled"
    if not isinstance(factor, int | float) or not factor > 0:
        raise DictionaryFormatError(f"{path}: scaling_factor = {factor!r}, must be a number above 0; save it again")
    return coder.on_scaled_inputs(float(factor)), f"the factor {factor:.6g} of {path.name} is folded into the weights"


def _unwhitened(coder: ForeignCoder, path: Path, architecture: str) -> ForeignCoder:
    if coder.W_enc is None or coder.is_transcoder:
        raise DictionaryFormatError(
            f"{path.parent / CONFIG_FILE}: normalize_activations = 'covariance_whitening' cannot be folded into a "
            f"{architecture}; SAELens does not do it either"
        )
    if not path.exists():
        raise DictionaryFormatError(
            f"{path}: missing, but {CONFIG_FILE} says normalize_activations = 'covariance_whitening'; take the file "
            "from the training checkpoint, or fold it in SAELens (fold_activation_whitening) and save again"
        )
    file = TensorFile(path, read_safetensors(path), sizes_from=CONFIG_FILE)
    d = coder.d_in
    return coder.on_whitened_inputs(
        mean=file.take_as("mean", torch.float64, d),
        matrix=file.take_as("matrix", torch.float64, d, d),
        inverse=file.take_as("inverse_matrix", torch.float64, d, d),
    )
