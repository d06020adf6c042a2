"""Sentences a reader of a leaderboard needs beside the figures."""

from __future__ import annotations

from collections.abc import Sequence

from autointerp.board.columns import deviation_of, origin_of
from autointerp.board.metrics import CUT, title_of
from autointerp.board.standing import Section, Standing
from autointerp.stats.seed_effect import difference_spread
from autointerp.stats.significance import smallest_difference

__all__ = ["alarms", "caveats"]

ALARMING_ERROR = 0.9  # squared error over the activations' variance above which a dictionary's features mean nothing

_ABOUT = {
    "f1": "F1 is the mean over scored features; a lost answer (unparsed, refused, error) counts as wrong.",
    "f1_cut": "F1 at a density compares features that fire equally often: each is cut to its strongest "
    "firings, down to that share of tokens (the lowest of the dictionaries' median rates), and scored over as many "
    "firing as silent windows, from the same answers. F1 beside it is uncut: many weak firings make it low whatever "
    "the feature means. A lost answer (unparsed, refused, error) counts as wrong.",
    "correlation": "correlation is that of predicted and true activations over all tokens of a feature's windows, mean "
    "over features; it is blind to a judge that only tells windows apart, 'within windows' is not. Chance is 0.",
    "auroc": "AUROC is the share of pairs of a firing and a silent window that the scorer puts in order, mean over "
    "features. Chance is 0.5.",
    "accuracy": "accuracy is the share of trials in which the right option was chosen, mean over features; chance is "
    "one in so many options.",
    "recall": "recall is the mean over bins of the activation range, then over features; weak and strong firings "
    "stand apart. Chance is the share of silent windows called firing: who says so whatever he reads has that recall.",
    "token_f1": "token F1 is over tokens: which of them the judge expected to fire, against which did; mean over "
    "features. Chance is what calling every token firing gives.",
}
_REASONS = {
    "too_few_positives": "too few firing windows",
    "too_few_negatives": "too few silent windows",
    "judge": "no explanation or no answer from the judge",
    "dead": "dead features: none fires often enough to be sampled",
}


def caveats(sections: Sequence[Section]) -> list[str]:
    """All sentences, general ones first."""
    own = [section for section in sections if not section.foreign]
    metrics = [metric for metric in _ABOUT if any(s.metric == metric for s in own)] or ["f1"]
    lines = [_ABOUT[metric] for metric in metrics]
    lines[0] += " Intervals are 95%, expanded BCa bootstrap over features."
    if _is_f1(*metrics):
        lines.append(
            "always yes, coin: F1 of a judge that answers 'fires' everywhere, and the expected F1 of a fair coin, for "
            "the label counts used. An F1 near them says nothing."
        )
    lines += _about_measures(own) + _uncontrolled(own)
    if any(standing.places for section in sections for standing in section.standings):
        lines.append(
            "Ranks are ranges: two entries of a section are tied unless their difference is shown (Welch's t, 5%, Holm "
            "over the section's pairs)."
        )
    lines += _about_windows(own) + _about_seeds(own)
    lines += _about_looks(own)
    return lines + _tasks(own) + _foreign(sections) + _smallest(own) + _unscored(sections) + _about_dictionaries(own)


def alarms(sections: Sequence[Section]) -> list[str]:
    """The sentences for readers who know the columns."""
    own = [section for section in sections if not section.foreign]
    return _uncontrolled(own) + _tasks(own) + _foreign(sections) + _unscored(sections) + _about_dictionaries(own)


def _is_f1(*metrics: str) -> bool:
    return any(metric.removeprefix("macro_").removesuffix(CUT) == "f1" for metric in metrics)


def _about_measures(sections: Sequence[Section]) -> list[str]:
    entries = [entry for section in sections for entry in section.entries]
    lines = []
    if any(_is_f1(section.metric) for section in sections) or not entries:
        lines.append(
            "excess: balanced accuracy minus that with another feature's explanation (control 'shuffled'). beyond "
            "token: balanced accuracy minus the best token list's."
        )
        if any(entry.get("beyond_domain") for entry in entries):
            lines.append(
                "beyond domain: balanced accuracy minus that of the best rule on the kind of document alone. excess "
                "within domain: over firing windows and silent ones of the same documents."
            )
        if any(entry.get("near_miss") for entry in entries) or not entries:
            lines.append(
                "near miss: same token, firing against silent; beyond token: minus what the token list reaches there, "
                "which is no 0.5; token alone: where no other of its tokens stands in the window, so that the list "
                "reaches 0.5."
            )
    elif any(entry["excess"] for entry in entries):
        lines.append("excess: the score minus that with another feature's explanation (control 'shuffled').")
    if any(entry.get("generic_excess") or entry.get("empty_excess") for entry in entries):
        lines.append(
            "over generic, over empty: the same against an explanation that fits any feature, and against none."
        )
    if any(entry.get("population_recall") or entry.get("precision_at_prevalence") for entry in entries):
        lines.append(
            "population recall, precision in text: what the balanced windows imply for all firing windows, and at the "
            "rate at which the features fire in text."
        )
    return lines


def _uncontrolled(sections: Sequence[Section]) -> list[str]:
    entries = [entry for section in sections for entry in section.entries]
    explained = [entry for entry in entries if entry["explainer"] != "none"]
    if any(entry["excess"] for entry in entries) or (entries and not explained):
        return []
    return ["No shuffled control was run: nothing here shows that the explanations matter (controls.shuffled)."]


def _tasks(sections: Sequence[Section]) -> list[str]:
    scorers = sorted({section.scorer for section in sections})
    if len(scorers) < 2:
        return []
    return [f"{' and '.join(scorers)} are different tasks; their figures do not compare."]


