"""Evidence of planted features: real text with labels known from rules, one window per passage."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, islice

import numpy as np

from autointerp.audition.concept import Concept, Rule, Span
from autointerp.audition.items import GAP, draw_item
from autointerp.audition.plain_concepts import PLAIN
from autointerp.audition.texts import read_passages
from autointerp.errors import InputError
from autointerp.records.document import Role
from autointerp.records.evidence import N_SHOWN_LOGITS, Evidence, FiringRule, PinnedEffect, TokenEffect, TokenUse
from autointerp.records.window import Kind, Window
from autointerp.seeds import derive, stream

__all__ = ["DICTIONARY", "Counts", "plant", "split_tokens"]

DICTIONARY = "audition"
N_BINS = 5
_TOKEN = re.compile(r" ?[^\W\d_]+| ?\d+| ?_+|[^\S ]+| ?[^\w\s]| +")
_STRANGERS = tuple(dict.fromkeys(kind for concept in PLAIN for kind in concept.plants))
_OPENING, _CLOSING = "(“", ")”;!"
"""Signs that touch the next word, or the previous one."""
_MOST_STRENGTH, _LEAST_STRENGTH = 10.0, 5.0
_ONE_IN = 15
_REACHES = (0, 1, 2, 4, 8, 16)
_MOST_TRIED = 2_000
"""Texts searched for near misses."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Windows per role; on `n_missed` positives and `n_false` silent ones the slightly wrong explanation errs."""

    n_positive: int
    n_negative: int
    n_missed: int
    n_false: int
    roles: tuple[Role, ...] = ("score",)
    n_top: int = 0
    """Positives of kind `top`; the others are `bin`."""
    n_near_miss: int = 0
    """Further silent windows, with a token that fires elsewhere."""
    n_logits: int = 0
    """Vocabulary entries raised, and as many lowered; also when pinned."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A text, and where rules fire in it."""

    name: str
    text: str
    right: list[Span]
    wrong: list[Span]
    surface: list[Span]


def split_tokens(text: str) -> list[str]:
    """Words with the space before them, numbers, signs. Joined they are the text."""
    return _TOKEN.findall(text)


def plant(
    concept: Concept,
    counts: Counts,
    *,
    feature: int,
    seed: int,
    wrong: Rule | None = None,
    taken: set[str] | None = None,
) -> Evidence:
    """`taken`: names of passages not to use, grows by those used.

    Order in a role: positives, silent ones, in each first those that the wrong explanation errs on; near misses last.
    Raises InputError where text has too few of a kind.
    """
    rng = stream(seed, "audition", "plant", concept.name)
    taken, wrong = set() if taken is None else taken, wrong or concept.wrong
    n_roles = len(counts.roles)
    wanted = {
        (True, True): n_roles * (counts.n_positive - counts.n_missed),
        (True, False): n_roles * counts.n_missed,
        (False, True): n_roles * counts.n_false,
        (False, False): n_roles * (counts.n_negative - counts.n_false),
    }
    texts = _gather(concept, wrong, wanted, rng, taken)
    positives = [_Pool(texts[True, False]), _Pool(texts[True, True])]
    negatives = [_Pool(texts[False, True]), _Pool(texts[False, False])]
    windows: list[Window] = []
    for role in counts.roles:
        chosen = [*positives[0].take(counts.n_missed), *positives[1].take(counts.n_positive - counts.n_missed)]
        windows += [_positive(one, role, number, counts) for number, one in enumerate(chosen)]
        chosen = [*negatives[0].take(counts.n_false), *negatives[1].take(counts.n_negative - counts.n_false)]
        windows += [_negative(one, role, "random", rng) for one in chosen]
    if counts.n_near_miss:
        windows += _near_misses(concept, windows, counts, rng, taken)
    evidence = _evidence(concept, feature, windows)
    return _with_logits(evidence, concept, wrong, counts.n_logits) if counts.n_logits else evidence


class _Pool:
    """Texts, handed out once each."""

    def __init__(self, items: list[_Found]) -> None:
        self._items = iter(items)

    def take(self, n: int) -> list[_Found]:
        return [next(self._items) for _ in range(n)]


def _gather(
    concept: Concept, wrong: Rule, wanted: dict[tuple[bool, bool], int], rng: np.random.Generator, taken: set[str]
) -> dict[tuple[bool, bool], list[_Found]]:
    """Texts by whether feature and wrong explanation fire."""
    texts: dict[tuple[bool, bool], list[_Found]] = {key: [] for key in wanted}
    missing = sum(wanted.values())
    for name, text in _iter_texts(concept, rng, taken):
        key = concept.right.fires(text), wrong.fires(text)
        if len(texts[key]) == wanted[key]:
            continue
        surface = concept.surface(text) if concept.surface else []
        one = _Found(name, text, concept.right.spans(text), wrong.spans(text), surface)
        if key == (True, True) and not _shared(one, split_tokens(text)):
            continue
        texts[key].append(one)
        taken.add(name)
        missing -= 1
        if not missing:
            return texts
    lacking = {key: f"{len(texts[key])} of {n}" for key, n in wanted.items() if len(texts[key]) < n}
    raise InputError(
        f"this Python's library has too few passages for '{concept.name}' (feature and wrong explanation firing: "
        f"{lacking}); use a Python that is installed with all its .py files"
    )


