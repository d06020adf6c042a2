"""The parts of the study of Bricken et al. 2023, where the truth is planted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.sparse import csc_array

from autointerp.errors import ConfigError
from autointerp.progress import SilentProgress
from autointerp.studies.bricken2023.automata import find_edges, next_rates, states, token_rates
from autointerp.studies.bricken2023.interpretability import compare_scores
from autointerp.studies.bricken2023.neurons import shared_passages, top_passages
from autointerp.studies.bricken2023.options import main_entry, widths
from autointerp.studies.bricken2023.proxies import find_features
from autointerp.studies.bricken2023.splitting import count_specific, grow_forest
from autointerp.studies.bricken2023.steering import concept_share
from autointerp.studies.bricken2023.study import STUDY
from autointerp.studies.bricken2023.universality import align, best_matches
from autointerp.studies.paper import open_settings
from autointerp.studies.proxy import Proxy, mark
from autointerp.studies.reading import Reading
from autointerp.studies.resampling import median_difference, passage_interval, passages_of, pearson
from tests.studies.planted_reading import reading_of

DIGITS = Proxy("digits", pattern="[0-9]+")


def marked_pieces(reading: Reading, proxy: Proxy) -> list[bytes]:
    texts, marks = reading.texts, mark(reading, proxy)
    places = zip(reading.document, reading.start, reading.end, marks, strict=True)
    return [texts[number][start:end] for number, start, end, marked in places if marked]


def test_a_pattern_marks_every_token_that_shares_a_byte_with_a_match() -> None:
    whole, part = "ש".encode(), "ם".encode()
    reading = reading_of([[b"a ", whole, part[:1], part[1:], b" 12", b"z"], [b"3", b"b", b"\xff"]])
    assert marked_pieces(reading, Proxy("hebrew", pattern="[\u0590-\u05ff]+")) == [whole, part[:1], part[1:]]
    assert marked_pieces(reading, DIGITS) == [b" 12", b"3"]


def test_a_likelihood_needs_two_neighbours_that_random_characters_explain_better() -> None:
    words = [b"the", b" ", b"CAT", b" ", b"sat", b" "] * 60
    reading = reading_of([words, [b"CAT", b"GGA", b"TTC", b"AC"], words])
    assert marked_pieces(reading, Proxy("dna", alphabet="ACGT")) == [b"CAT", b"GGA", b"TTC", b"AC"]


def test_a_pattern_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match=r"study.proxies.bad = '\[0-9': no regular expression"):
        mark(reading_of([[b"1"]]), Proxy("bad", pattern="[0-9"))


def digits_and_words(seed: int) -> tuple[Reading, NDArray[np.bool_]]:
    """Feature 2 fires on 4 of 5 digits and on a tenth of that elsewhere; neuron 1 on digits and on as many others."""
    rng = np.random.default_rng(seed)
    is_digit = rng.random(4000) < 0.1
    pieces = [b" 7" if each else b" x" for each in is_digit]
    codes, neurons = np.zeros((4000, 4), dtype=np.float32), rng.random((4000, 3)).astype(np.float32)
    codes[:, 0] = rng.random(4000) < 0.05
    codes[:, 2] = (is_digit & (rng.random(4000) < 0.8)) | (~is_digit & (rng.random(4000) < 0.01))
    neurons[:, 1] += 3 * (is_digit | (rng.random(4000) < 0.1))
    return reading_of([pieces[:2000], pieces[2000:]], codes={"sae": codes}, neurons=neurons), is_digit


def test_a_planted_feature_is_found_and_its_sensitivity_and_specificity_measured() -> None:
    (first, _), (second, is_digit) = digits_and_words(0), digits_and_words(1)
    proxies = [DIGITS, Proxy("absent", pattern="@")]
    found = find_features(first, second, "sae", proxies, seed=0)
    assert list(found) == ["digits"]
    each = found["digits"]
    assert (each.feature, each.neuron, each.n_marked) == (2, 1, int(is_digit.sum()))
    fires = second.codes["sae"][:, [2]].toarray()[:, 0] > 0
    for share, truth in ((each.sensitivity, fires[is_digit].mean()), (each.specificity, is_digit[fires].mean())):
        assert share is not None
        assert share.mean == pytest.approx(truth)
        assert truth - 0.1 < share.lo < truth < share.hi < truth + 0.1
    assert each.r is not None and each.over_neuron is not None
    assert each.r.mean == pytest.approx(np.corrcoef(fires, is_digit)[0, 1])
    assert each.over_neuron.lo > 0


def test_the_feature_is_chosen_on_the_first_half_only() -> None:
    (first, _), (second, is_digit) = digits_and_words(0), digits_and_words(1)
    codes = second.codes["sae"].toarray()
    codes[:, 0] = is_digit
    better = replace(second, codes={"sae": csc_array(codes)})
    assert find_features(first, better, "sae", [DIGITS], seed=0)["digits"].feature == 2


def test_passages_end_with_documents_and_their_intervals_hold_the_truth() -> None:
    document = np.repeat([0, 1, 2], [5, 1, 4])
    assert passages_of(document, n_tokens=3).tolist() == [0, 0, 0, 1, 1, 2, 3, 3, 3, 4]
    rng = np.random.default_rng(0)
    x = rng.normal(size=3000)
    y = 0.6 * x + 0.8 * rng.normal(size=3000)
    columns = np.stack([np.ones(3000), x, y, x * x, y * y, x * y], axis=1)
    found = passage_interval(columns, passages_of(np.zeros(3000, dtype=np.int64)), pearson, rng=rng)
    assert found is not None
    assert found.mean == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert found.lo < 0.6 < found.hi
    assert found.hi - found.lo < 0.1
    columns[:, 1] = columns[:, 3] = columns[:, 5] = 0.0
    assert passage_interval(columns, passages_of(np.zeros(3000, dtype=np.int64)), pearson, rng=rng) is None


def test_medians_differ_where_they_do() -> None:
    rng = np.random.default_rng(0)
    gap = median_difference(rng.normal(1, 1, 300), rng.normal(0, 1, 300), rng=rng)
    assert gap is not None
    assert 0 < gap.lo < 1 < gap.hi
    assert median_difference(np.ones(1), np.ones(5), rng=rng) is None


def test_top_passages_are_those_of_the_neuron_that_the_feature_copies() -> None:
    rng = np.random.default_rng(0)
    neurons = rng.random((900, 5)).astype(np.float32)
    codes = np.stack([neurons[:, 3], rng.random(900).astype(np.float32)], axis=1)
    passage = passages_of(np.zeros(900, dtype=np.int64), n_tokens=10)
    features, others = (top_passages(each, passage, n_top=8) for each in (codes, neurons))
    assert features.sum(axis=0).tolist() == [8, 8]
    copied, own = shared_passages(features, others)
    assert copied == 1.0
    assert own < 0.6
    assert shared_passages(features, others, order=rng.permutation(90))[0] < 0.6


def test_tokens_are_aligned_where_both_end_at_one_character() -> None:
    first = reading_of([[b"ab", b"c", b"d"], [b"xy", b"z"], [b"q"]], names=["a", "b", "only here"])
    second = reading_of([[b"x", b"yz"], [b"a", b"bc", b"d", b"e"], [b"other"]], names=["b", "a", "c"])
    places, theirs = align(first, second)
    names = [first.documents[number] for number in first.document[places]]
    pairs = set(zip(names, first.end[places].tolist(), second.end[theirs].tolist(), strict=True))
    assert pairs == {("a", 3, 3), ("a", 4, 4), ("b", 3, 3)}


def test_a_feature_that_comes_again_is_matched_and_chance_is_below() -> None:
    rng = np.random.default_rng(0)
    codes = np.maximum(rng.normal(size=(2000, 6)) - 1.5, 0).astype(np.float32)
    first = reading_of([[b"x"] * 2000], codes={"a": codes, "b": 2 * codes[:, ::-1]})
    best, control = best_matches(first.codes["a"], first.codes["b"], rng=rng)
    assert best.min() > 0.999
    assert control.max() < 0.3


def family() -> Reading:
    """Narrow 0 splits into wide 0, 1 and 2 by parity of time, narrow 1 stays as wide 3, and wide 4 is new."""
    rng = np.random.default_rng(0)
    parts = rng.integers(0, 8, size=3000)
    strength = rng.random(3000).astype(np.float32) + 0.5
    on = [(parts == part) * strength for part in range(8)]
    narrow = np.stack([on[0] + on[1] + on[2], on[3]], axis=1)
    wide = np.stack([on[0], on[1], on[2], on[3], on[4], 0 * strength], axis=1)
    return reading_of([[b"0" if part < 3 else b"w" for part in parts]], codes={"narrow": narrow, "wide": wide})


def test_a_family_of_known_splits_is_found() -> None:
    reading = family()
    roots, leaves = grow_forest(reading, ["narrow", "wide"], rng=np.random.default_rng(0), least=20)
    assert roots.parent.tolist() == [-1, -1]
    assert leaves.features.tolist() == [0, 1, 2, 3, 4]
    assert leaves.parent.tolist() == [0, 0, 0, 1, -1]
    assert leaves.similarity[:4] == pytest.approx(1.0)
    assert leaves.similarity[4] == 0.0


def test_the_features_of_a_context_are_counted() -> None:
    reading = family()
    marked = mark(reading, DIGITS)
    assert count_specific(reading, "narrow", marked, least=20) == 1
    assert count_specific(reading, "wide", marked, least=20) == 3


def test_an_automaton_of_two_states_is_found_and_a_third_feature_is_left_out() -> None:
    rng = np.random.default_rng(0)
    token = np.where(rng.random(2000) < 0.3, 2, np.arange(2000) % 2)
    codes = np.stack([token == 0, token == 1, rng.random(2000) < 0.2], axis=1).astype(np.float32)
    reading = reading_of([[bytes([97 + each]) for each in token]], codes={"sae": codes})
    kinds, counts, rates = token_rates(reading.codes["sae"], token)
    assert kinds.tolist() == [0, 1, 2]
    assert counts.tolist() == np.bincount(token).tolist()
    assert rates[:2, :2].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    # feature 0 promotes token 1, feature 1 token 0, the third both
    promoted = np.stack([rates[1], rates[0], rates[:2].mean(axis=0)])
    measured, chance = next_rates(reading.codes["sae"], reading.has_next)
    assert measured[0, 1] == pytest.approx(0.7, abs=0.06)
    assert chance[:2] == pytest.approx([0.35, 0.35], abs=0.03)
    edges = find_edges(promoted, measured, chance)
    assert list(zip(edges.source, edges.target, strict=True)) == [(0, 1), (1, 0), (2, 0), (2, 1)]
    edges = edges._replace(chance=edges.chance / 2)  # at 2 in 7 of the tokens nothing is three times chance
    (found,) = states(edges, 3)
    assert found.tolist() == [0, 1]


def test_no_chain_gives_no_states() -> None:
    rates = np.zeros((3, 3))
    assert states(find_edges(rates, rates, np.zeros(3)), 3) == []


def test_scores_are_compared_with_those_of_neurons() -> None:
    rng = np.random.default_rng(0)
    values = {name: pd.Series(rng.normal(mean, 0.1, 60)) for name, mean in (("sae", 0.7), ("neurons", 0.5))}
    assert compare_scores("more", "-", values, "sae", "neurons", 0).verdict == "holds"
    assert compare_scores("more", "-", values, "neurons", "sae", 0).verdict == "does not hold"
    assert compare_scores("more", "-", values, "sae", None, 0).verdict == "not measured"


def test_the_share_of_a_concept_is_of_characters() -> None:
    (first, _), (second, _) = digits_and_words(0), digits_and_words(1)
    (each,) = find_features(first, second, "sae", [DIGITS], seed=0).values()
    assert concept_share("ab12", each) == 0.5
    assert concept_share("", each) == 0.0


@pytest.mark.parametrize("preset", STUDY.presets)
def test_the_recipes_of_every_preset_are_sound(preset: str, tmp_path: Path) -> None:
    settings = open_settings(
        STUDY, preset=preset, recipe=None, overrides=(), folder=tmp_path, progress=SilentProgress()
    )
    assert len({setting.name for setting in settings}) == len(settings)
    for setting in settings:
        assert main_entry(setting).name == "x8"
        assert [entry.name for entry in widths(setting.config)] == ["x1", "x2", "x4", "x8", "x16"]
        assert setting.options.why
