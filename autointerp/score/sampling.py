"""The windows a scorer asks about, and their order: of role `score`, none repeating one of role `explain`."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest

import numpy as np

from autointerp.config.asking import NegativesConfig, ScorerConfig
from autointerp.errors import ArtefactError
from autointerp.prompting.choosing import draw, strongest
from autointerp.prompting.samplers import NEEDS_DRAWN, Chosen, choose_firing, shares_by_bin
from autointerp.records.document import family_of
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_book import count_windows, outlines_of
from autointerp.records.window import Kind, Window
from autointerp.score.likeness import nearest_texts
from autointerp.score.scorer import Item, Unscorable
from autointerp.seeds import derive

__all__ = [
    "MIN_WINDOWS",
    "N_OTHERS",
    "assert_apart",
    "besides",
    "choose_positives",
    "fixed_others",
    "sample_items",
    "too_few",
]

MIN_WINDOWS = 5  # fewest windows per label that are scored, or all that are asked for if fewer

N_OTHERS = 8  # fixed other features per dictionary


def sample_items(
    evidence: Evidence,
    settings: ScorerConfig,
    rng: np.random.Generator,
    *,
    others: Sequence[Evidence],
    positives: Sequence[Window] | None = None,
) -> tuple[Item, ...] | Unscorable:
    """The items, shuffled over all kinds, so neither order nor batch tells a label.

    `positives` replace the windows chosen by the settings.
    """
    seen, wanted = evidence.select("explain"), settings.counted_negatives
    if positives is None:
        chosen = _choose(evidence, settings, settings.n_positive, rng)
        positives = [window for window, _ in chosen]
    else:
        chosen = shares_by_bin(positives, _bins(evidence))
    shortage = too_few("positives", len(positives), settings.n_positive)
    if shortage is not None:
        return Unscorable("too_few_positives", shortage)
    taken = [*seen, *positives]
    negatives: list[Item] = []
    if wanted.other:
        negatives += [Item(w, "other", False) for w in _tops_of_other(evidence, wanted.other, others)]
    negatives += _silent(evidence, wanted, [*taken, *(item.window for item in negatives)], positives, rng)
    shortage = too_few("negatives", len(negatives), settings.n_negative)
    if shortage is not None:
        return Unscorable("too_few_negatives", shortage)
    negatives += _misleading(evidence, wanted, [*taken, *(item.window for item in negatives)], positives, rng)
    items = [*(Item(window, window.kind, True, share=share) for window, share in chosen), *negatives]
    return tuple(items[index] for index in rng.permutation(len(items)))


def _silent(
    evidence: Evidence,
    wanted: NegativesConfig,
    taken: Sequence[Window],
    positives: Sequence[Window],
    rng: np.random.Generator,
) -> list[Item]:
    """The silent windows counted in F1; random ones fill up rare kinds."""
    families = {family_of(window.document) for window in positives}
    kinds: tuple[tuple[Kind, Kind, int], ...] = (
        ("same_document", "same_document", wanted.same_document),
        ("same_family", "random", wanted.same_family),
    )
    items: list[Item] = []
    n_missing = wanted.random
    for kind, source, n in kinds:
        left = besides(evidence.select("score", source), [*taken, *(item.window for item in items)]) if n else []
        chosen = draw([w for w in left if kind != "same_family" or family_of(w.document) in families], n, rng)
        items += [Item(window, kind, False) for window in chosen]
        n_missing += n - len(chosen)
    if n_missing:
        left = besides(evidence.select("score", "random"), [*taken, *(item.window for item in items)])
        items += [Item(window, "random", False) for window in draw(left, n_missing, rng)]
    return items


def choose_positives(evidence: Evidence, settings: ScorerConfig, n: int, rng: np.random.Generator) -> list[Window]:
    """At most `n` activating windows by the sampler of the settings."""
    return [window for window, _ in _choose(evidence, settings, n, rng)]


def _choose(evidence: Evidence, settings: ScorerConfig, n: int, rng: np.random.Generator) -> list[Chosen]:
    kinds: tuple[Kind, ...] = ("top", "bin", "drawn") if settings.sampling in NEEDS_DRAWN else ("top", "bin")
    activating = besides(evidence.select("score", *kinds), evidence.select("explain"))
    return choose_firing(settings.sampling, activating, n, rng, bins=_bins(evidence))


def _bins(evidence: Evidence) -> tuple[int, ...] | None:
    return None if evidence.counts is None else evidence.counts.score_bins


def _misleading(
    evidence: Evidence,
    wanted: NegativesConfig,
    taken: Sequence[Window],
    positives: Sequence[Window],
    rng: np.random.Generator,
) -> list[Item]:
    """The silent windows scored apart from F1."""
    items: list[Item] = []
    kinds: tuple[tuple[Kind, int], ...] = (("near_miss", wanted.near_miss), ("neighbour", wanted.neighbour))
    for kind, n in kinds:
        if n:
            left = besides(evidence.select("score", kind), [*taken, *(item.window for item in items)])
            items += [Item(window, kind, False) for window in draw(left, n, rng)]
    if wanted.embedding_near:
        left = besides(evidence.select("score", "random"), [*taken, *(item.window for item in items)])
        near = nearest_texts(left, positives, wanted.embedding_near)
        items += [Item(window, "embedding_near", False) for window in near]
    return items


def assert_apart(evidence: Evidence, items: Sequence[Item] = ()) -> None:
    """Raise ArtefactError for a document that serves both roles, ValueError for a repeated item."""
    explained = {window.document for window in evidence.windows if window.role == "explain"}
    scored = [window for window in evidence.windows if window.role == "score"]
    scored += [window for item in items for window in (item.window, *item.shown) if isinstance(window, Window)]
    shared = sorted({window.document for window in scored} & explained)
    if shared:
        raise ArtefactError(
            f"feature {evidence.feature} of dictionary '{evidence.dictionary}': document '{shared[0]}' serves both "
            "explain and score, so what was explained would be scored; run the harvest stage again"
        )
    keys = [item.key for item in items]
    if len(set(keys)) < len(keys):
        raise ValueError(f"a window stands twice among those to judge of feature {evidence.feature}")


def fixed_others(evidences: Sequence[Evidence], *, seed: int) -> tuple[Evidence, ...]:
    """The first `N_OTHERS` features with `MIN_WINDOWS` top windows to score, in an order fixed by the seed."""
    counts = count_windows(evidences, "score", "top")
    draws = {
        derive(seed, "score", "other_feature", e.dictionary, e.feature): number
        for number, (e, n_tops) in enumerate(zip(outlines_of(evidences), counts, strict=True))
        if n_tops >= MIN_WINDOWS
    }
    return tuple(evidences[draws[draw]] for draw in nsmallest(N_OTHERS, draws))


def _tops_of_other(evidence: Evidence, n: int, others: Sequence[Evidence]) -> list[Window]:
    """Top windows of the other feature that do not overlap firing ones of this feature; not verified silent."""
    other = next((e for e in others if e.feature != evidence.feature), None)
    if other is None:
        return []
    own = [*evidence.select("explain"), *evidence.select("score", "top", "bin", "drawn")]
    return strongest(besides(other.select("score", "top"), own), n)


def besides(windows: Sequence[Window], taken: Sequence[Window]) -> list[Window]:
    """The windows that neither repeat nor overlap a taken one."""
    texts = {" ".join(window.text.split()) for window in taken}
    spans: dict[str, list[tuple[int, int]]] = {}
    for window in taken:
        spans.setdefault(window.document, []).append((window.offset, window.offset + len(window.token_ids)))
    return [
        window
        for window in windows
        if " ".join(window.text.split()) not in texts
        and not any(
            start < window.offset + len(window.token_ids) and window.offset < end
            for start, end in spans.get(window.document, ())
        )
    ]


def too_few(what: str, found: int, wanted: int) -> str | None:
    """The message for a label with too few items, or None."""
    least = min(wanted, MIN_WINDOWS)
    return f"{found} of {wanted} {what}, at least {least} are needed" if found < least else None
