"""Quality equals its definitions, whatever the batches."""

from __future__ import annotations

import json

import pytest
import torch

from sae_core.architectures.transcoder import TranscoderDictionary
from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary
from sae_core.errors import TrainingDataError, WidthMismatchError
from sae_core.jackknife import jackknife_interval
from sae_core.quality import DENSITY_BIN_EDGES, QualityMeter, measure_quality

X = torch.randn(500, 8, generator=torch.Generator().manual_seed(0)) * 3 + 10
CONFIG = DictionaryConfig(kind="topk", n_features=20, k=3)
TOPK = build_dictionary(CONFIG, d_in=8, seed=0, sample=X).requires_grad_(False)


def test_equals_the_definitions_and_does_not_depend_on_batches() -> None:
    quality = measure_quality(TOPK, X.split(37))
    code = TOPK.encode_dense(X)
    error = (X - TOPK(X)).square().sum()
    assert quality.n_tokens == 500
    assert quality.mse == pytest.approx(float(error) / X.numel(), rel=1e-5)
    assert quality.fvu == pytest.approx(float(error / (X - X.mean(0)).square().sum()), rel=1e-5)
    assert quality.explained_variance == pytest.approx(1 - quality.fvu)
    assert quality.l0 == pytest.approx(float((code > 0).sum(1).float().mean()))
    torch.testing.assert_close(quality.density, (code > 0).float().mean(0))
    assert quality.dead_frac == float((quality.density == 0).float().mean())
    whole = measure_quality(TOPK, [X])
    assert whole.fvu == pytest.approx(quality.fvu, rel=1e-6) and torch.equal(whole.density, quality.density)


def test_density_histogram_counts_every_live_feature_in_its_decade() -> None:
    quality = measure_quality(TOPK, [X])
    n_live = int((quality.density > 0).sum())
    assert sum(quality.density_histogram) == n_live
    assert len(quality.density_histogram) == len(DENSITY_BIN_EDGES) - 1
    constant = build_dictionary(DictionaryConfig(kind="identity"), d_in=8, seed=0)
    assert measure_quality(constant, [X.abs() + 1]).density_histogram[-1] == 8
    tenth = measure_quality(constant, [X], thresholds=X.quantile(0.9, dim=0))
    low = DENSITY_BIN_EDGES.index(-1.0)
    assert sum(tenth.density_histogram[low - 1 : low + 1]) == 8


def test_thresholds_decide_what_fires() -> None:
    neurons = build_dictionary(DictionaryConfig(kind="identity"), d_in=8, seed=0)
    quality = measure_quality(neurons, [X], thresholds=torch.full((8,), 1e9))
    assert (quality.l0, quality.dead_frac, quality.fvu) == (0.0, 1.0, 0.0)


def test_json_is_finite() -> None:
    neurons = build_dictionary(DictionaryConfig(kind="identity"), d_in=8, seed=0)
    record = measure_quality(neurons, [torch.ones(10, 8)]).to_json()  # no variance: fvu is not a number
    assert record["fvu"] is None
    json.dumps(record, allow_nan=False)


def test_no_activations_and_other_widths_are_errors() -> None:
    with pytest.raises(TrainingDataError):
        measure_quality(TOPK, [])
    with pytest.raises(WidthMismatchError):
        measure_quality(TOPK, [torch.ones(3, 7)])


def test_several_dictionaries_are_measured_on_one_stream() -> None:
    neurons = build_dictionary(DictionaryConfig(kind="identity"), d_in=8, seed=0)
    meters = [QualityMeter(TOPK), QualityMeter(neurons, thresholds=torch.ones(8))]
    for batch in X.split(100):
        for meter in meters:
            meter.add(batch)
    assert meters[0].result().to_json() == measure_quality(TOPK, X.split(100)).to_json()
    alone = measure_quality(neurons, X.split(100), thresholds=torch.ones(8))
    assert torch.equal(meters[1].result().density, alone.density)


