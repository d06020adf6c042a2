"""Case studies: the features of apostrophes and of closing parentheses, their effects and causes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from scipy.stats import spearmanr
from torch import Tensor

from autointerp.config.sites import SitePoint
from autointerp.errors import InputError
from autointerp.harvest.firing import FiringRules
from autointerp.interventions.attribution import attribute, measure_one_by_one
from autointerp.interventions.changes import FeatureValues
from autointerp.interventions.prompts import Prompts
from autointerp.interventions.reading import ReadPrompts
from autointerp.seeds import stream
from autointerp.stages.ready_dictionaries import reopen
from autointerp.stages.workbench import Workbench, open_workbench
from autointerp.stats.intervals import Interval, mean_interval
from autointerp.studies.claim import Claim, Verdict, render_interval, verdict_of, verdict_of_all
from autointerp.studies.cunningham2023.concepts import CONCEPTS, ConceptText, Found, find_feature, read_concept_text
from autointerp.studies.cunningham2023.options import CunninghamOptions, main_entry, point_of_text, with_entries
from autointerp.studies.paper import Finding, Setting
from autointerp.subject.tokens import TokenText
from sae_core.dictionary import Dictionary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Case", "measure_cases", "remove"]

N_SHOWN = 6
N_CAUSES = 8


@dataclass(frozen=True, eq=False)
class Case:
    """What the case studies of a setting share: its run's dictionaries, and two halves of held-out text."""

    bench: Workbench
    point: SitePoint
    dictionaries: Mapping[str, Dictionary]
    rules: Mapping[str, FiringRules]
    halves: tuple[ConceptText, ConceptText]
    text: TokenText

    @classmethod
    def open(cls, setting: Setting[CunninghamOptions]) -> Case:
        config = setting.config
        point = SitePoint(config.subject.site, config.subject.layer)
        run = setting.run(f"at-{point}", last="train")
        bench = open_workbench(config)
        # of random directions none stands for anything
        entries = {entry.name: entry for entry in config.dictionaries if entry.kind != "random"}
        return cls(
            bench=bench,
            point=point,
            dictionaries={n: reopen(e, run.layout, device=bench.subject.device) for n, e in entries.items()},
            rules={name: FiringRules.load(run.layout.dictionary(name)) for name in entries},
            halves=(
                read_concept_text(bench, "explain", point, n_tokens=config.corpus.evidence_tokens // 2),
                read_concept_text(bench, "score", point, n_tokens=config.corpus.evidence_tokens // 2),
            ),
            text=TokenText.of(bench.subject.tokenizer, vocab_size=bench.subject.vocab_size),
        )

    def find(self, concept: str) -> dict[str, Found]:
        """Raises InputError where the text lacks the concept."""
        try:
            return {
                name: find_feature(name, dictionary, self.rules[name], concept, self.halves, self.text)
                for name, dictionary in self.dictionaries.items()
            }
        except ValueError:
            raise InputError(
                f"corpus: no token holds the mark of `{concept}` on both halves; give more or other text"
            ) from None

    def places(self, concept: str, n: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """`n` tokens of the second half that hold the concept and `n` that do not, each with a token after it."""
        half = self.halves[1]
        holds, follows = half.holds(concept, self.text), half.has_follower()
        draw = torch.Generator().manual_seed(seed)
        found = []
        for mask in (holds & follows, ~holds & follows):
            places = mask.nonzero()[:, 0]
            found.append(places[torch.randperm(len(places), generator=draw)[:n]])
        return found[0], found[1]

    def read(self, chosen: Int[Tensor, " prompt"]) -> ReadPrompts:
        prompts = self.halves[1].prompts(chosen, has_first=self.bench.subject.bos_id is not None)
        return ReadPrompts(self.bench.subject, prompts, self.point)


def remove(
    read: ReadPrompts, dictionary: Dictionary, feature: int, *, scale: float = 1.0
) -> Float[Tensor, "prompt pos d_in"]:
    """What ablating a feature at each prompt's last token adds, `scale` times."""
    values = FeatureValues(dictionary, read.x, torch.tensor([feature]))
    return scale * values.together(torch.zeros(1)) * read.prompts.is_last[..., None].to(read.x.device)


def measure_cases(setting: Setting[CunninghamOptions]) -> Finding:
    main, case = main_entry(setting).name, Case.open(setting)
    claims, rows, effects, causes, notes = [], [], [], [], []
    for concept in CONCEPTS:
        found = case.find(concept)
        rows += [_found_row(setting, concept, each) for each in found.values()]
        claims.append(_found_claim(setting, concept, found, main))
        chosen, _ = case.places(concept, setting.options.n_contexts, seed=setting.config.seed)
        read = case.read(chosen)
        told = _effects(case, read, case.dictionaries[main], found[main].feature, concept)
        effects += told
        raised, lowered = ([r["token"] for r in told if r["side"] == side] for side in ("raised", "lowered"))
        notes.append(
            f"{concept}, {main}/{found[main].feature}, which fires on {', '.join(map(repr, found[main].tokens))}: "
            f"ablated after {len(read)} such tokens, the next token's probability falls most for "
            f"{', '.join(map(repr, lowered))} and rises most for {', '.join(map(repr, raised))}."
        )
        if setting.options.before is not None:
            mine, claim = _causes(setting, case, read.prompts, found[main].feature, concept)
            causes += mine
            claims.append(claim)
    tables = {"concepts": rows, "effects": effects} | ({"causes": causes} if causes else {})
    return Finding(claims, tables, {"concepts": _draw_concepts(rows)}, notes)


def _found_row(setting: Setting[CunninghamOptions], concept: str, found: Found) -> dict[str, Any]:
    return {
        "concept": concept,
        "dictionary": found.dictionary,
        "feature": found.feature,
        "correlation": round(found.correlation, 4),
        "sensitivity": render_interval(_share(setting, concept, found, "sensitivity")),
        "precision": render_interval(_share(setting, concept, found, "precision")),
        "fires_on": " ".join(map(repr, found.tokens)),
    }


def _share(setting: Setting[CunninghamOptions], concept: str, found: Found, what: str) -> Interval | None:
    rng = stream(setting.config.seed, "concepts", concept, found.dictionary, what)
    return mean_interval(getattr(found, what), rng=rng, bounds=(0.0, 1.0))


def _found_claim(setting: Setting[CunninghamOptions], concept: str, found: Mapping[str, Found], main: str) -> Claim:
    mine = found[main]
    shares = {what: _share(setting, concept, mine, what) for what in ("sensitivity", "precision")}
    verdicts: list[Verdict] = [verdict_of(each, above=0.5) for each in shares.values()]
    others = ", ".join(f"{n} {abs(each.correlation):.2f}" for n, each in found.items() if n != main)
    return Claim(
        f"one feature stands for the {concept}",
        "found by hand, no figure",
        "; ".join(f"{what} {render_interval(each)}" for what, each in shares.items())
        + f"; correlation {mine.correlation:.2f}",
        verdict_of_all(verdicts),
        f"{main}/{mine.feature}, chosen on other text by correlation; holds where sensitivity and precision lie above "
        f"0.5; correlation of the best of others: {others}",
    )


def _effects(case: Case, read: ReadPrompts, dictionary: Dictionary, feature: int, concept: str) -> list[dict[str, Any]]:
    """The tokens whose mean probability moves most when the feature is ablated."""
    with torch.no_grad():
        clean = read.outputs().softmax(-1).mean(dim=0)
        edited = read.outputs(remove(read, dictionary, feature)).softmax(-1).mean(dim=0)
    change = (edited - clean).cpu()
    special = torch.tensor(sorted(case.bench.subject.special_ids), dtype=torch.int64)
    change[special] = 0.0
    order = change.sort(stable=True).indices.tolist()
    sides = (("lowered", order[:N_SHOWN]), ("raised", order[::-1][:N_SHOWN]))
    return [
        {
            "concept": concept,
            "side": side,
            "token": case.text.display(token),
            "plain": round(float(clean[token]), 6),
            "ablated": round(float(edited[token]), 6),
        }
        for side, tokens in sides
        for token in tokens
    ]


def _causes(
    setting: Setting[CunninghamOptions], case: Case, prompts: Prompts, feature: int, concept: str
) -> tuple[list[dict[str, Any]], Claim]:
    """Features of the place before whose ablation lowers the feature most, by attribution and exactly."""
    assert setting.options.before is not None
    before = point_of_text(setting.options.before, key="before")
    main = main_entry(setting)
    run = setting.run(f"before-{before}", config=with_entries(setting.config, [main], point=before), last="train")
    dictionary = reopen(main, run.layout, device=case.bench.subject.device)
    target, chosen = case.dictionaries[main.name], torch.tensor([feature])
    read = ReadPrompts(case.bench.subject, prompts, before, watched=case.point)

    def value(x: Tensor, rows: Tensor) -> Tensor:
        return target.encode_features(x, chosen)[:, 0]

    own = FeatureValues(dictionary, read.x, torch.arange(dictionary.n_features)).own
    estimate = attribute(read, dictionary, value, change=-own).mean(dim=0)
    likely = estimate.abs().argsort(descending=True, stable=True)[:N_CAUSES]
    with torch.no_grad():
        plain = value(read.outputs(), torch.arange(len(read)))
    exact = measure_one_by_one(read, dictionary, value, features=likely, values=torch.zeros(len(likely)))
    effect = (exact - plain[:, None]).mean(dim=0)
    rows = [
        {
            "concept": concept,
            "place": str(before),
            "feature": int(each),
            "by_attribution": round(float(estimate[each]), 5),
            "by_ablation": round(float(effect[place]), 5),
            "value_before": round(float(plain.mean()), 5),
            "fires_on": " ".join(map(repr, _tokens_of(case, before, dictionary, int(each)))),
        }
        for place, each in enumerate(likely)
    ]
    agreement: Any = spearmanr(estimate[likely].numpy(), effect.numpy())
    largest = float(effect.min() / plain.mean().clamp_min(1e-9))
    return rows, Claim(
        f"the {concept} feature has causes in features of {before}",
        "a tree of causes, by ablation",
        f"ablating one of them changes it by {largest:.0%}; attribution and ablation rank the {len(likely)} likeliest "
        f"with Spearman {agreement.statistic:.2f}",
        "holds" if largest < -0.1 else "does not hold",
        "holds where one feature's ablation takes more than a tenth of its value; a point estimate",
    )


def _tokens_of(case: Case, point: SitePoint, dictionary: Dictionary, feature: int) -> tuple[str, ...]:
    """The commonest tokens on which a feature of another place fires, over the first contexts of the second half."""
    contexts = case.halves[1].contexts[:16]
    x = case.bench.subject.activations(contexts, [point])[point]
    with torch.no_grad():
        codes = dictionary.encode_features(x.flatten(0, 1), torch.tensor([feature]))[:, 0]
    fired = contexts.flatten()[codes.cpu() > 0]
    tokens, counts = fired.unique(return_counts=True)
    return tuple(case.text.display(int(tokens[each])) for each in counts.argsort(descending=True, stable=True)[:3])


def _draw_concepts(rows: list[dict[str, Any]]) -> Figure:
    from synthetic_studies.figure_style import COLOURS, new_figure

    figure, axes = new_figure(1, len(CONCEPTS), sharey=True)
    for panel, concept in zip(axes[0], CONCEPTS, strict=True):
        mine = [row for row in rows if row["concept"] == concept]
        names = [row["dictionary"] for row in mine]
        panel.bar(names, [abs(row["correlation"]) for row in mine], color=COLOURS[0])
        panel.set(title=concept)
        panel.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes[0, 0].set(ylabel="|correlation| of the best feature")
    return figure
