"""The domain look-up baseline: knowing a document's family, but no window.

A domain is the first folder of a document's id, or the first two. Fitted on the explain role, applied to score windows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from autointerp.records.document import family_of
from autointerp.records.evidence import Evidence
from autointerp.records.window import ACTIVATING, Window

__all__ = ["DomainRule", "fit_domain_rule"]

_DEPTHS = (1, 2)


@dataclass(frozen=True, slots=True)
class DomainRule:
    """Domains, of `depth` folders, called firing."""

    depth: int
    domains: frozenset[str]

    def calls_firing(self, window: Window) -> bool:
        return family_of(window.document, self.depth) in self.domains


def fit_domain_rule(evidence: Evidence) -> DomainRule:
    """Domains with a larger share of firing than of random explain windows; the depth is chosen by leave-one-out
    accuracy.
    """
    explain = evidence.select("explain")
    firing = [w for w in explain if w.kind in ACTIVATING]
    silent = [w for w in explain if w.kind == "random"]
    return max((_fit(firing, silent, depth) for depth in _DEPTHS), key=lambda found: found[0])[1]


def _fit(firing: list[Window], silent: list[Window], depth: int) -> tuple[float, DomainRule]:
    """Leave-one-out balanced accuracy, and the rule."""
    inside, outside = (Counter(family_of(w.document, depth) for w in windows) for windows in (firing, silent))
    n_firing, n_silent = max(1, len(firing)), max(1, len(silent))

    def is_called(domain: str, *, less_firing: int = 0, less_silent: int = 0) -> bool:
        return (inside[domain] - less_firing) / n_firing > (outside[domain] - less_silent) / n_silent

    # each window is judged by the rule fitted without it
    right = sum(is_called(d, less_firing=1) * n for d, n in inside.items()) / n_firing
    right += sum((not is_called(d, less_silent=1)) * n for d, n in outside.items()) / n_silent
    return right / 2, DomainRule(depth, frozenset(domain for domain in inside if is_called(domain)))
