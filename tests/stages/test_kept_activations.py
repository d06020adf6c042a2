"""A harvest's second pass, and another run's harvest, read activations that are kept instead of running the subject."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from autointerp import pipeline
from autointerp.config.loading import parse_config
from autointerp.records.evidence_file import read_evidence
from autointerp.runs.layout import RunLayout
from autointerp.subject.kept import KeptActivations
from autointerp.subject.model import Subject
from tests.stages.planted_subject import save_planted, save_words

WIDTH, N_VOCAB, CONTEXT = 8, 60, 32


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("kept")
    draw = torch.Generator().manual_seed(0)
    tokens, positions = torch.randn(N_VOCAB, WIDTH, generator=draw), torch.zeros(CONTEXT, WIDTH)
    model = save_planted(root / "model", tokens=tokens, positions=positions)
    corpus = save_words(root / "words.jsonl", n_vocab=N_VOCAB, n_documents=120, n_words=90)
    return {
        "name": "kept",
        "device": "cpu",
        "subject": {"model": str(model), "site": "mlp_post", "context_tokens": CONTEXT, "batch_contexts": 8},
        "corpus": {"path": str(corpus), "dictionary_tokens": 1024, "evidence_tokens": 3200},
        "train": {"batch_tokens": 128, "buffer_tokens": 256, "activations_dtype": "float32"},
        "dictionaries": [{"name": "basis", "kind": "identity", "density": 0.05}],
        "harvest": {"n_features": 4, "min_firing": 5, "n_top": 4, "n_bins": 2, "n_per_bin": 3, "n_random": 8},
    }


@pytest.fixture
def n_batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many batches each harvest ran through the subject."""
    counts = [0]
    asked, ran = KeptActivations.activations, Subject.activations

    def through(self: KeptActivations, *arguments: Any) -> Any:
        def counted(subject: Subject, *passed: Any) -> Any:
            counts[-1] += 1
            return ran(subject, *passed)

        with monkeypatch.context() as patch:
            patch.setattr(Subject, "activations", counted)
            return asked(self, *arguments)

    monkeypatch.setattr(KeptActivations, "activations", through)
    return counts


def evidence(layout: RunLayout) -> list[str]:
    return [repr(each) for each in read_evidence(layout.evidence_file("basis"))]


def test_evidence_is_read_once_and_shared(tree, tmp_path: Path, n_batches: list[int]) -> None:
    config = parse_config(tree)
    plain = evidence(pipeline.run(config, out=tmp_path / "plain", last="harvest"))
    assert n_batches == [0]
    for name, kind in (("disk", "disk"), ("first", "shared"), ("second", "shared")):
        folder = {"activations_dir": str(tmp_path / "kept")} if kind == "shared" else {}
        n_batches.append(0)
        kept = parse_config(tree | {"train": tree["train"] | {"activations": kind} | folder})
        layout = pipeline.run(kept, out=tmp_path / name, last="harvest")
        assert evidence(layout) == plain
        assert not layout.activations.exists()
        said = layout.log.read_text()
        assert ("activations read again from" in said) == (name == "second")
        assert ("activations of mlp_post.0: 0.4 MB in" in said) == (name != "second")
    # contexts of 32 tokens, eight to a batch, of 1,600 tokens per role
    assert n_batches == [0, 14, 14, 0]
