"""Dictionaries compared at one firing rate: truncations of one feature tie, whatever else the judge says of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autointerp.board.entries import build_entries
from autointerp.board.level_figures import common_density
from autointerp.board.scores import build_scores
from autointerp.board.standing import build_sections
from autointerp.board.summary import build_summary
from autointerp.records.evidence import Evidence
from autointerp.records.verdict import Explanation, Verdict
from autointerp.records.window import Window
from autointerp.seeds import stream
from autointerp.stats.levels import LEVELS, threshold_at
from tests.board.synthetic import make_feature, verdict_of

EDGES = tuple((np.exp2(np.arange(0, 25) / 4)).tolist())
COUNTS = tuple(int(1000 / 2 ** (k / 4)) for k in range(24))


def planted(feature: int) -> Evidence:
    """A feature of 40 firing windows from weak to strong, and 20 silent ones; it fires on 2% of the tokens."""
    base = make_feature("whole", feature)
    firing = next(w for w in base.windows if w.role == "score" and w.is_firing)
    silent = next(w for w in base.windows if w.role == "score" and w.kind == "random")
    strengths = np.exp2(np.linspace(0.1, 5.9, 40))
    windows = [
        replace(
            firing,
            id=f"f{feature}-{i}",
            document=f"f{feature}-{i}",
            activations=tuple(float(strength) if a else 0.0 for a in firing.activations),
        )
        for i, strength in enumerate(strengths)
    ]
    windows += [replace(silent, id=f"s{feature}-{i}", document=f"s{feature}-{i}") for i in range(20)]
    explain = [w for w in base.windows if w.role == "explain"]
    return replace(
        base, density=0.02, histogram_edges=EDGES, histogram_counts=COUNTS, windows=(*explain, *windows), counts=None
    )


def truncated(evidence: Evidence, level: float) -> Evidence:
    """The evidence of the same feature when only the strongest share of its firings counts."""
    threshold = threshold_at(level, edges=evidence.histogram_edges, counts=evidence.histogram_counts)
    kept = [w for w in evidence.windows if not w.is_firing or w.max_activation >= threshold]
    inside = [edge for edge in evidence.histogram_edges if edge > threshold]
    counts = evidence.histogram_counts[len(evidence.histogram_counts) - len(inside) + 1 :]
    total = level * sum(evidence.histogram_counts)
    return replace(
        evidence,
        dictionary=f"level-{level:g}",
        density=level * evidence.density,
        windows=tuple(kept),
        histogram_edges=(threshold, *inside) if level < 1 else evidence.histogram_edges,
        histogram_counts=(round(total - sum(counts)), *counts) if level < 1 else evidence.histogram_counts,
    )


def answers(evidence: Evidence) -> list[Verdict]:
    """A judge who recognises strong firings better; what he says of a window does not depend on what else he is
    asked."""

    def calls(window: Window) -> bool:
        chance = 0.1 + 0.14 * np.log2(window.max_activation) if window.is_firing else 0.2
        return stream(0, "judge", window.id).random() < chance

    return [
        verdict_of(evidence, window, "fires" if calls(window) else "silent")
        for window in evidence.windows
        if window.role == "score"
    ]


def board(evidences: list[Evidence]) -> dict[str, dict]:
    explanations = [Explanation(e.dictionary, e.feature, "windows", "scripted", "p", "text") for e in evidences]
    verdicts = [v for e in evidences for v in answers(e)]
    entries = build_entries(build_scores(evidences, explanations, verdicts), seed=0, density=common_density(evidences))
    (section,) = build_sections([build_summary("planted", entries)])
    assert section.metric == "f1_cut"
    assert section.heading == f"F1 at {common_density(evidences):.2g}"
    return {standing.entry["name"]: {**standing.entry, "places": standing.places} for standing in section.standings}


def test_truncations_of_one_feature_tie_at_one_density_and_lie_apart_uncut() -> None:
    whole = [planted(feature) for feature in range(30)]
    found = board([truncated(evidence, level) for evidence in whole for level in LEVELS])
    cut = [entry["f1_cut"]["mean"] for entry in found.values()]
    assert cut == pytest.approx([cut[0]] * len(LEVELS), abs=0.01)
    assert {str(entry["places"]) for entry in found.values()} == {"1-5"}
    uncut = [found[f"level-{level:g}"]["f1"]["mean"] for level in LEVELS]
    assert uncut[-1] - uncut[0] > 0.1


def test_reading_a_level_from_the_answers_is_asking_anew() -> None:
    whole = [truncated(planted(feature), 1.0) for feature in range(20)]
    asked = board([*whole, *(truncated(evidence, 0.5) for evidence in whole)])
    again = board([*whole, *(truncated(evidence, 0.25) for evidence in whole)])
    curve = {point["level"]: point for point in asked["level-1"]["curve"]}
    for level, anew in ((0.5, asked["level-0.5"]), (0.25, again["level-0.25"])):
        assert anew["curve"][0]["f1"]["mean"] == pytest.approx(curve[level]["f1"]["mean"], abs=1e-12)
        assert anew["curve"][0]["density"] == pytest.approx(curve[level]["density"])


def test_weak_firings_added_to_a_dictionary_do_not_move_it_at_one_density() -> None:
    """A dense copy: the same windows, and as many again in which it fires weakly."""
    sparse = [truncated(planted(feature), 0.25) for feature in range(20)]
    dense = [replace(truncated(planted(feature), 1.0), dictionary="dense") for feature in range(20)]
    found = board([*sparse, *dense])
    assert found["dense"]["f1_cut"]["mean"] == pytest.approx(found["level-0.25"]["f1_cut"]["mean"], abs=0.01)
    assert found["level-0.25"]["f1"]["mean"] - found["dense"]["f1"]["mean"] > 0.05


def test_one_dictionary_alone_is_ranked_uncut() -> None:
    evidences = [planted(feature) for feature in range(5)]
    assert common_density(evidences) is None
    verdicts = [v for e in evidences for v in answers(e)]
    explanations = [Explanation(e.dictionary, e.feature, "windows", "scripted", "p", "text") for e in evidences]
    entries = build_entries(build_scores(evidences, explanations, verdicts), seed=0)
    (section,) = build_sections([build_summary("planted", entries)])
    assert section.metric == "f1"
    assert entries[0]["f1_cut"] is None
    assert [point["level"] for point in entries[0]["curve"]] == list(LEVELS)
