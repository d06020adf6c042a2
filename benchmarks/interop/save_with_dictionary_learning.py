"""Small dictionaries as dictionary_learning saves them, with what it computes. Runs in its own environment.

Usage: python save_with_dictionary_learning.py FOLDER. Per case FOLDER/<case>/ holds `ae.pt` and `config.json` as the
tool's training loop writes them, and `expected.safetensors`: x, code, unit (the decoder's norms), reconstruction.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from dictionary_learning.dictionary import AutoEncoder, AutoEncoderNew, GatedAutoEncoder, JumpReluAutoEncoder
from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
from dictionary_learning.trainers.top_k import AutoEncoderTopK
from safetensors.torch import save_file

D_IN, N, ROWS = 8, 16, 10
CASES = {
    "autoencoder": lambda: AutoEncoder(D_IN, N),
    "autoencoder_new": lambda: AutoEncoderNew(D_IN, N),
    "gated": lambda: GatedAutoEncoder(D_IN, N),
    "topk": lambda: AutoEncoderTopK(D_IN, N, 3),
    "batchtopk": lambda: BatchTopKSAE(D_IN, N, 3),
    "batchtopk_unset": lambda: BatchTopKSAE(D_IN, N, 3),
    "matryoshka": lambda: MatryoshkaBatchTopKSAE(D_IN, N, 3, [4, 4, 8]),
    "jumprelu": lambda: JumpReluAutoEncoder(D_IN, N),
    "backup": lambda: BatchTopKSAE(D_IN, N, 3),
}
NORM_FACTOR = 2.5


@torch.no_grad()
def main(folder: Path) -> None:
    """Write every case."""
    for case, build in CASES.items():
        ae = build()
        draw = torch.Generator().manual_seed(sum(map(ord, case)))
        for name, parameter in ae.named_parameters():
            if name in ("decoder.weight", "W_dec") and isinstance(ae, BatchTopKSAE | MatryoshkaBatchTopKSAE):
                drawn = torch.randn(parameter.shape, generator=draw)
                axis = 0 if name == "decoder.weight" else 1
                parameter.copy_(drawn / drawn.norm(dim=axis, keepdim=True))  # as its trainers keep them
            elif parameter.ndim == 2:
                parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.6)
            else:
                drawn = torch.randn(parameter.shape, generator=draw) * 0.3
                parameter.copy_(drawn.abs() if name == "threshold" else drawn)
        if case in ("batchtopk", "matryoshka", "backup"):
            ae.threshold.fill_(0.6)
        x = torch.randn(ROWS, D_IN, generator=draw) * 1.5 + 0.4
        place = folder / case
        place.mkdir(parents=True, exist_ok=True)
        trainer = {
            "dict_class": type(ae).__name__,
            "activation_dim": D_IN,
            "dict_size": N,
            "layer": 1,
            "lm_name": "small",
            "submodule_name": "resid_post_layer_1",
        }
        state = {name: tensor.cpu() for name, tensor in ae.state_dict().items()}
        if case == "backup":
            # As a checkpoint with its optimiser holds it: biases still in the units of x / norm_factor.
            outside = {"step": 10, "optimizer": {"state": {}}, "config": trainer, "norm_factor": NORM_FACTOR}
            torch.save({**outside, "ae": state}, place / "ae.pt")
            ae.scale_biases(NORM_FACTOR)
        else:
            torch.save(state, place / "ae.pt")
        (place / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {"ctx_len": 128}}, indent=4))
        rows = ae.W_dec if hasattr(ae, "W_dec") else ae.decoder.weight.T
        code = ae.encode(x)
        expected = {"x": x, "code": code, "unit": rows.norm(dim=1), "reconstruction": ae.decode(code)}
        save_file({name: t.float().contiguous() for name, t in expected.items()}, place / "expected.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
