"""Small dictionaries saved by SAELens itself, with what it computes with them. Runs in SAELens' own environment.

Usage: python save_with_saelens.py FOLDER. Per case FOLDER/<case>/ holds the files as SAELens wrote them and
`expected.safetensors`: x [rows, d_in], code [rows, n] as SAELens counts it, unit [n] (the norm, in the units of x, of
what one unit of a code adds), reconstruction [rows, d_out].
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from sae_lens import SAE
from sae_lens.registry import get_sae_class, get_sae_training_class
from sae_lens.saes.sae import SAEMetadata
from sae_lens.training.activation_scaler import ActivationScaler, ActivationWhitening
from safetensors.torch import save_file

D_IN, D_OUT, N, ROWS = 8, 6, 16, 10
METADATA = {"model_name": "small", "hook_name": "blocks.1.hook_resid_post", "context_size": 32}
PLAIN: dict[str, tuple[str, dict]] = {
    "standard": ("standard", {}),
    "standard_uncentred": ("standard", {"apply_b_dec_to_input": False}),
    "standard_layer_norm": ("standard", {"normalize_activations": "layer_norm"}),
    "standard_constant_norm": ("standard", {"normalize_activations": "constant_norm_rescale"}),
    "standard_bfloat16": ("standard", {"dtype": "bfloat16"}),
    "topk": ("topk", {"k": 3}),
    "topk_rescaled": ("topk", {"k": 3, "rescale_acts_by_decoder_norm": True}),
    "topk_layer_norm": ("topk", {"k": 3, "normalize_activations": "layer_norm", "apply_b_dec_to_input": False}),
    "abstopk": ("abstopk", {"k": 4}),
    "abstopk_rescaled": ("abstopk", {"k": 4, "rescale_acts_by_decoder_norm": True}),
    "jumprelu": ("jumprelu", {}),
    "jumprelu_uncentred": ("jumprelu", {"apply_b_dec_to_input": False}),
    "gated": ("gated", {}),
    "gated_uncentred": ("gated", {"apply_b_dec_to_input": False}),
    "matching_pursuit": ("matching_pursuit", {"residual_threshold": 0.5}),
    "matching_pursuit_long": (
        "matching_pursuit",
        {"residual_threshold": 0.0, "max_iterations": 5, "stop_on_duplicate_support": False},
    ),
    "transcoder": ("transcoder", {"d_out": D_OUT, "apply_b_dec_to_input": False}),
    "skip_transcoder": ("skip_transcoder", {"d_out": D_OUT, "apply_b_dec_to_input": False}),
    "jumprelu_transcoder": ("jumprelu_transcoder", {"d_out": D_OUT, "apply_b_dec_to_input": False}),
    "jumprelu_skip_transcoder": (
        "jumprelu_skip_transcoder",
        {"d_out": D_OUT, "apply_b_dec_to_input": False, "normalize_activations": "layer_norm"},
    ),
}
TRAINED: dict[str, tuple[str, dict]] = {
    "batchtopk": ("batchtopk", {"k": 2.5, "rescale_acts_by_decoder_norm": True}),
    "batchtopk_unscaled": ("batchtopk", {"k": 3.0, "rescale_acts_by_decoder_norm": False}),
    "matryoshka": (
        "matryoshka_batchtopk",
        {"k": 3.0, "rescale_acts_by_decoder_norm": True, "matryoshka_widths": [4, 8, N]},
    ),
}
SCALED: dict[str, tuple[str, dict]] = {
    "scaled_standard": ("standard", {}),
    "scaled_batchtopk": ("batchtopk", {"k": 3.0, "rescale_acts_by_decoder_norm": True}),
}
WHITENED: dict[str, tuple[str, dict]] = {
    "whitened_standard_uncentred": ("standard", {"apply_b_dec_to_input": False}),
    "whitened_gated_uncentred": ("gated", {"apply_b_dec_to_input": False}),
    "whitened_topk_rescaled": ("topk", {"k": 3, "rescale_acts_by_decoder_norm": True}),
}


def main(folder: Path) -> None:
    """Write every case."""
    for case, (architecture, keys) in PLAIN.items():
        sae = fresh(get_sae_class, architecture, keys, case)
        sae.save_model(folder / case)
        sae = sae.to(torch.float32)  # the weights as they are stored, without the rounding of half-precision products
        write(folder / case, sae, unit=decoder_unit(sae))
    for case, (architecture, keys) in TRAINED.items():
        sae = fresh(get_sae_training_class, architecture, keys, case)
        sae.save_model(folder / case)
        inference = folder / f"{case}_inference"
        sae.save_inference_model(inference)
        loaded = SAE.load_from_disk(inference)
        for place in (folder / case, inference):
            write(place, loaded, unit=decoder_unit(loaded))
    for case, (architecture, keys) in (SCALED | WHITENED).items():
        write_preprocessed(folder / case, architecture, keys)
    write_hook_z(folder / "hook_z")
    write_old(folder / "old_topk")


def fresh(registry: Callable, architecture: str, keys: dict, case: str):
    """A dictionary with drawn weights: directions of unequal norms, biases away from zero."""
    sae_class, config_class = registry(architecture)
    hook = "blocks.1.attn.hook_z" if "reshape_activations" in keys else METADATA["hook_name"]
    config = config_class(d_in=D_IN, d_sae=N, metadata=SAEMetadata(**{**METADATA, "hook_name": hook}), **keys)
    sae = sae_class(config)
    draw = torch.Generator().manual_seed(sum(map(ord, case)))
    with torch.no_grad():
        for name, parameter in sae.named_parameters():
            drawn = torch.randn(parameter.shape, generator=draw)
            if name == "threshold":
                drawn = drawn.abs()
            elif name == "W_dec":
                drawn = drawn / 2
            elif name != "W_enc":
                drawn = drawn * 0.3
            parameter.copy_(drawn)
        if "topk_threshold" in dict(sae.named_buffers()):
            sae.topk_threshold.fill_(0.7)
    return sae.eval()


def inputs(case: str) -> torch.Tensor:
    """Activations with a mean of their own."""
    return torch.randn(ROWS, D_IN, generator=torch.Generator().manual_seed(len(case))) * 1.5 + 0.4


def decoder_unit(sae) -> torch.Tensor:
    """What one unit of a code adds: the decoder row's norm, unless codes count in unit directions already."""
    if getattr(sae.cfg, "rescale_acts_by_decoder_norm", False):
        return torch.ones(N)
    return sae.W_dec.detach().float().norm(dim=1)


