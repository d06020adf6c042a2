"""The table of short trainings: a row per kind and settings, on rows of a store."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from benchmarks.dictionary_budget import main
from sae_core.activations.store_writer import write_store
from sae_core.synthetic import PlantedDictionary


def test_a_row_for_each_kind_and_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted = PlantedDictionary.draw(n_features=12, d_in=8, k=2, seed=0)
    write_store(planted.iter_batches(4, batch_tokens=64, seed=1), tmp_path / "train", rows_per_file=100)
    write_store(planted.iter_batches(2, batch_tokens=64, seed=2), tmp_path / "heldout")
    settings = ["--tokens", "512", "--n-features", "16", "--hidden", "8", "--l0", "2", "--batch-tokens", "64"]
    main([*map(str, (tmp_path / "train", tmp_path / "heldout")), "--kinds", "topk", "relu", "mlp", *settings])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["kind"], row["settings"]) for row in rows] == [
        ("topk", "plain"),
        *[(kind, settings) for kind in ("relu", "mlp") for settings in ("plain", "alive")],
    ]
    assert {row["tokens"] for row in rows} == {"512"}  # two passes over the store
    assert float(rows[0]["l0"]) <= 2
    assert rows[1]["fvu"] != rows[2]["fvu"] and rows[3]["fvu"] != rows[4]["fvu"]
