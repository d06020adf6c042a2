"""Comparing entries: signs, pairing, correction, and nothing claimed where nothing differs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from autointerp.board.comparison import compare_runs, compare_within, find_unpaired, render_comparisons


def table(means: dict[str, float], *, seed: int = 0, n: int = 150) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        {"scorer": "detection", "dictionary": name, "feature": feature, "f1": float(value)}
        for name, mean in means.items()
        for feature, value in enumerate(np.clip(rng.normal(mean, 0.15, n), 0, 1))
    ]
    return pd.DataFrame(rows)


def test_a_real_difference_is_found_with_its_sign() -> None:
    (row,) = compare_within(table({"a": 0.7, "b": 0.5}), metric="f1", seed=0)
    assert row.difference is not None
    assert (row.first, row.second) == ("a", "b")
    assert 0.12 < row.difference.lo < row.difference.mean < row.difference.hi < 0.28
    assert row.p_value is not None
    # the least that 9,999 arrangements and the observed one can show
    assert row.method == "permutation"
    assert row.p_value == pytest.approx(1e-4)
    assert "a - b: f1 +0." in render_comparisons([row])


def test_equal_entries_show_no_difference_and_correction_only_raises_p() -> None:
    rows = compare_within(table({"a": 0.6, "b": 0.6, "c": 0.6}), metric="f1", seed=0)
    assert len(rows) == 3
    for row in rows:
        assert row.difference is not None
        assert row.difference.lo < 0 < row.difference.hi
        assert row.p_value is not None
        assert row.p_value > 0.05


def test_shared_features_are_paired_and_sharper() -> None:
    first = table({"a": 0.6})
    second = first.assign(f1=(first["f1"] - 0.02).clip(0, 1))
    labels = ("x", "y")
    (paired,) = compare_runs(first, second, labels=labels, shared={"a"}, metric="f1", seed=0)
    (apart,) = compare_runs(first, second, labels=labels, shared=set(), metric="f1", seed=0)
    assert paired.difference is not None
    assert apart.difference is not None
    assert paired.difference.is_paired
    assert paired.difference.lo > 0 > apart.difference.lo
    assert paired.smallest is not None
    assert apart.smallest is not None
    assert paired.smallest < apart.smallest


def test_the_smallest_difference_matches_the_formula() -> None:
    (row,) = compare_within(table({"a": 0.5, "b": 0.5}, n=400), metric="f1", seed=0)
    assert row.smallest == pytest.approx(2.8016 * 0.15 * (2 / 400) ** 0.5, rel=0.06)


def test_entries_without_a_partner_are_named() -> None:
    first, second = table({"a": 0.5, "b": 0.5}), table({"a": 0.5, "c": 0.5})
    assert len(compare_runs(first, second, labels=("x", "y"), shared=set(), metric="f1", seed=0)) == 1
    left_out = find_unpaired(first, second, labels=("x", "y"))
    assert [line.split(" has no entry of its name in ") for line in left_out] == [
        ["x/b (detection)", "y"],
        ["y/c (detection)", "x"],
    ]
    assert not find_unpaired(first, first, labels=("x", "y"))


def test_dictionaries_are_compared_at_equal_density_too() -> None:
    rng = np.random.default_rng(0)
    rows = table({"a": 0.6, "b": 0.6}).assign(density=np.exp(rng.normal(-6, 0.7, 300)))
    rows["f1"] -= 0.1 * (np.log(rows["density"]) + 6) + 0.1 * (rows["dictionary"] == "b")
    rows.loc[rows["dictionary"] == "a", "density"] *= 1.5
    (row,) = compare_within(rows, metric="f1", seed=0)
    assert row.equal_density is not None
    assert row.equal_density.matched is not None
    text = render_comparisons([row])
    assert f"at equal density: {row.equal_density.matched.mean:+.3f} [" in text
    apart = rows.assign(density=rows["density"].where(rows["dictionary"] == "a", 0.9))
    (row,) = compare_within(apart, metric="f1", seed=0)
    assert (
        "no number, the densities do not overlap (0 of 150 possible pairs within 1.25x; median densities"
        in render_comparisons([row])
    )


def test_features_of_one_dictionary_are_not_matched_by_density() -> None:
    first = table({"a": 0.6}).assign(density=0.01)
    (row,) = compare_runs(first, first.assign(f1=first["f1"] / 2), labels=("x", "y"), shared={"a"}, metric="f1", seed=0)
    assert row.equal_density is None


def test_named_entries_are_compared_and_scores_of_one_alone_are_named() -> None:
    first, second = table({"a": 0.6, "b": 0.2}), table({"c": 0.5}, seed=1)
    named = {"labels": ("x", "y"), "entries": ("a", "c")}
    (row,) = compare_runs(first, second, shared=set(), metric="f1", seed=0, **named)
    assert (row.first, row.second) == ("x/a", "y/c") and row.difference is not None
    assert 0.05 < row.difference.mean < 0.15 and not row.difference.is_paired
    assert find_unpaired(first, second, **named) == []
    more = pd.concat([second, second.assign(scorer="other")])
    assert find_unpaired(first, more, **named) == ["y/c (other) has no scores of a so asked in x"]