@torch.no_grad()
def write(folder: Path, sae, *, unit: torch.Tensor) -> None:
    """SAELens' codes and output for the case's activations."""
    x = inputs(folder.name)
    code = sae.encode(x)
    expected = {"x": x, "code": code, "unit": unit, "reconstruction": sae(x)}
    save_file({name: tensor.float().contiguous() for name, tensor in expected.items()}, folder / "expected.safetensors")


@torch.no_grad()
def write_preprocessed(folder: Path, architecture: str, keys: dict) -> None:
    """A training save whose activations SAELens' trainer scales or whitens first, with its own scaler's files."""
    is_scaled = folder.name in SCALED
    method = "expected_average_only_in" if is_scaled else "covariance_whitening"
    sae = fresh(get_sae_training_class, architecture, keys | {"normalize_activations": method}, folder.name)
    scaler = ActivationScaler(scaling_factor=0.37) if is_scaled else ActivationScaler(whitening=whitening())
    sae.save_model(folder)
    scaler.save(str(folder / "activation_scaler.json"))
    x = inputs(folder.name)
    z = scaler.scale(x)
    if architecture == "batchtopk":
        sae.save_inference_model(folder / "inference")
        judged = SAE.load_from_disk(folder / "inference")
        for path in (folder / "inference").iterdir():
            path.unlink()
        (folder / "inference").rmdir()
    else:
        judged = sae
    rows = judged.W_dec
    if getattr(judged.cfg, "rescale_acts_by_decoder_norm", False):
        rows = rows / rows.norm(dim=1, keepdim=True)
    effective = scaler.unscale(rows) - scaler.unscale(torch.zeros_like(rows))
    expected = {
        "x": x,
        "code": judged.encode(z),
        "unit": effective.norm(dim=1),
        "reconstruction": scaler.unscale(judged.decode(judged.encode(z))),
    }
    save_file({name: tensor.float().contiguous() for name, tensor in expected.items()}, folder / "expected.safetensors")


def whitening() -> ActivationWhitening:
    """Any invertible map will do."""
    draw = torch.Generator().manual_seed(3)
    matrix = torch.randn(D_IN, D_IN, generator=draw, dtype=torch.float64) * 0.3 + torch.eye(D_IN, dtype=torch.float64)
    mean = torch.randn(D_IN, generator=draw, dtype=torch.float64)
    return ActivationWhitening(mean=mean, matrix=matrix, inverse_matrix=torch.linalg.inv(matrix))


@torch.no_grad()
def write_hook_z(folder: Path) -> None:
    """A dictionary of heads' outputs: SAELens takes [rows, heads, d_head]; the file's numbers stand side by side."""
    sae = fresh(get_sae_class, "standard", {"reshape_activations": "hook_z"}, folder.name)
    sae.save_model(folder)
    x = inputs(folder.name)
    heads = x.reshape(ROWS, 2, D_IN // 2)
    code = sae.encode(heads)
    expected = {"x": x, "code": code, "unit": decoder_unit(sae), "reconstruction": sae(heads).reshape(ROWS, D_IN)}
    save_file({name: tensor.contiguous() for name, tensor in expected.items()}, folder / "expected.safetensors")


def write_old(folder: Path) -> None:
    """A configuration of the time before version 6, as SAELens reads it today."""
    sae = fresh(get_sae_class, "topk", {"k": 3}, folder.name)
    sae.save_model(folder)
    old = {
        "d_in": D_IN,
        "d_sae": N,
        "dtype": "float32",
        "device": "cpu",
        "model_name": "small",
        "hook_name": "blocks.1.hook_resid_post",
        "context_size": 32,
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": 3},
        "normalize_activations": "none",
        "apply_b_dec_to_input": True,
    }
    (folder / "cfg.json").write_text(json.dumps(old))
    loaded = SAE.load_from_disk(folder)
    write(folder, loaded, unit=decoder_unit(loaded))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
