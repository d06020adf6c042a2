"""Settings of explaining, scoring, controls and limits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from autointerp.config.prompts import ExplainPrompts, ScorePrompts
from autointerp.config.section import Amount, Count, Fraction, Positive, Rate, Section

__all__ = [
    "ControlsConfig",
    "ExplainConfig",
    "ExplainerConfig",
    "ExplainerEntry",
    "LimitsConfig",
    "NegativesConfig",
    "Preset",
    "Sampling",
    "ScoreConfig",
    "ScorerConfig",
    "ScorerEntry",
    "SequentialConfig",
]

Sampling = Literal["top", "random", "range", "quantile", "mixed", "importance", "top_random"]
"""Which firing windows are taken. `top`: the strongest. `random`: any, equally likely. `range`: equally many from each
bin of the activation range. `quantile`: equally many from each tenth by strength. `mixed`: half the strongest, half
over the range. `importance`: in proportion to strength. `top_random`: half the strongest, half any (Cunningham et al.
2023). All but `top` and `top_random` allow an estimate of recall over all firing windows."""

Preset = Literal["default", "oneill2024", "bills2023", "cunningham2023", "delphi", "saebench"]

Reasks = Annotated[int, Field(ge=0, le=3, strict=True)]


class ExplainerConfig(Section):
    """One explainer: what is shown so that a feature gets an explanation. A subclass declares further settings, and
    lists in `uses` those of the common settings it uses."""

    uses: ClassVar[frozenset[str]] = frozenset({"n_windows", "sampling"})

    name: str = "windows"
    """The explainer: `windows`, `contrastive`, `best_of`, ... or a plug-in's."""
    label: str | None = None
    """Its name in the results; `name` if left out. Two of one name need it."""
    n_windows: Positive = 10
    """Firing windows shown."""
    sampling: Sampling = "range"
    """`range`: the top windows take a turn as one more bin, above the highest."""


class ExplainerEntry(ExplainerConfig, extra="allow"):
    """One explainer: what is shown so that a feature gets an explanation. Its own keys stand beside these."""


class ExplainConfig(Section):
    """Who explains, and how."""

    judge: str = "pattern"
    """`NAME` or `NAME:MODEL`; options under [judges.NAME]."""
    explainers: Annotated[tuple[ExplainerEntry, ...], Field(min_length=1)] = (ExplainerEntry(),)
    """Each explains every feature, and every scorer scores each of them."""
    prompts: ExplainPrompts | None = None
    """Version of the explaining prompts, or the changes to version 1 that are wanted, such as ["contrast", "rate"].
    None is that of `score.prompts`, 1 beside a list there."""
    max_tokens: Positive = 500
    """Most tokens of a reply."""
    temperature: Amount = 0.0
    """Temperature of replies; 0 takes the likeliest."""
    reasks: Reasks = 1
    """How often an unreadable reply is asked for again, with its fault named; 0 is never."""


class NegativesConfig(Section):
    """How many silent windows of each kind."""

    random: Count = 0
    """Any silent windows. They alone give the rate of false alarms."""
    same_document: Count = 0
    """From documents in which the feature fires, so that their topic tells nothing; random ones fill up."""
    same_family: Count = 0
    """Random ones from the families (first folders of the ids) of the firing windows' documents."""
    other: Count = 0
    """Top windows of one other feature (O'Neill et al. 2024); not verified silent."""
    near_miss: Count = 0
    """With a token the feature fires on. Scored apart from F1, as are the next two."""
    neighbour: Count = 0
    """Around a firing of a feature similar in direction or firing together; verified silent."""
    embedding_near: Count = 0
    """Remaining random windows whose tokens are nearest to the firing windows' (TF-IDF)."""

    @property
    def n_counted(self) -> int:
        """The windows counted in F1."""
        return self.random + self.same_document + self.same_family + self.other


class ScorerConfig(Section):
    """One scorer: what is asked about how many windows of each kind. A subclass declares further settings, and lists in
    `uses` those of the common settings it uses."""

    uses: ClassVar[frozenset[str]] = frozenset(
        {"n_positive", "n_negative", "n_near_miss", "sampling", "windows_per_request", "negatives", "heading"}
    )

    needs_silent: ClassVar[bool] = True
    """Whether its score tells firing from silent windows."""

    name: str
    """The scorer: `detection`, `marked`, `fuzzing`, ... or a plug-in's."""
    label: str | None = None
    """Its name in the results; `name` if left out. Two of one name need it."""
    n_positive: Positive = 20
    """Firing windows asked about per feature."""
    n_negative: Count = 20
    """Silent windows asked about per feature; 0 where a scorer does without (`simulation`)."""
    n_near_miss: Count = 10
    """Same-token silent windows, scored apart from F1."""
    sampling: Sampling = "range"
    """Which firing windows: `range` takes equally many from each bin of the activation range (`top`, `random`,
    `quantile`, `mixed`, `importance`, `top_random`)."""
    windows_per_request: Positive = 10
    """Windows, or entries of the vocabulary, asked about together."""
    negatives: Literal["domain", "random", "other_feature"] | NegativesConfig = "domain"
    """The kind of the `n_negative`. `domain`: half from documents in which the feature fires, half from anywhere, so
    that the topic of a text is not enough; `random`: from anywhere; `other_feature`: top windows of one other feature
    (O'Neill et al. 2024). Or counts by kind, such as {random = 20, near_miss = 10, neighbour = 5}: near_miss is
    n_near_miss, and all but near_miss, neighbour and embedding_near make n_negative."""
    judge: str | None = None
    """Who answers this scorer, if not `score.judge`: `NAME` or `NAME:MODEL`."""
    heading: Literal["f1", "macro_f1"] | None = None
    """The metric that ranks entries of scorers headed by F1: `macro_f1` is the mean of the F1 of "fires" and of
    "silent" (O'Neill et al. 2024). None is `f1`."""

    @model_validator(mode="before")
    @classmethod
    def _count_negatives(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("negatives"), dict | NegativesConfig):
            return data
        counted = NegativesConfig.model_validate(data["negatives"])
        if not counted.n_counted:
            raise ValueError("negatives: set random, same_document, same_family or other above 0; F1 is over those")
        implied = {"n_negative": counted.n_counted, "n_near_miss": counted.near_miss}
        for key, n in implied.items():
            if data.get(key, n) != n:
                raise ValueError(f"{key} = {data[key]} stands beside negatives that say {n}; leave {key} out")
        return {**data, **implied, "negatives": counted}

    @model_validator(mode="after")
    def _need_silent(self) -> Self:
        if self.needs_silent and not self.n_negative:
            raise ValueError(
                f"{self.label or self.name}: n_negative = 0, but it tells firing from silent; set it above 0"
            )
        return self

    @property
    def counted_negatives(self) -> NegativesConfig:
        if isinstance(self.negatives, NegativesConfig):
            return self.negatives
        n, near = self.n_negative, self.n_near_miss
        if self.negatives == "other_feature":
            return NegativesConfig(other=n, near_miss=near)
        n_same = n // 2 if self.negatives == "domain" else 0
        return NegativesConfig(random=n - n_same, same_document=n_same, near_miss=near)


