"""What was explained is never scored: the rule by which another system leaks, made up again, and ours beside it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp.config.asking import ExplainerConfig, NegativesConfig, Sampling, ScorerConfig
from autointerp.errors import ArtefactError
from autointerp.explain.windows import choose_windows
from autointerp.records.document import Role
from autointerp.records.evidence import Evidence, FiringCounts
from autointerp.records.planted import plant_evidence
from autointerp.records.window import Kind, Window
from autointerp.score.sampling import assert_apart, sample_items
from autointerp.score.scorer import Item, Unscorable
from autointerp.seeds import stream
from tests.drawing import examples
from tests.score.planted import make_window

SAMPLINGS = get_args(Sampling)


def by_tenths(examples: list[int], n: int, seed: int = 22) -> list[int]:
    """The published rule: n // 10 of each tenth of one list, by one seed, for explaining and for scoring alike."""
    drawing = random.Random(seed)
    size = len(examples) // 10
    tenths = [examples[size * place : size * (place + 1)] for place in range(10)]
    return [example for tenth in tenths for example in drawing.sample(tenth, min(n // 10, len(tenth)))]


def test_one_list_and_one_seed_leak_a_quarter_of_what_is_scored() -> None:
    """40 to explain and 50 to score, as delphi 0.1.3 draws them, over lists as long as its limit of 200 and more."""
    leaked = []
    for n in range(200, 301, 10):
        examples = list(range(n))
        explained = set(by_tenths(examples, 40))
        leaked.append(np.mean([example in explained for example in by_tenths(examples, 50)]))
    assert 0.15 < np.mean(leaked) < 0.35
    assert np.mean(leaked) == pytest.approx(0.24, abs=0.05)


KINDS: tuple[Kind, ...] = ("top", "bin", "drawn", "random", "near_miss", "neighbour")


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    """Windows over a few documents, each document of one role, texts and spans repeated now and then."""
    rng = stream(draw(st.integers(0, 10**6)), "leak")
    windows: list[Window] = []
    for number in range(draw(st.integers(20, 120))):
        document = int(rng.integers(24))
        role: Role = "explain" if document % 2 else "score"
        kind = KINDS[int(rng.integers(len(KINDS)))]
        is_firing = kind in ("top", "bin", "drawn")
        pieces = [f" w{int(i)}" for i in rng.integers(0, 4 if number % 9 == 0 else 60, size=6)]
        value = float(rng.exponential()) + 0.01
        window = make_window(
            pieces,
            [value if is_firing and place == 2 else 0.0 for place in range(6)],
            name=f"doc{document}@{number}",
            role=role,
            kind=kind,
            candidate=2,
            bin_index=min(4, int(value)) if is_firing else None,
            offset=int(rng.integers(60)),
        )
        windows.append(window)
    counts = FiringCounts((50, 20, 9, 4, 2), (50, 20, 9, 4, 2), 1000, 40) if draw(st.booleans()) else None
    return replace(plant_evidence(), windows=tuple(windows), counts=counts)


def tokens_of(window: Window) -> set[tuple[str, int]]:
    return {(window.document, window.offset + place) for place in range(len(window.token_ids))}


@pytest.mark.parametrize("sampling", SAMPLINGS)
@settings(deadline=None, max_examples=examples(60))
@given(evidence=evidences(), seed=st.integers(0, 1000), n=st.integers(1, 12))
def test_no_window_in_two_roles_and_no_document_in_both_sets(
    sampling: Sampling, evidence: Evidence, seed: int, n: int
) -> None:
    shown = choose_windows(ExplainerConfig(n_windows=n, sampling=sampling), evidence, stream(seed, "explain"))
    negatives = NegativesConfig(random=3, near_miss=2, neighbour=2, embedding_near=2)
    asked = ScorerConfig(name="detection", n_positive=n, sampling=sampling, negatives=negatives)
    items = sample_items(evidence, asked, stream(seed, "score"), others=())
    if isinstance(items, Unscorable):
        return
    assert_apart(evidence, items)
    judged = [item.window for item in items]
    assert {w.document for w in shown}.isdisjoint(w.document for w in judged)
    assert {" ".join(w.text.split()) for w in shown}.isdisjoint(" ".join(w.text.split()) for w in judged)
    taken: set[tuple[str, int]] = set()
    for window in judged:
        assert taken.isdisjoint(tokens_of(window)), "two judged windows overlap"
        taken |= tokens_of(window)
    assert len({w.text for w in judged}) == len(judged)
    assert all(item.is_firing == item.window.is_firing for item in items)


def test_evidence_that_leaks_stops_the_run() -> None:
    evidence = plant_evidence()
    shown = evidence.select("explain", "top")[0]
    leaking = replace(evidence, windows=(*evidence.windows, replace(shown, id="again", role="score")))
    assert_apart(evidence)
    with pytest.raises(ArtefactError, match=f"'{shown.document}' serves both explain and score.*harvest stage"):
        assert_apart(leaking)
    with pytest.raises(ArtefactError, match="serves both"):
        assert_apart(evidence, (Item(replace(shown, role="score"), "top", True),))
    item = Item(evidence.select("score", "top")[0], "top", True)
    with pytest.raises(ValueError, match="stands twice"):
        assert_apart(evidence, (item, item))
