from __future__ import annotations

import json

import pytest

from autointerp.config.asking import ExplainConfig, ExplainerConfig
from autointerp.explain.explainer import Explainer
from autointerp.explain.opening import open_explainer
from autointerp.judges.judge import Reply
from autointerp.judges.tasks import ExplainTask
from autointerp.prompting.marking import unmark
from autointerp.seeds import stream
from tests.score.planted import fires_on, make_evidence

EVIDENCE = make_evidence(fires_on(" return", " class"), n_documents=400)


def ask(settings: ExplainerConfig, seed: int = 0) -> ExplainTask:
    (request,) = open_explainer(settings, ExplainConfig()).requests(EVIDENCE, stream(seed, "test"))
    assert isinstance(request.task, ExplainTask)
    return request.task


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


def test_the_prompt_holds_each_window_undoably_marked() -> None:
    (request,) = open_explainer(ExplainerConfig(), ExplainConfig()).requests(EVIDENCE, stream(0, "test"))
    assert isinstance(request.task, ExplainTask)
    lines = [line.split(": ", 1)[1] for line in request.messages[-1].content.splitlines() if line.startswith("Window ")]
    for line, window in zip(lines, request.task.windows, strict=True):
        text, spans = unmark(json.loads(line))
        assert text == "".join(window.tokens)
        fired = [token for token, activation in zip(window.tokens, window.activations, strict=True) if activation > 0]
        assert [text[start:end] for start, end in spans] == fired
    assert '" up"' in request.messages[-1].content
    assert '" down"' in request.messages[-1].content


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
