"""Features of contexts that a proxy can tell: found on one half of the text, held against it on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from autointerp.errors import SubjectError
from autointerp.seeds import stream
from autointerp.stats.intervals import Interval
from autointerp.studies.bricken2023.options import BrickenOptions, main_entry
from autointerp.studies.claim import Claim, render_interval, verdict_of
from autointerp.studies.paper import Finding, Setting
from autointerp.studies.proxy import CONCEPTS, Proxy, mark
from autointerp.studies.reading import OpenRun, Reading, open_trained
from autointerp.studies.resampling import passage_interval, passages_of, pearson
from sae_core.matching import match_activations
from synthetic_studies.study import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Found", "find_features", "find_proxies", "measure_proxies"]

THEIRS = {
    "arabic": "r 0.74; 81% of firings",
    "hebrew": "r 0.55; its best neuron correlates 0.1 with the feature",
    "dna-likelihood": "r 0.8",
    "base64-likelihood": "r 0.38; its best neuron correlates 0.18 with the feature",
}
MIN_MARKED = 20
"""Fewest tokens of a concept in either half."""
N_BINS = 20
N_SHOWN = 8


@dataclass(frozen=True, eq=False)
class Found:
    """A concept's feature and neuron of highest correlation on one half, and what they do on the other.

    `specificity`: share of the firings that are of the concept; `strong`: of those above half of the range.
    `sensitivity`: share of the concept's tokens on which it fires. `over_neuron`: difference of the correlations.
    """

    proxy: Proxy
    feature: int
    neuron: int | None
    n_marked: int
    r: Interval | None
    neuron_r: Interval | None
    over_neuron: Interval | None
    specificity: Interval | None
    strong: Interval | None
    sensitivity: Interval | None


def find_proxies(options: BrickenOptions) -> list[Proxy]:
    """The paper's contexts and the user's."""
    return [*CONCEPTS, *(Proxy(name, pattern=pattern) for name, pattern in options.proxies.items())]


def find_features(
    first: Reading, second: Reading, dictionary: str, proxies: Sequence[Proxy], *, seed: int
) -> dict[str, Found]:
    """By concept, for those with enough tokens in both halves."""
    marks = {proxy.name: (mark(first, proxy), mark(second, proxy)) for proxy in proxies}
    kept = [proxy for proxy in proxies if min(each.sum() for each in marks[proxy.name]) >= MIN_MARKED]
    if not kept:
        return {}
    wanted = np.stack([marks[proxy.name][0] for proxy in kept], axis=1).astype(np.float32)
    features = match_activations(wanted, first.codes[dictionary]).second
    neurons = None if first.neurons is None else match_activations(wanted, first.neurons).second
    passage = passages_of(second.document)
    found = {}
    for place, proxy in enumerate(kept):
        code = second.codes[dictionary][:, [int(features[place])]].toarray()[:, 0].astype(np.float64)
        neuron = None if neurons is None else int(neurons[place])
        dense = None if neuron is None or second.neurons is None else second.neurons[:, neuron].astype(np.float64)
        rng = stream(seed, "proxy", proxy.name)
        found[proxy.name] = Found(
            proxy, int(features[place]), neuron, int(marks[proxy.name][1].sum()),
            **_figures(code, dense, marks[proxy.name][1], passage, rng),
        )  # fmt: skip
    return found


def _figures(
    code: NDArray[np.float64],
    neuron: NDArray[np.float64] | None,
    marked: NDArray[np.bool_],
    passage: NDArray[np.int64],
    rng: np.random.Generator,
) -> dict[str, Interval | None]:
    one, y, fires, strong = np.ones(len(code)), marked.astype(float), code > 0, code > code.max() / 2

    def share(of: NDArray[np.bool_], within: NDArray[np.bool_]) -> Interval | None:
        columns = np.stack([of & within, within], axis=1).astype(float)
        return passage_interval(columns, passage, _share, rng=rng)

    def moments(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([one, x, y, x * x, y * y, x * y], axis=1)

    figures = {
        "r": passage_interval(moments(code), passage, pearson, rng=rng),
        "specificity": share(marked, fires),
        "strong": share(marked, strong),
        "sensitivity": share(fires, marked),
    }
    if neuron is None:
        return figures | {"neuron_r": None, "over_neuron": None}
    both = np.concatenate([moments(code), moments(neuron)], axis=1)
    gap = passage_interval(both, passage, lambda sums: pearson(sums[..., :6]) - pearson(sums[..., 6:]), rng=rng)
    return figures | {
        "neuron_r": passage_interval(moments(neuron), passage, pearson, rng=rng),
        "over_neuron": gap,
    }


def _share(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums[..., 0] / sums[..., 1]


def measure_proxies(setting: Setting[BrickenOptions]) -> Finding:
    run = open_trained(setting.run(last="train"))
    name = main_entry(setting).name
    first, second = run.read("explain"), run.read("score")
    proxies = find_proxies(setting.options)
    found = find_features(first, second, name, proxies, seed=setting.config.seed)
    claims = [_claim(proxy, found.get(proxy.name), name) for proxy in proxies]
    histograms = {key: _histogram(each, second, name) for key, each in found.items()}
    tables = {
        "proxies": [_row(each) for each in found.values()],
        "proxy-activations": list(chain(*histograms.values())),
    }
    figures = {"proxies": _draw(histograms)} if found else {}
    return Finding(claims, tables, figures, [_page(each, run, second, name) for each in found.values()])


def _claim(proxy: Proxy, found: Found | None, dictionary: str) -> Claim:
    claim, theirs = f"a feature tells {proxy.name} better than any neuron does", THEIRS.get(proxy.name, "-")
    if found is None:
        why = f"the text has under {MIN_MARKED} tokens of it in one half"
        return Claim(claim, theirs, "-", "not measured", why)
    ours = (
        f"{dictionary}/{found.feature}: r {render_interval(found.r)} passages; neuron {found.neuron}: "
        f"{render_interval(found.neuron_r)}; {_percent(found.specificity)} of its firings, {_percent(found.strong)} of "
        f"the strong ones, and {_percent(found.sensitivity)} of the concept's tokens"
    )
    why = f"verdict: the difference of the two r, {render_interval(found.over_neuron)}; {found.n_marked:,} tokens of it"
    return Claim(claim, theirs, ours, verdict_of(found.over_neuron, above=0.0), why)


def _percent(share: Interval | None) -> str:
    return "-" if share is None else f"{share.mean:.0%} [{share.lo:.0%}, {share.hi:.0%}]"


def _row(found: Found) -> Row:
    row: Row = {
        "concept": found.proxy.name,
        "feature": found.feature,
        "neuron": found.neuron,
        "n_marked": found.n_marked,
    }
    for name in ("r", "neuron_r", "over_neuron", "specificity", "strong", "sensitivity"):
        each: Interval | None = getattr(found, name)
        row |= {name: each and each.mean, f"{name}_lo": each and each.lo, f"{name}_hi": each and each.hi}
    return row


def _histogram(found: Found, reading: Reading, dictionary: str) -> list[Row]:
    """Firings by activation, of the concept and not."""
    code = reading.codes[dictionary][:, [found.feature]].toarray()[:, 0]
    marked = mark(reading, found.proxy)
    edges = np.linspace(0, max(float(code.max()), 1e-6), N_BINS + 1)
    of, other = (np.histogram(code[each & (code > 0)], bins=edges)[0] for each in (marked, ~marked))
    label = f"{found.proxy.name}: {dictionary}/{found.feature}"
    return [
        {"concept": found.proxy.name, "label": label, "from": float(low), "concept_firings": int(a), "others": int(b)}
        for low, a, b in zip(edges[:-1], of, other, strict=True)
    ]


def _draw(histograms: dict[str, list[Row]]) -> Figure:
    from synthetic_studies.figure_style import COLOURS, new_figure

    n_columns = min(4, len(histograms))
    figure, axes = new_figure(-(-len(histograms) // n_columns), n_columns, width=3.0, height=2.5)
    for panel in axes.flat[len(histograms) :]:
        panel.set_visible(False)
    for panel, rows in zip(axes.flat, histograms.values(), strict=False):
        left = [row["from"] for row in rows]
        width = left[1] - left[0]
        below = [row["concept_firings"] for row in rows]
        panel.bar(left, below, width=width, align="edge", color=COLOURS[0], label="of the concept")
        others = [row["others"] for row in rows]
        panel.bar(left, others, width=width, align="edge", bottom=below, color=COLOURS[1], label="others")
        panel.set(title=rows[0]["label"], yscale="symlog", xlabel="activation", ylabel="firings")
        panel.title.set_fontsize(9)
    axes[0, 0].legend()
    return figure


def _page(found: Found, run: OpenRun, reading: Reading, dictionary: str) -> str:
    """The case study of a feature: its strongest tokens in context and the tokens it promotes."""
    code = reading.codes[dictionary][:, [found.feature]].toarray()[:, 0]
    passage = passages_of(reading.document)
    best: dict[int, int] = {}
    for place in np.argsort(-code, kind="stable").tolist():
        if code[place] <= 0 or len(best) == 4:
            break
        best.setdefault(int(passage[place]), place)
    shown = "; ".join(f"`{_around(reading, place)}`" for place in best.values())
    text = f"**{found.proxy.name}**, {dictionary}/{found.feature}. Strongest on {shown or 'nothing here'}."
    loaded = run.dictionaries[dictionary]
    try:
        effects = run.bench.subject.logit_effects(loaded.point, loaded.dictionary.directions[[found.feature]])[0]
    except SubjectError:
        return text
    top = torch.topk(effects, N_SHOWN).indices.tolist()
    return f"{text} Promotes {', '.join(f'`{_plain(run.text.display(token))}`' for token in top)}."


def _around(reading: Reading, place: int) -> str:
    raw, start, end = reading.texts[reading.document[place]], reading.start[place], reading.end[place]
    parts = (raw[max(0, start - 24) : start], raw[start:end], raw[end : end + 12])
    before, token, after = (part.decode("utf-8", "ignore") for part in parts)
    return _plain(f"{before}«{token}»{after}")


def _plain(text: str) -> str:
    return text.replace("\n", "↵").replace("`", "'")
