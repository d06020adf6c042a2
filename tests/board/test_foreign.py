"""Results of other tools: their numbers as they compute them, ours beside, never ranked together; and files of ours
that read back to the same numbers."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from autointerp.board.entries import build_entries
from autointerp.board.foreign.circuit_tracer import _example, cantor_index
from autointerp.board.foreign.reading import read_foreign
from autointerp.board.foreign.run_records import RunRecords
from autointerp.board.foreign.writing import WRITERS, write_delphi, write_saebench
from autointerp.board.leaderboard import render_leaderboard
from autointerp.board.scores import build_scores
from autointerp.board.standing import build_sections
from autointerp.board.summary import build_summary, read_summary, write_summary
from autointerp.errors import ArtefactError, ConfigError, InputError
from autointerp.explain.explanation_files import read_explanation_file
from autointerp.records.window import Window
from tests.board.synthetic import Run, make_run


def delphi_window(fires: bool, prediction: bool | None, probability: float | None = None) -> dict[str, Any]:
    return {
        "str_tokens": ["a", " b"],
        "activations": [0.0, 1.5 if fires else 0.0],
        "distance": 3 if fires else -1,
        "activating": fires,
        "prediction": prediction,
        "probability": probability,
        "correct": None if prediction is None else prediction == fires,
    }


def write_delphi_run(root: Path, *, n_latents: int = 6, lost_frac: float = 0.2) -> list[list[dict[str, Any]]]:
    """A made-up delphi folder of one hookpoint; gives its windows."""
    rng = np.random.default_rng(0)
    latents = []
    folder = root / "scores" / "detection"
    folder.mkdir(parents=True)
    for latent in range(n_latents):
        windows = []
        for fires in (True,) * 8 + (False,) * 8:
            right = rng.random() < 0.8
            lost = rng.random() < lost_frac
            windows.append(
                delphi_window(fires, None if lost else fires == right, None if lost else float(rng.random()))
            )
        (folder / f"layers.3.mlp_latent{latent}.txt").write_text(json.dumps(windows))
        latents.append(windows)
    (root / "run_config.json").write_text(json.dumps({"explainer_model": "some/judge", "sampler_cfg": {"n": 8}}))
    return latents


def test_delphi_f1_is_its_own_where_lost_answers_are_left_out(tmp_path: Path) -> None:
    latents = write_delphi_run(tmp_path)
    (entry,) = read_foreign(f"delphi:{tmp_path}")["entries"]
    kept = [[w for w in windows if w["prediction"] is not None] for windows in latents]

    def sklearn_f1(windows: list[dict[str, Any]]) -> float:
        return float(f1_score([w["activating"] for w in windows], [w["prediction"] for w in windows]))

    own, pooled = np.mean([sklearn_f1(windows) for windows in kept]), sklearn_f1([w for ws in kept for w in ws])
    # a lost answer is wrong: silent where it fires, firing where it is silent
    wrong = [
        [{**w, "prediction": not w["activating"] if w["prediction"] is None else w["prediction"]} for w in windows]
        for windows in latents
    ]
    strict = np.mean([sklearn_f1(windows) for windows in wrong])
    assert entry["f1_lenient"]["mean"] == pytest.approx(own)
    assert entry["f1"]["mean"] == entry["score"]["mean"] == pytest.approx(strict)
    assert strict < own
    n_lost = sum(w["prediction"] is None for windows in latents for w in windows)
    note = entry["protocol"]["note"]
    assert f"{pooled:.3f} pooled over windows, {own:.3f} as the mean over latents" in note
    assert f"{n_lost} of 96 answers out that were lost. Counted as wrong, the mean is {strict:.3f}." in note
    assert entry["unparsed_frac"] == pytest.approx(n_lost / 96)
    assert entry["baselines"]["always_yes_f1"] == pytest.approx(2 / 3)
    assert (entry["name"], entry["judge"], entry["scorer"]) == ("layers.3.mlp", "some/judge", "delphi/detection")


def test_without_lost_answers_both_are_the_same_and_the_note_says_so(tmp_path: Path) -> None:
    write_delphi_run(tmp_path, lost_frac=0.0)
    (entry,) = read_foreign(f"delphi:{tmp_path / 'scores'}")["entries"]
    assert entry["f1"] == {**entry["f1_lenient"], "lo": entry["f1"]["lo"], "hi": entry["f1"]["hi"]}
    assert "no answer was lost" in entry["protocol"]["note"]


def saebench_document(scores: dict[str, tuple[list[int], list[int]]], *, n_latents: int) -> dict[str, Any]:
    """Predictions and firing examples, of 14, by latent."""
    latents = {
        latent: {
            "latent": int(latent),
            "explanation": "x",
            "predictions": called,
            "correct seqs": firing,
            "score": (14 - len(set(called) ^ set(firing))) / 14,
            "logs": "",
        }
        for latent, (called, firing) in scores.items()
    }
    config = {
        "n_latents": n_latents,
        "n_top_ex_for_scoring": 2,
        "n_iw_sampled_ex_for_scoring": 2,
        "n_random_ex_for_scoring": 10,
        "total_tokens": 2_000_000,
    }
    values = [latent["score"] for latent in latents.values()]
    metrics = {"autointerp_score": float(np.mean(values)), "autointerp_std_dev": float(np.std(values, ddof=1))}
    return {
        "eval_type_id": "autointerp",
        "eval_config": config,
        "eval_result_metrics": {"autointerp": metrics},
        "eval_result_unstructured": latents,
        "sae_lens_release_id": "rel",
        "sae_lens_id": "blocks.3",
    }


def test_saebench_accuracy_with_the_line_it_leaves_out_and_the_latents_it_drops(tmp_path: Path) -> None:
    firing = [1, 2, 3, 4]
    document = saebench_document({"5": ([1, 2, 3, 4], firing), "9": ([1, 2, 9], firing)}, n_latents=3)
    (tmp_path / "x_eval_results.json").write_text(json.dumps(document))
    (tmp_path / "other.json").write_text(json.dumps({"eval_type_id": "scr"}))
    (entry,) = read_foreign(f"saebench:{tmp_path}")["entries"]
    assert entry["metric"] == "accuracy"
    assert entry["score"]["mean"] == pytest.approx((1 + 11 / 14) / 2)
    assert entry["chance"] == pytest.approx(10 / 14)
    assert entry["f1"]["mean"] == pytest.approx((1 + 2 * 2 / (2 * 2 + 1 + 2)) / 2)
    assert (entry["n_sampled"], entry["n_scored"], entry["unscored"]["judge"]) == (3, 2, 1)
    assert "1 of 3 latents are left out" in entry["protocol"]["note"]
    document["eval_result_unstructured"] = None
    (tmp_path / "x_eval_results.json").write_text(json.dumps(document))
    (bare,) = read_foreign(f"saebench:{tmp_path}")["entries"]
    assert bare["score"]["mean"] == pytest.approx(entry["score"]["mean"])
    assert bare["score"]["lo"] < bare["score"]["mean"] < bare["score"]["hi"]


@pytest.fixture(scope="module")
def run() -> Run:
    return make_run({"sae": "noisy", "random": "coin"}, n_features=5)


def records(run: Run) -> RunRecords:
    return RunRecords("demo", "builtin", "scripted", run.evidences, run.explanations, run.verdicts, {})


def own_entries(run: Run) -> list[dict[str, Any]]:
    scores = build_scores(run.evidences, run.explanations, run.verdicts)
    return build_summary("demo", build_entries(scores, seed=0))["entries"]


def test_a_run_written_for_delphi_reads_back_to_our_numbers(run: Run, tmp_path: Path) -> None:
    write_delphi(records(run), tmp_path)
    ours = {entry["name"]: entry for entry in own_entries(run)}
    theirs = {entry["name"]: entry for entry in read_foreign(f"delphi:{tmp_path}")["entries"]}
    assert theirs.keys() == ours.keys()
    for name, entry in theirs.items():
        for measure in ("f1", "f1_lenient", "balanced_accuracy"):
            assert entry[measure]["mean"] == pytest.approx(ours[name][measure]["mean"])
        assert entry["n_sampled"] == ours[name]["n_sampled"]
        assert entry["unparsed_frac"] == pytest.approx(ours[name]["unparsed_frac"])
    text = json.loads((tmp_path / "explanations" / "sae_latent7.txt").read_text())
    assert text == next(e.text for e in run.explanations if (e.dictionary, e.feature) == ("sae", 7))


def test_a_run_written_for_saebench_reads_back_to_our_accuracy(run: Run, tmp_path: Path) -> None:
    written = write_saebench(records(run), tmp_path)
    scores = build_scores(run.evidences, run.explanations, run.verdicts)
    for entry in read_foreign(f"saebench:{tmp_path}")["entries"]:
        own = scores[scores["dictionary"] == entry["name"].removeprefix("demo/")]
        assert entry["score"]["mean"] == pytest.approx(own["accuracy"].mean())
        assert entry["f1"]["mean"] == pytest.approx(own["f1"].mean())
        assert entry["chance"] == pytest.approx(own["always_no_accuracy"].mean())
    assert len(written) == 2


def test_neuronpedia_lines_hold_every_feature_with_its_explanation_and_score(run: Run, tmp_path: Path) -> None:
    WRITERS["neuronpedia"](records(run), tmp_path)

    def lines(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in gzip.decompress((tmp_path / "sae" / name).read_bytes()).splitlines()]

    features, told, activations = (lines(f"{n}.jsonl.gz") for n in ("features", "explanations", "activations"))
    assert [f["index"] for f in features] == [t["index"] for t in told] == ["0", "7", "14", "21", "28"]
    assert features[0]["pos_values"] == sorted(features[0]["pos_values"], reverse=True)
    assert len(features[0]["freq_hist_data_bar_heights"]) == len(features[0]["freq_hist_data_bar_values"])
    for activation in activations:
        assert activation["values"][activation["maxValueTokenIndex"]] == activation["maxValue"] > 0
        assert len(activation["tokens"]) == len(activation["values"])
    scores = build_scores(run.evidences, run.explanations, run.verdicts)
    own = scores[(scores["dictionary"] == "sae") & (scores["feature"] == 7)]["balanced_accuracy"].item()
    assert told[1]["scores"][0]["value"] == pytest.approx(own)


def _as_the_page_reads(folder: Path, layer: int, feature: int) -> dict[str, Any]:
    """circuit-tracer's loadFeatureFromBinary, and getFile for a `bin`: bytes from one offset to the next, both ends."""
    entry = json.loads(gzip.decompress((folder / "index.json.gz").read_bytes()))[layer]
    start, end = entry["offsets"][feature], entry["offsets"][feature + 1]
    content = (folder / entry["filename"]).read_bytes()[start : end + 1]
    size = content[0] | content[1] << 8 | content[2] << 16 | content[3] << 24
    return json.loads(zlib.decompress(content[4 : 4 + size]))


