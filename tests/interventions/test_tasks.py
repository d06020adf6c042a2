"""Prompt sets: pairs differ in the one token that turns the answer over, and fit the tokenizer."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from autointerp.errors import SubjectError
from autointerp.interventions.tasks import NAMES, TASKS, build_task, draw_pairs
from autointerp.seeds import stream


@pytest.fixture(scope="module")
def worded() -> Any:
    """A subject of which only the tokens matter: words, and digits one by one."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="?"))
    split = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(individual_digits=True)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*split, pre_tokenizers.Punctuation()])
    texts = [pair for task in TASKS for pair, _ in zip(draw_pairs(task, stream(0, task)), range(300), strict=False)]
    words = [text for pair in texts for text in (pair.clean, *pair.answers, *pair.others)]
    tokenizer.train_from_iterator(words, trainers.WordLevelTrainer(special_tokens=["?"], show_progress=False))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="?")
    return SimpleNamespace(name="words", tokenizer=fast, vocab_size=len(fast), bos_id=None, max_positions=None)


@pytest.mark.parametrize("task", TASKS)
def test_a_pair_differs_in_one_token_and_in_its_answers(task: str, worded: Any) -> None:
    made = build_task(worded, task, 20, seed=1)
    differs = made.clean.tokens != made.counterfactual.tokens
    assert len(made) == 20 and differs.sum(dim=1).tolist() == [1] * 20
    assert not bool((made.answers & made.others).any())
    assert bool(made.answers.any(dim=1).all()) and bool(made.others.any(dim=1).all())
    after = made.is_after
    assert torch.equal(after.float().argmax(dim=1), differs.float().argmax(dim=1))
    assert bool((after & made.clean.is_last).any(dim=1).all())


def test_the_receiver_of_the_clean_prompt_is_the_giver_of_the_other(worded: Any) -> None:
    for pair, _ in zip(draw_pairs("ioi", stream(3, "pairs")), range(50), strict=False):
        names = [word for word in re.findall(r"[A-Z]\w+", pair.clean) if word in NAMES.split()]
        (answer,), (other,) = pair.answers, pair.others
        assert len(names) == 3 and names[2] == other.strip() and answer.strip() in names[:2]
        assert pair.counterfactual.count(answer.strip()) == 2 and pair.clean.count(other.strip()) == 2


def test_later_years_are_answers(worded: Any) -> None:
    for pair, _ in zip(draw_pairs("greater_than", stream(3, "pairs")), range(50), strict=False):
        early, late = (int(re.findall(r"\d{4}", text)[0]) % 100 for text in (pair.counterfactual, pair.clean))
        assert early < late and early % 10 == late % 10
        assert min(map(int, pair.answers)) // 10 == late // 10 and max(map(int, pair.others)) // 10 == early // 10


def test_the_logit_difference_is_the_log_odds(worded: Any) -> None:
    made = build_task(worded, "subject_verb", 4, seed=1)
    logits = torch.randn(4, worded.vocab_size, generator=torch.Generator().manual_seed(0))
    odds = [p[made.answers[row]].sum() / p[made.others[row]].sum() for row, p in enumerate(logits.softmax(-1))]
    torch.testing.assert_close(made.logit_difference(logits), torch.stack(odds).log())
    turned = made.logit_difference(logits[[2, 1]], torch.tensor([2, 1]))
    torch.testing.assert_close(turned, torch.stack([odds[2], odds[1]]).log())


def test_prompts_repeat_with_the_seed(worded: Any) -> None:
    first, again, other = (build_task(worded, "ioi", 5, seed=seed).clean.tokens for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_tokenizer_that_spoils_a_task_is_told(subjects) -> None:
    with pytest.raises(SubjectError, match=r"task ioi: the tokenizer of 'tiny' leaves \d+ of 40 prompts"):
        build_task(subjects["gpt2"], "ioi", 40, seed=0)
