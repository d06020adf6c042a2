"""How far judges of several runs agree about the same evidence, over features with the same explanation in all runs."""

from __future__ import annotations

import filecmp
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from autointerp.audition.resampling import resampled_interval
from autointerp.errors import ArtefactError, ConfigError
from autointerp.records.verdict import NO_EXPLAINER, Verdict
from autointerp.run import Run
from autointerp.seeds import stream
from autointerp.stats.agreement import krippendorff_alpha
from autointerp.stats.confusion import Table
from autointerp.stats.intervals import Interval
from autointerp.stats.metrics import kappa

__all__ = ["Agreement", "PairAgreement", "judges_agree", "render_agreements"]

_ANSWERS = {"fires": 1, "silent": 0}

Feature = tuple[str, int, str]
"""Dictionary, index and explainer."""
Answers = Mapping[tuple[str, Feature], Mapping[str, Verdict]]
"""By scorer, feature and window."""
Units = Mapping[Feature, Sequence[tuple[int | None, ...]]]
"""Per window one answer per judge: 1, 0, or None (unreadable)."""


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Share of windows answered alike, and Cohen's kappa, where both answered."""

    first: str
    second: str
    agreement: Interval | None
    kappa: Interval | None
    n_windows: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Intervals resample features. `alpha`: Krippendorff's. `n_left_out`: features with differing explanations."""

    scorer: str
    judges: tuple[str, ...]
    alpha: Interval | None
    n_features: int
    n_windows: int
    n_left_out: int
    pairs: tuple[PairAgreement, ...]


def judges_agree(runs: Sequence[Path], *, seed: int = 0) -> list[Agreement]:
    """One per scorer that all runs have.

    Raises ConfigError for fewer than two runs, ArtefactError for a missing journal, missing or differing evidence, no
    shared scorer or explanation.
    """
    if len(runs) < 2:
        raise ConfigError("judges agree takes two runs at least: RUN_A RUN_B")
    _require_same_evidence(runs)
    answers = [_answers(run) for run in runs]
    shared = sorted(set.intersection(*({scorer for scorer, _ in own} for own in answers)))
    if not shared:
        raise ArtefactError(f"{_listed(runs)} share no scorer; score them with the same [[score.scorers]]")
    told = [_told(run) for run in runs]
    names = _names(runs, answers)
    agreements = []
    for scorer in shared:
        features = sorted(set.intersection(*({feature for name, feature in own if name == scorer} for own in answers)))
        same = [f for f in features if f[2] == NO_EXPLAINER or len({own.get(f) for own in told}) == 1]
        units = {feature: _units([own[scorer, feature] for own in answers]) for feature in same}
        agreements.append(_agreement(scorer, names, units, n_left_out=len(features) - len(same), seed=seed))
    if not any(one.n_windows for one in agreements):
        raise ArtefactError(
            f"{_listed(runs)} share no window with the same explanation; rescore one run's evidence with the other "
            "judge as score.judge and the same explain.judge"
        )
    return agreements


def _require_same_evidence(runs: Sequence[Path]) -> None:
    first, *others = (Run(run).layout.evidence for run in runs)
    files = sorted(path.name for path in first.glob("*.parquet"))
    if not files:
        raise ArtefactError(f"{first} holds no evidence; name the directories of runs")
    for other in others:
        for name in files:
            if not (other / name).is_file() or not filecmp.cmp(first / name, other / name, shallow=False):
                raise ArtefactError(
                    f"{other / name} is not the evidence of {first / name}; make one run from the other with "
                    "`autointerp rescore RUN --out OTHER --set score.judge=JUDGE`"
                )


def _answers(run: Path) -> Answers:
    answers: dict[tuple[str, Feature], dict[str, Verdict]] = defaultdict(dict)
    with Run(run).open_journal() as journal:
        for given in journal.load_verdicts():
            if given.control is None:
                answers[given.scorer, (given.dictionary, given.feature, given.explainer)][given.window] = given
    return answers


def _told(run: Path) -> dict[Feature, str | None]:
    with Run(run).open_journal() as journal:
        return {(one.dictionary, one.feature, one.explainer): one.text for one in journal.load_explanations()}


