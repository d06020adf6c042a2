"""The table of what built-in judges can do says what they say themselves."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from autointerp.builtin_plugins import JUDGES, Abilities
from autointerp.errors import AutointerpError
from autointerp.judges.in_process import local, local_embedding
from autointerp.judges.judge import Capabilities
from autointerp.plugins import open_judge

HERE = {"base_url": "http://localhost:1/v1", "key_env": ""}
SETTINGS: dict[str, list[dict[str, Any]]] = {
    "openai": [
        {**HERE, "reply_format": "json_schema", "top_logprobs": 5},
        {**HERE, "reply_format": "none", "top_logprobs": 0},
    ],
    "local": [{"batch_size": 1}, {"batch_size": 8, "reply_format": "none"}],
    "vllm": [{}, {"reply_format": "none"}],
    "embedding": [HERE],
    "oracle": [{"evidence": "x"}],
    "liar": [{"evidence": "x"}],
    "noisy": [{"evidence": "x"}, {"evidence": "x", "sensitivity": 0.1}],
    "coin": [{}, {"heads": 0.9}],
}
"""Options with which a judge is made that needs some; where an ability is by option, both answers are among them."""


class Model:
    """Stands in for weights."""

    dtype = "float32"
    n_parameters = 135_000_000
    device = SimpleNamespace(type="cpu")

    def __init__(self, *_: Any, **__: Any) -> None: ...


class Files:
    """Stands in for a model's directory."""

    folder = None

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def read_tokenizer(self) -> tuple[Any, Any]:
        return SimpleNamespace(get_text_config=lambda: None), None


@pytest.fixture(autouse=True)
def engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither weights nor vLLM are needed to ask what a judge can do."""
    monkeypatch.setattr(local, "LocalModel", Model)
    monkeypatch.setattr(local_embedding, "ModelFiles", Files)
    failures: Any = ModuleType("vllm.exceptions")
    failures.VLLMClientError = failures.VLLMServerError = OSError
    for module in (ModuleType("vllm"), ModuleType("vllm.sampling_params"), failures):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def settings_of(name: str) -> list[dict[str, Any]]:
    return SETTINGS.get(name, [{}])


def spec(name: str) -> str:
    return f"{name}:m" if JUDGES[name].abilities.model == "needed" else name


def test_settings_are_of_judges_that_there_are() -> None:
    assert SETTINGS.keys() <= JUDGES.keys()


@pytest.mark.parametrize("name", sorted(JUDGES))
def test_a_row_says_what_the_judge_says(name: str) -> None:
    row = JUDGES[name].abilities
    said = [Abilities.stated_by(open_judge(spec(name), options).capabilities) for options in settings_of(name)]
    for field in ("local", "task", "logprobs", "schema", "same"):
        words = {getattr(abilities, field) for abilities in said}
        assert words == ({"yes", "no"} if getattr(row, field) == "option" else {getattr(row, field)}), field


@pytest.mark.parametrize("name", sorted(JUDGES))
def test_what_a_row_says_is_needed_is_needed(name: str) -> None:
    row = JUDGES[name].abilities
    if row.model == "needed":
        with pytest.raises(AutointerpError, match="needs a model"):
            open_judge(name, settings_of(name)[0])
    for option in row.needs:
        with pytest.raises(AutointerpError, match=option):
            open_judge(spec(name), {key: value for key, value in settings_of(name)[0].items() if key != option})
    if not row.needs and row.model == "none":
        open_judge(name)


def test_the_extra_of_a_row_is_one_of_the_packages() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    extras = {row.abilities.extra for row in JUDGES.values()} - {None}
    assert extras == {"models", "vllm"} <= project["optional-dependencies"].keys()


def test_every_row_says_what_the_judge_is() -> None:
    assert all(row.abilities.about for row in JUDGES.values())


def test_what_a_stranger_says_is_taken_as_it_stands() -> None:
    stated = Capabilities("e", "m", is_local=True, has_schema=True)
    row = Abilities.stated_by(stated, "a sample")
    assert (row.about, row.local, row.task, row.schema, row.same) == ("a sample", "yes", "no", "yes", "no")
    assert Abilities.stated_by(replace(stated, is_local=False, is_deterministic=True)).same == "yes"
