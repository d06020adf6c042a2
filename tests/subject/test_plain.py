"""Sites are read off the plain model, in a pass that ends at the last of them; the bridge steps in where it differs."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from autointerp.config.sites import SITES, SitePoint
from autointerp.config.tree import SubjectConfig
from autointerp.subject.model import Subject, load_subject
from autointerp.subject.plain import PlainModel

FAMILIES = ("gpt2", "llama")
POINTS = [SitePoint("resid_pre", 0), SitePoint("mlp_post", 1)]


def modules_run(subject: Subject, tokens: torch.Tensor, points: list[SitePoint]) -> set[str]:
    assert subject._plain is not None
    ran: set[str] = set()
    handles = [
        module.register_forward_hook(lambda module, args, output, name=name: ran.add(name))
        for name, module in subject._plain._model.named_modules()
    ]
    subject.activations(tokens, points)
    for handle in handles:
        handle.remove()
    return ran


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_above_the_last_site_runs(family: str, subjects, tokens) -> None:
    ran = modules_run(subjects[family], tokens, POINTS)
    blocks = {int(part) for name in ran for part in name.split(".") if part.isdigit()}
    assert blocks == {0, 1}
    assert not any(name.endswith(("lm_head", "down_proj", "ln_f", "model.norm")) and ".0." not in name for name in ran)


@pytest.mark.parametrize("family", ["gpt2", "llama", "neox", "gemma3"])
def test_the_bridge_is_not_run(family: str, subjects, tokens, monkeypatch) -> None:
    subject = subjects[family]
    points = [SitePoint(site, 1) for site in SITES if subject._fault(SitePoint(site, 1)) is None]
    monkeypatch.setattr(subject, "_read_bridge", None)
    assert set(subject.activations(tokens, points)) == set(points)


def test_weights_are_shared_with_the_bridge(subjects) -> None:
    subject = subjects["llama"]
    (plain,) = (p for n, p in subject._plain._model.named_parameters() if n.endswith("layers.1.mlp.up_proj.weight"))
    name = next(n for n in subject._weights if n.endswith("layers.1.mlp.up_proj.weight"))
    assert plain.data_ptr() == subject._weights[name].data_ptr()


def test_where_the_plain_model_has_other_values_the_bridge_is_read(
    raw_models, byte_tokenizer, subjects, tokens, monkeypatch
) -> None:
    read = PlainModel.read

    def wrong(self: PlainModel, *arguments: Any) -> Any:
        return {point: 1.001 * x for point, x in read(self, *arguments).items()}

    monkeypatch.setattr(PlainModel, "read", wrong)
    config = SubjectConfig(model="tiny", context_tokens=32, site="resid_post")
    subject = load_subject(config, device="cpu", hf_model=copy.deepcopy(raw_models["llama"]), tokenizer=byte_tokenizer)
    found = subject.activations(tokens, POINTS)
    monkeypatch.undo()
    for point, x in subjects["llama"].activations(tokens, POINTS).items():
        torch.testing.assert_close(found[point], x, rtol=1e-4, atol=1e-5)


def test_a_pass_that_fails_leaves_no_hook(subjects, tokens) -> None:
    subject = subjects["gpt2"]
    with pytest.raises((IndexError, RuntimeError)):
        subject.activations(tokens + 10_000, POINTS)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in subject._plain._model.modules())
