"""The study of O'Neill et al. 2024 where the truth is known, and in miniature on a tiny subject."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from autointerp.errors import ConfigError
from autointerp.progress import SilentProgress
from autointerp.studies.oneill2024.figure7 import difference_of, entry_mean
from autointerp.studies.oneill2024.options import OneillOptions, encoder_pair
from autointerp.studies.oneill2024.provenance import implied_hidden
from autointerp.studies.oneill2024.study import STUDY
from autointerp.studies.oneill2024.synthetic import above, measure_synthetic, seed_gap, seed_interval
from autointerp.studies.paper import Setting, measure_parts, open_settings, split_at_hand
from autointerp.studies.paper_page import write_page
from sae_core.published_flops import published_mlp_training_flops, published_sae_training_flops
from tests.integration.test_recipes import ONEILL
from tests.integration.world import save_corpus, save_subject


@pytest.mark.parametrize(("hidden", "n_steps"), [(32, 50_000), (256, 39_500)])
def test_a_hidden_width_follows_from_its_flops(hidden: int, n_steps: int) -> None:
    sizes: Any = {"n_rows": 1024, "d_in": 8, "n_features": 16, "n_steps": n_steps}
    counts = published_mlp_training_flops(d_hidden=hidden, **sizes), published_sae_training_flops(**sizes)
    assert implied_hidden(*counts, n_features=16, d_in=8) == pytest.approx((n_steps, hidden))


def test_the_published_results_of_the_grid_are_of_width_32() -> None:
    assert implied_hidden(294_092_800_000, 89_292_800_000, n_features=16, d_in=8) == (50_000, 32)


def test_gaps_are_paired_by_seed_and_decided_by_the_whole_interval() -> None:
    first = [{"seed": seed, "r": 0.5 + 0.1 * seed} for seed in range(4)]
    second = [{"seed": seed, "r": 0.1 * seed} for seed in (3, 1, 2)]
    gap = seed_gap(first, second, "r")
    assert gap is not None and (gap.mean, gap.lo, gap.hi, gap.n) == pytest.approx((0.5, 0.5, 0.5, 3))
    assert above("more", "-", gap).verdict == "holds"
    assert seed_gap(first[:1], second, "r") is None
    wide = seed_interval([0.1, -0.1, 0.3])
    assert wide is not None and wide.lo < 0 < wide.hi and above("more", "-", wide).verdict == "undecided"
    assert above("more", "-", None).verdict == "not measured"


def scores(**by_entry: float) -> Any:
    """A run whose entries' macro-F1 lie around these means, in two trainings each."""
    rng = np.random.default_rng(0)
    spread = rng.uniform(-0.05, 0.05, 60)
    rows = [
        {"scorer": "marked", "explainer": "windows", "dictionary": f"{entry}.seed{seed}" if seed else entry}
        | {"feature": feature, "macro_f1": mean + off, "density": 0.01 * (1 + abs(off))}
        for entry, mean in by_entry.items()
        for seed in (0, 1)
        for feature, off in enumerate(spread)
    ]
    return SimpleNamespace(scores=pd.DataFrame(rows), config=SimpleNamespace(seed=0))


@pytest.mark.parametrize(("mlp", "sae"), [("deep", "plain"), ("wide", "plain")])
def test_a_planted_difference_is_found_whichever_name_comes_first(mlp: str, sae: str) -> None:
    found = difference_of(scores(**{mlp: 0.7, sae: 0.6, "other": 0.1}), mlp, sae)
    assert found is not None and found.difference is not None
    sign = 1 if found.first == mlp else -1
    assert sign * found.difference.mean == pytest.approx(0.1)
    assert found.equal_density is not None and found.equal_density.n_pairs > 50


def test_a_mean_over_trainings_that_differ_is_as_uncertain_as_they_are() -> None:
    features = [{"entry": "sae", "feature": n, "macro_f1": 0.5 + 0.01 * (n % 3)} for n in range(40)]
    one = [{**row, "dictionary": "a"} for row in features]
    other = [{**row, "dictionary": "b", "macro_f1": row["macro_f1"] + 0.3} for row in features]
    alone, both = entry_mean(one, "sae", seed=0), entry_mean(one + other, "sae", seed=0)
    assert alone is not None and both is not None
    assert alone.hi - alone.lo < 0.02 and both.hi - both.lo > 0.5
    assert entry_mean(one, "absent", seed=0) is None


SIZES: dict[str, dict[str, Any]] = {
    "amortisation-gap": {"n_steps": 5, "n_features_values": [16, 24, 32], "n_starts": 1},
    "known-codes": {"n_steps": 10, "widest_hidden": 32},
    "known-dictionary": {"n_steps": 10},
    "unknown": {"n_steps": 16, "n_inference_steps": 5, "n_chains": 1},
    "regimes": {
        "n_steps": 5,
        "n_log_code_steps": 5,
        "n_inference_steps": 5,
        "n_chains": 1,
        "d_in_values": [8],
        "n_features_values": [16, 32],
        "k_values": [3, 9],
    },
    "widths": {"n_steps": 5, "widest_hidden": 32, "sizes": [[16, 8, 3], [32, 16, 6], [64, 16, 6]]},
    "topk-coding": {
        "n_steps": 5, "n_log_code_steps": 5, "n_inference_steps": 5, "n_chains": 1, "k_values": [1, 3]
    },
    "decoder-weights": {"n_steps": 5, "n_chains": 1, "n_features_values": [8, 16, 20]},
}  # fmt: skip
ON_SUBJECT = ("figure7", "training")


