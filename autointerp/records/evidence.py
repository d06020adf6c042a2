"""Evidence about features, handed from the tensor half to the language half."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from autointerp.records.document import Role
from autointerp.records.window import Kind, Window

__all__ = [
    "EVIDENCE_SCHEMA",
    "N_SHOWN_LOGITS",
    "ContextPredictability",
    "Evidence",
    "FiringCounts",
    "FiringRule",
    "Neighbour",
    "NeuronMatch",
    "PinnedEffect",
    "TokenEffect",
    "TokenUse",
]

EVIDENCE_SCHEMA = 2

N_SHOWN_LOGITS = 10
"""Logit effects shown to explainers, per side, strongest first; the rest is held out for the scorer of promoted
entries.
"""


@dataclass(frozen=True, slots=True)
class FiringRule:
    """A feature fires where `sign * value > threshold`.

    `kind`: `above_zero` (sparse codes) or `quantile` (dense or signed coordinates, threshold fitted on the dictionary
    split for a firing share of `target_density`).
    """

    kind: Literal["above_zero", "quantile"]
    threshold: float = 0.0
    sign: Literal[1, -1] = 1
    target_density: float | None = None


@dataclass(frozen=True, slots=True)
class TokenEffect:
    """Contribution of the feature's direction to one entry's logit.

    `n_seen`: occurrences in the text of role explain; None in evidence of earlier versions.
    """

    token_id: int
    text: str
    logit: float
    n_seen: int | None = None


@dataclass(frozen=True, slots=True)
class TokenUse:
    """Firings on one vocabulary entry, over all tokens of the explain role."""

    token_id: int
    text: str
    n_firing: int
    n_tokens: int


@dataclass(frozen=True, slots=True)
class NeuronMatch:
    """MLP neuron with the highest Pearson correlation over the explain role."""

    index: int
    correlation: float


@dataclass(frozen=True, slots=True)
class ContextPredictability:
    """How well preceding tokens predict firing at equal tokens (`harvest.predictability`), on held-out documents.

    `shuffled_auroc` is the control, near 0.5. Counts are occurrences of `n_tokens` distinct tokens.
    """

    auroc: float
    shuffled_auroc: float
    n_tokens: int
    n_firing: int
    n_silent: int


@dataclass(frozen=True, slots=True)
class PinnedEffect:
    """Effect on the subject's output of holding the feature at `strength`.

    `raised` and `lowered`: entries with the largest change of mean logit, largest first (Gur-Arieh et al. 2025); `kl`:
    mean divergence of next-token distributions, in nats.
    """

    raised: tuple[TokenEffect, ...]
    lowered: tuple[TokenEffect, ...]
    kl: float
    strength: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Similar feature of the same dictionary.

    `cosine`: of the directions, signed by the firing rules; `co_firing`: Jaccard index of firing over a hashed token
    sample.
    """

    feature: int
    cosine: float
    co_firing: float


@dataclass(frozen=True, slots=True)
class FiringCounts:
    """Population behind a sample of windows.

    `explain_bins`, `score_bins`: firing peaks (largest within a window's length on both sides) per activation bin,
    lowest first. Of `n_windows` systematically placed windows of both roles, the feature fires in `n_firing`.
    """

    explain_bins: tuple[int, ...]
    score_bins: tuple[int, ...]
    n_windows: int
    n_firing: int

    @property
    def prevalence(self) -> float | None:
        """Share of windows with a firing."""
        return self.n_firing / self.n_windows if self.n_windows else None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One feature of one dictionary, with windows of roles explain and score from disjoint documents.

    `density` is `n_firing / n_tokens` over both roles. `histogram_edges`: log-spaced, without zero, one more than
    `histogram_counts`. `token_uses`: most firings first. None means: for `context`, too few occurrences; `pinned`, not
    pinned; `counts`, not counted. `neighbours`: nearest first, by direction and co-firing in turns. `unscored`: reason
    against scoring, if any.
    """

    dictionary: str
    feature: int
    site: str
    rule: FiringRule
    n_tokens: int
    n_firing: int
    density: float
    max_activation: float
    histogram_edges: tuple[float, ...]
    histogram_counts: tuple[int, ...]
    windows: tuple[Window, ...]
    top_logits: tuple[TokenEffect, ...]
    bottom_logits: tuple[TokenEffect, ...]
    token_uses: tuple[TokenUse, ...]
    neuron: NeuronMatch | None
    unscored: Literal["too_few_positives", "too_few_negatives"] | None
    context: ContextPredictability | None = None
    pinned: PinnedEffect | None = None
    counts: FiringCounts | None = None
    neighbours: tuple[Neighbour, ...] = ()

    def select(self, role: Role, *kinds: Kind) -> tuple[Window, ...]:
        """Windows of a role and kinds (default all), in stored order."""
        return tuple(w for w in self.windows if w.role == role and (not kinds or w.kind in kinds))
