"""What is asked of judges, and within which limits: explaining, scoring, controls, ceilings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

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
"""Which firing windows are taken. `top`: the strongest. `random`: any, each as likely. `range`: equally many from each
bin of the activation range. `quantile`: equally many from each tenth of all firing windows, ordered by strength.
`mixed`: half the strongest, half over the range. `importance`: any, each as likely as it is strong. `top_random`: half
the strongest, half any, as Cunningham et al. 2023 score. All but `top` and `top_random` tell what each window stands
for, so that recall over all firing windows can be estimated."""

Preset = Literal["default", "oneill2024", "bills2023", "cunningham2023", "delphi", "saebench"]

Reasks = Annotated[int, Field(ge=0, le=3, strict=True)]


class ExplainerConfig(Section):
    """One explainer: what is shown so that a feature gets an explanation. One that has settings of its own declares
    them in a subclass; an explainer that does not use one of these leaves it out of `uses`."""

    uses: ClassVar[frozenset[str]] = frozenset({"n_windows", "sampling"})

    name: str = "windows"
    """Which one: `windows`, `contrastive`, `best_of`, ... or a plug-in's."""
    label: str | None = None
    """What it is called in the results; its name where left out. Two of one name need it."""
    n_windows: Positive = 10
    """Firing windows shown."""
    sampling: Sampling = "range"
    """`range`: the top windows take a turn as one more bin, above the highest."""


class ExplainerEntry(ExplainerConfig, extra="allow"):
    """One explainer: what is shown so that a feature gets an explanation. Beside these keys stand its own."""


class ExplainConfig(Section):
    """Who explains, and how."""

    judge: str = "pattern"
    """`NAME` or `NAME:MODEL`; options under [judges.NAME]."""
    explainers: Annotated[tuple[ExplainerEntry, ...], Field(min_length=1)] = (ExplainerEntry(),)
    """Each gives every feature an explanation of its own, and every scorer scores each of them."""
    max_tokens: Positive = 500
    """Tokens of a reply at most."""
    temperature: Amount = 0.0
    """At which replies are drawn; 0 takes the likeliest."""
    reasks: Reasks = 1
    """How often a reply that cannot be read is answered with what was wrong and asked for again; 0 is never."""


class NegativesConfig(Section):
    """How many silent windows of each kind."""

    random: Count = 0
    """Any silent windows. Only they tell how often the judge calls firing what is not."""
    same_document: Count = 0
    """Of documents in which the feature fires: what they are about tells nothing. Random ones where there are fewer."""
    same_family: Count = 0
    """Random ones of the families of documents in which the firing windows stand: of one first folder of the ids."""
    other: Count = 0
    """The top windows of one other feature, as O'Neill et al. 2024 do; not verified silent."""
    near_miss: Count = 0
    """That hold a token the feature fires on. Scored apart from F1, as are the next two."""
    neighbour: Count = 0
    """About a firing of a feature near by direction or by firing together; verified silent."""
    embedding_near: Count = 0
    """Of the random windows left over, those whose tokens are nearest to the firing windows' (TF-IDF)."""

    @property
    def n_counted(self) -> int:
        """Those that F1 is over."""
        return self.random + self.same_document + self.same_family + self.other


class ScorerConfig(Section):
    """One scorer: what is asked about how many windows of each kind. One that has settings of its own declares them in
    a subclass; a scorer that does not use one of these leaves it out of `uses`."""

    uses: ClassVar[frozenset[str]] = frozenset(
        {"n_positive", "n_negative", "n_near_miss", "sampling", "windows_per_request", "negatives", "heading"}
    )

    needs_silent: ClassVar[bool] = True
    """Whether its score is about telling firing from silent windows."""

    name: str
    """Which one: `detection`, `marked`, `fuzzing`, ... or a plug-in's."""
    label: str | None = None
    """What it is called in the results; its name where left out. Two of one name need it."""
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
    """Of which kind the `n_negative` are. `domain`: half of documents in which the feature fires, half from anywhere,
    so that recognising what a text is about is not enough; `random`: from anywhere; `other_feature`: the top windows of
    one other feature, as O'Neill et al. 2024 do. Or how many of each kind, such as {random = 20, near_miss = 10,
    neighbour = 5}: all but near_miss, neighbour and embedding_near then make n_negative, and near_miss n_near_miss."""
    judge: str | None = None
    """Who answers this scorer, where it is another than `score.judge`: `NAME` or `NAME:MODEL`."""
    heading: Literal["f1", "macro_f1"] | None = None
    """The metric that entries are ranked by, of scorers headed by F1: `macro_f1` is the mean of the F1 of "fires" and
    of "silent", as O'Neill et al. 2024 report. None is `f1`."""

    @model_validator(mode="before")
    @classmethod
    def _count_negatives(cls, data: Any) -> Any:
        """Where negatives are counted by kind, n_negative and n_near_miss follow from it."""
        if not isinstance(data, dict) or not isinstance(data.get("negatives"), dict | NegativesConfig):
            return data
        counted = NegativesConfig.model_validate(data["negatives"])
        if not counted.n_counted:
            raise ValueError("negatives: set random, same_document, same_family or other above 0; F1 is over those")
        found = {"n_negative": counted.n_counted, "n_near_miss": counted.near_miss}
        for key, n in found.items():
            if data.get(key, n) != n:
                raise ValueError(f"{key} = {data[key]} stands beside negatives that say {n}; leave {key} out")
        return {**data, **found, "negatives": counted}

    @model_validator(mode="after")
    def _need_silent(self) -> Self:
        if self.needs_silent and not self.n_negative:
            raise ValueError(
                f"{self.label or self.name}: n_negative = 0, but it tells firing from silent; set it above 0"
            )
        return self

    @property
    def counted_negatives(self) -> NegativesConfig:
        """How many silent windows of each kind."""
        if isinstance(self.negatives, NegativesConfig):
            return self.negatives
        n, near = self.n_negative, self.n_near_miss
        if self.negatives == "other_feature":
            return NegativesConfig(other=n, near_miss=near)
        n_same = n // 2 if self.negatives == "domain" else 0
        return NegativesConfig(random=n - n_same, same_document=n_same, near_miss=near)


