"""Judges that read no further than the surface: the best list of tokens, and the best regular expression over tokens,
their shapes and neighbours and the order of signs. Both are fitted on labelled windows of the very feature they answer
about, so no judge that goes by the surface alone does better. `python -m tests.audition.surface_solvers` prints what
they reach by family.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from statistics import mean

import numpy as np

from autointerp.audition.concept import LEVEL_OF
from autointerp.audition.concepts import CONCEPTS
from autointerp.audition.planting import Counts, plant
from autointerp.judges.offline.pattern import explain, predict
from autointerp.judges.tasks import ExplainTask, Passage, ScoreTask, ShownWindow
from autointerp.records.window import Window
from autointerp.tables import markdown_table

Features = Callable[[Window, bool], set[str]]
MOST_TERMS = {"token_list": 20, "expression": 4}
N_OF_EITHER, N_IN_CODE = 60, 14
"""Windows shown and asked about of either label; some roles of code are rare."""


def _shape(token: str) -> str:
    word = token.strip()
    if word.isdigit():
        return f"\\d{{{len(word)}}}"
    if word.isalpha():
        script = unicodedata.name(word[-1]).split()[0] if not word.isascii() else ""
        return script + ("Xx" if word[:1].isupper() else "x")
    return word


def tokens_of(window: Window, is_marked: bool) -> set[str]:
    """The tokens of the window, or the marked one."""
    tokens = window.token_texts()
    return {tokens[window.candidate].strip()} if is_marked else {token.strip() for token in tokens}


def expressions_of(window: Window, is_marked: bool) -> set[str]:
    """What a regular expression finds: a token, its end or its shape, two or three side by side, a sign before another
    anywhere; of a marked token those it is part of, and the signs before and behind it."""
    tokens = [token.strip() for token in window.token_texts() if token.strip(" ")]
    place = sum(bool(token.strip(" ")) for token in window.token_texts()[: window.candidate])
    shapes = [_shape(token) for token in tokens]
    here = {place - 1, place, place + 1} if is_marked else set(range(len(tokens)))
    found = {("one", row[i]) for row in (tokens, shapes) for i in here if 0 <= i < len(tokens)}
    found |= {("ends", tokens[i][-n:]) for n in (1, 2, 3) for i in here if 0 <= i < len(tokens)}
    for size in (2, 3):
        starts = [i for i in range(len(tokens) - size + 1) if here & set(range(i, i + size))]
        found |= {("side", *row[i : i + size]) for row in (tokens, shapes) for i in starts}
    signs = [(i, shape) for i, shape in enumerate(shapes) if not shape.isalpha()]
    if is_marked:
        found |= {("before" if i < place else "behind", shape) for i, shape in signs}
    else:
        found |= {("then", a, b) for n, (_, a) in enumerate(signs) for _, b in signs[n + 1 :]}
    return {repr(one) for one in found}


FEATURES: dict[str, Features] = {"token_list": tokens_of, "expression": expressions_of}


def balanced(labels: Sequence[bool], answers: Sequence[bool]) -> float:
    truth, said = np.array(labels), np.array(answers)
    return float((said[truth].mean() + (~said[~truth]).mean()) / 2)


def surface_score(name: str, shown: Sequence[Window], asked: Sequence[Window], *, is_marked: bool) -> float:
    """Balanced accuracy, on the windows asked about, of the disjunction (or its opposite) that is best on those
    shown, built up term by term."""
    features = FEATURES[name]
    rows = [features(window, is_marked) for window in shown]
    labels = np.array([window.is_firing for window in shown])
    vocabulary = sorted(set().union(*rows))
    place = {term: number for number, term in enumerate(vocabulary)}
    table = np.zeros((len(rows), len(vocabulary)), dtype=bool)
    for number, row in enumerate(rows):
        table[number, [place[term] for term in row]] = True
    best, fits = 0.5, (lambda row: True)
    for is_opposite in (False, True):
        wanted = ~labels if is_opposite else labels
        said, terms, score = np.zeros(len(rows), dtype=bool), set(), 0.5
        for _ in range(MOST_TERMS[name]):
            joined = table | said[:, None]
            scores = (joined[wanted].mean(axis=0) + (~joined[~wanted]).mean(axis=0)) / 2
            found = int(scores.argmax())
            if scores[found] <= score + 1e-9:
                break
            said, score = joined[:, found], float(scores[found])
            terms.add(vocabulary[found])
        if score > best:
            best, fits = score, (lambda row, terms=frozenset(terms), flip=is_opposite: bool(terms & row) != flip)
    return balanced([w.is_firing for w in asked], [fits(features(window, is_marked)) for window in asked])


def learnt_pattern_score(shown: Sequence[Window], asked: Sequence[Window], *, is_marked: bool) -> float:
    """Balanced accuracy of the judge `pattern` with the explanation that it learns from the windows shown."""
    firing, silent = (
        tuple(ShownWindow(tuple(one.token_texts()), one.activations) for one in shown if one.is_firing is label)
        for label in (True, False)
    )
    passages = tuple(Passage(one.text, one.character_span(one.candidate) if is_marked else None) for one in asked)
    answers = predict(ScoreTask(explain(ExplainTask(firing, silent, (), ())), passages))
    return balanced([one.is_firing for one in asked], [answer == 1 for answer in answers])


@cache
def windows(name: str) -> tuple[list[Window], list[Window]]:
    """Those shown and those asked about of a concept."""
    concept = next(one for one in CONCEPTS if one.name == name)
    n = N_IN_CODE if concept.genre == "code" else N_OF_EITHER
    n_erring = n // 4
    n_missed = n_erring if concept.wrong_is == "narrower" else 0
    counts = Counts(n, n, n_missed, n_erring - n_missed, roles=("explain", "score"))
    evidence = plant(concept, counts, feature=0, seed=1)
    return list(evidence.select("explain")), list(evidence.select("score"))


def family_scores(family: str, *, is_marked: bool) -> dict[str, float]:
    """Means over a family's concepts, by solver."""
    pairs = [windows(concept.name) for concept in CONCEPTS if concept.family == family]
    scores = {name: mean(surface_score(name, *pair, is_marked=is_marked) for pair in pairs) for name in FEATURES}
    return {**scores, "pattern": mean(learnt_pattern_score(*pair, is_marked=is_marked) for pair in pairs)}


def main() -> None:
    """The table of results/audition/README.md."""
    found = [[family_scores(family, is_marked=mark) for mark in (False, True)] for family in LEVEL_OF]
    rows = [
        [level, family, *(f"{score:.3f}" for one in both for score in one.values())]
        for (family, level), both in zip(LEVEL_OF.items(), found, strict=True)
    ]
    solvers = [f"{solver}, {scorer}" for scorer in ("detection", "marked") for solver in found[0][0]]
    heads = ["level", "family", *(one.replace("_", " ") for one in solvers)]
    print("\n".join(markdown_table(heads, rows, rule="| --- | --- |" + " ---: |" * len(solvers))))  # noqa: T201


if __name__ == "__main__":
    main()
