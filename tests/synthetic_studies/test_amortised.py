"""The studies' stacked encoders are the library's: same steps as sae_core's own loop, same gradients as autograd."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sae_core.build import build_dictionary
from sae_core.config import DictionaryConfig, TrainingConfig
from sae_core.trainable import TrainableDictionary
from sae_core.training.trainer import DictionaryTrainer
from synthetic_studies.amortised import EncoderConfig, EncoderStack, train_stack

D_IN, N_FEATURES, N_ROWS, L1_WEIGHT, LEARNING_RATE = 6, 10, 64, 0.02, 3e-3


def samples(n_problems: int, *, seed: int = 0) -> Tensor:
    return torch.randn(n_problems, N_ROWS, D_IN, generator=torch.Generator().manual_seed(seed)).double().float()


def library_dictionary(kind: str, *, k: int) -> TrainableDictionary:
    config = DictionaryConfig(
        kind=kind, n_features=N_FEATURES, k=k, hidden=(7,), l1_weight=L1_WEIGHT / N_FEATURES, auxk_weight=0.0
    )
    built = build_dictionary(config, d_in=D_IN, seed=3, sample=samples(1)[0] + 0.1, normalise_inputs=False)
    assert isinstance(built, TrainableDictionary)
    return built


def as_stack(dictionary: TrainableDictionary, config: EncoderConfig) -> EncoderStack:
    """A stack of two problems, the second of which is the dictionary's."""
    stack = EncoderStack(config, seeds=[0, 1])
    found = dict(dictionary.named_parameters())
    for name, parameter in stack.parameters.items():
        inside = found.get(name, found.get(f"layers.0.{name}"))
        assert inside is not None
        parameter[1] = inside.detach()
    return stack


def train_in_library(dictionary: TrainableDictionary, x: Tensor, *, n_steps: int) -> None:
    training = TrainingConfig(
        n_tokens=n_steps * N_ROWS,
        batch_tokens=N_ROWS,
        learning_rate=LEARNING_RATE,
        warmup_frac=0.0,
        decay_frac=0.0,
        l1_warmup_frac=0.0,
        resample_every_steps=0,
        gradient_clip=0.0,
        normalise_inputs=False,
    )
    trainer = DictionaryTrainer("one", dictionary.train(), training)
    for _ in range(n_steps):
        trainer.step(x, is_recorded=False)


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize(("kind", "hidden", "k"), [("relu", None, None), ("mlp", 7, None), ("topk", None, 3)])
def test_a_stacked_step_is_the_librarys_step(kind: str, hidden: int | None, k: int | None, has_bias: bool) -> None:
    dictionary = library_dictionary(kind, k=k or 1)
    if not has_bias:
        for name, parameter in dictionary.named_parameters():
            if name.rpartition(".")[2].startswith("b_"):
                parameter.detach().zero_()
                parameter.requires_grad_(False)
    config = EncoderConfig(d_in=D_IN, n_features=N_FEATURES, hidden=hidden, k=k, has_bias=has_bias)
    stack = as_stack(dictionary, config)
    before = stack.parameters["W_enc"].clone()
    x = samples(2)
    l1_weight = 0.0 if kind == "topk" else L1_WEIGHT
    train_stack(stack, x, scenario="unknown", n_steps=12, learning_rate=LEARNING_RATE, l1_weights=l1_weight)
    train_in_library(dictionary, x[1], n_steps=12)
    assert float((stack.parameters["W_enc"] - before).abs().max()) > 10 * LEARNING_RATE / 2
    for name, parameter in stack.parameters.items():
        found = dict(dictionary.named_parameters())
        inside = found.get(name, found.get(f"layers.0.{name}"))
        assert inside is not None
        torch.testing.assert_close(parameter[1], inside.detach(), atol=1e-5, rtol=1e-5, msg=name)
    codes = stack.encode(x)[1]
    torch.testing.assert_close(codes, dictionary.encode_dense(x[1]).detach(), atol=1e-5, rtol=1e-4)


@settings(deadline=None, max_examples=12)
@given(
    n_problems=st.integers(1, 3),
    hidden=st.sampled_from([None, 4]),
    k=st.sampled_from([None, 2]),
    has_bias=st.booleans(),
    scenario=st.sampled_from(["codes", "dictionary", "unknown"]),
)
def test_gradients_are_autograds(n_problems: int, hidden: int | None, k: int | None, has_bias: bool, scenario) -> None:
    config = EncoderConfig(d_in=D_IN, n_features=N_FEATURES, hidden=hidden, k=k, has_bias=has_bias)
    stack = EncoderStack(config, seeds=range(n_problems))
    stack.parameters = {name: value.double() for name, value in stack.parameters.items()}
    for parameter in stack.parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    x = samples(n_problems, seed=1).double()
    codes = torch.relu(torch.randn(n_problems, N_ROWS, N_FEATURES, generator=torch.Generator().manual_seed(2))).double()
    weights = torch.linspace(0.01, 0.03, n_problems).double()
    is_codes = scenario == "codes"
    stack.step_gradients(x, scenario=scenario, l1_weights=weights, codes=codes if is_codes else None)
    trained = stack.trained(scenario)
    copies = {name: value.detach().clone().requires_grad_() for name, value in stack.parameters.items()}
    loss = reference_loss(copies, x, weights, codes if is_codes else None, hidden=hidden, k=k)
    loss.backward()
    for name, copy in copies.items():
        if any(stack.parameters[name] is parameter for parameter in trained):
            torch.testing.assert_close(stack.parameters[name].grad, copy.grad, msg=name)


