"""Agreement of several judges about the same windows, above chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

__all__ = ["krippendorff_alpha"]


def krippendorff_alpha(units: Iterable[Sequence[Hashable | None]]) -> float | None:
    """Krippendorff's alpha for nominal answers: 1 - observed / expected disagreement (Content Analysis, 2004, ch. 11).

    A unit holds one window's answers (None: missing); units with fewer than two are skipped. 1 is agreement, 0 chance.
    1.0 if all answers are equal; None without a usable unit.
    """
    coincidences: Counter[tuple[Hashable, Hashable]] = Counter()
    for unit in units:
        counts = Counter(answer for answer in unit if answer is not None)
        n = counts.total()
        if n < 2:
            continue
        for a, n_a in counts.items():
            for b, n_b in counts.items():
                # ordered pairs of answers in the unit, each weighted by 1 / (n - 1)
                coincidences[a, b] += n_a * (n_b - (a == b)) / (n - 1)  # type: ignore[assignment]
    total = sum(coincidences.values())
    if not total:
        return None
    margins: Counter[Hashable] = Counter()
    for (a, _), weight in coincidences.items():
        margins[a] += weight  # type: ignore[assignment]
    observed = sum(weight for (a, b), weight in coincidences.items() if a != b) / total
    expected = (total**2 - sum(n**2 for n in margins.values())) / (total * (total - 1))
    return 1.0 if expected == 0 else 1 - observed / expected
