"""Explainers that ask nobody: patterns that predict held-out windows, the empty text, and what others have written."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autointerp.config.asking import ExplainConfig
from autointerp.config.tree import Config
from autointerp.errors import AutointerpError, ConfigError, InputError
from autointerp.explain.contract import check_explainer
from autointerp.explain.explanation_files import read_explanation_file
from autointerp.explain.from_file import FileExplainer, FileSettings, open_explainer
from autointerp.explaining import explain_features
from autointerp.judges.offline.pattern import simulate
from autointerp.judges.tasks import SimulateTask
from autointerp.planning import make_plan
from autointerp.records.window import Window
from tests.explain.features import Direct, explain, make_feature, opened
from tests.score.planted import fires_after, fires_on

FEATURE = make_feature(fires_on(" return"), n_documents=300)


@pytest.mark.parametrize("name", ["pattern", "none"])
def test_nobody_is_asked(name: str) -> None:
    client = Direct()
    explain(FEATURE, name, client)
    assert client.asked == []
    assert opened(name).asks == "nobody"


def test_none_is_an_empty_text_and_no_failure() -> None:
    explanation = explain(FEATURE, "none")
    assert (explanation.text, explanation.failure, explanation.judge) == ("", None, "none")


def test_a_pattern_predicts_the_activations_of_held_out_windows() -> None:
    """Neuron2Graph's use: two tokens of different strength, and one of them in one context only."""
    strong, weak = fires_on(" return"), fires_after("ing", " walk")
    evidence = make_feature(lambda pieces, i: strong(pieces, i) or weak(pieces, i), n_documents=900)

    def scaled(window: Window) -> Window:
        texts = window.token_texts()
        levels = [a and (8.0 if t == " return" else 2.0) for t, a in zip(texts, window.activations, strict=True)]
        return replace(window, activations=tuple(levels))

    evidence = replace(evidence, windows=tuple(scaled(window) for window in evidence.windows))
    text = explain(evidence, "pattern").text or ""
    true, predicted = [], []
    for window in evidence.select("score", "top", "bin", "random", "near_miss"):
        marks = tuple(window.character_span(i) for i in range(len(window.token_ids)))
        predicted += simulate(SimulateTask(text, window.text, marks))
        true += window.activations
    assert np.corrcoef(true, predicted)[0, 1] > 0.95
    at = {value: {p for t, p in zip(true, predicted, strict=True) if t == value} for value in (8.0, 2.0)}
    assert min(at[8.0]) > max(at[2.0]) > 0


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def csv_file(folder: Path) -> Path:
    return write(folder / "a.csv", 'dictionary,feature,explanation,note\nsae,3,"cats, and ""dogs""",x\nmlp,3,fish,\n')


def json_file(folder: Path) -> Path:
    rows = [
        {"dictionary": "sae", "feature": 3, "explanation": 'cats, and "dogs"'},
        {"dictionary": "mlp", "feature": "3", "explanation": "fish"},
    ]
    return write(folder / "a.json", json.dumps(rows))


def json_lines(folder: Path) -> Path:
    rows = [
        {"dictionary": "sae", "feature": 3, "explanation": 'cats, and "dogs"'},
        {"dictionary": "mlp", "feature": 3, "explanation": "fish"},
        {"dictionary": "mlp", "feature": 4, "explanation": " "},
    ]
    return write(folder / "a.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n")


def neuronpedia(folder: Path) -> Path:
    rows = [
        {"modelId": "m", "layer": "sae", "index": "3", "description": 'cats, and "dogs"', "typeName": "x"},
        {"modelId": "m", "layer": "sae", "index": "3", "description": "a later one", "typeName": "y"},
        {"modelId": "m", "layer": "mlp", "index": "3", "description": "fish"},
        {"modelId": "m", "layer": "mlp", "index": "4", "description": None},
    ]
    path = folder / "batch-0.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def delphi(folder: Path) -> Path:
    write(folder / "run" / "explanations" / "sae_latent3.txt", json.dumps('cats, and "dogs"'))
    write(folder / "run" / "explanations" / "mlp_latent3.txt", json.dumps("fish"))
    write(folder / "run" / "explanations" / "notes.md", "not an explanation")
    return folder / "run"


FILES = [csv_file, json_file, json_lines, neuronpedia, delphi]


