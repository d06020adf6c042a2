"""Loss recovered: 1 for a perfect dictionary, 0 for the ablations themselves."""

from __future__ import annotations

import pytest
import torch

from autointerp.config.sites import SitePoint
from autointerp.errors import InputError, SubjectError
from autointerp.subject.fidelity import Fidelity, measure_fidelities, measure_fidelity
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
    passes = []
    run = subject._run
    monkeypatch.setattr(subject, "_run", lambda *args, **kwargs: passes.append(args) or run(*args, **kwargs))
    assert measure_fidelities(subject, dictionaries, POINT, batches) == alone
    # mean activation, clean, zero and mean, and one more for each dictionary
    assert len(passes) == (4 + len(dictionaries)) * len(batches)
    assert measure_fidelities(subject, {}, POINT, batches) == {}


def test_recovered_shares() -> None:
    fidelity = Fidelity(n_tokens=10, clean=2.0, spliced=2.5, zero=4.0, mean=3.0)
    assert fidelity.recovered_zero_frac == 0.75 and fidelity.recovered_mean_frac == 0.5
    assert Fidelity(n_tokens=10, clean=2.0, spliced=2.5, zero=2.0, mean=1.5).recovered_zero_frac is None


def test_a_wrong_width_and_no_text_are_errors(subjects, batches) -> None:
    with pytest.raises(SubjectError, match=r"reads 17 inputs, but resid_post\.1 of 'tiny' has width 16"):
        measure_fidelity(subjects["gpt2"], Affine(17, scale=1.0), POINT, batches)
    with pytest.raises(InputError, match="no token"):
        measure_fidelity(subjects["gpt2"], Affine(16, scale=1.0), POINT, [])
