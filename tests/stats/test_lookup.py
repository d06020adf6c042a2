from __future__ import annotations

from dataclasses import replace

from autointerp.records.document import Role
from autointerp.records.evidence import Evidence, TokenUse
from autointerp.records.window import Kind, Window
from autointerp.stats.lookup import TokenRule, fit_token_rule, lookup_table
from autointerp.stats.metrics import balanced_accuracy
from tests.board.synthetic import make_feature, make_window

A, B, C, D = 1, 2, 3, 4


def window(
    tokens: list[int], *, fires_at: int | None, role: Role = "explain", kind: Kind | None = None, id: str = ""
) -> Window:
    kind = kind or ("random" if fires_at is None else "top")
    firing = {} if fires_at is None else {fires_at: 1.0}
    return make_window(
        tokens, id=id or f"{tokens}{fires_at}{role}", role=role, kind=kind, firing=firing, candidate=fires_at or 0
    )


def evidence(windows: list[Window], uses: list[tuple[int, int, int]], density: float = 0.01) -> Evidence:
    tokens = tuple(TokenUse(token, str(token), n_firing, n) for token, n_firing, n in uses)
    return replace(make_feature("sae", 0), windows=tuple(windows), token_uses=tokens, density=density)


def test_takes_the_tokens_that_tell_firing_from_silent_windows():
    # B fires often, but stands in every silent window too: a list with B is worse than one without.
    windows = [window([C, A, D], fires_at=1), window([C, B, A], fires_at=2), window([C, B, D], fires_at=1)]
    windows += [window([C, B, D], fires_at=None, id=f"r{i}") for i in range(4)]
    found = fit_token_rule(evidence(windows, [(B, 30, 100), (A, 9, 10)]), task="detection")
    assert found.token_ids == {A}


def test_marked_looks_at_the_candidate_alone():
    windows = [window([A, B, D], fires_at=1), window([A, B, C], fires_at=None)]
    found = fit_token_rule(evidence(windows, [(B, 5, 10)]), task="marked")
    assert found == TokenRule("marked", frozenset({B}))
    # The silent window holds B, yet its candidate is A.
    assert lookup_table(found, [(windows[0], True), (windows[1], False)]) == (1, 0, 0, 1)
    assert lookup_table(replace(found, task="detection"), [(windows[0], True), (windows[1], False)]) == (1, 1, 0, 0)


def test_never_reads_a_score_window_when_fitting():
    explain = [window([A, C], fires_at=0), window([C, D], fires_at=None)]
    score = [window([B, C], fires_at=0, role="score"), window([A, D], fires_at=None, role="score")]
    uses = [(A, 9, 10), (B, 1, 100)]
    with_score = fit_token_rule(evidence([*explain, *score], uses), task="detection")
    assert with_score == fit_token_rule(evidence(explain, uses), task="detection")
    assert with_score.token_ids == {A}


def test_a_token_missing_from_the_counts_is_found_in_the_explain_windows():
    windows = [window([A, C], fires_at=0), window([D, C], fires_at=None)]
    assert fit_token_rule(evidence(windows, []), task="detection").token_ids == {A}


def test_a_rare_token_yields_to_a_well_attested_one():
    windows = [window([A, D], fires_at=0), window([B, D], fires_at=0), window([C, D], fires_at=None)]
    ranked_last = fit_token_rule(
        evidence(windows, [(A, 95, 100), (B, 1, 1), (C, 1, 1)], density=1e-3), task="detection"
    )
    assert A in ranked_last.token_ids


def test_without_explain_windows_the_tokens_that_mostly_fire_are_taken():
    assert fit_token_rule(evidence([], [(A, 80, 100), (B, 10, 100)]), task="marked").token_ids == {A}


def test_planted_features_are_found_and_near_misses_fool_it():
    for feature in range(5):
        planted = make_feature("sae", feature)
        rule = fit_token_rule(planted, task="detection")
        assert planted.token_uses[0].token_id in rule.token_ids
        main = [(w, w.is_firing) for w in planted.select("score", "top", "bin", "random")]
        near = [(w, w.is_firing) for w in planted.select("score", "top", "bin", "near_miss")]
        assert balanced_accuracy(lookup_table(rule, main)) == 1.0
        assert balanced_accuracy(lookup_table(rule, near)) == 0.5
