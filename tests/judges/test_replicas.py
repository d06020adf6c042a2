"""Several servers of one model: prompts that begin alike go to one of them, and a dead one is done without."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from pathlib import Path

import pytest

from autointerp.errors import JudgeStopped
from autointerp.judges.engine.budget import Budget
from autointerp.judges.engine.client import Client, Outcome
from autointerp.judges.judge import Message, Reply, Request
from autointerp.plugins import open_judge
from autointerp.runs.journal import open_journal
from tests.judges.fault_server import Fault, FaultServer, always
from tests.judges.questions import FAST, limits, question

N_FEATURES, N_EACH = 40, 3


def about(feature: int, number: int) -> Request:
    text = f"Description: {f'feature {feature} ' * 20}\n{number}"
    return Request(question(text).task, (Message("system", "Judge."), Message("user", text)), max_tokens=50)


def ask_all(path: Path, *addresses: str, n_features: int = N_FEATURES, **options: object) -> list[Outcome]:
    async def ask() -> list[Outcome]:
        judge = open_judge(
            "openai:m",
            {"base_url": addresses[0], "replicas": list(addresses[1:]), "key_env": "", "probe": "off", **options},
        )
        with open_journal(path) as journal:
            client = Client(judge, journal=journal, cache=None, limits=limits(), budget=Budget(), schedule=FAST)
            async with client:
                requests = [about(feature, number) for feature in range(n_features) for number in range(N_EACH)]
                return await asyncio.gather(*map(client.ask, requests))

    return asyncio.run(ask())


def features_at(server: FaultServer) -> set[str]:
    return {body["messages"][-1]["content"].split("\n")[0] for body in server.bodies}


def test_prompts_that_begin_alike_go_to_one_server_and_all_have_a_share(tmp_path: Path) -> None:
    with FaultServer() as one, FaultServer() as two, FaultServer() as three:
        outcomes = ask_all(tmp_path / "journal", one.base_url, two.base_url, three.base_url)
        assert all(isinstance(outcome, Reply) for outcome in outcomes)
        shares = [features_at(server) for server in (one, two, three)]
        assert sum(map(len, shares)) == N_FEATURES
        assert min(map(len, shares)) >= N_FEATURES / 10
        before = defaultdict(int, {name: len(server.bodies) for name, server in (("one", one), ("two", two))})
        # what is journalled is answered whatever the servers are
        ask_all(tmp_path / "journal", one.base_url, two.base_url)
        assert (len(one.bodies), len(two.bodies)) == (before["one"], before["two"])


def test_a_server_more_moves_only_its_own_share(tmp_path: Path) -> None:
    with FaultServer() as one, FaultServer() as two, FaultServer() as three:
        ask_all(tmp_path / "before", one.base_url, two.base_url)
        before = {server: features_at(server) for server in (one, two)}
        ask_all(tmp_path / "after", one.base_url, two.base_url, three.base_url)
        assert features_at(one) | features_at(two) == before[one] | before[two]
        assert features_at(one) == before[one]
        assert features_at(two) == before[two]
        assert features_at(three) < before[one] | before[two]


def test_a_dead_servers_share_is_asked_of_the_others(tmp_path: Path) -> None:
    with FaultServer() as gone:
        address = gone.base_url
    with FaultServer() as there:
        outcomes = ask_all(tmp_path / "journal", there.base_url, address, n_features=10)
        assert all(isinstance(outcome, Reply) for outcome in outcomes)
        assert len(there.bodies) == 10 * N_EACH


def test_without_any_server_the_run_stops(tmp_path: Path) -> None:
    wrong_key = always(Fault("status", status=401, body={"error": {"message": "wrong key"}}))
    with FaultServer(plan=wrong_key) as one, FaultServer(plan=wrong_key) as two, pytest.raises(JudgeStopped):
        ask_all(tmp_path / "journal", one.base_url, two.base_url)


def test_an_overloaded_server_slows_only_its_own_share(tmp_path: Path) -> None:
    def turned_away(body: dict, n_before: int) -> Fault | None:
        return Fault("429", headers={"Retry-After": "0.05"}) if n_before < 2 else None

    with FaultServer(plan=turned_away) as slow, FaultServer() as fast:
        outcomes = ask_all(tmp_path / "journal", slow.base_url, fast.base_url, n_features=6)
        assert all(isinstance(outcome, Reply) for outcome in outcomes)
        assert features_at(slow).isdisjoint(features_at(fast))
