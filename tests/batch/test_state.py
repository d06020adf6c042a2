from __future__ import annotations

from pathlib import Path

import pytest

from autointerp.batch.state import BatchState, Round, SubmittedFile, load_state
from autointerp.errors import ArtefactError
from autointerp.runs.layout import RunLayout


def file(step: str, name: str = "requests-001.jsonl") -> SubmittedFile:
    return SubmittedFile(name=name, n_requests=1, n_bytes=2, sha256="00", bound_usd=None, step=step)  # type: ignore[arg-type]


def test_a_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    assert load_state(layout) == BatchState()
    explain = Round(stage="explain", number=1, n_requests=2, files=[file("collected"), file("submitted", "b")])
    score = Round(stage="score", number=1, n_requests=1, n_results=3, files=[file("creating")])
    state = BatchState(rounds=[explain, score])
    state.save(layout)
    loaded = load_state(layout)
    assert loaded == state
    assert [(round_.name, found.name) for round_, found in loaded.live()] == [
        ("explain-1", "b"),
        ("score-1", "requests-001.jsonl"),
    ]
    assert loaded.of_stage("score") == [score]


@pytest.mark.parametrize(("step", "n_results", "is_touched"), [("written", 0, False), ("written", 1, True)])
def test_a_round_is_touched_by_results(step: str, n_results: int, is_touched: bool) -> None:
    assert (
        Round(stage="score", number=1, n_requests=1, n_results=n_results, files=[file(step)]).is_touched is is_touched
    )


@pytest.mark.parametrize("step", ["uploading", "uploaded", "creating", "submitted", "collected"])
def test_a_round_is_touched_by_submitting(step: str) -> None:
    files = [file("written"), file(step)]
    assert Round(stage="score", number=1, n_requests=1, files=files).is_touched


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is damaged"),
        ('{"rounds": 3}', "is damaged"),
        ('{"schema_version": 9, "rounds": []}', "has schema version 9, this autointerp reads 1"),
        ("\udcff", "is damaged: no UTF-8"),
    ],
)
def test_a_state_that_cannot_be_used_says_why(tmp_path: Path, text: str, said: str) -> None:
    layout = RunLayout(tmp_path)
    layout.batch.mkdir()
    layout.batch_state.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    with pytest.raises(ArtefactError, match=said):
        load_state(layout)
