"""What SAELens computes with dictionaries exported to its format. Runs in SAELens' own environment.

Usage: python load_with_saelens.py FOLDER. Every FOLDER/<case>/ with `x.safetensors` gets `answer.safetensors`:
code, unit (what one unit of a code adds) and reconstruction.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from sae_lens import SAE
from sae_lens.registry import SAE_CLASS_REGISTRY
from sae_lens.saes.sae import TrainingSAE
from safetensors.torch import load_file, save_file


@torch.no_grad()
def main(folder: Path) -> None:
    """Load and answer every case."""
    for inputs in sorted(folder.glob("*/x.safetensors")):
        place = inputs.parent
        x = load_file(inputs)["x"]
        if place.name.startswith("training_"):
            # Our own files of batchtopk and matryoshka are training saves there: SAELens makes them inference ones.
            TrainingSAE.load_from_disk(place).save_inference_model(place / "inference")
            sae = SAE.load_from_disk(place / "inference")
        else:
            sae = SAE.load_from_disk(place)
        assert sae.cfg.architecture() in SAE_CLASS_REGISTRY
        answer = {"code": sae.encode(x), "unit": sae.W_dec.norm(dim=1), "reconstruction": sae(x)}
        save_file({name: tensor.contiguous() for name, tensor in answer.items()}, place / "answer.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
