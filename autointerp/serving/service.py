"""What `serve` answers: the files of a site, and questions of its pages about runs and their models.

Only files of the site are read by path; runs are known to a page by number.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autointerp.errors import AutointerpError, ConfigError
from autointerp.loopback import Answer
from autointerp.run import Run
from autointerp.safe_text import safe_text
from autointerp.serving import following
from autointerp.serving.opening import Benches
from sae_core.errors import SaeCoreError

__all__ = ["Service"]

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
    ".toml": "text/plain; charset=utf-8",
    ".png": "image/png",
}
_LONGEST = 20_000  # characters of a text to try


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    run: int = Field(ge=0)


class _Read(_Question):
    text: str = Field(max_length=_LONGEST)


class _Steer(_Question):
    feature: str = Field(max_length=200)
    prompt: str = Field(max_length=_LONGEST)
    strength: str = Field(max_length=40)
    at: str = Field(max_length=200)
    tokens: int = Field(ge=0, le=500)
    temperature: float = Field(ge=0.0, le=10.0)
    seed: int = Field(ge=0, lt=2**31)


class _About(_Question):
    feature: str = Field(max_length=200)


class Service:
    """`runs` by label, `site` the folder with their pages."""

    def __init__(self, runs: Mapping[str, Run], site: Path) -> None:
        self._labels, self._runs = list(runs), list(runs.values())
        self._benches = Benches(self._runs)
        self._files = {f"/{path.relative_to(site).as_posix()}": path for path in site.rglob("*") if path.is_file()}
        self._asked: dict[str, tuple[type[_Question], Callable[[Any], Any]]] = {
            "/api/run": (_Question, lambda asked: following.follow(self._run(asked))),
            "/api/failures": (_Question, lambda asked: following.failures(self._run(asked))),
            "/api/feature": (_About, self._feature),
            "/api/read": (_Read, self._read),
            "/api/steer": (_Steer, self._steer),
        }

    def get(self, path: str) -> Answer | None:
        if path == "/api/runs":
            return _told(self._list)
        if path == "/":
            path = "/index.html" if "/index.html" in self._files else "/runs.html"
        file = self._files.get(path)
        return None if file is None else Answer(_KINDS.get(file.suffix, "application/octet-stream"), file.read_bytes())

    def post(self, path: str, body: bytes) -> Answer | None:
        if path not in self._asked:
            return None
        kind, answer = self._asked[path]
        try:
            asked = kind.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "question"
            return _json({"error": safe_text(f"{where}: {first['msg']}")})
        return _told(lambda: answer(asked))

    def _run(self, asked: _Question) -> Run:
        if asked.run >= len(self._runs):
            raise ConfigError(f"run {asked.run}: there are {len(self._runs)}; load the page again")
        return self._runs[asked.run]

    def _list(self) -> list[dict[str, Any]]:
        return [{"label": label} | following.in_short(run) for label, run in zip(self._labels, self._runs, strict=True)]

    def _feature(self, asked: _About) -> Any:
        dictionary, _, index = asked.feature.rpartition("/")
        if not dictionary or not index.isdecimal():
            raise ConfigError(f"feature '{asked.feature}': give DICTIONARY/INDEX, for example 'sae/12'")
        return following.conversation(self._run(asked), dictionary, int(index))

    def _read(self, asked: _Read) -> Any:
        return self._with_bench(asked, lambda bench: bench.read(asked.text))

    def _steer(self, asked: _Steer) -> Any:
        return self._with_bench(
            asked,
            lambda bench: bench.steer(
                asked.feature,
                asked.prompt,
                strength=asked.strength,
                at=asked.at,
                n_tokens=asked.tokens,
                temperature=asked.temperature,
                seed=asked.seed,
            ),
        )

    def _with_bench(self, asked: _Question, use: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """The answer with the times it took, or only the time for which the model has been opened."""
        self._run(asked)
        opened = self._benches.take(asked.run)
        if opened.bench is None:
            return {"opening_s": opened.took_s}
        began_s = time.monotonic()
        found = use(opened.bench)
        return found | {"about": opened.bench.about, "opened_s": opened.took_s, "took_s": time.monotonic() - began_s}


def _told(answer: Callable[[], Any]) -> Answer:
    """A user's mistake as its line; a bug ends the connection, and its traceback stays at the terminal."""
    try:
        return _json(answer())
    except (AutointerpError, SaeCoreError) as error:
        return _json({"error": safe_text(str(error))})


def _json(value: Any) -> Answer:
    return Answer("application/json", json.dumps(value, ensure_ascii=True).encode())