def _iter_texts(concept: Concept, rng: np.random.Generator, taken: set[str]) -> Iterator[tuple[str, str]]:
    """Passages in the concept's own order, with strings put in."""
    passages = read_passages(concept.genre)
    strangers = [kind for kind in _STRANGERS if kind not in concept.plants]
    for number, place in enumerate(rng.permutation(len(passages)).tolist()):
        name, text = passages[place]
        if name in taken:
            continue
        if concept.surface is not None:
            # all match the surface, and where a string is put in, nothing else of the passage does
            if concept.plants and not concept.surface(text):
                text = _insert(text, draw_item(concept.plants[int(rng.integers(len(concept.plants)))], rng), rng)
            elif concept.plants:
                continue
            if not concept.surface(text):
                continue
        elif concept.plants and number % 2:
            text = _insert(text, draw_item(concept.plants[number // 2 % len(concept.plants)], rng), rng)
        elif number % 4 == 0:  # so that an odd string is no sign of the feature
            text = _insert(text, draw_item(strangers[int(rng.integers(len(strangers)))], rng), rng)
        yield name, text


def _insert(text: str, item: str, rng: np.random.Generator) -> str:
    """The item's pieces between words, at different places where there are enough."""
    pieces = item.split(GAP)
    gaps = [place for place, character in enumerate(text) if character == " "] or [len(text)]
    drawn = rng.choice(len(gaps), size=len(pieces), replace=len(pieces) > len(gaps)).tolist()
    for place, piece in zip(sorted((gaps[one] for one in drawn), reverse=True), reversed(pieces), strict=True):
        before = "" if piece in _CLOSING else " "
        text = f"{text[:place]}{before}{piece}{text[place + (piece in _OPENING) :]}"
    return text


def _hits(tokens: list[str], spans: list[Span]) -> list[int]:
    """Tokens that overlap a span."""
    edges = [0, *accumulate(map(len, tokens))]
    return [
        index
        for index in range(len(tokens))
        if any(start < edges[index + 1] and edges[index] < end for start, end in spans)
    ]


def _shared(one: _Found, tokens: list[str]) -> list[int]:
    """Tokens that both rules fire on."""
    wrong = set(_hits(tokens, one.wrong))
    return [index for index in _hits(tokens, one.right) if index in wrong]


def _positive(one: _Found, role: Role, number: int, counts: Counts) -> Window:
    tokens = split_tokens(one.text)
    firing = _hits(tokens, one.right)
    level = derive(0, "audition", "strength", one.name) / 2.0**63
    bin_index = min(N_BINS - 1, int(level * N_BINS))
    strength = _LEAST_STRENGTH + (_MOST_STRENGTH - _LEAST_STRENGTH) * level
    # the maximum is on a token that both rules fire on, where there is one
    best = (_shared(one, tokens) or firing)[0]
    activations = [0.0] * len(tokens)
    for index in firing:
        activations[index] = round(strength if index == best else 0.95 * strength, 6)
    # the strong ones among the first and among the others alike, so that the kind says nothing of the wrong explanation
    is_top = counts.n_positive > 0 and (number * counts.n_top) % counts.n_positive < counts.n_top
    return _window(one, role, "top" if is_top else "bin", tokens, activations, best, bin_index)


def _negative(one: _Found, role: Role, kind: Kind, rng: np.random.Generator) -> Window:
    tokens = split_tokens(one.text)
    # asked about: a token the wrong explanation fires on, else the first of a span of the surface
    heads = [(start, start + 1) for start, _ in one.surface]
    places = _hits(tokens, one.wrong) or _hits(tokens, heads) or [i for i, token in enumerate(tokens) if token.strip()]
    candidate = places[int(rng.integers(len(places)))]
    return _window(one, role, kind, tokens, [0.0] * len(tokens), candidate, None)


def _window(
    one: _Found,
    role: Role,
    kind: Kind,
    tokens: list[str],
    activations: list[float],
    candidate: int,
    bin_index: int | None,
) -> Window:
    return Window(
        id=f"{one.name}@0",
        document=one.name,
        offset=0,
        role=role,
        kind=kind,
        bin=bin_index,
        text=one.text,
        token_ids=tuple(derive(0, "audition", "token", token) % 100_000 for token in tokens),
        token_starts=(0, *accumulate(len(token.encode()) for token in tokens)),
        activations=tuple(activations),
        candidate=candidate,
    )


def _near_misses(
    concept: Concept, windows: list[Window], counts: Counts, rng: np.random.Generator, taken: set[str]
) -> list[Window]:
    """Silent windows with a token that fires elsewhere; possibly fewer."""
    firing = {
        text
        for window in windows
        for text, activation in zip(window.token_texts(), window.activations, strict=True)
        if activation > 0 and text.strip()
    }
    made: list[Window] = []
    n_wanted = counts.n_near_miss * len(counts.roles)
    for name, text in islice(_iter_texts(concept, rng, taken), _MOST_TRIED):
        if len(made) == n_wanted:
            break
        tokens = split_tokens(text)
        places = [index for index, token in enumerate(tokens) if token in firing]
        if not places or concept.right.fires(text):
            continue
        taken.add(name)
        role = counts.roles[len(made) % len(counts.roles)]
        candidate = places[int(rng.integers(len(places)))]
        one = _Found(name, text, [], [], [])
        made.append(_window(one, role, "near_miss", tokens, [0.0] * len(tokens), candidate, None))
    return made


def _evidence(concept: Concept, feature: int, windows: list[Window]) -> Evidence:
    uses: Counter[tuple[int, str]] = Counter()
    seen: Counter[int] = Counter()
    n_tokens, n_firing = 0, 0
    for window in windows:
        n_tokens += len(window.token_ids)
        for token, text, activation in zip(window.token_ids, window.token_texts(), window.activations, strict=True):
            seen[token] += 1
            n_firing += activation > 0
            if activation > 0 and window.role == "explain":
                uses[token, text] += 1
    return Evidence(
        dictionary=DICTIONARY,
        feature=feature,
        site="mlp_post.0",
        rule=FiringRule("above_zero"),
        n_tokens=n_tokens,
        n_firing=n_firing,
        density=n_firing / n_tokens,
        max_activation=max((max(window.activations) for window in windows), default=0.0),
        histogram_edges=(_LEAST_STRENGTH, _MOST_STRENGTH),
        histogram_counts=(n_firing,),
        windows=tuple(windows),
        top_logits=(),
        bottom_logits=(),
        token_uses=tuple(TokenUse(token, text, n, seen[token]) for (token, text), n in uses.most_common()),
        neuron=None,
        unscored=None,
    )


def _with_logits(evidence: Evidence, concept: Concept, wrong: Rule, n: int) -> Evidence:
    """Bits of text the rule fires on are raised. The wrong explanation errs on every second entry of one side."""
    says = {window.id: (concept.right.fires(window.text), wrong.fires(window.text)) for window in evidence.windows}
    bits: dict[tuple[bool, bool], dict[str, None]] = {(a, b): {} for a in (True, False) for b in (True, False)}
    for reach in _REACHES:
        for window in evidence.windows:
            bit = _bit(window, reach)
            if bit.strip() and (concept.right.fires(bit), wrong.fires(bit)) == says[window.id]:
                bits[says[window.id]].setdefault(bit)
        if all(len(bits[key]) >= n for key in says.values()):
            break
    raised = _alternate(bits[True, False], bits[True, True], n)
    lowered = _alternate(bits[False, True], bits[False, False], n)

    def effects(texts: list[str], sign: int) -> tuple[TokenEffect, ...]:
        return tuple(
            TokenEffect(derive(0, "audition", "token", text) % 100_000, text, sign * (3.0 - 0.01 * place))
            for place, text in enumerate(texts)
        )

    top, bottom = effects(raised, 1), effects(lowered, -1)
    pinned = effects([*raised[:N_SHOWN_LOGITS], *_mostly(bits[True, False], bits[True, True], raised, n)], 1)
    return replace(
        evidence,
        top_logits=top,
        bottom_logits=bottom,
        pinned=PinnedEffect(pinned, bottom, kl=0.1, strength=_MOST_STRENGTH),
    )


def _mostly(missed: dict[str, None], found: dict[str, None], shown: list[str], n: int) -> list[str]:
    """Up to `n` further texts, one in fifteen found by the wrong explanation."""
    told = set(shown[:N_SHOWN_LOGITS])
    rare, common = ([text for text in texts if text not in told] for texts in (found, missed))
    # few entries tell lists apart: with more the wrong explanation would be as good as the right one
    common = common[: n - n // _ONE_IN]
    return [*common, *rare[: max(1, round(len(common) / (_ONE_IN - 1)))]]


def _bit(window: Window, reach: int) -> str:
    """A possible vocabulary entry: the token asked about and `reach` neighbours either side."""
    return "".join(window.token_texts()[max(0, window.candidate - reach) : window.candidate + reach + 1])


def _alternate(first: dict[str, None], second: dict[str, None], n: int) -> list[str]:
    """`n` texts, from both in turn while both last."""
    a, b = list(first), list(second)
    turns = [one for pair in zip(a, b, strict=False) for one in pair]
    rest = a[len(b) :] or b[len(a) :]
    return [*turns, *rest][:n]
