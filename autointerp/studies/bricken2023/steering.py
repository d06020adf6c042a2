"""Pinned features: whether text sampled with a feature held high is of the context that its proxy tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from autointerp.interventions.prompts import encode_prompts
from autointerp.interventions.steering import Steered, steer
from autointerp.seeds import derive, stream
from autointerp.stats.intervals import mean_interval
from autointerp.studies.bricken2023.options import BrickenOptions, main_entry
from autointerp.studies.bricken2023.proxies import Found, find_features, find_proxies
from autointerp.studies.claim import Claim, render_interval, verdict_of
from autointerp.studies.paper import Finding, Setting
from autointerp.studies.proxy import mark
from autointerp.studies.reading import OpenRun, Reading, firing_features, open_trained
from autointerp.studies.resampling import passages_of
from synthetic_studies.study import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["concept_share", "measure_steering"]

PREFIX = "1,2,3,4,5,6,7,8,9,10"
"""The paper's prompt."""
PROMPT_TOKENS = 12


def measure_steering(setting: Setting[BrickenOptions]) -> Finding:
    """Each concept's feature is held at its largest activation, and so is another feature, for comparison."""
    run, name, seed = open_trained(setting.run(last="train")), main_entry(setting).name, setting.config.seed
    first, second = run.read("explain"), run.read("score")
    proxies = [proxy for proxy in find_proxies(setting.options) if proxy.pattern is not None]
    found = find_features(first, second, name, proxies, seed=seed)
    prompts = _prompts(second, [found[key] for key in found], setting.options.n_prompts, seed)
    live = firing_features(first.codes[name])
    claims, rows, notes = [], [], []
    for key, each in found.items():
        other = int(stream(seed, "steering", key).choice(live[live != each.feature]))
        own, others = (_hold(setting, run, first, name, feature, prompts) for feature in (each.feature, other))
        rows += _rows(each, own, others, prompts)
        claims.append(_claim(each, own, others, name, seed))
        strongest = max(own, key=lambda one: concept_share(one.steered, each))
        notes.append(
            f"**{key}**, {name}/{each.feature} at {own[0].value:.3g}, after `{_plain(prompts[strongest.prompt])}`: "
            f"without `{_plain(strongest.plain)}`, with `{_plain(strongest.steered)}`."
        )
    if not found:
        why = "the text has too few tokens of any concept"
        return Finding([Claim("pinning a feature makes text of its context", "by samples", "-", "not measured", why)])
    return Finding(claims, {"steering": rows}, {"steering": _draw(rows)}, notes)


def concept_share(text: str, found: Found) -> float:
    """The share of a text's characters that the proxy's pattern matches."""
    assert found.proxy.pattern is not None
    matched = sum(match.end() - match.start() for match in re.finditer(found.proxy.pattern, text))
    return matched / max(1, len(text))


def _prompts(reading: Reading, found: list[Found], n_prompts: int, seed: int) -> list[str]:
    """The paper's prefix, and beginnings of passages without a token of any of the concepts."""
    passage = passages_of(reading.document)
    marked = np.zeros(reading.n_tokens, dtype=bool)
    for each in found:
        marked |= mark(reading, each.proxy)
    is_free = np.bincount(passage, weights=marked) == 0
    starts = np.flatnonzero(np.diff(passage, prepend=-1))[is_free]
    chosen = stream(seed, "steering prompts").permutation(starts)[: max(0, n_prompts - 1)]
    texts = []
    for start in sorted(chosen.tolist()):
        end = min(start + PROMPT_TOKENS, reading.n_tokens) - 1
        if reading.document[start] == reading.document[end]:
            raw = reading.texts[reading.document[start]][reading.start[start] : reading.end[end]]
            texts.append(raw.decode("utf-8", "ignore"))
    return [PREFIX, *(text for text in texts if text.strip())]


def _hold(
    setting: Setting[BrickenOptions], run: OpenRun, reading: Reading, name: str, feature: int, prompts: list[str]
) -> list[Steered]:
    loaded = run.dictionaries[name]
    return steer(
        run.bench.subject,
        loaded.dictionary,
        loaded.point,
        feature,
        encode_prompts(run.bench.subject, prompts),
        values=[float(reading.codes[name][:, [feature]].max())],
        n_tokens=setting.options.n_sampled,
        temperature=1.0,
        seed=derive(setting.config.seed, "steering"),
        text=run.text,
    )


def _rows(found: Found, own: list[Steered], others: list[Steered], prompts: list[str]) -> list[Row]:
    return [
        {
            "concept": found.proxy.name,
            "prompt": prompts[a.prompt],
            "value": a.value,
            "share_plain": concept_share(a.plain, found),
            "share_held": concept_share(a.steered, found),
            "share_other_held": concept_share(b.steered, found),
            "kl": a.kl,
            "kl_other": b.kl,
        }
        for a, b in zip(own, others, strict=True)
    ]


def _claim(found: Found, own: list[Steered], others: list[Steered], name: str, seed: int) -> Claim:
    held, plain, other = (
        np.array([concept_share(text, found) for text in texts])
        for texts in ([e.steered for e in own], [e.plain for e in own], [e.steered for e in others])
    )
    gap = mean_interval((held - plain).tolist(), rng=stream(seed, "steering", found.proxy.name, "gap"), bounds=(-1, 1))
    kl, kl_other = (float(np.mean([each.kl for each in side])) for side in (own, others))
    return Claim(
        f"pinning the feature for {found.proxy.name} makes text of it",
        "Arabic script from `1,2,3,4,5,6,7,8,9,10`, by samples",
        f"{name}/{found.feature}: share of characters {held.mean():.2f} with, {plain.mean():.2f} without; difference "
        f"{render_interval(gap)} prompts; KL {kl:.2f} nats",
        verdict_of(gap, above=0.0),
        f"held at its largest activation; another feature held so: {other.mean():.2f}, KL {kl_other:.2f}",
    )


def _plain(text: str) -> str:
    return text.replace("\n", "↵").replace("`", "'")


def _draw(rows: list[Row]) -> Figure:
    from synthetic_studies.figure_style import COLOURS, new_figure

    figure, axes = new_figure()
    concepts = list(dict.fromkeys(row["concept"] for row in rows))
    kinds = {"share_plain": "without", "share_held": "feature held", "share_other_held": "another feature held"}
    for place, (key, label) in enumerate(kinds.items()):
        means = [np.mean([row[key] for row in rows if row["concept"] == concept]) for concept in concepts]
        left = np.arange(len(concepts)) + (place - 1) * 0.27
        axes[0, 0].bar(left, means, width=0.25, color=COLOURS[place], label=label)
    axes[0, 0].set_xticks(range(len(concepts)), concepts)
    axes[0, 0].set(ylabel="share of sampled characters of the concept")
    axes[0, 0].legend()
    return figure
