"""The shipped recipes, shrunken: the papers' task on a tiny subject, and the real trained Llama."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from autointerp.board.score_file import read_scores
from autointerp.config.loading import load_config
from autointerp.records.evidence_file import read_evidence
from autointerp.runs.journal import open_journal
from autointerp.runs.layout import RunLayout
from tests.integration.commands import arguments, call
from tests.integration.conftest import World
from tests.integration.world import DICTIONARIES

ONEILL = (
    "device='cpu'",
    "subject.layer=1",
    "subject.context_tokens=48",
    "corpus.dictionary_tokens=2048",
    "corpus.evidence_tokens=12000",
    "train.batch_tokens=256",
    "train.buffer_tokens=2048",
    "dictionaries.sae.n_features=64",
    "dictionaries.mlp.n_features=64",
    "dictionaries.mlp.hidden=[32]",
    "dictionaries.random.n_features=64",
    "harvest.n_features=6",
    "explain.judge='pattern'",
    "score.judge='pattern'",
)


@pytest.fixture(scope="module")
def oneill(world: World, tmp_path_factory: pytest.TempPathFactory) -> RunLayout:
    from autointerp import pipeline

    config = load_config(
        "oneill2024_gpt2_l9", [f"subject.model='{world.model}'", f"corpus.path='{world.corpus}'", *ONEILL]
    )
    return pipeline.run(config, out=tmp_path_factory.mktemp("oneill") / "run")


def test_the_papers_task_asks_about_five_and_five(oneill: RunLayout) -> None:
    with open_journal(oneill.journal, must_exist=True) as journal:
        verdicts = [v for v in journal.load_verdicts() if v.control is None]
        explanations = journal.load_explanations()
    assert {v.scorer for v in verdicts} == {"marked"}
    table = read_scores(oneill.scores)
    scored = table[table.unscored.isna()]
    assert len(scored) >= 12
    per_feature = Counter((v.dictionary, v.feature, v.kind) for v in verdicts)
    for row in scored.to_dict("records"):
        assert (row["n_positive"], row["n_negative"], row["n_near_miss"]) == (5, 5, 0)
        assert row["always_yes_f1"] == pytest.approx(2 / 3)
        assert row["coin_f1"] == pytest.approx(0.487, abs=0.001)
        assert per_feature[row["dictionary"], row["feature"], "top"] == 5
        assert per_feature[row["dictionary"], row["feature"], "other"] == 5
    assert len(explanations) == len(scored) + sum(e.text is None for e in explanations)


def test_the_papers_windows_hold_thirty_tokens_left_and_five_right(oneill: RunLayout) -> None:
    n_whole = 0
    for name in ("sae", "mlp", "neurons", "random"):
        for evidence in read_evidence(oneill.evidence_file(name)):
            assert len(evidence.top_logits) == len(evidence.bottom_logits) == 10
            for role in ("explain", "score"):
                assert len(evidence.select(role, "top")) <= 10
            for window in evidence.select("score", "top"):
                assert window.candidate <= 30
                assert len(window.token_ids) - window.candidate <= 6
                assert window.activations[window.candidate] == window.max_activation
                n_whole += len(window.token_ids) == 36 and window.candidate == 30
    assert n_whole > 20


def test_the_papers_neurons_are_read_at_a_site_of_their_own(oneill: RunLayout) -> None:
    sites = {name: pd.read_parquet(oneill.evidence_file(name)).site.iloc[0] for name in ("sae", "neurons")}
    assert sites == {"sae": "resid_pre.1", "neurons": "mlp_post.1"}


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = Path(os.environ.get("AUTOINTERP_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real data: set AUTOINTERP_REAL_DATA or put it at ../shared/data")
    return folder


@pytest.mark.full
@pytest.mark.real
def test_a_real_trained_llama_gets_a_leaderboard(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = arguments(
        f"subject.model='{real_data / 'models/stories260K'}'",
        f"corpus.path='{real_data / 'text/tinystories_1000.json'}'",
        "device='cpu'",
        "corpus.dictionary_tokens=120_000",
        "corpus.evidence_tokens=60_000",
        "train.batch_tokens=1024",
        "harvest.n_features=20",
    )
    called = call(capsys, "run", "stories260k", "--out", tmp_path / "run", "--json", *chosen)
    assert called.code == 0, called.err
    summary = json.loads(called.out)
    assert [entry["name"] for entry in summary["entries"]] == list(DICTIONARIES)
    for entry in summary["entries"]:
        assert entry["n_sampled"] == 20
        assert entry["n_scored"] >= 5, entry["unscored"]
        assert entry["f1"]["lo"] <= entry["f1"]["mean"] <= entry["f1"]["hi"]
        assert entry["baselines"]["always_yes_f1"] > 0.6
    quality = json.loads(RunLayout(tmp_path / "run").quality("sae").read_text())
    assert quality["fidelity"]["recovered_zero_frac"] > 0.5