def _unpaired(z: int) -> tuple[int, int]:
    """circuit-tracer's cantorUnpair."""
    w = (math.isqrt(8 * z + 1) - 1) // 2
    y = z - (w * w + w) // 2
    return w - y, y


def test_features_for_circuit_tracer_are_read_as_its_page_reads_them(run: Run, tmp_path: Path) -> None:
    evidences = [replace(e, site="mlp_in.3") for e in records(run).evidences]
    layers = {e.dictionary: 3 for e in evidences}
    assert len(layers) == 2
    written = WRITERS["circuit_tracer"](replace(records(run), evidences=evidences), tmp_path)
    assert {path.parent.name for path in written} == set(layers)
    for evidence in evidences:
        folder, layer = tmp_path / evidence.dictionary, layers[evidence.dictionary]
        found = _as_the_page_reads(folder, layer, evidence.feature)
        index = cantor_index(layer, evidence.feature)
        assert _unpaired(index) == (layer, evidence.feature)
        assert json.loads((folder / f"{index}.json").read_text()) == found
        assert (found["act_min"], found["act_max"]) == (evidence.rule.threshold, evidence.max_activation)
        assert found["activation_frequency"] == evidence.density
        assert found["top_logits"] == [effect.text for effect in evidence.top_logits[:10]]
        headings = [heading["quantile_name"] for heading in found["examples_quantiles"]]
        assert headings[0] == "Top" and headings[1:] == sorted(headings[1:], reverse=True)
        for heading in found["examples_quantiles"]:
            for example in heading["examples"]:
                acts = example["tokens_acts_list"]
                assert len(acts) == len(example["tokens"]) and acts[example["train_token_ind"]] == max(acts) > 0
    # dictionaries of different layers are one set of transcoders
    apart = [replace(e, site=f"mlp_in.{sorted(layers).index(e.dictionary)}") for e in evidences]
    WRITERS["circuit_tracer"](replace(records(run), evidences=apart), tmp_path / "set")
    index = json.loads(gzip.decompress((tmp_path / "set/index.json.gz").read_bytes()))
    assert [entry["filename"] for entry in index] == [f"layer_{i}.bin" for i in range(len(layers))]
    with pytest.raises(InputError, match="names no layer"):
        WRITERS["circuit_tracer"](replace(records(run), evidences=[replace(evidences[0], site="imported")]), tmp_path)


