"""Every mistake of a user's, and every damaged file, is one line that names the key or path, the value and the fix."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import read_manifest
from tests.integration.commands import Called, arguments, call, one_line
from tests.integration.conftest import World
from tests.integration.world import LITTLE_TEXT


def run(capsys: pytest.CaptureFixture[str], world: World, out: Path, *overrides: str) -> Called:
    return call(capsys, "run", world.config_file, "--out", out, "--json", *arguments(*overrides))


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("subject.modle='x'", ("subject.modle", "did you mean 'model'?")),
        ("haverst.n_features=3", ("unknown key 'haverst'", "did you mean 'harvest'?")),
        ("dictionaries.sae.n_fetures=3", ("n_fetures", "did you mean 'n_features'?")),
        ("seed=-1", ("seed", "-1", "greater than or equal to 0")),
        ("subject.model='/nowhere/model'", ("subject.model = '/nowhere/model'", "no such directory", "correct")),
        ("subject.site='resid_pots'", ("subject.site", "'resid_pots'", "'resid_post'")),
        ("subject.layer=7", ("layer", "7", "2 layer")),
        ("device='cuda:99'", ("device = 'cuda:99'", "'cpu'")),
        ("subject.context_tokens=4096", ("subject.context_tokens", "4096", "64")),
        ("corpus.path='/nowhere/text.jsonl'", ("corpus.path = '/nowhere/text.jsonl'", "does not exist", "give a file")),
        ("corpus.text_field='body'", ("text_field", "body")),
        ("corpus.evidence_tokens=10_000_000", ("corpus.evidence_tokens = 10000000", "too short", "lower")),
        ("score.judge='patern'", ("'patern'", "did you mean 'pattern'?")),
        ("explain.judge='orakle'", ("'orakle'", "did you mean 'oracle'?")),
        ("explain.explainers=[{name='window'}]", ("'window'", "did you mean 'windows'?")),
        ("score.scorers.0.name='detektion'", ("'detektion'", "did you mean 'detection'?")),
        ("judges.coin.hedas=0.5", ()),
        ("dictionaries.topk.k=97", ("dictionaries.topk.k = 97", "96", "lower k")),
        ("dictionaries.neurons.n_features=50", ("dictionaries.neurons.n_features = 50", "48")),
        ("dictionaries.random.kind='pca'", ("dictionaries.random.n_features = 96", "48")),
        ("dictionaries.random.match_density='sea'", ("match_density = 'sea'", "use one of")),
    ],
)
def test_a_wrong_value_is_one_line(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, parts: tuple[str, ...]
) -> None:
    overrides = [override] if parts else [override, "score.judge='coin'"]
    one_line(run(capsys, world, tmp_path / "run", *overrides), *(parts or ("hedas", "heads")))


def test_a_mistake_can_be_mended_in_place(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, world, tmp_path / "run", "subject.layer=7", *LITTLE_TEXT).code == 2
    mended = call(capsys, "train", world.few.config, "--out", tmp_path / "run", *arguments(*LITTLE_TEXT))
    assert mended.code == 0, mended.err


def test_a_changed_config_is_refused(
    world: World, finished_copy: RunLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    called = run(capsys, world, finished_copy.root, "harvest.n_features=9", "seed=4")
    one_line(called, "harvest.n_features: 8 -> 9", "seed: 0 -> 4", "--fresh")


def test_a_judge_misspelt_deletes_nothing(
    world: World, finished_copy: RunLayout, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = arguments("score.judge='patern'")
    one_line(call(capsys, "run", world.config_file, "--out", finished_copy.root, "--fresh", "--json", *chosen))
    assert "score" in read_manifest(finished_copy)["stages"]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("run", "nowhere.toml"), ("'nowhere.toml'", "does not exist", "demo")),
        (("run", "dmo"), ("'dmo'", "recipes", "demo")),
        (("leaderboard", "nowhere"), ("nowhere", "no such directory")),
        (("report", "nowhere"), ("nowhere",)),
        (("journal", "nowhere"), ("nowhere", "no such directory")),
        (("compare", "nowhere"), ("nowhere",)),
        (("rescore", "nowhere", "--out", "x"), ("nowhere",)),
        (("judges", "check", "patern"), ("did you mean 'pattern'?",)),
    ],
)
def test_what_is_not_there_is_one_line(
    words: tuple[str, ...],
    parts: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    one_line(call(capsys, *words), *parts)
    assert not list(tmp_path.iterdir())


def test_a_form_of_the_leaderboard_that_is_not_there(finished: RunLayout, capsys: pytest.CaptureFixture[str]) -> None:
    one_line(call(capsys, "leaderboard", finished.root, "--format", "xml"), "--format xml", "table", "html")
    one_line(call(capsys, "compare", finished.root, "--metric", "f2"), "--metric f2", "f1")


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("empty.jsonl", "", ("empty.jsonl", "no text")),
        ("blank.jsonl", '{"text": "  "}\n' * 50, ("blank.jsonl", "50 empty documents")),
        ("short.jsonl", '{"text": "a short text"}\n' * 50, ("short.jsonl", "too short", "lower")),
        ("cut.jsonl", '{"text": "whole"}\n{"text": "cu', ("cut.jsonl", "2")),
        ("other.pdf", "%PDF", ("other.pdf", "unknown kind", ".jsonl")),
    ],
)
def test_a_corpus_that_will_not_do_is_one_line(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, parts: tuple[str, ...]
) -> None:
    (tmp_path / name).write_text(content)
    one_line(run(capsys, world, tmp_path / "run", f"corpus.path='{tmp_path / name}'"), "corpus.path", *parts)


def test_a_model_directory_that_will_not_do_is_one_line(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Path(shutil.copytree(world.model, tmp_path / "model"))
    cut(model / "model.safetensors")
    one_line(run(capsys, world, tmp_path / "run", f"subject.model='{model}'"), "subject.model", str(model), "again")
    (model / "config.json").unlink()
    one_line(run(capsys, world, tmp_path / "run", f"subject.model='{model}'"), "config.json")


def test_a_dictionary_of_another_width_is_one_line(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "loaded.toml"
    loaded = f"[[dictionaries]]\nname = 'loaded'\nkind = 'load'\npath = '{world.run.dictionary('sae')}'\n"
    before, _, after = world.config_file.read_text().partition("[harvest]")
    before = before.partition("[[dictionaries]]")[0]
    config.write_text(f"{before}{loaded}[harvest]{after}")
    same = call(capsys, "train", config, "--out", tmp_path / "same", *arguments(*LITTLE_TEXT))
    assert same.code == 0, same.err
    config.write_text(f"{before}{loaded}site = 'resid_post'\nforce = true\n[harvest]{after}")
    one_line(
        call(capsys, "run", config, "--out", tmp_path / "other", "--json"), "dictionaries.loaded.path", "48", "24 wide"
    )


def cut(path: Path) -> None:
    """Keep the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


