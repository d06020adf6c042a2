"""Loss recovered: 1 for a perfect dictionary, 0 for the ablations themselves."""

from __future__ import annotations

import pytest
import torch

from autointerp.config.sites import SitePoint
from autointerp.errors import InputError, SubjectError
from autointerp.subject.fidelity import Fidelity, LossSample, measure_fidelities, measure_fidelity
from autointerp.subject.packing import iter_batches
from sae_core.dictionary import Dictionary

POINT = SitePoint("resid_post", 1)


class Affine(Dictionary):
    """Reconstructs `scale * x + shift` exactly, with one feature per coordinate."""

    def __init__(self, d_in: int, *, scale: float, shift: torch.Tensor | float = 0.0) -> None:
        super().__init__()
        self.d_in = self.n_features = d_in
        self.scale, self.shift = scale, shift

    @property
    def directions(self) -> torch.Tensor:
        return torch.eye(self.d_in)

    @property
    def offset(self) -> torch.Tensor:
        return torch.zeros(self.d_in) + self.shift

    def encode_dense(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * x


@pytest.fixture(scope="module")
def batches(documents, byte_tokenizer):
    return list(
        iter_batches(
            documents, tokenizer=byte_tokenizer, role="score", context_tokens=32, batch_contexts=4, max_tokens=400
        )
    )


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_ends_of_the_scale(family, subjects, batches) -> None:
    subject = subjects[family]
    perfect = measure_fidelity(subject, Affine(16, scale=1.0), POINT, batches)
    assert perfect.spliced == pytest.approx(perfect.clean, rel=1e-4)
    zero = measure_fidelity(subject, Affine(16, scale=0.0), POINT, batches)
    assert zero.spliced == pytest.approx(zero.zero, rel=1e-6)
    text = [subject.activations(b.tokens, [POINT])[POINT][b.is_text] for b in batches]
    mean = measure_fidelity(subject, Affine(16, scale=0.0, shift=torch.cat(text).mean(dim=0)), POINT, batches)
    assert mean.spliced == pytest.approx(mean.mean, rel=1e-4)
    assert len({round(x, 4) for x in (perfect.clean, perfect.zero, perfect.mean)}) == 3
    n_predicted = sum(int(b.is_text[:, 1:].sum()) for b in batches)
    assert perfect.n_tokens == zero.n_tokens == n_predicted


def test_clean_loss_is_the_mean_over_text_tokens(subjects, batches) -> None:
    fidelity = measure_fidelity(subjects["gpt2"], Affine(16, scale=1.0), POINT, batches)
    losses = torch.cat([subjects["gpt2"].loss(b.tokens, b.is_text)[b.is_text] for b in batches])
    assert fidelity.clean == pytest.approx(float(losses.mean()), rel=1e-5)


def test_what_no_dictionary_changes_is_measured_once(subjects, batches, monkeypatch) -> None:
    subject = subjects["gpt2"]
    dictionaries = {str(scale): Affine(16, scale=scale) for scale in (0.0, 0.5, 1.0)}
    alone = {name: measure_fidelity(subject, dictionary, POINT, batches) for name, dictionary in dictionaries.items()}
    read, upper = [], []
    activations = subject.activations
    monkeypatch.setattr(subject, "activations", lambda *args: read.append(args) or activations(*args))
    handle = subject.bridge.blocks[POINT.layer].mlp.register_forward_hook(lambda *call: upper.append(len(call[-1])))
    try:
        assert measure_fidelities(subject, dictionaries, POINT, batches) == alone
    finally:
        handle.remove()
    n_contexts = sum(len(batch.tokens) for batch in batches)
    n_passes = 3 + len(dictionaries)
    # before those of the sample stand the three passes of the trial whether they can begin in the middle
    assert len(read) == len(batches)
    assert (len(upper), sum(upper)) == (3 + n_passes * len(batches), 3 + n_passes * n_contexts)
    assert measure_fidelities(subject, {}, POINT, batches) == {}


@pytest.mark.parametrize("family", ["gpt2", "llama", "neox"])
def test_losses_are_those_of_whole_passes(family, subjects, batches, monkeypatch) -> None:
    subject, half = subjects[family], Affine(16, scale=0.5)
    found = measure_fidelity(subject, half, POINT, batches)
    monkeypatch.setattr("autointerp.subject.upper_layers.TOLERANCE", -1.0)
    sample = LossSample(subject, POINT)
    assert not sample.upper.first
    for batch in batches:
        sample.add(batch, subject.activations(batch.tokens, sample.points))
    (whole,) = sample.fidelities({"half": half}).values()
    for name in ("clean", "spliced", "zero", "mean"):
        assert getattr(found, name) == pytest.approx(getattr(whole, name), abs=1e-5)


def test_a_sample_is_the_first_tokens(subjects, documents, byte_tokenizer, batches) -> None:
    subject, half = subjects["gpt2"], Affine(16, scale=0.5)
    sample = LossSample(subject, POINT, n_tokens=150)
    for batch in batches:
        sample.add(batch, subject.activations(batch.tokens, sample.points))
    options = {"tokenizer": byte_tokenizer, "role": "score", "context_tokens": 32, "batch_contexts": 4}
    few = measure_fidelity(subject, half, POINT, list(iter_batches(documents, max_tokens=150, **options)))
    found = sample.fidelities({"half": half})["half"]
    assert found.n_tokens == few.n_tokens
    for name in ("clean", "spliced", "zero", "mean"):
        assert getattr(found, name) == pytest.approx(getattr(few, name), rel=1e-5)


def test_intervals_hold_the_shares_and_narrow_with_text(subjects, batches) -> None:
    half = Affine(16, scale=0.5)
    few, all_of_it = (measure_fidelity(subjects["gpt2"], half, POINT, batches[:n]) for n in (1, len(batches)))
    widths = []
    for fidelity in (few, all_of_it):
        low, high = fidelity.recovered_mean_interval
        assert low < fidelity.recovered_mean_frac < high
        widths.append(high - low)
    assert widths[1] < widths[0]


def test_recovered_shares() -> None:
    fidelity = Fidelity(n_tokens=10, clean=2.0, spliced=2.5, zero=4.0, mean=3.0)
    assert fidelity.recovered_zero_frac == 0.75 and fidelity.recovered_mean_frac == 0.5
    assert Fidelity(n_tokens=10, clean=2.0, spliced=2.5, zero=2.0, mean=1.5).recovered_zero_frac is None


def test_a_wrong_width_and_no_text_are_errors(subjects, batches) -> None:
    with pytest.raises(SubjectError, match=r"reads 17 inputs, but resid_post\.1 of 'tiny' has width 16"):
        measure_fidelity(subjects["gpt2"], Affine(17, scale=1.0), POINT, batches)
    with pytest.raises(InputError, match="no token"):
        measure_fidelity(subjects["gpt2"], Affine(16, scale=1.0), POINT, [])
