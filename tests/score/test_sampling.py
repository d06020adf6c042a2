from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from pydantic import ValidationError

from autointerp.config.asking import ScorerConfig
from autointerp.records.evidence import Evidence, FiringCounts
from autointerp.score.likeness import nearest_texts
from autointerp.score.sampling import MIN_WINDOWS, fixed_others, sample_items
from autointerp.score.scorer import Item, Unscorable
from autointerp.seeds import stream
from tests.score.planted import fires_after, fires_on, make_evidence, make_window

CONTEXT = make_evidence(fires_after("ing", " walk"), n_documents=1500)
TOKEN = make_evidence(fires_on(" return"), feature=1)
OTHER = make_evidence(fires_on(" class"), feature=2)


def sample(
    evidence: Evidence, others: tuple[Evidence, ...] = (), seed: int = 0, **settings: object
) -> tuple[Item, ...]:
    config = ScorerConfig.model_validate({"name": "detection", **settings})
    items = sample_items(evidence, config, stream(seed, "test"), others=others)
    assert not isinstance(items, Unscorable), items
    return items


def keep(evidence: Evidence, **limits: int) -> Evidence:
    """The evidence with at most so many score windows of each kind named."""
    kept, counts = [], dict.fromkeys(limits, 0)
    for window in evidence.windows:
        kind = "active" if window.is_firing else window.kind
        if window.role == "score" and kind in limits:
            counts[kind] += 1
            if counts[kind] > limits[kind]:
                continue
        kept.append(window)
    return replace(evidence, windows=tuple(kept))


def test_counts_roles_and_labels() -> None:
    items = sample(CONTEXT)
    kinds = [("positive" if item.is_firing else item.kind) for item in items]
    assert (kinds.count("positive"), kinds.count("random"), kinds.count("near_miss")) == (20, 20, 10)
    assert all(item.window.role == "score" and item.is_firing == item.window.is_firing for item in items)
    assert len({item.window.id for item in items}) == len(items)


def test_range_takes_equally_from_the_bins() -> None:
    items = sample(CONTEXT, n_positive=10)
    bins = [item.window.bin for item in items if item.is_firing]
    assert {bins.count(b) for b in range(5)} == {2}


def test_top_takes_the_strongest() -> None:
    items = sample(CONTEXT, n_positive=5, sampling="top")
    strongest = sorted((w.max_activation for w in CONTEXT.select("score", "top")), reverse=True)[:5]
    assert sorted((i.window.max_activation for i in items if i.is_firing), reverse=True) == strongest


def test_the_order_mixes_all_kinds_and_follows_the_stream() -> None:
    labels = [item.is_firing for item in sample(CONTEXT)]
    assert sorted(labels) != labels != sorted(labels, reverse=True)
    assert sample(CONTEXT) == sample(CONTEXT)
    assert sample(CONTEXT) != sample(CONTEXT, seed=1)
    batches = {sum(labels[start : start + 10]) for start in range(0, len(labels), 10)}
    assert len(batches) > 1, "every batch holds the same number of positives"


def test_stored_order_does_not_matter() -> None:
    turned = replace(CONTEXT, windows=CONTEXT.windows[::-1])
    assert sample(turned) == sample(CONTEXT)


def test_repeats_of_explain_windows_are_left_out() -> None:
    seen = CONTEXT.select("explain", "top")[0]
    copies = [replace(w, text=seen.text) if w.kind == "bin" and w.role == "score" else w for w in CONTEXT.windows]
    items = sample(replace(CONTEXT, windows=tuple(copies)), n_positive=5)
    assert seen.text not in {item.window.text for item in items}


def test_fewer_windows_are_used_down_to_the_minimum() -> None:
    items = sample(keep(CONTEXT, active=MIN_WINDOWS, random=MIN_WINDOWS, near_miss=1))
    assert sum(item.is_firing for item in items) == MIN_WINDOWS
    assert sum(item.kind == "random" for item in items) == MIN_WINDOWS


@pytest.mark.parametrize(
    ("limits", "reason"), [({"active": 4}, "too_few_positives"), ({"random": 4}, "too_few_negatives")]
)
def test_below_the_minimum_the_feature_is_unscorable(limits: dict[str, int], reason: str) -> None:
    config = ScorerConfig(name="detection")
    result = sample_items(keep(CONTEXT, **limits), config, stream(0, "test"), others=())
    assert isinstance(result, Unscorable)
    assert result.reason == reason
    assert "4 of 20" in result.detail


def test_negatives_of_another_feature_are_its_tops() -> None:
    others = fixed_others([TOKEN, OTHER], seed=0)
    for evidence in (TOKEN, OTHER):
        other = OTHER if evidence is TOKEN else TOKEN
        items = sample(evidence, others, n_positive=5, n_negative=5, n_near_miss=0, negatives="other_feature")
        negatives = [item for item in items if not item.is_firing]
        assert len(negatives) == 5
        assert {item.kind for item in negatives} == {"other"}
        assert {item.window.id for item in negatives} <= {window.id for window in other.select("score", "top")}


def test_the_other_feature_is_one_for_all() -> None:
    many = [make_evidence(fires_on(" alpha"), feature=number, n_documents=120) for number in range(6)]
    assert fixed_others(many, seed=0) == fixed_others(many[::-1], seed=0)
    assert len({fixed_others(many, seed=seed)[0].feature for seed in range(20)}) > 1