# A directory without a manifest is no run: only damage is wrong.
DAMAGED_ONLY = [("manifest.json", "report")]
DAMAGED_OR_MISSING = [
    ("dictionaries/sae/sae_weights.safetensors", "harvest"),
    ("dictionaries/sae/firing_rules.safetensors", "harvest"),
    ("dictionaries/sae/cfg.json", "harvest"),
    ("dictionaries/sae/quality.json", "report"),
    ("evidence/sae.parquet", "explain"),
    ("evidence/sae.parquet", "report"),
    ("journal.sqlite", "score"),
    ("journal.sqlite", "report"),
]


@pytest.mark.parametrize(
    ("relative", "stage", "is_missing"),
    [(*case, False) for case in DAMAGED_OR_MISSING + DAMAGED_ONLY] + [(*case, True) for case in DAMAGED_OR_MISSING],
)
def test_a_damaged_or_missing_file_of_a_run_is_one_line(
    world: World,
    finished_copy: RunLayout,
    relative: str,
    stage: str,
    is_missing: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = finished_copy.root / relative
    file.unlink() if is_missing else cut(file)
    called = call(capsys, "run", world.config_file, "--out", finished_copy.root, "--from", stage, "--json")
    one_line(called, str(file))


@pytest.mark.parametrize("relative", ["scores.parquet", "summary.json", "config.toml"])
def test_damaged_results_are_one_line(
    finished_copy: RunLayout, relative: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = finished_copy.root / relative
    cut(file)
    command = "leaderboard" if relative == "summary.json" else "compare"
    one_line(call(capsys, command, finished_copy.root), relative)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB that can be made larger."""
    place = tmp_path / "small"
    place.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    if mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", place) != 0:
        pytest.skip("mounting is not permitted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def mount(*words: str | Path) -> int:
    return subprocess.run(["mount", *map(str, words)], capture_output=True, check=False).returncode


@pytest.mark.parametrize(
    "sizes",
    [("512k", "16m"), pytest.param(("64k", "128k", "256k", "512k", "16m"), marks=pytest.mark.full)],
    ids=["twice", "grows"],
)
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(
    world: World, tmp_path: Path, small_disk: Path, sizes: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", world.few.config, "--json", *arguments(*LITTLE_TEXT), "--out"]
    enough = RunLayout(tmp_path / "run")
    assert call(capsys, *words, enough.root).code == 0
    n_stages = 0
    out = small_disk / "run"
    for size in sizes:
        assert mount("-o", f"remount,size={size}", small_disk) == 0
        called = call(capsys, *words, out)
        if called.code == 0:
            break
        one_line(called, str(small_disk), "space")
        if RunLayout(out).is_run():
            n_done = len(read_manifest(RunLayout(out))["stages"])
            assert n_done >= n_stages, "a stage that was done is gone"
            n_stages = n_done
    else:
        pytest.fail("it never came to an end")
    assert size != sizes[0]
    assert n_stages > 0
    assert RunLayout(out).scores.read_bytes() == enough.scores.read_bytes()
    assert json.loads(RunLayout(out).summary.read_text())["entries"]
