"""Entries of one or several runs in sections that may be compared, best first, with ranges of ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autointerp.board.columns import deviation_of, interval_of, metric_of
from autointerp.board.metrics import title_of
from autointerp.board.protocol import FOREIGN, differences, protocol_of
from autointerp.stats.ranking import Estimate, Places, rank_places
from autointerp.stats.seed_effect import SeedMean, Spread, seed_spread, wider

__all__ = ["Section", "Standing", "build_sections"]

_Z95 = 1.959964
_F1_CUT = "f1_cut"
_MOST_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Standing:
    """An entry with its label."""

    label: str  # after the run's name if there are several runs
    run: str
    entry: Mapping[str, Any]
    metric: str = "f1"  # ranks its section
    places: Places | None = None  # range of its ranks, None without a score or alone

    @property
    def lost_frac(self) -> float:
        """Share of lost answers: unparsed, refused, in error, or about a feature without explanation."""
        answers = self.entry["unparsed_frac"] + self.entry["refused_frac"] + self.entry["error_frac"]
        n_lost = (self.entry.get("unscored") or {}).get("judge", 0)
        features = n_lost / max(1, n_lost + self.entry["n_scored"])
        return features + (1.0 - features) * answers

    @property
    def score(self) -> Mapping[str, Any] | None:
        """The figure it is ranked by."""
        return self.entry.get(self.metric) if self.metric == _F1_CUT else interval_of(self.entry)

    @property
    def spread(self) -> Spread | None:
        """Standard error over features, or over seeds if larger; None if unknown. Looks widen it as they widen the
        interval."""
        score = self.score
        if score is None or score["n"] < 2:
            return None
        deviation = deviation_of(self.entry, self.metric)
        if deviation is None or self.entry.get("looks"):
            error = (score["hi"] - score["lo"]) / (2 * _Z95)
        else:
            error = deviation / score["n"] ** 0.5
        features = Spread(error, score["n"] - 1.0)
        if "by_seed" not in self.entry:
            return features
        figure = self.metric if self.metric == _F1_CUT else "score"
        seeds = seed_spread([SeedMean(**each[figure]) for each in self.entry["by_seed"] if figure in each])
        return seeds and wider(seeds, features)


@dataclass(frozen=True, slots=True)
class Section:
    """Comparable standings (one scorer, explainer, judge and protocol), by score, unscored last."""

    scorer: str
    explainer: str
    judge: str
    standings: tuple[Standing, ...]
    differs: tuple[str, ...] = ()  # from the first section of the scorer, or between entries if mixed
    is_mixed: bool = False  # incomparable entries ranked together on request

    @property
    def title(self) -> str:
        head = f"scorer {self.scorer}, explainer {self.explainer or 'none'}, judge {self.judge or 'none'}"
        return f"{head} (from files of {self.foreign})" if self.foreign else head

    @property
    def note(self) -> str | None:
        """Why this section stands apart, or a warning about mixed entries."""
        if not self.differs:
            return None
        shown = "; ".join(self.differs[:_MOST_SHOWN])
        if len(self.differs) > _MOST_SHOWN:
            shown += f"; and {len(self.differs) - _MOST_SHOWN} more"
        if self.is_mixed:
            return f"WARNING: ranked together as asked, though not comparable. They differ in {shown}."
        return f"Not ranked with the section of scorer {self.scorer} before: {shown}."

    @property
    def metric(self) -> str:
        """The metric that ranks its entries."""
        return self.standings[0].metric if self.standings else "f1"

    @property
    def heading(self) -> str:
        if self.metric != _F1_CUT:
            return title_of(self.metric)
        return f"F1 at {self.entries[0]['common_density']:.2g}"

    @property
    def entries(self) -> list[Mapping[str, Any]]:
        return [standing.entry for standing in self.standings]

    @property
    def foreign(self) -> str | None:
        """The tool that made these results, if another."""
        return (self.entries[0].get("protocol") or {}).get(FOREIGN) if self.standings else None


def build_sections(
    summaries: Sequence[Mapping[str, Any]], *, is_together: bool = False, is_several: bool = False
) -> list[Section]:
    """The sections of all summaries.

    `is_together` ranks all entries of a metric together and notes the differences, except other tools' results.
    `is_several` puts the run's name before labels, as is done for several runs.
    """
    several = is_several or len({summary["run"] for summary in summaries}) > 1
    groups: dict[tuple[str, ...], list[Standing]] = {}
    protocols: dict[tuple[str, ...], dict[str, str]] = {}
    for summary in summaries:
        for entry in _filled(summary["entries"]):
            label = f"{summary['run']}/{entry['name']}" if several else entry["name"]
            protocol = protocol_of(entry)
            key = (entry["scorer"], entry["explainer"], entry["judge"], *(f"{k}={v}" for k, v in protocol.items()))
            groups.setdefault(key, []).append(Standing(label, summary["run"], entry))
            protocols[key] = protocol
    if is_together:
        return _together(groups, protocols)
    sections, first_of = [], {}
    for key in sorted(groups):
        scorer = key[0]
        first = first_of.setdefault(scorer, protocols[key])
        differs = tuple(differences(protocols[key], first))
        sections.append(Section(key[0], key[1], key[2], _ranked(groups[key]), differs))
    return sections


def _filled(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Entries without explanations, with judge and prompt filled in from the others."""
    known: dict[tuple[str, str], str] = {}
    keys = ("explain_judge", "explain_prompt_hash")
    for entry in entries:
        for key in keys:
            if entry.get(key):
                known.setdefault((entry["explainer"], key), entry[key])
    return [
        {**entry, **{key: known[entry["explainer"], key] for key in keys if (entry["explainer"], key) in known}}
        if any(not entry.get(key) and (entry["explainer"], key) in known for key in keys)
        else entry
        for entry in entries
    ]