class ScorerEntry(ScorerConfig, extra="allow"):
    """One scorer: what is asked about how many windows of each kind. Its own keys stand beside these."""

    needs_silent: ClassVar[bool] = False  # the scorer's own settings say


class SequentialConfig(Section):
    """Scoring in looks: a dictionary's features are asked about in shares, until its score is known well enough."""

    looks: Annotated[int, Field(ge=2, le=20, strict=True)] = 5
    """Most looks; each takes an equal share of a dictionary's features."""
    half_width: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
    """Stop when the 95% interval, widened for the looks, reaches at most this far to either side."""
    until: Literal["mean", "difference"] = "mean"
    """`mean`: the interval of each dictionary's score. `difference`: that of each pair of dictionaries, which is also
    settled once its interval excludes 0; a dictionary goes on until all of its pairs are settled."""
    spending: Literal["pocock", "obrien_fleming"] = "pocock"
    """How the error is spent: `pocock` about equally over the looks, `obrien_fleming` almost nothing early."""


class ScoreConfig(Section):
    """Who predicts from the explanation where the feature fires."""

    judge: str = "pattern"
    """`NAME` or `NAME:MODEL`; options under [judges.NAME]."""
    scorers: Annotated[tuple[ScorerEntry, ...], Field(min_length=1)] = (ScorerEntry(name="detection"),)
    preset: Preset | None = None
    """A published protocol for keys the config leaves out (see docs/measurement.md)."""
    prompts: ScorePrompts = 2
    """Version of the prompts, of explaining too unless `explain.prompts` says otherwise; or the changes to version 1
    that are wanted, such as ["threshold"]. With a paper's preset 1 by default."""
    max_tokens: Positive = 300
    """Most tokens of a reply."""
    temperature: Amount = 0.0
    """Temperature of replies; 0 takes the likeliest."""
    reasks: Reasks = 1
    """How often an unreadable reply is asked for again, with its fault named; 0 is never."""
    sequential: SequentialConfig | None = None
    """Stop asking about a dictionary once its score is known well enough; None asks about every feature."""
    want_logprobs: bool = False
    """Ask for token probabilities, for verdicts with the judge's probability."""
    accept_unfit: bool = False
    """Let a model score that was no better than chance in its recorded exam (`autointerp judges audition`)."""

    @model_validator(mode="before")
    @classmethod
    def _as_published(cls, data: Any) -> Any:
        is_published = isinstance(data, dict) and data.get("preset") not in (None, "default")
        return {"prompts": 1, **data} if is_published else data

    def judge_of(self, scorer: ScorerConfig) -> str:
        return scorer.judge or self.judge

    @property
    def judges(self) -> tuple[str, ...]:
        """All judges of scorers, in order."""
        return tuple(dict.fromkeys(self.judge_of(scorer) for scorer in self.scorers))


class ControlsConfig(Section):
    """Controls for scores reached without understanding."""

    shuffled: Fraction = 0.25
    """Share of features scored again with the explanation of another feature of like firing rate."""
    empty: Fraction = 0.1
    """Share scored again with an empty explanation: what a judge answers from the windows alone."""
    generic: Fraction = 0.1
    """Share scored again with one sentence that is true of most features (`score.controls.GENERIC`)."""


class LimitsConfig(Section):
    """Ceilings and concurrency."""

    max_concurrent: Positive = 64
    """Most requests in flight. A run starts with 8, adapts to the endpoint and slows down when told to."""
    max_attempts: Positive = 6
    """Tries per request before it counts as an error."""
    timeout_s: Rate = 120.0
    """Seconds until an unanswered request is tried again."""
    max_usd: Amount | None = None
    """Stop before spending more; also `--max-usd`."""
    max_requests: Count | None = None
    """Stop before sending more requests; also `--max-requests`."""
    cache: Path | None = None
    """Directory of the reply cache shared by runs; None is the user's cache directory."""
    reuse: bool = True
    """Take replies from the shared cache. Without it every question is paid for anew, once in this run."""

    @property
    def n_workers(self) -> int:
        """Features worked on at once, more than requests in flight, as some wait for their next try."""
        return self.max_concurrent + self.max_concurrent // 4
