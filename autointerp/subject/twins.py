"""Random twins of a trained subject (Heap, Lawson, Farnik and Aitchison 2025, arXiv 2501.17727, and one variant
more).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from autointerp.seeds import derive

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Weights", "make_twin"]

# `permuted`: the entries of every tensor shuffled, so that each keeps its distribution exactly. `resampled`: drawn from
# a normal distribution of the tensor's mean and deviation (Heap et al., "re-randomised"). `..._but_embeddings`: token
# and position embeddings and the unembedding stay trained ("excluding embeddings"). `initial`: as the architecture
# initialises itself before training ("step 0").
Weights = Literal["trained", "permuted", "permuted_but_embeddings", "resampled", "resampled_but_embeddings", "initial"]


@torch.no_grad()
def make_twin(model: PreTrainedModel, weights: Weights, *, seed: int) -> None:
    """Turn `model` in place into the twin that `weights` names, the same one for the same seed.

    Tensors that share memory (a tied unembedding) still do afterwards.
    """
    if weights == "trained":
        return
    if weights == "initial":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "twin", weights) % 2**63)
            for part in (*model.modules(), *model.parameters()):
                if hasattr(part, "_is_hf_initialized"):  # transformers leaves alone what it has marked as loaded
                    delattr(part, "_is_hf_initialized")
            model.init_weights()
        return
    kept = _embeddings(model) if weights.endswith("_but_embeddings") else set()
    for name, parameter in model.named_parameters():
        if id(parameter) in kept:
            continue
        draw = torch.Generator().manual_seed(derive(seed, "twin", weights, name) % 2**63)
        if weights.startswith("permuted"):
            order = torch.randperm(parameter.numel(), generator=draw)
            parameter.copy_(parameter.flatten()[order.to(parameter.device)].view_as(parameter))
        else:
            noise = torch.randn(parameter.shape, generator=draw).to(parameter)
            spread = parameter.std(correction=0) if parameter.numel() > 1 else torch.zeros(())
            parameter.copy_(noise * spread + parameter.mean())


def _embeddings(model: PreTrainedModel) -> set[int]:
    kept = {id(p) for module in model.modules() if isinstance(module, torch.nn.Embedding) for p in module.parameters()}
    head = model.get_output_embeddings()
    return kept | ({id(p) for p in head.parameters()} if head is not None else set())
