"""A site of many features: what is not looked at is not loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autointerp.progress import SilentProgress
from autointerp.site.building import build_site
from autointerp.site.gathering import gather_runs
from tests.site.population import make_population

PER_PAGE, LISTED = 20, 150


@pytest.mark.browser
@pytest.mark.parametrize("n_features", [160, pytest.param(20_000, marks=pytest.mark.full)])
def test_only_what_is_looked_at_is_loaded(tmp_path: Path, visit: Callable[..., Any], n_features: int) -> None:
    run = make_population(tmp_path / "big", n_features=n_features)
    build_site(gather_runs([run]), tmp_path / "site", title="Big", progress=SilentProgress())
    n_pages = -(-n_features // PER_PAGE)
    assert len(list((tmp_path / "site" / "data").glob("*/[0-9]*.js"))) == 3 * n_pages
    found = visit((tmp_path / "site" / "index.html").as_uri())
    page = found.page
    page.locator("tr[data-name='big/middle'] a.cell").click()
    page.locator("#card h3").wait_for()
    data = [url.rpartition("/data/")[2] for url in found.requests if "/data/" in url]
    assert sorted(data[:3]) == ["1/columns.js", "1/texts.js", "catalog.js"]
    assert len(data) == 4  # and the page of the feature that is shown
    assert page.locator("#list .item").count() == LISTED
    assert page.locator("#filter option").first.inner_text() == f"all ({n_features:,})"
    n_scripts = page.evaluate("document.scripts.length")
    page.locator("#sort").select_option("number")
    page.locator("#way").select_option("up")
    page.locator("#list .item", has_text="middle 0").first.click()
    for number in range(1, 45):
        page.keyboard.press("j")
        page.locator("#card h3", has_text=f"middle {number}").wait_for()
    later = [url.rpartition("/data/")[2] for url in found.requests if "/data/" in url]
    assert {"1/0.js", "1/1.js", "1/2.js"} >= set(later) - set(data)
    assert page.evaluate("document.scripts.length") == n_scripts
    page.locator("#search").fill(str(n_features - 1))
    page.locator("#list .item", has_text=f"middle {n_features - 1}").click()
    page.locator("#card .window").first.wait_for()
