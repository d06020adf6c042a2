"""The pages of a server in a real browser; a text is tried in tests/integration/test_serve.py."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autointerp.runs.layout import RunLayout
from autointerp.runs.lock import RunLock
from autointerp.site.gathering import gather_runs
from tests.serving.conftest import Served
from tests.site.conftest import HOSTILE
from tests.stages.harvested import make_config, make_run

pytestmark = pytest.mark.browser
Go = Callable[..., Any]


def test_a_finished_run_shows_its_figures_replies_and_conversations(world: Path, served: Served, visit: Go):
    page = visit(served(gather_runs([world / "runs"])) + "/").page
    page.get_by_role("link", name="Runs", exact=True).click()
    page.locator("#which option", has_text="<b onmouseover").wait_for(state="attached")
    page.locator("#which").select_option(label="first · done")
    page.locator("#name", has_text="first").wait_for()
    assert page.locator("#stages .done").count() == 5
    assert page.locator("b[onmouseover]").count() == 0
    page.locator("#last article").first.locator("summary").click()
    page.locator("#last article").first.locator("details pre").first.wait_for()
    about = page.locator("#last h3").first.inner_text()
    feature = next(word for word in about.split() if "/" in word).strip(",")
    page.locator("#feature").fill(feature)
    page.locator("#feature").press("Enter")
    page.locator("#found", has_text=f"about {feature}").wait_for()
    assert page.locator("#asked article").count() > 1
    page.locator("#failed").click()
    page.locator("#found", has_text="no attempt failed").wait_for()


@pytest.mark.parametrize("width", [390, pytest.param(1280, marks=pytest.mark.full)])
def test_a_run_at_work_is_followed(tmp_path: Path, served: Served, visit: Go, width: int):
    layout: RunLayout = make_run(tmp_path / "runs" / HOSTILE, make_config(), n_features=1)
    now = {"label": "score <i>", "unit": "features", "done": 1, "total": 8, "note": "1.5/s, $0.20", "eta_s": 90}

    def do(**changes: Any) -> None:
        layout.progress.write_text(json.dumps(now | {"began_at": time.time() - 60, "at": time.time()} | changes))

    with RunLock(layout.lock):
        do()
        page = visit(served(gather_runs([tmp_path / "runs"], has_begun=True)) + "/runs.html", width=width).page
        page.locator(".doing p", has_text="1 of 8 features, 90 s left · 1.5/s, $0.20").wait_for()
        assert page.locator(".doing b").inner_text() == "score <i>"
        do(done=7, eta_s=13)
        page.locator(".doing p", has_text="7 of 8 features, 13 s left").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#doing", has_text="No process works on it now.").wait_for()


def test_runs_without_weights_are_not_offered(world: Path, served: Served, visit: Go):
    page = visit(served(gather_runs([world / "runs"])) + "/try.html").page
    page.locator("#status", has_text="None of the runs has weights here").wait_for()
    assert page.locator("#run option:enabled").count() == 0
