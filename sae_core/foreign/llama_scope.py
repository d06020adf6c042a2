"""Dictionaries of Llama Scope: `hyperparams.json` and `checkpoints/final.safetensors`; Llama Scope R1-Distill:
`config.json` and `sae_weights.safetensors`.

He et al. 2024 (arXiv 2410.20526). The layout and its meaning are those of OpenMOSS' Language-Model-SAEs
(lm_saes/sae.py: encode, standardize_parameters_of_dataset_norm), where activations are scaled to the mean norm
sqrt(d_model) and the rule sees z * |W_dec|. One `jump_relu_threshold` is in the units of unscaled activations, as
SAELens' loader `llama_scope` takes it, too; a `log_jumprelu_threshold` per feature is in those of scaled ones.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sae_core.errors import DictionaryFormatError
from sae_core.foreign.coder import CoderRule, ForeignCoder, to_dictionary
from sae_core.foreign.facts import coder_facts
from sae_core.foreign.files import read_json, read_safetensors
from sae_core.foreign.imported import Imported
from sae_core.foreign.settings import Settings
from sae_core.foreign.tensor_file import TensorFile

__all__ = ["HYPERPARAMETERS_FILE", "LATER_CONFIG_FILE", "LATER_WEIGHTS_FILE", "WEIGHTS_FILE", "read_llama_scope"]

HYPERPARAMETERS_FILE, WEIGHTS_FILE = "hyperparams.json", "checkpoints/final.safetensors"
LATER_CONFIG_FILE, LATER_WEIGHTS_FILE = "config.json", "sae_weights.safetensors"

RULES: dict[str, CoderRule] = {"relu": "relu", "topk": "topk", "jumprelu": "jumprelu"}
NORM = "dataset_average_activation_norm"
LOG_THRESHOLD = "log_jumprelu_threshold"

SMALLEST_NORM = 1e-12
"""A feature with a shorter decoder row never exceeds its threshold."""


def read_llama_scope(folder: Path) -> Imported:
    """The dictionary in `folder`. Raises DictionaryFormatError."""
    is_first = (folder / HYPERPARAMETERS_FILE).exists()
    names = (HYPERPARAMETERS_FILE, WEIGHTS_FILE) if is_first else (LATER_CONFIG_FILE, LATER_WEIGHTS_FILE)
    path, weights = (folder / name for name in names)
    settings = Settings(path, read_json(path))
    file = TensorFile(weights, read_safetensors(weights), sizes_from=path.name)
    coder = _coder(settings, file)
    file.finish("a Llama Scope dictionary")
    hooks = {"hook_name": settings.get("hook_point_in")}
    if coder.is_transcoder:
        hooks["hook_name_out"] = settings.get("hook_point_out")
    # told by the folder's name alone; R1-Distill's does not
    model = {"model_name": "meta-llama/Llama-3.1-8B"} if folder.absolute().name.startswith("Llama3_1-8B-Base") else {}
    return Imported(
        dictionary=to_dictionary(coder),
        format="llama_scope",
        architecture=str(settings.get("act_fn")).lower(),
        facts=coder_facts(coder),
        metadata={**model, **{key: value for key, value in hooks.items() if isinstance(value, str)}},
    )


def _coder(settings: Settings, file: TensorFile) -> ForeignCoder:
    """The coder over unscaled activations."""
    d = settings.count("d_model")
    n = d * settings.count("expansion_factor") if settings.get("d_sae") is None else settings.count("d_sae")
    if settings.flag("use_glu_encoder", default=False):
        raise DictionaryFormatError(f"{settings.path}: use_glu_encoder = True cannot be read")
    activation = str(settings.get("act_fn")).lower()
    if activation not in RULES:
        raise DictionaryFormatError(
            f"{settings.path}: act_fn = {activation!r} cannot be read; known: {', '.join(RULES)}"
        )
    rule = RULES[activation]
    read, written = _factors(settings, file, d)
    coder = ForeignCoder(
        rule=rule,
        W_enc=file.take("encoder.weight", n, d) * read,
        b_enc=file.take("encoder.bias", n),
        W_dec=file.take("decoder.weight", d, n).T / written,
        b_dec=file.take("decoder.bias", d) / written if "decoder.bias" in file else torch.zeros(d),
        is_norm_rescaled=settings.flag("sparsity_include_decoder_norm", default=True),
        is_centred=settings.flag("apply_decoder_bias_to_pre_encoder", default=True),
        is_transcoder=settings.get("hook_point_out") not in (None, settings.get("hook_point_in")),
    )
    if coder.is_centred and coder.is_transcoder:
        raise DictionaryFormatError(f"{settings.path}: apply_decoder_bias_to_pre_encoder = True makes no transcoder")
    if rule == "topk":
        return replace(coder, k=settings.count("top_k", most=n))
    if rule == "relu":
        return replace(coder, is_norm_rescaled=False)
    norms = coder.W_dec.double().norm(dim=1) if coder.is_norm_rescaled else torch.ones(n, dtype=torch.float64)
    if LOG_THRESHOLD in file:
        limit = file.take_as(LOG_THRESHOLD, torch.float64, n).exp() / (written if coder.is_norm_rescaled else 1.0)
    else:
        limit = torch.tensor(settings.number("jump_relu_threshold") * (1.0 if coder.is_norm_rescaled else read))
    return replace(coder, threshold=limit / norms.clamp_min(SMALLEST_NORM), is_norm_rescaled=False)


def _factors(settings: Settings, file: TensorFile, d: int) -> tuple[float, float]:
    """By what activations are scaled where they are read and where they are written."""
    if settings.choice("norm_activation", ("dataset-wise", "inference")) == "inference":
        return 1.0, 1.0
    stated: dict[str, Any] = settings.mapping(NORM)
    kept = {name.removeprefix(f"{NORM}."): name for name in file.tensors if name.startswith(f"{NORM}.")}
    if kept:
        stated = {hook: float(file.take_as(name, torch.float64)) for hook, name in kept.items()}
    norms = []
    for short, key in (("in", "hook_point_in"), ("out", "hook_point_out")):
        norm = stated.get(short, stated.get(str(settings.get(key) or settings.get("hook_point_in"))))
        if not isinstance(norm, int | float) or not norm > 0:
            raise DictionaryFormatError(
                f"{settings.path}: {NORM} = {str(stated)[:80]}, must hold a number above 0 for the activations read "
                "and written; without it they cannot be scaled"
            )
        norms.append(float(norm))
    return math.sqrt(d) / norms[0], math.sqrt(d) / norms[1]