def test_bytes_of_one_character_are_written_as_circuit_tracer_joins_them() -> None:
    window = Window(
        id="a",
        document="a",
        offset=0,
        role="score",
        kind="top",
        bin=0,
        text="a京b",
        token_ids=(1, 2, 3),
        token_starts=(0, 2, 4, 5),
        activations=(0.0, 2.0, 0.0),
        candidate=1,
    )
    assert _example(window)["tokens"] == ["a\\xe4", "\\xba\\xac", "b"]
    assert _example(window)["train_token_ind"] == 1


def test_what_was_written_is_read_as_explanations_again(run: Run, tmp_path: Path) -> None:
    write_delphi(records(run), tmp_path)
    WRITERS["neuronpedia"](records(run), tmp_path)
    own: dict[str, dict[int, str]] = {}
    for explanation in run.explanations:
        own.setdefault(explanation.dictionary, {})[explanation.feature] = (explanation.text or "").strip()
    assert read_explanation_file(tmp_path / "explanations") == own
    assert read_explanation_file(tmp_path / "sae" / "explanations.jsonl.gz") == {"sae": own["sae"]}


def test_foreign_entries_stand_apart_even_together(run: Run, tmp_path: Path) -> None:
    write_delphi_run(tmp_path)
    foreign = read_foreign(f"delphi:{tmp_path}")
    summaries = [{**build_summary("demo", []), "entries": own_entries(run)}, foreign]
    for is_together in (False, True):
        sections = build_sections(summaries, is_together=is_together)
        kinds = [{bool(s.entry.get("protocol", {}).get("foreign")) for s in section.standings} for section in sections]
        assert sorted(map(sorted, kinds)) == [[False], [True]]
    text = render_leaderboard(summaries, "md")
    assert "from files of delphi" in text
    assert "never ranked with ours" in text
    assert "delphi's own F1 is" in text
    path = tmp_path / "summary.json"
    write_summary(path, foreign)
    assert read_summary(path)["entries"] == json.loads(json.dumps(foreign["entries"]))


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("delphy:x", ConfigError, "--with delphy:x: give TOOL:PATH, TOOL being one of delphi, saebench"),
        ("delphi", ConfigError, "give TOOL:PATH"),
        ("delphi:/does/not/exist", InputError, "does not exist; give a folder or file of delphi's results"),
    ],
)
def test_wrong_specs_say_what_is_right(spec: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_foreign(spec)


def test_empty_and_damaged_folders_are_told(tmp_path: Path) -> None:
    for tool in ("delphi", "saebench"):
        with pytest.raises(InputError, match="are there"):
            read_foreign(f"{tool}:{tmp_path}")
    folder = tmp_path / "scores" / "fuzz"
    folder.mkdir(parents=True)
    (folder / "h_latent1.txt").write_text("[{")
    with pytest.raises(ArtefactError, match=r"h_latent1.txt is damaged"):
        read_foreign(f"delphi:{tmp_path}")
    (folder / "h_latent1.txt").write_text('[{"ev_correlation_score": 0.5}]')
    with pytest.raises(InputError, match="no scores of delphi"):
        read_foreign(f"delphi:{tmp_path}")
