from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.explain.explainer import Explainer
from autointerp.explain.opening import open_explainer
from autointerp.judges.judge import Reply, Request
from autointerp.judges.tasks import ExplainTask
from autointerp.prompting.notation import Notation
from autointerp.records.evidence import Evidence, TokenEffect, TokenUse
from autointerp.seeds import stream
from tests.score.planted import fires_after, fires_on, make_evidence, make_window

EVIDENCE = make_evidence(fires_on(" return", " class"), n_documents=400)


def asked(prompts: Any, settings: ExplainerConfig | None = None, *, evidence: Evidence = EVIDENCE) -> Request:
    config = ExplainConfig(prompts=prompts)
    (request,) = open_explainer(settings or ExplainerConfig(), config).requests(evidence, stream(0, "test"))
    return request


def task_of(request: Request) -> ExplainTask:
    assert isinstance(request.task, ExplainTask)
    return request.task


def ask(settings: ExplainerConfig, seed: int = 0) -> ExplainTask:
    """What version 1 shows."""
    (request,) = open_explainer(settings, ExplainConfig(prompts=1)).requests(EVIDENCE, stream(seed, "test"))
    return task_of(request)


def texts_of(task: ExplainTask) -> list[str]:
    return ["".join(window.tokens) for window in task.windows]


def test_it_is_an_explainer() -> None:
    assert isinstance(open_explainer(ExplainerConfig(), ExplainConfig()), Explainer)


@pytest.mark.parametrize("sampling", ["top", "range"])
def test_only_activating_windows_of_the_explain_role_are_shown(sampling: str) -> None:
    allowed = {window.text for window in EVIDENCE.select("explain", "top", "bin")}
    texts = texts_of(ask(ExplainerConfig(sampling=sampling)))  # type: ignore[arg-type]
    assert len(texts) == len(set(texts)) == 10
    assert set(texts) <= allowed


def test_top_shows_the_strongest() -> None:
    tops = sorted((w.max_activation for w in EVIDENCE.select("explain", "top")), reverse=True)
    shown = [max(window.activations) for window in ask(ExplainerConfig(sampling="top", n_windows=4)).windows]
    assert shown == tops[:4]


def test_range_reaches_every_bin() -> None:
    shown = set(texts_of(ask(ExplainerConfig(n_windows=12))))
    bins = {window.bin for window in EVIDENCE.select("explain", "bin")}
    assert {window.bin for window in EVIDENCE.select("explain", "bin") if window.text in shown} == bins


def test_the_stream_alone_decides() -> None:
    assert ask(ExplainerConfig()) == ask(ExplainerConfig())
    assert ask(ExplainerConfig()) != ask(ExplainerConfig(), seed=1)


@pytest.mark.parametrize("version", [1, 2])
def test_the_prompt_holds_each_window_undoably_marked(version: int) -> None:
    request = asked(version)
    notation = Notation(version == 2, version == 2)
    told = request.messages[-1].content
    lines = [line.split(": ", 1)[1] for line in told.splitlines() if line.startswith("Window ")]
    for line, window in zip(lines, task_of(request).windows, strict=True):
        text, spans = notation.read(line)
        assert text == "".join(window.tokens)
        fired = [token for token, activation in zip(window.tokens, window.activations, strict=True) if activation > 0]
        assert [text[start:end] for start, end in spans] == fired
    if version == 1:  # no text holds them
        assert '" up"' in told
        assert '" down"' in told


def told(prompts: Any, evidence: Evidence = EVIDENCE) -> str:
    return asked(prompts, evidence=evidence).messages[-1].content


def with_windows(**changes: object) -> Evidence:
    """The evidence with every firing window to explain changed alike."""
    windows = (replace(w, **changes) if w.role == "explain" and w.is_firing else w for w in EVIDENCE.windows)
    return replace(EVIDENCE, windows=tuple(windows))


def test_the_contrast_holds_tokens_that_fire_elsewhere() -> None:
    evidence = make_evidence(fires_after("ing", " walk"), n_documents=1000)
    task, plain = task_of(asked(("contrast",), evidence=evidence)), task_of(asked(1, evidence=evidence))
    assert task.windows == plain.windows
    assert not plain.silent_windows
    near = {window.text: window for window in evidence.select("explain", "near_miss")}
    assert 3 <= len(task.silent_windows) <= 5
    windows = [near["".join(silent.tokens)] for silent in task.silent_windows]
    named = [window.token_text(window.candidate) for window in windows]
    assert set(named) == {"ing"}
    assert told(2, evidence).count('Silent here, though it fires elsewhere: "ing"') == len(named)


def test_the_contrast_varies_its_tokens() -> None:
    near = [
        make_window(
            [" a", token, f" {number}"], [0.0] * 3, name=f"n{number}@0", role="explain", kind="near_miss", candidate=1
        )
        for number, token in enumerate([" return"] * 6 + [" class"])
    ]
    task = task_of(asked(("contrast",), evidence=replace(EVIDENCE, windows=(*EVIDENCE.windows, *near))))
    assert {window.tokens[1] for window in task.silent_windows} == {" return", " class"}


def test_without_a_near_miss_nothing_speaks_of_silent_windows() -> None:
    evidence = replace(EVIDENCE, windows=tuple(w for w in EVIDENCE.windows if w.kind != "near_miss"))
    for message in asked(2, evidence=evidence).messages:
        assert "ilent window" not in message.content


