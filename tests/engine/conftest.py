"""Engines of two workers, opened once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autointerp.config.engine import EngineConfig
from autointerp.engine.engine import Engine, open_engine


@pytest.fixture(scope="session", params=["local", "ray"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "ray":
        pytest.importorskip("ray", reason="ray is not installed: pip install '.[ray]'")
    with open_engine(EngineConfig(kind=request.param, workers=2)) as opened:
        assert opened is not None
        yield opened