def reference_loss(weights, x: Tensor, l1_weights: Tensor, codes: Tensor | None, *, hidden, k) -> Tensor:
    h = x - weights["b_dec"][:, None]
    if hidden:
        h = torch.relu(h @ weights["W_hidden"].mT + weights["b_hidden"][:, None])
    pre = h @ weights["W_enc"].mT + weights["b_enc"][:, None]
    found = torch.relu(pre)
    if k is not None:
        found = found * (pre >= pre.topk(k, dim=-1).values[..., -1:])
    if codes is not None:
        return -functional.cosine_similarity(found.mT, codes.mT, dim=-1, eps=1e-8).mean(dim=1).sum()
    error = found @ weights["W_dec"] + weights["b_dec"][:, None] - x
    return (error.square().mean(dim=(1, 2)) + l1_weights * found.mean(dim=(1, 2))).sum()


def test_problems_do_not_influence_each_other() -> None:
    config = EncoderConfig(d_in=D_IN, n_features=N_FEATURES)
    x = samples(3)
    together = EncoderStack(config, seeds=[4, 5, 6])
    train_stack(together, x, scenario="unknown", n_steps=5, l1_weights=[0.1, 0.2, 0.3])
    alone = EncoderStack(config, seeds=[5])
    train_stack(alone, x[1:2], scenario="unknown", n_steps=5, l1_weights=0.2)
    torch.testing.assert_close(together.directions[1], alone.directions[0], atol=1e-6, rtol=1e-5)


def test_directions_keep_norm_1_and_known_ones_stay() -> None:
    config = EncoderConfig(d_in=D_IN, n_features=N_FEATURES, has_bias=True)
    truth = functional.normalize(samples(2)[:, :N_FEATURES], dim=-1)
    known = EncoderStack(config, seeds=[0, 1], directions=truth)
    train_stack(known, samples(2), scenario="dictionary", n_steps=5)
    assert torch.equal(known.directions, truth)
    free = EncoderStack(config, seeds=[0, 1])
    marks: list[int] = []
    train_stack(free, samples(2), scenario="unknown", n_steps=5, record_at=[0, 3, 5], on_record=marks.append)
    torch.testing.assert_close(free.directions.norm(dim=-1), torch.ones(2, N_FEATURES))
    assert marks == [0, 3, 5]


def test_codes_are_needed_when_they_are_known_and_only_then() -> None:
    stack = EncoderStack(EncoderConfig(d_in=D_IN, n_features=N_FEATURES), seeds=[0])
    with pytest.raises(ValueError, match="'codes' needs codes"):
        train_stack(stack, samples(1), scenario="codes", n_steps=1)
    with pytest.raises(ValueError, match="'unknown' takes no codes"):
        train_stack(stack, samples(1), scenario="unknown", n_steps=1, codes=torch.zeros(1, N_ROWS, N_FEATURES))


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("hidden", [None, 5])
def test_published_weights_are_those_of_torchs_layers_after_its_global_seed(hidden: int | None, has_bias: bool) -> None:
    config = EncoderConfig(d_in=3, n_features=4, hidden=hidden, has_bias=has_bias, initialisation="published")
    found = {name: value[0] for name, value in EncoderStack(config, seeds=[7]).parameters.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7 + 42)
        layers = [torch.nn.Linear(a, b, bias=has_bias) for a, b in ([(3, 5), (5, 4)] if hidden else [(3, 4)])]
        decoder = torch.nn.Linear(4, 3, bias=has_bias)
        directions = torch.randn(3, 4)
    torch.testing.assert_close(found["W_enc"], layers[-1].weight.detach())
    torch.testing.assert_close(found["W_dec"], functional.normalize(directions, dim=0).T)
    if hidden:
        torch.testing.assert_close(found["W_hidden"], layers[0].weight.detach())
    if has_bias:
        torch.testing.assert_close(found["b_dec"], decoder.bias.detach())


def test_free_norms_are_plain_adam() -> None:
    config, x = EncoderConfig(d_in=D_IN, n_features=N_FEATURES), samples(1)
    stack, copy = (EncoderStack(config, seeds=[0]) for _ in range(2))
    train_stack(stack, x, scenario="unknown", n_steps=1, learning_rate=LEARNING_RATE, has_unit_norms=False)
    copy.step_gradients(x, scenario="unknown", l1_weights=torch.tensor([0.01]))
    moved = copy.directions - LEARNING_RATE * copy.directions.grad.sign()  # Adam's first step
    torch.testing.assert_close(stack.directions, moved, atol=1e-5, rtol=0)
    assert float((stack.directions.norm(dim=-1) - 1).abs().max()) > 1e-4
