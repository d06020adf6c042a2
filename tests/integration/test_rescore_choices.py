"""What `rescore` takes of an old run's evidence, and what it refuses to be told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autointerp.cli.main import _run
from autointerp.run import Run
from tests.integration.conftest import World

OFFLINE = ("--set", "explain.judge=pattern", "--set", "score.judge=pattern")


def rescore(world: World, out: Path, *more: str) -> int:
    return _run(["rescore", str(world.few.root), "--out", str(out), "--json", *OFFLINE, *more])


def test_fewer_features_are_explained_and_the_fewest_are_among_them(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "sae"
    found: list[set[int]] = []
    for n in (3, 2):
        out = tmp_path / str(n)
        assert rescore(world, out, "--features", str(n), "--dictionaries", name) == 0
        run = Run(out)
        assert {entry["dictionary"] for entry in json.loads(capsys.readouterr().out)["entries"]} == {name}
        assert {e.dictionary for e in run.evidence()} == {name}
        found.append({e.feature for e in run.evidence()})
        assert set(run.explanations["feature"]) == found[-1]
    assert [len(features) for features in found] == [3, 2]
    assert found[1] < found[0] < {e.feature for e in Run(world.few.root).evidence(name)}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("harvest.n_features=100000", "harvest.n_features = 100000: the evidence of"),
        ("harvest.n_top=3", "harvest.n_top: "),
        ("subject.context_tokens=17", "subject.context_tokens: "),
        ("train.batch_tokens=17", "train.batch_tokens: "),
    ],
)
def test_settings_of_the_evidence_are_refused(
    override: str, said: str, world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rescore(world, tmp_path / "out", "--set", override) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert len(shown.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