def _names(
    runs: Sequence[Path], answers: Sequence[Mapping[tuple[str, Feature], Mapping[str, Verdict]]]
) -> tuple[str, ...]:
    """Of judges; with the run's path where two runs have the same judge."""
    judges = [sorted({given.judge for windows in own.values() for given in windows.values()}) for own in answers]
    names = [", ".join(own) or run.name for own, run in zip(judges, runs, strict=True)]
    if len(set(names)) == len(names):
        return tuple(names)
    return tuple(f"{name} in {run}" for name, run in zip(names, runs, strict=True))


def _units(answers: Sequence[Mapping[str, Verdict]]) -> list[tuple[int | None, ...]]:
    # the same in all runs of a seed: what a scorer draws depends on the seed alone
    windows = sorted(set.intersection(*(set(own) for own in answers)))
    return [tuple(_ANSWERS.get(own[window].answer) for own in answers) for window in windows]


def _agreement(scorer: str, names: tuple[str, ...], units: Units, *, n_left_out: int, seed: int) -> Agreement:
    every = [unit for own in units.values() for unit in own]
    rng = stream(seed, "audition", "agreement", scorer)
    pairs = []
    for a, b in combinations(range(len(names)), 2):
        tables = np.array([_table(own, a, b) for own in units.values()], dtype=float).reshape(-1, 4)
        whole = tables.sum(axis=0)
        pairs.append(
            PairAgreement(
                names[a],
                names[b],
                resampled_interval(tables, _raw, rng=rng),
                resampled_interval(tables, _kappa, rng=rng),
                int(whole.sum()),
            )
        )
    sums = np.array([_coincidences(own) for own in units.values()], dtype=float).reshape(-1, 3)
    return Agreement(
        scorer=scorer,
        judges=names,
        alpha=resampled_interval(sums, _alpha, rng=rng, value=krippendorff_alpha(every)),
        n_features=len(units),
        n_windows=len(every),
        n_left_out=n_left_out,
        pairs=tuple(pairs),
    )


def _table(units: Sequence[tuple[int | None, ...]], a: int, b: int) -> tuple[int, int, int, int]:
    """Counts: both fire, the first, the second, neither."""
    cells = [0, 0, 0, 0]
    for unit in units:
        one, other = unit[a], unit[b]
        if one is not None and other is not None:
            cells[(1 - one) * 2 + (1 - other)] += 1
    return cells[0], cells[1], cells[2], cells[3]


def _raw(cells: np.ndarray) -> float | None:
    total = cells.sum()
    return float((cells[0] + cells[3]) / total) if total else None


def _kappa(cells: np.ndarray) -> float | None:
    return kappa(Table(cells[0], cells[1], cells[2], cells[3]))


def _coincidences(units: Sequence[tuple[int | None, ...]]) -> tuple[float, float, float]:
    """A feature's part of the coincidence table: disagreements, ones, zeros."""
    disagreements = ones = zeros = 0.0
    for unit in units:
        said = [answer for answer in unit if answer is not None]
        if len(said) > 1:
            n_ones = sum(said)
            ones, zeros = ones + n_ones, zeros + len(said) - n_ones
            disagreements += n_ones * (len(said) - n_ones) / (len(said) - 1)
    return disagreements, ones, zeros


def _alpha(sums: np.ndarray) -> float | None:
    disagreements, ones, zeros = sums
    if ones + zeros == 0:
        return None
    return 1.0 if ones == 0 or zeros == 0 else float(1 - (ones + zeros - 1) * disagreements / (ones * zeros))


def _listed(runs: Sequence[Path]) -> str:
    return ", ".join(map(str, runs))


def render_agreements(found: Sequence[Agreement]) -> str:
    lines = []
    for one in found:
        left_out = f", {one.n_left_out} left out: their explanations differ" if one.n_left_out else ""
        lines.append(f"scorer {one.scorer}: {one.n_windows} windows of {one.n_features} features{left_out}")
        lines.append(f"  alpha {_shown(one.alpha)} between {len(one.judges)} judges")
        lines += [
            f"  {pair.first} and {pair.second}: alike {_shown(pair.agreement)}, kappa {_shown(pair.kappa)}"
            for pair in one.pairs
        ]
    lines.append("1 is full agreement and 0 what chance gives (alpha, kappa); 95% intervals over features.")
    return "\n".join(lines)


def _shown(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.mean:.3f} [{interval.lo:.3f}, {interval.hi:.3f}]"