def test_intervals_hold_the_figures_and_narrow_with_activations() -> None:
    x = torch.randn(40 * 1024, 8, generator=torch.Generator().manual_seed(1)) * 3 + 10
    few, many = measure_quality(TOPK, [x[: 4 * 1024]]), measure_quality(TOPK, [x])
    for name in ("fvu", "l0", "dead_frac"):
        for quality in (few, many):
            low, high = quality.intervals[name]
            assert low <= getattr(quality, name) <= high
        assert many.intervals[name][1] - many.intervals[name][0] <= few.intervals[name][1] - few.intervals[name][0]
    assert few.to_json()["intervals"]["l0"] == list(few.intervals["l0"])
    assert measure_quality(TOPK, [x[:1024]]).intervals == {}


def test_the_interval_of_dead_features_is_of_those_that_fire_in_one_group_only() -> None:
    neurons = build_dictionary(DictionaryConfig(kind="identity"), d_in=4, seed=0)
    x = torch.zeros(4 * 1024, 4)
    x[0, 0] = x[1, 0] = 1.0  # in one group, twice
    x[0, 1] = x[3 * 1024, 1] = 1.0  # in two
    x[:, 2] = 1.0
    quality = measure_quality(neurons, [x], thresholds=torch.full((4,), 0.5))
    assert quality.dead_frac == 0.25
    assert quality.intervals["dead_frac"] == jackknife_interval(0.25, [0.5, 0.25, 0.25, 0.25])


@pytest.mark.parametrize("kind", ["topk", "abstopk", "relu"])
def test_sparse_codes_are_measured_as_dense_ones(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = DictionaryConfig(kind=kind, n_features=20, **({} if kind == "relu" else {"k": 3}))
    dictionary = build_dictionary(config, d_in=8, seed=0, sample=X).requires_grad_(False)
    sparse = measure_quality(dictionary, [X])
    monkeypatch.setattr(type(dictionary), "encode", Dictionary.encode)
    if kind == "relu":
        dense = measure_quality(dictionary, [X])
        assert dense.fvu == pytest.approx(sparse.fvu, rel=1e-5) and torch.equal(dense.density, sparse.density)
    code = dictionary.codes_of(dictionary.hidden(X))
    assert sparse.l0 == pytest.approx(float((code != 0).sum(1).float().mean()))
    torch.testing.assert_close(sparse.density, (code > 0).float().mean(0))


def test_a_transcoder_is_held_against_what_stands_where_it_writes() -> None:
    config = DictionaryConfig(kind="relu", n_features=6)
    draw = torch.Generator().manual_seed(1)
    made = TranscoderDictionary(config, d_in=8, d_out=5, rule="relu", has_skip=True)
    for tensor in made.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape, generator=draw))
    output = made.forward(X)
    targets = output + torch.randn(len(X), 5, generator=draw)
    meter = QualityMeter(made)
    for rows, aimed in zip(X.split(37), targets.split(37), strict=True):
        meter.add(rows, aimed)
    quality = meter.result()
    error = (output - targets).double().square().sum()
    assert quality.mse == pytest.approx(float(error) / targets.numel())
    assert quality.fvu == pytest.approx(float(error / (targets - targets.mean(dim=0)).double().square().sum()))
    assert quality.l0 == pytest.approx(float((made.encode_dense(X) != 0).sum(dim=1).double().mean()))
    with pytest.raises(ValueError, match="give them as targets"):
        meter.add(X)
    # one layer of a cross-layer transcoder reconstructs no one place
    crossing = TranscoderDictionary(config, d_in=8, d_out=5, rule="relu", is_cross_layer=True)
    meter = QualityMeter(crossing)
    meter.add(X, targets)
    record = meter.result().to_json()
    assert (record["fvu"], record["mse"], record["l0"], record["dead_frac"]) == (None, None, 0.0, 1.0)
    assert "fvu" not in record["intervals"]  # type: ignore[operator]
