"""What an intervention changes: next tokens' distributions and sampled text."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.interventions.prompts import Prompts
from autointerp.subject.hooks import Change
from autointerp.subject.model import Subject

__all__ = ["divergence", "next_logits", "sample"]


def next_logits(
    subject: Subject,
    prompts: Prompts,
    changes: Mapping[SitePoint, Change] | None = None,
    *,
    has_gradient: bool = False,
) -> Float[Tensor, "prompt vocab"]:
    """Logits of what follows each prompt."""
    return subject.changed_logits(prompts.tokens, changes, at=prompts.last, has_gradient=has_gradient)


def divergence(first: Float[Tensor, "*batch vocab"], second: Float[Tensor, "*batch vocab"]) -> Float[Tensor, " *batch"]:
    """KL divergence (nats) of the second distribution from the first, of logits: sum of p (log p - log q)."""
    p, q = first.log_softmax(-1), second.log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1)


@torch.no_grad()
def sample(
    subject: Subject,
    prompts: Prompts,
    changes: Mapping[SitePoint, Change] | None = None,
    *,
    n_tokens: int,
    temperature: float,
    draw: torch.Generator,
) -> Int[Tensor, "prompt sampled"]:
    """`n_tokens` further tokens of each prompt, drawn under `changes`; the likeliest ones at temperature 0.

    Masks of changes reach over the drawn tokens as well, where they are on. Special tokens are never drawn. Each token
    takes a pass of its own over all text: nothing is cached, since a change may touch any position.
    """
    tokens = torch.nn.functional.pad(prompts.tokens, (0, n_tokens))
    last, every = prompts.last, torch.arange(len(prompts))
    banned = torch.tensor(sorted(subject.special_ids), dtype=torch.int64)
    drawn: list[Tensor] = []
    for _ in range(n_tokens):
        logits = subject.changed_logits(tokens[:, : int(last.max()) + 1], changes, at=last).cpu()
        logits[:, banned[banned < logits.shape[1]]] = -torch.inf
        if temperature > 0:
            chosen = torch.multinomial((logits / temperature).softmax(-1), 1, generator=draw)[:, 0]
        else:
            chosen = logits.argmax(dim=-1)
        last = last + 1
        tokens[every, last] = chosen
        drawn.append(chosen)
    return torch.stack(drawn, dim=1) if drawn else tokens[:, :0]
