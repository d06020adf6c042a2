"""A plan as text of 80 columns and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from autointerp.planning import Plan, PlannedStage
from autointerp.scaling import Duration
from autointerp.tables import Column, Page

__all__ = ["plan_to_json", "render_durations", "render_plan"]

WIDTH = 80
_HEADS = ("dictionary", "stage", "features", "requests", "tokens in", "tokens out", "USD")
_HEADS_BEGUN = ("dictionary", "stage", "requests", "answered", "tokens in", "tokens out", "USD")


def render_plan(plan: Plan) -> str:
    """The plan as a table with notes, at most 80 columns wide."""
    is_begun = plan.measured is not None
    sums = [_count(plan.total(c)) for c in ("n_requests", "n_answered", "input_tokens", "output_tokens")]
    feet = ("total", "", *(sums if is_begun else ("", sums[0], *sums[2:])), _usd(plan.total("usd")))
    columns = [
        Column(head, is_text=place < 2, can_wrap=place < 2, max_width=16, foot=foot)
        for place, (head, foot) in enumerate(zip(_HEADS_BEGUN if is_begun else _HEADS, feet, strict=True))
    ]
    has_several = len({stage.explainer for stage in plan.stages}) > 1
    rows = []
    for stage in plan.stages:
        name = " ".join(filter(None, (stage.scorer or "explain", stage.explainer if has_several else None)))
        counts = (stage.n_requests, stage.n_answered) if is_begun else (stage.n_features, stage.n_requests)
        tokens = (*counts, stage.input_tokens, stage.output_tokens)
        rows.append([stage.dictionary, name, *map(_count, tokens), _usd(stage.usd)])
    page = Page(WIDTH)
    page.table(columns, rows)
    heading = f"plan of {plan.name}: requests at most, the rest estimated"
    if is_begun:
        heading = _wrap("plan", f"of {plan.name}; tokens, USD and time are what is left of {plan.measured}")
    return "\n".join([heading, "", *page.text().splitlines(), "", *(_wrap(*line) for line in _lines(plan))]) + "\n"


def render_durations(durations: Sequence[Duration]) -> str:
    """The stages on several machines as a table; empty without any."""
    if not durations:
        return ""
    rows = [
        [
            each.stage,
            "?" if each.seconds is None else _length(each.seconds),
            "?" if each.spread_s is None else f"+- {_length(each.spread_s)}",
            _usd(each.usd),
            each.bound_by,
        ]
        for each in durations
    ]
    page = Page(WIDTH)
    heads = ("stage", "time", "95%", "USD", "waits for")
    page.table([Column(head, is_text=place in (0, 4)) for place, head in enumerate(heads)], rows)
    return "\n".join(["", *page.text().splitlines()]) + "\n"


def plan_to_json(plan: Plan, durations: Sequence[Duration] = ()) -> dict[str, Any]:
    """The plan as plain values, with totals, whether the features suffice, and the times on several machines."""
    names = ("n_requests", "n_answered", "input_tokens", "output_tokens", "usd", "usd_max", "seconds")
    tree = asdict(plan)
    tree["power"]["is_enough"] = plan.power.is_enough
    totals = {name: plan.total(name) for name in names}
    return tree | {"total": totals, "durations": [asdict(each) for each in durations]}


def _lines(plan: Plan) -> list[tuple[str, str]]:
    a = plan.assumed
    usd_max = plan.total("usd_max")
    tokens = (
        f"from prompts rendered over made-up windows of {plan.window_tokens} tokens, {'; '.join(plan.counted_by)}; "
        f"assumed replies of {a.explanation_tokens} tokens per explanation and "
        f"{a.list_tokens} + {a.answer_tokens} per window for a list"
    )
    if plan.measured is not None:
        tokens = f"tokens, prices and latencies as measured where the run has replies; elsewhere {tokens}"
    lines = [("tokens", tokens)]
    if usd_max:
        lines.append(("price", f"${usd_max:,.2f} if every reply were as long as max_tokens allows"))
    lines += [("time", _time(plan)), ("corpus", _corpus(plan)), ("power", _power(plan))]
    if plan.power.difference is not None:
        lines.append(("detect", _detect(plan)))
    return [*lines, *(("note", note) for note in plan.notes)]


def _time(plan: Plan) -> str:
    roles = {
        "explain": [s for s in plan.stages if s.scorer is None],
        "score": [s for s in plan.stages if s.scorer is not None],
    }
    parts = [f"{role} {_duration(stages)}" for role, stages in roles.items()]
    if any(stage.seconds is not None for stage in plan.stages):
        each = "the measured latency" if plan.measured else f"an assumed {plan.assumed.latency_s:g} s each"
        parts.append(f"at {plan.max_concurrent} requests in flight and {each}")
    return ", ".join(parts) + "; training and harvest not included"


def _duration(stages: list[PlannedStage]) -> str:
    seconds = [stage.seconds for stage in stages]
    if None in seconds:
        return "not known" if any(stage.n_requests is None for stage in stages) else "not estimated (no endpoint)"
    return _length(sum(s for s in seconds if s is not None))


def _length(seconds: float) -> str:
    for bound, unit in ((3600, "h"), (60, "min")):
        if seconds >= bound:
            return f"{seconds / bound:,.1f} {unit}"
    return f"{seconds:.0f} s"


def _corpus(plan: Plan) -> str:
    training = f"{plan.dictionary_tokens:,} tokens to train on at {', '.join(plan.training_sites)}; "
    passes = plan.assumed.evidence_passes
    return f"{training if plan.training_sites else ''}{plan.evidence_tokens:,} evidence tokens, read {passes} times"


def _power(plan: Plan) -> str:
    power = plan.power
    deviation = f"standard deviation {plan.assumed.f1_deviation:g} over features, as in arXiv 2411.13117"
    if power.smallest is None:
        return f"not known without the number of features ({deviation})"
    return (
        f"{power.n_features} features per dictionary show a difference of {power.smallest:.3f} in mean F1 "
        f"(5% level, 80% power, {deviation})"
    )


def _detect(plan: Plan) -> str:
    power = plan.power
    text = f"a difference of {power.difference:g} needs {power.needed:,} features per dictionary; "
    if power.is_enough is None:
        return text + "whether the config has them is not known"
    if power.is_enough:
        return text + f"the config has {power.n_features:,}"
    return text + f"the config has only {power.n_features:,}: --set harvest.n_features={power.needed}"


def _count(value: float | None) -> str:
    if value is None:
        return "?"
    for bound, unit in ((1e10, "G"), (1e7, "M")):
        if value >= bound:
            return f"{value / (bound / 10):,.1f}{unit}"
    return f"{value:,.0f}"


def _usd(value: float | None) -> str:
    return "?" if value is None else f"{value:,.2f}"


def _wrap(label: str, text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=f"{label:<7} ", subsequent_indent=" " * 8, break_on_hyphens=False)
