"""Readability of a judge's replies, to stop wasting money."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from autointerp.judges.judge import Reply, Request
from autointerp.judges.reply_rules import short
from autointerp.runs.reply_record import Account

__all__ = ["Readings"]

_N_FIRST = 10
"""Unreadable first replies after which no more are asked for."""


@dataclass(slots=True)
class _Use:
    """Outcomes: `faults` of unreadable replies, `lost` results by kind."""

    is_read: bool = False
    n_kept: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    first: str = ""
    """Beginning of the first unreadable reply."""


class Readings:
    """Uses of one judge, called `judge` in messages."""

    def __init__(self, judge: str) -> None:
        self._judge = judge
        self._uses: dict[tuple[str, str], _Use] = {}

    def note_reply(self, account: Account, request: Request, reply: Reply, *, is_readable: bool) -> None:
        use = self._use(account.explainer, account.scorer)
        use.is_read = use.is_read or is_readable
        if not is_readable and not use.is_read:
            use.faults[_fault(request, reply)] += 1
            use.first = use.first or short(reply.text)

    def note_results(self, explainer: str, scorer: str | None, outcomes: Counter[str]) -> None:
        """Count outcomes: `kept` or kinds of loss."""
        use = self._use(explainer, scorer)
        use.n_kept += outcomes["kept"]
        use.lost.update({outcome: n for outcome, n in outcomes.items() if outcome != "kept"})

    def hopeless(self, account: Account) -> str | None:
        """Reason to ask no more for this use."""
        use = self._uses.get(_key(account.explainer, account.scorer))
        if use is None or use.is_read or use.faults.total() < _N_FIRST:
            return None
        kind, name = _key(account.explainer, account.scorer)
        return (
            f"the first {use.faults.total()} replies of {self._judge} to {kind} {name} cannot be read "
            f"({_listed(use.faults)}; the first begins {use.first}); {_advice(kind, use)}"
        )

    def useless(self) -> str | None:
        """Reason why a use lost all results."""
        for (kind, name), use in self._uses.items():
            if use.lost and not use.n_kept:
                noun = "explanations" if kind == "explainer" else "answers"
                why = f"; replies were {_listed(use.faults)}" if use.faults else ""
                return (
                    f"none of the {use.lost.total():,} {noun} that {kind} {name} asked {self._judge} for could be had "
                    f"({_listed(use.lost)}{why}); {_advice(kind, use)}"
                )
        return None

    def _use(self, explainer: str, scorer: str | None) -> _Use:
        return self._uses.setdefault(_key(explainer, scorer), _Use())


def _key(explainer: str, scorer: str | None) -> tuple[str, str]:
    return ("explainer", explainer) if scorer is None else ("scorer", scorer)


def _fault(request: Request, reply: Reply) -> str:
    if reply.finish == "length":
        return f"cut off at max_tokens = {request.max_tokens}"
    return "of another form" if reply.text.strip() else "empty"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{n:,} {what}" for what, n in counts.most_common())


def _advice(kind: str, use: _Use) -> str:
    section = "explain" if kind == "explainer" else "score"
    if use.faults and use.faults.most_common(1)[0][0] != "of another form":
        return f"raise {section}.max_tokens, which a model's thoughts count against, or have it think less"
    return "`autointerp journal RUN` shows what was said; another reply_format or another model may mend it"
