"""The report page, as text and in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from autointerp import safe_text
from autointerp.board.borrowed import Borrowed
from autointerp.board.entries import build_entries
from autointerp.board.feature_records import by_feature, iter_records
from autointerp.board.report import render_report, write_report
from autointerp.board.score_table import ScoreTable
from autointerp.board.scores import build_scores
from autointerp.board.summary import build_summary
from autointerp.records.evidence import TokenEffect
from autointerp.records.verdict import Explanation
from autointerp.score.scorer import Scale
from tests.board.synthetic import HOSTILE, Run, make_run

N_FEATURES = 15


class Loads(HTMLParser):
    """Every address in a page's markup, and its policy."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.urls += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag == "meta" and ("http-equiv", "Content-Security-Policy") in attrs:
            self.policy = dict(attrs)["content"] or ""


def hostile_run() -> Run:
    """Every feature is said to mean something hostile, and promotes hostile tokens; windows hold them anyway."""
    run = make_run({"sae": "noisy", "random": "coin"}, n_features=N_FEATURES, scorers=("detection", "marked"))
    told = [
        replace(e, text=f"{e.text} {HOSTILE[i % 2]}" if i else "a needle in the haystack")
        for i, e in enumerate(run.explanations)
    ]
    effects = tuple(TokenEffect(i, text, 1.0) for i, text in enumerate(HOSTILE))
    evidences = [replace(e, top_logits=effects) for e in run.evidences]
    evidences[-1] = replace(evidences[-1], unscored="too_few_negatives")
    return Run(evidences, told, run.verdicts)


def page_of(summary: dict[str, Any], scores: pd.DataFrame, run: Run, **options) -> str:
    ordered = map(by_feature, (run.evidences, run.explanations, run.verdicts))
    shown = list(iter_records(*ordered))
    n_features, lent = len(run.evidences), Borrowed(run.evidences)
    return render_report(
        summary, scores=ScoreTable(scores), shown=shown, lent=lent, **{"n_features": n_features, **options}
    )


def render(run: Run, **options) -> str:
    scores = build_scores(run.evidences, run.explanations, run.verdicts)
    quality = {"sae": {"normalised_mse": 0.12, "l0": 31.4, "loss_recovered": None}}
    summary = build_summary(
        f"demo {HOSTILE[0]}", build_entries(scores, seed=0, quality=quality), about={"subject": HOSTILE[1], "seed": 0}
    )
    return page_of(summary, scores, run, **options)


@pytest.fixture(scope="module")
def hostile() -> Run:
    return hostile_run()


@pytest.fixture(scope="module")
def page_text(hostile: Run) -> str:
    return render(hostile)


def test_is_one_file_with_the_parts_asked_for(page_text: str):
    loads = Loads()
    loads.feed(page_text)
    assert loads.urls
    assert all(url.startswith(("#", "data:")) for url in loads.urls)
    assert "default-src" in loads.policy
    for part in ("Leaderboard", "F1 over features", "normalised mse", "always yes", "Features"):
        assert part in page_text
    # The catalog, a page, columns, texts and metrics of each dictionary, and the one script.
    assert page_text.count("<script") == page_text.count("</script>") == 10


def test_how_often_features_fire_is_drawn(hostile: Run, page_text: str):
    caption = "How often features fire"
    assert caption not in page_text
    counts = [0] * 28
    counts[16] = 30
    text = render(hostile, density_histograms={"sae": counts, "random": [0] * 28})
    assert text.count(caption) == 1
    assert text.count("<title>30 features, 10^-3.00 to 10^-2.75</title>") == 1
    assert '<span class="value" title="features that ever fire">30</span>' in text


def test_equal_runs_give_equal_pages_in_any_order(hostile: Run, page_text: str):
    backwards = Run(hostile.evidences[::-1], hostile.explanations[::-1], hostile.verdicts[::-1])
    assert render(backwards) == page_text


