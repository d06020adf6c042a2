"""The page of a paper's study: what it measured on, the table of claims, and a section for each part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from autointerp.runs.layout import write_text
from autointerp.studies.paper import Done, PaperStudy, Setting
from autointerp.tables import markdown_table
from synthetic_studies.cells import write_csv

__all__ = ["render_claims", "write_page"]

HEADS = ("claim of the paper", "their figure", "ours [95% interval]", "verdict", "on", "why")


def write_page(
    study: PaperStudy,
    settings: Sequence[Setting],
    done: Sequence[Done],
    *,
    folder: Path,
    command: str,
    left_out: Sequence[str] = (),
) -> str:
    """Write `NAME.md` and `claims.csv` into the folder; the page's text."""
    page = "\n".join(
        [
            f"# {study.title}",
            "",
            study.about.strip(),
            "",
            f"Made by `{command}` in {sum(each.cpu_s for each in done):,.0f} CPU s, without what lay below `runs` "
            "before a part began. Every figure has its CSV; intervals are 95%. A verdict is given where the whole "
            "interval lies on one side of what the claim says, else it is `undecided`. What does not hold here is a "
            "result about these subjects and sizes, with its reason.",
            "",
            "## Subjects",
            "",
            *(f"- {_about(study, setting)}" for setting in settings),
            *(f"- left out: {each}" for each in left_out),
            "",
            "## Claims",
            "",
            *render_claims(done),
            *(line for part in study.parts for line in _section([each for each in done if each.part == part.name])),
            "",
        ]
    )
    write_text(folder / f"{study.name}.md", page)
    rows = [{"part": each.part, "on": each.setting, **asdict(claim)} for each in done for claim in each.claims]
    write_csv(folder / "claims.csv", rows)
    return page


def render_claims(done: Sequence[Done]) -> list[str]:
    """The lines of the table of claims."""
    rows = [
        (claim.claim, claim.theirs, claim.ours, f"**{claim.verdict}**", each.setting, claim.why)
        for each in done
        for claim in each.claims
    ]
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return markdown_table(HEADS, escaped, rule="|" + "---|" * len(HEADS))


def _about(study: PaperStudy, setting: Setting) -> str:
    if not any(part.reads_subject for part in study.parts_on(setting)):
        return f"**{setting.name}**: sources drawn at random, no subject. {setting.options.why}".rstrip()
    config = setting.config
    model, text = (Path(each).name for each in (config.subject.model, config.corpus.path))
    names = ", ".join(entry.name for entry in config.dictionaries)
    return (
        f"**{setting.name}**: {model}, {config.subject.site} of layer {config.subject.layer}, text `{text}`, "
        f"dictionaries {names} on {config.corpus.dictionary_tokens:,} tokens, "
        f"evidence of {config.corpus.evidence_tokens:,}, judge {config.score.judge}, seed {config.seed}. "
        f"{setting.options.why}"
    ).rstrip()


def _section(parts: Sequence[Done]) -> list[str]:
    if not parts:
        return []
    lines = ["", f"## {parts[0].title}"]
    for done in parts:
        files = ", ".join(f"`{name}.csv`" for name in done.tables)
        lines += ["", f"On **{done.setting}**, {done.cpu_s:,.0f} CPU s{': ' + files if files else ''}."]
        lines += [line for name in done.figures for line in ("", f"![{done.title}, {done.setting}]({name}.png)")]
        lines += [line for note in done.notes for line in ("", note)]
    return lines
