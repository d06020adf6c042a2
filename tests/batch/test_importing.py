"""What may stand in result files, and what becomes of it."""

from __future__ import annotations

import gzip
import json
import math
import os
import random
import signal
import tracemalloc
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from autointerp.batch.importing import Imported, import_results
from autointerp.batch.lines import custom_id, key_of
from autointerp.errors import InputError, Interrupted
from autointerp.judges.endpoint.openai import OpenAIJudge
from autointerp.runs.journal import open_journal
from autointerp.runs.reply_record import ReplyRecord
from tests.batch.world import Endpoint, World, result_line
from tests.integration.commands import answer
from tests.judges.personalities import BROKEN_REPLIES

KEY = "sk-secret-0123456789"
PRICES = {
    "usd_per_million_input_tokens": 1000.0,
    "usd_per_million_output_tokens": 10_000.0,
    "key_env": "BATCH_TEST_KEY",
}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("BATCH_TEST_KEY", KEY)
    return World.make(tmp_path / "run", Endpoint(options=PRICES))


@pytest.fixture
def lines(world: World) -> list[dict[str, Any]]:
    """The six requests of the first round."""
    return world.lines(world.export())


def good(line: dict[str, Any]) -> str:
    return result_line(line, answer(line["body"]))


def failure(line: dict[str, Any], status: int, message: str, **error: Any) -> str:
    body = {"error": {"message": message, "type": "t", "code": None} | error}
    response = {"status_code": status, "request_id": "r", "body": body}
    return json.dumps({"id": "b", "custom_id": line["custom_id"], "response": response, "error": None})


def take(world: World, *files: list[str] | str, name: str = "results") -> Imported:
    paths = []
    for number, file in enumerate(files):
        paths.append(world.layout.root.parent / f"{name}-{number}.jsonl")
        paths[-1].write_text(file if isinstance(file, str) else "".join(f"{line}\n" for line in file))
    imported = import_results(world.config, world.layout, paths)
    sums = ("new", "known", "duplicates", "failed", "unsent", "foreign", "malformed")
    assert imported.n_read == sum(getattr(imported, f"n_{name}") for name in sums)
    return imported


def found(world: World, line: dict[str, Any]) -> ReplyRecord | None:
    key = key_of(line["custom_id"])
    assert key is not None
    with open_journal(world.layout.journal) as journal:
        return journal.find_reply(key)


def test_several_files_in_any_order_partly_and_again(world: World, lines: list[dict[str, Any]]) -> None:
    shuffled = [good(line) for line in lines]
    random.Random(0).shuffle(shuffled)
    first = take(world, shuffled[:2], shuffled[2:4])
    assert (first.n_new, first.n_missing) == (4, 2)
    before = world.totals()
    again = take(world, shuffled[:2], shuffled[2:4])
    assert (again.n_new, again.n_known, again.n_missing) == (0, 4, 2)
    assert world.totals() == before
    last = take(world, shuffled)
    assert (last.n_new, last.n_known, last.n_missing) == (2, 4, 0)


def test_a_reply_is_recorded_as_if_it_had_been_asked_for(world: World, lines: list[dict[str, Any]]) -> None:
    take(world, [good(lines[0])])
    record = found(world, lines[0])
    assert record is not None
    assert record.text == answer(lines[0]["body"])
    assert (record.finish, record.reply_model, record.model, record.source) == (
        "stop",
        "served-model",
        "served",
        "judge",
    )
    assert (record.input_tokens, record.output_tokens, record.n_attempts) == (100, 10, 1)
    with open_journal(world.layout.journal) as journal:
        request = journal.load_request(record.key)
        costs = journal.load_costs()
    assert request is not None
    assert request["messages"] == lines[0]["body"]["messages"]
    # half the price of 100 tokens at $1,000 and 10 tokens at $10,000 per million
    assert record.usd == pytest.approx(0.1)
    assert costs is not None
    assert sum(usd or 0.0 for usd in costs.values()) == pytest.approx(0.1)


def test_a_stated_cost_is_believed(world: World, lines: list[dict[str, Any]]) -> None:
    take(world, [result_line(lines[0], "[EXPLANATION]: x", cost=0.7)])
    record = found(world, lines[0])
    assert record is not None
    assert record.usd == 0.7


def test_the_first_good_line_wins(world: World, lines: list[dict[str, Any]]) -> None:
    line = lines[0]
    imported = take(
        world,
        [failure(line, 500, "busy"), result_line(line, "[EXPLANATION]: one"), result_line(line, "[EXPLANATION]: two")],
        [result_line(line, "[EXPLANATION]: three"), failure(line, 500, "busy")],
    )
    assert (imported.n_failed, imported.n_new, imported.n_duplicates) == (1, 1, 3)
    record = found(world, line)
    assert record is not None
    assert record.text == "[EXPLANATION]: one"
    assert record.n_attempts == 2


