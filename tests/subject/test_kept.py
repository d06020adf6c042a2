"""What was read once is read from the disk; every pass sees the same values."""

from __future__ import annotations

import pytest
import torch

from autointerp.config.sites import SitePoint
from autointerp.subject.kept import KeptActivations

POINTS = [SitePoint("mlp_post", 1), SitePoint("resid_post", 0)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_batch_runs_once_and_is_the_same_every_time(dtype, subjects, tokens, tmp_path, monkeypatch) -> None:
    subject = subjects["llama"]
    expected = {point: x.to(dtype).float() for point, x in subject.activations(tokens, POINTS).items()}
    first = KeptActivations(subject, tmp_path, dtype=dtype)
    assert first.vocab_size == subject.vocab_size
    for point, x in first.activations(tokens, POINTS).items():
        assert torch.equal(x, expected[point])
    asked: list[list[SitePoint]] = []
    read = subject.activations
    monkeypatch.setattr(
        subject, "activations", lambda tokens, points: asked.append(list(points)) or read(tokens, points)
    )
    again = KeptActivations(subject, tmp_path, dtype=dtype)
    found = again.activations(tokens, [*POINTS, SitePoint("resid_pre", 2)])
    assert asked == [[SitePoint("resid_pre", 2)]], "what is missing alone is run"
    assert all(torch.equal(found[point], expected[point]) for point in POINTS)
    again.activations(tokens[:, :5], POINTS)
    assert len(asked) == 2, "other tokens are another batch"


def test_a_damaged_file_is_written_anew(subjects, tokens, tmp_path) -> None:
    kept = KeptActivations(subjects["gpt2"], tmp_path, dtype=torch.float32)
    whole = kept.activations(tokens, POINTS)
    (path,) = (tmp_path / str(POINTS[0])).iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    assert torch.equal(kept.activations(tokens, POINTS)[POINTS[0]], whole[POINTS[0]])
    assert path.read_bytes() == content
