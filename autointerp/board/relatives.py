"""Features of a run's other dictionaries that fire where a feature does: its family across widths and kinds.

Told from the evidence alone, so without weights: of the places at which windows kept of both features fire, the shared
ones. A feature that was not sampled has no evidence and is nobody's relative.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from autointerp.records.evidence import Evidence

__all__ = ["Relative", "Relatives", "find_relatives"]

_MOST = 6
_LEAST_SHARED, _LEAST_SHARE = 3, 0.3
_CROWD = 100
"""Features at one place from which on it is left out: it tells none of them apart, and their pairs are too many."""


class Relative(NamedTuple):
    """`share`: of the firing places kept of the one with fewer, those of both."""

    dictionary: str
    feature: int
    share: float


Relatives = Mapping[tuple[str, int], Sequence[Relative]]
"""By dictionary and feature, the closest first."""


def find_relatives(evidences: Iterable[Evidence]) -> Relatives:
    """The closest features in other dictionaries, a few each; evidence is read once and need not be kept."""
    owners: dict[int, list[int]] = {}
    names: list[tuple[str, int]] = []
    sizes: list[int] = []
    for number, evidence in enumerate(evidences):
        places = _firing_places(evidence)
        names.append((evidence.dictionary, evidence.feature))
        sizes.append(len(places))
        for place in places:
            owners.setdefault(place, []).append(number)
    shared: Counter[tuple[int, int]] = Counter()
    for own in owners.values():
        if len(own) >= _CROWD:
            continue
        for i, first in enumerate(own):
            shared.update((first, second) for second in own[i + 1 :] if names[first][0] != names[second][0])
    found: dict[tuple[str, int], list[Relative]] = {}
    for (first, second), n in shared.items():
        share = n / min(sizes[first], sizes[second])
        if n >= _LEAST_SHARED and share >= _LEAST_SHARE:
            found.setdefault(names[first], []).append(Relative(*names[second], share))
            found.setdefault(names[second], []).append(Relative(*names[first], share))
    return {name: sorted(all, key=lambda r: (-r.share, r.dictionary, r.feature))[:_MOST] for name, all in found.items()}


def _firing_places(evidence: Evidence) -> set[int]:
    """Hashes of document and token."""
    return {
        hash((window.document, window.offset + place))
        for window in evidence.windows
        if window.is_firing
        for place, activation in enumerate(window.activations)
        if activation > 0
    }
