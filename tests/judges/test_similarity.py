"""Judges that compare texts: cosines as computed by hand, failures mapped, and nothing else answered."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autointerp.errors import ConfigError, JudgeRejected, JudgeRetry, JudgeStopped
from autointerp.judges.judge import Message, Reply, Request
from autointerp.judges.similarity import similarity_reply
from autointerp.judges.tasks import Passage, ScoreTask, SimilarityTask
from autointerp.plugins import open_judge
from tests.judges.fault_server import FaultServer, Said
from tests.judges.tiny_models import save_llama

KEY = "sk-test-7f3a9c51d2e84b60"
TEXTS = ("the river rose", "a copper coin")


def question(explanation: str = "rivers", texts: tuple[str, ...] = TEXTS) -> Request:
    task = SimilarityTask(explanation, tuple(map(Passage, texts)))
    return Request(task, (Message("user", explanation),), max_tokens=10)


def ask(spec: str, request: Request | None = None, **options: Any) -> Reply:
    async def inner() -> Reply:
        judge = open_judge(spec, options)
        try:
            return await judge.ask(request or question())
        finally:
            await judge.aclose()

    return asyncio.run(inner())


def embeds(vector: Callable[[str], list[float]], **more: Any) -> Callable[[str, dict[str, Any]], Said]:
    """A server that embeds each text; its rows come in the reverse order, as they may."""

    def answer(path: str, body: dict[str, Any]) -> Said:
        assert path == "/embeddings"
        rows = [{"index": i, "embedding": vector(text)} for i, text in enumerate(body["input"])]
        usage = {"prompt_tokens": 7, "total_tokens": 7}
        return Said({"data": rows[::-1], "model": "served", "usage": usage, **more})

    return answer


def about_rivers(text: str) -> list[float]:
    return [1.0, 0.0] if "river" in text else [0.6, 0.8] if "copper" in text else [0.0, 0.0]


def test_cosines_are_those_of_the_endpoints_vectors() -> None:
    with FaultServer(personality=embeds(about_rivers)) as server:
        reply = ask(
            "embedding:m",
            question(texts=(*TEXTS, "nothing of it")),
            base_url=server.base_url,
            key_env="",
            dimensions=2,
            query_prefix="query: ",
            usd_per_million_input_tokens=2.0,
        )
    assert json.loads(reply.text) == [1.0, 0.6, 0.0]
    assert reply.probabilities == pytest.approx((1.0, 0.8, 0.5))
    assert (reply.model, reply.usage.input_tokens) == ("served", 7)
    assert reply.usage.usd == pytest.approx(14e-6)
    (body,) = server.bodies
    assert body["input"] == ["query: rivers", *TEXTS, "nothing of it"]
    assert (body["model"], body["dimensions"]) == ("m", 2)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"data": []}, "without 3 embeddings"),
        ({"data": [{"index": 0, "embedding": [1.0]}] * 3}, "without 3 embeddings"),
        ({}, "without 3 embeddings"),
        ([], "without 3 embeddings"),
        ({"data": [{"index": i, "embedding": [1.0] * (i + 1)} for i in range(3)]}, "no vectors of one length"),
        ({"data": [{"index": i, "embedding": ["x"]} for i in range(3)]}, "no vectors of one length"),
        ({"data": [{"index": [], "embedding": [1.0]}] * 3}, "no vectors of one length"),
        ({"data": [{"index": i, "embedding": [10**400]} for i in range(3)]}, "no vectors of one length"),
        ({"data": [{"index": i, "embedding": [float("nan")]} for i in range(3)]}, "no vectors of one length"),
    ],
)
def test_a_body_without_one_vector_per_text_is_no_answer(body: Any, said: str) -> None:
    with FaultServer(personality=lambda path, asked: Said(body)) as server, pytest.raises(JudgeRetry, match=said):
        ask("embedding:m", base_url=server.base_url, key_env="")


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [(401, JudgeStopped, "does not accept"), (429, JudgeRetry, "429"), (400, JudgeRejected, "400")],
)
def test_failures_are_mapped_and_hold_no_key(
    status: int, error: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDDING_KEY", KEY)
    no = Said({"error": {"message": f"no good: {KEY}"}}, status=status)
    with FaultServer(personality=lambda *_: no) as server, pytest.raises(error, match=said) as caught:
        ask("embedding:m", base_url=server.base_url, key_env="EMBEDDING_KEY")
    assert KEY not in str(caught.value)
    assert "judges.openai" not in str(caught.value)


def test_a_missing_endpoint_is_told_in_its_own_words() -> None:
    no = Said({"error": {"message": "no"}}, status=404)
    with FaultServer(personality=lambda *_: no) as server, pytest.raises(JudgeStopped, match="no /embeddings endpoint"):
        ask("embedding:m", base_url=server.base_url, key_env="")


def test_options_are_checked_under_the_judges_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"judges\.embedding\.key_env"):
        open_judge("embedding:m", {})
    with pytest.raises(ConfigError, match=r"judges\.embedding\.dimensionz is no option; did you mean 'dimensions'"):
        open_judge("embedding:m", {"dimensionz": 3})
    with pytest.raises(ConfigError, match=r"judges\.embedding\.base_url"):
        open_judge("embedding:m", {"base_url": "nowhere"})
    with pytest.raises(ConfigError, match="needs a model"):
        open_judge("embedding", {})
    with pytest.raises(ConfigError, match="has no models"):
        open_judge("bag_of_words:m", {})


def test_what_changes_vectors_belongs_to_the_key() -> None:
    def variant(**options: Any) -> str:
        return open_judge("embedding:m", {"base_url": "http://localhost:1/v1", **options}).capabilities.variant

    assert variant() == variant(max_concurrent=3)
    assert len({variant(), variant(dimensions=3), variant(query_prefix="q"), variant(extra_body={"a": 1})}) == 4


def test_words_in_common_count() -> None:
    reply = ask("bag_of_words", question("lanterns by the river", ("a river lantern", "copper coins")))
    near, far = json.loads(reply.text)
    assert near > far >= 0.0
    assert ask("bag_of_words", question("", ("", "x"))).probabilities == (0.5, 0.5)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("encoder"))


def hidden(model: Path, text: str) -> np.ndarray:
    """Last hidden states of one text, by hand."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    with torch.no_grad():
        return AutoModel.from_pretrained(model, dtype=torch.float32)(ids).last_hidden_state[0].numpy()