@pytest.mark.parametrize("made", FILES, ids=lambda made: made.__name__)
def test_every_kind_of_file_is_read(made: Callable[[Path], Path], tmp_path: Path) -> None:
    assert read_explanation_file(made(tmp_path)) == {"sae": {3: 'cats, and "dogs"'}, "mlp": {3: "fish"}}


def test_explanations_go_to_the_features_they_are_of_and_the_rest_is_told(tmp_path: Path) -> None:
    evidences = [
        make_feature(fires_on(" return"), feature=feature, dictionary=name, n_documents=60)
        for name, feature in (("sae", 3), ("sae", 4), ("mlp", 3), ("other", 3))
    ]
    told = asyncio.run(
        explain_features(
            evidences,
            explainers=[opened("from_file", path=csv_file(tmp_path))],
            client=Direct(),
            judge="pattern",
            seed=0,
        )
    )
    found = {(e.dictionary, e.feature): (e.text, e.failure, e.judge) for e in told}
    assert found == {
        ("sae", 3): ('cats, and "dogs"', None, "none"),
        ("sae", 4): (None, "missing", "none"),
        ("mlp", 3): ("fish", None, "none"),
        ("other", 3): (None, "missing", "none"),
    }


def text_of(path: Path, name: str = "planted", **settings: Any) -> str | None:
    evidence = make_feature(fires_on(" return"), feature=3, dictionary=name, n_documents=60)
    return explain(evidence, "from_file", path=path, **settings).text


def test_names_of_the_file_are_matched_by_the_settings(tmp_path: Path) -> None:
    several = delphi(tmp_path)
    assert text_of(several, dictionary="planted", source="mlp") == "fish"
    assert text_of(several, "other", dictionary="planted", source="mlp") is None
    assert text_of(several, "sae", dictionary="sae") == 'cats, and "dogs"'
    one = write(tmp_path / "one.csv", "feature,explanation\n3,birds\n")
    assert text_of(one, dictionary="planted") == "birds"
    plain = write(tmp_path / "plain.json", '{"3": "birds", "4": "bees"}')
    assert text_of(plain, dictionary="planted") == "birds"


def test_the_hash_is_of_the_explanations(tmp_path: Path) -> None:
    first = opened("from_file", path=csv_file(tmp_path)).prompt_hash
    assert first == opened("from_file", path=json_file(tmp_path)).prompt_hash
    other = write(tmp_path / "b.csv", "dictionary,feature,explanation\nsae,3,cats\nmlp,3,fish\n")
    assert first != opened("from_file", path=other).prompt_hash


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    path = write(tmp_path / "planted.csv", "dictionary,feature,explanation\nplanted,0,fires on lanterns\n")

    def made(given: FileSettings, config: ExplainConfig) -> FileExplainer:
        return open_explainer(given.model_copy(update={"path": path}), config)

    results = check_explainer(made, "from_file")
    assert not [result for result in results if result.is_passed is False], results
    assert sum(result.is_passed is True for result in results) >= 3


def test_it_is_planned_without_a_request(tmp_path: Path) -> None:
    explainer = {"name": "from_file", "path": csv_file(tmp_path)}
    config = Config.model_validate(
        {"dictionaries": [{"name": "d", "kind": "topk", "n_features": 64}], "explain": {"explainers": [explainer]}}
    )
    assert next(stage for stage in make_plan(config).stages if stage.scorer is None).n_requests == 0


