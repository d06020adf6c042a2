"""Shards: however the features are divided, and in whichever order merged, the run is that of one process."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from autointerp import pipeline
from autointerp.config.tree import Config
from autointerp.errors import ArtefactError, ConfigError, RunStopped
from autointerp.records.evidence_file import write_evidence
from autointerp.runs.digests import seal_journal
from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock
from autointerp.runs.manifest import Manifest, read_manifest
from autointerp.runs.shards import Shard, parse_shard
from autointerp.stages import explanations
from autointerp.stages.merge import merge_runs
from tests.stages import harvested
from tests.stages.harvested import evidence_of, make_config


def make_run(root: Path, config: Config) -> RunLayout:
    """Three features of each dictionary, and one that fires too rarely: enough for shards to differ."""
    return harvested.make_run(root, config, n_features=4)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explanations, "PATIENCE_S", 0.1)
    monkeypatch.setattr(explanations, "POLL_S", 0.02)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    """The run of one process."""
    config = make_config()
    return pipeline.run(config, out=make_run(tmp_path_factory.mktemp("whole") / "run", config).root)


def shards_of(n: int) -> list[Shard]:
    return [parse_shard(f"{number}/{n}") for number in range(1, n + 1)]


def ask_all(config: Config, root: Path, n: int) -> list[RunLayout]:
    """All shards in one folder, one after the other: all explain, then all score."""
    for last in ("explain", "score"):
        made = [pipeline.run_shard(config, out=root, shard=shard, last=last) for shard in shards_of(n)]
    return made


def test_a_shard_that_another_is_just_beginning_has_explained_nothing_yet(tmp_path: Path) -> None:
    config = make_config(controls={"shuffled": 0.0})
    run = make_run(tmp_path / "run", config)
    pipeline.run(config, out=run.root, last="explain")
    begun = RunLayout(run.root, shard=parse_shard("1/2"))
    pipeline.run_shard(config, out=run.root, shard=parse_shard("1/2"), last="explain")
    begun.journal.unlink(missing_ok=True)
    with closing(sqlite3.connect(begun.journal)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # a file without a table
    pipeline.run_shard(config, out=run.root, shard=parse_shard("2/2"), last="score")


def assert_same(run: RunLayout, whole: RunLayout) -> None:
    assert run.scores.read_bytes() == whole.scores.read_bytes()
    assert run.summary.read_bytes() == whole.summary.read_bytes()
    assert run.report.read_bytes() == whole.report.read_bytes()


@pytest.mark.parametrize("n", [1, pytest.param(3, marks=pytest.mark.full), 9])
def test_shards_in_one_folder_give_the_run_of_one_process(n: int, tmp_path: Path, whole: RunLayout) -> None:
    config = make_config()
    run = make_run(tmp_path / "run", config)
    ask_all(config, run.root, n)
    merged = merge_runs(run.root)
    assert merged.done == ("explain", "score")
    assert not merged.missing
    pipeline.run(config, out=run.root)
    assert_same(run, whole)
    for stage in ("explain", "score"):
        assert read_manifest(run)["stages"][stage] == read_manifest(whole)["stages"][stage]


def test_every_feature_is_in_exactly_one_shard_and_the_parts_are_alike_in_size() -> None:
    for n in (1, 2, 5, 16):
        counts = [sum(feature in shard for feature in range(4000)) for shard in shards_of(n)]
        assert sum(counts) == 4000
        assert max(counts) < 1.35 * 4000 / n


def test_merging_is_idempotent_and_knows_no_order(tmp_path: Path, whole: RunLayout) -> None:
    """Three machines with a folder each, merged in every order and twice: always the tables of one process."""
    config = make_config("controls.shuffled=0.0")
    single = pipeline.run(config, out=make_run(tmp_path / "single", config).root)
    homes = [make_run(tmp_path / f"machine{shard.number}", config).root for shard in shards_of(3)]
    for home, shard in zip(homes, shards_of(3), strict=True):
        pipeline.run_shard(config, out=home, shard=shard)
    for order in (homes, homes[::-1], [homes[1], homes[2], homes[0]]):
        run = make_run(tmp_path / "_".join(home.name for home in order), config)
        for home in order[:2]:
            partial = merge_runs(run.root, [home])
        assert "score" not in partial.done
        assert [str(shard) for shard in partial.missing["score"]] == [f"{order[2].name[-1]}/3"]
        assert merge_runs(run.root, [order[2]]).done == ("explain", "score")
        before = run.manifest.read_bytes()
        assert merge_runs(run.root, order[::-1]).n_changed == 0
        assert run.manifest.read_bytes() == before
        pipeline.run(config, out=run.root)
        assert_same(run, single)
        assert merge_runs(run.root, order).n_changed == 0
        assert "report" in read_manifest(run)["stages"]


def test_machines_without_a_shared_folder_merge_between_explaining_and_scoring(
    tmp_path: Path, whole: RunLayout
) -> None:
    config = make_config()
    run = make_run(tmp_path / "run", config)
    homes = [Path(shutil.copytree(run.root, tmp_path / f"machine{n}")) for n in (1, 2)]
    for home, shard in zip(homes, shards_of(2), strict=True):
        with pytest.raises(RunStopped, match=rf"explanations of shard {3 - shard.number}/2.*merge"):
            pipeline.run_shard(config, out=home, shard=shard)
    assert merge_runs(run.root, homes).done == ("explain",)
    for home, shard in zip(homes, shards_of(2), strict=True):
        for file in (run.journal, run.manifest):
            shutil.copyfile(file, home / file.name)
        pipeline.run_shard(config, out=home, shard=shard)
    assert merge_runs(run.root, homes).done == ("explain", "score")
    pipeline.run(config, out=run.root)
    assert_same(run, whole)


def test_shards_at_work_wait_for_one_another(tmp_path: Path, whole: RunLayout) -> None:
    config = make_config()
    run = make_run(tmp_path / "run", config)
    failures: list[BaseException] = []

    def work(shard: Shard) -> None:
        try:
            pipeline.run_shard(config, out=run.root, shard=shard)
        except BaseException as error:  # noqa: BLE001  # a thread's failure must reach the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(shard,)) for shard in shards_of(3)]
    explanations.PATIENCE_S = 20.0
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    merge_runs(run.root)
    pipeline.run(config, out=run.root)
    assert_same(run, whole)


def test_what_the_whole_run_had_answered_no_shard_asks_again(tmp_path: Path, whole: RunLayout) -> None:
    config = make_config()
    run = RunLayout(shutil.copytree(whole.root, tmp_path / "run"))
    # as if it had been interrupted before its end
    Manifest(run, read_manifest(run)).forget("explain", "score", "report")
    for layout in ask_all(config, run.root, 2):
        log = layout.log.read_text()
        assert "explain: 0 requests sent" in log
        assert "score: 0 requests sent" in log
    assert merge_runs(run.root).done == ("explain", "score")
    pipeline.run(config, out=run.root)
    assert_same(run, whole)


def test_a_run_of_some_shards_is_completed_by_the_ordinary_command(tmp_path: Path, whole: RunLayout) -> None:
    config = make_config()
    run = make_run(tmp_path / "run", config)
    for shard in shards_of(3)[:2]:
        pipeline.run_shard(config, out=run.root, shard=shard, last="explain")
    merged = merge_runs(run.root)
    assert {stage: [str(s) for s in missing] for stage, missing in merged.missing.items()} == {
        "explain": ["3/3"],
        "score": ["1/3", "2/3", "3/3"],
    }
    pipeline.run(config, out=run.root)
    assert_same(run, whole)


def changed_config(home: Path) -> None:
    text = (home / "config.toml").read_text()
    (home / "config.toml").write_text(text.replace("shuffled = 0.5", "shuffled = 0.25"))


def changed_evidence(home: Path) -> None:
    shard = RunLayout(home, shard=parse_shard("1/1"))
    manifest = Manifest(shard, read_manifest(shard))
    manifest.note("evidence", manifest.noted("evidence") | {"sae": "f00"})


def changed_prompt(home: Path) -> None:
    change_verdicts(home, "UPDATE verdicts SET prompt_hash = 'edited' WHERE scorer = 'marked'")


def changed_verdict(home: Path) -> None:
    change_verdicts(home, "UPDATE verdicts SET answer = iif(answer = 'fires', 'silent', 'fires')")


def change_verdicts(home: Path, statement: str) -> None:
    """Edit the shard's verdicts as if it had got these."""
    shard = RunLayout(home, shard=parse_shard("1/1"))
    with closing(sqlite3.connect(shard.journal, isolation_level=None)) as connection:
        connection.execute(statement)
    seal_journal(Manifest(shard, read_manifest(shard)), shard)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (changed_config, ConfigError, r"another config.*controls\.shuffled"),
        (changed_evidence, ArtefactError, r"other evidence .*dictionaries: sae\).*delete"),
        (changed_prompt, ConfigError, r"scorer 'marked' has another prompt .*\(edited\)"),
        (changed_verdict, ArtefactError, r"other verdicts of feature \d+ of dictionary 'neurons'.*--anew"),
    ],
)
def test_what_is_not_of_one_run_is_refused_and_nothing_is_changed(
    change: Callable[[Path], None], error: type[Exception], words: str, tmp_path: Path
) -> None:
    config = make_config()
    run = make_run(tmp_path / "run", config)
    pipeline.run_shard(config, out=run.root, shard=parse_shard("1/1"))
    merge_runs(run.root)
    before = run.journal.read_bytes(), run.manifest.read_bytes()
    other = Path(shutil.copytree(run.root, tmp_path / "other"))
    change(other)
    with pytest.raises(error, match=words) as caught:
        merge_runs(run.root, [other])
    assert "\n" not in str(caught.value)
    assert (run.journal.read_bytes(), run.manifest.read_bytes()) == before


