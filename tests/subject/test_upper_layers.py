"""Passes that begin in the middle have the losses of whole ones, and run nothing below."""

from __future__ import annotations

import pytest
import torch

from autointerp.config.sites import SITES, SitePoint
from autointerp.errors import SubjectError
from autointerp.subject.upper_layers import UpperLayers


@pytest.mark.parametrize("family", ["gpt2", "llama", "neox", "gemma3"])
def test_a_spliced_pass_from_a_layer_on_is_a_whole_one(family, subjects, tokens) -> None:
    subject, upper = subjects[family], UpperLayers(subjects[family], 1)
    assert upper.first == 1
    entering = subject.activations(tokens, [upper.entering])[upper.entering]
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[:, 0] = False
    for site in SITES:
        point = SitePoint(site, 1)
        try:
            subject.check(point)
        except SubjectError:
            continue
        whole = subject.spliced_loss(tokens, mask, point, lambda x: 0.5 * x)
        with upper.entered(entering):
            found = subject.spliced_loss(tokens, mask, point, lambda x: 0.5 * x)
        torch.testing.assert_close(found, whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(subject.loss(tokens, mask), subject.loss(tokens, mask))


def test_nothing_below_runs_and_afterwards_all_does(subjects, tokens) -> None:
    subject, upper, ran = subjects["llama"], UpperLayers(subjects["llama"], 2), []
    entering = subject.activations(tokens, [upper.entering])[upper.entering]
    mask = torch.ones_like(tokens, dtype=torch.bool)
    whole = subject.loss(tokens, mask)
    handles = [
        block.mlp.register_forward_hook(lambda *call, layer=layer: ran.append(layer))
        for layer, block in enumerate(subject.bridge.blocks)
    ]
    try:
        with upper.entered(entering):
            subject.loss(tokens, mask)
        assert ran == [2]
        ran.clear()
        torch.testing.assert_close(subject.loss(tokens, mask), whole)
        assert ran == [0, 1, 2]
    finally:
        for handle in handles:
            handle.remove()


def test_contexts_other_than_those_kept_are_an_error(subjects, tokens) -> None:
    subject, upper = subjects["gpt2"], UpperLayers(subjects["gpt2"], 1)
    entering = subject.activations(tokens, [upper.entering])[upper.entering]
    with upper.entered(entering[:1]), pytest.raises(ValueError, match="of 1 contexts was kept, not of 3"):
        subject.loss(tokens, torch.ones_like(tokens, dtype=torch.bool))


@pytest.mark.parametrize("keeps", [False, True], ids=["asks below", "keeps the last pass"])
def test_where_a_block_reads_past_the_stream_passes_are_whole(keeps, subjects) -> None:
    subject, told = subjects["gpt2"], {}
    below, above = (subject.bridge.blocks[layer] for layer in (0, 1))

    def add(module, args, options):
        x, *rest = args
        return (x + (told["mlp"] if keeps else told.pop("mlp")), *rest), options

    handles = [
        below.mlp.register_forward_hook(lambda module, args, output: told.update(mlp=output)),
        above.register_forward_pre_hook(add, with_kwargs=True),
    ]
    try:
        upper = UpperLayers(subject, 1)
    finally:
        for handle in handles:
            handle.remove()
    assert upper.first == 0
    with upper.entered(torch.zeros(3, 12, 0)):
        assert "forward" not in vars(below)