def test_one_poisoned_line_of_each_kind_costs_itself_alone(world: World, lines: list[dict[str, Any]]) -> None:
    odd = json.loads(good(lines[1]))
    odd["response"]["body"]["choices"] = [[["deep"]]]
    huge = result_line(lines[2], "[EXPLANATION]: \ud800 half", completion_tokens=10**400)
    cached = result_line(lines[3], "[EXPLANATION]: x", prompt_tokens_details={"cached_tokens": 2**64 - 1})
    said = failure(lines[4], 500, "half \ud800")
    dear = result_line(lines[5], "[EXPLANATION]: x", cost=1e308)
    imported = take(world, [good(lines[0]), json.dumps(odd), huge, cached, said, dear])
    assert imported.n_new + imported.n_failed == 6
    assert all(found(world, lines[number]) is not None for number in (0, 3, 5))
    totals = world.totals()
    assert (totals.n_replies, totals.n_failed_attempts) == (imported.n_new, imported.n_failed)
    assert math.isfinite(totals.usd) and 0.0 < totals.usd < 10.0
    # what was answered and cannot be read, or states a price that is none, may have cost what the request could cost
    assert 0.0 < totals.lost_usd < 100.0


def test_whatever_a_reader_raises_costs_its_own_line_alone(
    world: World, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = OpenAIJudge.read_result

    def stumble(self: OpenAIJudge, status: int, body: Any) -> Any:
        if "stumble" in json.dumps(body):
            raise KeyError("choices")
        return read(self, status, body)

    monkeypatch.setattr(OpenAIJudge, "read_result", stumble)
    imported = take(world, [good(lines[0]), result_line(lines[1], "stumble"), good(lines[2])])
    assert (imported.n_new, imported.n_failed) == (2, 1)
    assert "KeyError" in imported.told[0]
    assert (world.totals().n_replies, world.totals().n_failed_attempts) == (2, 1)
    assert world.totals().lost_usd > 0.0


def test_a_signal_ends_an_import_after_its_line_and_the_next_goes_on(
    world: World, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = OpenAIJudge.read_result

    def interrupted(self: OpenAIJudge, status: int, body: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return read(self, status, body)

    with monkeypatch.context() as patched:
        patched.setattr(OpenAIJudge, "read_result", interrupted)
        with pytest.raises(Interrupted, match="SIGTERM"):
            take(world, [good(line) for line in lines])
    assert world.totals().n_replies == 1
    assert take(world, [good(line) for line in lines]).n_new == len(lines) - 1


def test_failures_are_attempts_once_and_asked_again(world: World, lines: list[dict[str, Any]]) -> None:
    bad = [
        failure(lines[0], 400, "too long", code="context_length_exceeded"),
        failure(lines[1], 429, f"slow down, {KEY}"),
        failure(lines[2], 500, "oops"),
        failure(lines[3], 401, "Incorrect API key"),
        json.dumps({"custom_id": lines[4]["custom_id"], "response": {"status_code": 200, "body": {"choices": []}}}),
    ]
    for _ in range(2):
        imported = take(world, bad)
    assert (imported.n_failed, imported.n_known) == (0, 5)
    totals = world.totals()
    assert (totals.n_failed_attempts, totals.n_replies, totals.usd) == (5, 0, 0.0)
    # the same failure in another result is another attempt
    assert take(world, [bad[2].replace('"r"', '"r2"')]).n_failed == 1
    again = world.export()
    assert (again.n_requests, again.n_again) == (6, 6)
    take(world, [good(line) for line in world.lines(again)])
    record = found(world, lines[2])
    assert record is not None
    assert record.n_attempts == 3


def test_failures_are_told_without_the_key(world: World, lines: list[dict[str, Any]]) -> None:
    imported = take(world, [failure(line, 400, f"bad, and your key is {KEY}") for line in lines])
    assert len(imported.told) == 5
    assert imported.told[0] == "results-0.jsonl, line 1: HTTP 400: bad, and your key is ***"
    assert KEY not in json.dumps(asdict(imported))
    for path in world.layout.root.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def test_refusals_are_replies(world: World, lines: list[dict[str, Any]]) -> None:
    flagged = failure(lines[0], 400, "The response was filtered", code="content_filter")
    body = json.loads(result_line(lines[1], ""))
    body["response"]["body"]["choices"][0]["message"]["refusal"] = "I cannot help with that"
    imported = take(world, [flagged, json.dumps(body)])
    assert (imported.n_new, imported.n_refused, imported.n_failed) == (2, 2, 0)
    for line in lines[:2]:
        record = found(world, line)
        assert record is not None
        assert record.finish == "refused"
    assert world.export().n_requests == 4


def test_requests_never_sent_are_no_attempts(world: World, lines: list[dict[str, Any]]) -> None:
    error = {"code": "batch_expired", "message": "This request could not be executed before the completion window"}
    late = [json.dumps({"custom_id": line["custom_id"], "response": None, "error": error}) for line in lines]
    imported = take(world, late)
    assert (imported.n_unsent, imported.n_missing) == (6, 6)
    assert world.totals().n_sent == 0


def test_foreign_lines_are_counted_and_never_stored(world: World, lines: list[dict[str, Any]]) -> None:
    stranger = {"custom_id": "request-1\n\x1b[31m"}
    other = {"custom_id": custom_id("0" * 32)}
    imported = take(world, [good({**lines[0], **stranger}), good({**lines[0], **other}), good(lines[0])])
    assert (imported.n_foreign, imported.n_new) == (2, 1)
    assert world.totals().n_replies == 1
    assert all("\n" not in text and "\x1b" not in text for text in imported.told)
    assert "line 2: custom_id 'autointerp-000" in imported.told[1]


def test_damaged_lines_are_counted_with_their_numbers(world: World, lines: list[dict[str, Any]]) -> None:
    text = f"{good(lines[0])}\nnot json\n\n[1]\n{json.dumps(lines[1])}\n{good(lines[2])}\n{good(lines[3])[:90]}"
    imported = take(world, text)
    assert (imported.n_malformed, imported.n_new) == (4, 2)
    assert imported.told == [
        "results-0.jsonl, line 2: no JSON",
        "results-0.jsonl, line 4: no JSON object with a custom_id",
        "results-0.jsonl, line 5: a request, not a result",
        "results-0.jsonl, line 7: the file is cut off here",
    ]


def test_packed_and_vllm_s(world: World, lines: list[dict[str, Any]]) -> None:
    """`vllm run-batch` puts an error beside a response without body."""
    error = {"error": {"message": "too long", "type": "BadRequestError", "param": None, "code": 400}}
    response = {"status_code": 400, "request_id": "vllm-batch-1", "body": None}
    bad = {"id": "vllm-1", "custom_id": lines[0]["custom_id"], "response": response, "error": error}
    path = world.layout.root.parent / "out.jsonl.gz"
    path.write_bytes(gzip.compress(f"{json.dumps(bad)}\n{good(lines[1])}\n".encode()))
    imported = import_results(world.config, world.layout, [path])
    assert (imported.n_failed, imported.n_new) == (1, 1)
    assert imported.told == ["out.jsonl.gz, line 1: HTTP 400: too long"]


def test_a_missing_file_keeps_what_stood_in_those_before(world: World, lines: list[dict[str, Any]]) -> None:
    path = world.layout.root.parent / "results.jsonl"
    path.write_text(good(lines[0]) + "\n")
    with pytest.raises(InputError, match=r"missing.jsonl cannot be read: No such file"):
        import_results(world.config, world.layout, [path, path.with_name("missing.jsonl")])
    assert found(world, lines[0]) is not None


def test_replies_are_shared_with_other_runs_where_they_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_TEST_KEY", KEY)
    for name, sharing in (("shared", {"share_replies": True}), ("apart", {})):
        first, other = (World.make(tmp_path / name / run, Endpoint(options=PRICES | sharing)) for run in ("one", "two"))
        take(first, [good(line) for line in first.lines(first.export())])
        assert other.export().n_known == (6 if sharing else 0)


@pytest.mark.parametrize("body", BROKEN_REPLIES.values(), ids=BROKEN_REPLIES)
def test_a_providers_error_that_came_with_200_is_asked_again(
    world: World, lines: list[dict[str, Any]], body: dict[str, Any]
) -> None:
    response = {"status_code": 200, "request_id": "r", "body": body}
    broken = json.dumps({"id": "b", "custom_id": lines[0]["custom_id"], "response": response, "error": None})
    imported = take(world, [broken, *(good(line) for line in lines[1:])])
    assert (imported.n_new, imported.n_failed, imported.n_missing) == (5, 1, 1)
    assert found(world, lines[0]) is None
    assert world.export().n_requests == 1


def test_many_lines_take_no_more_memory_than_a_few(world: World, lines: list[dict[str, Any]]) -> None:
    line, peaks = good(lines[0]), []
    for n in (50, 4000):
        path = world.layout.root.parent / f"{n}.jsonl"
        path.write_text("".join(line.replace(lines[0]["custom_id"], custom_id(f"{i:032x}")) + "\n" for i in range(n)))
        tracemalloc.start()
        assert import_results(world.config, world.layout, [path]).n_foreign == n
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert path.stat().st_size > 1_500_000
    assert peaks[1] < peaks[0] + 300_000
