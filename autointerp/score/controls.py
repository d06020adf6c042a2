"""Controls by explanation: features judged with another feature's, a generic or an empty explanation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from math import log

from autointerp.records.evidence import Evidence
from autointerp.seeds import derive

__all__ = ["FIXED_TEXTS", "GENERIC", "by_dictionary", "fixed_controls", "shuffled_partners"]

# True of most features, useful for none.
GENERIC = "The feature fires on certain words and phrases, and on tokens that stand near them."

# Explanations that are the same for every feature, by control.
FIXED_TEXTS: Mapping[str, str] = {"empty": "", "generic": GENERIC}


def by_dictionary(evidences: Sequence[Evidence]) -> dict[str, list[Evidence]]:
    """Evidence by dictionary name, sorted by name and feature."""
    ordered = sorted(evidences, key=lambda e: (e.dictionary, e.feature))
    return {name: list(group) for name, group in groupby(ordered, key=lambda e: e.dictionary)}


def shuffled_partners(
    evidences: Sequence[Evidence], texts: Mapping[tuple[str, int], str | None], *, seed: int, frac: float
) -> dict[tuple[str, int], int]:
    """For a share `frac` of each dictionary's features, the feature that lends its explanation.

    It has the nearest firing rate among explained features; ties go to the lower index. The draw depends on seed and
    feature only.
    """
    partners: dict[tuple[str, int], int] = {}
    for name, group in by_dictionary(evidences).items():
        able = [e for e in group if texts.get((name, e.feature)) and e.unscored is None]
        if len(able) < 2:
            continue
        drawn = sorted(able, key=lambda e: derive(seed, "control", "shuffled", name, e.feature))
        for evidence in drawn[: round(frac * len(able))]:
            partner = min(
                (e for e in able if e.feature != evidence.feature),
                key=lambda e: (abs(_log_density(e) - _log_density(evidence)), e.feature),
            )
            partners[name, evidence.feature] = partner.feature
    return partners


def fixed_controls(
    evidences: Sequence[Evidence],
    texts: Mapping[tuple[str, int], str | None],
    *,
    seed: int,
    fracs: Mapping[str, float],
) -> dict[tuple[str, int], dict[str, str]]:
    """Texts of `FIXED_TEXTS` by feature and control, for a share of each dictionary's features with an explanation.

    Raises ValueError for an unknown control.
    """
    explained: dict[tuple[str, int], dict[str, str]] = {}
    for control, frac in fracs.items():
        if control not in FIXED_TEXTS:
            raise ValueError(f"no control is called '{control}'")
        for name, group in by_dictionary(evidences).items():
            able = [e for e in group if e.unscored is None]
            # The draw does not depend on the explanations: a shard does not have those of other shards.
            drawn = sorted(able, key=lambda e: derive(seed, "control", control, name, e.feature))
            for evidence in drawn[: round(frac * len(able))]:
                if texts.get((name, evidence.feature)):
                    explained.setdefault((name, evidence.feature), {})[control] = FIXED_TEXTS[control]
    return explained


def _log_density(evidence: Evidence) -> float:
    return log(max(evidence.density, 1e-12))