PLAIN = "feature,explanation\n3,birds\n"
BAD: list[tuple[str, str | bytes, dict[str, object], type[AutointerpError], str]] = [
    ("a.csv", PLAIN, {}, ConfigError, r"needs dictionary, .* as \S+a\.csv does not name it"),
    ("a.csv", PLAIN, {"source": "x"}, ConfigError, "needs dictionary, .* where source is set"),
    ("a.csv", "index,text\n3,birds\n", {"dictionary": "d"}, InputError, r"a\.csv lacks the column 'explanation'"),
    ("a.csv", "feature,explanation\nx,birds\n", {"dictionary": "d"}, InputError, "line 2: feature 'x' is no whole"),
    ("a.csv", "feature,explanation\n-3,birds\n", {"dictionary": "d"}, InputError, "line 2: feature '-3' is no whole"),
    (
        "a.csv",
        "feature,explanation\n3,a\n3,b\n",
        {"dictionary": "d"},
        InputError,
        "line 3: feature 3 is explained",
    ),
    ("a.csv", "feature,explanation\n", {"dictionary": "d"}, InputError, r"a\.csv holds no explanation"),
    ("a.csv", "", {"dictionary": "d"}, InputError, "lacks the column"),
    ("a.csv", b"feature,explanation\n3,\xff\xfe\n", {"dictionary": "d"}, InputError, r"a\.csv is damaged .* in UTF-8"),
    ("a.json", "[1, 2]", {"dictionary": "d"}, InputError, "entry 1: int where an object is needed"),
    ("a.json", "{nope", {"dictionary": "d"}, InputError, r"a\.json is damaged: no JSON"),
    ("a.json", "3", {"dictionary": "d"}, InputError, "holds int; it needs a list"),
    ("a.json", '[{"feature": 3}]', {"dictionary": "d"}, InputError, "entry 1: 'explanation' is missing"),
    ("a.json", '[{"feature": true, "explanation": "x"}]', {"dictionary": "d"}, InputError, "feature True is no whole"),
    ("a.json", '{"3": ["x"]}', {"dictionary": "d"}, InputError, "explanation of feature 3 is no text"),
    (
        "a.jsonl",
        '{"feature": 3, "explanation": "x"}\n{"feat',
        {"dictionary": "d"},
        InputError,
        "line 2 is .*no JSON",
    ),
    ("a.jsonl.gz", b"no gzip", {"dictionary": "d"}, InputError, r"a\.jsonl\.gz cannot be read"),
    ("a.jsonl.gz", gzip.compress(b'{"feature": 3}' * 999)[:-20], {"dictionary": "d"}, InputError, "is damaged"),
    ("a.xlsx", b"PK", {"dictionary": "d"}, InputError, r"a\.xlsx is no file of explanations that is known"),
    ("s_latent3.txt", '"x"', {"dictionary": "d"}, InputError, "is no file of explanations"),
    (
        "a.csv",
        "dictionary,feature,explanation\ne,3,x\nf,3,y\n",
        {"dictionary": "d"},
        InputError,
        "holds explanations of e, f; set source of explainer 'from_file' to the one that is of dictionary 'd'",
    ),
]


@pytest.mark.parametrize(
    ("name", "content", "given_", "error", "message"), BAD, ids=[f"{n}-{b[0]}" for n, b in enumerate(BAD)]
)
def test_a_file_that_cannot_be_used_is_told_on_one_line(
    name: str,
    content: str | bytes,
    given_: dict[str, object],
    error: type[AutointerpError],
    message: str,
    tmp_path: Path,
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(error, match=message) as raised:
        opened("from_file", path=path, **given_)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["gone.csv", "gone.json", "gone.jsonl.gz", "gone"])
def test_a_file_that_is_not_there_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{name}.*(does not exist|cannot be read)"):
        opened("from_file", path=tmp_path / name)
    with pytest.raises(ConfigError, match="needs path"):
        opened("from_file")


def test_a_broken_file_of_delphi_is_named(tmp_path: Path) -> None:
    write(tmp_path / "s_latent3.txt", "no JSON")
    with pytest.raises(InputError, match=r"s_latent3\.txt is damaged: no JSON"):
        opened("from_file", path=tmp_path)
    with pytest.raises(InputError, match="holds no explanation"):
        read_explanation_file(delphi(tmp_path / "x") / "..")


TEXTS = st.text(min_size=1).filter(lambda text: text.strip() and "\x00" not in text and text.isprintable())


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(st.integers(0, 10**9), TEXTS, min_size=1, max_size=5))
def test_texts_come_back_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, texts: dict[int, str]) -> None:
    folder = tmp_path_factory.mktemp("told")
    rows = [{"feature": feature, "explanation": text} for feature, text in texts.items()]
    write(folder / "a.json", json.dumps(rows))
    write(folder / "a.jsonl", "\n".join(map(json.dumps, rows)))
    for feature, text in texts.items():
        write(folder / "d" / f"s_latent{feature}.txt", json.dumps(text))
    wanted = {feature: text.strip() for feature, text in texts.items()}
    for name, source in (("a.json", None), ("a.jsonl", None), ("d", "s")):
        assert read_explanation_file(folder / name) == {source: wanted}


def test_default_settings_make_no_file_explainer() -> None:
    results = check_explainer(open_explainer, "from_file")
    assert {result.is_passed for result in results} == {None}
    assert "needs path" in results[0].detail
