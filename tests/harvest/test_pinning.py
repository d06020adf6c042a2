"""Features held high: strengths are matched in divergence, and what is recorded is what another model run gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2LMHeadModel

from autointerp.config.sites import SitePoint
from autointerp.config.tree import SubjectConfig
from autointerp.errors import InputError
from autointerp.harvest.firing import FiringRules
from autointerp.harvest.passes import LoadedDictionary
from autointerp.harvest.pinning import PROMPT_TOKENS, choose_prompts, pin_features
from autointerp.interventions.prompts import Prompts
from autointerp.records.evidence import Evidence
from autointerp.records.evidence_file import read_evidence, write_evidence
from autointerp.records.planted import plant_evidence
from autointerp.subject.model import Subject, load_subject
from autointerp.subject.packing import PackedBatch
from autointerp.subject.tokens import TokenText
from sae_core.architectures.fixed import IdentityDictionary
from sae_core.config import DictionaryConfig
from tests.judges.tiny_models import save_gpt2

POINT = SitePoint("mlp_post", 0)
FEATURES = (3, 7, 20)
KL = 0.2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_gpt2(tmp_path_factory.mktemp("subject"))


@pytest.fixture(scope="module")
def subject(folder: Path) -> Subject:
    return load_subject(SubjectConfig(model=str(folder), context_tokens=32), device="cpu")


@pytest.fixture(scope="module")
def prompts() -> Prompts:
    tokens = torch.randint(1, 300, (5, 10), generator=torch.Generator().manual_seed(0))
    tokens[:, 0] = 0
    return Prompts(tokens, tokens != 0)


def loaded(subject: Subject, sign: float = 1.0) -> LoadedDictionary:
    n = subject.width(POINT)
    rules = FiringRules.quantile(torch.zeros(n), target_density=0.1, sign=torch.full((n,), sign))
    return LoadedDictionary(IdentityDictionary(DictionaryConfig(kind="identity"), d_in=n), POINT, rules)


def evidence() -> list[Evidence]:
    return [replace(plant_evidence(0), feature=feature, pinned=None) for feature in FEATURES]


def pinned(subject: Subject, prompts: Prompts, sign: float = 1.0, kl: float = KL, n_logits: int = 12) -> list[Evidence]:
    text = TokenText.of(subject.tokenizer, vocab_size=subject.vocab_size)
    return pin_features(subject, loaded(subject, sign), evidence(), prompts, kl=kl, n_logits=n_logits, text=text)


def logits_by_hand(folder: Path, prompts: Prompts, neuron: int | None = None, value: float = 0.0) -> torch.Tensor:
    """Next-token logits of the HuggingFace model itself, one of its neurons overwritten at the text tokens."""
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()

    def overwrite(module: object, args: object, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        if neuron is not None:
            output[..., neuron] = torch.where(prompts.is_text, value, output[..., neuron])
        return output

    first: Any = model.transformer.h[0]
    handle = first.mlp.act.register_forward_hook(overwrite)
    with torch.no_grad():
        logits = model(prompts.tokens).logits[:, -1]
    handle.remove()
    return logits


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_neuron_is_overwritten_and_all_move_the_output_equally_far(
    subject: Subject, folder: Path, prompts: Prompts, sign: float
) -> None:
    clean = logits_by_hand(folder, prompts)
    pieces = TokenText.of(subject.tokenizer, vocab_size=subject.vocab_size).pieces
    shown = [t for t in range(subject.vocab_size) if t not in subject.special_ids and pieces[t]]
    for item in pinned(subject, prompts, sign):
        effect = item.pinned
        assert effect is not None
        assert effect.kl == pytest.approx(KL, rel=0.02)
        assert effect.strength > 0.0
        held = logits_by_hand(folder, prompts, item.feature, sign * effect.strength)
        first, second = clean.log_softmax(-1), held.log_softmax(-1)
        assert float((first.exp() * (first - second)).sum(-1).mean()) == pytest.approx(effect.kl, rel=1e-3)
        change = (held - clean).mean(0)
        shift = change[[entry.token_id for entry in effect.raised]] - torch.tensor([e.logit for e in effect.raised])
        assert float(shift.max() - shift.min()) < 1e-3  # but for what all entries share
        raised = sorted((float(change[t]) for t in shown), reverse=True)[:12]
        assert [float(change[entry.token_id]) for entry in effect.raised] == pytest.approx(raised, abs=1e-3)
        lowered = sorted(float(change[t]) for t in shown)[:12]
        assert [float(change[entry.token_id]) for entry in effect.lowered] == pytest.approx(lowered, abs=1e-3)


def test_a_larger_divergence_takes_a_larger_strength(subject: Subject, prompts: Prompts) -> None:
    weak, strong = (pinned(subject, prompts, kl=kl) for kl in (0.05, 0.4))
    for low, high in zip(weak, strong, strict=True):
        assert low.pinned is not None
        assert high.pinned is not None
        assert low.pinned.strength < high.pinned.strength


def test_a_feature_that_changes_nothing_says_so(subject: Subject, prompts: Prompts) -> None:
    """A neuron at a site that no later layer reads: its own direction is added, and the output cannot follow."""
    dictionary = loaded(subject)
    dictionary = replace(dictionary, dictionary=_Idle(DictionaryConfig(kind="identity"), d_in=subject.width(POINT)))
    text = TokenText.of(subject.tokenizer, vocab_size=subject.vocab_size)
    (item, *_) = pin_features(subject, dictionary, evidence(), prompts, kl=KL, n_logits=5, text=text)
    assert item.pinned is not None
    assert item.pinned.kl == pytest.approx(0.0, abs=1e-6)


class _Idle(IdentityDictionary):
    """Directions of length nothing."""

    @property
    def directions(self) -> torch.Tensor:
        return torch.zeros(self.n_features, self.d_in)


def test_features_of_a_cross_layer_transcoder_cannot_be_pinned(subject: Subject, prompts: Prompts) -> None:
    dictionary = loaded(subject)
    dictionary.dictionary.is_cross_layer = True
    text = TokenText.of(subject.tokenizer, vocab_size=subject.vocab_size)
    with pytest.raises(ValueError, match="writes to several layers"):
        pin_features(subject, dictionary, evidence(), prompts, kl=KL, n_logits=5, text=text)


def test_pinned_evidence_is_kept_in_the_file(subject: Subject, prompts: Prompts, tmp_path: Path) -> None:
    rows = pinned(subject, prompts)
    write_evidence(tmp_path / "d.parquet", rows)
    assert read_evidence(tmp_path / "d.parquet") == rows


def batch(n_contexts: int, n_padded: int = 0) -> PackedBatch:
    tokens = torch.arange(n_contexts * 40).reshape(n_contexts, 40)
    document = torch.zeros_like(tokens)
    document[:, 0] = -1
    if n_padded:
        document[-n_padded:, 5:] = -1
    return PackedBatch(tokens, document, document.clone(), ("d",), "explain")


def test_prompts_are_openings_that_end_in_text() -> None:
    found = choose_prompts([batch(3, n_padded=1), batch(4)], 5, context_tokens=40)
    assert found.tokens.shape == (5, PROMPT_TOKENS)
    assert found.tokens[:, 0].tolist() == [0, 40, 0, 40, 80]
    assert bool(found.is_text[:, -1].all())
    assert not bool(found.is_text[:, 0].any())


def test_narrow_batches_of_short_documents_give_no_prompts() -> None:
    short = batch(2)
    narrow = PackedBatch(short.tokens[:, :10], short.document[:, :10], short.offset[:, :10], ("d",), "explain")
    assert choose_prompts([narrow, short], 2, context_tokens=40).tokens.shape == (2, PROMPT_TOKENS)
    assert choose_prompts([narrow], 2, context_tokens=10).tokens.shape == (2, 10)


def test_too_few_prompts_are_the_users_error() -> None:
    with pytest.raises(InputError, match=r"harvest\.pinned = 9, but the role explain has 2 contexts"):
        choose_prompts([batch(2)], 9, context_tokens=40)
