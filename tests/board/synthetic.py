"""A made-up run: features planted on a token that must follow another one, and scripted answers about them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from autointerp.records.document import Role
from autointerp.records.evidence import Evidence, FiringRule, NeuronMatch, TokenEffect, TokenUse
from autointerp.records.verdict import Answer, Explanation, Verdict
from autointerp.records.window import Kind, Window
from autointerp.seeds import stream

WORDS = re.findall(
    r"\S+",
    """
    the of to and in is that for it as was with be by on not he his but at are this have from or had an
    they which one you were all her she there would their we him been has when who will no more if out
    so said what up its about than into them can only other time new some could these two may first then
    do any like my now over such def return self import class None True raise print len yield lambda
    """,
)
HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\u202eevil",
    "\u2028",
    "السلام",
    "שלום",
    "\n",
    "\t",
    "{{ 7*7 }}",
    "'\"&<>",
)
VOCABULARY = tuple(f" {word}" for word in WORDS) + HOSTILE

Manner = Literal["oracle", "liar", "coin", "mumbler", "noisy"]


@dataclass(frozen=True)
class Run:
    evidences: list[Evidence]
    explanations: list[Explanation]
    verdicts: list[Verdict]


def make_window(
    tokens: list[int],
    *,
    id: str,
    role: Role,
    kind: Kind,
    firing: dict[int, float],
    candidate: int,
    bin: int | None = None,
) -> Window:
    texts = [VOCABULARY[token] for token in tokens]
    starts = np.concatenate([[0], np.cumsum([len(text.encode()) for text in texts])])
    return Window(
        id=id,
        document=f"doc-{role}-{id}",
        offset=0,
        role=role,
        kind=kind,
        bin=bin,
        text="".join(texts),
        token_ids=tuple(tokens),
        token_starts=tuple(int(start) for start in starts),
        activations=tuple(firing.get(position, 0.0) for position in range(len(tokens))),
        candidate=candidate,
    )


def make_feature(dictionary: str, feature: int, *, n: int = 8, length: int = 16, seed: int = 0) -> Evidence:
    """Fires on token `target` after token `before`; the near misses hold `target` after something else."""
    rng = stream(seed, "synthetic", dictionary, feature)
    target, before = (int(x) for x in rng.choice(len(VOCABULARY), size=2, replace=False))
    plain = [token for token in range(len(VOCABULARY)) if token not in (target, before)]
    windows = []
    for role in ("explain", "score"):
        for kind, bin in (("top", 4), *(("bin", b) for b in range(4)), ("random", None), ("near_miss", None)):
            n_kind = n * 5 // 2 if kind in ("random", "near_miss") else n // 2
            for index in range(n_kind):
                tokens = [int(x) for x in rng.choice(plain, size=length)]
                spot = int(rng.integers(1, length - 1))
                firing: dict[int, float] = {}
                if kind in ("top", "bin"):
                    tokens[spot], tokens[spot - 1] = target, before
                    firing[spot] = float(0.2 * 2 ** (bin or 0) * (1 + rng.random()))
                    if rng.random() < 0.4:
                        firing[spot + 1] = firing[spot] * 0.4
                elif kind == "near_miss":
                    tokens[spot] = target
                windows.append(
                    make_window(
                        tokens,
                        id=f"{dictionary}/{feature}/{role}/{kind}/{bin}/{index}",
                        role=role,
                        kind=kind,
                        firing=firing,
                        candidate=spot,
                        bin=bin,
                    )
                )
    density = float(10 ** rng.uniform(-4, -1.5))
    effects = [TokenEffect(i, VOCABULARY[i], float(x)) for i, x in enumerate(rng.normal(size=len(VOCABULARY)))]
    effects.sort(key=lambda effect: -effect.logit)
    edges = tuple(float(edge) for edge in np.geomspace(0.05, 8, 13))
    return Evidence(
        dictionary=dictionary,
        feature=feature,
        site="blocks.0.mlp_post",
        rule=FiringRule("above_zero") if dictionary != "neurons" else FiringRule("quantile", 0.83, 1, density),
        n_tokens=400_000,
        n_firing=int(density * 400_000),
        density=density,
        max_activation=max(w.max_activation for w in windows),
        histogram_edges=edges,
        histogram_counts=tuple(int(x) for x in rng.poisson(400 * np.exp(-0.5 * (np.arange(12) / 4) ** 2))),
        windows=tuple(windows),
        top_logits=tuple(effects[:10]),
        bottom_logits=tuple(reversed(effects[-10:])),
        token_uses=(TokenUse(target, VOCABULARY[target], 60, 100),),
        neuron=NeuronMatch(int(rng.integers(512)), float(rng.uniform(0.2, 0.95))),
        unscored=None,
    )


def make_run(
    manners: dict[str, Manner],
    *,
    n_features: int = 6,
    scorers: tuple[str, ...] = ("detection",),
    skill: float = 0.8,
    seed: int = 0,
) -> Run:
    """`manners` says how the judge answers about each dictionary; `skill` is the noisy judge's share of right ones."""
    run = Run([], [], [])
    for dictionary, manner in manners.items():
        for feature in range(0, 7 * n_features, 7):
            evidence = make_feature(dictionary, feature, seed=seed)
            run.evidences.append(evidence)
            target = VOCABULARY[evidence.token_uses[0].token_id]
            run.explanations.append(
                Explanation(
                    dictionary, feature, "windows", "scripted", "e1", f"the token '{target}' after a certain word"
                )
            )
            rng = stream(seed, "answers", dictionary, feature)
            own_skill = float(np.clip(rng.normal(skill, 0.12), 0.4, 1.0))
            for scorer in scorers:
                run.verdicts.extend(_answer(evidence, scorer, manner, own_skill, rng, control=None))
                if feature % 2 == 0:
                    run.verdicts.extend(_answer(evidence, scorer, manner, 0.5, rng, control="shuffled"))
    return run


def _answer(evidence: Evidence, scorer: str, manner: Manner, skill: float, rng: np.random.Generator, *, control):
    for window in evidence.select("score"):
        if control and window.kind == "near_miss":
            continue
        truth: Answer = "fires" if window.is_firing else "silent"
        other: Answer = "silent" if window.is_firing else "fires"
        answer: Answer = {
            "oracle": truth,
            "liar": other,
            "mumbler": "unparsed",
            "coin": truth if rng.random() < 0.5 else other,
            "noisy": truth if rng.random() < skill else other,
        }[manner]
        if manner == "noisy" and rng.random() < 0.02:
            answer = "unparsed"
        yield verdict_of(evidence, window, answer, scorer=scorer, control=control)


def verdict_of(
    evidence: Evidence,
    window: Window,
    answer: Answer,
    *,
    scorer: str = "detection",
    control: str | None = None,
    predictions: tuple[float, ...] | None = None,
) -> Verdict:
    return Verdict(
        dictionary=evidence.dictionary,
        feature=evidence.feature,
        explainer="windows",
        scorer=scorer,
        judge="scripted",
        prompt_hash=f"s-{scorer}",
        control=control,
        window=window.id,
        kind=window.kind,
        is_firing=window.is_firing,
        answer=answer,
        predictions=predictions,
    )
