"""What a judge can be expected to take and cost, without opening it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autointerp.begun_run import BegunRun, Pace
from autointerp.builtin_plugins import JUDGES
from autointerp.config.tree import Config
from autointerp.errors import ConfigError
from autointerp.judges.endpoint.dialects import thinks
from autointerp.judges.endpoint.embedding import EmbeddingOptions
from autointerp.judges.endpoint.endpoint import OpenAIOptions
from autointerp.judges.endpoint.heeding import room_to_think
from autointerp.judges.endpoint.prices import Price, price_of
from autointerp.judges.endpoint.probe_memory import recall
from autointerp.judges.endpoint.token_counting import TokenCounter, find_counter
from autointerp.judges.judge import Request
from autointerp.judges.options import read_options
from autointerp.judges.tasks import (
    GroupTask,
    IntruderTask,
    LikelihoodTask,
    PickEffectTask,
    RateTask,
    ScoreTask,
    SimilarityTask,
    SimulateTask,
)
from autointerp.plugins import list_judges, load_plugin, split_spec
from autointerp.runs.layout import RunLayout
from autointerp.runs.reply_cache import default_cache_path

__all__ = ["ASSUMED", "Assumptions", "ExpectedJudge"]

# what chat templates wrap around a message
_TOKENS_PER_MESSAGE = 4


@dataclass(frozen=True, slots=True)
class Assumptions:
    # the judge's, of a whole prompt: its quotes, marks and escapes take more tokens than prose
    characters_per_token: float = 3.5
    explanation_tokens: int = 150
    # around a reply by list, which has `answer_tokens` per window
    list_tokens: int = 8
    answer_tokens: int = 2
    latency_s: float = 2.0
    # standard deviation of F1 over features of O'Neill et al. 2024 (arXiv 2411.13117)
    f1_deviation: float = 0.25
    evidence_passes: int = 2
    # per reply of a model whose name is that of one that thinks, at a `reasoning_effort` of medium
    thinking_tokens: int = 600
    # times what a probed model thought before one sentence
    thinking_factor: float = 2.0


ASSUMED = Assumptions()

# thought at a `reasoning_effort`, as multiples of that at medium
_EFFORTS = {"none": 0.0, "minimal": 0.0, "low": 0.4, "medium": 1.0, "high": 3.0, "xhigh": 5.0}


@dataclass(frozen=True, slots=True)
class Thought:
    """Tokens that a judge thinks before a reply, on average and at most."""

    n_tokens: int
    room: int
    # how that is known
    known: str


@dataclass(frozen=True, slots=True)
class ExpectedJudge:
    """The judge of a role."""

    spec: str
    model: str | None
    n_concurrent: int
    # of this package: free unless it is an endpoint
    is_builtin: bool
    options: OpenAIOptions | None = None
    price: Price | None = None
    counter: TokenCounter | None = None
    begun: BegunRun | None = None
    thought: Thought | None = None

    @classmethod
    def of(
        cls,
        spec: str,
        config: Config,
        *,
        begun: BegunRun | None = None,
        tokenizer: TokenCounter | None = None,
        assumed: Assumptions = ASSUMED,
    ) -> ExpectedJudge:
        """Raises PluginError for an unknown judge, ConfigError for wrong options or a damaged price file."""
        name, model = split_spec(spec)
        if name not in {listing.name for listing in list_judges()}:
            load_plugin("autointerp.judges", name)  # raises, and lists the judges that there are
        counter = tokenizer or (None if model is None else find_counter(model))
        n_concurrent = config.limits.max_concurrent
        if name not in ("openai", "embedding"):
            is_builtin = name in JUDGES
            return cls(spec, model, n_concurrent, is_builtin, counter=counter, begun=begun)
        if model is None:
            raise ConfigError(f"judge '{name}' needs a model: write {name}:MODEL")
        given = config.judges.get(name, {})
        is_chat = name == "openai"
        options = read_options(name, OpenAIOptions if is_chat else EmbeddingOptions, given)
        if isinstance(options, EmbeddingOptions):
            options = options.endpoint()
        price = price_of(options.base_url, model)
        thought = _thought(options, model, config, begun, assumed) if is_chat else None
        n_concurrent = min(n_concurrent, options.max_concurrent)
        return cls(spec, model, n_concurrent, True, options, price, counter, begun, thought)

    @property
    def notes(self) -> list[str]:
        return [*self._price_notes, *self._thought_notes]

    @property
    def _thought_notes(self) -> list[str]:
        if self.thought is None or (self.begun is not None and self.begun.whole is not None):
            return []
        return [f"'{self.model}' thinks before it replies: {self.thought.n_tokens:,} tokens each, {self.thought.known}"]

    @property
    def _price_notes(self) -> list[str]:
        if not self.is_builtin:
            return [f"price and time unknown: judge '{self.spec}' states neither before it is opened"]
        if self.options is None or self.options.usd_per_million_input_tokens is not None:
            return []
        if self.price is None:
            if self._usd(0, 0) is not None or self._measured_usd() is not None:
                return []
            name, _ = split_spec(self.spec)
            sides = ("input", "output") if name == "openai" else ("input",)
            prices = [f"judges.{name}.usd_per_million_{side}_tokens" for side in sides]
            return [
                f"price of '{self.model}' at {self.options.base_url} unknown: set "
                f"{' and '.join(prices)}, or add it to your prices.toml"
            ]
        price, whose = self.price, "your price file" if self.price.is_users else self.price.source
        said = (
            f"price of '{self.model}' as of {price.taken}: ${price.input_usd:g} in, "
            f"${price.cached_input_usd:g} cached, ${price.output_usd:g} out per million tokens ({whose})"
        )
        return [said + ("; that is old, check it" if price.is_stale() else "")]

    def counted_by(self, assumed: Assumptions) -> str:
        """How a prompt's tokens are counted."""
        if self.begun is not None and self.begun.characters_per_token is not None:
            return f"at {self.begun.characters_per_token:.2f} characters per token, as measured"
        if self.counter is not None:
            return f"counted with the tokenizer of {self.counter.name}"
        return f"at {assumed.characters_per_token:g} characters per token, as assumed"

    def n_answered(self, dictionary: str, explainer: str, scorer: str | None) -> int:
        """Requests that the begun run has replies to."""
        is_of_plan = self.begun is not None and not self.begun.differing
        pace = self.begun.pace(explainer, scorer, dictionary=dictionary) if self.begun and is_of_plan else None
        return 0 if pace is None else pace.n_answered

    def is_done(self, scorer: str | None) -> bool:
        return self.begun is not None and ("explain" if scorer is None else "score") in self.begun.stages_done

    def expect(
        self,
        dictionary: str,
        explainer: str,
        scorer: str | None,
        n_requests: int,
        requests: Sequence[Request],
        assumed: Assumptions,
    ) -> dict[str, Any]:
        """Tokens, money and time of `n_requests` more requests such as `requests`: as measured, else as rehearsed."""
        pace = None
        if self.begun is not None:
            mine = self.begun.pace(explainer, scorer, dictionary=dictionary)
            pace = mine if mine is not None and mine.n_sent else self.begun.pace(explainer, scorer)
        if n_requests == 0:
            return dict.fromkeys(("input_tokens", "output_tokens", "usd", "usd_max", "seconds"), 0)
        share = n_requests / max(len(requests), 1)
        n_thoughts, room = (self.thought.n_tokens, self.thought.room) if self.thought is not None else (0, 0)
        most = round(share * sum(request.max_tokens + room for request in requests))
        if pace is not None and pace.n_sent:
            return self._as_measured(pace, n_requests, most)
        n_input = round(share * sum(self._input_tokens(request, assumed) for request in requests))
        n_output = round(share * sum(n_thoughts + _output_tokens(request, assumed) for request in requests))
        return {
            "input_tokens": n_input,
            "output_tokens": n_output,
            "usd": self._usd(n_input, n_output),
            "usd_max": self._usd(n_input, most),
            # how fast a judge without an endpoint is, no latency tells
            "seconds": None if self.options is None else n_requests * self._latency_s(assumed) / self.n_concurrent,
        }

    def _as_measured(self, pace: Pace, n_requests: int, most: int) -> dict[str, Any]:
        n_sent = n_requests * pace.sends_per_request
        n_input, n_output = round(n_sent * pace.input_tokens), round(n_sent * pace.output_tokens)
        usd = None if pace.usd is None else n_sent * pace.usd
        more = self._usd(n_input, most)
        return {
            "input_tokens": n_input,
            "output_tokens": n_output,
            "usd": usd,
            "usd_max": more if more is None or usd is None else max(more, usd),
            "seconds": n_sent * pace.attempts_per_send * pace.latency_s / self.n_concurrent,
        }

    def _input_tokens(self, request: Request, assumed: Assumptions) -> float:
        texts = [message.content for message in request.messages]
        if self.begun is not None and self.begun.characters_per_token is not None:
            return sum(map(len, texts)) / self.begun.characters_per_token
        if self.counter is not None:
            return sum(self.counter.count(text) + _TOKENS_PER_MESSAGE for text in texts)
        return sum(map(len, texts)) / assumed.characters_per_token

    def _latency_s(self, assumed: Assumptions) -> float:
        pace = None if self.begun is None else self.begun.whole
        return assumed.latency_s if pace is None or not pace.n_sent else pace.latency_s

    def _usd(self, n_input: int, n_output: int) -> float | None:
        """A price by the options, else by the tables, else by the begun run's mean."""
        if self.options is None:
            return 0.0 if self.is_builtin else None
        if self.price is not None and self.options.usd_per_million_input_tokens is None:
            return self.price.usd(input_tokens=n_input, output_tokens=n_output)
        usd = self.options.usd(input_tokens=n_input, output_tokens=n_output)
        per_token = self._measured_usd()
        return usd if usd is not None or per_token is None else (n_input + n_output) * per_token

    def _measured_usd(self) -> float | None:
        """Cost per token of the begun run, where its endpoint states costs."""
        pace = None if self.begun is None else self.begun.whole
        n_tokens = 0.0 if pace is None else pace.input_tokens + pace.output_tokens
        return None if pace is None or pace.usd is None or not n_tokens else pace.usd / n_tokens