def test_a_smaller_budget_makes_a_smaller_page_that_says_so(hostile: Run, page_text: str):
    small = render(hostile, window_budget=100)
    assert len(small) < 0.6 * len(page_text)
    assert "At most 6 windows per feature" in small


def test_windows_of_another_feature_stand_as_silent_ones():
    run = make_run({"sae": "oracle"}, n_features=2)
    first, second = run.evidences
    own = [v for v in run.verdicts if v.feature == first.feature and v.is_firing and not v.control]
    lent = second.select("score", "top")
    borrowed = [replace(own[0], window=w.id, kind="other", is_firing=False, answer="silent") for w in lent]
    text = render(Run(run.evidences, run.explanations, [*own, *borrowed]))
    assert text.count('"kind":"other","apart":0,"fires":0') == len(lent)


def test_windows_scored_apart_are_told_from_those_that_f1_is_made_of(hostile: Run, page_text: str):
    n_near = sum(v.kind == "near_miss" for v in hostile.verdicts)
    assert n_near
    assert '"kind":"near_miss","apart":1' in page_text
    assert '"kind":"random","apart":1' not in page_text
    assert "may be wrong about them and have a perfect F1" in page_text
    easy = Run(hostile.evidences, hostile.explanations, [v for v in hostile.verdicts if v.kind != "near_miss"])
    assert "have a perfect F1" not in render(easy)


def test_the_page_names_no_folder_of_this_machine():
    run = make_run({"sae": "oracle"}, n_features=1)
    verdicts = [replace(v, judge="local:/home/me/models/small-judge") for v in run.verdicts]
    scores = build_scores(run.evidences, run.explanations, verdicts)
    about = {
        "subject": "/home/me/models/tiny",
        "corpus": "~/texts/stories.jsonl",
        "score_judge": "local:/home/me/models/small-judge, openai:org/model",
    }
    summary = build_summary("demo", build_entries(scores, seed=0), about=about)
    text = page_of(summary, scores, Run(run.evidences, run.explanations, verdicts))
    assert "/home/me" not in text
    assert "~/texts" not in text
    for left in ("<dd>tiny</dd>", "<dd>stories.jsonl</dd>", "<dd>local:small-judge, openai:org/model</dd>"):
        assert left in text


