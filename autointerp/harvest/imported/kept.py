"""Evidence from what another tool kept: texts as tokens, with all firings of some features on them.

Takes batches of text with firings, whoever read them; draws and counts as the harvest does of a subject's own passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autointerp.config.tree import HarvestConfig
from autointerp.harvest.contexts import ContextCollector
from autointerp.harvest.evidence import Need, counted_evidence
from autointerp.harvest.firing import Firings
from autointerp.harvest.passes import near_tokens_of
from autointerp.harvest.segments import Placement, TextBatch
from autointerp.harvest.statistics import FeatureStatistics
from autointerp.harvest.windows import Plan, WindowCollector
from autointerp.records.document import Role
from autointerp.records.evidence import Evidence, FiringRule
from autointerp.subject.packing import PackedBatch
from autointerp.subject.tokens import TokenText

__all__ = ["SHARES", "Imported", "KeptBatches", "collect_kept"]

SHARES: dict[Role, float] = {"explain": 0.5, "score": 0.5}
"""How imported texts are shared out; nothing is trained on them."""

KeptBatches = Callable[[], Iterable[tuple[PackedBatch, Firings]]]
"""Opens the batches anew, each of one role, with the firings on its text by the feature's place in the sample."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The evidence about one dictionary, with what its files said of where it comes from and what they did not say."""

    name: str
    evidence: tuple[Evidence, ...]
    model: str | None
    corpus: str | None
    n_tokens: int
    lacks: tuple[str, ...]


def collect_kept(
    name: str,
    features: Sequence[int],
    open_batches: KeptBatches,
    config: HarvestConfig,
    *,
    site: str,
    text: TokenText,
    seed: int,
    needs: Mapping[Role, Need] | None = None,
    has_contexts: bool = True,
) -> list[Evidence]:
    """The evidence about `features`, all of which fire above 0. Read twice, as the harvest reads its text.

    has_contexts: whether the texts are a sample of all texts, so that what precedes firings can be learnt from them.
    """
    places = np.arange(len(features))
    statistics = FeatureStatistics(len(features), order=places, vocab_size=len(text.pieces))
    for batch, firings in open_batches():
        statistics.add(firings, tokens=batch.tokens[batch.is_text].numpy(), role=batch.role)
    low, high = statistics.range(places)
    near = tuple(near_tokens_of(statistics, place) for place in places.tolist())
    plan = Plan(name, np.asarray(features, dtype=np.int64), low, high, near)
    windows, contexts = WindowCollector(plan, config, seed=seed), ContextCollector(plan, seed=seed)
    gap = Placement.of(config).n_tokens
    for batch, firings in open_batches():
        part = TextBatch(batch, seed=seed, gap=gap)
        windows.add(part, firings)
        if has_contexts:
            contexts.add(part, firings)
    return counted_evidence(
        windows,
        statistics,
        places=places.tolist(),
        contexts=contexts if has_contexts else None,
        site=site,
        rule=lambda feature: FiringRule("above_zero"),
        config=config,
        text=text,
        needs=needs,
    )
