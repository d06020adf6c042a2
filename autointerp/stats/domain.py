"""The domain look-up: how far it gets a judge to know what a document is, and nothing of the window.

Fitted on the explain role, applied to score windows, like the token look-up. A domain is the first folder of the
document's id (its family), or the first two. Takes evidence and windows; knows nothing of verdicts.
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
    """The domains, of so many folders, in which a feature is said to fire."""

    depth: int
    domains: frozenset[str]

    def calls_firing(self, window: Window) -> bool:
        """What the rule says about one window."""
        return family_of(window.document, self.depth) in self.domains


def fit_domain_rule(evidence: Evidence) -> DomainRule:
    """The domains that hold a larger share of the firing than of the random silent explain windows, one folder deep or
    two: whichever tells windows better that it was not fitted on (each left out in turn)."""
    explain = evidence.select("explain")
    firing = [w for w in explain if w.kind in ACTIVATING]
    silent = [w for w in explain if w.kind == "random"]
    return max((_fit(firing, silent, depth) for depth in _DEPTHS), key=lambda found: found[0])[1]


def _fit(firing: list[Window], silent: list[Window], depth: int) -> tuple[float, DomainRule]:
    """(balanced accuracy with each window left out, the rule)."""
    inside, outside = (Counter(family_of(w.document, depth) for w in windows) for windows in (firing, silent))
    n_firing, n_silent = max(1, len(firing)), max(1, len(silent))

    def is_called(domain: str, *, less_firing: int = 0, less_silent: int = 0) -> bool:
        return (inside[domain] - less_firing) / n_firing > (outside[domain] - less_silent) / n_silent

    right = sum(is_called(d, less_firing=1) * n for d, n in inside.items()) / n_firing
    right += sum((not is_called(d, less_silent=1)) * n for d, n in outside.items()) / n_silent
    return right / 2, DomainRule(depth, frozenset(domain for domain in inside if is_called(domain)))
