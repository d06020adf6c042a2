from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autointerp.batch.collecting import Collector
from autointerp.errors import ArtefactError, JudgeRejected
from autointerp.judges.engine.client import Failure, Outcome
from autointerp.judges.judge import Capabilities, Message, Reply, Request, Usage
from autointerp.judges.reply_key import reply_key, reply_to_record
from autointerp.judges.tasks import Passage, ScoreTask
from autointerp.runs.journal import Journal, open_journal
from autointerp.runs.reply_cache import ReplyCache, open_reply_cache
from autointerp.runs.reply_record import Account, ReplyRecord

JUDGE = Capabilities(endpoint="http://e/v1", model="m")
ACCOUNT = Account("sae", "windows", "detection")


def question(text: str) -> Request:
    return Request(ScoreTask("why", (Passage(text),)), (Message("user", text),), max_tokens=9)


def record(text: str, reply: Reply) -> ReplyRecord:
    request = question(text)
    key = reply_key(JUDGE, request)
    return reply_to_record(reply, request, key=key, capabilities=JUDGE, latency_s=0.1, n_attempts=1, at=1.0)


@dataclass
class Bench:
    journal: Journal
    cache: ReplyCache
    emitted: list[str] = field(default_factory=list)

    def emit(self, key: str, request: Request) -> None:
        assert key == reply_key(JUDGE, request)
        self.emitted.append(request.messages[0].content)

    def collector(self) -> Collector:
        return Collector(JUDGE, journal=self.journal, cache=self.cache, emit=self.emit)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_journal(tmp_path / "journal.sqlite") as journal, open_reply_cache(tmp_path / "cache.sqlite") as cache:
        yield Bench(journal, cache)


def ask(collector: Collector, *texts: str) -> list[Outcome]:
    return [asyncio.run(collector.ask(question(text), account=ACCOUNT)) for text in texts]


def test_what_is_known_is_answered_and_the_rest_collected_once(bench: Bench) -> None:
    reply = Reply("[1]", "m", usage=Usage(3, 4, usd=0.5))
    bench.journal.record_reply(record("old", reply))
    bench.journal.record_reply(record("no", Reply("never", "m", finish="refused")))
    collector = bench.collector()
    outcomes = ask(collector, "old", "new", "no", "other", "new")
    assert outcomes[0] == reply
    assert outcomes[2] == Failure("refused", "never")
    assert [isinstance(outcomes[number], Failure) for number in (1, 3, 4)] == [True] * 3
    assert bench.emitted == ["new", "other"]
    assert collector.n_known == 2


def test_what_the_cache_knows_becomes_the_journal_s(bench: Bench) -> None:
    bench.cache.store(record("shared", Reply("[0]", "m", usage=Usage(usd=0.5))))
    ask(bench.collector(), "shared")
    assert bench.emitted == []
    found = bench.journal.find_reply(reply_key(JUDGE, question("shared")))
    assert found is not None
    assert found.source == "cache"
    assert bench.journal.totals().usd == 0.0


def test_what_is_missing_is_charged_before_its_reply_comes(bench: Bench) -> None:
    ask(bench.collector(), "new")
    bench.journal.record_reply(record("new", Reply("[1]", "m", usage=Usage(usd=0.5))))
    assert bench.journal.load_costs() == {ACCOUNT: 0.5}


def test_a_request_that_no_file_can_hold_is_counted_and_goes_on(bench: Bench) -> None:
    def emit(key: str, request: Request) -> None:
        raise JudgeRejected("a request for elsewhere")

    collector = Collector(JUDGE, journal=bench.journal, cache=None, emit=emit)
    assert [isinstance(outcome, Failure) for outcome in ask(collector, "a", "b")] == [True, True]
    assert (collector.n_unsendable, collector.why_unsendable) == (2, "a request for elsewhere")
    assert collector.failure is None


def test_any_other_trouble_is_kept_for_whoever_would_swallow_it(bench: Bench) -> None:
    def emit(key: str, request: Request) -> None:
        raise ArtefactError("the disk is full")

    collector = Collector(JUDGE, journal=bench.journal, cache=None, emit=emit)
    with pytest.raises(ArtefactError):
        ask(collector, "a")
    assert str(collector.failure) == "the disk is full"
