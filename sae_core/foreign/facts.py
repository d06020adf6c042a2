"""Facts about a dictionary that need no activations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sae_core.dictionary import Dictionary
from sae_core.foreign.coder import ForeignCoder

__all__ = ["coder_facts", "row_facts", "spread"]


def coder_facts(coder: ForeignCoder) -> dict[str, Any]:
    """JSON-ready facts of a coder as its file has it."""
    norms = torch.linalg.vector_norm(coder.W_dec, dim=1, dtype=torch.float64)
    facts: dict[str, Any] = {"decoder_norm": spread(norms), "subtracts_b_dec": coder.is_centred}
    if coder.rule in ("topk", "signed_topk", "abstopk", "groupmax", "batchtopk", "matryoshka"):
        facts["k"] = coder.k
        facts["selects_by_decoder_norm"] = coder.is_norm_rescaled
    if coder.threshold is not None:
        facts["threshold"] = spread(coder.threshold.double())
    if coder.prefixes:
        facts["prefixes"] = list(coder.prefixes)
    if coder.pursuit is not None:
        facts |= {"max_steps": coder.pursuit.n_steps, "residual_threshold": coder.pursuit.residual_threshold}
    facts["n_zero_directions"] = int((norms == 0).sum())
    return facts


def row_facts(dictionary: Dictionary) -> dict[str, Any]:
    """Features that cannot fire (encoder row of zeros, bias at most 0) or repeat an earlier direction bit for bit."""
    state = {name.rpartition(".")[2]: tensor for name, tensor in dictionary.state_dict().items()}
    facts: dict[str, Any] = {}
    encoder = state.get("W_enc")
    if encoder is not None and encoder.shape[0] == dictionary.n_features:
        is_silent = (encoder == 0).all(dim=1)
        bias = state.get("b_gate", state.get("b_enc"))
        if bias is not None:
            is_silent &= bias <= 0
        facts["n_silent_rows"] = int(is_silent.sum())
    directions = dictionary.directions.detach().cpu().numpy()
    facts["n_repeated_directions"] = len(directions) - len({row.tobytes() for row in directions})
    return facts


def spread(values: Tensor) -> dict[str, float] | float:
    """Smallest, mean and largest value; one number if they are equal."""
    low, mean, high = float(values.min()), float(values.mean()), float(values.max())
    return low if low == high else {"min": low, "mean": mean, "max": high}