def test_what_can_be_no_shard_is_named(tmp_path: Path) -> None:
    config = make_config()
    with pytest.raises(ConfigError, match="autointerp harvest CONFIG"):
        pipeline.run_shard(config, out=tmp_path / "nothing", shard=parse_shard("1/2"))
    run = make_run(tmp_path / "run", config)
    with pytest.raises(ConfigError, match=r"another config; differing: seed"):
        pipeline.run_shard(make_config("seed=1"), out=run.root, shard=parse_shard("1/2"))
    with pytest.raises(ConfigError, match="shards divide the stages explain and score only"):
        pipeline.run_shard(config, out=run.root, shard=parse_shard("1/2"), first="harvest")
    for text in ("0/2", "3/2", "1", "a/b", "1/0", "-1/2"):
        with pytest.raises(ConfigError, match=r"--shard .*I/N"):
            parse_shard(text)
    with pytest.raises(ConfigError, match="is no run"):
        merge_runs(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="holds no shard"):
        merge_runs(run.root)
    with pytest.raises(ConfigError, match="other holds no shard"):
        merge_runs(run.root, [make_run(tmp_path / "other", config).root])


def test_a_shard_is_locked_and_the_others_are_not(tmp_path: Path) -> None:
    config = make_config("controls.shuffled=0.0")
    run = make_run(tmp_path / "run", config)
    with RunLock(RunLayout(run.root, shard=parse_shard("1/2")).lock):
        with pytest.raises(ArtefactError, match=r"shard 1/2 of run .* is being written"):
            pipeline.run_shard(config, out=run.root, shard=parse_shard("1/2"))
        pipeline.run_shard(config, out=run.root, shard=parse_shard("2/2"))


def test_a_shard_of_an_older_harvest_does_not_go_on(tmp_path: Path) -> None:
    config = make_config("controls.shuffled=0.0")
    run = make_run(tmp_path / "run", config)
    pipeline.run_shard(config, out=run.root, shard=parse_shard("1/2"), last="explain")
    write_evidence(run.evidence_file("sae"), evidence_of("sae")[-3:])
    with pytest.raises(ArtefactError, match=r"1-of-2 worked on other evidence.*sae"):
        pipeline.run_shard(config, out=run.root, shard=parse_shard("1/2"))
    with pytest.raises(ArtefactError, match=r"1-of-2 worked on other evidence"):
        merge_runs(run.root)
