"""What the subject says differently when a feature is held high: the evidence of explainers and scorers of outputs.

Each feature is pinned at every text token of a few prompts: its own value is replaced by one strength, by adding so
much of its direction at its site. The strength is found by bisection, so that all features move the next token's
distribution equally far (mean KL divergence from the untouched one, in nats): features are compared by what they
change, not by how much. Kept are the vocabulary entries whose logits rose and fell most on average (token change,
Gur-Arieh et al. 2025, arXiv 2501.08319). The prompts are openings of documents of the role explain, the same for all
features. Takes evidence and gives it back with `pinned` filled in; reads no scores and knows no judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autointerp.errors import InputError
from autointerp.harvest.effects import HasLogitEffects, strongest_effects, text_tokens
from autointerp.harvest.passes import LoadedDictionary, ReadableSubject
from autointerp.records.evidence import Evidence, PinnedEffect
from autointerp.subject.packing import PackedBatch
from autointerp.subject.sites import SitePoint
from autointerp.subject.tokens import TokenText

__all__ = ["PROMPT_TOKENS", "PinnableSubject", "Prompts", "choose_prompts", "pin_features"]

PROMPT_TOKENS = 24
"""Length of a prompt: long enough to be about something, short enough for many passes."""
ROWS_AT_ONCE = 256
_MOST_DOUBLINGS = 12
_N_BISECTIONS = 12


@runtime_checkable
class PinnableSubject(ReadableSubject, HasLogitEffects, Protocol):
    """What is needed of a subject."""

    def shifted_logits(
        self, tokens: Tensor, mask: Tensor, point: SitePoint | None = None, shift: Tensor | None = None
    ) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Prompts:
    """Openings of texts, and where their text tokens stand."""

    tokens: Int[Tensor, "prompt pos"]
    is_text: Bool[Tensor, "prompt pos"]


def choose_prompts(batches: Iterable[PackedBatch], n: int, *, context_tokens: int) -> Prompts:
    """The openings of the first `n` contexts that are as long as a prompt and have text at its last token.

    Raises InputError for too few.
    """
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
    subject: PinnableSubject,
    loaded: LoadedDictionary,
    evidence: Sequence[Evidence],
    prompts: Prompts,
    *,
    kl: float,
    n_logits: int,
    text: TokenText,
) -> list[Evidence]:
    """The evidence with what pinning each feature does, `n_logits` entries either way.

    `PinnedEffect.strength` is in units of the feature's activation, `kl` what it came to: another than asked for where
    no strength does it. A transcoder's directions belong to another place than it reads, so its features are not
    pinned.
    """
    if loaded.dictionary.is_transcoder or not evidence:
        return list(evidence)
    shown = text_tokens(subject, text)
    clean = subject.shifted_logits(prompts.tokens, prompts.is_text)
    n_prompts = len(prompts.tokens)
    found: list[Evidence] = []
    per_part = max(1, ROWS_AT_ONCE // n_prompts)
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
            found.append(replace(item, pinned=PinnedEffect(raised, lowered, kl=nats, strength=alpha)))
    return found


class _Pin:
    """Some features of one dictionary over the prompts; tensors are [feature, prompt, ...]."""

    def __init__(
        self,
        subject: PinnableSubject,
        loaded: LoadedDictionary,
        features: Sequence[int],
        prompts: Prompts,
        clean: Float[Tensor, "prompt vocab"],
    ) -> None:
        self._subject, self._point, self._prompts = subject, loaded.point, prompts
        self._n_features, self._n_prompts = len(features), len(prompts.tokens)
        self._clean = clean.log_softmax(-1)
        dictionary = loaded.dictionary
        device = dictionary.directions.device
        chosen = torch.tensor(features, device=device)
        sign = loaded.rules.sign[torch.tensor(features)].to(device)
        self._directions = dictionary.directions.detach()[chosen].float() * sign[:, None]
        x = subject.activations(prompts.tokens, [loaded.point])[loaded.point].to(device)
        own = dictionary.encode_features(x.flatten(0, 1), chosen).float() * sign
        self._own = own.T.unflatten(1, prompts.tokens.shape)
        """[feature, prompt, pos]: the value that is replaced."""

    def logits(self, strength: Float[Tensor, " feature"]) -> Float[Tensor, "feature prompt vocab"]:
        """What follows the prompts with every feature at its strength."""
        lift = strength.to(self._own)[:, None, None] - self._own
        shift = lift[..., None] * self._directions[:, None, None, :]
        tokens = self._prompts.tokens.repeat(self._n_features, 1)
        mask = self._prompts.is_text.repeat(self._n_features, 1)
        logits = self._subject.shifted_logits(tokens, mask, self._point, shift.flatten(0, 1))
        return logits.unflatten(0, (self._n_features, self._n_prompts))

    def divergence(self, logits: Float[Tensor, "feature prompt vocab"]) -> Float[Tensor, " feature"]:
        """Mean KL divergence of the untouched distribution from the pinned one, in nats."""
        pinned = logits.log_softmax(-1)
        return (self._clean.exp() * (self._clean - pinned)).sum(-1).mean(-1).cpu()

    def match(self, start: Float[Tensor, " feature"], *, kl: float) -> Float[Tensor, " feature"]:
        """The strength of each feature at which the divergence is `kl`: doubled from `start` until it is passed, then
        halved in between."""
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