def test_windows_go_on_after_their_last_firing_where_there_are_any() -> None:
    def is_cut(activations: Sequence[float]) -> bool:
        return any(activations[-6:])

    pool = EVIDENCE.select("explain", "top", "bin")
    assert 0 < sum(is_cut(window.activations) for window in pool) < len(pool)
    shown = [task_of(asked(prompts)).windows for prompts in (1, ("context",))]
    n_cut = [sum(is_cut(window.activations) for window in windows) for windows in shown]
    assert n_cut[1] < n_cut[0]
    assert len(shown[1]) == 10


def test_a_window_says_where_it_begins_or_ends_its_document() -> None:
    assert "(begins the document): " in told(("edges",), with_windows(offset=0))
    assert "(ends the document): " in told(("edges",), with_windows(offset=3, ends_document=True))
    assert "(begins and ends the document): " in told(("edges",), with_windows(offset=0, ends_document=True))
    assert " the document): " not in told(("edges",), with_windows(offset=3, ends_document=False))
    assert " the document): " not in told(1, with_windows(offset=0))


def test_an_end_that_nobody_knows_is_not_spoken_of() -> None:
    for known, evidence in ((False, EVIDENCE), (True, with_windows(ends_document=False))):
        assert ("begins or ends its document" in asked(("edges",), evidence=evidence).messages[0].content) is known


def test_strong_and_weak_windows_stand_apart() -> None:
    lines = told(("strengths",)).splitlines()
    titles = ["Windows that fire strongly (5 to 10):", "Windows that fire weakly only:"]
    strong, weak = (lines.index(title) for title in titles)
    assert strong < weak
    highest = [
        max(int(part.split()[-1]) for part in line.split(": ", 1)[1].split(", "))
        for line in lines
        if line.startswith("Firing tokens: ")
    ]
    n_strong = sum(line.startswith("Window ") for line in lines[strong:weak] if line not in titles)
    assert min(highest[:n_strong]) >= 5 > max(highest[n_strong:])
    numbers = [int(line.split()[1].strip(":")) for line in lines if line.startswith("Window ")]
    assert numbers == list(range(1, 11))


def test_rate_and_tokens_are_told_if_known() -> None:
    evidence = replace(
        EVIDENCE,
        n_tokens=10_000,
        n_firing=40,
        counts=None,
        token_uses=(TokenUse(1, " return", 30, 60), TokenUse(2, " class", 10, 10)),
    )
    assert "How often it fires: on about 1 of 250 tokens\n" in told(("rate",), evidence)
    assert '" return": 75% of its firings; fires on 30 of 60 occurrences\n" class": 25%' in told(("tokens",), evidence)
    nothing = replace(evidence, n_tokens=0, n_firing=0, token_uses=())
    for message in asked(("rate", "tokens"), evidence=nothing).messages:
        assert "How often" not in message.content
        assert "fires on most often" not in message.content


def test_logits_are_told_where_the_text_holds_the_entries() -> None:
    seen = tuple(TokenEffect(n, f" e{n}", 2.0 - n / 10, n_seen=n % 2) for n in range(10))
    evidence = replace(EVIDENCE, top_logits=seen, bottom_logits=seen[:4])
    words = told(("logits",), evidence)
    assert 'More likely next tokens: " e1" +1.90, " e3" +1.70, " e5" +1.50, " e7" +1.30, " e9" +1.10' in words
    assert "Less likely" not in words, "two entries say nothing"
    uncounted = tuple(replace(effect, n_seen=None) for effect in seen)
    special = (TokenEffect(99, "<|endoftext|>", 3.0), *uncounted)
    words = told(("logits",), replace(EVIDENCE, top_logits=special))
    assert " e0" in words
    assert "endoftext" not in words
    unseen = tuple(replace(effect, n_seen=0) for effect in seen)
    for message in asked(("logits",), evidence=replace(EVIDENCE, top_logits=unseen, bottom_logits=unseen)).messages:
        assert "likely" not in message.content


def test_a_passage_is_shown_once() -> None:
    first = EVIDENCE.select("explain", "top")[0]
    n = len(first.token_ids)
    beside = [
        replace(first, id=f"{first.document}@{offset}", offset=offset, text=f"{first.text} {offset}", token_ids=ids)
        for offset, ids in ((first.offset + n, tuple(range(n))), (first.offset + 50 * n, first.token_ids))
    ]
    evidence = replace(EVIDENCE, windows=(first, *beside))
    shown = [len(task_of(asked(prompts, evidence=evidence)).windows) for prompts in (1, ("passages",))]
    assert shown == [3, 1]


def test_no_window_means_no_request() -> None:
    silent = make_evidence(fires_on("never"), n_documents=20)
    assert open_explainer(ExplainerConfig(), ExplainConfig()).requests(silent, stream(0, "test")) == ()


@pytest.mark.parametrize(
    ("reply", "text", "failure"),
    [
        (Reply("[EXPLANATION]: cats", "m"), "cats", None),
        (Reply("cats", "m"), None, "unparsed"),
        (Reply("I'm sorry, but I can't help.", "m"), None, "refused"),
        (Reply("[EXPLANATION]: cats", "m", finish="refused"), None, "refused"),
    ],
)
def test_replies_are_read(reply: Reply, text: str | None, failure: str | None) -> None:
    reading = open_explainer(ExplainerConfig(), ExplainConfig()).read([reply])
    assert (reading.text, reading.failure) == (text, failure)
