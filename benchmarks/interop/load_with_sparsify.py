"""What sparsify computes with dictionaries exported to its format. Runs in sparsify's own environment.

Usage: python load_with_sparsify.py FOLDER. Every FOLDER/<case>/ with `x.safetensors` gets `answer.safetensors`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sparsify import SparseCoder


@torch.no_grad()
def main(folder: Path) -> None:
    """Load and answer every case."""
    for inputs in sorted(folder.glob("*/x.safetensors")):
        place = inputs.parent
        x = load_file(inputs)["x"]
        coder = SparseCoder.load_from_disk(place)
        found = coder(x)
        code = torch.zeros(x.shape[0], coder.num_latents).scatter(1, found.latent_indices, found.latent_acts)
        answer = {"code": code, "unit": coder.W_dec.norm(dim=1), "reconstruction": found.sae_out}
        save_file({name: tensor.contiguous() for name, tensor in answer.items()}, place / "answer.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
