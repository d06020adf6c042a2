"""Whether features are neurons: by the most correlated one, and by the passages on which both are strongest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from autointerp.seeds import stream
from autointerp.stats.intervals import mean_interval
from autointerp.studies.bricken2023.options import BrickenOptions, main_entry
from autointerp.studies.claim import Claim, render_interval, verdict_of
from autointerp.studies.paper import Finding, Setting
from autointerp.studies.reading import firing_features, open_trained
from autointerp.studies.resampling import median_interval, passages_of
from sae_core.matching import match_activations

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["measure_neurons", "shared_passages"]

SHARES = (0.3, 0.5, 0.8)
N_TOP = 20


def measure_neurons(setting: Setting[BrickenOptions]) -> Finding:
    reading, name = open_trained(setting.run(last="train")).read("explain"), main_entry(setting).name
    if reading.neurons is None:
        why = "the subject's layer has no MLP neurons"
        return Finding([Claim("features are no neurons", "-", "-", "not measured", why)])
    rng = stream(setting.config.seed, "neurons")
    best: dict[str, NDArray[np.float64]] = {}
    for each in [name, *(other.name for other in setting.config.dictionaries if other.kind == "random")]:
        codes = reading.codes[each]
        live = firing_features(codes)
        matches = match_activations(codes[:, live], reading.neurons, rng=rng)
        best[each] = matches.similarity
        if each == name and matches.control is not None:
            best["permuted tokens"] = matches.control
    live = firing_features(reading.codes[name])
    passage = passages_of(reading.document)
    of_features, of_neurons = (top_passages(e, passage) for e in (reading.codes[name][:, live], reading.neurons))
    shared = shared_passages(of_features, of_neurons)
    chance = shared_passages(of_features, of_neurons, order=rng.permutation(passage.max() + 1))
    rows = [
        {"of": key, "feature": place, "best_r": round(float(r), 3)}
        for key, values in best.items()
        for place, r in enumerate(values)
    ]
    over = {s: mean_interval((best[name] > s).astype(float).tolist(), rng=rng, bounds=(0, 1)) for s in SHARES}
    told = ", ".join(f"{share}: {render_interval(each)}" for share, each in over.items())
    others = ", ".join(f"{key} {np.median(values):.2f}" for key, values in best.items() if key != name)
    median = render_interval(median_interval(best[name], rng=rng))
    held = mean_interval(shared.tolist(), rng=rng, bounds=(0, 1))
    claims = [
        Claim(
            "a feature is no neuron: none correlates highly with it",
            "base64 0.18, Hebrew 0.1 at the most",
            f"{name}: median of the best r {median}; share of features above {told}",
            verdict_of(over[0.5], below=0.5),
            f"verdict: under half of the features above 0.5; medians of others: {others}",
        ),
        Claim(
            f"what a feature is strongest on is not what a neuron is strongest on (top {N_TOP})",
            "Arabic: 1 of 20, of one neuron",
            f"share of a feature's top passages that the most alike neuron has too: {render_interval(held)}",
            verdict_of(held, below=0.5),
            f"verdict: under half; shuffled passages share {chance.mean():.2f} with the most alike",
        ),
    ]
    return Finding(claims, {"neurons": rows}, {"neurons": _draw(best)})


def top_passages(codes: Any, passage: NDArray[np.int64], *, n_top: int = N_TOP) -> sparse.csr_array:
    """[n_passages, n_features] 1 at the passages with a feature's `n_top` largest activations above 0."""
    n_passages, starts = int(passage.max()) + 1, np.flatnonzero(np.diff(passage, prepend=-1))
    columns = []
    for start in range(0, codes.shape[1], 256):
        block = codes[:, start : start + 256]
        dense = block.toarray() if sparse.issparse(block) else block
        largest = np.maximum.reduceat(dense, starts, axis=0)
        top = np.argpartition(-largest, min(n_top, n_passages) - 1, axis=0)[:n_top]
        is_top = np.zeros_like(largest)
        np.put_along_axis(is_top, top, 1.0, axis=0)
        columns.append(sparse.csr_array(is_top * (largest > 0)))
    return sparse.csr_array(sparse.hstack(columns))


def shared_passages(
    features: sparse.csr_array, neurons: sparse.csr_array, *, order: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """[n_features] of each feature's top passages, the share that the neuron with most of them has among its own;
    with `order` the neurons' passages are put into it, for chance.
    """
    rows: Any = neurons
    both = np.asarray((features.T @ (rows if order is None else rows[order])).todense())
    return both.max(axis=1) / np.maximum(np.asarray(features.sum(axis=0)).ravel(), 1)


def _draw(best: Mapping[str, NDArray[np.float64]]) -> Figure:
    from synthetic_studies.figure_style import COLOURS, new_figure

    figure, axes = new_figure()
    for place, (name, values) in enumerate(best.items()):
        axes[0, 0].hist(
            values,
            bins=np.linspace(0, 1, 41).tolist(),
            weights=np.full(len(values), 1 / len(values)),
            histtype="step",
            linewidth=1.8,
            color=COLOURS[place],
            label=name,
        )
    axes[0, 0].set(xlabel="r with the most correlated neuron", ylabel="share of features")
    axes[0, 0].legend()
    return figure
