"""Features are changed as said and nothing else is; nothing changed is a plain forward pass."""

from __future__ import annotations

import pytest
import torch

from autointerp.config.sites import SITES, SitePoint
from autointerp.errors import InputError, SubjectError
from autointerp.interventions.changes import FeatureValues, ablate, add, patch, pin
from autointerp.interventions.effects import next_logits, sample
from autointerp.interventions.prompts import Prompts, encode_prompts
from sae_core.architectures.fixed import IdentityDictionary
from sae_core.architectures.normalised import NormalisedDictionary
from sae_core.config import DictionaryConfig

FAMILIES = ("gpt2", "llama", "neox", "gemma3")
TEXTS = ("The quick brown fox", "Once upon a time there was", "def add(a, b):")


def neurons(width: int) -> IdentityDictionary:
    return IdentityDictionary(DictionaryConfig(kind="identity"), d_in=width)


@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_change_logits_are_the_plain_models(family, subjects, raw_models) -> None:
    """Padding included: each prompt alone, in the transformers model itself."""
    prompts = encode_prompts(subjects[family], TEXTS)
    found = next_logits(subjects[family], prompts)
    model = raw_models[family]
    for row, last in enumerate(prompts.last.tolist()):
        with torch.no_grad():
            alone = model(prompts.tokens[row : row + 1, : last + 1]).logits[0, -1]
        torch.testing.assert_close(found[row].log_softmax(-1), alone.log_softmax(-1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("site", SITES)
def test_features_held_at_their_own_values_change_nothing(family, site, subjects) -> None:
    subject, point = subjects[family], SitePoint(site, 1)
    try:
        width = subject.width(point)
    except SubjectError:
        pytest.skip(f"{family} has no {site}")
    prompts, every = encode_prompts(subject, TEXTS), torch.arange(width)
    x = subject.activations(prompts.tokens, [point])[point]
    same = {point: patch(neurons(width), every, x, at=prompts.is_text)}
    plain = next_logits(subject, prompts)
    torch.testing.assert_close(next_logits(subject, prompts, same), plain, rtol=1e-5, atol=1e-5)
    moved = {point: ablate(neurons(width), every, at=prompts.is_text)}
    assert float((next_logits(subject, prompts, moved) - plain).abs().max()) > 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_all_neurons_patched_are_the_other_prompt(family, subjects) -> None:
    subject, point = subjects[family], SitePoint("resid_post", 0)
    draw = torch.Generator().manual_seed(4)
    ids = [torch.cat([torch.zeros(2, 1), torch.randint(1, 300, (2, 8), generator=draw)], dim=1).long() for _ in "ab"]
    here, there = (Prompts(tokens, tokens != 0) for tokens in ids)
    x = subject.activations(there.tokens, [point])[point]
    changes = {point: patch(neurons(x.shape[-1]), torch.arange(x.shape[-1]), x, at=here.is_text)}
    torch.testing.assert_close(next_logits(subject, here, changes), next_logits(subject, there), rtol=1e-4, atol=1e-4)


def test_what_is_added_is_the_difference_of_reconstructions(sae) -> None:
    """Also of a dictionary over normalised activations, whose codes are in other units; the SAE's error stays."""
    x = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(0)) * 7
    features, values = torch.tensor([4, 9, 30]), torch.tensor([2.0, 0.0, 5.0])
    for dictionary in (sae, NormalisedDictionary(sae, method="layer_norm")):
        flat = x.flatten(0, 1)
        codes = dictionary.encode_dense(flat).detach()
        held = codes.clone()
        held[:, features] = values
        expected = (dictionary.reconstruct(flat, held) - dictionary.reconstruct(flat, codes)).detach()
        added = FeatureValues(dictionary, x, features).together(values).detach()
        torch.testing.assert_close(added.flatten(0, 1), expected, rtol=1e-4, atol=1e-4)
        single = FeatureValues(dictionary, x, features).one_by_one(values).detach()
        torch.testing.assert_close(single.sum(dim=0), added, rtol=1e-4, atol=1e-4)


def test_only_masked_positions_change(subjects, sae) -> None:
    subject, point = subjects["llama"], SitePoint("resid_post", 1)
    prompts = encode_prompts(subject, TEXTS)
    seen = []
    at = torch.zeros_like(prompts.is_text)
    at[0, 2] = at[2, 3] = True
    held = pin(sae, torch.tensor([7]), torch.tensor([50.0]), at=at)

    def watched(x, rows):
        seen.append((x, held(x, rows)))
        return seen[-1][1]

    subject.changed_logits(prompts.tokens, {point: watched})
    ((x, added),) = seen
    assert torch.equal(added.abs().sum(dim=-1) > 0, at)
    own = sae.encode_features(x[at], torch.tensor([7]))
    torch.testing.assert_close(added[at], (50.0 - own) * sae.directions[7])


def test_changes_at_several_sites_see_one_another(subjects) -> None:
    """Also where the first stands on a branch and is added to the skip connection too."""
    subject = subjects["gpt2"]
    prompts = encode_prompts(subject, TEXTS)
    width = subject.width(SitePoint("resid_mid", 0))
    points = [SitePoint("resid_post", 0), SitePoint("resid_mid", 0), SitePoint("resid_post", 1)]
    held, seen = torch.tensor([3]), {}

    def watched(point, value):
        change = pin(neurons(width), held, torch.tensor([value]), at=prompts.is_text)

        def apply(x, rows):
            seen[point] = x + change(x, rows)
            return change(x, rows)

        return apply

    subject.changed_logits(prompts.tokens, {p: watched(p, v) for p, v in zip(points, (1.0, 2.0, 3.0), strict=True)})
    assert list(seen) == [points[1], points[0], points[2]]
    for point, value in zip(points, (1.0, 2.0, 3.0), strict=True):
        torch.testing.assert_close(
            seen[point][..., 3][prompts.is_text], torch.full((int(prompts.is_text.sum()),), value)
        )
    plain = subject.activations(prompts.tokens, [points[2]])[points[2]]
    assert float((seen[points[2]] - plain)[..., :3].norm()) > 1e-3


def test_rows_in_parts_are_rows_at_once(subjects, sae, monkeypatch) -> None:
    subject, point = subjects["llama"], SitePoint("resid_post", 1)
    prompts = encode_prompts(subject, TEXTS)
    codes = torch.randn(*prompts.tokens.shape, 40, generator=torch.Generator().manual_seed(1))
    shift = torch.randn(*prompts.tokens.shape, 16, generator=torch.Generator().manual_seed(2))
    changes = [
        patch(sae, torch.arange(40), codes, at=prompts.is_text),
        pin(sae, torch.arange(3), torch.ones(3), at=prompts.is_last),
        add(shift, at=prompts.is_text),
    ]
    whole = [next_logits(subject, prompts, {point: change}) for change in changes]
    monkeypatch.setattr("autointerp.subject.model.LOGIT_ENTRIES", 1)
    for change, expected in zip(changes, whole, strict=True):
        torch.testing.assert_close(next_logits(subject, prompts, {point: change}), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["gpt2", "llama", "neox"])
def test_the_likeliest_tokens_are_those_of_generate(family, subjects, raw_models) -> None:
    subject = subjects[family]
    prompts = encode_prompts(subject, TEXTS)
    found = sample(subject, prompts, n_tokens=5, temperature=0.0, draw=torch.Generator())
    for row, last in enumerate(prompts.last.tolist()):
        ids = prompts.tokens[row : row + 1, : last + 1]
        expected = raw_models[family].generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=5,
            min_new_tokens=5,
            do_sample=False,
            pad_token_id=0,
            suppress_tokens=sorted(subject.special_ids),
        )
        assert found[row].tolist() == expected[0, last + 1 :].tolist()


def test_samples_repeat_with_the_seed_and_follow_what_is_held(subjects) -> None:
    subject, point = subjects["llama"], SitePoint("resid_post", subjects["llama"].n_layers - 1)
    prompts = encode_prompts(subject, TEXTS)

    def drawn(seed: int, changes=None) -> torch.Tensor:
        draw = torch.Generator().manual_seed(seed)
        return sample(subject, prompts, changes, n_tokens=6, temperature=1.0, draw=draw)

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))
    shift = subject.bridge.W_U[:, 70] * 1e4
    towards = {point: lambda x, rows: shift.expand_as(x)}
    (token,) = set(next_logits(subject, prompts, towards).argmax(dim=-1).tolist())
    draw = torch.Generator().manual_seed(0)
    held = sample(subject, prompts, towards, n_tokens=6, temperature=0.01, draw=draw)
    assert set(held.flatten().tolist()) == {token}


def test_prompts_that_cannot_be_used_are_the_users_error(subjects) -> None:
    with pytest.raises(InputError, match="it has no token"):
        encode_prompts(subjects["gpt2"], ["fine", ""])
    with pytest.raises(InputError, match="more than the 64 positions of 'tiny'; shorten it"):
        encode_prompts(subjects["gpt2"], ["word " * 100])
