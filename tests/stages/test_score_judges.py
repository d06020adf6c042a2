"""Scorers with judges of their own: each is answered by its own, in one run, with board rows that say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from autointerp.batch.judging import judge_of
from autointerp.config.asking import ExplainerConfig
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.planning import make_plan
from autointerp.progress import SilentProgress
from autointerp.records.evidence_file import write_evidence
from autointerp.records.planted import plant_evidence
from autointerp.runs.journal import open_journal
from autointerp.runs.layout import RunLayout
from autointerp.stages import explain, report, score
from autointerp.stages.asking_check import check_judges

SCORERS = [
    {"name": "detection"},
    {"name": "intruder", "n_trials": 8, "marks": True},
    {"name": "clustering", "n_trials": 4, "marks": True, "judge": "oracle"},
    {"name": "embedding", "judge": "bag_of_words"},
    {"name": "surprisal", "judge": "oracle"},
    {"name": "intervention", "judge": "literal"},
]


def config(scorers: list[dict[str, object]] = SCORERS, **score_section: object) -> Config:
    return Config.model_validate(
        {
            "dictionaries": [{"name": "planted", "kind": "topk", "n_features": 8}],
            "explain": {"judge": "pattern"},
            "score": {"judge": "pattern", "scorers": scorers, **score_section},
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    layout = RunLayout(tmp_path_factory.mktemp("run"))
    layout.evidence.mkdir(parents=True)
    write_evidence(layout.evidence_file("planted"), [plant_evidence(feature) for feature in range(6)])
    check_judges(config(), layout)
    for stage in (explain, score, report):
        stage.run(config(), layout, SilentProgress())
    return layout


def rows(layout: RunLayout) -> list[dict[str, Any]]:
    return pd.read_parquet(layout.scores).to_dict("records")  # type: ignore[return-value]


def test_every_scorer_is_answered_by_its_own_judge(run: RunLayout) -> None:
    with open_journal(run.journal) as journal:
        verdicts = journal.load_verdicts()
    judges = {(verdict.scorer, verdict.judge) for verdict in verdicts}
    assert judges == {
        ("detection", "pattern"),
        ("intruder", "pattern"),
        ("clustering", "oracle"),
        ("embedding", "bag_of_words"),
        ("surprisal", "oracle"),
        ("intervention", "literal"),
    }
    explained = {verdict.scorer: verdict.explainer for verdict in verdicts}
    assert explained["intruder"] == explained["clustering"] == "none"
    assert explained["embedding"] == explained["intervention"] == "windows"
    assert "shuffled" in {verdict.control for verdict in verdicts if verdict.scorer == "surprisal"}


def test_rows_are_read_by_their_scale(run: RunLayout) -> None:
    table = rows(run)
    assert {row["scorer"]: row["metric"] for row in table} == {
        "detection": "f1",
        "intruder": "accuracy",
        "clustering": "accuracy",
        "embedding": "auroc",
        "surprisal": "auroc",
        "intervention": "accuracy",
    }
    assert {row["scorer"]: row["chance"] for row in table if row["scorer"] != "detection"} == pytest.approx(
        {"intruder": 0.2, "clustering": 0.5, "embedding": 0.5, "surprisal": 0.5, "intervention": 0.5}
    )
    scores = {name: [row["score"] for row in table if row["scorer"] == name] for name in ("clustering", "intruder")}
    assert set(scores["clustering"]) == {1.0}  # the oracle's
    assert np.mean(scores["intruder"]) > 0.9  # all windows but one have the same marked word
    assert not [row for row in table if isinstance(row["unscored"], str)]


def test_scoring_again_gives_the_same_verdicts(run: RunLayout) -> None:
    before = pd.read_parquet(run.scores)
    for stage in (score, report):
        stage.run(config(), run, SilentProgress())
    pd.testing.assert_frame_equal(before, pd.read_parquet(run.scores))


def test_a_judge_that_cannot_answer_is_told_before_any_work(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    for scorer, lacks in (("embedding", "compares no texts"), ("surprisal", "how likely a text is")):
        with pytest.raises(ConfigError, match=f"judge 'pattern' .*{lacks}.*scorer '{scorer}'"):
            check_judges(config([{"name": scorer}]), layout)
    with pytest.raises(ConfigError, match="needs a model"):
        check_judges(config([{"name": "embedding", "judge": "local_embedding"}]), layout)


def test_batch_files_go_to_one_judge() -> None:
    assert judge_of(config([{"name": "detection", "judge": "openai:m"}]), "score") == "openai:m"
    assert judge_of(config(), "explain") == "pattern"
    with pytest.raises(ConfigError, match=r"several judges \(pattern, oracle, bag_of_words, literal\)"):
        judge_of(config(), "score")


def test_a_plan_counts_each_scorer_with_its_judge_and_those_without_explanation_once() -> None:
    plan = make_plan(config().model_copy(update={"harvest": config().harvest.model_copy(update={"pinned": 4})}))
    stages = {stage.scorer: stage for stage in plan.stages if stage.scorer is not None}
    assert {name: stage.judge for name, stage in stages.items()} == {
        "detection": "pattern",
        "intruder": "pattern",
        "clustering": "oracle",
        "embedding": "bag_of_words",
        "surprisal": "oracle",
        "intervention": "literal",
    }
    assert (stages["intruder"].explainer, stages["intruder"].n_requests) == ("none", 8 * 8)
    assert (stages["clustering"].explainer, stages["clustering"].n_requests) == ("none", 8 * 4)
    assert stages["embedding"].explainer == "windows"
    assert not any("harvest.pinned" in note for note in plan.notes)
    assert any("harvest.pinned = 0" in note for note in make_plan(config()).notes)


def test_an_explainer_that_tells_nothing_of_what_is_asked_is_refused_before_any_work(tmp_path: Path) -> None:
    asked = config([{"name": "detection"}, {"name": "logit_weights"}])
    explain = asked.explain.model_copy(update={"explainers": (ExplainerConfig(name="logit_weights"),)})
    with pytest.raises(ConfigError, match=r"'logit_weights' says what a feature does.*score\.scorers 'detection'"):
        check_judges(asked.model_copy(update={"explain": explain}), RunLayout(tmp_path))
