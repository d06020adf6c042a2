"""The built-in judges, explainers and scorers by name, with the dotted paths of their factories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from autointerp.judges.judge import Capabilities

__all__ = ["BUILTIN", "EXPLAINERS", "JUDGES", "SCORERS", "Abilities", "Ability", "BuiltinJudge"]

# `option`: it depends on the judge's options
Ability = Literal["yes", "no", "option"]


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a judge can do, and what it needs."""

    about: str
    # asking uses no network and costs nothing
    local: Ability
    # it answers from the typed task, so it need not read prose
    task: Ability
    # replies come with the log-probabilities of their tokens
    logprobs: Ability
    # replies keep a JSON schema
    schema: Ability
    # the same question at temperature 0 gets the same text
    same: Ability
    # whether a model follows the name
    model: Literal["needed", "none", "optional"] = "none"
    # options without which it cannot be made
    needs: tuple[str, ...] = ()
    # the extra of this package that it needs
    extra: str | None = None

    @classmethod
    def stated_by(cls, capabilities: Capabilities, about: str = "") -> Abilities:
        words: dict[bool, Ability] = {True: "yes", False: "no"}
        return cls(
            about=about,
            local=words[capabilities.is_local],
            task=words[capabilities.uses_task],
            logprobs=words[capabilities.has_logprobs],
            schema=words[capabilities.has_schema],
            same=words[capabilities.is_deterministic],
        )


class BuiltinJudge(NamedTuple):
    """A row of the table of judges; `target` is `module:function`."""

    target: str
    abilities: Abilities


def _scripted(name: str, about: str, *, needs: tuple[str, ...] = (), schema: Ability = "yes") -> BuiltinJudge:
    about = f"test judge: {about}"
    abilities = Abilities(about, local="yes", task="yes", logprobs="no", schema=schema, same="yes", needs=needs)
    return BuiltinJudge(f"autointerp.judges.offline.scripted:open_{name}", abilities)


JUDGES: dict[str, BuiltinJudge] = {
    "pattern": BuiltinJudge(
        "autointerp.judges.offline.pattern:open_judge",
        Abilities(
            about="explains by a list of tokens with their contexts and predicts with it; no language model",
            local="yes",
            task="yes",
            logprobs="no",
            schema="yes",
            same="yes",
        ),
    ),
    "openai": BuiltinJudge(
        "autointerp.judges.endpoint.openai:open_judge",
        Abilities(
            about="a language model behind any OpenAI-compatible endpoint",
            local="no",
            task="no",
            logprobs="option",
            schema="option",
            same="no",
            model="needed",
        ),
    ),
    "local": BuiltinJudge(
        "autointerp.judges.in_process.local:open_judge",
        Abilities(
            about="a language model of transformers in this process, on a CPU or a GPU",
            local="yes",
            task="no",
            logprobs="yes",
            schema="option",
            same="option",
            model="needed",
            extra="models",
        ),
    ),
    "vllm": BuiltinJudge(
        "autointerp.judges.in_process.vllm:open_judge",
        Abilities(
            about="a language model in vLLM's engine in this process, on GPUs",
            local="yes",
            task="no",
            logprobs="yes",
            schema="option",
            same="no",
            model="needed",
            extra="vllm",
        ),
    ),
    "embedding": BuiltinJudge(
        "autointerp.judges.endpoint.embedding:open_judge",
        Abilities(
            about="compares texts by the vectors of any endpoint that embeds as OpenAI's does; "
            "for the scorer `embedding`",
            local="no",
            task="yes",
            logprobs="no",
            schema="no",
            same="no",
            model="needed",
        ),
    ),
    "local_embedding": BuiltinJudge(
        "autointerp.judges.in_process.local_embedding:open_judge",
        Abilities(
            about="compares texts by a sentence encoder of transformers in this process; for the scorer `embedding`",
            local="yes",
            task="yes",
            logprobs="no",
            schema="no",
            same="no",
            model="needed",
            extra="models",
        ),
    ),
    "bag_of_words": BuiltinJudge(
        "autointerp.judges.offline.bag_of_words:open_judge",
        Abilities(
            about="compares texts by the parts of words they share; no model; for the scorer `embedding`",
            local="yes",
            task="yes",
            logprobs="no",
            schema="no",
            same="yes",
        ),
    ),
    "human": BuiltinJudge(
        "autointerp.judges.human.judge:open_judge",
        Abilities(
            about="a person, asked yes or no about windows, or for points, on a page of this machine "
            "(`serve RUN --rate NAME`)",
            local="yes",
            task="yes",
            logprobs="no",
            schema="yes",
            same="no",
            model="needed",
        ),
    ),
    "oracle": _scripted("oracle", "knows the labels", needs=("evidence",)),
    "liar": _scripted("liar", "knows the labels and inverts them", needs=("evidence",)),
    "noisy": _scripted("noisy", "knows the labels, with a stated sensitivity and specificity", needs=("evidence",)),
    "coin": _scripted("coin", "tosses a coin"),
    "mumbler": _scripted("mumbler", "never says anything that can be read", schema="no"),
    "literal": _scripted("literal", "applies the rule in the explanation, `regex: PATTERN` or `token: TEXT`"),
}

EXPLAINERS = {
    "windows": "autointerp.explain.windows:open_explainer",
    "token_pairs": "autointerp.explain.token_pairs:open_explainer",
    "contrastive": "autointerp.explain.contrastive:open_explainer",
    "quantiles": "autointerp.explain.quantiles:open_explainer",
    "single_token": "autointerp.explain.single_token:open_explainer",
    "logits": "autointerp.explain.logits:open_explainer",
    "pinned": "autointerp.explain.pinned:open_explainer",
    "ensemble": "autointerp.explain.ensemble:open_explainer",
    "logit_weights": "autointerp.explain.logit_weights:open_explainer",
    "best_of": "autointerp.explain.best_of:open_explainer",
    "pattern": "autointerp.explain.pattern:open_explainer",
    "none": "autointerp.explain.none:open_explainer",
    "from_file": "autointerp.explain.from_file:open_explainer",
}

SCORERS = {
    "marked": "autointerp.score.marked:open_scorer",
    "detection": "autointerp.score.detection:open_scorer",
    "fuzzing": "autointerp.score.fuzzing:open_scorer",
    "recall": "autointerp.score.recall:open_scorer",
    "simulation": "autointerp.score.simulation:open_scorer",
    "logit_weights": "autointerp.score.logit_weights:open_scorer",
    "pattern_tokens": "autointerp.score.pattern_tokens:open_scorer",
    "intruder": "autointerp.score.intruder:open_scorer",
    "clustering": "autointerp.score.clustering:open_scorer",
    "embedding": "autointerp.score.embedding:open_scorer",
    "surprisal": "autointerp.score.surprisal:open_scorer",
    "intervention": "autointerp.score.intervention:open_scorer",
    "rubric": "autointerp.score.rubric:open_scorer",
}

# the targets of every kind of plug-in, by the group of its entry points; dictionaries are built in as kinds
BUILTIN: dict[str, dict[str, str]] = {
    "autointerp.judges": {name: row.target for name, row in JUDGES.items()},
    "autointerp.explainers": EXPLAINERS,
    "autointerp.scorers": SCORERS,
    "autointerp.dictionaries": {},
}
