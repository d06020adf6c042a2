"""Features that stand for a token concept, found on one half of the held-out text and measured on the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.harvest.firing import FiringRules
from autointerp.interventions.prompts import Prompts
from autointerp.records.document import Role
from autointerp.stages.workbench import Workbench
from autointerp.subject.tokens import TokenText
from sae_core.dictionary import Dictionary

__all__ = ["CONCEPTS", "ConceptText", "Found", "find_feature", "read_concept_text"]

CONCEPTS: Mapping[str, tuple[str, ...]] = {"apostrophe": ("'", "\u2019"), "closing parenthesis": (")",)}
"""A token stands for a concept where its text holds one of the characters."""

PROMPT_TOKENS = 32
ROWS_AT_ONCE = 2048
N_TOP_TOKENS = 5


@dataclass(frozen=True, eq=False)
class ConceptText:
    """Text tokens of one role with their activations, in order, and the contexts they stand in."""

    x: Float[Tensor, "n d_in"]
    tokens: Int[Tensor, " n"]
    # each token's context, and its place there
    row: Int[Tensor, " n"]
    place: Int[Tensor, " n"]
    contexts: Int[Tensor, "context pos"]

    def holds(self, concept: str, text: TokenText) -> Bool[Tensor, " n"]:
        marks = CONCEPTS[concept]
        wanted = [token for token in range(len(text.pieces)) if any(mark in text.display(token) for mark in marks)]
        return torch.isin(self.tokens, torch.tensor(wanted))

    def prompts(self, chosen: Int[Tensor, " prompt"], *, has_first: bool) -> Prompts:
        """The text up to and with each chosen token, PROMPT_TOKENS at most.

        `has_first`: contexts begin with BOS, and so does each prompt.
        """
        rows, first = [], int(has_first)
        for row, place in zip(self.row[chosen].tolist(), self.place[chosen].tolist(), strict=True):
            context = self.contexts[row]
            start = max(first, place + 1 - PROMPT_TOKENS)
            rows.append(torch.cat([context[:first], context[start : place + 1]]))
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        length = torch.tensor([len(row) for row in rows])[:, None]
        position = torch.arange(tokens.shape[1])[None]
        return Prompts(tokens, (position >= first) & (position < length))

    def has_follower(self) -> Bool[Tensor, " n"]:
        """Whether the next token of the context is text as well."""
        follows = (self.row[1:] == self.row[:-1]) & (self.place[1:] == self.place[:-1] + 1)
        return torch.cat([follows, torch.tensor([False])])


@dataclass(frozen=True, slots=True)
class Found:
    """The feature of one dictionary whose value correlates best with a concept on the first half; figures are of the
    second half."""

    dictionary: str
    feature: int
    correlation: float
    # firing or not at tokens of the concept, and of the concept or not at tokens where it fires
    sensitivity: list[float]
    precision: list[float]
    # the commonest tokens where it fires
    tokens: tuple[str, ...]


def read_concept_text(bench: Workbench, role: Role, point: SitePoint, *, n_tokens: int) -> ConceptText:
    parts: dict[str, list[Tensor]] = {name: [] for name in ("x", "tokens", "row", "place", "contexts")}
    n_rows = 0
    for batch in bench.evidence_batches(role, max_tokens=min(n_tokens, bench.tokens_per_role)):
        is_text = batch.is_text.cpu()
        found = bench.subject.activations(batch.tokens, [point])[point].cpu()
        row, place = is_text.nonzero(as_tuple=True)
        for name, value in {
            "x": found[is_text],
            "tokens": batch.tokens.cpu()[is_text],
            "row": row + n_rows,
            "place": place,
            "contexts": torch.nn.functional.pad(
                batch.tokens.cpu(), (0, bench.config.subject.context_tokens - batch.tokens.shape[1])
            ),
        }.items():
            parts[name].append(value)
        n_rows += len(batch.tokens)
    return ConceptText(**{name: torch.cat(values) for name, values in parts.items()})


@torch.no_grad()
def find_feature(
    name: str,
    dictionary: Dictionary,
    rules: FiringRules,
    concept: str,
    halves: tuple[ConceptText, ConceptText],
    text: TokenText,
) -> Found:
    """Raises ValueError where a half lacks the concept."""
    marks = [half.holds(concept, text) for half in halves]
    if not all(bool(mark.any()) for mark in marks):
        raise ValueError(concept)
    correlations = _correlations(dictionary, halves[0].x, marks[0])
    # a dense coordinate may stand for a concept by its negative side
    sizes = correlations.abs() if dictionary.is_dense else correlations
    feature = int(sizes.argmax())
    sign = 1.0 if float(correlations[feature]) >= 0 else -1.0
    chosen, rows = torch.tensor([feature]), halves[1].x.split(ROWS_AT_ONCE)
    value = sign * torch.cat([dictionary.encode_features(each, chosen)[:, 0].cpu() for each in rows])
    both = torch.stack([value.double(), marks[1].double()])
    density = None if rules.target_density is None else float(rules.target_density[feature])
    fires = value > (0.0 if density is None else float(value.quantile(1 - density)))
    used = Counter(halves[1].tokens[fires].tolist()).most_common(N_TOP_TOKENS)
    return Found(
        dictionary=name,
        feature=feature,
        correlation=float(torch.corrcoef(both)[0, 1].nan_to_num()),
        sensitivity=fires[marks[1]].float().tolist(),
        precision=marks[1][fires].float().tolist(),
        tokens=tuple(text.display(token) for token, _ in used),
    )


def _correlations(dictionary: Dictionary, x: Tensor, mark: Tensor) -> Float[Tensor, " n_features"]:
    sums = torch.zeros(3, dictionary.n_features, dtype=torch.float64)
    for rows, marked in _blocks(x, mark):
        codes = dictionary.encode_dense(rows).double().cpu()
        sums += torch.stack([codes.sum(0), codes.square().sum(0), codes[marked].sum(0)])
    n, share = len(x), float(mark.double().mean())
    mean, square, product = sums / n
    spread = (square - mean.square()).clamp_min(0).sqrt() * (share * (1 - share)) ** 0.5
    return torch.where(spread > 1e-12, (product - mean * share) / spread.clamp_min(1e-12), 0.0)


def _blocks(x: Tensor, mark: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(x.split(ROWS_AT_ONCE), mark.split(ROWS_AT_ONCE), strict=True)
