"""What prompts begin with alike: planned into batches that share it, read once, and changing no probability."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autointerp.judges.in_process.local import LocalJudge, LocalOptions
from autointerp.judges.in_process.prefixes import Prefixes, plan_batches, shared_length
from autointerp.judges.judge import Message, Reply, Request
from autointerp.judges.tasks import ExplainTask, IntruderTask, LikelihoodTask, Passage, ScoreTask
from autointerp.prompting.numbered import number_schema
from autointerp.score.listing import reply_schema
from tests.judges.tiny_models import save_gpt2, save_llama

TOLERANCE = 1e-3


@given(st.lists(st.text("ab", max_size=30).map(lambda text: [ord(c) for c in text]), max_size=12), st.integers(1, 6))
def test_every_row_stands_in_one_batch(rows: list[list[int]], size: int) -> None:
    batches = plan_batches(rows, size)
    assert sorted(index for batch in batches for index in batch) == list(range(len(rows)))
    assert max(map(len, batches), default=0) <= size


def test_families_stand_together_and_rows_of_a_batch_are_of_like_length() -> None:
    system, told = [1] * 100, {name: [name] * 40 for name in (2, 3)}
    rows = [[*system, *told[2 + i % 2], *range(10 + i, 20 + 3 * i)] for i in range(12)]
    batches = plan_batches(rows, 4)
    assert len(batches) == 4
    for batch in batches:
        assert len({i % 2 for i in batch}) == 1
        lengths = [len(rows[i]) for i in batch]
        assert lengths == sorted(lengths, reverse=True)
    assert batches[0] == [10, 8, 6, 4]


def test_a_family_too_small_to_pay_joins_the_others() -> None:
    rows = [[1] * 20 + [2] * 30 + [7], [1] * 20 + [2] * 30 + [8], [1] * 20 + [3]]
    assert plan_batches(rows, 8) == [[0, 1, 2]]


class Cache:
    """A cache that holds the very tokens."""

    is_croppable = True
    is_sliding = (False,)

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.n_rows = 1

    def crop(self, n: int) -> None:
        assert n <= 0
        self.ids = self.ids[: len(self.ids) + n]

    def batch_repeat_interleave(self, n: int) -> None:
        self.n_rows = n


class Reader:
    def __init__(self, **kind: Any) -> None:
        self.n_read: list[int] = []
        self.kind = kind

    def read(self, ids: Any, n_before: int, cache: Cache | None) -> Cache:
        cache = cache or Cache()
        assert len(cache.ids) == n_before
        cache.ids += ids
        self.n_read.append(len(ids))
        for name, value in self.kind.items():
            setattr(cache, name, value)
        return cache


def test_only_what_is_new_is_read() -> None:
    reader = Reader()
    prefixes = Prefixes(reader.read)
    system = [1] * 100
    for told in (2, 3, 2):
        rows = [[*system, *[told] * 30, *rest] for rest in ([4], [5, 6])]
        n, cache = prefixes.find(rows)
        assert (n, cache.ids, cache.n_rows) == (130, rows[0][:130], 2)
        cache.ids.clear()  # the caller may do with it what it likes
    assert reader.n_read == [130, 30]


def test_a_token_is_left_of_every_row_and_one_row_reads_nothing_ahead() -> None:
    reader = Reader()
    prefixes = Prefixes(reader.read)
    assert prefixes.find([[1] * 50]) == (0, None)
    assert prefixes.find([[1] * 10, [1] * 12]) == (0, None)
    n, cache = prefixes.find([[1] * 50, [1] * 60])
    assert (n, len(cache.ids)) == (49, 49)
    n, cache = prefixes.find([[1] * 40 + [2] * 30])
    assert (n, cache.ids, cache.n_rows) == (40, [1] * 40, 1)
    assert reader.n_read == [49]


def test_few_caches_are_kept() -> None:
    reader = Reader()
    prefixes = Prefixes(reader.read)
    for start in range(12):
        prefixes.find([[start] * 20 + [50], [start] * 20 + [51]])
    assert len(prefixes._kept) == 4
    prefixes.find([[11] * 20 + [50], [11] * 20 + [51]])
    assert reader.n_read == [20] * 12


@pytest.mark.parametrize("kind", [{"is_croppable": False}, {"is_sliding": (False, True)}])
def test_a_model_that_padding_would_shift_shares_nothing(kind: dict[str, Any]) -> None:
    reader = Reader(**kind)
    prefixes = Prefixes(reader.read)
    rows = [[1] * 30, [1] * 30 + [2]]
    assert prefixes.find(rows) == prefixes.find(rows) == (0, None)
    assert len(reader.n_read) == 1


def test_shared_length_is_that_of_all() -> None:
    assert shared_length([[1, 2, 3], [1, 2, 4], [1, 2]]) == 2
    assert shared_length([[], [1]]) == 0


def questions() -> list[Request]:
    """Of every kind the judge answers: windows of three features under one system message, some long, some short."""
    system = Message("system", "Judge the numbered texts, all of them: 1: windows, 2: words. " * 2)
    asked: list[Request] = []
    for feature in ("cat", "rain fell all day", "the mat"):
        for number in range(4):
            task = ScoreTask(feature, tuple(Passage(f"{number} {place}") for place in range(1 + number % 2)))
            user = Message("user", f"Words: {feature * 4}.\n{' sat' * (3 * number)} on {number}")
            schema = reply_schema(len(task.passages))
            asked.append(Request(task, (system, user), 100, reply_schema=schema))
        asked.append(Request(ExplainTask((), (), (), ()), (system, Message("user", feature)), 8, want_logprobs=True))
        passages = tuple(Passage(f"{feature} {word}") for word in ("sat", "fell", "rain"))
        told = (
            Message("user", f"Windows about words such as {feature * 3}"),
            Message("user", "Any words at all. " * 3),
        )
        asked.append(Request(LikelihoodTask(feature, passages), told, 100))
        asked.append(
            Request(IntruderTask(passages), (system, Message("user", feature)), 100, reply_schema=number_schema(3))
        )
    return asked


def answers(model: Path, *, is_sharing: bool) -> tuple[list[Reply], int]:
    """The replies, and how many tokens the model read."""

    async def inner() -> tuple[list[Reply], int]:
        judge = LocalJudge(str(model), options=LocalOptions(device="cpu", batch_size=4))
        local, n_read = judge.model, 0
        local.shares_prefixes = is_sharing
        forward = local.forward

        def counted(ids: Any, *rest: Any, **more: Any) -> Any:
            nonlocal n_read
            n_read += ids.numel()
            return forward(ids, *rest, **more)

        local.forward = counted
        try:
            return list(await asyncio.gather(*map(judge.ask, questions()))), n_read
        finally:
            await judge.aclose()

    return asyncio.run(inner())


@pytest.mark.parametrize("save", [save_llama, save_gpt2])
def test_probabilities_stay_the_same_and_less_is_read(save: Any, tmp_path: Path) -> None:
    model = save(tmp_path, n_context=512)
    (alone, n_alone), (shared, n_shared) = (answers(model, is_sharing=flag) for flag in (False, True))
    for before, after in zip(alone, shared, strict=True):
        assert after.text == before.text or before.token_logprobs is None
        if before.probabilities is not None:
            assert after.probabilities == pytest.approx(before.probabilities, abs=TOLERANCE)
        for (token, seen), (same, again) in zip(before.token_logprobs or (), after.token_logprobs or (), strict=True):
            assert token == same
            assert again == pytest.approx(seen, abs=TOLERANCE)
    assert n_shared < 0.6 * n_alone
