"""What a run that has begun tells about the rest: how much is answered, how fast and dear replies are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autointerp.config.loading import differing_keys
from autointerp.config.tree import Config
from autointerp.errors import ArtefactError
from autointerp.run import Run
from autointerp.runs.journal_entries import Work

__all__ = ["BegunRun", "Pace", "read_begun_run"]


@dataclass(frozen=True, slots=True)
class Pace:
    """Means over the replies of some accounts, per reply unless said otherwise."""

    # requests with a reply, questions put again not counted
    n_answered: int
    # replies asked for in the run
    n_sent: int
    input_tokens: float
    output_tokens: float
    # None where a reply came without a price
    usd: float | None
    latency_s: float
    # questions put again count
    sends_per_request: float
    # failed attempts count
    attempts_per_send: float
    # share of answers that could not be read
    unparsed_frac: float | None


@dataclass(frozen=True, slots=True)
class BegunRun:
    """A run that has begun, in `place`."""

    place: str
    works: tuple[Work, ...]
    characters_per_token: float | None
    stages_done: frozenset[str]
    # features sampled by dictionary, once it is harvested
    n_features: Mapping[str, int]
    # keys that differ from the planned config; then replies tell pace and price only, and nothing is done for the plan
    differing: tuple[str, ...] = ()

    @property
    def whole(self) -> Pace | None:
        return _pace(self.works)

    def pace(self, explainer: str, scorer: str | None, *, dictionary: str | None = None) -> Pace | None:
        """One kind of question, over one dictionary or all."""
        return _pace(
            work
            for work in self.works
            if (work.explainer, work.scorer) == (explainer, scorer) and dictionary in (None, work.dictionary)
        )


def read_begun_run(run: Run, config: Config) -> BegunRun | None:
    """None where nothing was asked yet. Raises ArtefactError when it is no run, or damaged."""
    stages = run.manifest["stages"]
    if not any(layout.journal.is_file() for layout in (run.layout, *run.layout.find_shards())):
        return None
    with run.open_journals() as view:
        works, ratio = view.summarise(), view.characters_per_token()
    n_features = stages.get("harvest", {}).get("n_features", {})
    if not isinstance(n_features, dict) or not all(isinstance(n, int) and n >= 0 for n in n_features.values()):
        raise ArtefactError(
            f"{run.layout.manifest} is damaged: stages.harvest.n_features must hold whole numbers; "
            f"{run.layout.remake('harvest')} makes it anew"
        )
    free = {"limits": config.limits, "engine": config.engine, "name": config.name, "device": config.device}
    differing = tuple(differing_keys(run.config.model_copy(update=free), config))
    if differing:
        return BegunRun(str(run.path), tuple(works), ratio, frozenset(), {}, differing)
    return BegunRun(str(run.path), tuple(works), ratio, frozenset(stages), n_features)


def _pace(works: Iterable[Work]) -> Pace | None:
    works = list(works)
    if not works:
        return None
    n_sent = sum(work.n_sent for work in works)
    n_replies, n_again = (sum(getattr(work, name) for work in works) for name in ("n_replies", "n_reasked"))
    n_failed = sum(sum(work.failures.values()) for work in works)
    answers = [work.answers for work in works]
    n_verdicts = sum(sum(counts.values()) for counts in answers)
    is_priced = not any(work.n_unpriced for work in works)
    per = max(n_sent, 1)
    return Pace(
        n_answered=n_replies - n_again,
        n_sent=n_sent,
        input_tokens=sum(work.input_tokens for work in works) / per,
        output_tokens=sum(work.output_tokens for work in works) / per,
        usd=sum(work.usd for work in works) / per if is_priced else None,
        latency_s=sum(work.latency_s for work in works) / per,
        sends_per_request=n_replies / max(n_replies - n_again, 1),
        attempts_per_send=(n_sent + n_failed) / per,
        unparsed_frac=sum(counts.get("unparsed", 0) for counts in answers) / n_verdicts if n_verdicts else None,
    )
