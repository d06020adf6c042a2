"""Who is served under a name: a model that took another's place is told from it as far as the server says."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from autointerp.judges.endpoint.embedding import open_judge as open_embedding
from autointerp.judges.endpoint.identity import ask_identity
from autointerp.judges.endpoint.openai import OpenAIJudge, open_judge
from autointerp.judges.endpoint.transport import Transport
from autointerp.judges.engine.budget import Budget
from tests.judges.fault_server import FaultServer
from tests.judges.personalities import Kind

QWEN = {"id": "m", "object": "model", "created": 1_700_000_000, "owned_by": "vllm", "root": "/models/qwen3-8b"}
GEMMA = QWEN | {"root": "/models/gemma-2-9b"}


def identity(models: list[dict[str, Any]] | None, model: str = "m") -> Any:
    async def inner(base_url: str) -> Any:
        transport = Transport(base_url, headers={}, query={}, max_concurrent=1, timeout_s=9.0, clean=str)
        try:
            return await ask_identity(transport, model)
        finally:
            await transport.aclose()

    with FaultServer() as server:
        server.models = models
        return asyncio.run(inner(server.base_url))


def probe(server: FaultServer, **places: Path) -> tuple[OpenAIJudge, list[str], int]:
    """A judge that was probed, what it said, and how many questions that took."""
    said: list[str] = []
    n_before = len(server.bodies)

    async def inner() -> OpenAIJudge:
        judge = open_judge("m", {"base_url": server.base_url, "key_env": ""})
        await judge.probe(run=places.get("run"), cache=places.get("cache"), budget=Budget(), say=said.append)
        await judge.aclose()
        return judge

    return asyncio.run(inner()), said, len(server.bodies) - n_before


def test_what_tells_models_apart_is_kept_and_nothing_else() -> None:
    found = identity([{"id": "another"}, QWEN | {"permission": [{"id": "modelperm-7f3a"}], "pricing": {"prompt": "1"}}])
    assert found == {name: value for name, value in QWEN.items() if name != "object"}
    assert identity([{"id": "/models/x.gguf", "meta": {"n_params": 8, "size": 9}}]) == {
        "id": "/models/x.gguf",
        "meta": {"n_params": 8, "size": 9},
    }, "where one model alone is served, whatever it is called is that one"


def test_the_time_of_the_question_is_no_time_of_creation() -> None:
    """vLLM and llama.cpp say so every time anew."""
    assert identity([QWEN | {"created": int(time.time())}]) == identity([QWEN | {"created": int(time.time()) + 3}])


def test_something_long_is_kept_by_its_hash() -> None:
    long, other = (identity([QWEN | {"meta": {"a": text * 10_000}}]) for text in "xy")
    assert len(str(long)) < 300
    assert long != other


@pytest.mark.parametrize("models", [None, [], [{"id": "a"}, {"id": "b"}], [3], [{}]])
def test_a_server_that_says_nothing_of_it_is_known_by_its_name(models: Any) -> None:
    assert identity(models) is None


def test_a_model_swapped_behind_its_name_has_another_identity_and_is_probed_anew(tmp_path: Path) -> None:
    with FaultServer(personality=Kind()) as server:
        server.models = [QWEN]
        first, _, n_probes = probe(server, cache=tmp_path)
        same, _, n_again = probe(server, cache=tmp_path)
        server.models = [GEMMA]
        swapped, said, n_swapped = probe(server, cache=tmp_path)
    assert (n_again, n_swapped) == (0, n_probes)
    assert first.capabilities == same.capabilities
    assert first.capabilities.identity != swapped.capabilities.identity
    assert "served-model" in first.capabilities.identity, "what replies name is part of it"
    assert "probed with" in said[0]


def test_a_run_that_goes_on_with_another_model_is_told(tmp_path: Path) -> None:
    with FaultServer(personality=Kind()) as server:
        server.models = [QWEN]
        first, _, _ = probe(server, run=tmp_path)
        server.models = [GEMMA]
        resumed, said, n_asked = probe(server, run=tmp_path)
    assert n_asked == 0
    assert 'another model by this name than when this run began (root: "/models/qwen3-8b", now' in said[0]
    assert resumed.capabilities.variant == first.capabilities.variant
    assert resumed.capabilities.identity != first.capabilities.identity


def test_replies_are_shared_beyond_this_machine_or_where_told_so() -> None:
    def is_shared(make: Any, base_url: str, **options: Any) -> bool:
        return make("m", {"base_url": base_url, "key_env": "", **options}).capabilities.is_shared

    for make in (open_judge, open_embedding):
        assert is_shared(make, "https://judge.example/v1")
        assert not is_shared(make, "https://judge.example/v1", share_replies=False)
        for host in ("localhost", "127.0.0.1", "[::1]", "0.0.0.0"):
            assert not is_shared(make, f"http://{host}:8000/v1"), host
        assert is_shared(make, "http://localhost:8000/v1", share_replies=True)


def test_a_model_of_embeddings_is_told_apart_too() -> None:
    async def inner(base_url: str) -> str:
        judge = open_embedding("m", {"base_url": base_url, "key_env": ""})
        await judge.probe(run=None, cache=None, budget=Budget(), say=lambda _: None)
        await judge.aclose()
        return judge.capabilities.identity

    with FaultServer() as server:
        server.models = [QWEN]
        first = asyncio.run(inner(server.base_url))
        server.models = [GEMMA]
        assert first != asyncio.run(inner(server.base_url))
