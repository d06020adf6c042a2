"""A site of three runs, made once, and a browser to look at it with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autointerp.progress import SilentProgress
from autointerp.site.building import build_site
from autointerp.site.gathering import gather_runs
from tests.sharing import made_once
from tests.site.accessible import structural_faults
from tests.site.finished import finish_run, rescore_run

HOSTILE = "<b onmouseover=alert(1)>\u202e & run"


@dataclass
class Visit:
    """A page open in Chromium with all it complained about or asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def _make(folder: Path) -> None:
    first = finish_run(folder / "runs" / "first")
    rescore_run(first, folder / "runs" / HOSTILE, "score.temperature=0.5")
    rescore_run(first, folder / "runs" / "coin", "score.judge='coin'")
    build_site(gather_runs([folder / "runs"]), folder / "site", title=f"Runs {HOSTILE}", progress=SilentProgress())


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `runs` and their `site`."""
    return made_once(tmp_path_factory, "site", _make)


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Visit]]:
    """Opens addresses; nothing may be complained about or lack a name, and nothing asked for outside the address's
    folder.
    """
    opened: list[tuple[Visit, Any, str]] = []

    def go(address: str, *, width: int = 1280, **options: Any) -> Visit:
        context = chromium.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce", **options)
        found = Visit(context.new_page())
        found.page.on("console", lambda message: found.complaints.append(message.text))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.on("dialog", lambda dialog: found.complaints.append(f"dialog: {dialog.message}"))
        found.page.on("request", lambda sent: found.requests.append(sent.url))
        found.page.goto(address)
        opened.append((found, context, address.partition("#")[0].rpartition("/")[0]))
        return found

    yield go
    for found, context, folder in opened:
        assert structural_faults(found.page) == []
        context.close()
        assert found.complaints == []
        assert [url for url in found.requests if not url.startswith((folder, "blob:"))] == []
