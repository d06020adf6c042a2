"""Times on several machines: rates divide work, the judge bounds it, and a run's own pace is found in its journal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from autointerp.cli.main import _run
from autointerp.config.loading import parse_config
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.planning import make_plan
from autointerp.run import Run
from autointerp.runs.journal import open_journal
from autointerp.runs.reply_record import Account, ReplyRecord
from autointerp.runs.shards import Shard
from autointerp.scaling import Duration, Machines, Rate, Rates, gather_rates, measure_rates, read_rates, simulate
from tests.stages.harvested import make_run

N = 1000


def a_config() -> Config:
    return parse_config(
        {
            "name": "scaled",
            "dictionaries": [{"name": name, "kind": "topk", "n_features": N, "k": 4} for name in "ab"],
            "corpus": {"dictionary_tokens": 6_000_000, "evidence_tokens": 3_000_000},
            "harvest": {"n_features": "all"},
            "controls": {"shuffled": 0.0, "empty": 0.0, "generic": 0.0},
        }
    )


def times(rates: Rates, machines: Machines) -> dict[str, Duration]:
    return {each.stage: each for each in simulate(make_plan(a_config()), rates, machines)}


ALL = Rates(
    subject_tokens=Rate(value=1e6),
    trained_tokens=Rate(value=1e5),
    encoded_tokens=Rate(value=2e5, spread=0.5),
    explain_requests=Rate(value=10, spread=0.1),
    score_requests=Rate(value=10),
    reported_features=Rate(value=500),
)


def test_work_is_divided_by_rates() -> None:
    found = times(ALL, Machines())
    plan = make_plan(a_config())
    n_explained, n_scored = (
        sum(s.n_requests or 0 for s in plan.stages if (s.scorer is None) is is_explaining)
        for is_explaining in (True, False)
    )
    assert found["train"].seconds == pytest.approx(6 + 2 * 60)
    assert found["harvest"].seconds == pytest.approx(6 + 2 * 30)  # the evidence is read twice
    assert found["harvest"].spread_s == pytest.approx(30)
    assert found["explain"].seconds == pytest.approx(n_explained / 10)
    assert found["explain"].spread_s == pytest.approx(n_explained / 100)
    assert found["score"].seconds == pytest.approx(n_scored / 10)
    assert found["report"].seconds == pytest.approx(2 * N / 500)
    parts = [each for name, each in found.items() if name != "total"]
    assert found["total"].seconds == pytest.approx(sum(each.seconds or 0 for each in parts))
    assert found["total"].spread_s == pytest.approx(sum((each.spread_s or 0) ** 2 for each in parts) ** 0.5)


def test_more_machines_divide_all_but_the_report_and_the_largest_shard_ends_last() -> None:
    one, four = times(ALL, Machines()), times(ALL, Machines(nodes=4, gpus=4))
    assert four["train"].seconds == pytest.approx((one["train"].seconds or 0) / 4)
    assert four["report"].seconds == one["report"].seconds
    sizes = [max(sum(f in Shard(4, n) for f in range(s, s + 2 * N)) for n in range(1, 5)) for s in range(0, 40_000, N)]
    expected = float(np.mean(sizes)) / (2 * N)
    assert (four["score"].seconds or 0) / (one["score"].seconds or 1) == pytest.approx(expected, rel=0.01)


def test_a_judge_that_answers_less_than_is_asked_bounds_the_time() -> None:
    slow = ALL.model_copy(update={"judge_requests": Rate(value=20, spread=0.2)})
    one, eight = times(slow, Machines()), times(slow, Machines(nodes=8))
    assert one["score"].bound_by == "1 asking processes"
    assert eight["score"].bound_by == "the judge"
    assert eight["score"].seconds == pytest.approx((one["score"].seconds or 0) / 2)
    assert eight["score"].spread_s == pytest.approx(0.2 * (eight["score"].seconds or 0))


def test_gpus_that_serve_the_judge_are_paid_by_the_hour_instead_of_by_the_token() -> None:
    rates = ALL.model_copy(update={"judge_gpus": 8, "usd_per_gpu_hour": 2.0})
    found = times(rates, Machines(gpus=2))
    assert found["score"].usd == pytest.approx((found["score"].seconds or 0) / 3600 * 16)
    assert found["train"].usd == pytest.approx((found["train"].seconds or 0) / 3600 * 4)


def test_an_unknown_rate_is_not_guessed() -> None:
    found = times(Rates(score_requests=Rate(value=1)), Machines())
    assert found["score"].seconds is not None
    assert found["train"].seconds is found["total"].seconds is None


def test_a_runs_pace_is_that_of_its_replies(tmp_path: Path) -> None:
    config = parse_config(
        {"name": "paced", "dictionaries": [{"name": n, "kind": "identity"} for n in ("neurons", "sae")]}
    )
    layout = make_run(tmp_path / "run", config, n_features=1)
    rng = np.random.default_rng(0)
    with open_journal(layout.journal) as journal:
        at = 0.0
        for number in range(400):
            at += float(rng.uniform(0.2, 0.3))
            key = f"{number}"
            journal.charge(key, Account("sae", "windows", "detection", number))
            journal.record_reply(ReplyRecord(key, "e", "m", "{}", "", "stop", "m", at=at))
    rates = measure_rates(Run(layout.root))
    assert rates.keys() == {"score_requests"}
    found = rates["score_requests"]
    assert found.value * (1 - found.spread) < 4 < found.value * (1 + found.spread)
    assert found.spread < 0.3
    stated = tmp_path / "rates.toml"
    stated.write_text("judge_requests = { value = 5.0, spread = 0.1 }\n")
    both = gather_rates(stated, Run(layout.root), 7.0)
    assert both.judge_requests == Rate(value=7.0, spread=0.1)
    assert both.score_requests == found


@pytest.mark.parametrize(
    ("text", "said"), [("nonsense = 1", "nonsense"), ("start_s = -1.0", "start_s"), ("[", "rates.toml")]
)
def test_a_wrong_file_of_rates_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "rates.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_rates(file)


def test_the_command_says_what_each_stage_waits_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rates.toml"
    file.write_text(
        "".join(
            f"{name} = {{ value = 1e4, spread = 0.2 }}\n"
            for name in (
                "subject_tokens",
                "trained_tokens",
                "encoded_tokens",
                "explain_requests",
                "score_requests",
                "reported_features",
            )
        )
    )
    assert _run(["plan", "demo", "--nodes", "2", "--judge-rps", "3", "--rates", str(file)]) in (0, None)
    text = capsys.readouterr().out
    assert "the judge" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    _run(["plan", "demo", "--nodes", "2", "--judge-rps", "3", "--rates", str(file), "--json"])
    durations = json.loads(capsys.readouterr().out)["durations"]
    assert [each["stage"] for each in durations] == ["train", "harvest", "explain", "score", "report", "total"]
