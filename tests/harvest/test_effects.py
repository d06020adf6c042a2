"""Logit effects: the strongest first, special tokens never."""

from __future__ import annotations

import torch

from autointerp.config.sites import SitePoint
from autointerp.harvest.effects import find_effects, strongest_effects
from tests.harvest.planted import BOS, POINT, VOCAB, PlantedSubject, planted_text


def test_effects_are_the_extremes_without_special_tokens() -> None:
    subject = PlantedSubject()
    directions = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    logits = subject.logit_effects(POINT, directions)
    for row, (top, bottom) in enumerate(find_effects(subject, POINT, directions, n_logits=7, text=planted_text())):
        allowed = {token: float(logits[row, token]) for token in range(VOCAB) if token != BOS}
        assert [e.logit for e in top] == sorted(allowed.values(), reverse=True)[:7]
        assert [e.logit for e in bottom] == sorted(allowed.values())[:7]
        assert all(allowed[e.token_id] == e.logit for e in (*top, *bottom))
        assert top[0].text == planted_text().display(top[0].token_id)


def test_all_tokens_are_given_where_fewer_exist() -> None:
    top, _ = find_effects(PlantedSubject(), POINT, torch.eye(8)[:1], n_logits=1000, text=planted_text())[0]
    assert len(top) == VOCAB - 1


def test_a_site_without_a_linear_way_to_the_logits_has_none() -> None:
    point = SitePoint("mlp_in", 0)
    assert find_effects(PlantedSubject(), point, torch.eye(8)[:3], n_logits=7, text=planted_text()) == [((), ())] * 3


def test_of_equal_effects_those_of_the_first_tokens_are_kept() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0, 3.0, 2.0, 2.0, 0.0, 0.0], [0.0, 7.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    found = strongest_effects(logits, torch.arange(8), n_logits=4, text=planted_text())
    tokens = [[[effect.token_id for effect in side] for side in sides] for sides in found]
    assert tokens == [[[1, 3, 2, 4], [6, 7, 0, 2]], [[1, 7, 6, 5], [0, 2, 3, 4]]]
