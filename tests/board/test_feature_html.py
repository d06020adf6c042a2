from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

from autointerp.board.feature_html import feature_html
from tests.board.synthetic import HOSTILE, make_feature


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert {name for name, _ in attrs} <= {"style", "title"}
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_shows_windows_and_figures_and_hostile_text_as_text():
    evidence = make_feature(f"sae{HOSTILE[1]}", 3)
    hostile = replace(evidence.windows[0], text="".join(HOSTILE[:3]), token_starts=(0, 3, 40), token_ids=(1, 2))
    hostile = replace(hostile, activations=(evidence.max_activation * 2, 0.0))
    evidence = replace(evidence, windows=(*evidence.windows, hostile))
    told = [
        {"explainer": "windows", "text": HOSTILE[0], "failure": None},
        {"explainer": "x", "text": None, "failure": "refused"},
    ]
    scores = [
        {"scorer": "detection", "metric": "f1", "score": 0.8125},
        {"scorer": "marked", "metric": "f1", "score": float("nan")},
    ]
    seen = Seen()
    seen.feed(feature_html(evidence, told=told, scores=scores, n_windows=4))
    assert set(seen.tags) == {"div", "h4", "small", "p", "b", "ul", "li", "code", "span"}
    assert seen.tags.count("code") == 4
    for text in (HOSTILE[0], HOSTILE[1], "(refused)", "detection: f1 0.812"):
        assert text in seen.text
    assert "marked" not in seen.text
    assert "\u202e" not in seen.text
