"""Which windows a scorer asks about, and in which order.

Positives are those of a sampler (`prompting.samplers`), negatives of the kinds that the settings count: random silent
windows, the tops of one other feature as O'Neill et al. 2024 take them, and apart from these, windows that mislead: the
same token, a neighbour's firing, a like text. All are of the role `score`; whatever repeats a window of the role
`explain` is left out. Knows nothing of prompts or judges.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autointerp.config.asking import NegativesConfig, ScorerConfig
from autointerp.errors import ArtefactError
from autointerp.prompting.choosing import draw, strongest
from autointerp.prompting.samplers import NEEDS_DRAWN, Chosen, choose_firing, shares_by_bin
from autointerp.records.document import family_of
from autointerp.records.evidence import Evidence
from autointerp.records.window import Kind, Window
from autointerp.score.likeness import nearest_texts
from autointerp.score.protocol import Item, Unscorable
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

MIN_WINDOWS = 5
"""A feature is scored with fewer windows than asked for, down to this many of either label (or all that were asked
for, where that is fewer); the trivial baselines are computed for the counts used."""

N_OTHERS = 8
"""Other features whose windows and effects a feature is held against."""


def sample_items(
    evidence: Evidence,
    settings: ScorerConfig,
    rng: np.random.Generator,
    *,
    others: Sequence[Evidence],
    positives: Sequence[Window] | None = None,
) -> tuple[Item, ...] | Unscorable:
    """The items to judge, shuffled over all kinds, so neither their order nor a batch's edge tells a label.

    `positives` are a scorer's own, all alike within a bin; left out, they are those that the settings say.
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
    """The silent windows that F1 is over; where a document or a family has too few, random ones take their place."""
    families = {family_of(window.document) for window in positives}
    kinds: tuple[tuple[Kind, Kind, int], ...] = (
        ("same_document", "same_document", wanted.same_document),
        ("same_family", "random", wanted.same_family),
    )
    found: list[Item] = []
    n_missing = wanted.random
    for kind, source, n in kinds:
        left = besides(evidence.select("score", source), [*taken, *(item.window for item in found)]) if n else []
        chosen = draw([w for w in left if kind != "same_family" or family_of(w.document) in families], n, rng)
        found += [Item(window, kind, False) for window in chosen]
        n_missing += n - len(chosen)
    if n_missing:
        left = besides(evidence.select("score", "random"), [*taken, *(item.window for item in found)])
        found += [Item(window, "random", False) for window in draw(left, n_missing, rng)]
    return found


def choose_positives(evidence: Evidence, settings: ScorerConfig, n: int, rng: np.random.Generator) -> list[Window]:
    """`n` activating windows, fewer where there are fewer, by the sampler of the settings."""
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
    """The silent windows that are scored apart from F1."""
    found: list[Item] = []
    kinds: tuple[tuple[Kind, int], ...] = (("near_miss", wanted.near_miss), ("neighbour", wanted.neighbour))
    for kind, n in kinds:
        if n:
            left = besides(evidence.select("score", kind), [*taken, *(item.window for item in found)])
            found += [Item(window, kind, False) for window in draw(left, n, rng)]
    if wanted.embedding_near:
        left = besides(evidence.select("score", "random"), [*taken, *(item.window for item in found)])
        near = nearest_texts(left, positives, wanted.embedding_near)
        found += [Item(window, "embedding_near", False) for window in near]
    return found


def assert_apart(evidence: Evidence, items: Sequence[Item] = ()) -> None:
    """Raise ArtefactError where a document of the role explain serves the role score as well, be it among the windows
    of the evidence or among the items to judge: what was shown to explain would be scored. ValueError where an
    item stands twice."""
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
    """The features of one dictionary that all its features are held against: the first `N_OTHERS`, in an order fixed by
    the seed, that have at least `MIN_WINDOWS` top windows to score.

    Negatives that are one other feature's tops are of the first; of the second for that one itself.
    """
    able = [e for e in evidences if len(e.select("score", "top")) >= MIN_WINDOWS]
    order = sorted(able, key=lambda e: derive(seed, "score", "other_feature", e.dictionary, e.feature))
    return tuple(order[:N_OTHERS])


def _tops_of_other(evidence: Evidence, n: int, others: Sequence[Evidence]) -> list[Window]:
    """Top windows of the fixed other feature, without those that overlap a window this feature fires in.

    Silence is not verified beyond that: this is the published protocol, and its verdicts carry a kind of their own.
    """
    other = next((e for e in others if e.feature != evidence.feature), None)
    if other is None:
        return []
    own = [*evidence.select("explain"), *evidence.select("score", "top", "bin", "drawn")]
    return strongest(besides(other.select("score", "top"), own), n)


def besides(windows: Sequence[Window], taken: Sequence[Window]) -> list[Window]:
    """The windows that neither repeat the text of a taken one nor overlap it in its document."""
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
    """What to say where a label has too few items to be scored, None where it has enough."""
    least = min(wanted, MIN_WINDOWS)
    return f"{found} of {wanted} {what}, at least {least} are needed" if found < least else None
