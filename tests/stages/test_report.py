"""The report of a large run: rows in groups, a page of some features, and the same figures."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from autointerp import pipeline
from autointerp.board import score_file
from autointerp.board.score_file import read_scores
from autointerp.stages import report
from tests.stages.harvested import DICTIONARIES, make_config, make_run

N_FEATURES = 8


def test_groups_of_rows_and_a_page_of_some_features_change_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config("score.judge='coin'")
    whole = pipeline.run(config, out=make_run(tmp_path / "whole", config).root)
    monkeypatch.setattr(score_file, "_ROWS_PER_GROUP", 3)
    monkeypatch.setattr(report, "_MOST_SHOWN", 6)
    large = pipeline.run(config, out=make_run(tmp_path / "large", config).root)
    assert pq.ParquetFile(large.scores).num_row_groups > 5
    assert pq.ParquetFile(whole.scores).num_row_groups == 1
    assert read_scores(large.scores).equals(read_scores(whole.scores))
    assert large.summary.read_bytes() == whole.summary.read_bytes()
    n = N_FEATURES * len(DICTIONARIES)
    assert f"{n} features. Keys" in whole.report.read_text()
    page = large.report.read_text()
    assert f"{n} features, of which 6 drawn by hash are in this page" in page
    catalog = re.search(r'"shelves":\s*(\[\{.*?\}\])', page)
    assert catalog is not None
    assert re.findall(r'"n":\s*(\d+)', catalog[1]) == ["3", "3"]