def test_the_page_holds_no_key_and_keeps_the_texts_under_study(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(safe_text, "_keys_in_use", {"0123456789abcdef"})
    run = make_run({"sae": "oracle"}, n_features=1)
    told = [replace(e, text="it means 0123456789abcdef and sk-proj-0123456789") for e in run.explanations]
    scores = build_scores(run.evidences, told, run.verdicts)
    summary = build_summary("demo \x1b[2J 0123456789abcdef", build_entries(scores, seed=0))
    text = page_of(summary, scores, Run(run.evidences, told, run.verdicts))
    assert "0123456789abcdef" not in text
    assert "\x1b" not in text
    assert "it means *** and sk-proj-0123456789" in text  # a text under study may look like a key and is kept


def test_a_run_without_any_answer_still_has_a_page():
    run = make_run({"sae": "oracle"}, n_features=2)
    scores = build_scores(
        run.evidences, [], [], explainers=["windows"], scorers={"detection": Scale()}, judge="pattern"
    )
    failed = [Explanation("sae", 0, "windows", "j", "p", None, "refused")]
    summary = build_summary("empty", build_entries(scores, seed=0))
    text = page_of(summary, scores, Run(run.evidences, failed, []))
    assert "not scored" in text


@dataclass
class Visit:
    """A page open in Chromium with all it complained about or asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def visit(chromium, page_text: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Visit]:
    path = tmp_path / "report.html"
    write_report(path, page_text)
    width = getattr(request, "param", 1280)
    context = chromium.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    found = Visit(page)
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("dialog", lambda dialog: found.complaints.append(f"dialog: {dialog.message}"))
    page.on("request", lambda sent: found.requests.append(sent.url))
    page.goto(path.as_uri())
    yield found
    context.close()
    assert found.complaints == []
    assert found.requests == [path.as_uri()]


@pytest.mark.browser
def test_lists_features_and_opens_one_with_its_windows(visit: Visit):
    page = visit.page
    assert page.locator("#list .item").count() == 2 * N_FEATURES
    page.locator("#list .item", has_text=re.compile(r"^sae 7(?!\d)")).first.click()
    assert page.locator("#card h3").inner_text() == "sae 7"
    assert page.locator("#card .window").count() > 10
    assert page.locator("#card .tokens .hot").count() > 5
    assert page.locator("#card .tokens .mark").count() == page.locator("#card .window").count()
    assert page.locator("#card svg[aria-label='activation histogram'] rect").count() == 12
    assert page.locator("#card .right, #card .wrong").count() > 10
    assert page.url.endswith("#sae%2F7")


@pytest.mark.browser
def test_hostile_text_is_shown_and_never_run(visit: Visit):
    page = visit.page
    for button in page.locator("#list .item").all()[:12]:
        button.click()
    shown = page.locator("#card").inner_text()
    assert "</script><script>" in shown
    assert "<img src=x" in shown
    # A hostile token that were markup would add one of these; a control character is spelled out.
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 10
    assert "owned" not in page.title().replace(HOSTILE[0], "")
    assert "\u202e" not in shown
    assert "[202e]" in shown
    assert HOSTILE[0] in page.locator("h1").inner_text()


@pytest.mark.browser
def test_filters_sorts_and_searches(visit: Visit):
    page = visit.page
    items = page.locator("#list .item")
    page.select_option("#dictionary", "random")
    assert items.count() == N_FEATURES
    page.select_option("#dictionary", "")
    page.fill("#search", "NEEDLE")
    assert items.count() == 1
    assert page.locator("#count").inner_text() == f"1 of {2 * N_FEATURES} features"
    page.fill("#search", "")

    def figures() -> list[float]:
        texts = page.locator("#list .f1").all_inner_texts()
        return [float(text.removeprefix("F1 ")) for text in texts if text != "not scored"]

    best_first = figures()
    assert best_first == sorted(best_first, reverse=True)
    page.select_option("#way", "up")
    assert figures() == sorted(best_first)
    # The one that could not be scored stands last either way.
    assert page.locator("#list .f1").last.inner_text() == "not scored"
    page.select_option("#scorer", "1")
    assert sorted(figures()) != sorted(best_first)


@pytest.mark.browser
def test_wrong_answers_can_be_singled_out(visit: Visit):
    page = visit.page
    page.select_option("#way", "up")
    page.locator("#list .item").first.click()
    n_wrong = page.locator("#card .wrong, #card .lost").count()
    assert n_wrong > 0
    page.locator("#card input[type=checkbox]").check()
    assert page.locator("#card .right").count() == 0
    assert page.locator("#card .wrong, #card .lost").count() == n_wrong


@pytest.mark.browser
def test_windows_scored_apart_say_so(visit: Visit):
    page = visit.page
    page.locator("#list .item").first.click()
    apart = page.locator("#card .window", has_text="not in F1")
    assert apart.count() > 0
    assert apart.count() == page.locator("#card .window", has_text="near miss").count()
    assert page.locator("#card", has_text=f"{apart.count()} of these are scored apart and not in F1.").count() == 1


@pytest.mark.browser
def test_can_be_used_from_the_keyboard(visit: Visit):
    page = visit.page
    names = page.locator("#list .item b").all_inner_texts()
    page.locator("#list .item").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.locator("#card h3").inner_text() == names[2]
    page.keyboard.press("ArrowUp")
    assert page.locator("#list .item[aria-current=true] b").inner_text() == names[1]
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"


@pytest.mark.browser
@pytest.mark.parametrize("visit", [400], indirect=True)
def test_fits_a_narrow_screen(visit: Visit):
    page = visit.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert not page.locator("#card").is_visible()
    page.locator("#list .item").nth(3).click()
    assert page.locator("#card").is_visible()
    assert not page.locator("#list-box").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.locator("#back").click()
    assert page.locator("#list-box").is_visible()