def opened(tmp_path: Path, recipe: str, *overrides: str) -> Setting[OneillOptions]:
    (made,) = open_settings(
        STUDY,
        preset="quick",
        recipe=recipe,
        overrides=overrides,
        folder=tmp_path / "out",
        progress=SilentProgress(),
    )
    return made


def synthetic(tmp_path: Path, *parts: str) -> Setting[OneillOptions]:
    sizes = [
        f"study.sizes.{name}.{key}={json.dumps(value)}"
        for name, values in SIZES.items()
        for key, value in ({"n_seeds": 2, "n_samples": 48} | values).items()
    ]
    return opened(tmp_path, "studies/oneill2024_synthetic", f"study.parts={list(parts)}", "study.kept=[]", *sizes)


@pytest.mark.parametrize(
    "parts",
    [
        ("theorem", "widths"),
        pytest.param([part.name for part in STUDY.parts if not part.reads_subject], marks=pytest.mark.full),
    ],
    ids=["two", "all"],
)
def test_synthetic_parts_in_miniature_make_one_page(tmp_path: Path, parts: list[str]) -> None:
    made, folder = synthetic(tmp_path, *parts), tmp_path / "out"
    done = list(measure_parts(STUDY, [made], folder=folder))
    assert sorted(each.part for each in done) == sorted(parts)
    page = write_page(STUDY, [made], done, folder=folder, command="autointerp study oneill2024")
    assert "sources drawn at random, no subject" in page and str(tmp_path) not in page
    assert not re.search(r"\bnan\b", page)
    assert "the best misses 0.0687 of a code's square" in page
    assert "those of 32" in page and (folder / "synthetic-widths-provenance.csv").is_file()
    assert all(each.claims and each.tables and each.figures for each in done)
    (folder / "parts" / f"synthetic-{parts[-1]}.json").unlink()
    again = list(measure_parts(STUDY, [made], folder=folder))
    assert [each.claims for each in again] == [each.claims for each in done]


def test_the_recipe_for_gpt2_shrunken_gets_figure_seven(tmp_path: Path) -> None:
    corpus = save_corpus(tmp_path / "corpus.jsonl")
    model = save_subject(tmp_path / "model", corpus)
    paths = (f"subject.model='{model}'", f"corpus.path='{corpus}'")
    made, folder = opened(tmp_path, "oneill2024_gpt2_l9", *paths, *ONEILL), tmp_path / "out"
    assert [part.name for part in STUDY.parts_on(made)] == list(ON_SUBJECT)
    done = list(measure_parts(STUDY, [made], folder=folder))
    page = write_page(STUDY, [made], done, folder=folder, command="autointerp study oneill2024")
    assert [each.part for each in done] == list(ON_SUBJECT)
    assert "0.639 (median 0.662)" in page and "+0.047 [+0.003, +0.092]" in page and str(tmp_path) not in page
    table, features = (
        list(csv.DictReader((folder / f"oneill2024_gpt2_l9-{name}.csv").open()))
        for name in ("figure7", "figure7-features")
    )
    assert [row["entry"] for row in table] == ["sae", "mlp", "neurons", "random"]
    assert {(row["coin"][:5], row["always_yes"][:5]) for row in table} == {("0.486", "0.333")}
    for row in table:
        values = [float(each["macro_f1"]) for each in features if each["entry"] == row["entry"]]
        assert int(row["n"]) == len(values)
        assert not values or float(row["mean"]) == pytest.approx(np.mean(values), abs=1e-4)
    assert list(measure_parts(STUDY, [made], folder=folder)) == done


@pytest.mark.parametrize("preset", STUDY.presets)
def test_the_presets_can_be_opened_and_measure_every_part(preset: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"recipe": None, "overrides": (), "folder": tmp_path, "progress": SilentProgress()}
    made = open_settings(STUDY, preset=preset, **options)
    assert {part.name for each in made for part in STUDY.parts_on(each)} == {part.name for part in STUDY.parts}
    for each in made:
        if any(part.reads_subject for part in STUDY.parts_on(each)):
            assert encoder_pair(each) == ("sae", "mlp")


def test_a_model_that_was_not_fetched_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOINTERP_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    options: dict[str, Any] = {"recipe": None, "overrides": (), "folder": tmp_path, "progress": SilentProgress()}
    made = open_settings(STUDY, preset="quick", **options)
    kept, missing = split_at_hand(made)
    assert [each.name for each in kept] == ["embedded", "synthetic"]
    assert len(missing) == 1 and "autointerp subject fetch smollm2-135m" in missing[0] and "\n" not in missing[0]
    with pytest.raises(ConfigError, match="subject fetch smollm2-135m"):
        split_at_hand([each for each in made if each not in kept])


def test_mistakes_are_told_in_one_line(tmp_path: Path) -> None:
    recipe = "oneill2024_gpt2_l9"
    with pytest.raises(ConfigError, match=r"study\.sae = 'mlp': no dictionary of kind 'relu' of that name; use sae"):
        encoder_pair(opened(tmp_path, recipe, "study.sae='mlp'"))
    with pytest.raises(ConfigError, match=r"study\.preset"):
        opened(tmp_path, recipe, "study.preset='big'")
    made = opened(tmp_path, "studies/oneill2024_synthetic", "study.sizes.widths.steps=3")
    with pytest.raises(ConfigError, match="study widths has no setting 'steps'"):
        measure_synthetic(made, "widths")