def _about_windows(sections: Sequence[Section]) -> list[str]:
    shares = [
        share for section in sections for entry in section.entries if (share := entry.get("window_share")) is not None
    ]
    if not shares:
        return []
    low, high = min(shares), max(shares)
    said = f"{low:.0%}" if f"{low:.0%}" == f"{high:.0%}" else f"{low:.0%} to {high:.0%}"
    return [
        f"Of the spread of F1 over features, {said} comes from which windows were drawn and how the judge happened to "
        "answer; the rest is how features differ (documents of a feature resampled). Both are in the intervals."
    ]


def _about_seeds(sections: Sequence[Section]) -> list[str]:
    seeded = [s for section in sections for s in section.standings if s.entry.get("n_seeds")]
    if not seeded:
        return []
    counts = dict.fromkeys(f"{s.label} ({s.entry['n_seeds']})" for s in seeded)
    lines = [
        f"Trained with several seeds: {', '.join(counts)}. Such an entry is the mean over the features of all of them; "
        "its interval and its ranks take in what another training would change (Student's t over seeds, and no "
        "narrower than over features). `by_seed` in summary.json has the means of each."
    ]
    for section in sections:
        parts = [
            f"{s.label} {shares['seeds']:.0%} seeds, {shares['features']:.0%} features"
            + ("" if shares["windows"] is None else f", {shares['windows']:.0%} windows")
            for s in section.standings
            if (shares := s.entry.get("variance_shares"))
        ]
        if parts:
            figure = title_of(section.metric.removesuffix(CUT))
            lines.append(f"Variance of one feature's {figure} ({section.scorer}): {'; '.join(parts)}.")
    return lines


def _about_looks(sections: Sequence[Section]) -> list[str]:
    looks = [entry["looks"] for section in sections for entry in section.entries if entry.get("looks")]
    if not looks:
        return []
    saved = sum(look["n_saved_features"] for look in looks)
    return [
        f"Scored in looks until the interval was narrow enough ({saved:,} features not asked about): intervals are "
        "repeated ones, wider so that all looks together cover 95% of the time."
    ]


def _foreign(sections: Sequence[Section]) -> list[str]:
    lines = []
    for section in sections:
        for standing in section.standings:
            note = (standing.entry.get("protocol") or {}).get("note")
            if section.foreign and note:
                lines.append(f"{standing.label}: {note}")
    if lines:
        lines.insert(
            0, "Results read from other tools' files follow their own protocols and are never ranked with ours."
        )
    return lines


def _smallest(sections: Sequence[Section]) -> list[str]:
    lines = []
    for metric in dict.fromkeys(section.metric for section in sections):
        standings = [s for section in sections for s in section.standings if section.metric == metric and s.score]
        if any(s.entry.get("n_seeds") for s in standings):
            lines += _smallest_over_seeds(standings, metric)
            continue
        sizes = [
            (s.score["n"], deviation)
            for s in standings
            if s.score and (deviation := deviation_of(s.entry, metric) or s.entry.get("f1_deviation")) is not None
        ]
        if sizes:
            # The widest spread and the fewest features: what is claimed holds for every pair of entries.
            n, deviation = min(size[0] for size in sizes), max(size[1] for size in sizes)
            gap = smallest_difference(n, deviation=deviation)
            lines.append(
                f"With n = {n} features, two entries must differ by {gap:.3f} in {title_of(metric)} to be told apart "
                "(level 5%, power 80%)."
            )
    return lines


def _smallest_over_seeds(standings: Sequence[Standing], metric: str) -> list[str]:
    # The two widest spreads: what is claimed holds for every pair of entries.
    spreads = sorted((s.spread for s in standings if s.spread), key=lambda spread: spread.reach)[-2:]
    spread = difference_spread(*spreads) if len(spreads) == 2 else None
    if spread is None:
        return []
    return [
        f"With these seeds and features, two entries must differ by {spread.detectable():.3f} in {title_of(metric)} to "
        "be told apart (level 5%, power 80%)."
    ]


def _unscored(sections: Sequence[Section]) -> list[str]:
    lines = []
    for section in sections:
        parts = []
        for standing in section.standings:
            reasons = [f"{n} {_REASONS.get(why, why)}" for why, n in standing.entry["unscored"].items() if n]
            if reasons:
                parts.append(f"{standing.label} {', '.join(reasons)}")
        if parts:
            lines.append(f"Not scored ({section.scorer}): {'; '.join(parts)}.")
    return lines


def _about_dictionaries(sections: Sequence[Section]) -> list[str]:
    origins, poor, rare = {}, {}, {}
    for standing in (standing for section in sections for standing in section.standings):
        quality = standing.entry.get("quality") or {}
        if (origin := origin_of(standing.entry)) is not None:
            origins[standing.label] = origin
        if quality.get("loss_recovered") is not None and (quality.get("normalised_mse") or 0) > ALARMING_ERROR:
            poor[standing.label] = f"{quality['normalised_mse']:.2f}"
        if cluster := quality.get("ultralow"):
            rare[standing.label] = f"{cluster['live_frac']:.0%} (under {cluster['limit']:.2g} of the tokens)"
    lines = [f"Not trained here: {'; '.join(f'{label} is {origin}' for label, origin in origins.items())}."]
    lines += [
        "Hardly better than the mean activation (normalised error): "
        f"{', '.join(f'{label} {error}' for label, error in poor.items())}; was the dictionary made for this model, "
        "place and scaling of activations?"
    ]
    lines += [
        "Live features of an ultralow-density cluster, which fire far more rarely than the others and mean little: "
        f"{', '.join(f'{label} {share}' for label, share in rare.items())}; harvest.density draws others."
    ]
    return [line for line, is_so in zip(lines, (origins, poor, rare), strict=True) if is_so]
