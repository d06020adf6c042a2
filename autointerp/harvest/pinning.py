"""What the subject says differently when a feature is held high: evidence for explainers and scorers of outputs.

A feature's value at every text token of a few prompts is replaced by one strength, found by bisection, that moves the
next token's distribution by a given mean KL divergence (nats). The entries whose logits rose and fell most are kept
(token change: Gur-Arieh et al. 2025, arXiv 2501.08319).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from autointerp.errors import InputError
from autointerp.harvest.effects import strongest_effects, text_tokens
from autointerp.harvest.passes import LoadedDictionary
from autointerp.interventions.changes import FeatureValues, add
from autointerp.interventions.effects import divergence, next_logits
from autointerp.interventions.prompts import Prompts
from autointerp.records.evidence import Evidence, PinnedEffect
from autointerp.subject.model import Subject
from autointerp.subject.packing import PackedBatch
from autointerp.subject.tokens import TokenText

__all__ = ["PROMPT_TOKENS", "choose_prompts", "pin_features"]

# length of a prompt: long enough to be about something, short enough for many passes
PROMPT_TOKENS = 24
ROWS_AT_ONCE = 256
_MOST_DOUBLINGS = 12
_N_BISECTIONS = 12


def choose_prompts(batches: Iterable[PackedBatch], n: int, *, context_tokens: int) -> Prompts:
    """The openings of the first `n` contexts that are long enough and end in text. Raises InputError for too few."""
    length = min(PROMPT_TOKENS, context_tokens)
    tokens: list[Tensor] = []
    masks: list[Tensor] = []
    for batch in batches:
        if batch.tokens.shape[1] < length:
            continue
        for row, mask in zip(batch.tokens[:, :length], batch.is_text[:, :length], strict=True):
            if bool(mask[-1]) and len(tokens) < n:
                tokens.append(row.cpu())
                masks.append(mask.cpu())
        if len(tokens) >= n:
            break
    if len(tokens) < n:
        raise InputError(
            f"harvest.pinned = {n}, but the role explain has {len(tokens)} contexts with {length} tokens of "
            "text; lower it, or raise corpus.evidence_tokens"
        )
    return Prompts(torch.stack(tokens), torch.stack(masks))


@torch.no_grad()
def pin_features(
    subject: Subject,
    loaded: LoadedDictionary,
    evidence: Sequence[Evidence],
    prompts: Prompts,
    *,
    kl: float,
    n_logits: int,
    text: TokenText,
) -> list[Evidence]:
    """The evidence with the effect of pinning each feature, `n_logits` entries either way.

    `PinnedEffect.strength` is in units of the activation; its `kl` differs from `kl` where no strength reaches that.
    """
    if loaded.dictionary.is_cross_layer:
        raise ValueError("a cross-layer transcoder writes to several layers: no shift of one place pins its features")
    if not evidence:
        return []
    shown = text_tokens(subject, text)
    clean = next_logits(subject, prompts)
    pinned: list[Evidence] = []
    per_part = max(1, ROWS_AT_ONCE // len(prompts))
    for start in range(0, len(evidence), per_part):
        part = evidence[start : start + per_part]
        pin = _Pin(subject, loaded, [e.feature for e in part], prompts, clean)
        strength = pin.match(torch.tensor([max(e.max_activation, 1e-6) for e in part]), kl=kl)
        logits = pin.logits(strength)
        reached = pin.divergence(logits)
        change = (logits - clean).mean(dim=1)
        # a logit that all entries share changes nothing that is said
        change -= change[:, shown.to(change.device)].mean(dim=1, keepdim=True)
        effects = strongest_effects(change, shown, n_logits=n_logits, text=text)
        for item, (raised, lowered), nats, alpha in zip(
            part, effects, reached.tolist(), strength.tolist(), strict=True
        ):
            pinned.append(replace(item, pinned=PinnedEffect(raised, lowered, kl=nats, strength=alpha)))
    return pinned


class _Pin:
    """Some features of one dictionary over the prompts; tensors are [feature, prompt, ...]."""

    def __init__(
        self,
        subject: Subject,
        loaded: LoadedDictionary,
        features: Sequence[int],
        prompts: Prompts,
        clean: Float[Tensor, "prompt vocab"],
    ) -> None:
        self._subject, self._point = subject, loaded.written
        self._clean, self._n_prompts = clean, len(prompts)
        self._prompts = prompts.repeated(len(features))
        chosen = torch.tensor(features)
        self._sign = loaded.rules.sign[chosen]
        x = subject.activations(prompts.tokens, [loaded.point])[loaded.point]
        self._values = FeatureValues(loaded.dictionary, x, chosen)

    def logits(self, strength: Float[Tensor, " feature"]) -> Float[Tensor, "feature prompt vocab"]:
        shift = self._values.one_by_one(strength * self._sign).flatten(0, 1)
        changes = {self._point: add(shift, at=self._prompts.is_text)}
        return next_logits(self._subject, self._prompts, changes).unflatten(0, (-1, self._n_prompts))

    def divergence(self, logits: Float[Tensor, "feature prompt vocab"]) -> Float[Tensor, " feature"]:
        """Mean KL divergence of the untouched distribution from the pinned one, in nats."""
        return divergence(self._clean.expand_as(logits), logits).mean(-1).cpu()

    def match(self, start: Float[Tensor, " feature"], *, kl: float) -> Float[Tensor, " feature"]:
        """The strengths at which the divergence is `kl`: doubled from `start` until past it, then bisected."""
        low, high = torch.zeros_like(start), start.clone()
        for _ in range(_MOST_DOUBLINGS):
            is_short = self.divergence(self.logits(high)) < kl
            if not bool(is_short.any()):
                break
            low, high = torch.where(is_short, high, low), torch.where(is_short, 2 * high, high)
        for _ in range(_N_BISECTIONS):
            middle = (low + high) / 2
            is_short = self.divergence(self.logits(middle)) < kl
            low, high = torch.where(is_short, middle, low), torch.where(is_short, high, middle)
        return (low + high) / 2
