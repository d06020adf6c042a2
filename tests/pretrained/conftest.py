"""A user's cache of one test's own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr("autointerp.pretrained.store.user_cache_path", lambda app, **_: folder / app)
    return folder