def _thought(
    options: OpenAIOptions, model: str, config: Config, begun: BegunRun | None, assumed: Assumptions
) -> Thought | None:
    """What a model thinks, as a probe measured, else as its name suggests."""
    about, probed = options.about(model), None
    if begun is not None:
        probed = recall(about, run=RunLayout(Path(begun.place)).probes, cache=None)
    if probed is None:
        probed = recall(about, run=None, cache=(config.limits.cache or default_cache_path().parent) / "probes")
    if probed is not None and probed.wire.thinking_tokens:
        n_tokens = round(assumed.thinking_factor * probed.n_thoughts)
        room = options.wire(model, probed.wire).thinking_tokens
        return Thought(n_tokens, room, f"twice what its probe of {probed.at[:10]} measured")
    if probed is not None or not thinks(model):
        return None
    effort = options.body.get("reasoning_effort", "medium")
    n_tokens = round(assumed.thinking_tokens * _EFFORTS.get(effort, 1.0))
    room = room_to_think(n_tokens) if options.thinking_tokens is None else options.thinking_tokens
    known = "as its name lets assume; the probe at the beginning of a run measures it"
    return Thought(n_tokens, room, known) if n_tokens else None


def _output_tokens(request: Request, assumed: Assumptions) -> int:
    task = request.task
    if isinstance(task, SimilarityTask | LikelihoodTask):
        return 0  # vectors and likelihoods are not written
    if isinstance(task, IntruderTask | PickEffectTask):
        return min(request.max_tokens, assumed.list_tokens)
    if isinstance(task, RateTask):
        return min(request.max_tokens, assumed.list_tokens + assumed.answer_tokens * len(task.criteria))
    if isinstance(task, ScoreTask | GroupTask):
        return min(request.max_tokens, assumed.list_tokens + assumed.answer_tokens * len(task.passages))
    if isinstance(task, SimulateTask):
        return min(request.max_tokens, assumed.list_tokens + assumed.answer_tokens * len(task.marks))
    return min(request.max_tokens, assumed.explanation_tokens)
