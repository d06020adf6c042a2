"""The plan of what is left: the first replies of a run are measured and no longer planned."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from autointerp import pipeline
from autointerp.begun_run import Pace, read_begun_run
from autointerp.cli.main import _run
from autointerp.cli.plan_text import WIDTH, render_plan
from autointerp.config.tree import Config
from autointerp.planning import Plan, make_plan
from autointerp.run import Run
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import Manifest, read_manifest
from autointerp.runs.shards import parse_shard
from tests.integration.commands import answer
from tests.judges.fault_server import FaultServer
from tests.stages.harvested import DICTIONARIES, FEATURES, make_config, make_run

PRICES = {"usd_per_million_input_tokens": 2.0, "usd_per_million_output_tokens": 8.0}
N_FEATURES = len(FEATURES) + 1


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, RunLayout]:
    """A run whose explanations are there, and half of its scores; its server says 100 + 10 tokens of every request."""
    root = tmp_path_factory.mktemp("begun") / "run"
    with FaultServer(answer=answer, delay_s=0.01) as server:
        judges = {"openai": {"base_url": server.base_url, "key_env": "", "probe": "off", **PRICES}}
        config = make_config(
            *("explain.judge='openai:served'", "score.judge='openai:served'", f"limits.cache='{root.parent}/cache'"),
            judges=judges,
        )
        layout = make_run(root, config)
        manifest = Manifest(layout, read_manifest(layout))
        manifest.finish("harvest", {"n_features": dict.fromkeys(DICTIONARIES, N_FEATURES)})
        pipeline.run(config, out=root, last="explain")
        pipeline.run_shard(config, out=root, shard=parse_shard("1/2"))
    return config, layout


def by_stage(plan: Plan) -> dict[tuple[str, str | None], tuple[int | None, int]]:
    return {(stage.dictionary, stage.scorer): (stage.n_requests, stage.n_answered) for stage in plan.stages}


def test_what_is_answered_is_not_planned_and_the_rest_costs_what_replies_did(begun: tuple[Config, RunLayout]) -> None:
    config, layout = begun
    known = read_begun_run(Run(layout.root), config)
    assert known is not None
    plan = make_plan(config, begun=known)
    counts = by_stage(plan)
    for name in DICTIONARIES:
        assert counts[name, None] == (N_FEATURES, N_FEATURES)  # the stage is done: nothing more is asked
        n_all, n_answered = counts[name, "marked"]
        mine = [feature for feature in FEATURES if feature in parse_shard("1/2")]
        n_controls = round(config.controls.shuffled * N_FEATURES) + 2 * round(0.1 * N_FEATURES)  # empty, generic
        assert n_all == N_FEATURES + n_controls
        assert len(mine) <= n_answered <= len(mine) + n_controls
    left = sum((n or 0) - answered for n, answered in counts.values())
    assert plan.total("input_tokens") == pytest.approx(100 * left)
    assert plan.total("output_tokens") == pytest.approx(10 * left)
    assert plan.total("usd") == pytest.approx(left * (100 * 2.0 + 10 * 8.0) / 1e6)
    whole = known.whole
    assert whole is not None
    assert plan.total("seconds") == pytest.approx(left * whole.latency_s / plan.max_concurrent, rel=0.5)
    assert "as measured" in plan.counted_by[0]
    text = render_plan(plan)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "answered" in text


def test_prompts_of_scorers_not_begun_are_counted_by_the_measured_ratio(begun: tuple[Config, RunLayout]) -> None:
    config, layout = begun
    known = read_begun_run(Run(layout.root), config)
    assert known is not None
    assert known.characters_per_token is not None
    explained = replace(known, works=tuple(work for work in known.works if work.scorer is None))
    assumed, measured = make_plan(config), make_plan(config, begun=explained)

    def n_input(plan: Plan) -> int:
        stage = next(stage for stage in plan.stages if stage.scorer == "marked")
        assert stage.n_requests and stage.input_tokens is not None
        return round(stage.input_tokens / stage.n_requests)

    assert n_input(measured) == pytest.approx(n_input(assumed) * 3.5 / known.characters_per_token, abs=1)


def test_a_run_of_another_config_lends_its_pace_alone(begun: tuple[Config, RunLayout]) -> None:
    config, layout = begun
    other = config.model_copy(update={"seed": 7})
    known = read_begun_run(Run(layout.root), other)
    assert known is not None
    plan = make_plan(other, begun=known)
    assert all(answered == 0 for _, answered in by_stage(plan).values())
    assert plan.total("input_tokens") == pytest.approx(100 * (plan.total("n_requests") or 0))
    assert any("another config (seed" in note for note in plan.notes)


def test_retries_and_questions_put_again_are_counted() -> None:
    pace = Pace(10, 12, 100.0, 10.0, 0.5, 2.0, 1.2, 1.5, 0.1)
    assert pace.sends_per_request * pace.attempts_per_send == pytest.approx(1.8)


def test_the_command_finds_the_configs_own_run(
    begun: tuple[Config, RunLayout], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, layout = begun
    monkeypatch.chdir(tmp_path)
    shutil.copytree(layout.root, tmp_path / "results" / "runs" / "sharded")
    file = str(layout.config)
    assert _run(["plan", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["n_answered"] > 0
    assert _run(["plan", file, "--json", "--set", "seed=9"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["n_answered"] == 0
    assert _run(["plan", file, "--from-run", str(tmp_path / "none")]) == 2
    assert "is no run" in capsys.readouterr().err
