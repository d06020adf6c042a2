"""A circuit of known size in a hand-made model of two layers is found: three features, and no fewer directions."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from autointerp.config.sites import SitePoint
from autointerp.config.tree import SubjectConfig
from autointerp.interventions.localisation import Patching, measure_curve, order_features
from autointerp.interventions.prompts import Prompts
from autointerp.interventions.reading import ReadPrompts
from autointerp.subject.model import Subject, load_subject
from sae_core.architectures.components import PcaDictionary
from sae_core.architectures.relu import ReluDictionary
from sae_core.config import DictionaryConfig
from sae_core.dictionary import Dictionary

WIDTH, N_FEATURES, N_TOKENS = 24, 40, 64
POINT = SitePoint("resid_post", 0)
CIRCUIT = (5, 17, 30)
KS = (1, 2, 3, 4, 8, 16)


def directions() -> torch.Tensor:
    """More features than dimensions, no two of them orthogonal."""
    draw = torch.Generator().manual_seed(2)
    return torch.nn.functional.normalize(torch.randn(N_FEATURES, WIDTH, generator=draw), dim=1)


@pytest.fixture(scope="module")
def subject(byte_tokenizer) -> Subject:
    """Blocks that add nothing: token t < 32 has the features of its binary digits and some others, and the answers are
    read from the three features of the circuit alone."""
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(byte_tokenizer),
            hidden_size=WIDTH,
            intermediate_size=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=16,
            tie_word_embeddings=False,
        )
    ).eval()
    with torch.no_grad():
        for block in model.model.layers:
            block.self_attn.o_proj.weight.zero_()
            block.mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(codes(torch.arange(len(byte_tokenizer))) @ directions())
        inverse = torch.linalg.pinv(directions()[list(CIRCUIT)])  # reads each of the three, blind to the other two
        model.lm_head.weight.zero_()
        model.lm_head.weight[:8] = 4 * (signs() @ inverse.T)
    config = SubjectConfig(model="made", site="resid_post", layer=0, context_tokens=16)
    return load_subject(config, device="cpu", hf_model=model, tokenizer=byte_tokenizer)


def signs() -> torch.Tensor:
    return torch.tensor([[1.0 if answer >> place & 1 else -1.0 for place in range(3)] for answer in range(8)])


def codes(tokens: torch.Tensor) -> torch.Tensor:
    """The circuit's features are the token's three lowest digits; six others are drawn for each token."""
    found = torch.zeros(len(tokens), N_FEATURES)
    others = [feature for feature in range(N_FEATURES) if feature not in CIRCUIT]
    for row, token in enumerate(tokens.tolist()):
        draw = torch.Generator().manual_seed(100 + token // 8)
        for place in torch.randperm(len(others), generator=draw)[:6].tolist():
            found[row, others[place]] = 1.0
        for place, feature in enumerate(CIRCUIT):
            found[row, feature] = 2.0 * (token >> place & 1)
    return found


class Planted(ReluDictionary):
    """The features that are there, told by the token."""

    def encode_dense(self, x: torch.Tensor) -> torch.Tensor:
        table = codes(torch.arange(N_TOKENS))
        return table[torch.cdist(x, table @ directions()).argmin(dim=1)]


def planted() -> Dictionary:
    config = DictionaryConfig(kind="relu", n_features=N_FEATURES)
    dictionary = Planted(config, d_in=WIDTH, draw=torch.Generator().manual_seed(0))
    with torch.no_grad():
        dictionary.W_dec.copy_(directions())
    dictionary.is_featurewise = False
    dictionary.encode_features = lambda x, features: dictionary.encode_dense(x)[:, features]  # type: ignore[method-assign]
    return dictionary


def components(subject: Subject) -> Dictionary:
    sample = (codes(torch.arange(N_TOKENS)) @ directions()).repeat(20, 1)
    return PcaDictionary(DictionaryConfig(kind="pca"), d_in=WIDTH, sample=sample)


def patching(subject: Subject, dictionary: Dictionary, numbers: range) -> Patching:
    """Prompts of one token below 64, counterfactuals with all three digits turned over."""
    tokens = torch.tensor([[60, 8 * number + (number * 5) % 8] for number in numbers])
    turned = tokens.clone()
    turned[:, 1] = tokens[:, 1] ^ 7
    at = torch.tensor([[False, True]]).expand(len(tokens), 2)
    clean, counterfactual = (ReadPrompts(subject, Prompts(each, at), POINT) for each in (tokens, turned))
    return Patching(clean, counterfactual, dictionary, at=at)


def test_three_features_do_it_and_are_the_three(subject) -> None:
    dictionary = planted()
    order = order_features(patching(subject, dictionary, range(4)), KS)
    assert set(order[:3].tolist()) == set(CIRCUIT)
    assert len(order) == 3, "no other feature differs between a prompt and its counterfactual"
    curve = measure_curve(patching(subject, dictionary, range(4, 8)), order, KS)
    before, *_, after = curve.distance.mean(dim=1)[:4]
    assert before > 1.0 and after < 1e-3
    assert float(curve.distance[2].mean()) > 0.1, "two are not enough"


def test_components_need_more(subject) -> None:
    """The same change of the activation is spread over many of them."""
    areas = {}
    for name, dictionary in (("planted", planted()), ("pca", components(subject))):
        order = order_features(patching(subject, dictionary, range(4)), KS)
        curve = measure_curve(patching(subject, dictionary, range(4, 8)), order, KS)
        areas[name] = curve.area
        if name == "pca":
            assert float(curve.distance[3].mean()) > 0.1
            assert float(curve.distance[3].mean()) < float(curve.distance[0].mean())
    assert bool((areas["planted"] + 0.05 < areas["pca"]).all())


def test_the_area_is_that_under_the_curve(subject) -> None:
    curve = measure_curve(patching(subject, planted(), range(4)), torch.tensor(CIRCUIT), (1, 3))
    share = curve.distance / curve.distance[0]
    expected = (share[0] + share[1]) / 2 * 0.5 + (share[1] + share[2]) / 2 * 0.5
    torch.testing.assert_close(curve.area, expected)


def test_by_attribution_alone_and_by_exact_patching_the_same_are_found(subject) -> None:
    made = patching(subject, planted(), range(4))
    assert set(order_features(made, (3,), n_exact=0).tolist()) == set(order_features(made, (3,)).tolist())
