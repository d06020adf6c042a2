"""Which entries are ranked together, what is said of those that are not, and how many places a rank may span."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autointerp.board.columns import chances_of, measures_of
from autointerp.board.leaderboard import render_leaderboard
from autointerp.board.protocol import describe_protocol, hash_protocol
from autointerp.board.standing import Standing, build_sections
from autointerp.config.loading import parse_config
from autointerp.stats.ranking import Estimate, rank_places
from autointerp.stats.seed_effect import Spread
from tests.board.test_leaderboard import entry, interval, summary

DICTIONARIES = [{"name": "sae", "kind": "identity"}]


def protocol(*overrides: str, key: tuple[str, str] = ("windows", "detection")) -> dict[str, Any]:
    return describe_protocol(parse_config({"name": "x", "dictionaries": DICTIONARIES}, overrides))[key]


def with_protocol(name: str, f1: float, *overrides: str, **changes: Any) -> dict[str, Any]:
    found = protocol(*overrides)
    return entry(name, f1, protocol=found, protocol_hash=hash_protocol(found), **changes)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("score.scorers=[{name='detection', negatives='other_feature'}]", "scorer.negatives other_feature, not domain"),
        ("score.scorers=[{name='detection', sampling='top'}]", "scorer.sampling top, not range"),
        ("score.scorers=[{name='detection', n_positive=5}]", "scorer.n_positive 5, not 20"),
        ("score.scorers=[{name='detection', windows_per_request=5}]", "scorer.windows_per_request 5, not 10"),
        ("score.temperature=0.7", "scorer.temperature 0.7, not 0.0"),
        ("explain.explainers=[{name='windows', n_windows=5}]", "explainer.n_windows 5, not 10"),
        ("harvest.window_left=30", "evidence.window_left 30, not 16"),
        ("subject.context_tokens=64", "evidence.context_tokens 64, not 128"),
        ("subject.packing='document'", "evidence.packing document, not unsaid"),
    ],
)
def test_another_protocol_is_another_section_and_says_what_differs(override: str, said: str) -> None:
    a = summary(with_protocol("sae", 0.7), run="a")
    b = summary(with_protocol("sae", 0.9, override), run="b")
    sections = build_sections([a, b])
    assert [len(section.standings) for section in sections] == [1, 1]
    assert sections[0].note is None
    key, here, _, there = said.replace(",", "").split()
    # which comes first depends on the texts; either way both values are named
    assert sections[1].note in {
        f"Not ranked with the section of scorer detection before: {key} {one}, not {other}."
        for one, other in ((here, there), (there, here))
    }


@pytest.mark.parametrize(
    "override",
    ["seed=7", "harvest.n_features=50", "limits.max_usd=1.0", "controls.shuffled=0.5", "subject.layer=3", "name='y'"],
)
def test_what_no_score_depends_on_parts_nothing(override: str) -> None:
    a, b = summary(with_protocol("sae", 0.7), run="a"), summary(with_protocol("sae", 0.9, override), run="b")
    (section,) = build_sections([a, b])
    assert len(section.standings) == 2
    assert section.note is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"judge": "gpt"}, "judge"),
        ({"prompt_hash": "other"}, "scorer's prompt"),
        ({"explain_judge": "gpt"}, "explaining judge"),
        ({"explain_prompt_hash": "e2"}, "explainer's prompt"),
        ({"explainer": "quantiles"}, "explainer"),
    ],
)
def test_another_judge_or_prompt_is_another_section(change: dict[str, Any], said: str) -> None:
    fixed = {"explain_judge": "pattern", "explain_prompt_hash": "e1"}
    board = summary(entry("sae", 0.7, **fixed), entry("topk", 0.9, **(fixed | change)))
    first, second = build_sections([board])
    assert len(first.standings) == len(second.standings) == 1
    assert second.note is not None
    assert said in second.note


def test_a_dictionary_without_explanations_stays_with_the_others() -> None:
    board = summary(
        entry("sae", 0.7, explain_judge="pattern", explain_prompt_hash="e1"),
        entry("random", None, explain_judge="", explain_prompt_hash=""),
    )
    (section,) = build_sections([board])
    assert [s.label for s in section.standings] == ["sae", "random"]


def test_together_ranks_them_with_a_warning_that_names_the_difference() -> None:
    summaries = [summary(entry("sae", 0.7), run="a"), summary(entry("sae", 0.9, judge="gpt"), run="b")]
    (section,) = build_sections(summaries, is_together=True)
    assert [s.label for s in section.standings] == ["b/sae (gpt)", "a/sae (pattern)"]
    assert section.is_mixed
    for format in ("table", "md", "html"):
        text = " ".join(render_leaderboard(summaries, format, is_together=True, width=300).split())
        assert "WARNING: ranked together as asked, though not comparable. They differ in judge pattern, not gpt" in text
    assert "WARNING" not in render_leaderboard(summaries, "md")


def test_together_never_ranks_two_metrics() -> None:
    other = entry("sae", 0.7, scorer="simulation", metric="correlation", score=interval(0.4), chance=0.0)
    sections = build_sections([summary(entry("sae", 0.9), other)], is_together=True)
    assert {section.metric for section in sections} == {"f1", "correlation"}


def test_nothing_that_is_comparable_is_called_mixed() -> None:
    (section,) = build_sections([summary(entry("sae", 0.7), entry("topk", 0.8))], is_together=True)
    assert not section.is_mixed


def test_ranks_are_ranges_where_no_difference_is_shown() -> None:
    near = summary(entry("a", 0.80), entry("b", 0.79), entry("c", 0.50))
    (section,) = build_sections([near])
    assert [str(s.places) for s in section.standings] == ["1-2", "1-2", "3"]
    assert "| 1-2 | a |" in render_leaderboard([near], "md")
    assert "rank 1-2" in render_leaderboard([near])
    assert "tied unless their difference is shown" in render_leaderboard([near], "md")


def test_a_single_entry_and_one_without_a_score_have_no_rank() -> None:
    (alone,) = build_sections([summary(entry("a", 0.8), entry("b", None))])
    assert [s.places for s in alone.standings] == [None, None]


def test_equal_means_are_ranked_apart_less_than_one_time_in_twenty() -> None:
    rng = np.random.default_rng(0)
    n_runs, n_apart = 400, 0
    for _ in range(n_runs):
        samples = rng.normal(0.6, 0.2, size=(5, 50))
        found = rank_places([Estimate(s.mean(), Spread(s.std(ddof=1) / 50**0.5, 49)) for s in samples])
        n_apart += any(places != (1, 5) for places in found)
    assert n_apart / n_runs <= 0.065


def test_widened_intervals_of_looks_widen_ranks() -> None:
    def board(half: float, **more: Any) -> Any:
        rows = [entry(name, f1, f1_deviation=0.2, **more) for name, f1 in (("a", 0.80), ("b", 0.75))]
        return summary(*({**row, "score": interval(row["f1"]["mean"], half), "score_deviation": 0.2} for row in rows))

    (plain,) = build_sections([board(0.06)])
    (looked,) = build_sections([board(0.06, looks={"n_saved_features": 10})])
    assert [str(s.places) for s in plain.standings] == ["1", "2"]
    assert [str(s.places) for s in looked.standings] == ["1-2", "1-2"]


def test_columns_are_those_that_mean_something_under_the_metric() -> None:
    simulated = entry("sae", None, metric="correlation", score=interval(0.4), chance=0.0, beyond_token=None)
    simulated |= {"within_window_correlation": interval(0.3), "near_miss": None, "excess": None}
    assert [m.name for m in measures_of("correlation", [simulated])] == ["within_window_correlation"]
    assert [(c.title, c.value) for c in chances_of(simulated, "correlation")] == [("chance", 0.0)]
    text = render_leaderboard([summary(simulated)], "md")
    assert "| correlation [95%] | chance | within windows [95%] |" in text
    assert "beyond token" not in text
    assert "0.400 [0.380, 0.420] | 0.000 | +0.300" in text
    old = entry("sae", 0.7)
    assert [c.title for c in chances_of(old, "f1")] == ["always yes", "coin"]


def test_secrets_and_places_of_judges_stay_out_of_the_protocol() -> None:
    found = protocol(
        "score.judge='openai:m'",
        "judges.openai={base_url='http://inside.example', key_env='MY_KEY', extra_body={x=1}}",
    )
    assert "inside.example" not in str(found)
    assert "MY_KEY" not in str(found)
    assert found["scorer"]["judge_options"].keys() == {"extra_body"}


def test_what_was_lost_counts_features_that_got_no_explanation() -> None:
    """Nothing is asked about them, so shares of answers alone would say that nothing was lost."""
    shares = {"unparsed_frac": 0.1, "refused_frac": 0.0, "error_frac": 0.0}

    def lost(n_scored: int, n_judge: int, **more: float) -> float:
        unscored = {"too_few_positives": 50, "judge": n_judge}
        return Standing("sae", "run", {"n_scored": n_scored, "unscored": unscored, **shares, **more}).lost_frac

    assert lost(0, 40, unparsed_frac=0.0) == 1.0
    assert lost(40, 0) == pytest.approx(0.1)
    assert lost(30, 10) == pytest.approx(0.25 + 0.75 * 0.1)
    assert lost(0, 0, unparsed_frac=0.0) == 0.0
