"""Recorded exams: who is fit to judge, who is told so, and who is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autointerp.audition.fitness import recorded_fitness, refuse_unfit
from autointerp.config.loading import load_config
from autointerp.errors import ConfigError
from autointerp.plugins import open_judge
from autointerp.runs.layout import RunLayout
from tests.integration.commands import call
from tests.judges.tiny_models import save_llama

CHANCE, GOOD = {"mean": 0.51, "lo": 0.46, "hi": 0.56, "n": 12}, {"mean": 0.8, "lo": 0.7, "hi": 0.88, "n": 12}


def record(folder: Path, judge: str, grades: dict[str, Any], **more: Any) -> None:
    own = folder / judge.replace(":", "-").replace("/", "-")
    own.mkdir(parents=True)
    marks = {scorer: {"balanced_accuracy": interval} for scorer, interval in grades.items()}
    content = {"schema_version": 1, "judge": judge, "exam": {}, "marks": marks, **more}
    (own / "audition.json").write_text(json.dumps(content))


def test_a_judge_is_fit_that_is_above_chance_under_one_scorer(tmp_path: Path) -> None:
    record(tmp_path, "a:m", {"detection": CHANCE, "marked": GOOD})
    record(tmp_path, "b:m", {"detection": CHANCE, "marked": None})
    (tmp_path / "c").mkdir()
    (tmp_path / "c/audition.json").write_text("{")
    fit, unfit = recorded_fitness(tmp_path)
    assert (fit.judge, fit.is_fit, unfit.judge, unfit.is_fit) == ("a:m", True, "b:m", False)
    assert unfit.words == (
        f"b:m: not fit to judge, balanced accuracy detection 0.510 [0.46, 0.56], marked - ({tmp_path / 'b-m'})"
    )
    assert recorded_fitness(tmp_path / "nowhere") == []


def test_the_list_of_judges_says_what_exams_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    record(Path("results/auditions"), "local:some/model", {"detection": CHANCE})
    listed = call(capsys, "judges", "list").out
    assert "local:some/model: not fit to judge, balanced accuracy detection 0.510 [0.46, 0.56]" in listed
    assert "fit to judge" not in call(capsys, "judges", "list", "coin").out


def test_a_model_at_chance_is_refused_to_score_unless_it_is_accepted(tmp_path: Path) -> None:
    model = f"local:{save_llama(tmp_path / 'llama', n_layers=1)}"
    folder, layout = tmp_path / "auditions", RunLayout(tmp_path / "run")
    variant = open_judge(model, {}).capabilities.variant

    def check(*overrides: str) -> None:
        refuse_unfit(load_config("demo", [f"score.judge={model}", *overrides]), layout, folder=folder)

    record(folder, model, {"detection": CHANCE}, variant=variant)
    with pytest.raises(ConfigError, match=r"not fit to judge.*0\.510.*score\.accept_unfit = true") as caught:
        check()
    assert "\n" not in str(caught.value)
    check("score.accept_unfit=true")
    check("score.judge=pattern", f"explain.judge={model}")
    # asked with other options it is another judge
    check("judges.local.threshold=0.9")


def test_a_judge_without_a_model_is_never_refused(tmp_path: Path) -> None:
    record(tmp_path, "coin", {"detection": CHANCE})
    refuse_unfit(load_config("demo", ["score.judge=coin"]), RunLayout(tmp_path / "run"), folder=tmp_path)
