"""Ceilings and the endpoint's limits hold over all workers together."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from autointerp import pipeline
from autointerp.errors import LimitReached
from tests.engine.asking_runs import asked_config, begin
from tests.integration.commands import answer
from tests.judges.fault_server import FaultServer, completion, content_hash

WORKERS = "engine.workers=2"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.full
def test_ceilings_hold_and_what_was_asked_counts_when_they_are_raised(tmp_path: Path) -> None:
    limits = ("limits.max_concurrent=4", "limits.reuse=false")
    with FaultServer(answer=answer, delay_s=0.02) as server:
        run = begin(tmp_path / "run", server)
        with pytest.raises(LimitReached, match=r"limits\.max_requests = 17 is reached"):
            pipeline.run(asked_config(server, WORKERS, *limits, "limits.max_requests=17"), out=run.root)
        assert sum(server.arrivals.values()) == 10  # after 7 of the explainer, a judge in the process
        assert server.most_at_once <= 4
        pipeline.run(asked_config(server, *limits), out=run.root)
        assert set(server.arrivals.values()) == {1}
        n_asked, whole = len(server.arrivals), begin(tmp_path / "whole", server)
        pipeline.run(asked_config(server, *limits), out=whole.root)
        assert len(server.arrivals) == n_asked
    for file in (run.scores, run.summary):
        assert file.read_bytes() == (whole.root / file.name).read_bytes()


class SmallServer(FaultServer):
    """Turns away what comes while `room` requests are under way."""

    def __init__(self, room: int) -> None:
        super().__init__(answer=answer)
        self._room, self.n_under_way, self.n_turned_away = room, 0, 0
        self.answers = Counter[str]()

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._maybe)
        return application

    async def _maybe(self, request: web.Request) -> web.StreamResponse:
        body: dict[str, Any] = await request.json()
        if self.n_under_way >= self._room:
            self.n_turned_away += 1
            return web.json_response({"error": {"message": "too many at once"}}, status=429)
        self.n_under_way += 1
        await asyncio.sleep(0.02)
        self.n_under_way -= 1
        self.answers[content_hash(body)] += 1
        return web.json_response(completion(answer(body)))


@pytest.mark.full
def test_an_endpoint_that_turns_the_sum_away_is_not_overrun(tmp_path: Path) -> None:
    """Its capacity is below what two workers would send; each learns its part of it."""
    with SmallServer(room=3) as server:
        run = begin(tmp_path / "run", server, n_features=None)
        pipeline.run(asked_config(server, WORKERS), out=run.root)
    assert set(server.answers.values()) == {1}
    assert server.n_turned_away < server.answers.total() / 2
    entries = json.loads(run.summary.read_text())["entries"]
    assert {entry["error_frac"] for entry in entries} == {0.0}