def kinds_of(items: tuple[Item, ...]) -> dict[str, int]:
    return dict(Counter(item.kind for item in items if not item.is_firing))


def with_neighbours(evidence: Evidence, n: int = 6) -> Evidence:
    """The evidence with some of its random windows of the role score turned into a neighbour's."""
    left, windows = n, []
    for window in evidence.windows:
        is_turned = left > 0 and window.role == "score" and window.kind == "random"
        windows.append(replace(window, kind="neighbour") if is_turned else window)
        left -= is_turned
    return replace(evidence, windows=tuple(windows))


def test_negatives_are_counted_by_kind() -> None:
    wanted = {"random": 8, "near_miss": 4, "neighbour": 3, "embedding_near": 5, "other": 2}
    others = fixed_others([TOKEN, OTHER], seed=0)
    items = sample(with_neighbours(CONTEXT), others, n_positive=5, negatives=wanted)
    assert kinds_of(items) == wanted
    assert len({item.window.id for item in items}) == len(items)
    random_ids = {window.id for window in with_neighbours(CONTEXT).select("score", "random")}
    assert {item.window.id for item in items if item.kind == "embedding_near"} <= random_ids


def with_same_document(evidence: Evidence, n: int) -> Evidence:
    silent = evidence.select("score", "random")
    same = [replace(w, id=f"same{i}", document=f"same{i}", kind="same_document") for i, w in enumerate(silent[:n])]
    same = [replace(w, text=f"{w.text} {i}") for i, w in enumerate(same)]
    return replace(evidence, windows=(*evidence.windows, *same))


def test_half_of_the_silent_windows_are_of_documents_it_fires_in() -> None:
    assert kinds_of(sample(with_same_document(CONTEXT, 15))) == {"random": 10, "same_document": 10, "near_miss": 10}
    assert kinds_of(sample(with_same_document(CONTEXT, 15), negatives="random")) == {"random": 20, "near_miss": 10}


def test_random_windows_stand_in_where_a_document_has_too_few() -> None:
    assert kinds_of(sample(with_same_document(CONTEXT, 4))) == {"random": 16, "same_document": 4, "near_miss": 10}
    assert sample(CONTEXT) == sample(CONTEXT, negatives="random")


def test_windows_of_one_family_are_of_the_firing_ones() -> None:
    prose = {w.id for w in CONTEXT.select("score", "random")[::2]}
    windows = [replace(w, document=f"{'prose' if w.id in prose else 'code'}/{w.document}") for w in CONTEXT.windows]
    items = sample(replace(CONTEXT, windows=tuple(windows)), negatives={"random": 4, "same_family": 6})
    assert kinds_of(items) == {"random": 4, "same_family": 6}
    assert all(item.window.document.startswith("code/") for item in items if item.kind == "same_family")


def test_the_old_keys_say_the_same_as_the_new_ones() -> None:
    assert sample(CONTEXT) == sample(CONTEXT, negatives={"random": 20, "near_miss": 10})


def test_near_texts_are_nearer_than_random_ones() -> None:
    items = sample(CONTEXT, n_positive=10, negatives={"random": 8, "embedding_near": 6})
    tokens = {token for item in items if item.is_firing for token in item.window.token_ids}

    def likeness(kind: str) -> float:
        found = [set(item.window.token_ids) for item in items if item.kind == kind]
        return sum(len(tokens & own) / len(own) for own in found) / len(found)

    assert likeness("embedding_near") > likeness("random")


def test_the_nearest_texts_hold_the_rare_tokens_of_the_others() -> None:
    like = [make_window([" a", " the", token], [0.0] * 3, name=f"{token}@0") for token in (" self", " def", " class")]
    (first, *_) = nearest_texts(like, [make_window([" the", " class", " a"], [0.0] * 3, name="x@0")], 2)
    assert first.id == " class@0"


def test_a_count_that_contradicts_the_kinds_is_refused() -> None:
    with pytest.raises(ValidationError, match="n_negative = 3 stands beside negatives that say 8"):
        ScorerConfig.model_validate({"name": "detection", "n_negative": 3, "negatives": {"random": 8}})
    with pytest.raises(ValidationError, match="same_family or other above 0"):
        ScorerConfig.model_validate({"name": "detection", "negatives": {"near_miss": 8}})
    settings = ScorerConfig.model_validate({"name": "detection", "negatives": {"random": 8, "near_miss": 2}})
    assert (settings.n_negative, settings.n_near_miss) == (8, 2)
    assert ScorerConfig.model_validate(settings.model_dump()) == settings


def test_positives_know_what_they_stand_for() -> None:
    counted = replace(CONTEXT, counts=FiringCounts((), (60, 20, 10, 8, 2), 1000, 100))
    shares = [item.share for item in sample(counted, n_positive=10) if item.is_firing]
    assert sum(share or 0.0 for share in shares) == pytest.approx(1.0)
    assert all(item.share is None for item in sample(counted) if not item.is_firing)
    assert all(item.share is None for item in sample(counted, sampling="top") if item.is_firing)
    assert all(item.share is None for item in sample(CONTEXT))


def test_windows_the_feature_fires_in_are_no_negatives() -> None:
    twin = replace(TOKEN, feature=7)
    config = ScorerConfig(name="marked", negatives="other_feature", n_negative=5)
    result = sample_items(TOKEN, config, stream(0, "test"), others=(twin,))
    assert isinstance(result, Unscorable)
    assert result.reason == "too_few_negatives"
