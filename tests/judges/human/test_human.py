"""People as judges: the desk, and a scripted rater in a real browser."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autointerp import pipeline
from autointerp.audition.agreement import judges_agree
from autointerp.cli.main import _run
from autointerp.cli.rating import rating_config
from autointerp.errors import ConfigError, JudgeRejected
from autointerp.judges.human.desk import Desk
from autointerp.judges.human.judge import HumanJudge, open_judge
from autointerp.judges.judge import Message, Request
from autointerp.judges.tasks import IntruderTask, Passage, ScoreTask
from autointerp.progress import SilentProgress
from autointerp.run import Run
from autointerp.runs.layout import RunLayout
from tests.site.accessible import structural_faults
from tests.site.finished import finish_run

PASSAGES = (Passage("a lantern"), Passage("naïve 𝒳 <b>stone</b>", mark=(6, 7)), Passage("\u202e river"))


def request_of(*passages: Passage, explanation: str = "fires on <i>lanterns</i>") -> Request:
    return Request(ScoreTask(explanation, passages), (Message("user", "?"),), max_tokens=10)


def call(address: str, path: str, body: object = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    sent = urllib.request.Request(address + path, data, headers={"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(sent, timeout=30) as reply:
        return json.loads(reply.read())


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk("ann", port=0)
    yield desk
    desk.close()


def test_answers_reach_the_question_they_are_to(desk: Desk):
    futures = [desk.put({"explanation": text, "passages": []}, most=[1, 1]) for text in ("one", "two", "three")]
    for n in range(3):
        state = call(desk.address, "next")
        assert (state["answered"], state["waiting"]) == (n, 3 - n)
        place = ["one", "two", "three"].index(state["sheet"]["explanation"])
        assert call(desk.address, "answer", {"id": state["sheet"]["id"], "answers": [1, 0]}) == {"taken": True}
        assert futures[place].result(timeout=10) == [1, 0]
    assert call(desk.address, "next")["sheet"] is None


@pytest.mark.parametrize("answers", [[1], [1, 0, 1], [1, 2], [True, False], "10", None, {"0": 1}])
def test_what_is_no_answer_is_not_taken(desk: Desk, answers: object):
    future = desk.put({"explanation": "x"}, most=[1, 1])
    name = call(desk.address, "next")["sheet"]["id"]
    assert call(desk.address, "answer", {"id": name, "answers": answers}) == {"taken": False}
    assert call(desk.address, "answer", {"id": [1], "answers": [1, 0]}) == {"taken": False}
    assert not future.done()


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("next", {"Host": "elsewhere.example"}, 403),
        ("answer", {"Content-Type": "text/plain"}, 400),
        ("answer", {"Content-Type": "application/x-www-form-urlencoded"}, 400),
        ("../../etc/passwd", {}, 404),
    ],
)
def test_other_hosts_and_forms_get_nothing(desk: Desk, path: str, headers: dict[str, str], code: int):
    with pytest.raises(urllib.request.HTTPError) as error:  # type: ignore[attr-defined]
        call(desk.address, path, {} if path == "answer" else None, **headers)
    assert error.value.code == code


def test_raters_get_orders_of_their_own():
    orders = []
    for rater in ("ann", "bob"):
        desk = Desk(rater, port=0)
        for number in range(12):
            desk.put({"explanation": str(number)}, most=[1])
        order = []
        for _ in range(12):
            sheet = call(desk.address, "next")["sheet"]
            order.append(int(sheet["explanation"]))
            call(desk.address, "answer", {"id": sheet["id"], "answers": [1]})
        orders.append(order)
        desk.close()
    assert all(sorted(order) == list(range(12)) != order for order in orders)
    assert orders[0] != orders[1]


def test_needs_a_name_and_a_question_of_yes_or_no():
    with pytest.raises(ConfigError, match="human:NAME"):
        open_judge(None, {})
    with pytest.raises(JudgeRejected, match="yes or no"):
        asyncio.run(HumanJudge("ann").ask(Request(IntruderTask(PASSAGES), (), max_tokens=1)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finish_run(tmp_path_factory.mktemp("rated") / "run", "controls.shuffled=0.5", n_features=3)


@pytest.mark.parametrize("rater", ["", "a/b", "../x", "a b", "x" * 41])
def test_a_name_is_no_path(run: Path, rater: str, capsys: pytest.CaptureFixture[str]):
    assert _run(["serve", str(run), "--rate", rater]) == 2
    assert capsys.readouterr().err.startswith("error: --rate")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def await_port(port: int) -> None:
    for _ in range(600):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the desk was not opened")


def rate(run: Path, out: Path, chromium: Any, answer: Callable[[Any], bool], *, is_rubric: bool = False) -> set[str]:
    """What a rater sees on a phone, all pages; `answer` presses the keys for one, or is False where it shows none."""
    port = free_port()
    config = rating_config(RunLayout(run), "ann", name=out.name, port=port, is_rubric=is_rubric)
    work = threading.Thread(target=lambda: pipeline.rescore(run, config, out=out, progress=SilentProgress()))
    work.start()
    page = chromium.new_page(viewport={"width": 390, "height": 800})
    await_port(port)
    page.goto(f"http://127.0.0.1:{port}/")
    told: set[str] = set()
    while work.is_alive():
        page.wait_for_timeout(20)
        shown = page.locator("main").inner_text()
        if not answer(page):
            continue
        told.add(shown)
        before = page.locator("#state").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.keyboard.press("Enter")
        page.locator("#state").filter(has_not_text=before).wait_for(timeout=5000)
    work.join()
    assert told
    return told


@pytest.mark.browser
def test_a_scripted_rater_answers_by_keyboard_on_a_phone_and_is_held_against_the_judge(
    run: Path, tmp_path: Path, chromium: Any
):
    """She says `fires` of every text of an odd length."""
    with Run(run).open_journal() as journal:
        said = {(v.scorer, v.feature, v.dictionary, v.control, v.window): v.answer for v in journal.load_verdicts()}
    texts = {w.id: w.text for e in Run(run).evidence() for w in e.windows}

    def answer(page: Any) -> bool:
        lines = page.locator("li p").all_inner_texts()
        for line in lines:
            page.keyboard.press("f" if len(line) % 2 else "s")
        if lines:
            page.keyboard.press("ArrowLeft")
            page.keyboard.press("f" if len(lines[-1]) % 2 else "s")
        return bool(lines)

    out = tmp_path / "ann"
    told = rate(run, out, chromium, answer)
    assert not any(re.search(r"\b(sae|neurons|shuffled|random|near.miss)\b", text) for text in told)
    with Run(out).open_journal() as journal:
        rated = journal.load_verdicts()
    assert {v.judge for v in rated} == {"human:ann"}
    assert {(v.scorer, v.feature, v.dictionary, v.control, v.window) for v in rated} == said.keys()
    assert {v.control for v in rated} == {None, "shuffled"}
    for v in rated:
        assert v.answer == ("fires" if len(texts[v.window]) % 2 else "silent")
    for found in judges_agree([run, out]):
        own = [v for v in rated if v.scorer == found.scorer and v.control is None]
        same = [v.answer == said[v.scorer, v.feature, v.dictionary, v.control, v.window] for v in own]
        assert found.pairs[0].agreement is not None
        assert found.pairs[0].agreement.mean == pytest.approx(sum(same) / len(same), abs=0.2)


@pytest.mark.browser
def test_points_by_the_rubric_are_read_as_a_board(run: Path, tmp_path: Path, chromium: Any):
    """Points are as many as the explanation has characters, modulo the most and one; the keys beyond the most do
    nothing.
    """

    def answer(page: Any) -> bool:
        questions = page.locator("#questions li p").all_inner_texts()
        if not questions:
            return False
        assert page.locator("#shown mark").count() >= 5
        assert structural_faults(page) == []
        length = len(page.locator("#explanation").inner_text())
        for question in questions:
            most = int(question.rpartition(" ")[2])
            for key in (9, most + 1, length % (most + 1)):
                page.keyboard.press(str(key))
        return True

    out = tmp_path / "rubric"
    told = rate(run, out, chromium, answer, is_rubric=True)
    assert not any(re.search(r"\b(sae|neurons|shuffled)\b", text) for text in told)
    scores = Run(out).scores
    assert set(scores["judge"]) == {"human:ann"} and set(scores["metric"]) == {"rubric"}
    scored = scores.loc[scores["unscored"].isna()]
    for row in scored.to_dict("records"):
        n = len(row["explanation"])
        asked = [
            most
            for name, most in (("confidence", 3), ("activations", 5), ("logits", 3), ("specificity", 3))
            if row[f"rubric_{name}"] == row[f"rubric_{name}"]
        ]
        assert row["score"] == pytest.approx(sum(n % (most + 1) for most in asked) / sum(asked))
    (entry, *_) = Run(out).summary["entries"]
    assert entry["score"]["lo"] <= entry["score"]["mean"] <= entry["score"]["hi"]
    assert scored["shuffled_score"].notna().any()
