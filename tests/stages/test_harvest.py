"""The harvest stage: evidence says how its contexts were packed; a site before the MLP has evidence without effects."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from autointerp.config.loading import parse_config
from autointerp.progress import SilentProgress
from autointerp.records.evidence_file import read_evidence
from autointerp.runs.layout import RunLayout
from autointerp.stages import harvest, train
from tests.integration.world import save_corpus, save_subject


@pytest.mark.parametrize("packing", ["concatenate", "document"])
def test_packing_is_said_and_documents_stand_alone(packing: str, tmp_path: Path) -> None:
    corpus = save_corpus(tmp_path / "corpus.jsonl", n_documents=60)
    model = save_subject(tmp_path / "model", corpus, n_layers=1)
    config = parse_config(
        {
            "device": "cpu",
            "subject": {"model": str(model), "site": "mlp_in", "context_tokens": 48, "packing": packing},
            "corpus": {"path": str(corpus), "dictionary_tokens": 500, "evidence_tokens": 1000},
            "harvest": {"n_features": 3, "min_firing": 1, "n_random": 4, "n_top": 3, "n_per_bin": 2},
            "dictionaries": [{"name": "basis", "kind": "identity", "density": 0.1}],
        }
    )
    layout = RunLayout(tmp_path / "run")
    train.run(config, layout, SilentProgress())
    harvest.run(config, layout, SilentProgress())
    file = layout.evidence_file("basis")
    assert pq.read_schema(file).metadata[b"autointerp.evidence.packing"] == packing.encode()
    evidence = read_evidence(file)
    assert len(evidence) == 3 and all(item.windows and not item.top_logits for item in evidence)
    texts = [json.loads(line)["text"] for line in corpus.read_text(encoding="utf-8").splitlines()]
    assert all(any(w.text.strip("\ufffd") in text for text in texts) for item in evidence for w in item.windows)