class ScorerEntry(ScorerConfig, extra="allow"):
    """One scorer: what is asked about how many windows of each kind. Beside these keys stand its own."""

    needs_silent: ClassVar[bool] = False  # the scorer's own settings say


class SequentialConfig(Section):
    """Scoring in looks: features are asked about in shares, until enough is known of their dictionary."""

    looks: Annotated[int, Field(ge=2, le=20, strict=True)] = 5
    """Looks at most; each takes an equal share of a dictionary's features."""
    half_width: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
    """Enough is known when the 95% interval, widened for the looks, is at most this wide to either side."""
    until: Literal["mean", "difference"] = "mean"
    """`mean`: of each dictionary's score. `difference`: of each pair of dictionaries, which is settled, too, once its
    interval excludes 0; a dictionary is asked about until all of its pairs are."""
    spending: Literal["pocock", "obrien_fleming"] = "pocock"
    """How the error is spent: `pocock` about the same at each look, `obrien_fleming` almost nothing early."""


class ScoreConfig(Section):
    """Who predicts from the explanation where the feature fires."""

    judge: str = "pattern"
    """`NAME` or `NAME:MODEL`; options under [judges.NAME]."""
    scorers: Annotated[tuple[ScorerEntry, ...], Field(min_length=1)] = (ScorerEntry(name="detection"),)
    preset: Preset | None = None
    """A published protocol, which fills in what the config leaves unsaid (see docs/measurement.md)."""
    max_tokens: Positive = 300
    """Tokens of a reply at most."""
    temperature: Amount = 0.0
    """At which replies are drawn; 0 takes the likeliest."""
    reasks: Reasks = 1
    """How often a reply that cannot be read is answered with what was wrong and asked for again; 0 is never."""
    sequential: SequentialConfig | None = None
    """Stop asking about a dictionary once its score is known well enough; None asks about every feature."""
    want_logprobs: bool = False
    """Ask for token probabilities, so that verdicts have the judge's probability where its replies allow it."""

    def judge_of(self, scorer: ScorerConfig) -> str:
        """Who answers a scorer: its own judge, or the one of all."""
        return scorer.judge or self.judge

    @property
    def judges(self) -> tuple[str, ...]:
        """Everybody who answers a scorer, in the order of the scorers."""
        return tuple(dict.fromkeys(self.judge_of(scorer) for scorer in self.scorers))


class ControlsConfig(Section):
    """Controls that tell a score from what is reached without understanding."""

    shuffled: Fraction = 0.25
    """Share of the features scored a second time with the explanation of another feature of like firing rate."""
    empty: Fraction = 0.1
    """Share scored again with an explanation that says nothing at all: what a judge answers from the windows alone."""
    generic: Fraction = 0.1
    """Share scored again with one sentence that is true of most features (`score.controls.GENERIC`)."""


class LimitsConfig(Section):
    """Ceilings and concurrency."""

    max_concurrent: Positive = 64
    """Requests in flight at most. How many really are is learnt from the endpoint: it starts with 8 and falls back
    whenever it is told to slow down, so this only bounds what one run may claim."""
    max_attempts: Positive = 6
    """Tries per request before it counts as an error."""
    timeout_s: Rate = 120.0
    """Seconds until a request that was not answered is tried again."""
    max_usd: Amount | None = None
    """Stop before spending more; `--max-usd` sets it, too."""
    max_requests: Count | None = None
    """Stop before sending more requests; `--max-requests` sets it, too."""
    cache: Path | None = None
    """Directory of the reply cache that runs share; None is the user's cache directory."""
    reuse: bool = True
    """Take replies from the cache that runs share. Without it every question is paid for anew, once in this run."""

    @property
    def n_workers(self) -> int:
        """Features worked on at once: a few more than may be in flight, as some wait for their next try."""
        return self.max_concurrent + self.max_concurrent // 4