@pytest.mark.parametrize(
    ("pooling", "pool"), [("auto", lambda s: s.mean(0)), ("first", lambda s: s[0]), ("last", lambda s: s[-1])]
)
def test_a_local_encoders_cosines_are_those_computed_by_hand(llama: Path, pooling: str, pool: Any) -> None:
    reply = ask(f"local_embedding:{llama}", device="cpu", pooling=pooling, batch_size=2)
    query, *passages = (pool(hidden(llama, text)) for text in ("rivers", *TEXTS))
    wanted = [float(query @ p / math.sqrt((query @ query) * (p @ p))) for p in passages]
    assert json.loads(reply.text) == pytest.approx(wanted, abs=1e-5)


def test_a_sentence_encoders_own_pooling_is_kept(tmp_path: Path) -> None:
    model = save_llama(tmp_path / "m")
    (model / "1_Pooling").mkdir()
    place = model / "1_Pooling" / "config.json"
    place.write_text(json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))
    assert "first" in open_judge(f"local_embedding:{model}", {}).capabilities.variant
    place.write_text(json.dumps({"pooling_mode_max_tokens": True}))
    with pytest.raises(ConfigError, match=r"set judges\.local_embedding\.pooling"):
        open_judge(f"local_embedding:{model}", {})


def test_local_failures_are_one_line(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="judge local_embedding:/nowhere"):
        open_judge("local_embedding:/nowhere", {})
    with pytest.raises(ConfigError, match=r"judges\.local_embedding\.device"):
        open_judge(f"local_embedding:{llama}", {"device": "abacus"})
    with pytest.raises(JudgeRejected, match="do not fit the context of 512"):
        ask(f"local_embedding:{llama}", question(texts=("a river " * 600,)))


@pytest.mark.parametrize("spec", ["bag_of_words", "embedding:m"])
def test_nothing_but_similarities_is_answered(spec: str) -> None:
    request = Request(ScoreTask("e", (Passage("x"),)), (Message("user", "?"),), max_tokens=5)
    options = {"base_url": "http://localhost:1/v1"} if spec != "bag_of_words" else {}
    with pytest.raises(JudgeStopped, match="compares texts and answers nothing else"):
        ask(spec, request, **options)


def test_vectors_of_several_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"one length|inhomogeneous"):
        similarity_reply([[1.0], [1.0, 2.0]], model="m")
