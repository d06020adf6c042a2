"""Small dictionaries saved by sparsify itself, with what it computes with them. Runs in sparsify's own environment.

Usage: python save_with_sparsify.py FOLDER. Per case FOLDER/<case>/ holds the files as sparsify wrote them and
`expected.safetensors`: x, code (dense), unit (the decoder rows' norms), reconstruction.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from sparsify import SparseCoder, SparseCoderConfig

D_IN, ROWS = 8, 10
CASES: dict[str, dict] = {
    "topk": {"expansion_factor": 2, "k": 3},
    "groupmax": {"num_latents": 20, "k": 4, "activation": "groupmax"},
    "skip": {"num_latents": 12, "k": 3, "skip_connection": True},
    "transcoder": {"expansion_factor": 2, "k": 3, "transcode": True},
    "skip_transcoder_groupmax": {
        "num_latents": 12,
        "k": 3,
        "activation": "groupmax",
        "transcode": True,
        "skip_connection": True,
    },
    "normalised": {"expansion_factor": 2, "k": 3},
}


@torch.no_grad()
def main(folder: Path) -> None:
    """Write every case; `normalised` has unit-norm rows as sparsify keeps them, the others what they please."""
    for case, keys in CASES.items():
        coder = SparseCoder(D_IN, SparseCoderConfig(**keys))
        draw = torch.Generator().manual_seed(sum(map(ord, case)))
        for name, parameter in coder.named_parameters():
            is_matrix = parameter.ndim == 2
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * (0.6 if is_matrix else 0.3))
            if name == "W_dec" and case == "transcoder":
                parameter[3] = 0.0  # a row that was never trained, as transcoders start with
        if case == "normalised":
            coder.set_decoder_norm_to_unit_norm()
        coder.save_to_disk(folder / case)
        x = torch.randn(ROWS, D_IN, generator=draw) * 1.5 + 0.4
        found = coder(x)
        code = torch.zeros(ROWS, coder.num_latents).scatter(1, found.latent_indices, found.latent_acts)
        expected = {"x": x, "code": code, "unit": coder.W_dec.norm(dim=1), "reconstruction": found.sae_out}
        save_file(
            {name: tensor.float().contiguous() for name, tensor in expected.items()},
            folder / case / "expected.safetensors",
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
