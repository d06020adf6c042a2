"""A run's shares called firing, corrected for the judge's errors (Rogan and Gladen 1978).

Assumes that it errs in the run as often as in its audition.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from autointerp.errors import ArtefactError, ConfigError
from autointerp.records.verdict import Verdict
from autointerp.run import Run
from autointerp.stats.prevalence import Corrected, rogan_gladen

__all__ = ["CorrectedShare", "correct_run", "render_corrections"]

Of = Literal["all", "firing", "silent"]


@dataclass(frozen=True, slots=True)
class CorrectedShare:
    """`called`: share of readable answers. `corrected`: a faultless judge's share, which is recall over `firing`
    windows, false alarm rate over `silent` ones; None for a judge no better than chance."""

    dictionary: str
    explainer: str
    scorer: str
    of: Of
    n_windows: int
    n_features: int
    called: float
    corrected: Corrected | None


def correct_run(run: Path, certificate: Mapping[str, Any]) -> list[CorrectedShare]:
    """Raises ConfigError where run and audition have different judges, ArtefactError where the run has no answers under
    an examined scorer."""
    groups: dict[tuple[str, str, str], list[Verdict]] = defaultdict(list)
    judges: set[str] = set()
    scorers: set[str] = set()
    with Run(run).open_journal() as journal:
        answers = [verdict for verdict in journal.load_verdicts() if verdict.control is None]
    for given in answers:
        scorers.add(given.scorer)
        if given.scorer in certificate["marks"]:
            judges.add(given.judge)
            groups[given.dictionary, given.explainer, given.scorer].append(given)
    if judges and judges != {certificate["judge"]}:
        raise ConfigError(
            f"{run} was scored by {', '.join(sorted(judges))}, and the audition is of {certificate['judge']}; "
            "a judge's errors correct its own runs only"
        )
    if not groups:
        raise ArtefactError(
            f"{run} has no answers under {', '.join(certificate['marks'])} (its scorers: "
            f"{', '.join(sorted(scorers)) or 'none'}); hold the audition with --scorer"
        )
    shares = []
    for (dictionary, explainer, scorer), given in sorted(groups.items()):
        grades = certificate["marks"][scorer]
        for of in ("all", "firing", "silent"):
            share = _share(given, of, grades)
            if share is not None:
                shares.append(CorrectedShare(dictionary, explainer, scorer, of, *share))
    return shares


def _share(
    given: Sequence[Verdict], of: Of, grades: Mapping[str, Any]
) -> tuple[int, int, float, Corrected | None] | None:
    by_feature: dict[int, list[float]] = defaultdict(list)
    for one in given:
        if one.answer in ("fires", "silent") and (of == "all" or one.is_firing == (of == "firing")):
            by_feature[one.feature].append(float(one.answer == "fires"))
    if not by_feature:
        return None
    n = sum(map(len, by_feature.values()))
    called = float(np.mean([answer for answers in by_feature.values() for answer in answers]))
    fires, silent = grades["fires"], grades["silent"]
    corrected = None
    if fires is not None and silent is not None:
        corrected = rogan_gladen(
            called,
            n=max(1, round(_n_effective(called, [float(np.mean(answers)) for answers in by_feature.values()], n))),
            sensitivity=fires["value"],
            n_positive=max(1, round(fires["n_effective"])),
            specificity=silent["value"],
            n_negative=max(1, round(silent["n_effective"])),
        )
    return n, len(by_feature), called, corrected


def _n_effective(share: float, by_feature: Sequence[float], n: int) -> float:
    """Independent windows with the same standard error; windows cluster by feature."""
    spread = float(np.var(by_feature, ddof=1) / len(by_feature)) if len(by_feature) > 1 else 0.0
    return min(float(n), share * (1 - share) / spread) if spread > 0 else float(n)


def render_corrections(shares: Sequence[CorrectedShare], certificate: Mapping[str, Any]) -> str:
    lines = []
    title = None
    for one in shares:
        entry = f"{one.dictionary}, explainer {one.explainer}, scorer {one.scorer}"
        if entry != title:
            title = entry
            lines.append(entry)
        said = "cannot be corrected: no better than chance in its audition"
        if one.corrected is not None:
            said = f"corrected {one.corrected.value:.3f} [{one.corrected.lo:.3f}, {one.corrected.hi:.3f}]"
        lines.append(f"  of {one.of:<6} windows called firing {one.called:.3f}, {said} (n {one.n_windows})")
    exam = certificate["exam"]
    lines.append(
        f"corrected: the share a judge without error would call firing, from the errors of {certificate['judge']} in "
        f"exam {exam['hash']} ({exam['size']}); it supposes that it errs here as often as there"
    )
    return "\n".join(lines)
