"""Other tools' evidence: what the files say comes in whole, shared out without leaks, and is scored without a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from autointerp import Run
from autointerp.records.evidence import Evidence
from tests.harvest.imported.caches import (
    N_CONTEXTS,
    WIDTH,
    WORDS,
    Cached,
    dashboard,
    neuronpedia,
    save_delphi,
    value_at,
)
from tests.integration.commands import arguments, call, one_line

SMALL = arguments(
    "harvest.min_firing=5", "harvest.n_top=6", "harvest.n_bins=2", "harvest.n_per_bin=5", "harvest.n_random=12",
    "harvest.window_left=7", "harvest.window_right=8", "harvest.n_near_miss=4",
)  # fmt: skip
FREE = arguments("explain.judge='pattern'", "score.judge='pattern'")


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Cached:
    return save_delphi(tmp_path_factory.mktemp("delphi"))


@pytest.fixture(scope="module")
def delphi_run(cached: Cached, tmp_path_factory: pytest.TempPathFactory) -> Run:
    from autointerp.cli.main import _run

    out = tmp_path_factory.mktemp("imported") / "cache"
    words = ["evidence", "import", cached.run, "--out", out, "--tokenizer", cached.tokenizer, "--json", *SMALL]
    assert _run([str(word) for word in words]) == 0
    return Run(out)


def test_a_cache_of_delphi_comes_in_as_it_is(cached: Cached, delphi_run: Run) -> None:
    """Held against the cache's own tokens: counts, activations, text, and silence."""
    is_text = cached.tokens != 0
    evidence = delphi_run.evidence("layers-0-mlp")
    assert [e.feature for e in evidence] == sorted(cached.fires_on)
    for e in evidence:
        token = cached.fires_on[e.feature]
        assert (e.site, e.rule.kind) == ("layers.0.mlp", "above_zero")
        assert (e.n_tokens, e.n_firing) == (int(is_text.sum()), int((cached.tokens == token).sum()))
        assert [use.token_id for use in e.token_uses] == [token]
        for window in e.windows:
            row = int(window.document.removeprefix("row"))
            span = slice(window.offset, window.offset + len(window.token_ids))
            assert window.token_ids == tuple(cached.tokens[row, span].tolist())
            expected = [
                value_at(row, window.offset + place, e.feature) if id_ == token else 0.0
                for place, id_ in enumerate(window.token_ids)
            ]
            assert window.activations == tuple(expected)
            assert window.is_firing == (token in window.token_ids)
        assert {"top", "bin", "random"} <= {window.kind for window in e.windows}


def documents(evidence: list[Evidence], role: str) -> set[str]:
    return {window.document for e in evidence for window in e.windows if window.role == role}


def test_no_text_serves_two_roles(delphi_run: Run) -> None:
    evidence = delphi_run.evidence()
    explain, score = (documents(evidence, role) for role in ("explain", "score"))
    assert explain
    assert score
    assert not explain & score


def scored(capsys: pytest.CaptureFixture[str], run: Path, out: Path) -> Run:
    called = call(capsys, "rescore", run, "--out", out, *FREE)
    assert called.code == 0, called.err
    return Run(out)


