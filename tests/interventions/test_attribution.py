"""Attribution is the derivative; exact effects are those of passes of their own."""

from __future__ import annotations

import pytest
import torch

from autointerp.config.sites import SitePoint
from autointerp.interventions import attribution, reading
from autointerp.interventions.attribution import attribute, measure_one_by_one
from autointerp.interventions.changes import FeatureValues, ablate, patch
from autointerp.interventions.effects import next_logits
from autointerp.interventions.prompts import encode_prompts
from autointerp.interventions.reading import ReadPrompts

POINT = SitePoint("resid_post", 1)
TEXTS = ("The quick brown fox", "Once upon a time there was", "def add(a, b):")


def margin(logits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The logit of a token of each prompt's own over another's."""
    return logits[torch.arange(len(logits)), 20 + rows] - logits[:, 40]


@pytest.mark.parametrize("family", ["gpt2", "llama", "neox"])
def test_attribution_is_the_derivative_times_the_change(family, subjects, sae, monkeypatch) -> None:
    monkeypatch.setattr(attribution, "ROWS_WITH_GRADIENT", 2)
    subject = subjects[family]
    prompts = encode_prompts(subject, TEXTS)
    read = ReadPrompts(subject, prompts, POINT)
    x = read.x
    values = FeatureValues(sae, x, torch.arange(40))
    change = -values.own
    base = torch.randn(x.shape, generator=torch.Generator().manual_seed(3)) * prompts.is_text[..., None]
    estimate = attribute(read, sae, margin, change=change, base=base)
    assert estimate.shape == (3, 40)
    step = 1e-2
    features = torch.tensor([0, 5, 17, 39])
    sides = [
        measure_one_by_one(
            read, sae, margin, features=features, base=base,
            values=(values.own + sign * step * change)[..., features],
        )
        for sign in (1, -1)
    ]  # fmt: skip
    numeric = (sides[0] - sides[1]) / (2 * step)
    torch.testing.assert_close(estimate[:, features], numeric, rtol=0.05, atol=2e-3)


def test_prompts_in_parts_are_prompts_at_once(subjects, sae, monkeypatch) -> None:
    """Where passes begin at the site's layer, each part enters with its own rows."""
    read = ReadPrompts(subjects["llama"], encode_prompts(subjects["llama"], TEXTS), POINT)
    shift = torch.randn(4, *read.x.shape, generator=torch.Generator().manual_seed(0))
    whole = read.outputs(), read.outputs_of_each(shift, at=read.prompts.is_last)
    monkeypatch.setattr("autointerp.subject.model.LOGIT_ENTRIES", 2 * read.x.shape[1] * subjects["llama"].vocab_size)
    parts = read.outputs(), read.outputs_of_each(shift, at=read.prompts.is_last)
    for first, second in zip(whole, parts, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


def test_exact_effects_are_those_of_separate_passes(subjects, sae, monkeypatch) -> None:
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", 6)
    monkeypatch.setattr(attribution, "FEATURES_AT_ONCE", 2)
    subject = subjects["gpt2"]
    prompts = encode_prompts(subject, TEXTS)
    features = torch.tensor([3, 11, 25, 30, 38])
    rows = torch.arange(len(prompts))
    read = ReadPrompts(subject, prompts, POINT)
    found = measure_one_by_one(read, sae, margin, features=features, values=torch.zeros(5), at=prompts.is_last)
    for place, feature in enumerate(features):
        alone = {POINT: ablate(sae, feature[None], at=prompts.is_last)}
        torch.testing.assert_close(
            found[:, place], margin(next_logits(subject, prompts, alone), rows), rtol=1e-4, atol=1e-4
        )
    codes = torch.rand(*prompts.tokens.shape, 5, generator=torch.Generator().manual_seed(0))
    found = measure_one_by_one(read, sae, margin, features=features, values=codes)
    for place, feature in enumerate(features):
        alone = {POINT: patch(sae, feature[None], codes[..., place : place + 1], at=prompts.is_text)}
        torch.testing.assert_close(
            found[:, place], margin(next_logits(subject, prompts, alone), rows), rtol=1e-4, atol=1e-4
        )
