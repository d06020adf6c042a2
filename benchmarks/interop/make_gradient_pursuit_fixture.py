"""Make the fixture of tests/sae_core/inference: gradient pursuit's codes as dictionary_learning finds them.

Usage: benchmarks/.envs/dictionary_learning/bin/python benchmarks/interop/make_gradient_pursuit_fixture.py. It runs in
that tool's environment and writes one safetensors file: x, directions (unit rows), and its codes after 1, 5 and 12
steps. The signals are noisy sums of a few directions; twelve steps are enough for repeats and clipping to occur.
"""

from __future__ import annotations

from pathlib import Path

import torch
from dictionary_learning.grad_pursuit import grad_pursuit
from safetensors.torch import save_file

TARGET = Path(__file__).parents[2] / "tests" / "sae_core" / "inference" / "gradient_pursuit.safetensors"
N_ROWS, D_IN, N_FEATURES = 12, 16, 40
STEPS = (1, 5, 12)


def main() -> None:
    """Write it."""
    draw = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(N_FEATURES, D_IN, generator=draw), dim=1)
    planted = torch.rand(N_ROWS, N_FEATURES, generator=draw) * (torch.rand(N_ROWS, N_FEATURES, generator=draw) < 0.1)
    x = planted @ directions + 0.05 * torch.randn(N_ROWS, D_IN, generator=draw)
    tensors = {"x": x, "directions": directions}
    for n_steps in STEPS:
        tensors[f"codes_{n_steps}"] = grad_pursuit(x, directions.T, target_l0=n_steps)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, TARGET)
    repeats = [n_steps - int((tensors[f"codes_{n_steps}"] > 0).sum(dim=1).min()) for n_steps in STEPS]
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes; steps that left no code of their own: {repeats}")


if __name__ == "__main__":
    main()
