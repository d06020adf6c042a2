"""Whether features come again: in a dictionary of another seed, and in another subject, next to neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from autointerp.config.tree import Config
from autointerp.errors import InputError
from autointerp.seeds import stream
from autointerp.studies.bricken2023.options import BrickenOptions, main_entry
from autointerp.studies.claim import Claim, render_interval, verdict_of
from autointerp.studies.paper import Finding, Setting
from autointerp.studies.reading import Reading, firing_features, open_trained
from autointerp.studies.resampling import median_difference, median_interval
from sae_core.matching import Codes, match_activations

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["align", "measure_universality"]

THEIR_MEDIAN = 0.72
"""Median over A/1 of the best correlation with a feature of B/1, of another subject; neurons 0.46."""


def measure_universality(setting: Setting[BrickenOptions]) -> Finding:
    """Best matches by activation over the text of the role score."""
    name, seed = main_entry(setting).name, setting.config.seed
    own = open_trained(setting.run(last="train")).read("score")
    again = open_trained(setting.run("seed2", config=_alone(setting, seed=seed + 1), last="train")).read("score")
    rng = stream(seed, "universality")
    found = {"features, another seed": best_matches(own.codes[name], again.codes[name], rng=rng)}
    claims = [_of_seeds(*found["features, another seed"], rng)]
    second = setting.options.second
    if second is None:
        why = "no second subject was given: --set study.second=MODEL takes one"
        claims.append(Claim(_CLAIM, _THEIRS, "-", "not measured", why))
    else:
        subject = setting.config.subject.model_copy(
            update={"model": second, "layer": setting.options.second_layer, "weights": "trained"}
        )
        other = open_trained(setting.run("second", config=_alone(setting, subject=subject), last="train")).read("score")
        places, theirs = align(own, other)
        if len(places) < 2:
            raise InputError(f"study.second = '{second}': the two subjects end no token at the same character")
        found["features, another subject"] = best_matches(own.codes[name][places], other.codes[name][theirs], rng=rng)
        if own.neurons is not None and other.neurons is not None:
            found["neurons, another subject"] = best_matches(own.neurons[places], other.neurons[theirs], rng=rng)
        claims.append(_of_subjects(found, len(places) / own.n_tokens, second, rng))
    rows = [
        {"what": what, "feature": place, "best_r": round(float(r), 3), "permuted": round(float(c), 3)}
        for what, (best, control) in found.items()
        for place, (r, c) in enumerate(zip(best, control, strict=True))
    ]
    return Finding(claims, {"universality": rows}, {"universality": _draw(found)})


_CLAIM, _THEIRS = "features come again in another subject, more than neurons do", "median r 0.72; neurons 0.46"

Best = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Of each feature that fires: r with its best match, and with that of permuted tokens."""


def best_matches(first: Codes, second: Codes, *, rng: np.random.Generator) -> Best:
    """Features of both sides that fire too rarely are left out; neurons are not."""
    sides = [
        each if isinstance(each, np.ndarray) else each[:, firing_features(each.tocsc())] for each in (first, second)
    ]
    matches = match_activations(*sides, rng=rng)
    assert matches.control is not None
    return matches.similarity, matches.control


def align(first: Reading, second: Reading) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of tokens of both that end at the same byte of the same document: both subjects have then read the same.

    Documents whose text the two tokenizers spell differently are left out.
    """
    numbers = {name: number for number, name in enumerate(first.documents)}
    shared = [
        (numbers[name], number)
        for number, (name, text) in enumerate(zip(second.documents, second.texts, strict=True))
        if name in numbers and _agree(first.texts[numbers[name]], text)
    ]
    to_first = np.full(len(second.documents), -1)
    for ours, theirs in shared:
        to_first[theirs] = ours
    longest = 1 + max((len(text) for text in (*first.texts, *second.texts)), default=0)
    keys_first = first.document * longest + first.end
    keys_second = np.where(to_first[second.document] >= 0, to_first[second.document] * longest + second.end, -1)
    _, places, theirs = np.intersect1d(keys_first, keys_second, return_indices=True)
    return places, theirs


def _agree(a: bytes, b: bytes) -> bool:
    n = min(len(a), len(b))
    return a[:n] == b[:n]


def _alone(setting: Setting[BrickenOptions], **changes: object) -> Config:
    """The setting's config with the main dictionary only."""
    return setting.config.model_copy(update={"dictionaries": (main_entry(setting),), **changes})


def _of_seeds(best: NDArray[np.float64], control: NDArray[np.float64], rng: np.random.Generator) -> Claim:
    interval = median_interval(best, rng=rng)
    return Claim(
        "the typical feature comes again",
        "median r 0.72 (two subjects of different seeds)",
        f"another seed of the dictionary: median r {render_interval(interval)}",
        verdict_of(interval, above=THEIR_MEDIAN),
        f"one subject, two dictionaries of it: easier than theirs; permuted tokens {np.median(control):.2f}",
    )


def _of_subjects(found: dict[str, Best], aligned: float, second: str, rng: np.random.Generator) -> Claim:
    features, control = found["features, another subject"]
    median = median_interval(features, rng=rng)
    why = f"{aligned:.0%} of the tokens end where one of the other's ends; permuted tokens {np.median(control):.2f}"
    if "neurons, another subject" not in found:
        return Claim(_CLAIM, _THEIRS, f"features {render_interval(median)}", "not measured", f"no neurons; {why}")
    neurons, _ = found["neurons, another subject"]
    their_median, gap = median_interval(neurons, rng=rng), median_difference(features, neurons, rng=rng)
    return Claim(
        _CLAIM,
        _THEIRS,
        f"median r of features {render_interval(median)}, of neurons {render_interval(their_median)}",
        verdict_of(gap, above=0.0),
        f"verdict: the difference, {render_interval(gap)}; {why}",
    )


def _draw(found: dict[str, Best]) -> Figure:
    from synthetic_studies.figure_style import COLOURS, new_figure

    figure, axes = new_figure()
    bins = np.linspace(0, 1, 41).tolist()
    for place, (name, (best, control)) in enumerate(found.items()):
        for values, style, label in ((best, "-", name), (control, ":", None)):
            weights = np.full(len(values), 1 / len(values))
            options = {"histtype": "step", "linewidth": 1.8, "linestyle": style, "color": COLOURS[place]}
            axes[0, 0].hist(values, bins=bins, weights=weights, label=label, **options)
    axes[0, 0].set(xlabel="r with the best match (dotted: permuted tokens)", ylabel="share of features")
    axes[0, 0].legend(fontsize=7)
    return figure
