"""Both engines keep one contract: results in order, death answered by another try, errors passed on, ceilings kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autointerp.engine.desk import Desk
from autointerp.engine.engine import Engine, spread
from autointerp.engine.local import LocalEngine
from autointerp.errors import LimitReached, RunStopped
from autointerp.progress import SilentProgress
from tests.engine import tasks


def spread_over(engine: Engine, task, *parts: object, desk: Desk | None = None) -> list:
    arguments = [(part,) for part in parts]
    return spread(engine, task, arguments, label="test", unit="parts", progress=SilentProgress(), desk=desk)


def test_results_come_in_the_order_of_the_parts(engine: Engine) -> None:
    assert spread_over(engine, tasks.square, 3, 1, 2) == [(9, 0, 3), (1, 1, 3), (4, 2, 3)]


def test_a_part_whose_worker_dies_is_done_by_another(engine: Engine, tmp_path: Path) -> None:
    assert spread_over(engine, tasks.die_at_first, tmp_path, tmp_path) == ["done", "done"]


def test_a_bug_ends_the_others_and_is_raised_with_its_traceback(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError, match="a bug") as caught:
        spread_over(engine, tasks.fail, "bug", "bug")
    assert "in fail" in "".join(caught.value.__notes__)


def test_a_ceiling_is_raised_when_the_others_have_ended(engine: Engine) -> None:
    with pytest.raises(LimitReached, match="enough"):
        spread_over(engine, tasks.fail, "limit", "limit")


def test_workers_share_one_ceiling(engine: Engine) -> None:
    spent = spread_over(engine, tasks.borrow, 40, 40, 40, desk=Desk(3, n_requests=50))
    assert sum(spent) == 50


@pytest.mark.parametrize("said", [None, "3"])
def test_local_workers_share_the_processors_unless_threads_are_set(said: str | None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS") if said is None else monkeypatch.setenv("OMP_NUM_THREADS", said)
    with LocalEngine(2) as engine:
        assert (
            spread(engine, tasks.threads, [(), ()], label="test", unit="parts", progress=SilentProgress())
            == [said or "4"] * 2
        )


@pytest.mark.full
def test_a_part_that_kills_every_worker_is_given_up(engine: Engine) -> None:
    with pytest.raises(RunStopped, match=r"died|gave a part up"):
        spread(engine, tasks.die, [()], label="test", unit="parts", progress=SilentProgress())