def _together(
    groups: Mapping[tuple[str, ...], list[Standing]], protocols: Mapping[tuple[str, ...], dict[str, str]]
) -> list[Section]:
    by_metric: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for key in sorted(groups):
        entry = groups[key][0].entry
        by_metric.setdefault(((entry.get("protocol") or {}).get(FOREIGN) or "", metric_of(entry)), []).append(key)
    sections = []
    for _, keys in sorted(by_metric.items()):
        scorer, explainer, judge = (" and ".join(sorted({key[place] for key in keys})) for place in range(3))
        named = [place for place in range(3) if len({key[place] for key in keys}) > 1]
        standings = [
            replace(s, label=" ".join([s.label, *(f"({key[place]})" for place in named)]))
            for key in keys
            for s in groups[key]
        ]
        differs = dict.fromkeys(d for key in keys for d in differences(protocols[key], protocols[keys[0]]))
        # the metric is the same, the names stand in the title
        sections.append(Section(scorer, explainer, judge, _ranked(standings), tuple(differs), bool(differs)))
    return sections


def _ranked(standings: Sequence[Standing]) -> tuple[Standing, ...]:
    metric = _metric_of([standing.entry for standing in standings])
    ordered = sorted((replace(standing, metric=metric) for standing in standings), key=_place)
    scored = [s for s in ordered if s.score is not None]
    estimates = [Estimate(s.score["mean"], s.spread) for s in scored if s.score is not None]
    places = rank_places(estimates) if len(scored) > 1 else [None] * len(scored)
    unscored = [s for s in ordered if s.score is None]
    return (*(replace(s, places=p) for s, p in zip(scored, places, strict=True)), *unscored)


def _metric_of(entries: Sequence[Mapping[str, Any]]) -> str:
    """F1 at one density if all entries have the same, else their heading metric."""
    heading, densities = metric_of(entries[0]), {entry.get("common_density") for entry in entries}
    is_cut = heading == "f1" and len(densities) == 1 and None not in densities
    return _F1_CUT if is_cut and any(entry.get(_F1_CUT) for entry in entries) else heading


def _place(standing: Standing) -> tuple[bool, float, str]:
    interval = standing.score
    return (interval is None, -(interval["mean"] if interval else 0.0), standing.label)
