"""The train stage goes on after a kill, trains from files as well, and shares its work among processes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch

from autointerp import pipeline
from autointerp.board.quality_file import DENSITY_DECADES, load_quality
from autointerp.board.quality_table import read_quality
from autointerp.config.loading import parse_config
from autointerp.config.sites import SitePoint
from autointerp.config.tree import Config
from autointerp.errors import ConfigError, SubjectError
from autointerp.progress import Progress, SilentProgress
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import read_manifest
from autointerp.stages import site_activations, site_training
from autointerp.stages import train as stage
from autointerp.stages.dictionary_quality import sample_tokens
from autointerp.stages.workbench import open_workbench
from autointerp.subject import activations
from autointerp.subject.activations import TrainingChunks
from autointerp.subject.packing import PackedBatch
from sae_core import config as core
from sae_core.distributed import Ranks
from sae_core.errors import MissingPackageError, TrainingStateError
from sae_core.quality import DENSITY_BIN_EDGES
from sae_core.training.history import read_history
from sae_core.ultralow import UltralowCluster
from tests.integration.world import save_corpus, save_subject
from tests.kept_progress import KeptProgress
from tests.sae_core.processes import free_port, in_processes
from tests.sae_core.training.test_wandb_log import FakeWandb

ROOT = Path(__file__).parents[2]
NAMES = ("sae", "topk", "random")


@dataclass(frozen=True)
class World:
    """A subject and a corpus, and a run of the stage that nothing interrupted."""

    tree: dict[str, Any]
    whole: RunLayout

    def config(self, **train: Any) -> Config:
        return parse_config(self.tree | {"train": self.tree["train"] | train})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("train")
    corpus = save_corpus(root / "corpus.jsonl", n_documents=150)
    model = save_subject(root / "model", corpus, n_layers=1)
    tree = {
        "name": "tiny",
        "device": "cpu",
        "subject": {"model": str(model), "layer": 0, "site": "mlp_post", "context_tokens": 48, "batch_contexts": 8},
        "corpus": {"path": str(corpus), "dictionary_tokens": 5000, "evidence_tokens": 2000},
        "train": {"batch_tokens": 250, "buffer_tokens": 1000, "checkpoint_every_s": 300.0},
        "dictionaries": [
            {"name": "sae", "kind": "relu", "n_features": 60},
            {"name": "topk", "kind": "topk", "n_features": 60, "k": 4},
            {"name": "random", "kind": "random", "n_features": 20, "match_density": "sae"},
        ],
    }
    whole = RunLayout(root / "whole")
    made = World(tree, whole)
    run(made.config(), whole)
    return made


def run(config: Config, layout: RunLayout, progress: Progress | None = None) -> dict[str, Any]:
    return stage.run(config, layout, progress or SilentProgress())


def contents(layout: RunLayout) -> dict[str, bytes]:
    return {str(p.relative_to(layout.root)): p.read_bytes() for p in layout.dictionaries.rglob("*") if p.is_file()}


def interrupt(monkeypatch: pytest.MonkeyPatch, after_batches: int) -> None:
    """Break off the training after so many batches."""
    train = site_training.training_steps
    n_batches = 0

    def broken(*arguments: Any, on_batch: Any, **options: Any) -> Any:
        def count(n: int) -> None:
            nonlocal n_batches
            n_batches += 1
            if n_batches > after_batches:
                raise KeyboardInterrupt
            on_batch(n)

        return train(*arguments, on_batch=count, **options)

    monkeypatch.setattr(site_training, "training_steps", broken)


def test_a_killed_stage_goes_on_by_itself(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = RunLayout(tmp_path)
    with monkeypatch.context() as patch:
        interrupt(patch, 11)
        with pytest.raises(KeyboardInterrupt):
            run(world.config(checkpoint_every_s=0.0), layout)
    assert len(list(layout.training_state("mlp_post.0").glob("state-*"))) == 1
    n_run: list[int] = []
    forward = TrainingChunks.iter_from

    def counted(self: TrainingChunks, n_rows: int) -> Any:
        n_run.append(n_rows)
        return forward(self, n_rows)

    monkeypatch.setattr(TrainingChunks, "iter_from", counted)
    facts = run(world.config(checkpoint_every_s=0.0), layout)
    assert n_run == [1000 + 10 * 250], "the stream was not begun at its place"
    assert facts["training_tokens"] == {"mlp_post.0": 5000}
    assert contents(layout) == contents(world.whole)
    assert not layout.training.exists() and not layout.activations.exists()


def test_a_kill_after_the_training_trains_nothing_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    layout = RunLayout(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "_fit_rules", broken)
        with pytest.raises(KeyboardInterrupt):
            run(world.config(), layout)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingChunks, "iter_from", broken)
        run(world.config(), layout)
    assert contents(layout) == contents(world.whole)


def test_the_state_of_another_config_is_refused_with_its_keys(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = RunLayout(tmp_path)
    interrupt(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        run(world.config(checkpoint_every_s=0.0), layout)
    with pytest.raises(TrainingStateError, match=r"sae\.training\.learning_rate: 0\.002 -> 0\.1.*delete .* start anew"):
        run(world.config(learning_rate=0.1), layout)


def test_activations_on_disk_serve_several_runs(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "activations"
    first, second, own = (RunLayout(tmp_path / name) for name in ("first", "second", "own"))
    run(world.config(activations="disk", activations_dir=str(kept)), first)
    (folder,) = kept.iterdir()
    index = json.loads((folder / "index.json").read_text())
    assert (index["n_rows"], index["dtype"], index["facts"]["point"]) == (5000, "bfloat16", "mlp_post.0")
    own_config, progress = world.config(activations="disk", activations_dtype="float32"), KeptProgress()
    run(own_config, own, progress)
    counted = {bar.label: (bar.total, bar.states[-1]) for bar in progress.bars if bar.unit}
    assert counted["store mlp_post.0"] == (5000, 5000)
    assert counted["train mlp_post.0"][0] == 5000
    # nothing stands still without a name
    assert [bar.label for bar in progress.bars] == [
        *("load subject model", "attention sinks mlp_post.0", "store mlp_post.0", "train mlp_post.0"),
        *("sample of mlp_post.0", "fit firing rules", "quality", "loss recovered mlp_post.0"),
    ]
    assert not own.activations.exists()
    # the same numbers up to the rounding of what was stored
    for name in ("sae", "topk"):
        losses = [read_history(layout.dictionary(name))[-1].fvu for layout in (first, own)]
        assert losses[0] == pytest.approx(losses[1], rel=0.05)
    monkeypatch.setattr(TrainingChunks, "iter_from", None)  # a harvest would fail
    run(world.config(activations="disk", activations_dir=str(kept), learning_rate=1e-3), second)
    assert len(list(kept.iterdir())) == 1


TWO_SITES = [{"name": "resid", "kind": "topk", "n_features": 30, "k": 4, "site": "resid_post"}]


def with_two_sites(world: World, **train: Any) -> Config:
    tree = world.tree | {"train": world.tree["train"] | train}
    return parse_config(tree | {"dictionaries": [*world.tree["dictionaries"], *TWO_SITES]})


def count_forwards(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[str]]]:
    """Of every batch that is read for training: its number, and the points it is read at."""
    n_run: list[tuple[int, list[str]]] = []
    rows = activations.SharedForward.rows
    read = activations.iter_activations

    def counted(self: activations.SharedForward, point: SitePoint, number: int, batch: PackedBatch) -> torch.Tensor:
        def seen(subject: Any, batches: Any, points: list[SitePoint]) -> Any:
            n_run.append((number, sorted(map(str, points))))
            return read(subject, batches, points)

        with monkeypatch.context() as patch:
            patch.setattr(activations, "iter_activations", seen)
            return rows(self, point, number, batch)

    monkeypatch.setattr(activations.SharedForward, "rows", counted)
    return n_run


@pytest.mark.parametrize("kind", ["stream", "disk"])
def test_sites_are_trained_from_one_pass_as_if_alone(
    kind: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_run = count_forwards(monkeypatch)
    layout = RunLayout(tmp_path)
    facts = run(with_two_sites(world, activations=kind), layout)
    assert facts["training_tokens"] == {"mlp_post.0": 5000, "resid_post.0": 5000}
    assert [number for number, _ in n_run] == list(range(len(n_run))) and len(n_run) == -(-5000 // (8 * 46))
    assert all(points == ["mlp_post.0", "resid_post.0"] for _, points in n_run)
    if kind == "stream":
        alone, together = contents(world.whole), contents(layout)
        assert {name: together[name] for name in alone} == alone


def test_sites_that_were_killed_go_on_from_where_each_was(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, layout = RunLayout(tmp_path / "whole"), RunLayout(tmp_path / "killed")
    run(with_two_sites(world), whole)
    with monkeypatch.context() as patch:
        interrupt(patch, 12)  # the first site is one batch ahead
        with pytest.raises(KeyboardInterrupt):
            run(with_two_sites(world, checkpoint_every_s=0.0), layout)
    run(with_two_sites(world, checkpoint_every_s=0.0), layout)
    assert contents(layout) == contents(whole)


def test_activations_in_the_cache_serve_other_seeds(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first, second = KeptProgress(), KeptProgress()
    run(with_two_sites(world, activations="shared"), RunLayout(tmp_path / "first"), first)
    written = [json.loads(path.read_text()) for path in (tmp_path / "cache").rglob("index.json")]
    size = sum(2 * index["n_rows"] * index["d_in"] for index in written) / 1e6
    assert f"activations of mlp_post.0, resid_post.0: {size:.1f} MB in {tmp_path}/cache" in "\n".join(first.said)
    monkeypatch.setattr(TrainingChunks, "iter_from", None)  # a forward would fail
    other = with_two_sites(world, activations="shared").model_copy(update={"seed": 7})
    run(other, RunLayout(tmp_path / "second"), second)
    again = [line for line in second.said if "activations read again from" in line]
    assert [line.split(":")[0] for line in again] == ["mlp_post.0", "resid_post.0"]
    assert not any("free" in line for line in second.said), "nothing is written"


def test_a_store_that_the_disk_has_no_room_for_is_refused_before_it_is_written(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_training.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    layout = RunLayout(tmp_path / "run")
    with pytest.raises(
        ConfigError, match=r"mlp_post\.0 take .* MB, and .* has 0\.0 MB free; lower corpus\.dictionary_tok"
    ):
        run(world.config(activations="disk"), layout)
    assert not layout.activations.exists()


@pytest.mark.parametrize(("least", "dtype"), [(0.0, "bfloat16"), (1.01, "float32")])
def test_bfloat16_is_taken_by_itself_only_where_firings_stay(
    least: float, dtype: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_activations, "has_fast_bfloat16", lambda device: True)
    monkeypatch.setattr(site_activations, "LEAST_SAME_FRAC", least)
    layout = pipeline.run(world.config(), out=tmp_path, last="train")
    assert read_manifest(layout)["stages"]["train"]["dtype"] == dtype
    (line,) = [line for line in layout.log.read_text().splitlines() if "in bfloat16" in line]
    assert "of the firings are the same" in line and ("taken" in line) == (dtype == "bfloat16")
    bench = open_workbench(world.config())
    site_activations.keep_dtype(bench.subject, layout)
    assert bench.subject.dtype == getattr(torch, dtype), "the harvest reads what the training read"


def test_the_filling_of_the_pool_is_shown(world: World, tmp_path: Path) -> None:
    progress = KeptProgress()
    run(world.config(), RunLayout(tmp_path), progress)
    (bar,) = [bar for bar in progress.bars if bar.label.startswith("train")]
    filling = [note for note in bar.notes if note.startswith("shuffling")]
    amounts = [int(note.split()[1].replace(",", "")) for note in filling]
    assert amounts[0] == 0 and amounts == sorted(set(amounts)) and amounts[-2] < 1000 <= amounts[-1]
    assert bar.states[len(filling) - 1 : len(filling) + 1] == [0, 250]


def test_autocast_reaches_the_dictionaries(world: World, tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    run(world.config(autocast="bf16"), layout)
    for name in ("sae", "topk"):
        half, full = (read_history(each.dictionary(name))[-1].fvu for each in (layout, world.whole))
        assert half != full
        assert half == pytest.approx(full, rel=0.05)


def test_the_course_is_shown_on_wandb_when_asked(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    run(world.config(wandb_project="mine"), RunLayout(tmp_path))
    options = fake.told[0][1]
    assert (options["project"], options["name"]) == ("mine", "tiny mlp_post.0")
    assert options["config"]["dictionaries"]["topk"]["dictionary"]["k"] == 4
    assert {key.split("/")[0] for kind, values in fake.told if kind == "log" for key in values} == {"sae", "topk"}
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingPackageError, match=r"pip install wandb"):
        run(world.config(wandb_project="mine"), RunLayout(tmp_path / "other"))


def test_the_histogram_of_densities_reaches_as_far_as_the_page_says(world: World) -> None:
    assert (DENSITY_BIN_EDGES[0], DENSITY_BIN_EDGES[-1]) == DENSITY_DECADES
    record = load_quality(world.whole, "topk")
    assert record is not None
    assert sum(record.density_histogram) == 60 - round(60 * (record.dead_frac or 0))


def test_quality_is_of_a_stated_sample_with_intervals(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = UltralowCluster(limit=0.001, n_features=30, live_frac=0.5)
    monkeypatch.setattr("autointerp.stages.dictionary_quality.find_ultralow", lambda density: cluster)
    layout, progress = RunLayout(tmp_path), KeptProgress()
    run(world.config(quality_tokens=400), layout, progress)
    facts = json.loads(layout.quality("topk").read_text())
    assert facts["n_tokens"] == 400
    assert 80 < facts["fidelity"]["n_tokens"] <= 100, "a quarter, without what nothing predicts"
    assert facts["intervals"]["fvu"][0] < facts["fvu"] < facts["intervals"]["fvu"][1]
    record = load_quality(layout, "topk")
    assert record is not None and record.ultralow is not None and record.ultralow.limit == 0.001
    (line,) = (line for line in progress.said if line.startswith("warning: topk"))
    assert "50% of the live features" in line and "harvest.density = [0.001, 1.0]" in line
    whole = json.loads(world.whole.quality("topk").read_text())
    assert (whole["n_tokens"], "ultralow" in whole) == (1000, False), "all the text of the role"


@pytest.mark.parametrize(("trained", "measured"), [(1_200_000, 65_536), (400_000, 25_000), (5000, 16_384)])
def test_the_sample_of_quality_follows_the_training(trained: int, measured: int) -> None:
    assert sample_tokens(trained) == measured


def test_batches_must_be_shareable() -> None:
    with pytest.raises(ConfigError, match=r"train\.batch_tokens = 250 cannot be shared out among 3 processes"):
        site_training.check_ranks(250, Ranks(0, 3))


def test_two_processes_train_one_run(world: World, tmp_path: Path) -> None:
    """Each harvests its own half of the contexts; the first one alone writes, and the run is like any other."""
    layout = RunLayout(tmp_path / "run")

    def work() -> None:
        pipeline.run(world.config(), out=layout.root, last="train")

    in_processes(2, work)
    in_processes(2, work)  # done before: nobody is left waiting
    assert read_manifest(layout)["stages"]["train"]["training_tokens"] == {"mlp_post.0": 5000}
    assert (layout.root / "log.txt").read_text().count(" layer(s), on ") == 1
    assert not layout.training.exists()
    for name in ("sae", "topk"):
        found, alone = (read_history(each.dictionary(name)) for each in (layout, world.whole))
        assert [record.n_tokens for record in found] == [record.n_tokens for record in alone]
        assert found[-1].fvu == pytest.approx(alone[-1].fvu, rel=0.1)


def test_several_processes_share_training_only(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ConfigError, match=r"torchrun started 2 processes.*-m autointerp train CONFIG"):
        pipeline.run(world.config(), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_shards_are_disjoint_and_full(world: World) -> None:
    from autointerp.config.sites import SitePoint
    from autointerp.stages.workbench import open_workbench

    bench = open_workbench(world.config())
    options: dict[str, Any] = {"max_tokens": 3000, "context_tokens": 48, "batch_contexts": 8}
    point = SitePoint("mlp_post", 0)
    whole = torch.cat(list(TrainingChunks(bench.subject, bench.corpus, point, **options)))
    assert whole.shape[0] == 3000
    shards = [
        torch.cat(list(TrainingChunks(bench.subject, bench.corpus, point, shard=(i, 2), **options))) for i in range(2)
    ]
    assert [shard.shape[0] for shard in shards] == [1500, 1500]
    rows = {tuple(row.tolist()) for row in whole}
    found = [{tuple(row.tolist()) for row in shard} & rows for shard in shards]
    # the same activation twice is the same text twice (the first tokens of contexts); whole batches are not shared
    assert len(found[0] & found[1]) < 0.2 * min(len(each) for each in found)
    for n_rows in (0, 1, 700, 1499, 1500):
        chunks = TrainingChunks(bench.subject, bench.corpus, point, shard=(1, 2), **options)
        rest = list(chunks.iter_from(n_rows))
        assert torch.equal(torch.cat([*rest, shards[1][:0]]), shards[1][n_rows:])


@pytest.mark.full
def test_torchrun_trains_a_run(world: World, tmp_path: Path) -> None:
    from autointerp.config.loading import render_config

    config = tmp_path / "tiny.toml"
    config.write_text(render_config(world.config()))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command = [
        *torchrun,
        "--master-port",
        str(free_port()),
        "-m",
        "autointerp",
        "train",
        config,
        "--out",
        tmp_path / "run",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(", loss recovered") == 2, "the first process alone prints"
    assert set(read_manifest(RunLayout(tmp_path / "run"))["stages"]) == {"train"}


def test_every_kind_of_dictionary_passes_the_stage(world: World, tmp_path: Path) -> None:
    trained = [
        {"name": kind, "kind": kind, "n_features": 40} | ({"k": 4} if kind in core.TOPK_KINDS else {})
        for kind in sorted(get_args(core.DictionaryKind))
        if kind in core.TRAINED_KINDS
    ]
    others = [
        {"name": "pursuit", "kind": "inferred", "of": "topk", "k": 4},
        {"name": "lasso", "kind": "inferred", "of": "relu", "method": "fista"},
        *({"name": kind, "kind": kind, "match_density": "topk"} for kind in ("identity", "pca", "ica")),
        {"name": "random", "kind": "random", "n_features": 40, "density": 0.1},
    ]
    layout, progress = RunLayout(tmp_path), KeptProgress()
    tree = world.tree | {"dictionaries": [*trained, *others]}
    run(parse_config(tree), layout, progress)
    (line,) = (line for line in progress.said if line.startswith("random: thresholds from"))
    n = int(line.split()[3].replace(",", ""))
    assert line.endswith(f"the median rate 10.00% (±{1.96 / math.sqrt(0.1 * n):.0%} of it)")
    rows = {row.dictionary: row for row in read_quality(layout)}
    assert set(rows) == {entry["name"] for entry in [*trained, *others]}
    for name in ("topk", "abstopk", "pursuit"):
        assert 0 < (rows[name].l0 or 0) <= 4
    assert rows["random"].l0 == pytest.approx(4, rel=0.5)
    assert rows["pca"].loss_recovered is None and rows["lasso"].loss_recovered is not None


def test_an_inferred_entry_that_cannot_be_is_one_line(world: World, tmp_path: Path) -> None:
    entries = [*world.tree["dictionaries"], {"name": "ito", "kind": "inferred", "of": "topk", "method": "fista"}]
    with pytest.raises(SubjectError, match=r"dictionaries\.ito: l1_weight must be given"):
        run(parse_config(world.tree | {"dictionaries": entries}), RunLayout(tmp_path))
