"""The hard level fails whoever reads the surface alone, and nobody who knows the rules."""

from __future__ import annotations

import pytest

from autointerp.audition.concepts import CONCEPTS
from autointerp.judges.offline.pattern import PatternJudge
from autointerp.judges.offline.scripted import oracle
from tests.audition.judges import exam, grades, truth
from tests.audition.surface_solvers import family_scores, surface_score, windows

HARD = [concept for concept in CONCEPTS if concept.level == "hard"]
MOST = 0.75
SLOW = ("code_role", "meaning")
FAMILIES = [
    pytest.param(family, marks=pytest.mark.full) if family in SLOW else family
    for family in dict.fromkeys(concept.family for concept in HARD)
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("is_marked", [False, True], ids=["detection", "marked"])
def test_no_surface_rule_solves_a_family(family: str, is_marked: bool) -> None:
    assert max(family_scores(family, is_marked=is_marked).values()) <= MOST


def test_surface_solvers_are_no_straw_men() -> None:
    """They solve what a token or its neighbours decide."""
    for name in ("of_the", "is_before_not", "closing_parenthesis"):
        assert surface_score("expression", *windows(name), is_marked=False) >= 0.95
    assert surface_score("token_list", *windows("closing_parenthesis"), is_marked=False) >= 0.95


@pytest.mark.parametrize("family", FAMILIES)
def test_a_silent_window_matches_its_surface_where_it_is_asked_about(family: str) -> None:
    for concept in (one for one in HARD if one.family == family):
        assert concept.surface is not None
        for window in [one for role in windows(concept.name) for one in role if not one.is_firing]:
            start, end = window.character_span(window.candidate)
            spans = (*concept.surface(window.text), *concept.wrong.spans(window.text))
            assert any(a < end and start < b for a, b in spans)


@pytest.mark.parametrize("size", ["small", "standard"])
def test_who_knows_the_rules_makes_no_error_and_pattern_nears_chance(size: str) -> None:
    for found in grades(oracle(truth(size)), exam(size)).values():  # type: ignore[arg-type]
        assert [found.levels[level].mean for level in ("easy", "medium", "hard")] == [1.0] * 3  # type: ignore[union-attr]
    for found in grades(PatternJudge(), exam(size)).values():  # type: ignore[arg-type]
        assert found.levels["hard"] is not None
        assert found.levels["hard"].mean <= MOST
