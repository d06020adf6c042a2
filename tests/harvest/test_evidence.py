"""The harvest end to end on planted features: what is stored is true, and says what it is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from autointerp.config.sites import SitePoint
from autointerp.config.tree import HarvestConfig
from autointerp.errors import SubjectError
from autointerp.harvest.evidence import Need, build_evidence, harvest
from autointerp.harvest.passes import LoadedDictionary, collect_statistics, collect_windows, plan_windows
from autointerp.harvest.selection import RUN_TOKENS
from autointerp.progress import SilentProgress
from autointerp.records.document import Role
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_file import write_evidence
from autointerp.records.window import ACTIVATING, SILENT
from sae_core.ultralow import UltralowCluster
from tests.harvest.planted import (
    ALWAYS,
    BOS,
    CONTEXTUAL,
    DENSE,
    EDGE,
    N_FEATURES,
    NEVER,
    PAIR,
    POINT,
    RARE,
    WIDE,
    PlantedCorpus,
    PlantedDictionary,
    PlantedSubject,
    loaded,
    planted_text,
)
from tests.kept_progress import KeptProgress

EXAMPLES = dict[int, Evidence]


def _number(document: str) -> int:
    return int(document.removeprefix("doc"))


def run(corpus: PlantedCorpus, config: HarvestConfig, **options) -> list[Evidence]:
    found = harvest(
        PlantedSubject(), {"planted": loaded()}, corpus.open, config, text=planted_text(), seed=3, **options
    )
    return found["planted"]


@pytest.fixture(scope="module")
def whole(config: HarvestConfig, corpus: PlantedCorpus) -> list[Evidence]:
    """The harvest in one pass, by one process, in batches of seven rows."""
    return run(corpus, config)


def test_every_window_tells_the_truth(evidence: EXAMPLES, corpus: PlantedCorpus) -> None:
    truth = corpus.truth()
    n_windows = 0
    for feature, item in evidence.items():
        for window in item.windows:
            n_windows += 1
            places = [(window.document, window.offset + i) for i in range(len(window.token_ids))]
            assert window.token_ids == tuple(truth[place][0] for place in places)
            assert window.activations == pytest.approx([float(truth[place][1][feature]) for place in places])
            assert (max(window.activations) > 0) == window.is_firing
            assert corpus.roles[window.document] == window.role
            past = window.offset + len(window.token_ids)
            assert window.ends_document == (past == len(corpus.texts[window.document]))
    assert n_windows > 300


def test_counts_are_exact_and_leave_special_tokens_out(evidence: EXAMPLES, corpus: PlantedCorpus) -> None:
    truth = corpus.truth()
    values = np.stack([x for _, x in truth.values()])
    for feature, item in evidence.items():
        assert item.n_tokens == len(truth)
        assert item.n_firing == int((values[:, feature] > 0).sum())
        assert item.density == pytest.approx(item.n_firing / item.n_tokens)
        assert item.max_activation == pytest.approx(float(values[:, feature].max()))
        assert sum(item.histogram_counts) == item.n_firing
        assert len(item.histogram_edges) == len(item.histogram_counts) + 1
        assert all(BOS not in window.token_ids for window in item.windows)
        assert all(use.token_id != BOS for use in item.token_uses)


def test_promoted_entries_are_counted_in_the_text_to_explain(evidence: EXAMPLES, corpus: PlantedCorpus) -> None:
    counts = Counter(
        token for (document, _), (token, _) in corpus.truth().items() if corpus.roles[document] == "explain"
    )
    effects = [effect for item in evidence.values() for effect in (*item.top_logits, *item.bottom_logits)]
    assert effects
    assert [effect.n_seen for effect in effects] == [counts[effect.token_id] for effect in effects]


def test_no_document_serves_two_roles_and_no_windows_overlap(evidence: EXAMPLES) -> None:
    for item in evidence.values():
        explain, score = ({w.document for w in item.select(role)} for role in ("explain", "score"))
        assert explain.isdisjoint(score)
        taken: set[tuple[str, int]] = set()
        for window in item.windows:
            tokens = {(window.document, window.offset + i) for i in range(len(window.token_ids))}
            assert taken.isdisjoint(tokens)
            taken |= tokens
        assert len({w.text for w in item.windows}) == len(item.windows)
        assert len({w.id for w in item.windows}) == len(item.windows)


def test_the_candidate_is_the_maximum_or_a_silent_token(evidence: EXAMPLES) -> None:
    for item in evidence.values():
        for window in item.windows:
            assert 0 <= window.candidate < len(window.token_ids)
            if window.kind in ACTIVATING:
                assert window.activations[window.candidate] == window.max_activation
                assert window.bin is not None
            else:
                assert window.kind in SILENT
                assert window.bin is None


def test_near_misses_hold_a_token_that_fires_elsewhere(evidence: EXAMPLES) -> None:
    found = evidence[CONTEXTUAL].select("score", "near_miss")
    assert len(found) == 6
    for window in found:
        assert window.token_ids[window.candidate] == 2
        assert set(window.activations) == {0.0}
    # ALWAYS fires on every occurrence of its token, so nothing can be a near-miss
    assert evidence[ALWAYS].select("score", "near_miss") == ()


def test_windows_of_the_same_document_are_silent_where_it_fires_elsewhere(
    evidence: EXAMPLES, corpus: PlantedCorpus
) -> None:
    fires_in = {
        (document, feature)
        for (document, _), (_, values) in corpus.truth().items()
        for feature in evidence
        if values[feature] > 0
    }
    n_windows = 0
    for feature, item in evidence.items():
        assert not item.select("explain", "same_document")
        for window in item.select("score", "same_document"):
            n_windows += 1
            assert max(window.activations) == 0
            assert (window.document, feature) in fires_in
    assert n_windows > 20


def test_windows_cover_the_whole_range(evidence: EXAMPLES) -> None:
    item = evidence[WIDE]
    maxima = [w.max_activation for w in item.select("score", *ACTIVATING)]
    # equal steps from the smallest to the largest firing, each of them shown
    assert min(maxima) < item.max_activation / 4
    assert max(maxima) > item.max_activation * 3 / 4
    for window in item.select("score", "bin"):
        assert window.bin == min(3, int(4 * window.max_activation / item.max_activation))
    assert {w.bin for w in item.select("score", "bin")} == {0, 1, 2, 3}
    for role in ("explain", "score"):
        tops = [w.max_activation for w in item.select(role, "top")]
        assert tops == sorted(tops, reverse=True)
        assert min(tops) >= max(w.max_activation for w in item.select(role, "bin"))


def test_positions_vary_and_are_alike_in_firing_and_silent_windows(evidence: EXAMPLES) -> None:
    windows = [w for feature in (ALWAYS, WIDE, PAIR) for w in evidence[feature].windows if len(w.token_ids) == 16]
    firing = [w.candidate for w in windows if w.is_firing]
    silent = [w.candidate for w in windows if not w.is_firing]
    assert len(set(firing)) > 6
    assert len(set(silent)) > 6
    assert abs(np.mean(firing) - np.mean(silent)) < 1.5


def test_fixed_position_puts_the_maximum_where_it_was_asked_for(config: HarvestConfig, corpus: PlantedCorpus) -> None:
    fixed = config.model_copy(update={"fixed_position": True, "window_left": 10, "window_right": 5})
    whole = 0
    for item in run(corpus, fixed):
        for window in item.windows:
            assert window.candidate <= 10
            assert len(window.token_ids) - window.candidate - 1 <= 5
            whole += len(window.token_ids) == 16 and window.candidate == 10
    assert whole > 100


def test_repeated_passages_are_kept_once(config: HarvestConfig) -> None:
    items = run(PlantedCorpus(repeats=120), config)
    for item in items:
        texts = [w.text for w in item.windows]
        assert len(set(texts)) == len(texts)
    # the same passage is cut the same way in each of its 120 copies, but where a context's edge is near
    wide = next(item for item in items if item.feature == PAIR)
    anchors = Counter(w.offset + w.candidate for w in wide.windows if w.is_firing and _number(w.document) < 120)
    assert anchors
    assert max(anchors.values()) <= 4


def test_no_passage_is_shared_by_the_roles(config: HarvestConfig) -> None:
    """A corpus a third of whose documents hold one passage, in both roles."""
    for item in run(PlantedCorpus(n_documents=120, repeats=40, seed=3), config):
        runs = {
            role: {
                w.token_ids[i : i + RUN_TOKENS]
                for w in item.select(role)
                for i in range(len(w.token_ids) - RUN_TOKENS + 1)
            }
            for role in ("explain", "score")
        }
        assert runs["explain"]
        assert not runs["explain"] & runs["score"]


def test_an_unscorable_feature_stays_and_says_why(config: HarvestConfig, corpus: PlantedCorpus) -> None:
    reasons = {}
    for n_positive in (5, 11):
        needs: dict[Role, Need] = {"score": Need(n_positive=n_positive, n_negative=5)}
        items = run(corpus, config.model_copy(update={"min_firing": 1}), needs=needs)
        reasons[n_positive] = {item.feature: item.unscored for item in items}
        assert next(item for item in items if item.feature == DENSE).select("score", *SILENT) == ()
    assert reasons[5][ALWAYS] is reasons[11][ALWAYS] is None
    assert reasons[5][DENSE] == "too_few_negatives"
    assert reasons[11][RARE] == "too_few_positives"


def test_a_feature_that_never_fires_is_not_drawn(evidence: EXAMPLES) -> None:
    assert NEVER not in evidence
    assert set(evidence) == set(range(N_FEATURES)) - {NEVER}


def test_token_uses_are_exact_over_the_explain_role(evidence: EXAMPLES, corpus: PlantedCorpus) -> None:
    truth = {k: v for k, v in corpus.truth().items() if corpus.roles[k[0]] == "explain"}
    uses = {use.token_id: use for use in evidence[PAIR].token_uses}
    assert set(uses) == {5, 6}
    for token, use in uses.items():
        n = sum(t == token for t, _ in truth.values())
        assert (use.n_firing, use.n_tokens) == (n, n)
    contextual = evidence[CONTEXTUAL].token_uses[0]
    assert contextual.n_firing == sum(x[CONTEXTUAL] > 0 for _, x in truth.values())
    assert contextual.n_tokens == sum(t == 2 for t, _ in truth.values())


def test_the_best_neuron_is_found(evidence: EXAMPLES, corpus: PlantedCorpus) -> None:
    match = evidence[PAIR].neuron
    assert match is not None
    assert match.index == 2
    subject = PlantedSubject()
    points = [POINT, SitePoint("mlp_post", 0)]
    x, y = [], []
    for batch in corpus.open():
        if batch.role == "explain":
            found = subject.activations(batch.tokens, points)
            x.append(found[POINT][batch.is_text][:, PAIR])
            y.append(found[points[1]][batch.is_text][:, 2])
    assert match.correlation == pytest.approx(float(np.corrcoef(np.concatenate(x), np.concatenate(y))[0, 1]), abs=1e-5)


def test_a_layer_without_neurons_gives_no_match(config: HarvestConfig, corpus: PlantedCorpus) -> None:
    subject = PlantedSubject(has_neurons=False)
    found = harvest(subject, {"planted": loaded()}, corpus.open, config, text=planted_text(), seed=3)
    assert all(item.neuron is None for item in found["planted"])


def test_characters_cut_by_an_edge_are_whole_in_the_text(evidence: EXAMPLES) -> None:
    n_cut = 0
    for item in evidence.values():
        for window in item.windows:
            assert len(window.token_starts) == len(window.token_ids) + 1
            raw = window.text.encode()
            n_cut += window.token_starts[0] > 0 or window.token_starts[-1] < len(raw)
            pieces = [raw[a:b] for a, b in zip(window.token_starts, window.token_starts[1:], strict=False)]
            assert b" b1" not in pieces[0] or window.offset > 0
    assert n_cut > 0


def test_one_forward_serves_all_dictionaries(config: HarvestConfig, corpus: PlantedCorpus) -> None:
    subject = PlantedSubject()
    both = {"one": loaded(), "two": loaded()}
    found = harvest(subject, both, corpus.open, config, text=planted_text(), seed=3)
    assert subject.n_passes == 2 * len(list(corpus.open()))
    assert [e.feature for e in found["one"]] == [e.feature for e in found["two"]]


def test_the_sample_is_seeded_and_only_of_live_features(config: HarvestConfig) -> None:
    three = config.model_copy(update={"n_features": 3})
    samples = set()
    small = PlantedCorpus(n_documents=80)
    for seed in range(4):
        found = harvest(PlantedSubject(), {"p": loaded()}, small.open, three, text=planted_text(), seed=seed)["p"]
        samples.add(tuple(item.feature for item in found))
        assert len(found) == 3
        assert all(item.n_firing >= three.min_firing for item in found)
    assert len(samples) > 1


def test_the_same_config_twice_gives_equal_bytes(
    config: HarvestConfig, corpus: PlantedCorpus, whole: list[Evidence], tmp_path
) -> None:
    for name, found in (("one", whole), ("two", run(corpus, config))):
        write_evidence(tmp_path / name, found)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("n_shards", [2, 3])
def test_shards_merge_to_one_pass(
    config: HarvestConfig, corpus: PlantedCorpus, whole: list[Evidence], n_shards: int
) -> None:
    subject, dictionaries, shown = PlantedSubject(), {"planted": loaded()}, SilentProgress()
    shards = [(index, n_shards) for index in range(n_shards)]
    parts = [
        collect_statistics(subject, dictionaries, corpus.open, seed=3, shard=shard, progress=shown)["planted"]
        for shard in shards
    ]
    statistics = parts[0]
    for part in parts[1:]:
        statistics.merge(part)
    plans = {"planted": plan_windows("planted", statistics, config)}
    harvests = [
        collect_windows(
            subject, dictionaries, corpus.open, plans=plans, config=config, seed=3, shard=shard, progress=shown
        )["planted"]
        for shard in reversed(shards)
    ]
    for part in harvests[1:]:
        harvests[0].merge(part)
    merged = build_evidence(
        subject, dictionaries["planted"], statistics, harvests[0], config, name="planted", text=planted_text()
    )
    assert [item.windows for item in merged] == [item.windows for item in whole]
    for one, other in zip(merged, whole, strict=True):
        assert one.neuron and one.neuron == other.neuron
        assert (one.histogram_counts, one.token_uses) == (other.histogram_counts, other.token_uses)


def test_another_batch_size_gives_the_same_windows(config: HarvestConfig, whole: list[Evidence]) -> None:
    other = run(PlantedCorpus(batch_rows=3), config)
    assert [item.windows for item in other] == [item.windows for item in whole]


def test_an_unknown_site_is_the_users_error(config: HarvestConfig, corpus: PlantedCorpus) -> None:
    wrong = LoadedDictionary(PlantedDictionary(), SitePoint("resid_post", 9), loaded().rules)
    with pytest.raises(SubjectError):
        harvest(PlantedSubject(), {"p": wrong}, corpus.open, config, text=planted_text(), seed=3)


def test_edges_of_documents_are_covered(evidence: EXAMPLES) -> None:
    windows = [w for w in evidence[EDGE].windows if w.kind in ACTIVATING]
    assert windows
    assert any(w.offset == 0 and w.candidate == 0 for w in windows)


def test_each_step_says_how_much_there_is_to_do(config: HarvestConfig, corpus: PlantedCorpus) -> None:
    progress = KeptProgress()
    n_tokens = sum(batch.n_tokens for batch in corpus.open())
    found = run(corpus, config, n_tokens=n_tokens + 100, progress=progress)
    totals = {bar.label: (bar.total, bar.states[-1]) for bar in progress.bars if bar.unit}
    assert totals == {
        "harvest: statistics": (n_tokens + 100, n_tokens),
        "harvest: windows": (n_tokens, n_tokens),
        "harvest: evidence": (len(found), len(found)),
    }


def test_a_drawing_from_the_ultralow_cluster_is_told(corpus: PlantedCorpus, config: HarvestConfig, monkeypatch) -> None:
    limit = 0.04
    cluster = UltralowCluster(limit=limit, n_features=5, live_frac=0.7)
    monkeypatch.setattr("autointerp.harvest.evidence.find_ultralow", lambda density: cluster)
    said = KeptProgress()
    found = run(corpus, config, progress=said)
    n = sum(item.density < limit for item in found)
    assert n > len(found) / 2
    (line,) = (line for line in said.said if "ultralow" in line)
    assert line.startswith(
        f"warning: planted: {n} of the {len(found)} features drawn are of an ultralow-density cluster"
    )
    assert "harvest.density = [0.04, 1.0] draws others" in line
    drawn = run(corpus, config.model_copy(update={"density": (limit, 1.0)}), progress=said)
    assert {item.feature for item in drawn} == {item.feature for item in found if item.density >= limit}
    assert sum("ultralow" in line for line in said.said) == 1
