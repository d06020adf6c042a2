from __future__ import annotations

import json
from pathlib import Path

import pytest

from autointerp.batch.exporting import export_round, next_stage
from autointerp.batch.importing import import_results
from autointerp.batch.request_files import FileLimits
from autointerp.batch.state import load_state
from autointerp.errors import ConfigError
from autointerp.runs.journal import open_journal
from autointerp.runs.manifest import open_run
from tests.batch.world import TOKENS, Endpoint, World, result_line
from tests.integration.commands import answer

N_FEATURES = 2 * len(TOKENS)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.make(tmp_path / "run")


def import_all(world: World, exported, n: int | None = None) -> None:
    path = world.layout.root.parent / "results.jsonl"
    lines = [result_line(line, answer(line["body"])) for line in world.lines(exported)[:n]]
    path.write_text("\n".join(lines) + "\n")
    import_results(world.config, world.layout, [path])


def test_the_first_round_explains_and_the_next_scores(world: World) -> None:
    first = world.export()
    assert (first.stage, first.n_requests, first.n_known) == ("explain", N_FEATURES, 0)
    assert next_stage(world.layout) == "explain"
    import_all(world, first)
    done = world.export()
    assert done.is_complete
    assert (done.round_, done.n_known) == (None, N_FEATURES)
    world.run("explain")
    second = world.export()
    assert second.stage == "score"
    # 12 windows and up to 4 near misses by fives, and half of the features once more for the control
    assert second.n_requests >= 3 * N_FEATURES
    import_all(world, second)
    assert world.export().is_complete
    world.run("score")
    assert next_stage(world.layout) is None


def test_the_same_export_again_is_the_same_files(world: World) -> None:
    first = world.export(n_requests=2)
    before = [path.read_bytes() for path in world.paths(first)]
    assert len(before) == N_FEATURES / 2
    again = world.export(n_requests=2)
    assert again.round_ == first.round_
    assert [path.read_bytes() for path in world.paths(again)] == before
    assert len(load_state(world.layout).rounds) == 1


def test_other_limits_rewrite_a_round_that_nobody_touched(world: World) -> None:
    world.export(n_requests=1)
    again = world.export(n_requests=4)
    assert again.round_ is not None
    assert again.round_.name == "explain-1"
    folder = world.layout.batch / "explain-1"
    assert sorted(path.name for path in folder.iterdir()) == ["requests-001.jsonl", "requests-002.jsonl"]
    assert not (world.layout.batch / ".exporting").exists()


def test_what_was_not_answered_makes_a_round_of_its_own(world: World) -> None:
    first = world.export()
    import_all(world, first, 4)
    second = world.export()
    assert second.round_ is not None
    assert second.round_.name == "explain-2"
    assert (second.n_requests, second.n_again, second.n_follow_ups) == (N_FEATURES - 4, N_FEATURES - 4, 0)
    assert world.paths(first)[0].is_file()
    expected = {line["custom_id"] for line in world.lines(first)[4:]}
    assert {line["custom_id"] for line in world.lines(second)} == expected


def test_an_export_leaves_results_and_verdicts_alone(world: World) -> None:
    import_all(world, world.export())
    world.run("explain")
    import_all(world, world.export())
    world.run("score")
    with open_journal(world.layout.journal) as journal:
        before = journal.load_explanations(), journal.load_verdicts(), journal.load_unscored(), journal.totals()
        costs = journal.load_costs()
    assert before[0]
    assert before[1]
    for stage in ("explain", "score"):
        exported = export_round(world.config, world.layout, stage, limits=FileLimits())
        assert exported.is_complete
    with open_journal(world.layout.journal) as journal:
        assert before == (
            journal.load_explanations(),
            journal.load_verdicts(),
            journal.load_unscored(),
            journal.totals(),
        )
        assert journal.load_costs() == costs


def test_replies_of_other_runs_are_taken_and_cost_nothing(world: World, tmp_path: Path) -> None:
    sharing = Endpoint(options={"share_replies": True})
    first, other = (World.make(tmp_path / name, sharing) for name in ("first", "other"))
    import_all(first, first.export())
    assert other.config.limits.cache == first.config.limits.cache
    assert other.export().is_complete
    assert (other.totals().n_from_cache, other.totals().usd) == (N_FEATURES, 0.0)
    alone = World.make(tmp_path / "alone", sharing, overrides=["limits.reuse=false"])
    assert alone.export().n_requests == N_FEATURES
    on_this_machine = World.make(tmp_path / "here")
    assert on_this_machine.export().n_requests == N_FEATURES


def test_how_requests_are_put_is_settled_for_the_api_as_well(tmp_path: Path) -> None:
    world = World.make(tmp_path / "run", Endpoint(options={"probe": "auto", "dialect": "vllm"}))
    exported = world.export()
    assert "max_completion_tokens" in world.lines(exported)[0]["body"]
    import_all(world, exported)
    # nobody listens at the endpoint: a probe or a question would fail
    world.run("explain")
    assert world.totals().n_failed_attempts == 0
    scoring = world.lines(world.export())[0]["body"]
    assert scoring["response_format"]["type"] == "json_schema"


def test_the_most_a_file_costs_is_stated_at_the_price_of_a_batch(tmp_path: Path) -> None:
    prices = {"usd_per_million_input_tokens": 0.0, "usd_per_million_output_tokens": 10.0}
    exported = World.make(tmp_path / "run", Endpoint(options=prices)).export()
    assert exported.round_ is not None
    # max_tokens of an explanation is 500
    assert exported.round_.files[0].bound_usd == pytest.approx(N_FEATURES * 500 * 10 / 1e6 / 2)


def test_a_judge_that_takes_no_files_is_told(tmp_path: Path) -> None:
    world = World.make(tmp_path / "run", overrides=["explain.judge='pattern'"])
    with pytest.raises(
        ConfigError, match=r"explain.judge = 'pattern': judge 'pattern' takes no batch files; use openai:"
    ):
        world.export()


def test_a_run_without_evidence_is_told(world: World) -> None:
    open_run(world.layout, world.config).forget("harvest")
    with pytest.raises(ConfigError, match=r"the stage 'harvest' of .* is not finished"):
        world.export()


def test_no_key_is_in_any_file_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_TEST_KEY", "sk-secret-0123456789")
    world = World.make(tmp_path / "run", Endpoint(options={"key_env": "BATCH_TEST_KEY"}))
    exported = world.export()
    import_all(world, exported)
    assert json.loads(world.layout.batch_state.read_text())["rounds"]
    for path in world.layout.root.rglob("*"):
        if path.is_file():
            assert b"sk-secret" not in path.read_bytes(), path
