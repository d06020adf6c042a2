"""A run that was stopped half way asks first what nobody has answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from autointerp import pipeline
from autointerp.board.score_file import read_scores
from autointerp.errors import RunStopped
from autointerp.runs.journal import open_reader
from autointerp.stages import explain, score
from tests.stages.harvested import make_config, make_run


@pytest.mark.parametrize(("stage", "table"), [("explain", "explanations"), ("score", "verdicts")])
def test_it_begins_with_the_features_that_are_new(
    stage: str, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(limits={"max_concurrent": 1})
    whole = pipeline.run(config, out=make_run(tmp_path / "whole", config).root)
    run = make_run(tmp_path / "run", config)
    if stage == "score":
        pipeline.run(config, out=run.root, last="explain")
    with open_reader(whole.journal) as reader:
        n_explained, n = reader.read("SELECT total(scorer = ''), count(*) FROM charges")[0]
    ceiling = int(n_explained // 2 if stage == "explain" else (n_explained + n) // 2)
    with pytest.raises(RunStopped):
        pipeline.run(make_config(limits={"max_concurrent": 1, "max_requests": ceiling}), out=run.root, last=stage)
    with open_reader(run.journal) as reader:
        done = set(reader.read(f"SELECT DISTINCT dictionary, feature FROM {table}"))
    assert done

    module, name = (explain, "explain_features") if stage == "explain" else (score, "score_features")
    original, orders = getattr(module, name), []

    def watched(evidences, *arguments, **options):
        orders.append([(e.dictionary, e.feature) in done for e in evidences])
        return original(evidences, *arguments, **options)

    monkeypatch.setattr(module, name, watched)
    pipeline.run(config, out=run.root)
    (order,) = orders
    assert order == sorted(order)
    assert sum(order) == len(done)
    assert read_scores(run.scores).equals(read_scores(whole.scores))
    assert run.summary.read_bytes() == whole.summary.read_bytes()
