"""Features that chain: one promotes tokens on which another fires, as the states of an automaton follow one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from autointerp.errors import SubjectError
from autointerp.seeds import stream
from autointerp.stats.intervals import Interval, mean_interval
from autointerp.studies.bricken2023.labels import label_features
from autointerp.studies.bricken2023.options import BrickenOptions, widths
from autointerp.studies.claim import Claim, render_interval, verdict_of
from autointerp.studies.paper import Finding, Setting
from autointerp.studies.reading import OpenRun, Reading, firing_features, open_trained
from synthetic_studies.study import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Edges", "find_edges", "measure_automata", "next_rates", "states", "token_rates"]

N_PROMOTED = 10
MIN_SEEN = 5
"""Occurrences of a token from which on it may be promoted."""
LEAST_RATE = 0.5
"""Mean firing rate on promoted tokens that makes an edge."""
LEAST_LIFT = 3.0
"""Measured rate over chance of an edge that is drawn."""
MOST_STATES = 8
FEATURES_AT_ONCE = 64


class Edges(NamedTuple):
    """By edge: places of the source and the target among the features, the target's mean firing rate on the tokens
    that the source promotes, its measured rate on the token after a firing of the source, and over all tokens.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    promoted: NDArray[np.float64]
    rate: NDArray[np.float64]
    chance: NDArray[np.float64]


