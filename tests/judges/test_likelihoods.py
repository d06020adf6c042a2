"""The local judge says how much likelier a text is behind an explanation: against sums computed token by token."""

from __future__ import annotations

import asyncio
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from autointerp.config.asking import ScoreConfig, ScorerConfig
from autointerp.errors import JudgeRejected
from autointerp.judges.judge import Message, Reply, Request
from autointerp.judges.tasks import GroupTask, IntruderTask, LikelihoodTask, Passage
from autointerp.plugins import open_judge
from autointerp.prompting.numbered import number_schema, parse_number
from autointerp.prompting.parsing import parse_answers
from autointerp.score.listing import reply_schema
from autointerp.score.surprisal import SurprisalScorer
from tests.judges.tiny_models import save_gpt2, save_llama

TEXTS = ("The cat sat on the mat.", "Rain fell", "")
BEGINNINGS = ("About cats:", "A text:")


def request(texts: tuple[str, ...] = TEXTS, beginnings: tuple[str, str] = BEGINNINGS) -> Request:
    messages = tuple(Message("user", text) for text in (*beginnings, *texts))
    return Request(LikelihoodTask("cats", tuple(map(Passage, texts))), messages, max_tokens=1)


def ask(model: Path, asked: Request, **options: Any) -> Reply:
    async def inner() -> Reply:
        judge = open_judge(f"local:{model}", {"device": "cpu", **options})
        try:
            return await judge.ask(asked)
        finally:
            await judge.aclose()

    return asyncio.run(inner())


def gain_by_hand(model: Path, text: str, beginnings: tuple[str, str] = BEGINNINGS) -> float:
    """One forward pass per beginning, no padding; nats per token of the text."""
    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"] or [tokenizer.eos_token_id]
    sums = []
    for beginning in beginnings:
        before = tokenizer(beginning + "\n")["input_ids"]
        with torch.no_grad():
            logprobs = network(torch.tensor([before + ids])).logits[0].log_softmax(-1)
        sums.append(sum(float(logprobs[len(before) + i - 1, token]) for i, token in enumerate(ids)))
    return (sums[0] - sums[1]) / len(ids)


@pytest.mark.parametrize("save", [save_llama, save_gpt2])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_gains_are_those_summed_token_by_token(tmp_path: Path, save: Any, batch_size: int) -> None:
    model = save(tmp_path / "model")
    reply = ask(model, request(), batch_size=batch_size)
    wanted = [gain_by_hand(model, text) for text in TEXTS]
    assert max(map(abs, wanted)) > 0.01
    assert json.loads(reply.text) == pytest.approx(wanted, abs=1e-4)
    assert reply.probabilities == pytest.approx([1 / (1 + math.exp(-gain)) for gain in wanted], abs=1e-4)


def test_without_a_difference_nothing_is_gained(tmp_path: Path) -> None:
    reply = ask(save_llama(tmp_path / "model"), request(beginnings=("Same", "Same")))
    assert json.loads(reply.text) == pytest.approx([0.0] * len(TEXTS), abs=1e-5)


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    model = save_llama(tmp_path / "model", n_context=64)
    with pytest.raises(JudgeRejected, match="do not fit the context of 64"):
        ask(model, request(texts=("The cat sat. " * 60,)))


@pytest.mark.parametrize("n", [2, 5, 12])
def test_of_several_options_the_likeliest_number_is_named(tmp_path: Path, n: int) -> None:
    model = save_llama(tmp_path / "model", template=None)
    task = IntruderTask(tuple(Passage(f"text {i}") for i in range(n)))
    asked = Request(task, (Message("user", "Which?"),), max_tokens=20, reply_schema=number_schema(n))
    reply = ask(model, asked, batch_size=3)
    tokenizer: Any = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    before = tokenizer("user:\nWhich?\n\nassistant:\n")["input_ids"]
    sums = []
    for number in range(1, n + 1):
        ids = tokenizer(json.dumps({"answer": number}), add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logprobs = network(torch.tensor([before + ids])).logits[0].log_softmax(-1)
        sums.append(sum(float(logprobs[len(before) + i - 1, token]) for i, token in enumerate(ids)))
    assert parse_number(reply.text, n) == sums.index(max(sums)) + 1
    warm = [ask(model, replace(asked, temperature=5.0, sample=i)).text for i in range(8)]
    assert len(set(warm)) > 1


def test_groups_are_forced_like_other_answers(tmp_path: Path) -> None:
    task = GroupTask(tuple(Passage(f"text {i}") for i in range(4)))
    asked = Request(task, (Message("user", "Sort."),), max_tokens=60, reply_schema=reply_schema(4))
    assert parse_answers(ask(save_llama(tmp_path / "model"), asked).text, 4) is not None


@pytest.mark.real
def test_a_real_model_finds_stories_likelier_behind_their_beginning() -> None:
    folder = Path(os.environ.get("AUTOINTERP_REAL_DATA") or Path(__file__).parents[3] / "shared" / "data")
    model = folder / "models" / "stories260K"
    if not model.is_dir():
        pytest.skip("no real data: set AUTOINTERP_REAL_DATA or put it at ../shared/data")
    texts = (" The dog ran to the park.", " The dog was happy.", " She ate the cake.", " He saw a big car.")
    scorer = SurprisalScorer(ScorerConfig(name="surprisal"), ScoreConfig(), prompt="surprisal")
    passages = tuple(map(Passage, texts))
    explanation = "a story about a dog. The dog ran in the park. The dog was happy."
    asked = Request(scorer.task(explanation, passages), scorer.words(explanation, passages), max_tokens=1)
    gains = json.loads(ask(model, asked).text)
    assert min(gains[:2]) > max(gains[2:])
