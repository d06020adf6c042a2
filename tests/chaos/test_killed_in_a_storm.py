"""kill -9 at random moments against an endpoint that fails in every way: nothing paid for is lost or asked again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autointerp.board.score_file import read_scores
from autointerp.runs.layout import RunLayout
from autointerp.seeds import unit_hash
from tests.chaos.client import start, words
from tests.chaos.reading import read_replies, results_of
from tests.chaos.run_source import DICTIONARIES, SCORERS, save_source
from tests.chaos.server import CALM, STORM, ChaosServer, Weather
from tests.integration.commands import call

FLUSH_S = 0.25
LATE_S = 1.0
"""How long a busy machine may keep a reply between the network and the journal, beside the flush."""


@dataclass(frozen=True)
class Size:
    """`n_features` per dictionary; pauses and time-outs short enough for the test to end. Where requests are few the
    rarest faults come oftener, so that each kind meets the first arrival of some request."""

    n_features: int
    n_kills: int
    n_concurrent: int
    pause_s: tuple[float, float]
    timeout_s: float
    limit_s: float
    shares: Mapping[str, float] = field(default_factory=lambda: STORM.shares)


SMALL = Size(
    n_features=1,
    n_kills=3,
    n_concurrent=16,
    pause_s=(0.01, 0.1),
    timeout_s=1.0,
    limit_s=60.0,
    shares=STORM.shares | {"drop": 0.05, "truncated": 0.04},
)
MIDDLE = Size(n_features=3, n_kills=3, n_concurrent=16, pause_s=(0.01, 0.1), timeout_s=1.0, limit_s=60.0)
FULL = Size(n_features=79, n_kills=20, n_concurrent=32, pause_s=(0.2, 3.0), timeout_s=2.0, limit_s=3000.0)


@dataclass
class Account:
    """What the rounds showed."""

    n_kept: list[int] = field(default_factory=list)
    n_lost: list[int] = field(default_factory=list)
    n_losable: list[int] = field(default_factory=list)
    repeated: set[str] = field(default_factory=set)
    last_kill_s: float = 0.0


def line(source: Path, out: Path, base_url: str, cache: Path, size: Size) -> list[str]:
    return words(source, out, base_url, cache=cache, n_concurrent=size.n_concurrent, timeout_s=size.timeout_s)


def kill(process: subprocess.Popen[str], server: ChaosServer, *, after: int, number: int) -> float:
    """kill -9 once so many more requests arrived, every fifth time while it starts; gives the moment."""
    goal, start = server.n_arrivals + after, time.monotonic()
    early_s = 2.0 * unit_hash("early", number) if number % 5 == 4 else 600.0
    while server.n_arrivals < goal and process.poll() is None and time.monotonic() < start + early_s:
        time.sleep(0.001)
    assert process.poll() is None, f"it ended before kill {number}: {process.communicate()[1]}"
    now = time.monotonic()
    process.send_signal(signal.SIGKILL)
    process.wait()
    if process.stderr is not None:
        process.stderr.close()
    return now


def endure(source: Path, out: Path, scratch: Path, server: ChaosServer, size: Size, n_expected: int) -> Account:
    """Run, kill, look into the journal, run again, until nobody kills it any more."""
    journal, account = RunLayout(out).journal, Account()
    known: dict[str, tuple[str, int]] = {}  # journalled keys: content, and arrivals of it when it was first seen
    for number in range(size.n_kills + 1):
        # a cache of its own in every round: what is not asked again must be in the journal
        process = start(line(source, out, server.base_url, scratch / f"cache{number}", size))
        killed_at = 0.0
        if number < size.n_kills:
            after = int(n_expected / size.n_kills * (0.4 + 1.1 * unit_hash("kill", size.n_kills, number)))
            killed_at = kill(process, server, after=after, number=number)
        else:
            _, errors = process.communicate(timeout=size.limit_s)
            assert process.returncode == 0, errors
        kept = read_replies(journal, scratch / "copy")
        assert kept.keys() >= known.keys(), "what was journalled is gone"
        for key, content in kept.items():
            known.setdefault(key, (content, server.arrivals[content]))
        account.repeated |= {c for c, n in known.values() if server.arrivals[c] > n}
        if number < size.n_kills:
            sent = [event for event in server.events() if event.what == "sent"]
            account.last_kill_s = killed_at
            account.n_kept.append(len(kept))
            account.n_lost.append(len(sent) - len(kept) - sum(account.n_lost))
            account.n_losable.append(sum(event.at_s >= killed_at - FLUSH_S - LATE_S for event in sent))
    return account


@pytest.mark.full
@pytest.mark.parametrize(
    "size",
    [SMALL, MIDDLE, FULL],
    ids=["small", "middle", "full"],
)
def test_no_paid_work_is_lost_and_none_repeated(size: Size, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = save_source(tmp_path / "source", n_features=size.n_features)
    calm, killed = tmp_path / "calm" / "run", tmp_path / "killed" / "run"
    begin = time.monotonic()
    with ChaosServer(tmp_path / "calm.log", weather=CALM) as server:
        done = call(capsys, *line(source, calm, server.base_url, tmp_path / "calm-cache", size))
        assert done.code == 0, done.err
        assert set(server.arrivals.values()) == {1}
        n_requests, wanted = server.n_arrivals, set(server.arrivals)
    calm_s = time.monotonic() - begin
    storm = Weather(size.shares, size.pause_s)
    with ChaosServer(tmp_path / "storm.log", weather=storm) as server:
        n_expected = int(n_requests / (1.0 - sum(size.shares.values()) + size.shares["no usage"]))
        account = endure(source, killed, tmp_path / "scratch", server, size, n_expected)
        events = server.events()
    faults = Counter(event.fault for event in events if event.what == "arrival" and event.fault is not None)
    faults["mumbled"] = sum(event.what == "sent" and event.fault == "mumbled" for event in events)
    n_sent = sum(event.what == "sent" for event in events)
    if size is FULL:
        with capsys.disabled():
            sys.stdout.write(
                f"\n{n_requests} requests, {sum(e.what == 'arrival' for e in events)} arrivals, faults {dict(faults)}, "
                f"{size.n_kills} kills with {account.n_kept} journalled; sent and not journalled {account.n_lost} "
                f"of at most {[size.n_concurrent + n for n in account.n_losable]}; journalled and asked again "
                f"{len(account.repeated)}; calm {calm_s:.0f} s, storm {time.monotonic() - begin - calm_s:.0f} s\n"
            )
    assert set(+faults) == {*size.shares, "mumbled"}, "a kind of fault never came: the test shows less than it says"
    assert account.n_kept[-1] > account.n_kept[0] >= 0
    assert not account.repeated
    # what was on its way, or waited for the flush, when the axe fell
    assert all(lost <= size.n_concurrent + n for lost, n in zip(account.n_lost, account.n_losable, strict=True))
    run = RunLayout(killed)
    kept = read_replies(run.journal, tmp_path / "copy")
    contents = set(kept.values())
    assert len(contents) == len(kept)
    # Only what was asked again for a reply that fell with the axe, and came readable the next time, need not be kept.
    assert wanted <= contents <= {event.name for event in events}
    assert {event.name for event in events if event.at_s > account.last_kill_s + LATE_S} <= contents
    assert n_sent == len(kept) + sum(account.n_lost)
    assert results_of(run, tmp_path / "copy") == results_of(RunLayout(calm), tmp_path / "copy")
    check_scores(run, size)


def check_scores(run: RunLayout, size: Size) -> None:
    """Every feature is scored or counted, and no answer was lost."""
    scores = read_scores(run.scores)
    assert len(scores) == len(DICTIONARIES) * len(SCORERS) * size.n_features
    assert scores["unscored"].isna().all()
    for row in scores.to_dict("records"):
        right = sum(row[k] for k in ("true_positive", "false_positive", "false_negative", "true_negative"))
        assert right == row["n_positive"] + row["n_negative"] == 20
    summary = json.loads(run.summary.read_text())
    assert all(entry["n_scored"] == size.n_features for entry in summary["entries"])