def token_rates(codes: Any, token: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """(tokens that occur, how often, [n_tokens, n_features] the share of a token's occurrences on which each fires)"""
    kinds, place, counts = np.unique(token, return_inverse=True, return_counts=True)
    of = sparse.csr_array((np.ones(len(token)), (place, np.arange(len(token)))), shape=(len(kinds), len(token)))
    return kinds, counts, (of @ (codes > 0).astype(np.float64)).toarray() / counts[:, None]


def next_rates(codes: Any, has_next: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """([n_features, n_features] how often each fires on the token after a firing of each, [n_features] after any)"""
    fires = (codes > 0).astype(np.float64).tocsr()
    before = np.flatnonzero(has_next)
    now, after = fires[before], fires[before + 1]
    n = np.asarray(now.sum(axis=0)).ravel()
    both = (now.T @ after).toarray()
    return both / np.maximum(n, 1)[:, None], np.asarray(after.sum(axis=0)).ravel() / max(1, len(before))


def find_edges(promoted: NDArray[np.float64], rates: NDArray[np.float64], chance: NDArray[np.float64]) -> Edges:
    """The pairs whose `promoted` rate is LEAST_RATE or more, with what was measured."""
    source, target = np.nonzero(promoted >= LEAST_RATE)
    return Edges(source, target, promoted[source, target], rates[source, target], chance[target])


def states(edges: Edges, n_features: int) -> list[NDArray[np.int64]]:
    """Sets of two to MOST_STATES features that lead to one another by edges LEAST_LIFT times as frequent as chance,
    the surest first.
    """
    strong = (edges.rate >= LEAST_LIFT * edges.chance) & (edges.rate > 0)
    matrix = sparse.csr_array(
        (edges.rate[strong], (edges.source[strong], edges.target[strong])), shape=(n_features, n_features)
    )
    label = connected_components(matrix, connection="strong")[1]
    sets = [np.flatnonzero(label == each) for each in np.flatnonzero(np.bincount(label) >= 2)]
    fits = [each for each in sets if len(each) <= MOST_STATES]
    return sorted(fits, key=lambda each: -float(np.mean(matrix[each][:, each].max(axis=1).toarray())))


def measure_automata(setting: Setting[BrickenOptions]) -> Finding:
    """Edges are found on the text of the role explain and measured on that of the role score."""
    run, name = open_trained(setting.run(last="train")), widths(setting.config)[0].name
    first, second = run.read("explain"), run.read("score")
    live = firing_features(first.codes[name])
    try:
        promoted = _promoted(run, first, name, live)
    except SubjectError as error:
        return Finding([Claim(_CLAIM, "shown by example", "-", "not measured", str(error))])
    rates, chance = next_rates(second.codes[name][:, live], second.has_next)
    edges = find_edges(promoted, rates, chance)
    gap = _over_others(edges, rates, setting.config.seed)
    loops = edges.source == edges.target
    found = states(edges, len(live))
    own = mean_interval(
        (edges.rate - edges.chance)[loops].tolist(), rng=stream(setting.config.seed, "loops"), bounds=(-1, 1)
    )
    told = f"{name}: {len(edges.source):,} edges of {len(live):,} features"
    if len(edges.source):
        told += f"; the target fires next {edges.rate.mean():.2f} of the time, by chance {edges.chance.mean():.2f}"
    claims = [
        Claim(
            _CLAIM,
            "shown by example",
            told,
            verdict_of(gap, above=0.0),
            f"verdict: the rate less that after another source, {render_interval(gap, '.3f')} sources",
        ),
        Claim(
            "features excite themselves on the next token",
            "base64 (A/0/45), by example",
            f"{int(loops.sum())} of {len(live)} features promote the tokens they fire on; they fire next more often "
            f"than on any token by {render_interval(own)}",
            verdict_of(own, above=0.0),
        ),
        Claim(
            "features form systems of several states",
            "two states (snake case), four (HTML), by example",
            f"{len(found)} sets of 2 to {MOST_STATES} features that lead to one another",
            "holds" if found else "does not hold",
            f"edges at {LEAST_LIFT:.0f} times chance or more; no interval: existence is claimed",
        ),
    ]
    labels = label_features(first, run.text, name, live)
    rows: list[Row] = [
        {"source": int(live[a]), "target": int(live[b]), "promoted": float(p), "rate": float(r), "chance": float(c)}
        for a, b, p, r, c in zip(*edges, strict=True)
    ]
    figures = {"automata": _draw(edges, found[:3], labels)} if found else {}
    return Finding(claims, {"automata": rows}, figures)


_CLAIM = "the tokens a feature promotes are those on which another fires next"


def _promoted(run: OpenRun, reading: Reading, name: str, live: NDArray[np.int64]) -> NDArray[np.float64]:
    """[n_live, n_live] mean firing rate of each feature on the tokens that each promotes most, of those in the text."""
    kinds, counts, rates = token_rates(reading.codes[name][:, live], reading.token)
    kinds, rates = kinds[counts >= MIN_SEEN], rates[counts >= MIN_SEEN]
    loaded, seen = run.dictionaries[name], torch.from_numpy(kinds)
    parts = []
    for chosen in torch.from_numpy(live).split(FEATURES_AT_ONCE):
        effects = run.bench.subject.logit_effects(loaded.point, loaded.dictionary.directions[chosen])
        top = effects[:, seen].topk(min(N_PROMOTED, len(kinds)), dim=1).indices.cpu().numpy()
        parts.append(rates[top].mean(axis=1))
    return np.concatenate(parts)


def _over_others(edges: Edges, rates: NDArray[np.float64], seed: int) -> Interval | None:
    """By source, the mean rate of its edges less that of their targets after another source, drawn at random."""
    rng = stream(seed, "automata")
    sources = np.unique(edges.source)
    if len(sources) < 2:
        return None
    other = (edges.source + rng.integers(1, len(rates), size=len(edges.source))) % len(rates)
    gap = edges.rate - rates[other, edges.target]
    means = [float(gap[edges.source == source].mean()) for source in sources]
    return mean_interval(means, rng=rng, bounds=(-1, 1))


def _draw(edges: Edges, found: list[NDArray[np.int64]], labels: list[str]) -> Figure:
    from synthetic_studies.figure_style import COLOURS, new_figure

    figure, axes = new_figure(1, len(found), width=4.4, height=4.0)
    for panel, nodes in zip(axes[0], found, strict=True):
        angles = 2 * np.pi * np.arange(len(nodes)) / len(nodes)
        at = dict(zip(nodes.tolist(), zip(np.cos(angles), np.sin(angles), strict=True), strict=True))
        for source, target, rate, chance in zip(edges.source, edges.target, edges.rate, edges.chance, strict=True):
            if source not in at or target not in at or rate < LEAST_LIFT * chance:
                continue
            (x, y), (u, v) = at[source], at[target]
            if source == target:
                panel.annotate(f"↻ {rate:.2f}", (x, y + 0.22), fontsize=7, ha="center", color=COLOURS[1])
                continue
            arrow = {"arrowstyle": "->", "color": COLOURS[0], "connectionstyle": "arc3,rad=0.18", "shrinkA": 14}
            panel.annotate("", (u, v), (x, y), arrowprops=arrow | {"shrinkB": 14, "linewidth": 0.5 + 2 * rate})
            across = (x + u) / 2 - 0.14 * (v - y), (y + v) / 2 + 0.14 * (u - x)
            panel.annotate(f"{rate:.2f} ({chance:.2f})", across, fontsize=6, ha="center", color=COLOURS[7])
        for node, (x, y) in at.items():
            box = {"boxstyle": "round", "facecolor": "white", "edgecolor": COLOURS[0]}
            panel.text(x, y, labels[node], fontsize=7, ha="center", va="center", bbox=box)
        panel.set(xlim=(-1.8, 1.8), ylim=(-1.6, 1.6))
        panel.axis("off")
    return figure
