"""Every reader of a small file comes back with one line, whatever lies at the path: no pipe is waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autointerp.audition.certificate import read_certificate
from autointerp.batch.state import load_state
from autointerp.board.foreign.delphi import read_latent
from autointerp.board.foreign.saebench import read_saebench
from autointerp.board.quality_file import load_quality
from autointerp.board.score_file import read_scores
from autointerp.board.summary import read_summary
from autointerp.config.loading import load_config
from autointerp.errors import AutointerpError, UnreadableFile
from autointerp.explain.explanation_files import read_explanation_file
from autointerp.judges.endpoint.prices import price_of
from autointerp.records.evidence_file import read_evidence
from autointerp.runs.layout import RunLayout
from autointerp.runs.manifest import load_run_config, read_manifest
from autointerp.small_files import MOST_BYTES, parse_json, read_json
from subjects.training.recipe import load_subject_recipe

DEEP = "[" * 100_000 + "]" * 100_000


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2_000_000_000)


def make_deep(path: Path) -> None:
    path.write_text(f"a = {DEEP}" if path.suffix == ".toml" else DEEP)


def make_rather_deep(path: Path) -> None:
    nested = "[" * 100 + "1" + "]" * 100
    path.write_text(f"a = {nested}" if path.suffix == ".toml" else f'{{"a": {nested}}}')


def make_bytes(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")


def quality(path: Path) -> Any:
    return load_quality(RunLayout(path.parents[2]), "sae")


READERS: dict[str, Callable[[Path], Any]] = {
    "run/manifest.json": lambda path: read_manifest(RunLayout(path.parent)),
    "run/config.toml": lambda path: load_run_config(RunLayout(path.parent)),
    "run/dictionaries/sae/quality.json": quality,
    "run/summary.json": read_summary,
    "run/scores.parquet": read_scores,
    "run/evidence/sae.parquet": read_evidence,
    "run/batch/state.json": lambda path: load_state(RunLayout(path.parents[1])),
    "audition.json": read_certificate,
    "own.toml": load_config,
    "recipe.toml": load_subject_recipe,
    "x_eval_results.json": read_saebench,
    "s_latent3.txt": read_latent,
    "told.json": read_explanation_file,
    "prices.toml": lambda path: price_of("https://x/v1", "m"),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "make", [make_pipe, make_device, make_huge, make_deep, make_rather_deep, make_bytes, Path.mkdir]
)
def test_what_is_no_small_file_is_one_line(
    tmp_path: Path, name: str, make: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)
    monkeypatch.setenv("AUTOINTERP_PRICES", str(path))
    with pytest.raises(AutointerpError, match=path.stem) as caught:
        READERS[name](path)
    assert "\n" not in str(caught.value)


def test_numbers_out_of_range_are_faults_where_they_must_be_finite() -> None:
    assert parse_json('[NaN, 1e999, {"a": 3}]', place="x")[2] == {"a": 3}
    for text in ("[NaN]", "[1e999]", '{"a": [-Infinity]}'):
        with pytest.raises(UnreadableFile, match=r"^x is damaged: it holds a number that is not finite"):
            parse_json(text, place="x", is_finite=True)
    with pytest.raises(UnreadableFile, match="more than 64 bits"):
        parse_json("[" + "9" * 40 + "]", place="x")
    with pytest.raises(UnreadableFile, match="no JSON"):
        parse_json("9" * 5000, place="x")


def test_a_missing_file_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="does not exist") as caught:
        read_json(tmp_path / "nothing.json")
    assert caught.value.is_missing
    (tmp_path / "large.json").write_bytes(b" " * 100)
    with pytest.raises(UnreadableFile, match="too large: 100 bytes, where 99 are read at most"):
        read_json(tmp_path / "large.json", most_bytes=99)
    assert MOST_BYTES < 2_000_000_000
