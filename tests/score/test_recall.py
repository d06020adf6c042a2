from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from autointerp.judges.offline import scripted
from autointerp.judges.offline.truth import Truth
from autointerp.judges.tasks import Passage
from autointerp.score.scorer import Unscorable
from autointerp.seeds import stream
from tests.score.planted import fires_on, make_evidence
from tests.score.running import items_of, open_scorer, row_of

EVIDENCE = make_evidence(fires_on(" return"), n_documents=600)


def test_every_bin_gives_as_many_and_the_tops_none() -> None:
    items = items_of(open_scorer("recall", n_positive=20), EVIDENCE)
    assert Counter(item.window.bin for item in items if item.is_firing) == dict.fromkeys(range(5), 4)
    assert {item.kind for item in items if item.is_firing} == {"bin"}
    assert sum(item.kind == "random" for item in items) == 20


def test_the_question_is_that_of_detection_word_for_word() -> None:
    recall, detection = open_scorer("recall"), open_scorer("detection")
    items = items_of(recall, EVIDENCE)
    assert recall.questions("cats", items) == detection.questions("cats", items)
    assert recall.prompt_hash == detection.prompt_hash


def test_an_explanation_of_strong_firings_alone_is_seen_in_the_weak_half() -> None:
    """Right about the two upper bins of five and about silent windows, wrong about the rest."""
    strong = {
        Passage(w.text): w.is_firing and (w.bin or 0) >= 3 for w in EVIDENCE.select("score", "bin", "random", "top")
    }
    found = row_of(open_scorer("recall", n_positive=20), EVIDENCE, scripted.oracle(Truth.of_passages(strong)))
    assert (found["metric"], found["score"]) == ("recall", pytest.approx(0.4))
    assert (found["recall_low"], found["recall_high"]) == (0.0, 1.0)
    assert found["chance"] == 0.0


def test_who_says_yes_to_everything_is_known_by_the_catch_trials() -> None:
    found = row_of(open_scorer("recall"), EVIDENCE, scripted.coin(heads=1.0))
    assert found["score"] == found["chance"] == 1.0
    assert found["matthews"] == 0.0


def test_tops_alone_are_not_enough() -> None:
    windows = tuple(w for w in EVIDENCE.windows if w.kind != "bin")
    found = open_scorer("recall").sample(replace(EVIDENCE, windows=windows), stream(0, "t"), others=())
    assert isinstance(found, Unscorable)
    assert found.reason == "too_few_positives"
