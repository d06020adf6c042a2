"""Feature splitting: features of a wide dictionary and their parents in narrower ones, as a forest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autointerp.seeds import stream
from autointerp.stats.intervals import Interval, mean_interval
from autointerp.studies.bricken2023.labels import label_features
from autointerp.studies.bricken2023.options import BrickenOptions, widths
from autointerp.studies.bricken2023.proxies import MIN_MARKED, find_proxies
from autointerp.studies.claim import Claim, render_interval, verdict_of
from autointerp.studies.paper import Finding, Setting
from autointerp.studies.proxy import mark
from autointerp.studies.reading import OpenRun, Reading, firing_features, open_trained
from sae_core.matching import match_directions, match_firing, match_masked_cosine
from synthetic_studies.study import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Forest", "Level", "count_specific", "grow_forest", "measure_splitting"]

LEAST_COSINE = 0.4
"""Masked cosine from which a narrow feature is taken for a parent, as in the paper."""
LEAST_SPECIFICITY = 0.5
MOST_DRAWN = 8
"""Children of one feature that are drawn."""


@dataclass(frozen=True, eq=False)
class Level:
    """The live features of one width; `parent` [n_live] places in the level before, -1 for a new feature."""

    dictionary: str
    features: NDArray[np.int64]
    parent: NDArray[np.int64]
    similarity: NDArray[np.float64]
    control: NDArray[np.float64]


Forest = Sequence[Level]
"""Levels, narrow first; the first has no parents."""


def grow_forest(reading: Reading, names: Sequence[str], *, rng: np.random.Generator, least: int) -> Forest:
    """Each feature's most similar one in the next narrower dictionary, by masked cosine, its parent where the cosine
    is LEAST_COSINE or more. Features with under `least` firings are left out.
    """
    levels: list[Level] = []
    for name in names:
        live = firing_features(reading.codes[name], least)
        if not levels:
            none = np.zeros(len(live))
            levels.append(Level(name, live, np.full(len(live), -1), none, none))
            continue
        before = levels[-1]
        narrow = reading.codes[before.dictionary][:, before.features]
        found = match_masked_cosine(reading.codes[name][:, live], narrow, rng=rng)
        assert found.control is not None
        parent = np.where(found.similarity >= LEAST_COSINE, found.second, -1)
        levels.append(Level(name, live, parent, found.similarity, found.control))
    return levels


def count_specific(reading: Reading, dictionary: str, marked: NDArray[np.bool_], *, least: int) -> int:
    """Live features half of whose firings, and of whose total activation, are on marked tokens."""
    codes = reading.codes[dictionary][:, firing_features(reading.codes[dictionary], least)]
    on = marked.astype(np.float64)
    shares = [(on @ each) / np.asarray(each.sum(axis=0)).ravel() for each in (codes, codes > 0)]
    return int(np.count_nonzero(np.minimum(*shares) >= LEAST_SPECIFICITY))


def measure_splitting(setting: Setting[BrickenOptions]) -> Finding:
    run, seed = open_trained(setting.run(last="train")), setting.config.seed
    names, least = [entry.name for entry in widths(setting.config)], setting.config.harvest.min_firing
    if len(names) < 2:
        why = "one dictionary has no other width to split into"
        return Finding([Claim("features split as the dictionary grows", "-", "-", "not measured", why)])
    reading = run.read("explain")
    forest = grow_forest(reading, names, rng=stream(seed, "splitting"), least=least)
    concepts = _concepts(setting, reading, names, least)
    rows = [_row(before, after, run, reading, seed) for before, after in pairwise(forest)]
    tables = {"splitting": rows, "splitting-concepts": concepts, "splitting-forest": _listed(forest)}
    root = _largest_family(forest)
    figures = {"splitting": _draw(rows, concepts, names)}
    notes = []
    if root is not None:
        figures["family"] = _draw_family(forest, root, reading, run)
        notes = [
            f"The family of {names[0]}/{forest[0].features[root]}, the one with most descendants among those of at "
            f"most {MOST_DRAWN} children, by the tokens that each feature fires on most."
        ]
    return Finding([_parents(forest, rows, seed), _more(concepts, names)], tables, figures, notes)


def _row(before: Level, after: Level, run: OpenRun, reading: Reading, seed: int) -> Row:
    """One step of widths by three measures of likeness."""
    rng = stream(seed, "splitting", after.dictionary)
    sides = [(reading.codes[each.dictionary][:, each.features]) for each in (after, before)]
    directions = [
        run.dictionaries[each.dictionary].dictionary.directions.detach().cpu()[each.features.tolist()]
        for each in (after, before)
    ]
    cosine, jaccard = match_directions(*directions, rng=rng), match_firing(*sides, rng=rng)
    assert cosine.control is not None and jaccard.control is not None
    children = np.bincount(after.parent[after.parent >= 0], minlength=len(before.features))
    return {
        "narrow": before.dictionary,
        "wide": after.dictionary,
        "n_narrow": len(before.features),
        "n_wide": len(after.features),
        "parent_frac": float(np.mean(after.parent >= 0)),
        "parent_frac_permuted": float(np.mean(after.control >= LEAST_COSINE)),
        "split_frac": float(np.mean(children >= 2)),
        "masked_cosine": float(np.median(after.similarity)),
        "cosine": float(np.median(cosine.similarity)),
        "cosine_permuted": float(np.median(cosine.control)),
        "co_firing": float(np.median(jaccard.similarity)),
        "co_firing_permuted": float(np.median(jaccard.control)),
    }


def _listed(forest: Forest) -> list[Row]:
    return [
        {
            "dictionary": after.dictionary,
            "feature": int(feature),
            "parent": int(before.features[parent]) if parent >= 0 else None,
            "masked_cosine": round(float(similarity), 3),
        }
        for before, after in pairwise(forest)
        for feature, parent, similarity in zip(after.features, after.parent, after.similarity, strict=True)
    ]


def _concepts(setting: Setting[BrickenOptions], reading: Reading, names: Sequence[str], least: int) -> list[Row]:
    rows: list[Row] = []
    for proxy in find_proxies(setting.options):
        marked = mark(reading, proxy)
        if proxy.alphabet is None and marked.sum() >= MIN_MARKED:
            rows += [
                {
                    "concept": proxy.name,
                    "dictionary": name,
                    "features": count_specific(reading, name, marked, least=least),
                }
                for name in names
            ]
    return rows


def _parents(forest: Forest, rows: Sequence[Row], seed: int) -> Claim:
    last, row = forest[-1], rows[-1]
    has = mean_interval((last.parent >= 0).astype(float).tolist(), rng=stream(seed, "parents"), bounds=(0, 1))
    told = "; ".join(f"{each['narrow']} to {each['wide']} {each['parent_frac']:.0%}" for each in rows[:-1])
    split = ", ".join(f"{each['split_frac']:.0%} of {each['narrow']}" for each in rows)
    return Claim(
        "features of a wide dictionary refine those of a narrower one",
        "families drawn where masked cosine exceeds 0.4",
        f"share with a parent, {row['narrow']} to {row['wide']}: {render_interval(has)}{'; ' + told if told else ''}; "
        f"with two children or more: {split}",
        verdict_of(has, above=max(0.5, row["parent_frac_permuted"])),
        f"verdict: most have one; with permuted tokens {row['parent_frac_permuted']:.0%}",
    )


def _more(concepts: Sequence[Row], names: Sequence[str]) -> Claim:
    claim = "the features of a context grow in number with the dictionary"
    theirs = "base64: 1 of 512, 3 of 4,096, many of 16,384"
    by_width = [sum(row["features"] for row in concepts if row["dictionary"] == name) for name in names]
    first, last = by_width[0], by_width[-1]
    each = "; ".join(
        f"{concept} {' '.join(str(row['features']) for row in concepts if row['concept'] == concept)}"
        for concept in dict.fromkeys(row["concept"] for row in concepts)
    )
    if not first or not last:
        return Claim(
            claim, theirs, each or "-", "not measured", "no feature of one of the widths is specific to a context"
        )
    reach = 1.96 * np.sqrt(1 / first + 1 / last)
    ratio = Interval(last / first, last / first * np.exp(-reach), last / first * np.exp(reach), first + last)
    return Claim(
        claim,
        theirs,
        f"from {names[0]} to {names[-1]} {render_interval(ratio)} times as many; by width: {each}",
        verdict_of(ratio, above=1.0),
        "features with half of their firings and activation in the context; interval of two Poisson counts",
    )


def _descendants(forest: Forest) -> list[NDArray[np.int64]]:
    """By level, how many features descend from each."""
    counts = [np.zeros(len(level.features), dtype=np.int64) for level in forest]
    for depth in range(len(forest) - 1, 0, -1):
        parent = forest[depth].parent
        np.add.at(counts[depth - 1], parent[parent >= 0], 1 + counts[depth][parent >= 0])
    return counts


def _largest_family(forest: Forest) -> int | None:
    """The narrow feature whose family is the largest that can still be read: at most MOST_DRAWN children a feature."""
    counts = _descendants(forest)[0]
    children = np.bincount(forest[1].parent[forest[1].parent >= 0], minlength=len(counts))
    fits = np.where(children <= MOST_DRAWN, counts, 0)
    return int(fits.argmax()) if fits.any() else None


def _draw(rows: Sequence[Row], concepts: Sequence[Row], names: Sequence[str]) -> Figure:
    from synthetic_studies.figure_style import COLOURS, MARKERS, new_figure

    figure, axes = new_figure(1, 2)
    steps = [f"{row['narrow']} to {row['wide']}" for row in rows]
    for place, (key, label) in enumerate(
        {"parent_frac": "with a parent", "parent_frac_permuted": "permuted tokens", "split_frac": "that split"}.items()
    ):
        axes[0, 0].plot(steps, [row[key] for row in rows], color=COLOURS[place], marker=MARKERS[place], label=label)
    axes[0, 0].set(ylabel="share of features", ylim=(0, 1.02))
    axes[0, 0].legend()
    for place, concept in enumerate(dict.fromkeys(row["concept"] for row in concepts)):
        counts = [row["features"] for row in concepts if row["concept"] == concept]
        style = {"color": COLOURS[place % 8], "marker": MARKERS[place % 8]}
        axes[0, 1].plot(list(names), counts, label=concept, **style)
    axes[0, 1].set(xlabel="dictionary", ylabel="features specific to a context")
    if concepts:
        axes[0, 1].legend()
    return figure


def _draw_family(forest: Forest, root: int, reading: Reading, run: OpenRun) -> Figure:
    """Left to right from narrow to wide; a line from each feature to its parent."""
    from synthetic_studies.figure_style import COLOURS, new_figure

    shown: list[list[int]] = [[root]]
    for depth in range(1, len(forest)):
        level, kept = forest[depth], []
        for parent in shown[-1]:
            children = np.flatnonzero(level.parent == parent)
            kept += children[np.argsort(-level.similarity[children], kind="stable")][:MOST_DRAWN].tolist()
        shown.append(kept[: 4 * MOST_DRAWN])
    n_rows = max(map(len, shown))
    figure, axes = new_figure(width=2.6 * len(forest), height=max(2.0, 0.2 * n_rows + 0.8))
    panel, places = axes[0, 0], [_spread(len(kept), n_rows) for kept in shown]
    for depth, kept in enumerate(shown):
        level = forest[depth]
        labels = label_features(reading, run.text, level.dictionary, level.features[kept])
        for place, feature in enumerate(kept):
            y = places[depth][place]
            if depth:
                above = places[depth - 1][shown[depth - 1].index(int(level.parent[feature]))]
                panel.plot([depth - 0.45, depth - 0.02], [above, y], color=COLOURS[7], linewidth=0.6)
            panel.text(depth, y, labels[place], fontsize=6, va="center")
    panel.set(xlim=(-0.1, len(forest)), ylim=(-1, n_rows), yticks=[])
    panel.set_xticks(range(len(forest)), [level.dictionary for level in forest])
    panel.grid(False)
    return figure


def _spread(n: int, n_rows: int) -> list[float]:
    return [(place + 0.5) * n_rows / n for place in range(n)] if n else []
