"""A journal as text of a given width: work done, conversations, failed attempts."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from autointerp.runs.journal_entries import Asked, Attempt, Work
from autointerp.safe_text import safe_line
from autointerp.tables import Column, Page

__all__ = ["render_asked", "render_failures", "render_slowest", "render_summary"]

_WIDE = 112  # least width for a row of work on one line
_N_KINDS = 5
_INDENT = "    "


def render_summary(totals: Mapping[str, Any], works: Sequence[Work], *, width: int) -> str:
    """Totals, and a row per account, the dearest first."""
    lines = [_wrap(name, text, width) for name, text in _overall(totals, works)]
    return (
        "\n".join([*lines, "", *(_wide_table(works, width) if width >= _WIDE else _narrow_table(works, width))]) + "\n"
    )


def render_asked(asked: Iterable[Asked], *, width: int) -> str:
    """Conversations with verdicts beside the truth; repeated messages are left out."""
    lines: list[str] = []
    seen: dict[tuple[str, str], int] = {}
    for number, one in enumerate(asked, 1):
        lines += [_cut(f"[{number}] {_title(one)}", width), _cut(f"{_INDENT}{_cost(one)}", width), ""]
        for message in one.messages:
            role, text = message
            if message in seen and len(text) > width:
                lines += [f"{_INDENT}{role}: as in [{seen[message]}]", ""]
                continue
            seen.setdefault(message, number)
            lines += [f"{_INDENT}{role}:", *_block(text, width), ""]
        lines += [f"{_INDENT}reply{'' if one.finish == 'stop' else f' ({one.finish})'}:", *_block(one.text, width), ""]
        lines += _outcome(one, width)
    return "\n".join(lines).rstrip() + "\n" if lines else ""


def render_failures(attempts: Iterable[Attempt], *, width: int) -> str:
    """Failed attempts, two lines each."""
    lines = []
    for one in attempts:
        about = "" if one.dictionary is None else f" {one.dictionary}/{one.feature} {one.scorer or 'explain'}"
        head = f"{_clock(one.at)} {one.error_class} (try {one.attempt}, {one.latency_s:.1f} s){about} {one.key[:12]}"
        lines += [_cut(head, width), *_block(one.message, width)]
    return "\n".join(lines) + "\n" if lines else "no attempt failed\n"


def render_slowest(asked: Iterable[Asked], *, width: int) -> str:
    """Time and question, one line each."""
    lines = [_cut(f"{one.latency_s:8.2f} s  {_title(one)}  {one.output_tokens} tokens out", width) for one in asked]
    return "\n".join(lines) + "\n" if lines else "no request was sent\n"


def _overall(totals: Mapping[str, Any], works: Sequence[Work]) -> list[tuple[str, str]]:
    n_replies, n_cache = totals["n_replies"], totals["n_from_cache"]
    lost = [f"{totals[key]:,} {word}" for key, word in _LOST if totals[key]]
    lines = [
        ("asked", f"{totals['n_sent']:,} requests sent, {totals['n_failed_attempts']:,} of them failed"),
        ("came", f"{n_replies:,} replies, {n_cache:,} from the shared cache{', ' if lost else ''}{', '.join(lost)}"),
        (
            "tokens",
            f"{totals['input_tokens']:,} in, {totals['cached_tokens']:,} of them cached; "
            f"{totals['output_tokens']:,} out",
        ),
        ("cost", f"${totals['usd']:,.4f}" + _unpriced(totals["n_unpriced"])),
    ]
    if totals["failures"]:
        kinds = list(totals["failure_kinds"].items())
        named = ", ".join(f"{kind} ({n:,})" for kind, n in kinds[:_N_KINDS])
        more = f" and {len(kinds) - _N_KINDS} other kinds" if len(kinds) > _N_KINDS else ""
        lines.append(("failed", f"{_pairs(totals['failures'])}: {named}{more}"))
    if totals["n_explanations"]:
        lines.append(("told", f"{totals['n_explanations']:,} explanations{_lost_explanations(works)}"))
    if totals["answers"]:
        n_unparsed, n_all = totals["answers"].get("unparsed", 0), totals["n_verdicts"]
        lines.append(("verdicts", f"{n_all:,}: {_pairs(totals['answers'])}; {n_unparsed / n_all:.1%} unparsed"))
    if totals["first_at"] is not None:
        lines.append(("time", f"{_clock(totals['first_at'])} to {_clock(totals['last_at'])}"))
    return lines


_LOST = (("n_refused", "refused"), ("n_cut", "cut off at max_tokens"), ("n_reasked", "to a question put again"))


def _pairs(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items())


def _unpriced(n: int) -> str:
    return f" and {n:,} replies without a known price" if n else ""


def _lost_explanations(works: Sequence[Work]) -> str:
    lost: dict[str, int] = {}
    for work in works:
        if work.scorer is None:
            for answer, n in work.answers.items():
                lost[answer] = lost.get(answer, 0) + n
    told = ", ".join(f"{n:,} {answer}" for answer, n in sorted(lost.items()) if answer != "explained")
    return f", {told}" if told else ""


def _cells(work: Work) -> dict[str, str]:
    latency = "" if work.latency_p50_s is None else f"{work.latency_p50_s:.2f}/{work.latency_p95_s:.2f}"
    unparsed = "" if work.unparsed_frac is None else f"{work.unparsed_frac:.1%}"
    return {
        "replies": f"{work.n_replies:,}",
        "cached": f"{work.n_from_cache:,}",
        "failed": f"{sum(work.failures.values()):,}",
        "refused": f"{work.n_refused:,}",
        "unparsed": unparsed,
        "again": f"{work.n_reasked:,}",
        "tokens in": f"{work.input_tokens:,}",
        "out": f"{work.output_tokens:,}",
        "USD": f"{work.usd:,.4f}" + ("+?" if work.n_unpriced else ""),
        "p50/p95 s": latency,
    }


def _wide_table(works: Sequence[Work], width: int) -> list[str]:
    page = Page(width)
    heads = _cells(works[0]) if works else ()
    columns = [Column("work", is_text=True, can_wrap=True, min_width=12), *map(Column, heads)]
    page.table(columns, [[_name(work), *_cells(work).values()] for work in works], gap=2)
    return page.text().splitlines()


def _narrow_table(works: Sequence[Work], width: int) -> list[str]:
    lines = []
    for work in works:
        cells = _cells(work)
        parts = [f"{cells.pop('replies')} replies", f"${cells.pop('USD')}"]
        parts += [f"{name} {value}" for name, value in cells.items() if value not in ("", "0")]
        lines += [_cut(_name(work), width), *_block(", ".join(parts), width)]
    return lines


def _name(work: Work) -> str:
    return " ".join(filter(None, (work.scorer or "explain", work.dictionary, work.explainer, work.model)))


def _title(one: Asked) -> str:
    if one.dictionary is None:
        return f"request {one.key}"
    doing = f"scored by {one.scorer}" if one.scorer else "explained"
    control = f", with the explanation of another feature ({one.control})" if one.control else ""
    return f"{one.dictionary}/{one.feature} {doing}, explainer {one.explainer}{control}"


def _cost(one: Asked) -> str:
    usd = "no known price" if one.usd is None else f"${one.usd:.6f}"
    source = "from the shared cache" if one.source == "cache" else f"{one.latency_s:.2f} s"
    tries = "" if one.n_attempts == 1 else f", {one.n_attempts} tries"
    cached = f" ({one.cached_tokens} cached)" if one.cached_tokens else ""
    return (
        f"{one.model}, {_clock(one.at)}, {source}{tries}, {one.input_tokens}{cached} + {one.output_tokens} tokens, "
        f"{usd}, key {one.key[:12]}"
    )


def _outcome(one: Asked, width: int) -> list[str]:
    """The explanation in a reply, or its verdicts beside the truth."""
    if one.scorer is None:
        if one.dictionary is None:
            return []
        return [f"{_INDENT}explanation:", *_block(one.explanation or "(none could be read)", width), ""]
    lines = []
    for number, (window, kind, is_firing, answer, probability) in enumerate(one.verdicts, 1):
        truth = "fires" if is_firing else "silent"
        mark = "" if answer == truth else " WRONG" if answer in ("fires", "silent") else " LOST"
        sure = "" if probability is None else f" p={probability:.2f}"
        lines.append(_cut(f"{_INDENT}{number:>3} {truth:<6} -> {answer:<8}{sure}{mark}  {kind} {window}", width))
    if not lines:
        lines = [f"{_INDENT}(no verdict is there yet)"]
    return [f"{_INDENT}window: truth -> verdict", *lines, ""]


def _block(text: str, width: int) -> list[str]:
    room = max(20, width - 2 * len(_INDENT))
    lines: list[str] = []
    for line in text.splitlines() or [""]:
        lines += textwrap.wrap(line, room, replace_whitespace=False) or [""]
    return [(2 * _INDENT + safe_line(line)).rstrip() for line in lines]


def _wrap(label: str, text: str, width: int) -> str:
    return textwrap.fill(text, width, initial_indent=f"{label:<8} ", subsequent_indent=" " * 9, break_on_hyphens=False)


def _cut(line: str, width: int) -> str:
    line = safe_line(line)
    return line if len(line) <= width else line[: width - 3] + "..."


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
