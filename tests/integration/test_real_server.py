"""Servers that others wrote, asked through the judge: what they honour is found out, and what they say is used.

`transformers serve` with a chat model that talks nonsense is plumbing. llama-cpp-python's server (`make llama`) gives
log-probabilities, which are held against the same weights in transformers.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autointerp.board.score_file import read_scores
from autointerp.judges.engine.budget import Budget
from autointerp.judges.judge import Message, Reply, Request
from autointerp.judges.tasks import Passage, ScoreTask
from autointerp.plugins import open_judge
from autointerp.prompting.parsing import find_answers
from autointerp.prompting.probabilities import answer_probabilities
from autointerp.runs.journal import open_journal
from autointerp.score.listing import reply_schema
from tests.integration.conftest import World
from tests.integration.servers import LLAMA_PYTHON, make_gguf, serve_llama, serve_transformers
from tests.integration.world import save_chat_subject

pytestmark = pytest.mark.full

N_PASSAGES = 3


def scoring(text: str, **changes: Any) -> Request:
    task = ScoreTask(text, tuple(Passage(f"{text} {i}") for i in range(N_PASSAGES)))
    messages = (Message("system", "Judge."), Message("user", f"The words: {text}."))
    return Request(task, messages, **{"max_tokens": 60, "reply_schema": reply_schema(N_PASSAGES), **changes})


def ask(
    base_url: str,
    model: str | Path,
    requests: list[Request],
    *,
    on_probed: Callable[[], None] = lambda: None,
    **options: Any,
) -> tuple[list[Reply], list[str], dict[str, bool]]:
    """The replies, what the probe said, and what the judge then claimed to have."""
    said: list[str] = []

    async def inner() -> tuple[list[Reply], dict[str, bool]]:
        judge: Any = open_judge(f"openai:{model}", {"base_url": base_url, "key_env": "", **options})
        try:
            await judge.probe(run=None, cache=None, budget=Budget(), say=said.append)
            on_probed()
            claims = {"logprobs": judge.capabilities.has_logprobs, "schema": judge.capabilities.has_schema}
            return [await judge.ask(request) for request in requests], claims
        finally:
            await judge.aclose()

    replies, claims = asyncio.run(inner())
    return replies, said, claims


class TestTransformersServe:
    @pytest.fixture
    def model(self, world: World, tmp_path: Path) -> Path:
        return save_chat_subject(tmp_path / "chat", world.corpus)

    @pytest.fixture
    def base_url(self, model: Path, tmp_path: Path) -> Iterator[str]:
        with serve_transformers(model, tmp_path / "serve.txt") as url:
            yield url

    def test_the_probe_finds_what_it_takes_and_ignores(self, model: Path, base_url: str, tmp_path: Path) -> None:
        ignored: list[int] = []

        def count_ignored() -> None:
            ignored.append((tmp_path / "serve.txt").read_text().count("Ignoring unsupported fields"))

        request = scoring("cat", want_logprobs=True, max_tokens=8)
        (reply,), said, claims = ask(base_url, model, [request], on_probed=count_ignored)
        assert len(said) == 1
        for finding in ("json_schema ignored", "json_object ignored", "logprobs ignored", "max_tokens honoured"):
            assert finding in said[0]
        assert claims == {"logprobs": False, "schema": False}
        assert (reply.token_logprobs, reply.probabilities) == (None, None)
        assert reply.usage.output_tokens <= 8
        # the server's own log says the same, and that what it ignores was not sent again
        count_ignored()
        assert ignored[0] == ignored[1] > 0

    def test_what_is_ignored_is_not_taken_for_an_answer(self, model: Path, base_url: str) -> None:
        """With the fields forced upon the server, its reply says neither more nor less than without."""
        forced = {"probe": "off", "reply_format": "json_schema", "top_logprobs": 5, "token_limit_field": "max_tokens"}
        request = scoring("cat", want_logprobs=True, max_tokens=8)
        (reply,), _, claims = ask(base_url, model, [request], **forced)
        assert claims == {"logprobs": True, "schema": True}
        assert reply.token_logprobs is None
        assert find_answers(reply.text, N_PASSAGES) is None

    @pytest.mark.usefixtures("insisting")
    def test_a_run_ends_with_every_verdict_counted(
        self, world: World, model: Path, base_url: str, tmp_path: Path
    ) -> None:
        run = world.rescored(
            tmp_path / "served",
            f"score.judge='openai:{model}'",
            f"judges.openai.base_url='{base_url}'",
            "judges.openai.key_env=''",
            "judges.openai.token_limit_field='max_tokens'",
            "score.max_tokens=8",
            "limits.max_concurrent=4",
        )
        scores = read_scores(run.scores)
        assert len(scores) == 80
        with open_journal(run.journal, must_exist=True) as journal:
            totals = journal.totals()
        answers = dict(totals.answers)
        assert answers.get("error", 0) == 0
        assert answers["unparsed"] > 0.5 * totals.n_verdicts
        assert totals.output_tokens > 0
        for entry in json.loads(run.summary.read_text())["entries"]:
            assert entry["unparsed_frac"] > 0.5
            assert entry["f1"]["mean"] <= 0.5


@pytest.fixture(scope="module")
def leaning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """stories260K, its output head leaning towards the labels."""
    if not LLAMA_PYTHON.is_file():
        pytest.skip("llama-cpp-python is not built; run `make llama`")
    data = Path(os.environ.get("AUTOINTERP_REAL_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not data.is_dir():
        pytest.skip("no real data: set AUTOINTERP_REAL_DATA or put it at ../shared/data")
    directory = tmp_path_factory.mktemp("leaning")
    lean_towards_labels(data / "models/stories260K", directory)
    return directory


@pytest.fixture(scope="module")
def llama_url(leaning: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("llama")
    with serve_llama(make_gguf(leaning, folder / "model.gguf"), folder / "log.txt") as url:
        yield url


@pytest.mark.real
@pytest.mark.llama
class TestLlamaServer:
    """llama.cpp against transformers on the same weights: stories260K, its output head leaning towards 0 and 1.

    As it is, the model of stories gives digits next to no probability, and what is listed would hold neither label.
    """

    def test_the_probe_finds_what_it_refuses(self, llama_url: str) -> None:
        (reply,), said, claims = ask(llama_url, "served", [scoring("cat", want_logprobs=True)])
        assert len(said) == 1
        for finding in ("json_schema refused", "logprobs honoured", "max_tokens honoured"):
            assert finding in said[0]
        assert "/decisions" not in said[0]
        assert claims == {"logprobs": True, "schema": False}
        assert reply.token_logprobs is not None

    def test_its_logprobs_are_those_of_the_weights(self, llama_url: str, leaning: Path) -> None:
        asked = [scoring(text, want_logprobs=True, max_tokens=12) for text in ("cat", "rain fell", "Once upon a time")]
        replies, _, _ = ask(llama_url, "served", asked, probe="off", top_logprobs=5, token_limit_field="max_tokens")
        weights = Weights(leaning)
        for request, reply in zip(asked, replies, strict=True):
            assert reply.token_logprobs
            ids = weights.prompt(request)
            assert reply.usage.input_tokens == len(ids)
            for token, seen in reply.token_logprobs:
                expected = weights.logprobs(ids)
                by_text = {text: expected[weights.id_of(text)] for text in seen}
                assert seen == pytest.approx(by_text, abs=2e-3)
                ids.append(weights.id_of(token))

    @pytest.mark.parametrize("repeat_penalty", [1.0, None])
    def test_probabilities_flow_from_its_logprobs(
        self, llama_url: str, leaning: Path, repeat_penalty: float | None
    ) -> None:
        """This server takes a schema within the format json_object, which keeps replies to answers that can be read.

        Unless told otherwise it makes whatever was said before less likely, so that answers depend on how many like
        them came first; the log-probabilities that it reports do not show it.
        """
        body: dict[str, Any] = {
            "response_format": {"type": "json_object", "schema": dict(reply_schema(N_PASSAGES))},
            **({} if repeat_penalty is None else {"repeat_penalty": repeat_penalty}),
        }
        asked = [scoring(text, want_logprobs=True) for text in ("cat", "rain fell", "a lantern", "numbers 0 1 0 1")]
        options = {"probe": "off", "top_logprobs": 5, "token_limit_field": "max_tokens", "extra_body": body}
        replies, _, _ = ask(llama_url, "served", asked, **options)
        weights, spread, n_bent = Weights(leaning), [], 0
        for request, reply in zip(asked, replies, strict=True):
            answers = find_answers(reply.text, N_PASSAGES)
            assert answers is not None, reply.text
            expected = weights.label_probabilities(request, reply)
            assert answer_probabilities(reply, answers) == pytest.approx(expected, abs=1e-3)
            n_bent += sum(answer != int(p > 0.5) for answer, p in zip(answers.values, expected, strict=True))
            spread += expected
        assert max(spread) - min(spread) > 0.05, "all probabilities are alike, so nothing was compared"
        assert (n_bent > 0) == (repeat_penalty is None)


class Weights:
    """The served model in transformers, asked by hand."""

    def __init__(self, directory: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._torch: Any = torch
        self._tokenizer: Any = AutoTokenizer.from_pretrained(directory)
        self._model: Any = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()

    def prompt(self, request: Request) -> list[int]:
        """The tokens of the conversation in the form of the chat template that is in the GGUF file."""
        text = "".join(f"{message.role}: {message.content}\n" for message in request.messages) + "assistant:"
        return list(self._tokenizer(text)["input_ids"])

    def id_of(self, text: str) -> int:
        """A token's number: a piece of the vocabulary, or the byte that stands for a character without one."""
        pieces = [text.replace(" ", "▁"), *(f"<0x{byte:02X}>" for byte in text.encode())]
        found = [token for token in self._tokenizer.convert_tokens_to_ids(pieces) if token]
        return int(found[0])

    def logprobs(self, ids: list[int]) -> np.ndarray:
        with self._torch.no_grad():
            logits = self._model(self._torch.tensor([ids])).logits[0, -1].double()
        return self._torch.log_softmax(logits, -1).numpy()

    def label_probabilities(self, request: Request, reply: Reply) -> list[float]:
        """The probability of a 1 wherever the reply has a label, by the softmax over the two."""
        ids, found = self.prompt(request), []
        zero, one = self.id_of("0"), self.id_of("1")
        assert reply.token_logprobs is not None
        for token, _ in reply.token_logprobs:
            if token.strip() in ("0", "1"):
                seen = self.logprobs(ids)
                found.append(1.0 / (1.0 + math.exp(seen[zero] - seen[one])))
            ids.append(self.id_of(token))
        return found


def lean_towards_labels(source: Path, directory: Path) -> None:
    """A copy of a Llama with an output head of its own, in which 0 and 1 are likely everywhere.

    Their rows get the mean of the last hidden states on top, so what tells them apart is the model's own.
    """
    import shutil

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(source)
    model: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    ids = tokenizer('Once upon a time there was a cat. {"answers": [0, 1, 0, 1]} assistant: ')["input_ids"]
    with torch.no_grad():
        mean = model.model(torch.tensor([ids])).last_hidden_state[0].mean(0)
        head = model.get_input_embeddings().weight.clone()
        for label in tokenizer.convert_tokens_to_ids(["0", "1"]):
            head[label] += mean * (24.0 / mean.dot(mean))
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(head)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    shutil.copy(source / "tokenizer.model", directory)
