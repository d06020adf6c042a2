"""Windows show the document's own text, whatever the tokenizer does to it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from autointerp.config.sites import SitePoint
from autointerp.config.tree import HarvestConfig
from autointerp.harvest.evidence import harvest
from autointerp.records.document import Document
from autointerp.records.evidence import Evidence
from autointerp.subject.packing import Packing, iter_batches
from autointerp.subject.tokens import TokenText, plain_tokenizer, special_ids
from tests.harvest.planted import N_FEATURES, loaded
from tests.subject.kinds import KINDS, LINES, SENTENCES, SPELLING

CONFIG = HarvestConfig(
    n_features="all", window_left=5, window_right=4, n_top=6, n_bins=2, n_per_bin=3, n_random=6, n_near_miss=2,
    min_firing=1,
)  # fmt: skip


class RemainderSubject:
    """Feature i fires on the tokens whose id is i modulo the number of features."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.vocab_size = len(tokenizer)
        self.special_ids = special_ids(tokenizer)

    def check(self, point: SitePoint) -> None:
        pass

    def activations(self, tokens: Tensor, points: list[SitePoint]) -> dict[SitePoint, Tensor]:
        x = torch.nn.functional.one_hot(tokens % N_FEATURES, N_FEATURES).float()
        return dict.fromkeys(points, x * (1 + tokens[..., None] / self.vocab_size))

    def logit_effects(self, point: SitePoint, directions: Tensor) -> Tensor:
        return torch.zeros(len(directions), self.vocab_size)


def documents() -> dict[str, Document]:
    texts = [
        " ".join([f"{i}.", LINES[i % 2], SENTENCES[i % 8], "Lily's ball rolled away, QQ \ufb01ne"]) for i in range(24)
    ]
    return {f"d{i}": Document(f"d{i}", "test", f"  {text}\n") for i, text in enumerate(texts)}


def harvested(tokenizer: PreTrainedTokenizerFast, *, packing: Packing = "concatenate") -> list[Evidence]:
    own, by_role = plain_tokenizer(tokenizer), list(documents().values())

    def batches():
        for role, part in (("explain", by_role[::2]), ("score", by_role[1::2])):
            yield from iter_batches(
                part, tokenizer=own, role=role, context_tokens=24, batch_contexts=4, packing=packing
            )

    text = TokenText.of(own)
    return harvest(RemainderSubject(own), {"d": loaded()}, batches, CONFIG, text=text, seed=0)["d"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_is_a_stretch_of_its_document(kind) -> None:
    tokenizer, by_id = KINDS[kind](), documents()
    encoded = {
        name: tokenizer(d.text, add_special_tokens=False, return_offsets_mapping=True) for name, d in by_id.items()
    }
    windows = [window for item in harvested(tokenizer) for window in item.windows]
    assert len(windows) > 60
    for window in windows:
        source, tokens = by_id[window.document].text, encoded[window.document]
        assert window.text.strip("\ufffd") in source, "but for a character that the edge of a context cuts"
        place = slice(window.offset, window.offset + len(window.token_ids))
        assert list(window.token_ids) == tokens["input_ids"][place]
        for shown, (low, high) in zip(window.token_texts(), tokens["offset_mapping"][place], strict=True):
            if "\ufffd" not in shown and shown:
                assert shown.strip() == source[low:high].strip()


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - SPELLING))
def test_vocabulary_entries_are_shown_without_marks_of_the_tokenizer(kind) -> None:
    uses = [use.text for item in harvested(KINDS[kind]()) for use in item.token_uses]
    assert uses and not any("##" in text or "</w>" in text or "\u2581" in text for text in uses)


def test_packing_by_document_finds_the_same_tokens() -> None:
    apart = harvested(KINDS["word_piece"](), packing="document")
    together = harvested(KINDS["word_piece"]())
    assert [item.n_firing for item in apart] == [item.n_firing for item in together]
    assert all(window.text in documents()[window.document].text for item in apart for window in item.windows)
