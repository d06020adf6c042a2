"""The requests about one feature as a run would send them, over made-up evidence."""

from __future__ import annotations

from collections.abc import Iterator

from autointerp.config.asking import ExplainerConfig, ScorerConfig
from autointerp.config.tree import Config, HarvestConfig
from autointerp.explain.explainer import Reading
from autointerp.explain.opening import check_explainer_settings, open_explainer
from autointerp.explain.pairs import require_pairs
from autointerp.judges.judge import Reply, Request
from autointerp.records.document import Role
from autointerp.records.evidence import Evidence, FiringRule, PinnedEffect, TokenEffect, TokenUse
from autointerp.records.window import ACTIVATING, Kind, Window
from autointerp.score.opening import check_scorer_settings, open_scorer
from autointerp.score.sampling import N_OTHERS
from autointerp.score.scorer import Unscorable
from autointerp.seeds import stream

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "needs_explanation",
    "rehearse_explaining",
    "rehearse_pairs",
    "rehearse_scoring",
    "window_tokens",
]

# of a subject's tokens in English prose; smaller vocabularies have shorter ones
CHARACTERS_PER_TOKEN = 4

# tokens that fire in an activating window
_N_FIRING = 2
# fmt: off
# as long as tokens are on average, and each a token of its own in most vocabularies
_WORDS = (
    "the", "and", "for", "was", "are", "but", "not", "you", "all", "any", "can", "had", "her", "his", "one", "our",
    "out", "day", "get", "has", "him", "how", "man", "new", "now", "old", "see", "two", "way", "who", "boy", "did",
    "its", "let", "put", "say", "she", "too", "use", "air", "end", "far", "few", "got", "hot", "job", "key", "law",
    "lot", "low", "may", "men", "off", "own", "pay", "run", "sea", "set",
)
_MOST_ROUNDS = 5
# words of an explanation that a later round asks about
_TOLD_WORDS = 50
_ROLES: tuple[Role, ...] = ("explain", "score")


def rehearse_pairs(config: Config) -> None:
    """Raise ConfigError for an explainer that cannot be paired with a scorer, PluginError for an unknown one."""
    explainers = [open_explainer(entry, config.explain) for entry in config.explain.explainers]
    require_pairs(explainers, [open_scorer(entry, config.score) for entry in config.score.scorers])


def rehearse_explaining(config: Config, settings: ExplainerConfig) -> tuple[Request, ...]:
    """The requests of all rounds, at most. Raises PluginError for an unknown explainer."""
    explainer = open_explainer(settings, config.explain)
    check_explainer_settings(settings)
    evidence = _evidence(config.harvest, 0)
    asked = explainer.requests(evidence, stream(config.seed, "plan"))
    requests, rounds = list(asked), []
    while asked and len(rounds) < _MOST_ROUNDS:
        # no two candidates alike, so that a choice among them is asked for
        texts = ("".join(_word(number + place) for place in range(_TOLD_WORDS)) for number in range(len(asked)))
        rounds.append([Reply(f"[EXPLANATION]:{text}", "") for text in texts])
        following = explainer.follow(evidence, rounds, stream(config.seed, "plan"))
        asked = () if isinstance(following, Reading) else following
        requests += asked
    return tuple(requests)


def rehearse_scoring(
    config: Config, settings: ScorerConfig, *, explanation_tokens: int
) -> tuple[Request, ...] | Unscorable:
    """The requests, or why the settings let no feature be scored. Raises PluginError for an unknown scorer."""
    scorer = open_scorer(settings, config.score)
    check_scorer_settings(settings)
    feature, *others = (_evidence(config.harvest, number) for number in range(1 + N_OTHERS))
    items = scorer.sample(feature, stream(config.seed, "plan"), others=others)
    if isinstance(items, Unscorable):
        return items
    explanation = "".join(_word(place) for place in range(explanation_tokens))
    return tuple(question.request for question in scorer.questions(explanation, items))


def needs_explanation(config: Config, settings: ScorerConfig) -> bool:
    """Whether a scorer scores every explanation, and not each feature once."""
    return open_scorer(settings, config.score).scale.needs_explanation


def window_tokens(harvest: HarvestConfig) -> int:
    return harvest.window_left + 1 + harvest.window_right


def _evidence(harvest: HarvestConfig, feature: int) -> Evidence:
    """All windows that the harvest keeps at most, no two alike."""
    kinds: list[tuple[Role, Kind, int | None]] = [(role, *kept) for role in _ROLES for kept in _kinds(harvest)]
    first = feature * len(kinds)
    # entries that no window holds: one is as long as a word, and none reads like another
    top, bottom = (
        tuple(TokenEffect(first + rank, _entry(first + rank), 1.0) for rank in range(harvest.n_logits))
        for first in (1_000_000 + 2 * feature * harvest.n_logits, 1_000_000 + (2 * feature + 1) * harvest.n_logits)
    )
    return Evidence(
        dictionary="plan",
        feature=feature,
        site="plan",
        rule=FiringRule("above_zero"),
        n_tokens=1,
        n_firing=1,
        density=1.0,
        max_activation=1.0,
        histogram_edges=(),
        histogram_counts=(),
        windows=tuple(
            _window(first + number, window_tokens(harvest), role, kind, bin_)
            for number, (role, kind, bin_) in enumerate(kinds)
        ),
        top_logits=top,
        bottom_logits=bottom,
        token_uses=tuple(TokenUse(place, _word(place), 1, 1) for place in range(len(_WORDS))),
        neuron=None,
        unscored=None,
        pinned=PinnedEffect(top, bottom, kl=1.0, strength=1.0),
    )


def _kinds(harvest: HarvestConfig) -> Iterator[tuple[Kind, int | None]]:
    kept: list[tuple[Kind, int | None, int]] = [
        ("top", harvest.n_bins - 1, harvest.n_top),
        *(("bin", bin_, harvest.n_per_bin) for bin_ in range(harvest.n_bins)),
        ("random", None, harvest.n_random),
        ("near_miss", None, harvest.n_near_miss),
        ("same_document", None, harvest.n_same_document),
        ("drawn", 0, harvest.n_drawn or 0),
        ("neighbour", None, harvest.n_neighbour or 0),
    ]
    for kind, bin_, n in kept:
        for _ in range(n):
            yield kind, bin_


def _window(number: int, n_tokens: int, role: Role, kind: Kind, bin_: int | None) -> Window:
    # the first words spell the number, so that no two windows are alike
    words = [_word(number // len(_WORDS) ** (place % 3) + 7 * place) for place in range(n_tokens)]
    n_firing = _N_FIRING if kind in ACTIVATING else 0
    return Window(
        id=f"{number}",
        document=f"{number}",
        offset=1,
        role=role,
        kind=kind,
        bin=bin_,
        text="".join(words),
        token_ids=tuple(range(number * n_tokens, (number + 1) * n_tokens)),
        token_starts=tuple(CHARACTERS_PER_TOKEN * place for place in range(n_tokens + 1)),
        # firings apart, as they mostly are
        activations=tuple(float(place % 3 == 0 and place < 3 * n_firing) for place in range(n_tokens)),
        candidate=0,
    )


def _entry(number: int) -> str:
    """A vocabulary entry that is no word of the windows."""
    return f" {number % 4096:03X}"


def _word(number: int) -> str:
    """A word with its leading space."""
    return f" {_WORDS[number % len(_WORDS)]}"
