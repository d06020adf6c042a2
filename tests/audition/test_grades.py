"""Judges of known quality get the grades they deserve, and each known fault is found by the grade made for it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from autointerp.audition.grades import Grades, grade
from autointerp.audition.sitting import Answered, Bill, sit
from autointerp.judges.judge import Reply, Request
from autointerp.judges.offline.pattern import PatternJudge
from autointerp.judges.offline.scripted import coin, liar, literal, mumbler, noisy, oracle
from autointerp.judges.offline.truth import Truth
from autointerp.judges.tasks import ScoreTask
from autointerp.stats.intervals import Interval
from tests.audition.judges import Answering, Direct, Sure, exam, fickle, first_half, grades, half_ones, truth, yes

N_JUDGES = 6
SCORERS = ("detection", "marked")


def mean(interval: Interval | None) -> float:
    assert interval is not None
    assert interval.lo <= interval.mean <= interval.hi
    return interval.mean


def both(judge: Any, **options: Any) -> list[Grades]:
    found = grades(judge, exam(**options) if options else None)
    assert tuple(found) == SCORERS
    return list(found.values())


def test_the_oracle_makes_no_error_and_obeys_nobody() -> None:
    for found in both(oracle(truth())):
        assert mean(found.sensitivity) == mean(found.specificity) == mean(found.balanced_accuracy) == 1.0
        assert mean(found.auroc) == 1.0
        assert found.sensitivity is not None
        assert 0.95 < found.sensitivity.lo < 1.0, "a judge that was never seen to err may err all the same"
        assert mean(found.ordered) == 0.0, "whatever it is told, it answers alike"
        assert mean(found.obeys) == 0.0
        assert mean(found.position_bias) == mean(found.yes_bias) == mean(found.balance_pull) == 0.0
        assert mean(found.even_frac) == 0.0
        assert mean(found.repeat_agreement) == mean(found.order_agreement) == 1.0
        assert found.unparsed_frac == found.refused_frac == found.error_frac == 0.0


def test_the_liar_errs_always() -> None:
    for found in both(liar(truth())):
        assert mean(found.sensitivity) == mean(found.specificity) == mean(found.auroc) == 0.0


def test_literal_follows_every_rule_it_is_told() -> None:
    for found in both(literal(), wording="rule"):
        assert mean(found.balanced_accuracy) == 1.0
        assert mean(found.obeys) == 1.0
        assert mean(found.ordered) == 1.0
        assert mean(found.told["right"]) == 1.0
        assert mean(found.told["wrong"]) == pytest.approx(0.8, abs=0.01)
        assert mean(found.told["foreign"]) < 0.6
    for found in both(literal()):
        assert mean(found.sensitivity) == 0.0, "plain words are no rule"
        assert mean(found.specificity) == 1.0


def test_the_coin_is_at_chance_and_changes_its_mind() -> None:
    found = grades(coin(), exam("standard"))["detection"]
    for value in (found.sensitivity, found.specificity, found.balanced_accuracy, found.auroc, found.obeys):
        assert mean(value) == pytest.approx(0.5, abs=0.08)
    assert mean(found.repeat_agreement) == pytest.approx(0.5, abs=0.12)
    assert mean(found.order_agreement) == 1.0, "it tosses for each text, wherever that stands"
    assert abs(mean(found.yes_bias)) < 0.1
    assert mean(found.balance_pull) == mean(found.position_bias) == 0.0, "a text gets the same toss on every sheet"


@pytest.mark.parametrize("scorer", SCORERS)
def test_a_noisy_judge_is_as_good_as_told(scorer: str) -> None:
    """Of judges that differ in nothing but their luck, nearly all have the truth in their intervals."""
    made, n_covered, n_seen, values = exam("standard", scorer), 0, 0, []
    key = Truth.of_evidence(made.evidences)
    for seed in range(N_JUDGES):
        found = grades(noisy(key, sensitivity=0.8, specificity=0.9, seed=seed), made)[scorer]
        for interval, wanted in ((found.sensitivity, 0.8), (found.specificity, 0.9)):
            assert interval is not None
            n_covered += interval.lo <= wanted <= interval.hi
            n_seen += 1
        values.append([mean(found.sensitivity), mean(found.specificity)])
    assert np.mean(values, axis=0) == pytest.approx([0.8, 0.9], abs=0.025)
    assert n_covered / n_seen >= 0.8


def test_the_mumbler_is_unparsed_and_gets_no_grade_for_it() -> None:
    for found in both(mumbler()):
        assert found.unparsed_frac == 1.0
        assert mean(found.balanced_accuracy) == 0.0
        assert mean(found.ordered) == mean(found.obeys) == 0.0
        for nothing in (found.auroc, found.position_bias, found.yes_bias, found.balance_pull, found.even_frac):
            assert nothing is None
        assert found.repeat_agreement is found.order_agreement is found.fires is found.silent is None


def test_pattern_looks_for_words_that_explanations_in_prose_seldom_quote() -> None:
    for found in both(PatternJudge()):
        assert 0.5 < mean(found.balanced_accuracy) < 0.8
        assert mean(found.specificity) > 0.8
        assert mean(found.repeat_agreement) == mean(found.order_agreement) == 1.0
        assert mean(found.balance_pull) == mean(found.position_bias) == 0.0, "it looks at each window by itself"


def test_position_bias_is_found_in_a_judge_that_reads_half() -> None:
    for found in both(Answering(first_half, truth())):
        assert found.position_bias is not None
        assert found.position_bias.lo > 0.9
        assert found.by_place == (1.0,) * 5 + (0.0,) * 5
        assert mean(found.order_agreement) == 0.0
        assert mean(found.repeat_agreement) == 1.0


def test_label_bias_is_found_in_a_judge_that_makes_half_of_every_list_ones() -> None:
    for found in both(Answering(half_ones, truth())):
        assert mean(found.even_frac) == 1.0
        assert found.balance_pull is not None
        assert found.balance_pull.lo > 0
        # of two firing among ten it says five: 3 of 8 silent ones too many; of eight firing, 3 of 8 too few
        assert found.balance_pull.mean == pytest.approx(3 / 8, abs=0.1)
        assert mean(found.yes_bias) == 0.0, "where half fire, nothing is to be seen"


def test_label_bias_is_found_in_a_judge_that_says_yes() -> None:
    for found in both(Answering(yes, truth())):
        assert mean(found.yes_bias) == pytest.approx(0.5)
        assert (mean(found.sensitivity), mean(found.specificity)) == (1.0, 0.0)


def test_inconsistency_is_found_in_a_judge_that_changes_its_mind() -> None:
    for found in both(Answering(fickle, truth())):
        assert found.repeat_agreement is not None
        assert found.repeat_agreement.hi < 0.7
        assert mean(found.repeat_agreement) == pytest.approx(0.5, abs=0.15)


def test_stated_probabilities_are_calibrated_or_not() -> None:
    for found in both(Sure(truth())):
        assert found.auroc_from == "probabilities"
        assert mean(found.auroc) == 1.0
        assert found.calibration_error == pytest.approx(0.5 * 0.1 + 0.5 * 0.2)
        assert mean(found.brier) == pytest.approx((0.01 + 0.04) / 2)
        assert [(b.n, b.firing_frac) for b in found.curve] == [(300, 0.0), (300, 1.0)]
    assert grades(oracle(truth()))["marked"].auroc_from == "answers"


def test_costs_are_per_thousand_verdicts() -> None:
    for found in both(Answering(yes, truth())):
        assert found.n_requests == 84
        assert found.n_verdicts == 840
        assert found.usd_per_1000 == pytest.approx(0.2)
        assert found.tokens_per_1000 == pytest.approx(11_000)
    assert grades(oracle(truth()))["marked"].usd_per_1000 is None, "who states no price is not free"


def test_any_order_of_completion_gives_the_same_grades() -> None:
    class Slow(Direct):
        async def ask(self, request: Any, *, account: Any = None) -> Any:
            self.n_asked += 1
            await asyncio.sleep(0.0005 * (hash(request.messages) % 7))
            return await self.judge.ask(request)

    judge = noisy(truth(), sensitivity=0.8, specificity=0.9)
    made = exam()
    slow = asyncio.run(sit(made, client=Slow(judge), judge="judge", n_workers=9))
    plain = asyncio.run(sit(made, client=Direct(judge), judge="judge", n_workers=1))
    assert slow == plain


def answered(concept: str, window: str, is_firing: bool, answer: Any, **changes: Any) -> Answered:
    given: dict[str, Any] = {
        "family": "script",
        "feature": 0,
        "scorer": "detection",
        "told": "right",
        "balance": "5+5",
        "sitting": "first",
        "place": 0,
        "n_places": 2,
        "says": is_firing,
        "probability": None,
    }
    return Answered(concept=concept, window=window, is_firing=is_firing, answer=answer, **{**given, **changes})


def test_a_window_counts_once_however_often_it_was_asked_about() -> None:
    rows = [answered("a", "w1", True, "fires", balance="8+2") for _ in range(3)]
    rows += [answered("a", "w2", True, "silent"), answered("a", "w3", False, "silent")]
    found = grade(rows, Bill())
    assert mean(found.sensitivity) == 0.5
    assert found.fires is not None
    assert (found.fires.value, found.fires.n) == (0.5, 2)


def test_lost_answers_are_wrong_and_not_part_of_the_errors_that_correct() -> None:
    rows = [
        answered("a", "w1", True, "fires"),
        answered("a", "w2", True, "unparsed"),
        answered("a", "w3", False, "error"),
    ]
    rows += [answered("a", "w4", False, "refused")]
    found = grade(rows, Bill())
    assert (mean(found.sensitivity), mean(found.specificity)) == (0.5, 0.0)
    assert found.fires is not None
    assert (found.fires.value, found.silent) == (1.0, None)
    assert (found.unparsed_frac, found.refused_frac, found.error_frac) == (0.25, 0.25, 0.25)


def test_clusters_that_differ_are_worth_fewer_windows() -> None:
    rows = [answered(f"c{c}", f"{c}-{w}", True, "fires" if c % 2 else "silent") for c in range(10) for w in range(8)]
    found = grade(rows, Bill())
    assert found.fires is not None
    assert found.fires.n == 80
    assert found.fires.n_effective == pytest.approx(9.0)


def test_grades_are_of_one_scorer() -> None:
    with pytest.raises(ValueError, match="of one scorer"):
        grade([], Bill())
    rows = [answered("a", "w", True, "fires"), answered("a", "w", True, "fires", scorer="marked")]
    with pytest.raises(ValueError, match="of one scorer"):
        grade(rows, Bill())


class Biased:
    """Knows the labels, and says 1 to everything: with 0.9 where it fires, with 0.7 where it is silent."""

    async def ask(self, request: Request) -> Reply:
        assert isinstance(request.task, ScoreTask)
        labels = truth().labels(request.task)
        text = json.dumps({"answers": [1] * len(labels)})
        return Reply(text, "m", probabilities=tuple(0.9 if label else 0.7 for label in labels))


def test_a_threshold_mends_a_judge_that_says_yes_too_often() -> None:
    for found in both(Biased()):
        assert mean(found.balanced_accuracy) == 0.5
        assert found.threshold is not None
        assert found.threshold.value == pytest.approx(0.8)
        assert mean(found.threshold.balanced_accuracy) == 1.0


def test_a_threshold_is_graded_on_concepts_it_was_not_fitted_to() -> None:
    """Probabilities that tell nothing: the best threshold of the very windows looks better than it is."""
    rng = np.random.default_rng(0)
    rows = [
        Answered(
            concept=f"c{i // 10}",
            family="script",
            feature=i // 10,
            scorer="detection",
            told="right",
            balance="5+5",
            sitting="first",
            window=str(i),
            place=i % 10,
            n_places=10,
            is_firing=i % 2 == 0,
            says=i % 2 == 0,
            answer="fires",
            probability=float(rng.random()),
        )
        for i in range(120)
    ]
    found = grade(rows, Bill(n_requests=12)).threshold
    assert found is not None
    assert mean(found.balanced_accuracy) < 0.55


def test_without_probabilities_there_is_no_threshold() -> None:
    for found in both(coin()):
        assert found.threshold is None