def test_it_is_explained_and_scored_without_a_model(
    delphi_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = scored(capsys, delphi_run.path, tmp_path / "scored")
    (entry,) = run.summary["entries"]
    assert (entry["n_scored"], entry["site"]) == (len(WORDS), "layers.0.mlp")
    assert entry["f1"]["mean"] > 0.9  # a word's last token may be a part of other words, too
    assert (run.summary["about"]["subject"], run.summary["about"]["corpus"]) == ("tiny", "some/texts")
    # the run that was made goes on by itself, too
    called = call(capsys, "run", delphi_run.path / "config.toml", "--out", tmp_path / "copy", "--until", "train")
    one_line(called, "dictionaries.layers-0-mlp has kind 'evidence'", "only its evidence is there")


def test_the_manifest_and_the_file_say_what_is_lacking(delphi_run: Run) -> None:
    import pyarrow.parquet as pq

    (lacks,) = delphi_run.manifest["stages"]["harvest"]["imported"].values()
    assert any("no logit effects" in line for line in lacks)
    metadata = pq.read_schema(delphi_run.layout.evidence_file("layers-0-mlp")).metadata
    assert b"no logit effects" in metadata[b"autointerp.evidence.lacks"]


@pytest.mark.parametrize("kind", ["neuronpedia", "dashboard"])
def test_an_activation_export_comes_in(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = neuronpedia(tmp_path / "export") if kind == "neuronpedia" else dashboard(tmp_path / "batch-0.json")
    called = call(capsys, "evidence", "import", source, "--out", tmp_path / "run", *SMALL)
    assert called.code == 0, called.err
    assert "0-res-jb: evidence about 6 features" in called.out
    assert "lacks: silent windows are stretches of texts that the feature fires in elsewhere" in called.out
    run = Run(tmp_path / "run")
    for e, word in zip(run.evidence("0-res-jb"), WORDS, strict=True):
        assert e.density == 0.01
        assert e.top_logits[0].text == f" {word}"
        assert [use.text for use in e.token_uses] == [f" {word}"]
        assert (e.counts, e.context) == (None, None)
        for window in e.windows:
            assert "<|endoftext|>" not in window.text
            assert window.is_firing == (f" {word}" in window.token_texts())
    e = run.evidence()[0]
    if kind == "neuronpedia":
        assert (e.site, e.neuron.index, e.max_activation) == ("blocks.0.hook_resid_pre", 3, 9.0)  # type: ignore[union-attr]
        assert e.bottom_logits[0].text == " no"
    else:
        assert (e.n_tokens, e.n_firing, run.config.corpus.path) == (64_000, 640, "some/texts")
    explain, score = (documents(run.evidence(), role) for role in ("explain", "score"))
    assert not explain & score
    if kind == "neuronpedia":
        (entry,) = scored(capsys, run.path, tmp_path / "scored").summary["entries"]
        assert (entry["n_scored"], entry["f1"]["mean"]) == (len(WORDS), 1.0)


def test_texts_that_share_a_passage_have_one_role() -> None:
    from autointerp.harvest.imported.neuronpedia import FeatureRecord, _roles, _text_id

    record = FeatureRecord()
    passages = [[f" p{group}-{i}" for i in range(40)] for group in range(30)]
    cuts = [(passage[start : start + 20], group) for group, passage in enumerate(passages) for start in (0, 8, 16)]
    for tokens, _ in cuts:
        record.texts[_text_id(tokens)] = (tuple(tokens), (0.0,) * len(tokens))
    roles = _roles([record])
    by_passage = {group: {roles[_text_id(tokens)] for tokens, own in cuts if own == group} for group in range(30)}
    assert all(len(found) == 1 for found in by_passage.values())
    assert set.union(*by_passage.values()) == {"explain", "score"}


Change = Callable[[dict[str, Any]], None]


def changed(key: str, edit: Callable[[np.ndarray], Any]) -> Change:
    def change(parts: dict[str, Any]) -> None:
        parts[key] = edit(parts[key])

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda parts: parts.pop("activations"), "lacks 'activations'"),
        (changed("locations", lambda a: a[:, :2].copy()), "3 a row (context, position, latent)"),
        (changed("activations", lambda a: a[:-1].copy()), "one number per row of locations"),
        (changed("activations", lambda a: a * np.float16("nan")), "is not finite"),
        (changed("locations", lambda a: a + np.array([N_CONTEXTS, 0, 0], dtype=a.dtype)), f"there are {N_CONTEXTS}"),
        (changed("locations", lambda a: a + np.array([0, WIDTH, 0], dtype=a.dtype)), f"there are {WIDTH}"),
        (changed("locations", lambda a: a + np.array([0, 0, 99], dtype=a.dtype)), "locations name latent"),
        (changed("tokens", lambda a: a + 1), "its tokens are not those of the other splits"),
        (changed("tokens", lambda a: a.astype(np.float32)), "tokens must be a matrix of ids"),
        (changed("locations", lambda a: np.repeat(a[:1], len(a), axis=0)), "is listed twice at one token"),
    ],
)
def test_a_bad_cache_is_one_line(
    cached: Cached, change: Change, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "latents"
    module.mkdir()
    for path in cached.module.glob("*.safetensors"):
        parts = load_file(path)
        if path.name.startswith("6_"):
            change(parts)
        save_file(parts, module / path.name)
    words = ["evidence", "import", module, "--out", tmp_path / "run", "--tokenizer", cached.tokenizer, *SMALL]
    one_line(call(capsys, *words), said)
    assert not (tmp_path / "run").exists()


def test_what_is_missing_around_a_cache_is_one_line(
    cached: Cached, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    module = Path(shutil.copytree(cached.module, tmp_path / "module"))
    out = ["--out", tmp_path / "run"]
    (module / "config.json").unlink()
    one_line(call(capsys, "evidence", "import", module, *out), "does not say which model was cached", "--tokenizer")
    for path in module.glob("*.safetensors"):
        parts = load_file(path)
        save_file({key: parts[key] for key in ("locations", "activations")}, path)
    one_line(call(capsys, "evidence", "import", module, *out, "--tokenizer", cached.tokenizer), "holds no tokens")
    (module / "0_5.safetensors").write_bytes(b"cut")
    one_line(call(capsys, "evidence", "import", module, *out, "--tokenizer", cached.tokenizer), "is damaged")
    one_line(call(capsys, "evidence", "import", tmp_path / "no", *out), "does not exist")
    one_line(call(capsys, "evidence", "import", tmp_path / "module", *out, "--format", "x"), "no such format")
    (tmp_path / "empty").mkdir()
    one_line(call(capsys, "evidence", "import", tmp_path / "empty", *out), "there are no files START_END.safetensors")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("kept")
    one_line(call(capsys, "evidence", "import", cached.run, *out), "exists and is not empty")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"index": "1", "tokens": ["a", 3], "values": [1, 2]}', "line 1: 'tokens' must be a list of strings"),
        ('{"index": "1", "tokens": ["a", "b"], "values": [1]}', "line 1: 'values' must be a list of 2 numbers"),
        ('{"index": "1", "tokens": ["a"], "values": ["x"]}', "line 1: 'values' must be numbers"),
        ('{"index": "1", "tokens": ["a"], "values": [NaN]}', "line 1: a value is not finite"),
        ('{"index": "one", "tokens": ["a"], "values": [1]}', "line 1: index = 'one' is no feature's number"),
        ('{"index": "1", "tokens": ["a"], "values"', "line 1 is damaged: no JSON"),
        ("[" * 100_000, "line 1 is damaged: nested too deeply"),
        ('{"a": 1}', "no JSON of activations with tokens and values"),
    ],
)
def test_a_bad_export_is_one_line(row: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "activations.jsonl").write_text(row + "\n")
    one_line(call(capsys, "evidence", "import", tmp_path / "activations.jsonl", "--out", tmp_path / "run"), said)


def test_what_we_export_for_neuronpedia_comes_in_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from autointerp import pipeline
    from tests.stages.harvested import FEATURES, make_config, make_run

    config = make_config("explain.judge='coin'", "score.judge='coin'")
    make_run(tmp_path / "run", config)
    pipeline.run(config, out=tmp_path / "run")
    assert call(capsys, "export", tmp_path / "run", "--to", "neuronpedia", "--out", tmp_path / "export").code == 0
    assert call(capsys, "evidence", "import", tmp_path / "export", "--out", tmp_path / "back", *SMALL).code == 0
    back = Run(tmp_path / "back")
    assert [entry.name for entry in back.config.dictionaries] == ["neurons", "sae"]
    assert {e.feature for e in back.evidence("sae")} <= {*FEATURES, FEATURES[-1] + 7}
    before = {e.feature: e.density for e in Run(tmp_path / "run").evidence("sae")}
    assert all(e.density == before[e.feature] for e in back.evidence("sae"))
    assert json.loads((tmp_path / "back" / "manifest.json").read_text())["stages"].keys() == {"train", "harvest"}
